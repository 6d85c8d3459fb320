"""What a worker counts for its operators, of all tenants together; scraped from /metrics on its internal port."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID

from prometheus_client import Counter, Gauge, Histogram
from sqlalchemy import text

from engine.store.pool import Store
from engine.store.tx import Tx
from engine.tenancy import system

DRAINS = Counter("tidegate_worker_drains", "Turns of draining a tenant's journal, by result.", ["result"])
ENTRIES = Counter("tidegate_worker_entries", "Journal entries drained.")
DRAIN_SECONDS = Histogram(
    "tidegate_worker_drain_seconds",
    "One turn of draining one tenant.",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
TICKS = Counter("tidegate_worker_ticks", "Ticks done here.")
WAITING = Gauge("tidegate_worker_tenants_waiting", "Tenants with unread journal or a timer that is over, at a tick.")
BACKLOG = Gauge("tidegate_worker_journal_backlog", "Journal entries that no drain has taken yet, of all tenants.")
AGE_SECONDS = Gauge("tidegate_worker_journal_age_seconds", "How long the oldest of those entries has been waiting.")
READER_AGE_SECONDS = Gauge(
    "tidegate_worker_reader_age_seconds",
    "How long the oldest entry has been waiting for this one of the readers that share a journal, where most behind.",
    ["reader"],
)
TIMERS = Gauge("tidegate_worker_timers_due", "Rule timers that are over and not yet acted upon.")
ROLLUP_LAG_SECONDS = Gauge(
    "tidegate_worker_rollup_lag_seconds", "How much of closed telemetry is in no hour yet, of the tenant most behind."
)
MISSED_HOURS = Counter(
    "tidegate_worker_rollup_missed_hours", "Hours of tenants that were never made, for their readings had to go before."
)
REPAIRS = Gauge("tidegate_worker_rollup_repairs", "Hours of devices that something came late to, not yet made anew.")

LOOK_EVERY_S = 15.0

_UNREAD = text(
    """
    SELECT r.reader, r.shares > 1 AS is_one_of_several, h.pos - r.pos AS entries,
           (SELECT j.at FROM journal j WHERE j.tenant_id = r.tenant_id AND j.pos > r.pos
            ORDER BY j.pos LIMIT 1) AS since
    FROM readers r JOIN journal_head h ON h.tenant_id = r.tenant_id
    WHERE r.tenant_id = :tenant AND h.pos > r.pos
    """
)
_DUE = text("SELECT count(*) FROM rule_state WHERE tenant_id = :tenant AND due_at <= :now")


@contextmanager
def draining() -> Iterator[None]:
    """Times a turn and counts how it ended."""
    began = time.perf_counter()
    result = "failed"
    try:
        yield
        result = "done"
    finally:
        DRAINS.labels(result).inc()
        DRAIN_SECONDS.observe(time.perf_counter() - began)


class Backlog:
    """Looks every quarter of a minute at what waits. Only tenants that the door calls due have been waiting."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._looked = float("-inf")

    async def look(self, due: Sequence[UUID]) -> None:
        """Set the gauges anew if it is time; ``due`` are the tenants for whom there is something to do."""
        WAITING.set(len(due))
        if self._clock() - self._looked < LOOK_EVERY_S:
            return
        self._looked = self._clock()
        entries, timers, oldest_s = 0, 0, 0.0
        readers: dict[str, float] = {}
        for tenant_id in due:
            async with self._store.as_tenant(system(tenant_id), read_only=True) as tx:
                unread = await tx.rows(_UNREAD, {"tenant": tenant_id})
                for row in unread:
                    age_s = _age_s(tx, row["since"])
                    oldest_s = max(oldest_s, age_s)
                    if row["is_one_of_several"]:
                        readers[row["reader"]] = max(readers.get(row["reader"], 0.0), age_s)
                entries += max((row["entries"] for row in unread), default=0)
                timers += int(await tx.scalar(_DUE, {"tenant": tenant_id, "now": tx.now}))
        BACKLOG.set(entries)
        READER_AGE_SECONDS.clear()
        for reader, age_s in readers.items():
            READER_AGE_SECONDS.labels(reader).set(age_s)
        AGE_SECONDS.set(oldest_s)
        TIMERS.set(timers)


def _age_s(tx: Tx, since: datetime | None) -> float:
    return 0.0 if since is None else (tx.now - since).total_seconds()
