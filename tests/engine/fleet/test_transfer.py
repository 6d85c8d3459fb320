"""A device goes to another tenant by a code that is good once, and neither tenant ever sees the other's rows."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from engine import clock
from engine.certificates.vault import LocalVault, Vault
from engine.devices import quarantine, service
from engine.devices.declared import Command, ShadowLeaf, ValueType
from engine.devices.errors import DeviceKeyTaken, DeviceStuck
from engine.devices.model import Device, DeviceStatus, Metric, MetricType
from engine.drain import Drain
from engine.fleet import chores, errors, retire, transfer
from engine.fleet.model import Arrival, Transfer, TransferStatus
from engine.store.pool import Store
from engine.tenancy import Principal, Role
from tests.support.tenant import Tenant


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return LocalVault(tmp_path / "vault.key")


async def offered(tenant: Tenant, device: Device, vault: Vault, **options: object) -> tuple[Transfer, str]:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        return await transfer.offer(tx, vault, device.id, **options)  # type: ignore[arg-type]


async def accepted(
    tenant: Tenant, code: str, vault: Vault, *, by: Principal | None = None, **options: object
) -> Arrival:
    async with tenant.store.as_tenant(by or tenant.principal()) as tx:
        return await transfer.accept(tx, vault, code, **options)  # type: ignore[arg-type]


async def settle(worker_store: Store, *tenants: Tenant) -> None:
    for tenant in tenants:
        await transfer.settle(worker_store, tenant.id)


async def test_the_receiver_gets_a_new_device_and_the_giver_keeps_the_history(
    tenant: Tenant, neighbour: Tenant, store: Store, worker_store: Store, vault: Vault
) -> None:
    pump = await tenant.device("pump-7")
    await tenant.device_token(pump)
    tenant.tell([(pump.id, clock.now_ms(), {"temperature": 4.0})])
    async with store.as_tenant(tenant.principal()) as tx:
        await service.change(tx, pump.id, name="Pump 7", labels={"site": "7"})
        stop, setpoint = Command("stop", "Stop"), ShadowLeaf("setpoint", ValueType.NUMBER, max=8, is_writable=True)
        declared = {"reporting_interval_s": 60, "commands": [stop], "shadow": [setpoint]}
        await service.profile_change(tx, pump.profile_id, **declared)  # type: ignore[arg-type]
    made, code = await offered(tenant, pump, vault)
    arrival = await accepted(neighbour, code, vault)
    assert arrival.device.id != pump.id
    assert (arrival.device.key, arrival.device.name, dict(arrival.device.labels)) == ("pump-7", "Pump 7", {"site": "7"})
    assert arrival.is_new_profile
    async with store.as_tenant(neighbour.principal(), read_only=True) as tx:
        copied = await service.profile(tx, arrival.device.profile_id)
    assert [metric.key for metric in copied.metrics] == ["temperature", "humidity", "door_open", "mode"]
    assert (copied.reporting_interval_s, copied.commands, copied.shadow) == (60, (stop,), (setpoint,))
    await Drain(worker_store).run(neighbour.id)  # at once, not with the next chores
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        assert (await service.get(tx, pump.id)).status is DeviceStatus.DECOMMISSIONED
        assert (await transfer.get(tx, made.id)).status is TransferStatus.ACCEPTED
        credentials = (await service.credentials_of(tx, [pump.id]))[pump.id]
    assert all(credential.revoked_at for credential in credentials)
    await settle(worker_store, neighbour, tenant)  # once more changes nothing
    async with store.as_tenant(neighbour.principal(), read_only=True) as tx:
        assert (await service.get(tx, arrival.device.id)).status is DeviceStatus.PROVISIONED


async def test_a_code_is_good_once_whoever_comes_first(
    tenant: Tenant, neighbour: Tenant, store: Store, vault: Vault
) -> None:
    from tests.support.tenant import found_tenant

    third = await found_tenant(tenant.postgres, store)
    _, code = await offered(tenant, await tenant.device("pump-7"), vault)
    tried = await asyncio.gather(*(accepted(each, code, vault) for each in (neighbour, third)), return_exceptions=True)
    assert sorted(type(each).__name__ for each in tried) == ["Arrival", "TransferCodeSpent"]
    loser = third if isinstance(tried[1], Exception) else neighbour
    async with store.as_tenant(loser.principal(), read_only=True) as tx:
        assert (await service.counts(tx)).total == 0


async def test_a_withdrawn_offer_is_worthless_and_an_accepted_one_cannot_be_withdrawn(
    tenant: Tenant, neighbour: Tenant, store: Store, worker_store: Store, vault: Vault
) -> None:
    pump, fan = await tenant.device("pump"), await tenant.device("fan")
    made, code = await offered(tenant, pump, vault)
    async with store.as_tenant(tenant.principal()) as tx:
        assert (await transfer.withdraw(tx, made.id)).status is TransferStatus.WITHDRAWN
        with pytest.raises(errors.TransferOver):
            await transfer.withdraw(tx, made.id)
    with pytest.raises(errors.TransferCodeSpent):
        await accepted(neighbour, code, vault)
    made, code = await offered(tenant, fan, vault)
    await accepted(neighbour, code, vault)
    async with store.as_tenant(tenant.principal()) as tx:
        with pytest.raises(errors.TransferOver, match="a moment ago"):
            await transfer.withdraw(tx, made.id)
    await settle(worker_store, neighbour)
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        assert [each.status for each in (await transfer.page(tx)).items] == ["accepted", "withdrawn"]


async def test_a_second_offer_and_the_devices_end_withdraw_the_first(
    tenant: Tenant, neighbour: Tenant, store: Store, vault: Vault
) -> None:
    pump = await tenant.device("pump")
    _, first = await offered(tenant, pump, vault)
    _, second = await offered(tenant, pump, vault)
    with pytest.raises(errors.TransferCodeSpent):
        await accepted(neighbour, first, vault)
    async with store.as_tenant(tenant.principal()) as tx:
        await retire.decommission(tx, pump.id)
    with pytest.raises(errors.TransferCodeSpent):
        await accepted(neighbour, second, vault)


async def test_a_code_that_is_not_ours_not_meant_or_too_old_is_refused(
    tenant: Tenant, neighbour: Tenant, store: Store, vault: Vault, tmp_path: Path
) -> None:
    pump = await tenant.device("pump")
    _, code = await offered(tenant, pump, vault, to_tenant="somebody-else")
    forged = LocalVault(tmp_path / "other.key")
    _, foreign = await offered(tenant, pump, forged)
    tampered = code[:-3] + ("AAA" if code[-3:] != "AAA" else "BBB")
    for wrong in (code, foreign, tampered, code + "=", "tgx_", "tgx_%%%", "x", code.removeprefix("tgx_")):
        with pytest.raises(errors.TransferCodeUnknown):
            await accepted(neighbour, wrong, vault)
    _, mine = await offered(tenant, pump, vault)
    with pytest.raises(errors.TransferToSelf):
        await accepted(tenant, mine, vault)
    _, old = await offered(tenant, pump, vault, hours=1)
    async with store.as_tenant(neighbour.principal()) as tx:
        tx.now += timedelta(hours=2)
        with pytest.raises(errors.TransferCodeExpired):
            await transfer.accept(tx, vault, old)
    async with store.as_tenant(neighbour.principal(), read_only=True) as tx:
        assert (await service.counts(tx)).total == 0


async def test_the_receiver_may_choose_key_and_profile(
    tenant: Tenant, neighbour: Tenant, store: Store, vault: Vault
) -> None:
    await neighbour.device("pump")
    other = await neighbour.profile("other")
    pump = await tenant.device("pump")
    _, code = await offered(tenant, pump, vault)
    with pytest.raises(DeviceKeyTaken):
        await accepted(neighbour, code, vault)
    arrival = await accepted(neighbour, code, vault, key="pump-2", profile_id=other.id)
    assert (arrival.device.key, arrival.device.profile_id, arrival.is_new_profile) == ("pump-2", other.id, False)


async def test_who_may_not_make_profiles_has_to_choose_one(tenant: Tenant, neighbour: Tenant, vault: Vault) -> None:
    _, code = await offered(tenant, await tenant.device("pump", "rare"), vault)
    operator = neighbour.principal(Role.OPERATOR)
    with pytest.raises(errors.ProfileNeeded):
        await accepted(neighbour, code, vault, by=operator)
    profile = await neighbour.profile()
    assert (await accepted(neighbour, code, vault, by=operator, profile_id=profile.id)).device.key == "pump"


async def test_a_profile_too_long_for_a_code_is_left_to_the_receiver(
    tenant: Tenant, neighbour: Tenant, store: Store, vault: Vault
) -> None:
    from engine import ids

    metrics = [Metric(f"m{n}", MetricType.NUMBER, ids.token("long")[:100], ids.token("u")[:20]) for n in range(200)]
    async with store.as_tenant(tenant.principal()) as tx:
        profile = await service.profile_create(tx, key="huge", name="Huge", metrics=metrics)
        pump = await service.provision(tx, key="pump", name="Pump", profile_id=profile.id)
    _, code = await offered(tenant, pump, vault)
    assert len(code) < 1_000
    with pytest.raises(errors.ProfileNeeded):
        await accepted(neighbour, code, vault)


async def test_quarantined_and_decommissioned_devices_are_not_offered(
    tenant: Tenant, store: Store, vault: Vault
) -> None:
    held, ended = await tenant.device(), await tenant.device()
    async with store.as_tenant(tenant.principal()) as tx:
        await quarantine.quarantine(tx, held.id, "x")
        await service.decommission(tx, ended.id)
    for device in (held, ended):
        with pytest.raises(DeviceStuck):
            await offered(tenant, device, vault)


async def test_the_worker_settles_what_a_killed_one_left(
    tenant: Tenant, neighbour: Tenant, store: Store, worker_store: Store, vault: Vault
) -> None:
    pump = await tenant.device("pump")
    _, code = await offered(tenant, pump, vault)
    await accepted(neighbour, code, vault)
    due = {row["tenant_id"] for row in await worker_store.door("tenants_all") if row["has_chores"]}
    assert neighbour.id in due
    await chores.step(worker_store, tenant.id)
    await chores.step(worker_store, neighbour.id)
    due = {row["tenant_id"] for row in await worker_store.door("tenants_all") if row["has_chores"]}
    assert not due & {tenant.id, neighbour.id}
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        assert (await service.get(tx, pump.id)).status is DeviceStatus.DECOMMISSIONED
