"""The people of a tenant: what each of them is there, changing that, and sending them away."""

from collections.abc import Collection
from dataclasses import replace
from uuid import UUID

from sqlalchemy import Select, delete, select, update
from sqlalchemy.engine import RowMapping

from engine.store.tx import Tx
from engine.tenancy import Role
from engine.tenants import errors, limits, roles
from engine.tenants.model import Member, User
from engine.tenants.tables import memberships, sessions, users
from engine.tenants.tables import roles as own


async def listed(tx: Tx) -> list[Member]:
    """The people of this tenant, by name."""
    return [_member(row) for row in await tx.rows(_people(tx).order_by(users.c.name, users.c.id))]


async def get(tx: Tx, user_id: UUID) -> Member:
    """One person of this tenant; raises MemberNotFound."""
    row = await tx.one(_people(tx).where(users.c.id == user_id))
    if row is None:
        raise errors.MemberNotFound
    return _member(row)


async def refuse_above(tx: Tx, user_id: UUID) -> Member:
    """The member, if they have no right that whoever acts does not have. Raises MemberNotFound, RoleTooWide."""
    member = await get(tx, user_id)
    if not member.scopes <= tx.principal.scopes:
        raise errors.RoleTooWide
    return member


async def change_role(
    tx: Tx,
    user_id: UUID,
    role: Role,
    role_id: UUID | None = None,
    *,
    groups: Collection[UUID] | None = None,
    all_devices: bool = False,
) -> Member:
    """Make a member something else here; their sessions are cut, to come back with their new rights.

    ``groups`` limits them to the devices of these groups, ``all_devices`` lifts their limit; with neither it stays as
    it is, but for whoever becomes an owner. Raises MemberNotFound, RoleTooWide (neither what they are nor what they
    become may exceed whoever acts), LastOwner, RoleNotFound, RoleUnclear, and what ``limits.grantable`` raises.
    """
    if groups is not None and all_devices:
        raise errors.GroupsUnclear
    owners = await _locked_owners(tx)
    before = await refuse_above(tx, user_id)
    custom = await roles.grantable(tx, role, role_id)
    limit = before.groups
    if groups is not None or all_devices or role is Role.OWNER:
        limit = await limits.grantable(tx, groups, role=role)
    if role is not Role.OWNER and owners == [user_id]:
        raise errors.LastOwner
    await tx.execute(
        update(memberships)
        .where(memberships.c.tenant_id == tx.principal.tenant_id, memberships.c.user_id == user_id)
        .values(role=role, role_id=custom.id if custom else None, groups=limits.stored(limit))
    )
    await _tell_sessions(tx, user_id)
    after = replace(before, role=role, custom=custom, groups=limit)
    tx.audit("member.change", "user", user_id, before=_said(before), after=_said(after))
    return after


async def remove(tx: Tx, user_id: UUID) -> Member:
    """Send a member away; their sessions here end at once, what they made stays.

    Raises MemberNotFound, RoleTooWide, LastOwner.
    """
    owners = await _locked_owners(tx)
    member = await refuse_above(tx, user_id)
    if owners == [user_id]:
        raise errors.LastOwner
    await _tell_sessions(tx, user_id)
    await tx.execute(
        delete(memberships).where(
            memberships.c.tenant_id == tx.principal.tenant_id, memberships.c.user_id == user_id
        )  # sessions go with it
    )
    tx.audit("member.remove", "user", user_id, before=_said(member))
    return member


async def _locked_owners(tx: Tx) -> list[UUID]:
    """Who owns the tenant; locked, so that two owners cannot send each other away at the same moment."""
    query = select(memberships.c.user_id).where(
        memberships.c.tenant_id == tx.principal.tenant_id, memberships.c.role == Role.OWNER
    )
    return [row["user_id"] for row in await tx.rows(query.order_by(memberships.c.user_id).with_for_update())]


async def _tell_sessions(tx: Tx, user_id: UUID) -> None:
    query = select(sessions.c.id).where(sessions.c.tenant_id == tx.principal.tenant_id, sessions.c.user_id == user_id)
    for row in await tx.rows(query):
        await tx.notify(f"session:{row['id']}")


def _people(tx: Tx) -> Select[tuple[object, ...]]:
    found: Select[tuple[object, ...]] = (
        select(
            users.c.id,
            users.c.email,
            users.c.name,
            users.c.totp_since.is_not(None).label("has_second_factor"),
            memberships.c.role,
            memberships.c.groups,
            memberships.c.created_at.label("since"),
            *(column.label(f"role_{column.name}") for column in own.c if column.name != "tenant_id"),
        )
        .join_from(memberships, users, users.c.id == memberships.c.user_id)
        .join(
            own,
            (own.c.tenant_id == memberships.c.tenant_id) & (own.c.id == memberships.c.role_id),
            isouter=True,
        )
        .where(memberships.c.tenant_id == tx.principal.tenant_id)
    )
    return found


def _member(row: RowMapping) -> Member:
    custom = None
    if row["role_id"] is not None:
        custom = roles.of({name: row[f"role_{name}"] for name in roles.COLUMNS})
    person = User(row["id"], row["email"], row["name"])
    return Member(person, Role(row["role"]), row["since"], custom, row["has_second_factor"], limits.of(row["groups"]))


def _said(member: Member) -> dict[str, object]:
    said: dict[str, object] = {"email": member.user.email, "role": member.role, **limits.said(member.groups)}
    if member.custom:
        said["custom"] = member.custom.name
    return said
