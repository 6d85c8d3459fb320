"""A tenant's telemetry, drained and rolled up as workers do it in their own time."""

from engine.drain import Drain
from engine.store.pool import Store
from engine.telemetry import rollups
from tests.support.tenant import Tenant


async def rolled_up(tenant: Tenant, worker_store: Store) -> None:
    """Make every hour and day that is over."""
    await Drain(worker_store).run(tenant.id)
    while await rollups.step(worker_store, tenant.id, rollups.Pace()):
        pass
