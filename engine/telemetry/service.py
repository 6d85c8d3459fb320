"""Asking for telemetry: latest values, series as measured or in buckets, what was rejected and how much came in."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.engine import RowMapping

from engine import clock, pages
from engine.devices.model import Presence
from engine.devices.rows import as_presence
from engine.pages import Page
from engine.store.tx import Tx
from engine.store.wire import Reading
from engine.telemetry import bucket as buckets_of
from engine.telemetry import errors, tables
from engine.telemetry.model import Count, Rejected, Sample, Series

MAX_POINTS = 50_000

# One metric is cut out of the row's document; a time-ordered walk down the primary key of that device only. It comes as
# two columns in one row: a thousand rows of two cost four times as much to read.
_RANGE = Reading(
    text(
        "SELECT coalesce(array_agg(at), '{}') AS times, coalesce(json_agg(value), '[]') AS values FROM ("
        "SELECT (extract(epoch FROM time) * 1000)::bigint AS at, values -> :metric AS value FROM telemetry "
        "WHERE tenant_id = :tenant AND device_id = :device AND time >= :start AND time < :end AND values ? :metric "
        "ORDER BY time, seq LIMIT :limit) measured"
    )
)
_LATEST = Reading(text('SELECT device_id, "values" FROM latest WHERE tenant_id = :tenant AND device_id = ANY (:ids)'))
# As the registry tells presence, with the newest values beside it: lists of devices ask for both, of many at once.
_STANDING = Reading(
    text(
        "SELECT d.id, p.device_id IS NOT NULL AS is_known, p.is_online, p.since, p.reason, "
        "greatest(p.since, l.received_at) AS last_seen_at, "
        "CASE WHEN l.received_at > p.silent_since THEN NULL ELSE p.silent_since END AS silent_since, "
        'p.seen_epoch AS version, l."values" FROM unnest(CAST(:ids AS uuid[])) AS d (id) '
        "LEFT JOIN presence p ON p.tenant_id = :tenant AND p.device_id = d.id "
        "LEFT JOIN latest l ON l.tenant_id = :tenant AND l.device_id = d.id"
    )
)
# Seconds to hours have a fixed length and are counted from the zone's midnight, so that a half-hour zone gets its own
# hours; days and weeks are counted on local time, where a day may have 23 hours; months go by the calendar.
_STARTS = {
    "fixed": "date_bin(CAST(:interval AS interval), time, timestamp '2001-01-01' AT TIME ZONE :zone)",
    "local": "date_bin(CAST(:interval AS interval), time AT TIME ZONE :zone, timestamp '2001-01-01') "
    "AT TIME ZONE :zone",
    "month": "(date_trunc('month', time AT TIME ZONE :zone) - make_interval(months => (extract(year FROM time AT TIME "
    "ZONE :zone)::int * 12 + extract(month FROM time AT TIME ZONE :zone)::int - 1) % CAST(:months AS int))) "
    "AT TIME ZONE :zone",
}
_BUCKETS = {
    calendar: text(
        f"""
    SELECT (extract(epoch FROM start) * 1000)::bigint AS at, count(*) AS n,
           avg(number) AS mean, min(number) AS low, max(number) AS high,
           (array_agg(value ORDER BY time DESC))[1] AS last
    FROM (
        SELECT time, value, CASE jsonb_typeof(value) WHEN 'number' THEN value::float8 END AS number, {start} AS start
        FROM (
            SELECT time, values -> :metric AS value FROM telemetry
            WHERE tenant_id = :tenant AND device_id = :device AND time >= :start AND time < :end
              AND values ? :metric
        ) measured
    ) binned
    GROUP BY start ORDER BY start
    """  # noqa: S608  only the constants above are put in
    )
    for calendar, start in _STARTS.items()
}


async def latest(tx: Tx, device_ids: Sequence[UUID]) -> dict[UUID, list[Sample]]:
    """Each device's newest value of every metric, by the metric's name."""
    found: dict[UUID, list[Sample]] = {device_id: [] for device_id in device_ids}
    for row in await tx.read(_LATEST, {"tenant": tx.principal.tenant_id, "ids": list(device_ids)}):
        found[row["device_id"]] = _samples(row["values"])
    return found


async def standing(tx: Tx, device_ids: Sequence[UUID]) -> dict[UUID, tuple[Presence, list[Sample]]]:
    """Each device's presence, as ``devices.presence_of`` has it, and its newest values, in one question."""
    rows = await tx.read(_STANDING, {"tenant": tx.principal.tenant_id, "ids": list(device_ids)})
    return {
        row["id"]: (as_presence(row) if row["is_known"] else Presence(), _samples(row["values"] or {})) for row in rows
    }


