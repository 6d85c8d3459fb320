"""Counting what a tenant uses, hour by hour, and asking for it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, text

from engine import clock
from engine.quotas import service
from engine.quotas.model import Hour, QuotaName, Quotas, Use
from engine.quotas.tables import usage
from engine.store.tx import Tx

HOURS_AT_MOST = 2_200
"""Ninety days and some."""

# places in the journal's counts of what was not stored, by device (ingest/batch.py)
_RECEIVED, _REFUSED = 0, 4

_CAME_IN = text(
    """
    INSERT INTO usage AS u (tenant_id, hour, messages, stored, refused, values)
    VALUES (:tenant, :hour, :messages, :stored, :refused, :values)
    ON CONFLICT (tenant_id, hour) DO UPDATE SET
        messages = u.messages + excluded.messages, stored = u.stored + excluded.stored,
        refused = u.refused + excluded.refused, values = u.values + excluded.values
    """
)
_ASKED = text(
    """
    INSERT INTO usage AS u (tenant_id, hour, api_cost, api_refused, streams_peak)
    VALUES (:tenant, :hour, :cost, :refused, :streams)
    ON CONFLICT (tenant_id, hour) DO UPDATE SET
        api_cost = u.api_cost + excluded.api_cost, api_refused = u.api_refused + excluded.api_refused,
        streams_peak = greatest(u.streams_peak, excluded.streams_peak)
    """
)
_LOOKED = text(
    """
    INSERT INTO usage AS u (tenant_id, hour, devices) VALUES (:tenant, :hour, :devices)
    ON CONFLICT (tenant_id, hour) DO UPDATE SET devices = excluded.devices
    """
)


@dataclass(slots=True)
class Asked:
    """What a web process has counted of a tenant since it last wrote it down."""

    cost: int = 0
    refused: int = 0
    streams_peak: int = 0

    def add(self, other: "Asked") -> None:
        """Take in what another count says."""
        self.cost += other.cost
        self.refused += other.refused
        self.streams_peak = max(self.streams_peak, other.streams_peak)


async def came_in(tx: Tx, at: datetime, telemetry: Iterable[Mapping[str, Any]]) -> None:
    """Add what the journal's telemetry entries say came in; part of the drain's transaction, so counted once."""
    stored = values = others = refused = 0
    for body in telemetry:
        stored += len(body["r"])
        values += sum([len(reading[4]) for reading in body["r"]])
        for counted in body["n"].values():
            others += counted[_RECEIVED]
            refused += counted[_REFUSED]
    counts = {"messages": stored + others, "stored": stored, "refused": refused, "values": values}
    await tx.execute(_CAME_IN, {"tenant": tx.principal.tenant_id, "hour": clock.hour_of(at), **counts})


async def asked(tx: Tx, counted: Asked) -> None:
    """Add what one web process has counted of the API."""
    counts = {"cost": counted.cost, "refused": counted.refused, "streams": counted.streams_peak}
    await tx.execute(_ASKED, {"tenant": tx.principal.tenant_id, "hour": clock.hour_of(tx.now), **counts})


async def looked(tx: Tx) -> None:
    """Note how many devices there are in this hour."""
    found = {"devices": await service.devices(tx)}
    await tx.execute(_LOOKED, {"tenant": tx.principal.tenant_id, "hour": clock.hour_of(tx.now), **found})


async def hours(tx: Tx, *, start: datetime | None = None, end: datetime | None = None) -> list[Hour]:
    """What was used in the hours from ``start`` to ``end``, oldest first; the last 24 when nothing is given.

    An hour in which nothing was used has no entry.
    """
    end = end or tx.now
    start = start or end - timedelta(hours=24)
    columns = [column for column in usage.c if column.name != "tenant_id"]
    query = select(*columns).where(usage.c.tenant_id == tx.principal.tenant_id)
    query = query.where(usage.c.hour > start - timedelta(hours=1), usage.c.hour < end)
    return [Hour(**row) for row in await tx.rows(query.order_by(usage.c.hour).limit(HOURS_AT_MOST))]


async def now(tx: Tx, base: Quotas, *, streams: int, api_cost: float) -> list[Use]:
    """Every quota with what is used of it; ``streams`` and ``api_cost`` are known to the web processes alone."""
    own = await service.own(tx)
    in_force = base.but(own)
    messages, values = await _last_hour(tx)
    used = {
        QuotaName.DEVICES: await service.devices(tx),
        QuotaName.MESSAGES_PER_S: messages,
        QuotaName.VALUES_PER_S: values,
        QuotaName.STORAGE_DAYS: await _days_stored(tx),
        QuotaName.SUBSCRIPTIONS: streams,
        QuotaName.API_COST_PER_MIN: api_cost,
    }
    return [Use(name, in_force.limit(name), float(used[name]), name in own) for name in QuotaName]


async def _last_hour(tx: Tx) -> tuple[float, float]:
    """Messages and values a second over the last sixty minutes; the hour before counts for what of it lies in them."""
    this = clock.hour_of(tx.now)
    found = {row.hour: row for row in await hours(tx, start=this, end=tx.now + timedelta(seconds=1))}
    share = 1 - (tx.now - this).total_seconds() / 3600
    before = {row.hour: row for row in await hours(tx, start=this - timedelta(minutes=59), end=this)}
    weighed = [(row, 1.0) for row in found.values()] + [(row, share) for row in before.values()]
    return (
        round(sum((row.messages - row.refused) * weight for row, weight in weighed) / 3600, 3),
        round(sum(row.values * weight for row, weight in weighed) / 3600, 3),
    )


# The key of telemetry begins with the device: the oldest row would be a walk through all of them, the oldest day is one
# look into each partition.
_OLDEST_DAY = text(
    """
    SELECT min(day)
    FROM generate_series(CAST(:first AS timestamptz), CAST(:now AS timestamptz), interval '1 day') AS day
    WHERE EXISTS (
        SELECT FROM telemetry t WHERE t.tenant_id = :tenant AND t.time >= day AND t.time < day + interval '1 day'
    )
    """
)


async def _days_stored(tx: Tx) -> int:
    """On how many days back to the oldest this tenant's telemetry lies, today counted."""
    today = tx.now.replace(hour=0, minute=0, second=0, microsecond=0)
    first = today - timedelta(days=service.MAX_STORAGE_DAYS)
    found = await tx.scalar(_OLDEST_DAY, {"tenant": tx.principal.tenant_id, "first": first, "now": tx.now})
    return 0 if found is None else (today - found).days + 1
