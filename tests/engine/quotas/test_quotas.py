"""Quotas: the platform's defaults, one tenant's own, and what they refuse."""

import asyncio

import pytest

from engine.devices import bulk
from engine.devices import service as devices
from engine.quotas import service as quotas
from engine.quotas.errors import DeviceQuotaReached, QuotaMalformed
from engine.quotas.model import QuotaName, Quotas, defaults
from engine.settings import Settings
from engine.store.pool import Store
from tests.support.tenant import Tenant

BASE = Quotas.of(Settings(quota_devices=7, quota_messages_per_s=50))


def test_what_a_tenant_has_of_its_own_replaces_the_default_and_nothing_else() -> None:
    own = BASE.but({"messages_per_s": 5, "devices": None, "tenant_id": "x"})
    assert (own.messages_per_s, own.devices, own.values_per_s) == (5, 7, BASE.values_per_s)
    assert BASE.but(None) == BASE


async def test_a_quota_is_changed_audited_and_taken_back(tenant: Tenant, neighbour: Tenant, store: Store) -> None:
    async with store.as_tenant(tenant.principal()) as tx:
        await quotas.change(tx, {QuotaName.DEVICES: 3, QuotaName.STORAGE_DAYS: 30})
    async with store.as_tenant(tenant.principal()) as tx:
        assert await quotas.own(tx) == {"devices": 3, "storage_days": 30}
        assert (await quotas.of(tx, BASE)).messages_per_s == 50
        await quotas.change(tx, {QuotaName.DEVICES: None})
        assert await quotas.own(tx) == {"storage_days": 30}
        assert [deed.before for deed in tx.deeds] == [{"devices": 3, "storage_days": 30}]
    async with store.as_tenant(neighbour.principal()) as tx:
        assert await quotas.of(tx) == defaults()


@pytest.mark.parametrize(("name", "limit"), [("devices", 0), ("storage_days", 91), ("messages_per_s", -1)])
async def test_a_quota_that_could_not_hold_is_refused(tenant: Tenant, store: Store, name: str, limit: int) -> None:
    with pytest.raises(QuotaMalformed):
        async with store.as_tenant(tenant.principal()) as tx:
            await quotas.change(tx, {QuotaName(name): limit})


async def test_devices_beyond_the_quota_are_refused_also_when_they_come_at_once(tenant: Tenant, store: Store) -> None:
    first = await tenant.device()
    async with store.as_tenant(tenant.principal()) as tx:
        await quotas.change(tx, {QuotaName.DEVICES: 3})

    made = await asyncio.gather(*(tenant.device() for _ in range(4)), return_exceptions=True)
    refused = [each for each in made if isinstance(each, DeviceQuotaReached)]
    assert len(refused) == 2
    assert refused[0].details == {"quota": "devices", "limit": 3, "used": 3}
    assert "3 devices, and has 3" in refused[0].message
    async with store.as_tenant(tenant.principal()) as tx:
        assert await quotas.devices(tx) == 3
        await devices.decommission(tx, first.id)
    await tenant.device()  # the decommissioned one has made room


async def test_a_table_that_does_not_fit_into_the_quota_brings_in_nothing(tenant: Tenant, store: Store) -> None:
    await tenant.profile()
    async with store.as_tenant(tenant.principal()) as tx:
        await quotas.change(tx, {QuotaName.DEVICES: 2})
    table = "key,name,profile\n" + "".join(f"pump-{n},,cold-room\n" for n in range(3))
    with pytest.raises(DeviceQuotaReached, match="3 more do not fit"):
        async with store.as_tenant(tenant.principal()) as tx:
            await bulk.bring_in(tx, table, dry_run=False)
    async with store.as_tenant(tenant.principal()) as tx:
        assert await quotas.devices(tx) == 0


async def test_many_devices_of_one_transaction_are_counted_one_by_one(tenant: Tenant, store: Store) -> None:
    async with store.as_tenant(tenant.principal()) as tx:
        await quotas.change(tx, {QuotaName.DEVICES: 2})
    async with store.as_tenant(tenant.principal()) as tx:
        await quotas.take_devices(tx)
        await quotas.take_devices(tx)
        with pytest.raises(DeviceQuotaReached):
            await quotas.take_devices(tx)
