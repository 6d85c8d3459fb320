"""Which part of a range is read from days, which from hours, and which from the readings themselves; pure.

Whatever is covered by an hour that was closed, and to which nothing came late, is never read twice: the parts follow
one another without a gap, so that sums over them are sums over the readings (ADR 55).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from engine.telemetry.bucket import Bucket

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LONGEST_DAYS = 1_095
"""For how many days hours and days are kept at most: then their partitions fall."""
_BEGAN = datetime(2001, 1, 1)  # noqa: DTZ001  on the clock of whichever zone is asked for; buckets count from here


class Source(StrEnum):
    """Where a part is read."""

    READINGS = "readings"
    HOURS = "hours"
    DAYS = "days"


@dataclass(frozen=True, slots=True)
class Part:
    """From ``start`` (included) to ``end`` (excluded)."""

    source: Source
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Closed:
    """How far a tenant's hours and days are made, and between which hours something of a device waits for repair."""

    hours_to: datetime
    days_to: datetime
    late: tuple[datetime, datetime] | None = None


def coarsest(bucket: Bucket, zone: str, start: datetime, end: datetime) -> Source:
    """The coarsest source that buckets of this size in this zone can be put together from, between these times."""
    clock = ZoneInfo(zone)
    if bucket.calendar == "fixed":
        began, step = _BEGAN.replace(tzinfo=clock).astimezone(UTC), timedelta(seconds=bucket.size_s)
        if step % DAY == began - _day(began) == timedelta():
            return Source.DAYS
        return Source.HOURS if step % HOUR == began - _hour(began) == timedelta() else Source.READINGS
    ahead = set(_ahead(clock, start, end))
    if ahead == {timedelta()}:
        return Source.DAYS
    return Source.HOURS if all(each % HOUR == timedelta() for each in ahead) else Source.READINGS


def cover(start: datetime, end: datetime, coarse: Source, closed: Closed | None) -> tuple[Part, ...]:
    """The parts of a range, in order: as coarse as they may be, as fine as they must be."""
    if closed is None or coarse is Source.READINGS or start >= closed.hours_to:
        return (Part(Source.READINGS, start, end),)
    first, last = _ceil(start, HOUR), min(_hour(end), closed.hours_to)
    if first >= last:
        return (Part(Source.READINGS, start, end),)
    parts = [Part(Source.READINGS, start, first)]
    late = closed.late
    if late is None or late[1] <= first or late[0] >= last:
        parts += _rolled(first, last, coarse, closed)
    else:
        begins, ends = max(first, late[0]), min(last, late[1])
        parts += _rolled(first, begins, coarse, closed)
        parts.append(Part(Source.READINGS, begins, ends))
        parts += _rolled(ends, last, coarse, closed)
    parts.append(Part(Source.READINGS, last, end))
    return tuple(part for part in parts if part.start < part.end)


def _rolled(start: datetime, end: datetime, coarse: Source, closed: Closed) -> Iterator[Part]:
    first, last = _ceil(start, DAY), min(_day(end), closed.days_to)
    if coarse is not Source.DAYS or first >= last:
        yield Part(Source.HOURS, start, end)
        return
    yield Part(Source.HOURS, start, first)
    yield Part(Source.DAYS, first, last)
    yield Part(Source.HOURS, last, end)


def _ahead(clock: ZoneInfo, start: datetime, end: datetime) -> Iterator[timedelta]:
    """How far the zone's clock was ahead of UTC on each day between these times, as far back as anything is kept."""
    at = max(start, end - timedelta(days=LONGEST_DAYS + 31))
    while at < end:
        yield clock.utcoffset(at.astimezone(clock)) or timedelta()
        at += DAY
    yield clock.utcoffset(end.astimezone(clock)) or timedelta()


def _hour(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _day(at: datetime) -> datetime:
    return _hour(at).replace(hour=0)


def _ceil(at: datetime, step: timedelta) -> datetime:
    floor = _hour(at) if step == HOUR else _day(at)
    return floor if floor == at else floor + step
