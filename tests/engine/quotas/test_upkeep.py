"""What a running worker does beside its drains, without being told: it signs, counts, and deletes what is not kept."""

import asyncio
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from engine import clock, worker
from engine.audit import service as audit
from engine.audit.seal import Sealer
from engine.errors import Unavailable
from engine.quotas import service as quotas
from engine.quotas import usage
from engine.quotas.model import QuotaName
from engine.store.pool import Store
from engine.store.tx import Tx
from infra.local.postgres import Postgres
from infra.local.valkey import Valkey
from tests.support.rolled import rolled_up
from tests.support.tenant import Tenant, found_tenant


async def test_a_worker_prunes_and_counts_devices_by_itself(
    postgres: Postgres, valkey: Valkey, store: Store, worker_store: Store, tenant: Tenant, tmp_path: Path
) -> None:
    room = await tenant.device()
    days = int(timedelta(days=1).total_seconds() * 1000)
    tenant.tell([(room.id, clock.now_ms() - n * days, {"temperature": 1.0}) for n in (0, 30, 60)])
    await rolled_up(tenant, worker_store)  # before that nothing goes
    async with store.as_tenant(tenant.principal()) as tx:
        await quotas.change(tx, {QuotaName.STORAGE_DAYS: 10})
    environment = os.environ | {
        "TIDEGATE_DATABASE_URL": postgres.url("worker"),
        "TIDEGATE_VALKEY_URL": valkey.url(),
        "TIDEGATE_DATA_DIR": str(tmp_path),
    }
    running = [
        subprocess.Popen([sys.executable, "-m", "infra.cli", "serve", role], env=environment, start_new_session=True)
        for role in ("worker", "tick")
    ]
    try:
        async with asyncio.timeout(60):
            while not await _is_kept_up(store, tenant):
                await asyncio.sleep(0.2)
    finally:
        for process in running:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(60)


@pytest.mark.parametrize(("trouble", "is_next_kept_up"), [(RuntimeError(), True), (Unavailable(), False)])
async def test_one_tenants_trouble_costs_neither_its_signature_nor_the_others_their_turn(
    postgres: Postgres,
    worker_store: Store,
    tenant: Tenant,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trouble: Exception,
    is_next_kept_up: bool,
) -> None:
    other, sealer = await found_tenant(postgres, tenant.store), Sealer.load_or_make(tmp_path / "audit.key")
    looked, looks = list[UUID](), usage.looked
    for each in (tenant, other):
        await each.device()  # a deed to be signed

    async def looked_but_troubled(tx: Tx) -> None:
        if tx.principal.tenant_id == tenant.id:
            raise trouble
        await looks(tx)
        looked.append(tx.principal.tenant_id)

    async def these_two(door: str) -> list[dict[str, UUID]]:
        assert door == "tenants_all"
        return [{"tenant_id": tenant.id}, {"tenant_id": other.id}]

    monkeypatch.setattr(usage, "looked", looked_but_troubled)
    monkeypatch.setattr(worker_store, "door", these_two)
    monkeypatch.setattr(Sealer, "of", lambda _settings: sealer)
    loop = object.__new__(worker.Loop)
    loop._store, loop._upkeep_at = worker_store, float("inf")
    await loop._keep_up()
    signed = []
    for each in (tenant, other):
        async with each.store.as_tenant(each.principal(), read_only=True) as tx:
            signed.append((await audit.verify(tx)).checkpoints > 0)
    assert (signed, looked) == ([True, is_next_kept_up], [other.id] * is_next_kept_up)
    assert (loop._upkeep_at == float("inf")) == is_next_kept_up, "whose turn it was is tried again before long"


async def _is_kept_up(store: Store, tenant: Tenant) -> bool:
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        hours = await usage.hours(tx)
        is_signed = (await audit.verify(tx)).checkpoints > 0
        return is_signed and await usage._days_stored(tx) == 1 and any(hour.devices == 1 for hour in hours)
