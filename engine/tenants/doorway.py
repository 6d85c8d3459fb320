"""Coming in: from an e-mail and password, a cookie or a token to a principal, before any tenant is known."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select

from engine import ids
from engine.store.audit import Deed
from engine.store.pool import Store
from engine.store.tx import Tx
from engine.tenancy import Principal, Role, scopes_of
from engine.tenants import errors, limits, second_factor, sessions, tables
from engine.tenants.model import LoggedIn, Membership, User
from engine.tenants.passwords import SignIn, hash_password, is_right
from engine.tenants.person import Person, acting, membership, myself
from engine.tenants.second_factor import Vault


async def login(
    store: Store,
    email: str,
    password: str,
    *,
    code: str = "",
    address: str = "",
    agent: str = "",
    tenant_key: str | None = None,
    vault: Vault | None = None,
) -> LoggedIn:
    """Open a session with an e-mail address and a password, and ``code`` from whoever has a second factor.

    The session belongs to ``tenant_key``, or to the tenant joined first that is not suspended. Raises BadCredentials
    whatever was wrong, TooManyTries after too many failures in a minute, SigningInBusy, SecondFactorNeeded (with a
    ``challenge`` for ``second_step``, where there is a ``vault``) and CodeWrong; TenantSuspended, once the password has
    proven right.
    """
    attempt = SignIn(email, address)
    attempt.check()
    rows = [] if "\0" in email else await store.door("login", email.strip())
    proven = await is_right(rows[0]["password_hash"] if rows else None, password)
    chosen = [row for row in rows if tenant_key in (None, row["tenant_key"])]
    if not proven or not chosen:
        attempt.failed()
        await _note_failure(store, rows, address)
        raise errors.BadCredentials
    row = await _open(store, chosen, address)
    person = Person.of(row, email)
    if person.has_second_factor and not code:
        challenge = {} if vault is None else {"challenge": await second_factor.challenge(vault, person, tenant_key)}
        raise errors.SecondFactorNeeded(**challenge)
    return await _come_in(store, row, person, code, vault, address, agent)


async def second_step(
    store: Store, challenge: str, code: str, *, vault: Vault, address: str = "", agent: str = ""
) -> LoggedIn:
    """Open the session whose password was proven when ``challenge`` was made.

    Raises CodeWrong, TooManyTries, TenantSuspended, and BadCredentials: the challenge is none, is older than five
    minutes, or the password has changed since.
    """
    meant = await second_factor.met(vault, challenge)
    rows = await store.door("login", meant.email) if meant else []
    chosen = [row for row in rows if meant and meant.is_for(row)]
    if meant is None or not chosen:
        raise errors.BadCredentials("That took too long; sign in again.")
    row = await _open(store, chosen, address)
    return await _come_in(store, row, Person.of(row, meant.email), code, vault, address, agent)


async def session(store: Store, secret: str) -> Principal | None:
    """Who holds the session with this secret, or None. That it was used is noted, at most once a minute.

    Raises TenantSuspended.
    """
    row = await _session(store, secret)
    if row is None:
        return None
    if row["is_suspended"]:
        raise errors.TenantSuspended
    principal = _holder(row)
    if row["role"] == Role.PLATFORM:
        principal = await _with_factor_or_without_rights(store, principal)
    seen = row["last_seen_at"]
    if seen is None or seen < datetime.now(UTC) - sessions.SEEN_NOTED_EVERY:
        async with store.as_tenant(principal) as tx:
            await sessions.note_seen(tx, row["session_id"])
    return principal


async def token(store: Store, secret: str) -> Principal | None:
    """Who holds the API token with this secret, or None. Raises TenantSuspended."""
    rows = await store.door("token", ids.fingerprint(secret))
    if not rows:
        return None
    row = rows[0]
    if row["is_suspended"]:
        raise errors.TenantSuspended
    scopes, groups = frozenset(row["scopes"]), limits.of(row["groups"])
    return Principal(row["tenant_id"], "token", row["token_id"], scopes, row["name"], groups=groups)


async def logout(store: Store, secret: str) -> None:
    """End the session with this secret, also while its tenant is suspended; its open streams are cut."""
    row = await _session(store, secret)
    if row is None:
        return
    async with store.as_tenant(_holder(row)) as tx:
        await sessions.leave(tx, row["session_id"])


async def switch(store: Store, secret: str, tenant_key: str, *, address: str = "", agent: str = "") -> LoggedIn:
    """Leave the session with this secret for one in another tenant of the same person's; it ends when this one would.

    Only for whoever came in by their password: a tenant's identity provider vouches for nobody elsewhere. Raises
    BadCredentials (there is no such session, or it has just ended), NotAMember and TenantSuspended; after these two the
    session stays as it is.
    """
    row = await _session(store, secret)
    if row is None:
        raise errors.BadCredentials("You are signed out; sign in again.")
    async with store.as_tenant(replace(_holder(row), address=address)) as tx:
        person, all_ = await acting(tx)
        here = next((each for each in all_ if each.tenant_key == tenant_key), None)
        if here is None or here.tenant_id == tx.principal.tenant_id or person.password_hash is None:
            raise errors.NotAMember
        if here.is_suspended:
            raise errors.TenantSuspended
        until = await sessions.leave(tx, row["session_id"])
    if until is None:
        raise errors.BadCredentials("You are signed out; sign in again.")
    async with store.as_tenant(principal_of(person, here, address)) as tx:
        if (await myself(tx))[0].password_hash != person.password_hash:
            raise errors.BadCredentials("Your password has just changed; sign in again.")
        return await enter(tx, person, here, agent, until=until)


async def found(owner: Store, *, key: str, name: str, email: str, user_name: str, password: str) -> tuple[UUID, UUID]:
    """Create a tenant with its first owner, as the database's owner; returns (tenant id, user id).

    An e-mail address that is already known keeps its password.
    """
    tenant_id = ids.uuid7()
    hashed = await hash_password(password)
    rows = await owner.door("found", tenant_id, key, name, ids.uuid7(), email, user_name, hashed)
    return tenant_id, rows[0]["found"]


def principal_of(person: Person, here: Membership, address: str) -> Principal:
    """``person`` acting in one of their tenants."""
    return Principal(here.tenant_id, "user", person.id, here.scopes, person.email, address, groups=here.groups)


async def enter(
    tx: Tx,
    person: Person,
    here: Membership,
    agent: str,
    *,
    provider_id: UUID | None = None,
    until: datetime | None = None,
) -> LoggedIn:
    """Open a session for somebody who has proven who they are, or whom a provider vouches for; ``tx`` acts as them."""
    begun = await sessions.begin(tx, user_id=person.id, agent=agent, provider_id=provider_id, until=until)
    session_id, secret, expires_at = begun
    return LoggedIn(secret, session_id, User(person.id, person.email, person.name), here, expires_at)


async def _session(store: Store, secret: str) -> Mapping[str, Any] | None:
    rows = await store.door("session", ids.fingerprint(secret))
    return rows[0] if rows else None


def _holder(row: Mapping[str, Any]) -> Principal:
    scopes, groups = scopes_of(Role(row["role"]), row["scopes"]), limits.of(row["groups"])
    id_, name = row["user_id"], row["email"]
    return Principal(row["tenant_id"], "user", id_, scopes, name, session_id=row["session_id"], groups=groups)


async def _with_factor_or_without_rights(store: Store, operator: Principal) -> Principal:
    """An operator as they are, or without any right as long as they have no second factor (ADR 0021)."""
    async with store.as_tenant(operator, read_only=True) as tx:
        since = await tx.scalar(select(tables.users.c.totp_since).where(tables.users.c.id == operator.id))
    return operator if since is not None else replace(operator, lacks_factor=True)


async def _open(store: Store, chosen: Sequence[Mapping[str, Any]], address: str) -> Mapping[str, Any]:
    """The first of these memberships whose tenant is not suspended. Raises TenantSuspended, and notes it."""
    for row in chosen:
        if not row["is_suspended"]:
            return row
    await _note_failure(store, chosen, address, errors.TenantSuspended.code)
    raise errors.TenantSuspended


async def _come_in(
    store: Store, row: Mapping[str, Any], person: Person, code: str, vault: Vault | None, address: str, agent: str
) -> LoggedIn:
    here = membership(row)
    try:
        async with store.as_tenant(principal_of(person, here, address)) as tx:
            await second_factor.prove(tx, vault, person, code)
            return await enter(tx, person, here, agent)
    except errors.CodeWrong:
        await _note_failure(store, [row], address, "CODE_WRONG")
        raise


async def _note_failure(
    store: Store, rows: Sequence[Mapping[str, Any]], address: str, reason: str = "BAD_CREDENTIALS"
) -> None:
    """Tell the tenants of somebody who exists that signing in as them has failed."""
    for row in rows:
        who = Principal(row["tenant_id"], "user", row["user_id"], frozenset(), row["user_name"], address)
        async with store.as_tenant(who) as tx:
            tx.deeds.append(Deed("session.open", "user", str(row["user_id"]), None, None, "denied", reason))
