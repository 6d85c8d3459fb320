"""Roles that a tenant makes for itself, and which roles somebody may give to others."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import delete as remove
from sqlalchemy import func, insert, select
from sqlalchemy import update as change
from sqlalchemy.sql import ColumnElement

from engine import ids
from engine.store.tx import Tx
from engine.tenancy import ALL_SCOPES, Role, scopes_of
from engine.tenants import errors
from engine.tenants.model import CustomRole
from engine.tenants.tables import invitations, memberships, roles, sessions

COLUMNS = ("id", "name", "scopes", "version", "created_at", "updated_at")


async def listed(tx: Tx) -> list[CustomRole]:
    """The tenant's own roles, by name."""
    query = select(roles).where(roles.c.tenant_id == tx.principal.tenant_id).order_by(roles.c.name, roles.c.id)
    return [of(dict(row)) for row in await tx.rows(query)]


async def create(tx: Tx, *, name: str, scopes: Collection[str]) -> CustomRole:
    """A new role. Raises RoleMalformed, RoleNameTaken, ScopesUnknown, and RoleTooWide beyond one's own rights."""
    clean, wanted = _checked_name(name), _checked_scopes(tx, scopes)
    await _refuse_taken(tx, clean, None)
    row = await tx.one(
        insert(roles)
        .values(
            tenant_id=tx.principal.tenant_id,
            id=ids.uuid7(),
            version=1,
            created_at=tx.now,
            updated_at=tx.now,
            name=clean,
            scopes=wanted,
        )
        .returning(roles)
    )
    assert row is not None
    role = of(dict(row))
    tx.audit("role.create", "role", role.id, after=role)
    return role


async def update(
    tx: Tx,
    role_id: UUID,
    *,
    name: str | None = None,
    scopes: Collection[str] | None = None,
    expected_version: int | None = None,
) -> CustomRole:
    """Change a role for everybody who has it; their sessions are cut, to come back with their new rights.

    Raises RoleNotFound, RoleStale, RoleTooWide (neither what it was nor what it becomes may exceed one's own rights),
    RoleMalformed, RoleNameTaken, ScopesUnknown.
    """
    before = await _locked(tx, role_id)
    if expected_version not in (None, before.version):
        raise errors.RoleStale
    values: dict[str, Any] = {"version": before.version + 1, "updated_at": tx.now}
    if name is not None:
        values["name"] = _checked_name(name)
        await _refuse_taken(tx, values["name"], role_id)
    if scopes is not None:
        values["scopes"] = _checked_scopes(tx, scopes)
    row = await tx.one(change(roles).where(_the(tx, role_id)).values(values).returning(roles))
    assert row is not None
    after = of(dict(row))
    await _tell_sessions(tx, role_id)
    tx.audit("role.change", "role", role_id, before=before, after=after)
    return after


async def delete(tx: Tx, role_id: UUID) -> CustomRole:
    """Remove a role that nobody has. Raises RoleNotFound, RoleTooWide, RoleInUse."""
    role = await _locked(tx, role_id)
    has_it = select(memberships.c.user_id).where(
        memberships.c.tenant_id == tx.principal.tenant_id, memberships.c.role_id == role_id
    )
    is_open = invitations.c.accepted_at.is_(None) & invitations.c.withdrawn_at.is_(None)
    is_invited = select(invitations.c.id).where(
        invitations.c.tenant_id == tx.principal.tenant_id,
        invitations.c.role_id == role_id,
        is_open,
        invitations.c.expires_at > tx.now,
    )
    if await tx.scalar(has_it.limit(1)) or await tx.scalar(is_invited.limit(1)):
        raise errors.RoleInUse
    await tx.execute(remove(roles).where(_the(tx, role_id)))
    tx.audit("role.delete", "role", role_id, before=role)
    return role


async def get(tx: Tx, role_id: UUID) -> CustomRole:
    """One of the tenant's own roles; raises RoleNotFound."""
    row = await tx.one(select(roles).where(_the(tx, role_id)))
    if row is None:
        raise errors.RoleNotFound
    return of(dict(row))


async def grantable(tx: Tx, role: Role, role_id: UUID | None) -> CustomRole | None:
    """The tenant's own role that is meant (None: one of the platform's), if whoever acts may give it to somebody.

    Raises RoleUnclear, RoleNotFound, and RoleTooWide when it has rights that whoever acts does not have.
    """
    if (role is Role.CUSTOM) != (role_id is not None):
        raise errors.RoleUnclear
    if (role is Role.PLATFORM) != tx.principal.may("platform:read"):  # nobody is anything else in the platform's tenant
        raise errors.RoleTooWide
    custom = None
    if role_id is not None:  # held until COMMIT, so that it cannot be removed meanwhile
        row = await tx.one(select(roles).where(_the(tx, role_id)).with_for_update(read=True))
        if row is None:
            raise errors.RoleNotFound
        custom = of(dict(row))
    if not scopes_of(role, custom.scopes if custom else None) <= tx.principal.scopes:
        raise errors.RoleTooWide
    return custom


def of(row: Mapping[str, Any]) -> CustomRole:
    """The role in a row of its table."""
    return CustomRole(
        row["id"], row["name"], frozenset(row["scopes"]), row["version"], row["created_at"], row["updated_at"]
    )


def _the(tx: Tx, role_id: UUID) -> ColumnElement[bool]:
    return (roles.c.tenant_id == tx.principal.tenant_id) & (roles.c.id == role_id)


async def _locked(tx: Tx, role_id: UUID) -> CustomRole:
    row = await tx.one(select(roles).where(_the(tx, role_id)).with_for_update())
    if row is None:
        raise errors.RoleNotFound
    role = of(dict(row))
    if not role.scopes <= tx.principal.scopes:
        raise errors.RoleTooWide
    return role


def _checked_name(name: str) -> str:
    clean = name.strip()
    if not 1 <= len(clean) <= 60 or not clean.isprintable():
        raise errors.RoleMalformed
    return clean


def _checked_scopes(tx: Tx, scopes: Collection[str]) -> list[str]:
    wanted = frozenset(scopes)
    if not wanted or not wanted <= ALL_SCOPES:
        raise errors.ScopesUnknown(f"Rights are: {', '.join(sorted(ALL_SCOPES))}.")
    if not wanted <= tx.principal.scopes:
        raise errors.RoleTooWide
    return sorted(wanted)


async def _refuse_taken(tx: Tx, name: str, but: UUID | None) -> None:
    """One at a time in each tenant until COMMIT, so that two cannot take the same name at the same moment."""
    await tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"roles|{tx.principal.tenant_id}", 0))))
    query = select(roles.c.id).where(roles.c.tenant_id == tx.principal.tenant_id, roles.c.name == name)
    if (found := await tx.scalar(query)) is not None and found != but:
        raise errors.RoleNameTaken


async def _tell_sessions(tx: Tx, role_id: UUID) -> None:
    theirs = (memberships.c.tenant_id == sessions.c.tenant_id) & (memberships.c.user_id == sessions.c.user_id)
    query = (
        select(sessions.c.id)
        .join_from(sessions, memberships, theirs)
        .where(sessions.c.tenant_id == tx.principal.tenant_id, memberships.c.role_id == role_id)
    )
    for row in await tx.rows(query):
        await tx.notify(f"session:{row['id']}")
