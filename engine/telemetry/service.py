"""Asking for telemetry: latest values, series as measured or in buckets, and how much came in."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import compress, repeat
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text

from engine import clock, ids
from engine.devices import presence
from engine.devices.model import Presence
from engine.store.tx import Tx
from engine.store.wire import Reading
from engine.telemetry import binned, errors, tables
from engine.telemetry import bucket as buckets_of
from engine.telemetry.cover import HOUR, Closed, Part, Source, coarsest, cover
from engine.telemetry.model import Count, Sample, Series

MAX_POINTS = 50_000

# One metric is cut out of the row's document; a time-ordered walk down the primary key of that device only. It comes as
# columns in one row: a thousand rows of two cost four times as much to read. Where all is good nothing says so.
_RANGE_OF = """
    SELECT coalesce(array_agg(at), '{{}}') AS times, coalesce(json_agg(value), '[]') AS values,
           CASE WHEN count(mark) > 0 THEN array_agg(mark) END AS marks{came}
    FROM (
        SELECT (extract(epoch FROM time) * 1000)::bigint AS at, values -> :metric AS value, quality ->> :metric AS mark,
               received_at, source
        FROM {source} ORDER BY time, seq LIMIT :limit
    ) measured
"""
_CAME = """,
           array_agg((extract(epoch FROM received_at) * 1000)::bigint) AS received, array_agg(source) AS sources"""
_RANGE = {
    (asks_readings, with_source): Reading(text(_RANGE_OF.format(source=source, came=_CAME if with_source else "")))
    for asks_readings, source in {
        False: "telemetry WHERE tenant_id = :tenant AND device_id = :device AND time >= :start AND time < :end "
        "AND (values ? :metric OR quality ? :metric)",
        True: "app.readings(:device, :start, NULL, :end, ARRAY[CAST(:metric AS text)], false, :limit, true)",
    }.items()
    for with_source in (False, True)
}
_LATEST = Reading(  # one row: a thousand documents are read at once faster than one by one
    text(
        "SELECT coalesce(array_agg(device_id), '{}') AS devices, coalesce(json_agg(\"values\"), '[]') AS found, "
        "CASE WHEN count(quality) > 0 THEN json_agg(quality) END AS doubts FROM latest "
        "WHERE tenant_id = :tenant AND device_id = ANY (CAST(:ids AS uuid[]))"
    ),
    is_binary=True,
)
# As the registry tells presence, with the newest values beside it: lists of devices ask for both, of many at once.
_STANDING = Reading(
    text(
        "SELECT array_agg(d.id) AS ids, array_agg(p.device_id IS NOT NULL) AS known, array_agg(p.is_online) AS online, "
        "array_agg(p.since) AS since, array_agg(p.reason) AS reasons, "
        "array_agg(greatest(p.since, l.received_at)) AS seen, "
        "array_agg(CASE WHEN l.received_at > p.silent_since THEN NULL ELSE p.silent_since END) AS silent, "
        'array_agg(p.seen_epoch) AS versions, json_agg(l."values") AS found, '
        "CASE WHEN count(l.quality) > 0 THEN json_agg(l.quality) END AS doubts "
        "FROM unnest(CAST(:ids AS uuid[])) AS d (id) "
        "LEFT JOIN presence p ON p.tenant_id = :tenant AND p.device_id = d.id "
        "LEFT JOIN latest l ON l.tenant_id = :tenant AND l.device_id = d.id"
    ),
    is_binary=True,
)
_STANDS = ("online", "since", "reasons", "seen", "silent", "versions")
"""What makes up a presence, in its order."""
_CLOSED = Reading(
    text(
        "SELECT p.hours_to, p.days_to, min(r.hour) AS late_from, max(r.hour) AS late_to FROM rollup_progress p "
        "LEFT JOIN rollup_repairs r ON r.tenant_id = p.tenant_id AND r.device_id = :device "
        "AND r.hour < :end AND r.hour > CAST(:start AS timestamptz) - interval '1 hour' "
        "WHERE p.tenant_id = :tenant GROUP BY p.hours_to, p.days_to"
    )
)


async def latest(tx: Tx, device_ids: Sequence[UUID]) -> dict[UUID, list[Sample]]:
    """Each device's newest value of every metric, by the metric's name."""
    times: dict[int, datetime] = {}
    (row,) = await tx.read(_LATEST, {"tenant": tx.principal.tenant_id, "ids": ids.array_of(device_ids)})
    doubts = row["doubts"] or repeat(None)
    found = {
        device_id: _samples(values, times, doubted)
        for device_id, values, doubted in zip(row["devices"], row["found"], doubts, strict=False)
    }
    if len(found) < len(device_ids):
        found |= {device_id: [] for device_id in device_ids if device_id not in found}
    return found


async def standing(tx: Tx, device_ids: Sequence[UUID]) -> dict[UUID, tuple[Presence, list[Sample]]]:
    """Each device's presence, as ``devices.presence_of`` has it, and its newest values, in one question."""
    return await standing_beside(tx, device_ids)()


