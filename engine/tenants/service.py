"""A tenant's own affairs: what it is called, whose clock it goes by, and which programs may act for it."""

import asyncio
from collections.abc import Collection
from datetime import datetime, timedelta
from functools import cache
from uuid import UUID
from zoneinfo import available_timezones

from sqlalchemy import and_, func, insert, or_, select, update
from sqlalchemy.engine import RowMapping

from engine import ids
from engine.store.tx import Tx
from engine.tenancy import ALL_SCOPES, WITHIN_GROUPS
from engine.tenants import errors, limits, tables
from engine.tenants.events import TimeZoneSet
from engine.tenants.model import ApiToken, Tenant

USE_NOTED_EVERY = timedelta(minutes=1)

tenants, api_tokens = tables.tenants, tables.api_tokens


async def current(tx: Tx) -> Tenant:
    """The tenant this transaction acts for."""
    row = await tx.one(select(tenants).where(tenants.c.id == tx.principal.tenant_id))
    assert row is not None, "a principal's tenant exists"
    return _tenant(row)


async def set_time_zone(tx: Tx, name: str) -> Tenant:
    """Let times of day go by another clock where neither a rule nor a device names one. Raises TimeZoneUnknown."""
    if name not in await asyncio.to_thread(_zones):
        raise errors.TimeZoneUnknown
    before = await current(tx)
    if before.time_zone == name:
        return before
    query = update(tenants).where(tenants.c.id == tx.principal.tenant_id).values(time_zone=name)
    row = await tx.one(
        query.returning(tenants.c.id, tenants.c.key, tenants.c.name, tenants.c.created_at, tenants.c.time_zone)
    )
    assert row is not None, "a principal's tenant exists"
    tx.emit(TimeZoneSet(name))
    tx.audit(
        "tenant.set_time_zone", "tenant", before.id, before={"time_zone": before.time_zone}, after={"time_zone": name}
    )
    return _tenant(row)


@cache
def _zones() -> frozenset[str]:
    """What is a clock of the world's: not that of whatever machine this runs on, nor that of one nobody has set up.

    To find them all, some hundred files are looked at.
    """
    return frozenset(available_timezones() - {"localtime", "Factory"})


async def tokens(tx: Tx) -> list[ApiToken]:
    """The tenant's API tokens, newest first, revoked ones included."""
    query = select(api_tokens).where(api_tokens.c.tenant_id == tx.principal.tenant_id)
    return [_token(row) for row in await tx.rows(query.order_by(api_tokens.c.id.desc()).limit(500))]


async def issue_token(
    tx: Tx,
    *,
    name: str,
    scopes: Collection[str],
    expires_at: datetime | None = None,
    groups: Collection[UUID] | None = None,
) -> tuple[ApiToken, str]:
    """A new API token and its secret, which is not kept; ``groups``: the only groups whose devices it sees.

    Raises TokenMalformed, ScopesUnknown, ScopesTooWide when it would hold more than whoever asks or, limited to groups,
    a right that is about the whole tenant, and what ``limits.grantable`` raises.
    """
    clean = name.strip()
    if not 1 <= len(clean) <= 120 or "\0" in clean or (expires_at is not None and expires_at <= tx.now):
        raise errors.TokenMalformed
    wanted = frozenset(scopes)
    if not wanted or not wanted <= ALL_SCOPES:
        raise errors.ScopesUnknown(f"Rights are: {', '.join(sorted(ALL_SCOPES))}.")
    if not wanted <= tx.principal.scopes:
        raise errors.ScopesTooWide
    limit = await limits.grantable(tx, groups)
    if limit is not None and not wanted <= WITHIN_GROUPS:
        about_all = ", ".join(sorted(wanted - WITHIN_GROUPS))
        raise errors.ScopesTooWide(f"A token that sees some groups only cannot have rights about all: {about_all}.")
    secret = ids.token("tg")
    row = await tx.one(
        insert(api_tokens)
        .values(
            tenant_id=tx.principal.tenant_id,
            id=ids.uuid7(),
            name=clean,
            prefix=secret[:8],
            secret_sha256=ids.fingerprint(secret),
            scopes=sorted(wanted),
            groups=limits.stored(limit),
            created_by=tx.principal.name or tx.principal.kind,
            created_at=tx.now,
            expires_at=expires_at,
        )
        .returning(api_tokens)
    )
    assert row is not None
    token = _token(row)
    tx.audit("token.issue", "token", token.id, after=token)
    return token, secret


async def note_use(tx: Tx) -> None:
    """Remember that the API token that acts here was used; written at most once a minute."""
    mine = and_(api_tokens.c.tenant_id == tx.principal.tenant_id, api_tokens.c.id == tx.principal.id)
    stale = or_(api_tokens.c.last_used_at.is_(None), api_tokens.c.last_used_at < tx.now - USE_NOTED_EVERY)
    await tx.execute(update(api_tokens).where(mine, stale).values(last_used_at=tx.now))


async def revoke_token(tx: Tx, token_id: UUID) -> ApiToken:
    """Make an API token worthless; its open streams are cut. Raises TokenNotFound."""
    row = await tx.one(
        update(api_tokens)
        .where(api_tokens.c.tenant_id == tx.principal.tenant_id, api_tokens.c.id == token_id)
        .values(revoked_at=func.coalesce(api_tokens.c.revoked_at, tx.now))
        .returning(api_tokens)
    )
    if row is None:
        raise errors.TokenNotFound
    await tx.notify(f"token:{token_id}")
    token = _token(row)
    tx.audit("token.revoke", "token", token_id, after=token)
    return token


def _tenant(row: RowMapping) -> Tenant:
    return Tenant(row["id"], row["key"], row["name"], row["created_at"], row["time_zone"])


def _token(row: RowMapping) -> ApiToken:
    return ApiToken(
        id=row["id"],
        name=row["name"],
        prefix=row["prefix"],
        scopes=frozenset(row["scopes"]),
        created_by=row["created_by"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        last_used_at=row["last_used_at"],
        revoked_at=row["revoked_at"],
        groups=limits.of(row["groups"]),
    )
