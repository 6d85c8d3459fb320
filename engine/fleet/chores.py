"""What the worker does for a fleet while nobody waits: erasing, settling transfers, the daily audit, noticing silence.

Little by little: each turn stops after about a second, and what is left is there in the database for the next one, of
this worker or another.
"""

import logging
import time
from uuid import UUID

from engine.devices import erase, silence
from engine.errors import Unavailable
from engine.fleet import audit, transfer
from engine.store.pool import Store
from engine.tenancy import system

log = logging.getLogger(__name__)

TURN_S = 1.0


async def run(store: Store, turn_s: float = TURN_S) -> bool:
    """One turn through all tenants that have something to do; says whether there is more to be done at once.

    One tenant's trouble is logged and does not keep the others waiting. Raises Unavailable.
    """
    until = time.monotonic() + turn_s
    waiting = [row for row in await store.door("tenants_all") if row["has_chores"] or row["has_silence"]]
    has_more = False
    for row in waiting:
        tenant_id = row["tenant_id"]
        if time.monotonic() > until:
            return True
        try:
            if row["has_silence"]:
                async with store.as_tenant(system(tenant_id)) as tx:
                    has_more |= await silence.look(tx)
            if row["has_chores"]:
                has_more |= await of_tenant(store, tenant_id, until)
        except Unavailable:
            raise
        except Exception:
            log.exception("fleet.chores_failed", extra={"tenant": str(tenant_id)})
    return has_more


async def of_tenant(store: Store, tenant_id: UUID, until: float) -> bool:
    """One tenant's chores, until the moment ``until`` (monotonic); says whether more can be done at once."""
    await transfer.settle(store, tenant_id)
    async with store.as_tenant(system(tenant_id)) as tx:
        if await audit.is_due(tx):
            await audit.run(tx, "daily")
    while True:
        async with store.as_tenant(system(tenant_id)) as tx:
            has_more = await erase.step(tx)
        if not has_more or time.monotonic() > until:
            return has_more