def standing_beside(
    tx: Tx, device_ids: Sequence[UUID]
) -> Callable[[], Awaitable[dict[UUID, tuple[Presence, list[Sample]]]]]:
    """``standing``, asked in one message with whatever is asked next; what is returned tells the answer."""
    asked = tx.beside(_STANDING, {"tenant": tx.principal.tenant_id, "ids": ids.array_of(device_ids)})

    async def answer() -> dict[UUID, tuple[Presence, list[Sample]]]:
        times: dict[int, datetime] = {}
        (row,) = await asked.rows()
        columns = (row[name] or () for name in _STANDS)
        latest = zip(
            row["ids"] or (), row["known"] or (), row["found"] or (), row["doubts"] or repeat(None), strict=False
        )
        return {
            device_id: (Presence(*stands) if is_known else Presence(), _samples(values or {}, times, doubted))
            for (device_id, is_known, values, doubted), stands in zip(latest, zip(*columns, strict=True), strict=True)
        }

    return answer


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
    with_source: bool = False,
) -> Series:
    """One metric of one device from ``start`` (included) to ``end`` (excluded), oldest first.

    As measured without a ``bucket`` (at most ``limit`` points, ``is_truncated`` says when there were more; asked
    ``with_source`` it says of each when it was received, and how), else one
    point per non-empty bucket of the zone's calendar. Raises RangeEmpty, MetricMalformed, BucketMalformed,
    TimeZoneUnknown, TooManyPoints.
    """
    if not 1 <= len(metric) <= 64 or "\0" in metric:
        raise errors.MetricMalformed
    if start >= end:
        raise errors.RangeEmpty
    asked = {"tenant": tx.principal.tenant_id, "device": device_id, "metric": metric, "start": start, "end": end}
    if bucket is None:
        return await _measured(tx, asked, limit, with_source=with_source)
    size = buckets_of.parse(bucket)
    buckets_of.check(size, start, end)
    zone = buckets_of.zone(time_zone)
    parts = await _parts(tx, asked, size, zone)
    (row,) = await tx.read(*binned.question(size, zone, parts, asked))
    means, last = row["mean"], row["last"]
    values = means if last is None else [said if mean is None else mean for mean, said in zip(means, last, strict=True)]
    return Series(metric, bucket, times=row["times"], values=values, min=row["low"], max=row["high"], n=row["n"])


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


async def _parts(tx: Tx, asked: Mapping[str, Any], size: buckets_of.Bucket, zone: str) -> tuple[Part, ...]:
    """Where each part of what is asked for is read, as coarse as its buckets and what was made of it allow."""
    start, end = asked["start"], asked["end"]
    rows = await tx.read(_CLOSED, {name: asked[name] for name in ("tenant", "device", "start", "end")})
    if not rows:
        return cover(start, end, Source.READINGS, None)
    row = rows[0]
    late = (_utc(row["late_from"]), _utc(row["late_to"]) + HOUR) if row["late_from"] is not None else None
    closed = Closed(_utc(row["hours_to"]), _utc(row["days_to"]), late)
    if start >= closed.hours_to:
        return cover(start, end, Source.READINGS, None)
    return cover(start, end, coarsest(size, zone, start, min(end, closed.hours_to)), closed)


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC)


async def _measured(tx: Tx, asked: dict[str, Any], limit: int, *, with_source: bool) -> Series:
    if not 1 <= limit <= MAX_POINTS:
        raise errors.TooManyPoints(f"Ask for 1 to {MAX_POINTS} points, or for buckets.")
    (row,) = await tx.read(_RANGE[tx.asks_readings, with_source], {**asked, "limit": limit + 1})
    is_truncated = len(row["times"]) > limit
    columns = {name: row[name][:limit] for name in ("times", "values")}
    if with_source:
        columns |= {name: (row[name] or [])[:limit] for name in ("received", "sources")}
        ways = await presence.ways_of(tx, asked["device"])
        columns |= {"gateways": presence.gateways(ways, columns["received"])} if ways else {}
    bad = []
    if row["marks"] is not None:
        marks = columns["quality"] = row["marks"][:limit]
        bad = [at for at, mark in zip(columns["times"], marks, strict=True) if mark == "bad"]
        kept = [mark != "bad" for mark in marks]
        columns = {name: list(compress(column, kept)) for name, column in columns.items()}
        if bad:  # what was left out of a reading is there again, beside its mark, when it was replayed (ADR 79)
            known = set(columns["times"])
            bad = [at for at in bad if at not in known]
    return Series(asked["metric"], None, **columns, bad=bad, is_truncated=is_truncated)


def _samples(
    values: Mapping[str, tuple[object, int]],
    times: dict[int, datetime],
    doubts: Mapping[str, Sequence[Any]] | None,
) -> list[Sample]:
    """The values by the metric's name; ``times``: those met so far, since many values were measured at once."""
    if doubts:
        return _doubted(values, doubts)
    found = []
    for metric in sorted(values):
        value, at_ms = values[metric]
        at = times.get(at_ms)
        if at is None:
            at = times[at_ms] = clock.from_ms(at_ms)
        found.append(_made(Sample, (metric, value, at, None, None)))
    return found


def _doubted(values: Mapping[str, tuple[object, int]], doubts: Mapping[str, Sequence[Any]]) -> list[Sample]:
    """As ``_samples``, of a device of which something is in doubt: what never had a value is there, without one."""
    found = []
    for metric in sorted({*values, *doubts}):
        mark, said_ms, *reason = doubts.get(metric, _GOOD)
        value, at_ms = values.get(metric, (None, said_ms))
        is_so = said_ms >= at_ms
        why = reason[0] if is_so and reason else None
        found.append(Sample(metric, value, clock.from_ms(at_ms), mark if is_so else None, why))
    return found


_GOOD = (None, -1)
_made = tuple.__new__
"""A named tuple's own way to be made goes through a function of Python's, which takes as long as all else here."""
