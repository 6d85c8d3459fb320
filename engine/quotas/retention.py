"""Keeping telemetry no longer than a tenant's quota says: deleted in small batches, beside everything else.

Partitions fall at the platform's longest retention (DESIGN §3.4); whoever keeps less has rows deleted from them. A
batch is one short transaction, so that a drain never waits for it, and workers that do it at the same time take turns.
"""

from datetime import timedelta

from sqlalchemy import text

from engine.quotas import service
from engine.quotas.model import Quotas
from engine.store.pool import Store
from engine.tenancy import Principal

BATCH_ROWS = 5_000
BATCHES_AT_MOST = 500

_MINE = text("SELECT pg_try_advisory_xact_lock(hashtextextended('retention:' || :tenant, 0))")
# the partition that the boundary lies in is scanned for this tenant only; whole days below it are read by the key
_DELETE = text(
    """
    DELETE FROM telemetry t USING (
        SELECT device_id, time, seq FROM telemetry WHERE tenant_id = :tenant AND time < :before LIMIT :rows
    ) old
    WHERE t.tenant_id = :tenant AND t.device_id = old.device_id AND t.time = old.time AND t.seq = old.seq
      AND t.time < :before
    """
)


async def prune(store: Store, principal: Principal, base: Quotas) -> int:
    """Delete what a tenant no longer keeps, at most BATCHES_AT_MOST batches of it; returns how many rows went."""
    deleted = 0
    for _ in range(BATCHES_AT_MOST):
        async with store.as_tenant(principal) as tx:
            days = (await service.of(tx, base)).storage_days
            if days >= service.MAX_STORAGE_DAYS:  # that is when the partitions fall
                return deleted
            if not await tx.scalar(_MINE, {"tenant": str(principal.tenant_id)}):
                return deleted
            asked = {"tenant": principal.tenant_id, "before": tx.now - timedelta(days=days), "rows": BATCH_ROWS}
            gone = int((await tx.execute(_DELETE, asked)).rowcount)
        deleted += gone
        if gone < BATCH_ROWS:
            return deleted
    return deleted
