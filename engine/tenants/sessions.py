"""Where people are signed in: listing sessions, and ending them at once."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, insert, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.sql import ColumnElement

from engine import ids
from engine.store.tx import Tx
from engine.tenants import errors, members
from engine.tenants.model import Session
from engine.tenants.tables import sessions

LIFE = timedelta(days=14)
SEEN_NOTED_EVERY = timedelta(minutes=1)


async def mine(tx: Tx) -> list[Session]:
    """Where whoever acts is signed in to this tenant, last seen first; nowhere for a token."""
    return await _listed(tx, sessions.c.user_id == tx.principal.id) if tx.principal.kind == "user" else []


async def of_member(tx: Tx, user_id: UUID) -> list[Session]:
    """Where a member is signed in to this tenant. Raises MemberNotFound."""
    await members.get(tx, user_id)
    return await _listed(tx, sessions.c.user_id == user_id)


async def end(tx: Tx, session_id: UUID) -> Session:
    """End one session: one's own, or a member's whose rights one has. Raises SessionNotFound, RoleTooWide."""
    row = await tx.one(select(sessions).where(_of(tx), sessions.c.id == session_id))
    if row is None:
        raise errors.SessionNotFound
    if not _is_mine(tx, row["user_id"]):
        if not tx.principal.may("users:write"):
            raise errors.SessionNotFound
        await members.refuse_above(tx, row["user_id"])
    return (await _end(tx, sessions.c.id == session_id))[0]


async def end_others(tx: Tx) -> list[Session]:
    """End all of one's own sessions in this tenant but the one that asks. Raises NotAPerson."""
    if tx.principal.kind != "user":
        raise errors.NotAPerson
    others = sessions.c.user_id == tx.principal.id
    if tx.principal.session_id is not None:
        others &= sessions.c.id != tx.principal.session_id
    return await _end(tx, others)


async def end_all_of(tx: Tx, user_id: UUID) -> list[Session]:
    """End every session of a member in this tenant. Raises MemberNotFound, RoleTooWide."""
    await members.refuse_above(tx, user_id)
    return await _end(tx, sessions.c.user_id == user_id)


async def begin(
    tx: Tx, *, user_id: UUID, agent: str, provider_id: UUID | None = None, until: datetime | None = None
) -> tuple[UUID, str, datetime]:
    """A new session for a member of this tenant: its id, its secret (kept nowhere), and its end."""
    secret, session_id, expires_at = ids.token("tgs"), ids.uuid7(), until or tx.now + LIFE
    await tx.execute(
        insert(sessions).values(
            tenant_id=tx.principal.tenant_id,
            id=session_id,
            user_id=user_id,
            secret_sha256=ids.fingerprint(secret),
            created_at=tx.now,
            expires_at=expires_at,
            agent="".join(c for c in agent if c.isprintable())[:200],
            address=tx.principal.address[:64],
            last_seen_at=tx.now,
            provider_id=provider_id,
        )
    )
    tx.audit("session.open", "user", user_id)
    return session_id, secret, expires_at


async def leave(tx: Tx, session_id: UUID) -> datetime | None:
    """End the session that acts; returns when it would have ended by itself, None where it had ended already."""
    ended = await _end(tx, sessions.c.id == session_id)
    return ended[0].expires_at if ended else None


async def note_seen(tx: Tx, session_id: UUID) -> None:
    """Remember that a session was used now."""
    await tx.execute(update(sessions).where(_of(tx), sessions.c.id == session_id).values(last_seen_at=tx.now))


def _is_mine(tx: Tx, user_id: UUID) -> bool:
    return tx.principal.kind == "user" and user_id == tx.principal.id


async def _listed(tx: Tx, which: ColumnElement[bool]) -> list[Session]:
    query = select(sessions).where(_of(tx), which, sessions.c.expires_at > tx.now)
    rows = await tx.rows(query.order_by(sessions.c.last_seen_at.desc().nulls_last(), sessions.c.id.desc()).limit(200))
    return [_session(tx, row) for row in rows]


async def _end(tx: Tx, which: ColumnElement[bool]) -> list[Session]:
    rows: Sequence[RowMapping] = await tx.rows(delete(sessions).where(_of(tx), which).returning(sessions))
    for row in rows:
        await tx.notify(f"session:{row['id']}")
        tx.audit("session.end", "user", row["user_id"], before={"session": row["id"], "agent": row["agent"]})
    return [_session(tx, row) for row in rows]


def _of(tx: Tx) -> ColumnElement[bool]:
    return sessions.c.tenant_id == tx.principal.tenant_id


def _session(tx: Tx, row: RowMapping) -> Session:
    return Session(
        id=row["id"],
        user_id=row["user_id"],
        agent=row["agent"],
        address=row["address"],
        created_at=row["created_at"],
        last_seen_at=row["last_seen_at"] or row["created_at"],
        expires_at=row["expires_at"],
        is_current=row["id"] == tx.principal.session_id,
    )
