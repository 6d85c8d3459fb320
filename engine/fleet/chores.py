"""What the worker does for a fleet while nobody waits: erasing, settling transfers, the daily audit, noticing silence.

Little by little: each turn stops after about a second, and what is left is there in the database for the next one, of
this worker or another.
"""

import logging
import random
import time
from collections.abc import Mapping
from typing import Any
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

    Each takes one step, then those that have more another, of their erasures alone: what else was due is done. Whom one
    turn did not reach may come first in the next: one tenant's long erasure keeps nobody waiting. Its trouble is logged
    and keeps nobody waiting either. Raises Unavailable.
    """
    until = time.monotonic() + turn_s
    waiting = [row for row in await store.door("tenants_all") if row["has_chores"] or row["has_silence"]]
    random.shuffle(waiting)
    is_first = True
    while waiting:
        more = []
        for row in waiting:
            if time.monotonic() > until:
                return True
            if await _of_tenant(store, row, is_first=is_first):
                more.append(row)
        waiting, is_first = more, False
    return False


async def _of_tenant(store: Store, row: Mapping[str, Any], *, is_first: bool) -> bool:
    tenant_id, has_more = row["tenant_id"], False
    try:
        if row["has_silence"]:
            async with store.as_tenant(system(tenant_id)) as tx:
                has_more = await silence.look(tx)
        if row["has_chores"]:
            has_more |= await (step if is_first else _erase)(store, tenant_id)
    except Unavailable:
        raise
    except Exception:
        log.exception("fleet.chores_failed", extra={"tenant": str(tenant_id)})
        return False
    return has_more


async def step(store: Store, tenant_id: UUID) -> bool:
    """A tenant's transfers and audit if they are due, and one step of its erasures; says whether there is more."""
    await transfer.settle(store, tenant_id)
    async with store.as_tenant(system(tenant_id)) as tx:
        if await audit.is_due(tx):
            await audit.run(tx, "daily")
    return await _erase(store, tenant_id)


async def _erase(store: Store, tenant_id: UUID) -> bool:
    async with store.as_tenant(system(tenant_id)) as tx:
        return await erase.step(tx)
