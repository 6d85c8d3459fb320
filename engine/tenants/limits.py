"""Grants limited to groups of devices: what may be given, and by whom (ADR 30).

None means all devices. What a limit does is the database's: the policies ``limits`` and ``Principal.groups``.
"""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import text

from engine.store.tx import Tx
from engine.tenancy import Role
from engine.tenants import errors
from engine.tenants.model import MAX_GROUPS

# groups belong to a package above this one; that they are there is all that is needed
_GROUPS = text("SELECT id FROM device_groups WHERE tenant_id = :tenant AND id = ANY (CAST(:ids AS uuid[]))")


def of(groups: Collection[UUID] | None) -> frozenset[UUID] | None:
    """A limit as it lies in the database."""
    return None if groups is None else frozenset(groups)


def stored(groups: frozenset[UUID] | None) -> list[UUID] | None:
    """A limit as it is put into the database."""
    return None if groups is None else sorted(groups)


def said(groups: frozenset[UUID] | None) -> dict[str, object]:
    """A limit as the audit log tells it: nothing where there is none."""
    return {} if groups is None else {"groups": sorted(map(str, groups))}


async def grantable(tx: Tx, groups: Collection[UUID] | None, *, role: Role | None = None) -> frozenset[UUID] | None:
    """The limit that is meant, if whoever acts may give it to somebody who becomes ``role`` (None: to a token).

    Raises GroupsUnclear (none, too many, or an owner: owners see everything), GroupsUnknown, and LimitTooWide: nobody
    gives others a wider view than they have.
    """
    wanted = of(groups)
    if tx.principal.groups is not None and (wanted is None or not wanted <= tx.principal.groups):
        raise errors.LimitTooWide
    if wanted is None:
        return None
    if not 1 <= len(wanted) <= MAX_GROUPS or role in (Role.OWNER, Role.PLATFORM):
        raise errors.GroupsUnclear
    found = await tx.rows(_GROUPS, {"tenant": tx.principal.tenant_id, "ids": sorted(wanted)})
    if len(found) != len(wanted):
        raise errors.GroupsUnknown
    return wanted
