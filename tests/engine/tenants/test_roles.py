"""Roles of a tenant's own: never more than their author, and felt at once by those who have them."""

import asyncio

import pytest

from engine.store.pool import Store
from engine.tenancy import Role
from engine.tenants import doorway, errors, invitations, members, roles
from engine.tenants.model import CustomRole
from tests.support.people import colleague
from tests.support.tenant import Tenant


async def _role(tenant: Tenant, name: str = "Night shift", *scopes: str) -> CustomRole:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        return await roles.create(tx, name=name, scopes=scopes or ("devices:read", "alerts:write"))


async def test_who_has_a_role_may_do_what_it_says_and_no_more(tenant: Tenant, store: Store) -> None:
    role, somebody = await _role(tenant), await colleague(tenant, Role.VIEWER)
    async with store.as_tenant(tenant.principal()) as tx:
        await members.change_role(tx, somebody.id, Role.CUSTOM, role.id)
        assert (await members.get(tx, somebody.id)).custom == role
    session = await somebody.sign_in()
    assert (session.membership.role_name, session.membership.scopes) == ("Night shift", role.scopes)
    principal = await doorway.session(store, session.secret)
    assert principal is not None
    assert principal.scopes == {"devices:read", "alerts:write"}
    async with store.as_tenant(tenant.principal()) as tx:
        await roles.update(tx, role.id, scopes=["devices:read"], expected_version=1)
    again = await doorway.session(store, session.secret)
    assert again is not None
    assert again.scopes == {"devices:read"}


async def test_nobody_makes_changes_removes_or_gives_a_role_beyond_their_own_rights(
    tenant: Tenant, store: Store
) -> None:
    admin = await colleague(tenant, Role.ADMIN)
    mighty, small = await _role(tenant, "Mighty", "tenant:write"), await _role(tenant, "Small", "devices:read")
    for deed in (
        lambda tx: roles.create(tx, name="Mine", scopes=["tenant:write"]),
        lambda tx: roles.update(tx, small.id, scopes=["tenant:write", "devices:read"]),
        lambda tx: roles.update(tx, mighty.id, scopes=["devices:read"]),
        lambda tx: roles.delete(tx, mighty.id),
        lambda tx: members.change_role(tx, admin.id, Role.CUSTOM, mighty.id),
        lambda tx: invitations.invite(tx, email="a@b.example", role=Role.CUSTOM, role_id=mighty.id),
    ):
        with pytest.raises(errors.RoleTooWide):
            async with store.as_tenant(admin.principal) as tx:
                await deed(tx)


async def test_what_makes_no_role_is_refused(tenant: Tenant, neighbour: Tenant, store: Store) -> None:
    role, theirs = await _role(tenant), await _role(neighbour, "Theirs")
    other = await _role(tenant, "Other")
    for deed, refusal in (
        (lambda tx: roles.create(tx, name=" ", scopes=["devices:read"]), errors.RoleMalformed),
        (lambda tx: roles.create(tx, name="x", scopes=[]), errors.ScopesUnknown),
        (lambda tx: roles.create(tx, name="x", scopes=["all:things"]), errors.ScopesUnknown),
        (lambda tx: roles.create(tx, name=role.name, scopes=["devices:read"]), errors.RoleNameTaken),
        (lambda tx: roles.update(tx, other.id, name=role.name), errors.RoleNameTaken),
        (lambda tx: roles.update(tx, role.id, name="y", expected_version=7), errors.RoleStale),
        (lambda tx: roles.update(tx, theirs.id, name="y"), errors.RoleNotFound),
        (lambda tx: roles.delete(tx, theirs.id), errors.RoleNotFound),
        (lambda tx: members.change_role(tx, tenant.user_id, Role.CUSTOM, theirs.id), errors.RoleNotFound),
    ):
        with pytest.raises(refusal):
            async with store.as_tenant(tenant.principal()) as tx:
                await deed(tx)
    async with store.as_tenant(tenant.principal()) as tx:
        assert await roles.listed(tx) == [role, other]
        assert (await roles.update(tx, role.id, name=role.name)).version == 2


async def test_two_who_take_one_name_at_the_same_moment_get_one_role(tenant: Tenant, store: Store) -> None:
    ends = await asyncio.gather(*(_role(tenant, "Same") for _ in range(3)), return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == ["CustomRole", "RoleNameTaken", "RoleNameTaken"]


async def test_a_role_that_somebody_has_or_is_invited_to_stays(tenant: Tenant, store: Store) -> None:
    role, somebody = await _role(tenant), await colleague(tenant, Role.VIEWER)
    async with store.as_tenant(tenant.principal()) as tx:
        await members.change_role(tx, somebody.id, Role.CUSTOM, role.id)
    with pytest.raises(errors.RoleInUse):
        async with store.as_tenant(tenant.principal()) as tx:
            await roles.delete(tx, role.id)
    async with store.as_tenant(tenant.principal()) as tx:
        await members.change_role(tx, somebody.id, Role.VIEWER)
        invitation, secret = await invitations.invite(tx, email="a@b.example", role=Role.CUSTOM, role_id=role.id)
    with pytest.raises(errors.RoleInUse):
        async with store.as_tenant(tenant.principal()) as tx:
            await roles.delete(tx, role.id)
    async with store.as_tenant(tenant.principal()) as tx:
        await invitations.withdraw(tx, invitation.id)
        await roles.delete(tx, role.id)
        assert await roles.listed(tx) == []
    with pytest.raises(errors.InvitationOver):
        await invitations.look(store, secret)


async def test_who_is_invited_to_a_role_joins_with_its_rights(tenant: Tenant, neighbour: Tenant, store: Store) -> None:
    role = await _role(tenant)
    async with store.as_tenant(tenant.principal()) as tx:
        _, secret = await invitations.invite(tx, email=neighbour.email, role=Role.CUSTOM, role_id=role.id)
    joined = await invitations.accept(store, secret, password=neighbour.password)
    assert joined.membership.scopes == role.scopes
