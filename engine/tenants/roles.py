"""Roles that a tenant makes for itself, and which roles somebody may give to others."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import select

from engine.store.tx import Tx
from engine.tenancy import Role, scopes_of
from engine.tenants import errors
from engine.tenants.model import CustomRole
from engine.tenants.tables import roles

COLUMNS = ("id", "name", "scopes", "version", "created_at", "updated_at")


async def get(tx: Tx, role_id: UUID) -> CustomRole:
    """One of the tenant's own roles; raises RoleNotFound."""
    row = await tx.one(select(roles).where(roles.c.tenant_id == tx.principal.tenant_id, roles.c.id == role_id))
    if row is None:
        raise errors.RoleNotFound
    return of(dict(row))


async def grantable(tx: Tx, role: Role, role_id: UUID | None) -> CustomRole | None:
    """The tenant's own role that is meant (None: one of the platform's), if whoever acts may give it to somebody.

    Raises RoleUnclear, RoleNotFound, and RoleTooWide when it has rights that whoever acts does not have.
    """
    if (role is Role.CUSTOM) != (role_id is not None):
        raise errors.RoleUnclear
    custom = await get(tx, role_id) if role_id is not None else None
    if not scopes_of(role, custom.scopes if custom else None) <= tx.principal.scopes:
        raise errors.RoleTooWide
    return custom


def of(row: Mapping[str, Any]) -> CustomRole:
    """The role in a row of its table."""
    return CustomRole(
        row["id"], row["name"], frozenset(row["scopes"]), row["version"], row["created_at"], row["updated_at"]
    )
