"""Reminders and escalation are rows: a worker that is killed in between loses none and tells none twice."""

import asyncio
from datetime import timedelta

from sqlalchemy import text

from engine.alerts import service as alerts
from engine.store.pool import Store
from engine.tenancy import system
from tests.engine.alerts.test_life import Desk, desk
from tests.engine.test_worker import WAIT_S, Processes, processes
from tests.support.tenant import Tenant

__all__ = ["desk", "processes"]

SOON = timedelta(minutes=16)


async def _pass(tenant: Tenant, worker_store: Store, by: timedelta) -> None:
    """Let time go by for what is planned."""
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        moved = (
            "UPDATE alert_tellings SET due_at = due_at - CAST(:by AS interval), since = since - CAST(:by AS interval)"
        )
        await tx.execute(text(moved), {"by": by})


async def _told(desk: Desk, tenant: Tenant, count: int) -> list[str]:
    """Whom people were told by, once there are so many deliveries."""
    async with asyncio.timeout(WAIT_S):
        while True:
            async with desk.store.as_tenant(tenant.principal(), read_only=True) as tx:
                found = await tx.rows(text("SELECT target FROM deliveries ORDER BY created_at"))
            if len(found) >= count:
                return [row["target"].partition("@")[0] for row in found]
            await asyncio.sleep(0.1)


async def test_a_killed_worker_goes_on_reminding_where_it_stood_until_somebody_takes_note(
    desk: Desk, tenant: Tenant, worker_store: Store, processes: Processes
) -> None:
    await desk.open(0, 15, repeat_min=15)
    (alert,) = await desk.raise_(await tenant.device())
    processes.start("worker")
    processes.start("tick")
    assert await _told(desk, tenant, 1) == ["step0"]
    processes.kill("worker")
    await _pass(tenant, worker_store, SOON)  # it becomes due while nobody is there
    processes.start("worker")
    assert await _told(desk, tenant, 2) == ["step0", "step1"]
    await _pass(tenant, worker_store, SOON)
    assert await _told(desk, tenant, 3) == ["step0", "step1", "step1"]
    async with desk.store.as_tenant(tenant.principal()) as tx:
        await alerts.acknowledge(tx, alert.id)
        left = await tx.scalar(text("SELECT count(*) FROM alert_tellings"))
    assert left == 0
