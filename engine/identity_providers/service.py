"""The identity providers of a tenant: registering, changing and removing them. Only who has every right may."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.sql import ColumnElement

from engine import ids
from engine.identity_providers import errors
from engine.identity_providers.model import MAX_PROVIDERS, Provider, checked_domains
from engine.identity_providers.tables import identity_providers
from engine.store.tx import Tx
from engine.tenancy import ALL_SCOPES, Role
from engine.tenants import limits, roles
from engine.tenants.errors import GroupsUnclear, RoleTooWide
from engine.tenants.second_factor import Vault
from engine.tenants.tables import sessions

providers = identity_providers


async def listed(tx: Tx) -> list[Provider]:
    """The tenant's identity providers by name."""
    query = select(providers).where(_of(tx)).order_by(providers.c.name, providers.c.id)
    return [_provider(row) for row in await tx.rows(query)]


async def get(tx: Tx, provider_id: UUID) -> Provider:
    """One identity provider; raises ProviderNotFound."""
    row = await tx.one(select(providers).where(_the(tx, provider_id)))
    if row is None:
        raise errors.ProviderNotFound
    return _provider(row)


async def register(
    tx: Tx,
    vault: Vault,
    *,
    name: str,
    issuer: str,
    client_id: str,
    client_secret: str,
    domains: Sequence[str] = (),
    role: Role | None = None,
    role_id: UUID | None = None,
    groups: Collection[UUID] | None = None,
) -> Provider:
    """Let a provider vouch for people in this tenant; its secret is sealed.

    ``issuer`` is taken as it is: that it is to be reached and fit is the caller's to have asked. ``groups``: the only
    groups whose devices somebody new sees. Raises RoleTooWide, ProviderMalformed, ProviderTaken, TooManyProviders,
    VaultSealed and what ``roles.grantable`` and ``limits.grantable`` raise.
    """
    _refuse_lesser(tx)
    await tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"idp|{tx.principal.tenant_id}", 0))))
    present = await listed(tx)
    if len(present) >= MAX_PROVIDERS:
        raise errors.TooManyProviders
    provider_id = ids.uuid7()
    values: dict[str, Any] = {
        "id": provider_id,
        "tenant_id": tx.principal.tenant_id,
        "name": _name(name),
        "issuer": issuer,
        "client_id": _printed(client_id),
        "client_secret": await vault.seal(
            _printed(client_secret).encode(), purpose(tx.principal.tenant_id, provider_id)
        ),
        "domains": list(checked_domains(tuple(domains))),
        "is_enabled": True,
        "version": 1,
        "created_at": tx.now,
        "updated_at": tx.now,
        **await _newcomers(tx, role, role_id),
        "groups": await _limit(tx, role, groups),
    }
    _refuse_everybody(values["role"], values["domains"])
    if any((each.issuer, each.client_id) == (issuer, values["client_id"]) for each in present):
        raise errors.ProviderTaken
    return await _saved(tx, insert(providers).values(values).returning(providers), "identity_provider.register")


async def change(
    tx: Tx,
    vault: Vault,
    provider_id: UUID,
    *,
    name: str | None = None,
    client_secret: str | None = None,
    domains: Sequence[str] | None = None,
    is_enabled: bool | None = None,
    newcomers: tuple[Role | None, UUID | None] | None = None,
    groups: Collection[UUID] | None = None,
    all_devices: bool = False,
    expected_version: int | None = None,
) -> Provider:
    """Change what is given; ``newcomers``: the role that somebody new gets (None: invited people only).

    ``groups`` limits people who are new from now on to the devices of these groups, ``all_devices`` lifts that limit.
    Switched off, it opens no session more, and those it opened end. Raises ProviderNotFound, ProviderStale,
    RoleTooWide, ProviderMalformed, VaultSealed and what ``roles.grantable`` and ``limits.grantable`` raise.
    """
    _refuse_lesser(tx)
    row = await tx.one(select(providers).where(_the(tx, provider_id)).with_for_update())
    if row is None:
        raise errors.ProviderNotFound
    before = _provider(row)
    if expected_version not in (None, before.version):
        raise errors.ProviderStale
    values: dict[str, Any] = {"version": before.version + 1, "updated_at": tx.now}
    if name is not None:
        values["name"] = _name(name)
    if client_secret is not None:
        sealed = await vault.seal(_printed(client_secret).encode(), purpose(tx.principal.tenant_id, provider_id))
        values["client_secret"] = sealed
    if domains is not None:
        values["domains"] = list(checked_domains(tuple(domains)))
    if newcomers is not None:
        values |= await _newcomers(tx, *newcomers)
    if groups is not None and all_devices:
        raise GroupsUnclear
    role = values.get("role", before.role)
    if groups is not None or all_devices or role is None:
        values["groups"] = await _limit(tx, role, groups)
    if is_enabled is not None:
        values["is_enabled"] = is_enabled
    _refuse_everybody(values.get("role", before.role), values.get("domains", before.domains))
    if is_enabled is False:
        await _end_sessions(tx, provider_id)
    statement = update(providers).where(_the(tx, provider_id)).values(values).returning(providers)
    return await _saved(tx, statement, "identity_provider.change", before)


