"""The worker that runs in production does a fleet's chores by itself, and one tenant's trouble is not the others'."""

import asyncio
import random
from uuid import UUID

import pytest

from engine import clock
from engine.devices import erase
from engine.devices.model import Erasure
from engine.fleet import audit, chores, retire, transfer
from engine.store.pool import Store
from engine.store.tx import Tx
from tests.engine.test_worker import WAIT_S, Processes, processes
from tests.support.tenant import Tenant

__all__ = ["processes"]


async def test_a_running_worker_erases_and_audits_without_being_asked(
    tenant: Tenant, store: Store, processes: Processes
) -> None:
    device = await tenant.device()
    tenant.tell([(device.id, clock.now_ms() - n * 1000, {"temperature": 4.0}) for n in range(50)])
    async with store.as_tenant(tenant.principal()) as tx:
        await retire.decommission(tx, device.id, erase=True)
    processes.start("worker")
    processes.start("tick")
    async with asyncio.timeout(WAIT_S):
        while (done := await _erasure(store, tenant, device.id)).finished_at is None:
            await asyncio.sleep(0.2)
    assert done.erased["telemetry"] == 50
    assert done.erased["latest"] == 1
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        assert (await audit.latest(tx)).trigger == "daily"


async def test_one_tenants_trouble_does_not_keep_the_others_waiting(
    tenant: Tenant, neighbour: Tenant, worker_store: Store, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = audit.run

    async def troubled(tx: object, trigger: str) -> object:
        if tx.principal.tenant_id == tenant.id:  # type: ignore[attr-defined]
            raise RuntimeError("planted")
        return await run(tx, trigger)  # type: ignore[arg-type]

    monkeypatch.setattr(audit, "run", troubled)
    await chores.run(worker_store, turn_s=60)
    async with store.as_tenant(neighbour.principal(), read_only=True) as tx:
        assert (await audit.latest(tx)).trigger == "daily"
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        assert await audit.is_due(tx)


async def test_one_tenants_long_erasure_does_not_keep_the_others_waiting(
    tenant: Tenant, neighbour: Tenant, worker_store: Store, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[UUID] = []
    settled: list[UUID] = []

    async def long(tx: Tx) -> bool:
        steps.append(tx.principal.tenant_id)
        return steps.count(tenant.id) < 5 and tx.principal.tenant_id == tenant.id

    async def settle(_store: Store, tenant_id: UUID) -> None:
        settled.append(tenant_id)

    async def only(_name: str) -> list[dict[str, object]]:
        return [{"tenant_id": each.id, "has_chores": True, "has_silence": False} for each in (tenant, neighbour)]

    monkeypatch.setattr(erase, "step", long)
    monkeypatch.setattr(transfer, "settle", settle)
    monkeypatch.setattr(worker_store, "door", only)
    monkeypatch.setattr(random, "shuffle", lambda _waiting: None)  # the one with much to do stays in front
    assert await chores.run(worker_store, turn_s=60) is False
    assert steps == [tenant.id, neighbour.id, *[tenant.id] * 4]
    assert settled == [tenant.id, neighbour.id]  # asked once a turn, and not for each batch of an erasure
    async with store.as_tenant(neighbour.principal(), read_only=True) as tx:
        assert (await audit.latest(tx)).trigger == "daily"


async def _erasure(store: Store, tenant: Tenant, device_id: UUID) -> Erasure:
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        return await erase.get(tx, device_id)