async def series(
    tx: Tx,
    device_id: UUID,
    metric: str,
    start: datetime,
    end: datetime,
    *,
    bucket: str | None = None,
    time_zone: str = "UTC",
    limit: int = 1000,
) -> Series:
    """One metric of one device from ``start`` (included) to ``end`` (excluded), oldest first.

    As measured without a ``bucket`` (at most ``limit`` points, ``is_truncated`` says when there were more), else one
    point per non-empty bucket of the zone's calendar. Raises RangeEmpty, MetricMalformed, BucketMalformed,
    TimeZoneUnknown, TooManyPoints.
    """
    if not 1 <= len(metric) <= 64 or "\0" in metric:
        raise errors.MetricMalformed
    if start >= end:
        raise errors.RangeEmpty
    asked = {"tenant": tx.principal.tenant_id, "device": device_id, "metric": metric, "start": start, "end": end}
    if bucket is None:
        return await _measured(tx, asked, limit)
    size = buckets_of.parse(bucket)
    buckets_of.check(size, start, end)
    form: dict[str, Any] = {"zone": buckets_of.zone(time_zone)}
    form |= {"months": size.count} if size.calendar == "month" else {"interval": size.interval}
    rows = await tx.rows(_BUCKETS[size.calendar], {**asked, **form})
    return Series(
        metric,
        bucket,
        times=[row["at"] for row in rows],
        values=[row["last"] if row["mean"] is None else row["mean"] for row in rows],
        min=[row["low"] for row in rows],
        max=[row["high"] for row in rows],
        n=[row["n"] for row in rows],
    )


async def inbox(tx: Tx, *, device_id: UUID | None = None, first: int = 50, after: str | None = None) -> Page[Rejected]:
    """What was rejected, newest first."""
    rejected, size = tables.rejected, pages.page_size(first)
    query = select(rejected).where(rejected.c.tenant_id == tx.principal.tenant_id)
    if device_id is not None:
        query = query.where(rejected.c.device_id == device_id)
    if after is not None:
        query = query.where(rejected.c.id < pages.decode_id(after))
    rows = await tx.rows(query.order_by(rejected.c.id.desc()).limit(size + 1))
    return pages.cut([_rejected(row) for row in rows], size, lambda item: str(item.id))


async def counts(
    tx: Tx, *, device_id: UUID | None = None, start: datetime | None = None, end: datetime | None = None
) -> list[Count]:
    """What came in, hour by hour, of one device or of all; the last 24 hours when no range is given."""
    counts = tables.counts
    names = ("received", "stored", "duplicates", "rejected", "refused", "not_kept")
    end = end or tx.now
    start = start or end - timedelta(hours=24)
    query = (
        select(counts.c.hour, *(func.sum(counts.c[name]).label(name) for name in names))
        .where(counts.c.tenant_id == tx.principal.tenant_id, counts.c.hour > start - timedelta(hours=1))
        .where(counts.c.hour < end)
        .group_by(counts.c.hour)
        .order_by(counts.c.hour)
        .limit(2_200)  # ninety days of hours
    )
    if device_id is not None:
        query = query.where(counts.c.device_id == device_id)
    return [Count(row["hour"], *(int(row[name]) for name in names)) for row in await tx.rows(query)]


async def _measured(tx: Tx, asked: dict[str, Any], limit: int) -> Series:
    if not 1 <= limit <= MAX_POINTS:
        raise errors.TooManyPoints(f"Ask for 1 to {MAX_POINTS} points, or for buckets.")
    (row,) = await tx.read(_RANGE, {**asked, "limit": limit + 1})
    times, values = row["times"], row["values"]
    return Series(asked["metric"], None, times=times[:limit], values=values[:limit], is_truncated=len(times) > limit)


def _samples(values: Mapping[str, tuple[object, int]]) -> list[Sample]:
    times = {at_ms: clock.from_ms(at_ms) for at_ms in {at_ms for _, at_ms in values.values()}}  # mostly one
    return [Sample(metric, value, times[at_ms]) for metric, (value, at_ms) in sorted(values.items())]


def _rejected(row: RowMapping) -> Rejected:
    return Rejected(
        id=row["id"],
        device_id=row["device_id"],
        received_at=row["received_at"],
        reason=row["reason"],
        message=row["message"],
        transport=row["transport"],
        topic=row["topic"],
        payload=bytes(row["payload"]),
        payload_size_bytes=row["payload_size_bytes"],
    )
