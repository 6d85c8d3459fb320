"""The registry keeps what it is told, tenant by tenant."""

import pytest
from sqlalchemy import text

from engine import clock
from engine.devices import errors, service
from engine.devices.model import DeviceStatus
from engine.drain import Drain
from engine.store.pool import Store
from engine.tenancy import system
from tests.support.tenant import Tenant


async def test_a_provisioned_device_is_found_by_id_and_key(tenant: Tenant, store: Store) -> None:
    pump = await tenant.device("pump-7")
    async with store.as_tenant(tenant.principal()) as tx:
        assert await service.get(tx, pump.id) == pump
        assert await service.by_key(tx, "pump-7") == pump


async def test_a_key_is_never_given_twice(tenant: Tenant, store: Store) -> None:
    pump = await tenant.device("pump-7")
    with pytest.raises(errors.DeviceKeyTaken):
        async with store.as_tenant(tenant.principal()) as tx:
            await service.provision(tx, key="pump-7", name="another", profile_id=pump.profile_id)


async def test_two_tenants_may_use_the_same_key_and_never_see_each_other(
    tenant: Tenant, neighbour: Tenant, store: Store
) -> None:
    mine, theirs = await tenant.device("pump-7"), await neighbour.device("pump-7")
    async with store.as_tenant(tenant.principal()) as tx:
        assert (await service.page(tx)).items == (mine,)
        with pytest.raises(errors.DeviceNotFound):
            await service.get(tx, theirs.id)


async def test_pages_follow_the_keys_without_gap_or_repeat(tenant: Tenant, store: Store) -> None:
    keys = [(await tenant.device(f"d-{n:02}")).key for n in range(7)]
    seen: list[str] = []
    after: str | None = None
    async with store.as_tenant(tenant.principal()) as tx:
        while True:
            page = await service.page(tx, first=3, after=after)
            seen += [device.key for device in page.items]
            after = page.end_cursor
            if not page.has_next_page:
                break
    assert seen == keys


async def test_a_search_takes_percent_signs_as_they_are(tenant: Tenant, store: Store) -> None:
    await tenant.device("plain")
    async with store.as_tenant(tenant.principal()) as tx:
        assert (await service.page(tx, search="%")).items == ()
        assert [d.key for d in (await service.page(tx, search="LAI")).items] == ["plain"]


async def test_a_stale_version_is_refused_and_nothing_changes(tenant: Tenant, store: Store) -> None:
    pump = await tenant.device()
    async with store.as_tenant(tenant.principal()) as tx:
        await service.change(tx, pump.id, name="First", expected_version=1)
    with pytest.raises(errors.VersionStale):
        async with store.as_tenant(tenant.principal()) as tx:
            await service.change(tx, pump.id, name="Second", expected_version=1)
    async with store.as_tenant(tenant.principal()) as tx:
        assert (await service.get(tx, pump.id)).name == "First"


async def test_decommissioning_is_final_and_revokes_every_credential(tenant: Tenant, store: Store) -> None:
    pump = await tenant.device()
    secret = await tenant.device_token(pump)
    async with store.as_tenant(tenant.principal()) as tx:
        ended = await service.decommission(tx, pump.id)
        assert ended.status is DeviceStatus.DECOMMISSIONED
        assert all(c.revoked_at for c in (await service.credentials_of(tx, [pump.id]))[pump.id])
        assert (await service.page(tx)).items == ()
    with pytest.raises(errors.DeviceStuck):
        async with store.as_tenant(tenant.principal()) as tx:
            await service.issue_token(tx, pump.id)
    assert secret.startswith("tgd_")


async def test_who_is_heard_without_ever_connecting_is_active_too(
    tenant: Tenant, neighbour: Tenant, store: Store, worker_store: Store
) -> None:
    heard, unheard, theirs = await tenant.device(), await tenant.device(), await neighbour.device()
    for of, device in ((tenant, heard), (neighbour, theirs)):
        of.tell([(device.id, clock.now_ms(), {"temperature": 4.5})])
        await Drain(worker_store).run(of.id)
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        await service.activate_heard(tx)
    async with store.as_tenant(tenant.principal()) as tx:
        assert (await service.get(tx, heard.id)).status is DeviceStatus.ACTIVE
        assert (await service.get(tx, unheard.id)).status is DeviceStatus.PROVISIONED
    async with store.as_tenant(neighbour.principal()) as tx:
        assert (await service.get(tx, theirs.id)).status is DeviceStatus.PROVISIONED


async def test_a_suspended_device_keeps_its_credentials_and_comes_back_as_it_was(tenant: Tenant, store: Store) -> None:
    pump = await tenant.device()
    await tenant.device_token(pump)
    async with store.as_tenant(tenant.principal()) as tx:
        assert (await service.suspend(tx, pump.id)).status is DeviceStatus.SUSPENDED
        assert [c.revoked_at for c in (await service.credentials_of(tx, [pump.id]))[pump.id]] == [None]
        assert (await service.counts(tx)).total == 1
        with pytest.raises(errors.DeviceStuck):
            await service.suspend(tx, pump.id)
    async with store.as_tenant(tenant.principal()) as tx:
        assert (await service.resume(tx, pump.id)).status is DeviceStatus.PROVISIONED, "it never connected"
        with pytest.raises(errors.DeviceStuck):
            await service.resume(tx, pump.id)
    async with store.as_tenant(tenant.principal()) as tx:
        await service.decommission(tx, pump.id)
        with pytest.raises(errors.DeviceStuck):
            await service.resume(tx, pump.id)


async def test_suspending_and_resuming_are_in_the_audit_log(tenant: Tenant, store: Store) -> None:
    pump = await tenant.device()
    async with store.as_tenant(tenant.principal()) as tx:
        await service.suspend(tx, pump.id)
        await service.resume(tx, pump.id)
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        rows = await tx.rows(
            text("SELECT action, before, after FROM audit WHERE target_id = :id"), {"id": str(pump.id)}
        )
    said = {row["action"]: row for row in rows}
    assert said["device.suspend"]["before"]["status"] == "provisioned"
    assert said["device.suspend"]["after"]["status"] == "suspended"
    assert said["device.resume"]["after"]["status"] == "provisioned"


async def test_counts_leave_out_what_is_decommissioned(tenant: Tenant, store: Store) -> None:
    gone, _ = await tenant.device(), await tenant.device()
    async with store.as_tenant(tenant.principal()) as tx:
        await service.decommission(tx, gone.id)
        counted = await service.counts(tx)
    assert (counted.total, counted.online, counted.offline) == (1, 0, 1)
