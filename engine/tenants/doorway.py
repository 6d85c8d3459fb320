"""Coming in: from an e-mail and password, a cookie or a token to a principal, before any tenant is known."""

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, insert, select

from engine import ids
from engine.store.audit import Deed
from engine.store.pool import Store
from engine.tenancy import SCOPES, Principal, Role
from engine.tenants import errors, tables
from engine.tenants.model import LoggedIn, Membership, User

SESSION_LIFE = timedelta(days=14)
TRIES, TRIES_WINDOW_S = 10, 60.0

_hasher = PasswordHasher()
# argon2id takes 64 MiB and most of a core each: two at a time is what a small machine bears
_hashing = asyncio.Semaphore(2)
# for addresses nobody has: checking takes as long, so the time does not tell who exists
_NOBODY = _hasher.hash(ids.token("nobody"))


class Throttle:
    """At most ``TRIES`` failures a minute for one e-mail address from one network address, per process."""

    def __init__(self) -> None:
        self._failures: dict[str, deque[float]] = {}

    def check(self, who: str) -> None:
        """Raises TooManyTries while ``who`` has failed too often."""
        failures = self._failures.get(who)
        if failures is None:
            return
        while failures and failures[0] < time.monotonic() - TRIES_WINDOW_S:
            failures.popleft()
        if len(failures) >= TRIES:
            raise errors.TooManyTries

    def failed(self, who: str) -> None:
        """Remember one failure of ``who``."""
        if len(self._failures) > 10_000:  # bounded: the oldest are forgotten first
            self._failures.pop(next(iter(self._failures)))
        self._failures.setdefault(who, deque(maxlen=TRIES)).append(time.monotonic())


throttle = Throttle()


async def hash_password(password: str) -> str:
    """The argon2id hash of ``password``."""
    async with _hashing:
        return await asyncio.to_thread(_hasher.hash, password)


async def login(
    store: Store, email: str, password: str, *, address: str = "", tenant_key: str | None = None
) -> LoggedIn:
    """Open a session with an e-mail address and a password.

    The session belongs to ``tenant_key``, or to the tenant joined first. Raises BadCredentials whatever was wrong,
    TooManyTries after ten failures in a minute.
    """
    who = f"{email.strip().lower()[:254]}|{address}"
    throttle.check(who)
    rows = [] if "\0" in email else await store.door("login", email.strip())
    proven = await _is_right(rows[0]["password_hash"] if rows else None, password)
    chosen = [row for row in rows if tenant_key in (None, row["tenant_key"])]
    if not proven or not chosen:
        throttle.failed(who)
        await _note_failure(store, rows, address)
        raise errors.BadCredentials
    row = chosen[0]
    membership = Membership(row["tenant_id"], row["tenant_key"], row["tenant_name"], Role(row["role"]))
    return await _open(store, User(row["user_id"], email.strip().lower(), row["user_name"]), membership, address)


async def session(store: Store, secret: str) -> Principal | None:
    """Who holds the session with this secret, or None."""
    rows = await store.door("session", ids.fingerprint(secret))
    if not rows:
        return None
    row = rows[0]
    return Principal(row["tenant_id"], "user", row["user_id"], SCOPES[Role(row["role"])], row["email"])


async def session_id(store: Store, secret: str) -> UUID | None:
    """The id under which this session's end is announced, or None when there is no such session."""
    rows = await store.door("session", ids.fingerprint(secret))
    return rows[0]["session_id"] if rows else None


async def token(store: Store, secret: str) -> Principal | None:
    """Who holds the API token with this secret, or None."""
    rows = await store.door("token", ids.fingerprint(secret))
    if not rows:
        return None
    row = rows[0]
    return Principal(row["tenant_id"], "token", row["token_id"], frozenset(row["scopes"]), row["name"])


async def logout(store: Store, secret: str) -> None:
    """End the session with this secret; its open streams are cut."""
    principal = await session(store, secret)
    if principal is None:
        return
    async with store.as_tenant(principal) as tx:
        mine = tables.sessions.c.secret_sha256 == ids.fingerprint(secret)
        ended = await tx.scalar(select(tables.sessions.c.id).where(mine))
        await tx.execute(delete(tables.sessions).where(mine))
        await tx.notify(f"session:{ended}")
        tx.audit("session.end", "user", principal.id)


async def found(owner: Store, *, key: str, name: str, email: str, user_name: str, password: str) -> tuple[UUID, UUID]:
    """Create a tenant with its first owner, through the owner's own door; returns (tenant id, user id).

    An e-mail address that is already known keeps its password.
    """
    tenant_id = ids.uuid7()
    hashed = await hash_password(password)
    rows = await owner.door("found", tenant_id, key, name, ids.uuid7(), email, user_name, hashed)
    return tenant_id, rows[0]["found"]


async def _is_right(password_hash: str | None, password: str) -> bool:
    async with _hashing:
        try:
            right = await asyncio.to_thread(_hasher.verify, password_hash or _NOBODY, password)
        except (VerificationError, InvalidHashError):
            return False
    return right and password_hash is not None


async def _note_failure(store: Store, rows: Sequence[Mapping[str, Any]], address: str) -> None:
    """Tell the tenants of somebody who exists that signing in as them has failed."""
    for row in rows:
        who = Principal(row["tenant_id"], "user", row["user_id"], frozenset(), row["user_name"], address)
        async with store.as_tenant(who) as tx:
            tx.deeds.append(Deed("session.open", "user", str(row["user_id"]), None, None, "denied", "BAD_CREDENTIALS"))


async def _open(store: Store, user: User, membership: Membership, address: str) -> LoggedIn:
    secret = ids.token("tgs")
    session_id, expires_at = ids.uuid7(), datetime.now(UTC) + SESSION_LIFE
    principal = Principal(membership.tenant_id, "user", user.id, SCOPES[membership.role], user.email, address)
    async with store.as_tenant(principal) as tx:
        tx.audit("session.open", "user", user.id)
        await tx.execute(
            insert(tables.sessions).values(
                tenant_id=membership.tenant_id,
                id=session_id,
                user_id=user.id,
                secret_sha256=ids.fingerprint(secret),
                created_at=tx.now,
                expires_at=expires_at,
            )
        )
    return LoggedIn(secret, session_id, user, membership, expires_at)
