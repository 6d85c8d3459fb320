"""A device in quarantine is out, whatever it shows at the door, until it is released."""

import pytest

from engine import ids
from engine.devices import errors, groups, quarantine, service
from engine.devices.model import DeviceStatus
from engine.store.pool import Store
from tests.support.tenant import Tenant


async def knock(tenant: Tenant, key: str, secret: str) -> str | None:
    """What the door says to this token: None is come in."""
    ingest = Store(tenant.postgres.url("ingest"), size=1)
    try:
        (said,) = await ingest.door("credential", tenant.key, key, ids.fingerprint(secret))
    finally:
        await ingest.close()
    return said["refusal"]


async def test_a_device_in_quarantine_is_turned_away_and_says_why(tenant: Tenant, store: Store) -> None:
    pump = await tenant.device("pump-7")
    secret = await tenant.device_token(pump)
    assert await knock(tenant, "pump-7", secret) is None
    async with store.as_tenant(tenant.principal()) as tx:
        held = await quarantine.quarantine(tx, pump.id, "  It sends nonsense. ")
    assert (held.status, held.quarantine_reason) == (DeviceStatus.QUARANTINED, "It sends nonsense.")
    assert await knock(tenant, "pump-7", secret) == "suspended"
    async with store.as_tenant(tenant.principal()) as tx:
        for refused in (service.issue_token(tx, pump.id), service.resume(tx, pump.id), service.suspend(tx, pump.id)):
            with pytest.raises(errors.DeviceStuck):
                await refused


async def test_a_release_gives_new_secrets_unless_the_old_ones_are_trusted(tenant: Tenant, store: Store) -> None:
    pump = await tenant.device("pump-7")
    old = await tenant.device_token(pump)
    async with store.as_tenant(tenant.principal()) as tx:
        await quarantine.quarantine(tx, pump.id, "A stranger had it.")
        free, issued = await quarantine.release(tx, pump.id)
    assert (free.status, free.quarantine_reason) == (DeviceStatus.PROVISIONED, None)
    assert issued is not None
    assert await knock(tenant, "pump-7", old) == "revoked"
    assert await knock(tenant, "pump-7", issued[1]) is None
    async with store.as_tenant(tenant.principal()) as tx:
        await quarantine.quarantine(tx, pump.id, "Again.")
        free, nothing = await quarantine.release(tx, pump.id, renew=False)
    assert (free.status, nothing) == (DeviceStatus.ACTIVE, None)  # it has connected meanwhile
    assert await knock(tenant, "pump-7", issued[1]) is None
    async with store.as_tenant(tenant.principal()) as tx:
        with pytest.raises(errors.DeviceStuck, match="not in quarantine"):
            await quarantine.release(tx, pump.id)


async def test_quarantine_and_suspension_are_two_statuses_in_lists_and_filters(tenant: Tenant, store: Store) -> None:
    out, off = await tenant.device("out"), await tenant.device("off")
    async with store.as_tenant(tenant.principal()) as tx:
        await quarantine.quarantine(tx, out.id, "x")
        await service.suspend(tx, off.id)
        listed = (await service.page(tx)).items
        assert len(listed) == 2
        assert listed == tuple([await service.get(tx, device.id) for device in listed])
        for status, key in ((DeviceStatus.QUARANTINED, "out"), (DeviceStatus.SUSPENDED, "off")):
            assert [device.key for device in (await service.page(tx, status=status)).items] == [key]
            group = await groups.create(tx, key=f"g-{status}", name="G", filter_={"status": str(status)})
            assert [device.key for device in (await service.page(tx, group_id=group.id)).items] == [key]


@pytest.mark.parametrize("reason", ["", "   ", "x" * 501, "a\0b"])
async def test_quarantine_needs_a_reason(tenant: Tenant, store: Store, reason: str) -> None:
    pump = await tenant.device()
    async with store.as_tenant(tenant.principal()) as tx:
        with pytest.raises(errors.ReasonMalformed):
            await quarantine.quarantine(tx, pump.id, reason)


async def test_a_key_is_used_again_only_when_its_former_device_is_named(tenant: Tenant, store: Store) -> None:
    old = await tenant.device("pump-7")
    async with store.as_tenant(tenant.principal()) as tx:
        with pytest.raises(errors.KeyNotGivenUp):
            await service.provision(tx, key="pump-7", name="New", profile_id=old.profile_id, replaces=old.id)
        await service.decommission(tx, old.id)
        with pytest.raises(errors.DeviceKeyTaken, match="decommissioned") as caught:
            await service.provision(tx, key="pump-7", name="New", profile_id=old.profile_id)
        assert caught.value.details == {"replaces": old.id}
        with pytest.raises(errors.KeyNotGivenUp):
            await service.provision(tx, key="other", name="New", profile_id=old.profile_id, replaces=old.id)
        new = await service.provision(tx, key="pump-7", name="New", profile_id=old.profile_id, replaces=old.id)
        before = await service.get(tx, old.id)
    assert new.id != old.id
    assert (before.former_key, before.status) == ("pump-7", DeviceStatus.DECOMMISSIONED)
    assert before.key.startswith("pump-7-")
