"""The people of a tenant: who may change whom, and that there is always an owner."""

import asyncio

import pytest

from engine.audit import service as audit
from engine.store.pool import Store
from engine.tenancy import Role
from engine.tenants import doorway, errors, members
from tests.support.people import colleague
from tests.support.tenant import Tenant


async def test_a_new_role_counts_from_the_next_look(tenant: Tenant, store: Store) -> None:
    viewer = await colleague(tenant, Role.VIEWER)
    secret = (await viewer.sign_in()).secret
    async with store.as_tenant(tenant.principal()) as tx:
        changed = await members.change_role(tx, viewer.id, Role.OPERATOR)
        assert (await members.get(tx, viewer.id)).role is Role.OPERATOR
    assert changed.scopes == (await doorway.session(store, secret)).scopes  # type: ignore[union-attr]


async def test_who_is_removed_has_no_session_here_but_keeps_those_elsewhere(tenant: Tenant, store: Store) -> None:
    operator = await colleague(tenant, Role.OPERATOR)
    here, home = await operator.sign_in(), await doorway.login(store, operator.home.email, operator.home.password)
    async with store.as_tenant(tenant.principal()) as tx:
        await members.remove(tx, operator.id)
    assert await doorway.session(store, here.secret) is None
    assert await doorway.session(store, home.secret) is not None
    with pytest.raises(errors.BadCredentials):
        await operator.sign_in()


async def test_nobody_gives_or_takes_rights_they_do_not_have(tenant: Tenant, store: Store) -> None:
    admin, viewer = await colleague(tenant, Role.ADMIN), await colleague(tenant, Role.VIEWER)
    deeds = (
        lambda tx: members.change_role(tx, viewer.id, Role.OWNER),
        lambda tx: members.change_role(tx, admin.id, Role.OWNER),
        lambda tx: members.change_role(tx, tenant.user_id, Role.VIEWER),
        lambda tx: members.remove(tx, tenant.user_id),
    )
    for deed in deeds:
        with pytest.raises(errors.RoleTooWide):
            async with store.as_tenant(admin.principal) as tx:
                await deed(tx)
    async with store.as_tenant(admin.principal) as tx:
        assert (await members.change_role(tx, viewer.id, Role.ADMIN)).role is Role.ADMIN


async def test_the_last_owner_stays_an_owner(tenant: Tenant, store: Store) -> None:
    for deed in (
        lambda tx: members.change_role(tx, tenant.user_id, Role.ADMIN),
        lambda tx: members.remove(tx, tenant.user_id),
    ):
        with pytest.raises(errors.LastOwner):
            async with store.as_tenant(tenant.principal()) as tx:
                await deed(tx)
    async with store.as_tenant(tenant.principal()) as tx:
        assert (await members.change_role(tx, tenant.user_id, Role.OWNER)).role is Role.OWNER


async def test_two_owners_who_send_each_other_away_leave_one(tenant: Tenant, store: Store) -> None:
    other = await colleague(tenant, Role.OWNER)

    async def remove(by: object, whom: object) -> None:
        async with store.as_tenant(by) as tx:  # type: ignore[arg-type]
            await members.remove(tx, whom)  # type: ignore[arg-type]

    ends = await asyncio.gather(
        remove(tenant.principal(), other.id), remove(other.principal, tenant.user_id), return_exceptions=True
    )
    assert sorted(type(end) for end in ends if end) == [errors.LastOwner]
    async with store.as_tenant(tenant.principal()) as tx:
        assert len(await members.listed(tx)) == 1


async def test_a_stranger_is_no_member(tenant: Tenant, neighbour: Tenant, store: Store) -> None:
    for deed in (
        lambda tx: members.change_role(tx, neighbour.user_id, Role.VIEWER),
        lambda tx: members.remove(tx, neighbour.user_id),
    ):
        with pytest.raises(errors.MemberNotFound):
            async with store.as_tenant(tenant.principal()) as tx:
                await deed(tx)


async def test_the_log_says_what_a_member_was_and_became(tenant: Tenant, store: Store) -> None:
    viewer = await colleague(tenant, Role.VIEWER)
    async with store.as_tenant(tenant.principal()) as tx:
        await members.change_role(tx, viewer.id, Role.DESIGNER)
        await members.remove(tx, viewer.id)
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        removed, changed = (await audit.page(tx, action="member.")).items
    assert (changed.before, changed.after) == (
        {"email": viewer.home.email, "role": "viewer"},
        {"email": viewer.home.email, "role": "designer"},
    )
    assert (removed.action, removed.before["role"]) == ("member.remove", "designer")


async def test_a_role_of_the_tenants_own_needs_its_id_and_no_other_has_one(tenant: Tenant, store: Store) -> None:
    viewer = await colleague(tenant, Role.VIEWER)
    for role, role_id, refusal in (
        (Role.CUSTOM, None, errors.RoleUnclear),
        (Role.ADMIN, tenant.id, errors.RoleUnclear),
        (Role.CUSTOM, tenant.id, errors.RoleNotFound),
    ):
        with pytest.raises(refusal):
            async with store.as_tenant(tenant.principal()) as tx:
                await members.change_role(tx, viewer.id, role, role_id)