async def remove(tx: Tx, provider_id: UUID) -> Provider:
    """Forget a provider; sessions it opened end at once. People it brought stay members, but cannot sign in by it.

    Raises ProviderNotFound, RoleTooWide.
    """
    _refuse_lesser(tx)
    provider = await get(tx, provider_id)
    await _end_sessions(tx, provider_id)
    await tx.execute(delete(providers).where(_the(tx, provider_id)))
    tx.audit("identity_provider.remove", "identity_provider", provider_id, before=provider.shown())
    return provider


def purpose(tenant_id: UUID, provider_id: UUID) -> bytes:
    """What a client secret is sealed for: it opens for no other tenant's row."""
    return b"identity provider 1" + tenant_id.bytes + provider_id.bytes


def _refuse_lesser(tx: Tx) -> None:
    """Who decides who vouches for people decides who everybody is, the owners too: so they have every right."""
    if not tx.principal.scopes >= ALL_SCOPES:
        raise RoleTooWide("Only who has every right in the tenant, as its owners do, decides who vouches for people.")


def _refuse_everybody(role: object, domains: object) -> None:
    """Without domains, whoever has an account with the provider would come in, and some have everybody."""
    if role is not None and not domains:
        raise errors.ProviderMalformed("Where somebody new gets a role, say of which e-mail domains they are.")


async def _newcomers(tx: Tx, role: Role | None, role_id: UUID | None) -> dict[str, object]:
    if role is Role.OWNER:
        raise errors.ProviderMalformed("Nobody becomes an owner by signing in: invite them, or change their role.")
    if role is not None or role_id is not None:
        await roles.grantable(tx, role or Role.VIEWER, role_id)
    return {"role": role, "role_id": role_id}


async def _limit(tx: Tx, role: Role | None, groups: Collection[UUID] | None) -> list[UUID] | None:
    if groups is not None and role is None:
        raise errors.ProviderMalformed("Only who comes uninvited can be limited to groups here: say what they become.")
    return limits.stored(await limits.grantable(tx, groups, role=role))


async def _saved(tx: Tx, statement: Any, action: str, before: Provider | None = None) -> Provider:
    row = await tx.one(statement)
    assert row is not None
    provider = _provider(row)
    said = before.shown() if before else None
    tx.audit(action, "identity_provider", provider.id, before=said, after=provider.shown())
    return provider


async def _end_sessions(tx: Tx, provider_id: UUID) -> None:
    theirs = (sessions.c.tenant_id == tx.principal.tenant_id) & (sessions.c.provider_id == provider_id)
    for row in await tx.rows(delete(sessions).where(theirs).returning(sessions.c.id, sessions.c.user_id)):
        await tx.notify(f"session:{row['id']}")
        tx.audit("session.end", "user", row["user_id"], before={"session": row["id"]})


def _name(name: str) -> str:
    clean = name.strip()
    if not 1 <= len(clean) <= 60 or not clean.isprintable():
        raise errors.ProviderMalformed("A name has 1 to 60 characters.")
    return clean


def _printed(text: str) -> str:
    """A client's id or secret; RFC 6749, appendix A, has both in visible ASCII."""
    clean = text.strip()
    if not 1 <= len(clean) <= 400 or not clean.isascii() or not clean.isprintable():
        raise errors.ProviderMalformed("Client id and client secret have 1 to 400 printed ASCII characters.")
    return clean


def _of(tx: Tx) -> ColumnElement[bool]:
    return providers.c.tenant_id == tx.principal.tenant_id


def _the(tx: Tx, provider_id: UUID) -> ColumnElement[bool]:
    return _of(tx) & (providers.c.id == provider_id)


def _provider(row: RowMapping) -> Provider:
    return Provider(
        id=row["id"],
        name=row["name"],
        issuer=row["issuer"],
        client_id=row["client_id"],
        domains=tuple(row["domains"]),
        role=None if row["role"] is None else Role(row["role"]),
        role_id=row["role_id"],
        groups=limits.of(row["groups"]),
        is_enabled=row["is_enabled"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        client_secret=bytes(row["client_secret"]),
    )
