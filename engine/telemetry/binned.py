"""The question for buckets of one metric: put together from readings, hours and days, whatever each part comes from."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import text

from engine.store.wire import Reading
from engine.telemetry.bucket import Bucket
from engine.telemetry.cover import Part, Source

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
# Where the clock is put back to midnight, the day begins at the first of the two, and PostgreSQL takes the second.
_EARLIER = "bucket - interval '1 hour'"
_FIRST = f"CASE WHEN ({_EARLIER}) AT TIME ZONE :zone = bucket AT TIME ZONE :zone THEN {_EARLIER} ELSE bucket END"
# Numbers are added as they are written, so that it makes no difference in which order, or which of them were added to
# an hour before; the last value matters only where there is no number at all.
_READINGS = """
    SELECT {bucket} AS bucket, count(*) AS n, count(number) AS numbers, min(number) AS low, max(number) AS high,
           sum(number) AS total, max(time) AS time,
           (array_agg(value ORDER BY time DESC, seq DESC) FILTER (WHERE number IS NULL))[1] AS last
    FROM (
        SELECT time, seq, value, CASE jsonb_typeof(value) WHEN 'number' THEN CAST(value AS numeric) END AS number
        FROM (
            SELECT time, seq, values -> :metric AS value FROM telemetry
            WHERE tenant_id = :tenant AND device_id = :device AND time >= :from_{place} AND time < :to_{place}
              AND values ? :metric
        ) measured
    ) typed GROUP BY bucket
"""
_ROLLED = """
    SELECT {bucket} AS bucket, n, numbers, low, high, total, time, last FROM (
        SELECT start AS time, n, numbers, low, high, total, last FROM {table}
        WHERE tenant_id = :tenant AND device_id = :device AND metric = :metric
          AND start >= :from_{place} AND start < :to_{place}
    ) rolled
"""
# One row of columns, as they are answered: hundreds of rows cost more to bring and to read than to find. Last values
# are told only where there are any. A mean too small for a double would be an error, and not nothing.
_TOGETHER = """
    SELECT coalesce(array_agg(at), '{{}}') AS times, coalesce(array_agg(n), '{{}}') AS n,
           coalesce(array_agg(mean), '{{}}') AS mean, coalesce(array_agg(low), '{{}}') AS low,
           coalesce(array_agg(high), '{{}}') AS high, CASE WHEN count(last) > 0 THEN json_agg(last) END AS last FROM (
    SELECT (extract(epoch FROM {first}) * 1000)::bigint AS at, sum(n)::bigint AS n,
           CASE WHEN sum(total) BETWEEN -1e-300 AND 1e-300 THEN 0
           ELSE (sum(total) / nullif(sum(numbers), 0))::float8 END AS mean, min(low)::float8 AS low,
           max(high)::float8 AS high,
           (array_agg(last ORDER BY time DESC) FILTER (WHERE numbers = 0))[1] AS last
    FROM ({parts}) part GROUP BY bucket ORDER BY bucket
    ) binned
"""


def question(
    size: Bucket, zone: str, parts: Sequence[Part], asked: Mapping[str, Any]
) -> tuple[Reading, dict[str, Any]]:
    """The statement and its parameters: one row with a column for each of times, n, mean, low, high and last.

    Each is a list of the buckets that are not empty, oldest first; ``last`` is None where all are of numbers.
    """
    form: dict[str, Any] = {name: asked[name] for name in ("tenant", "device", "metric")} | {"zone": zone}
    form |= {"months": size.count} if size.calendar == "month" else {"interval": size.interval}
    for place, part in enumerate(parts):
        form |= {f"from_{place}": part.start, f"to_{place}": part.end}
    return _statement(size.calendar, tuple(part.source for part in parts)), form


@lru_cache(maxsize=256)
def _statement(calendar: str, sources: tuple[Source, ...]) -> Reading:
    parts = [
        _READINGS.format(bucket=_STARTS[calendar], place=place)
        if source is Source.READINGS
        else _ROLLED.format(bucket=_STARTS[calendar], place=place, table=f"rollup_{source.value}")
        for place, source in enumerate(sources)
    ]
    first = "bucket" if calendar == "fixed" else _FIRST
    return Reading(text(_TOGETHER.format(first=first, parts=" UNION ALL ".join(parts))), is_binary=True)
