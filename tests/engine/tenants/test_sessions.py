"""Where somebody is signed in: seen, and ended by those who may."""

import pytest

from engine.store.pool import Store
from engine.tenancy import Role
from engine.tenants import doorway, errors, sessions
from tests.support.people import colleague, sign_in
from tests.support.tenant import Tenant


async def test_one_sees_ones_own_sessions_and_which_one_asks(tenant: Tenant, store: Store) -> None:
    await sign_in(tenant, agent="Phone\0\n" + "x" * 300)
    laptop = await sign_in(tenant, agent="Laptop")
    principal = await doorway.session(store, laptop.secret)
    assert principal is not None
    async with store.as_tenant(principal, read_only=True) as tx:
        seen = await sessions.mine(tx)
    assert {(s.agent[:6], s.address, s.is_current) for s in seen} == {
        ("Phonex", "192.0.2.1", False),
        ("Laptop", "192.0.2.1", True),
    }
    assert max(len(s.agent) for s in seen) == 200


async def test_a_session_ends_for_its_owner_and_for_whoever_may_change_them(tenant: Tenant, store: Store) -> None:
    viewer = await colleague(tenant, Role.VIEWER)
    mine, theirs = await sign_in(tenant), await viewer.sign_in()
    with pytest.raises(errors.SessionNotFound):
        async with store.as_tenant(viewer.principal) as tx:
            await sessions.end(tx, mine.session_id)
    async with store.as_tenant(tenant.principal()) as tx:
        await sessions.end(tx, theirs.session_id)
        await sessions.end(tx, mine.session_id)
    assert await doorway.session(store, mine.secret) is None
    assert await doorway.session(store, theirs.secret) is None


async def test_an_admin_cannot_end_an_owners_session(tenant: Tenant, store: Store) -> None:
    admin, owners = await colleague(tenant, Role.ADMIN), await sign_in(tenant)
    for deed in (
        lambda tx: sessions.end(tx, owners.session_id),
        lambda tx: sessions.end_all_of(tx, tenant.user_id),
    ):
        with pytest.raises(errors.RoleTooWide):
            async with store.as_tenant(admin.principal) as tx:
                await deed(tx)
    assert await doorway.session(store, owners.secret) is not None


async def test_all_others_end_and_the_one_that_asks_stays(tenant: Tenant, store: Store) -> None:
    old, viewer = await sign_in(tenant), await colleague(tenant, Role.VIEWER)
    here, theirs = await sign_in(tenant), await viewer.sign_in()
    principal = await doorway.session(store, here.secret)
    assert principal is not None
    async with store.as_tenant(principal) as tx:
        assert [ended.id for ended in await sessions.end_others(tx)] == [old.session_id]
    assert await doorway.session(store, old.secret) is None
    assert await doorway.session(store, here.secret) is not None
    assert await doorway.session(store, theirs.secret) is not None


async def test_a_members_sessions_are_seen_and_ended_here_only(tenant: Tenant, store: Store) -> None:
    viewer = await colleague(tenant, Role.VIEWER)
    here, home = await viewer.sign_in(), await sign_in(viewer.home)
    async with store.as_tenant(tenant.principal()) as tx:
        assert [s.id for s in await sessions.of_member(tx, viewer.id)] == [here.session_id]
        assert [s.id for s in await sessions.end_all_of(tx, viewer.id)] == [here.session_id]
    assert await doorway.session(store, home.secret) is not None
    with pytest.raises(errors.MemberNotFound):
        async with store.as_tenant(tenant.principal()) as tx:
            await sessions.of_member(tx, viewer.tenant.id)


async def test_a_session_is_noted_as_seen_at_most_once_a_minute(tenant: Tenant, store: Store) -> None:
    opened = await sign_in(tenant)
    async with store.as_tenant(tenant.principal()) as tx:
        long_ago = tx.now - 3 * sessions.SEEN_NOTED_EVERY
        tx.now = long_ago
        await sessions.note_seen(tx, opened.session_id)
    seen = []
    for _ in range(2):
        assert await doorway.session(store, opened.secret)
        async with store.as_tenant(tenant.principal(), read_only=True) as tx:
            seen.append((await sessions.mine(tx))[0].last_seen_at)
    assert seen[0] > long_ago
    assert seen[0] == seen[1]
