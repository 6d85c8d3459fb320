"""Groups hold what they were given or what they find, and only of their own tenant."""

import pytest

from engine.devices import errors, groups, service
from engine.devices.filter import Group
from engine.store.pool import Store
from tests.support.tenant import Tenant


async def keys(tenant: Tenant, group: Group) -> list[str]:
    """The keys of a group's devices; the count says the same."""
    async with tenant.store.as_tenant(tenant.principal(), read_only=True) as tx:
        found = [device.key for device in (await service.page(tx, group_id=group.id)).items]
        assert (await groups.counts(tx, [group]))[group.id] == len(found)
    return found


async def test_a_static_group_holds_what_was_put_into_it(tenant: Tenant, store: Store) -> None:
    a, b, c = [await tenant.device(key) for key in "abc"]
    async with store.as_tenant(tenant.principal()) as tx:
        group = await groups.create(tx, key="site-7", name="Site 7")
        await groups.add_devices(tx, group.id, [a.id, b.id, c.id])
        group = await groups.add_devices(tx, group.id, [a.id])
    assert await keys(tenant, group) == ["a", "b", "c"]
    async with store.as_tenant(tenant.principal()) as tx:
        await service.decommission(tx, b.id)
        await groups.remove_devices(tx, group.id, [c.id, c.id])
    assert await keys(tenant, group) == ["a"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"labels": {"site": "7"}}, ["pump-1", "pump-2"]),
        ({"labels": {"site": ["7", "8"], "floor": "2"}}, ["pump-2", "room-1"]),
        ({"labels": {"site": "none"}}, []),
        ({"profile": "warm-room"}, ["room-1"]),
        ({"profile": ["cold-room", "no-such"], "keyPrefix": "pump-"}, ["pump-1", "pump-2"]),
        ({"status": "suspended"}, ["pump-2"]),
        ({"keyPrefix": ["room", "pump-1"]}, ["pump-1", "room-1"]),
        ({"keyPrefix": "pump_"}, []),
    ],
)
async def test_a_dynamic_group_holds_what_its_filter_finds_now(
    tenant: Tenant, neighbour: Tenant, store: Store, wanted: object, found: list[str]
) -> None:
    for owner in (tenant, neighbour):
        described = (
            ("pump-1", "cold-room", "1", "7"),
            ("pump-2", "cold-room", "2", "7"),
            ("room-1", "warm-room", "2", "8"),
        )
        for key, profile, floor, site in described:
            device = await owner.device(key, profile)
            async with store.as_tenant(owner.principal()) as tx:
                await service.change(tx, device.id, labels={"floor": floor, "site": site})
                if key == "pump-2":
                    await service.suspend(tx, device.id)
    async with store.as_tenant(tenant.principal()) as tx:
        group = await groups.create(tx, key="g", name="G", filter_=wanted)
    assert await keys(tenant, group) == found


async def test_a_device_moves_between_dynamic_groups_as_it_changes(tenant: Tenant, store: Store) -> None:
    pump = await tenant.device("pump-7")
    async with store.as_tenant(tenant.principal()) as tx:
        group = await groups.create(tx, key="g", name="G", filter_={"labels": {"site": "7"}})
    assert await keys(tenant, group) == []
    async with store.as_tenant(tenant.principal()) as tx:
        await service.change(tx, pump.id, labels={"site": "7"})
    assert await keys(tenant, group) == ["pump-7"]
    async with store.as_tenant(tenant.principal()) as tx:
        group = await groups.change(tx, group.id, filter_={"labels": {"site": "8"}}, expected_version=1)
    assert await keys(tenant, group) == []


async def test_each_kind_of_group_is_changed_in_its_own_way(tenant: Tenant, store: Store) -> None:
    pump = await tenant.device()
    async with store.as_tenant(tenant.principal()) as tx:
        static = await groups.create(tx, key="s", name="S")
        dynamic = await groups.create(tx, key="d", name="D", filter_={"keyPrefix": "d"})
        with pytest.raises(errors.GroupDynamic):
            await groups.add_devices(tx, dynamic.id, [pump.id])
        with pytest.raises(errors.GroupDynamic):
            await groups.remove_devices(tx, dynamic.id, [pump.id])
        with pytest.raises(errors.GroupStatic):
            await groups.change(tx, static.id, filter_={"keyPrefix": "d"})
        with pytest.raises(errors.VersionStale):
            await groups.change(tx, static.id, name="T", expected_version=7)
        with pytest.raises(errors.GroupKeyTaken):
            await groups.create(tx, key="s", name="another")
        await groups.remove(tx, static.id)
        with pytest.raises(errors.GroupNotFound):
            await groups.get(tx, static.id)
        assert [group.key for group in (await groups.page(tx)).items] == ["d"]


async def test_a_neighbours_devices_and_groups_are_nowhere(tenant: Tenant, neighbour: Tenant, store: Store) -> None:
    theirs = await neighbour.device()
    async with store.as_tenant(neighbour.principal()) as tx:
        their_group = await groups.create(tx, key="g", name="G")
        await groups.add_devices(tx, their_group.id, [theirs.id])
    async with store.as_tenant(tenant.principal()) as tx:
        mine = await groups.create(tx, key="g", name="G")
        with pytest.raises(errors.DeviceNotFound):
            await groups.add_devices(tx, mine.id, [theirs.id])
        for act in (groups.get(tx, their_group.id), service.page(tx, group_id=their_group.id)):
            with pytest.raises(errors.GroupNotFound):
                await act
        assert (await groups.counts(tx, [their_group]))[their_group.id] == 0
