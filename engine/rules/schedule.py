"""When: times of day and days of the week, and cron, by the clock on the wall of the device's site.

Daylight saving is the wall's: a span that lies in the hour skipped in spring does not happen that day, one in the hour
that comes twice in autumn happens twice. Cron does as Debian's does: what names a time of day happens at once after the
jump, and once; what begins with a star in its minute or hour happens whenever the wall shows it. `cronsim` says which
readings of a clock an expression names, and is asked of a clock that nobody sets: of one that is, it named times that
were over, and where half an hour came twice it missed one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import lru_cache
from typing import TypeAlias
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

UTC = ZoneInfo("UTC")
EVERY_DAY = frozenset(range(1, 8))
NEVER = 2**62
_SECOND, _DAY_MS = timedelta(seconds=1), 86_400_000


@dataclass(frozen=True, slots=True)
class Span:
    """From ``start`` to ``end`` (minutes since midnight, the end not included) on ``days`` (ISO: Monday is 1).

    One that ends before it starts goes on into the next day and belongs to the day it began; equal ends: all day.
    """

    days: frozenset[int] = EVERY_DAY
    start: int = 0
    end: int = 0

    def holds(self, moment: int, zone: ZoneInfo) -> bool:
        """Whether ``moment`` (ms) lies in it by the zone's clock."""
        return _stretch(self, moment, zone)[2]

    def next_change(self, moment: int, zone: ZoneInfo) -> int | None:
        """The first moment after this one at which `holds` answers otherwise; None if it never does."""
        _, until, _ = _stretch(self, moment, zone)
        return until if until < NEVER else None

    def _holds(self, moment: int, zone: ZoneInfo) -> bool:
        local = datetime.fromtimestamp(moment / 1000, zone)
        minute, today = local.hour * 60 + local.minute, local.isoweekday()
        if self.start < self.end:
            return today in self.days and self.start <= minute < self.end
        yesterday = 7 if today == 1 else today - 1
        return (today in self.days and minute >= self.start) or (yesterday in self.days and minute < self.end)


_Stretch: TypeAlias = tuple[int, int, bool]
"""From when, until when (not included), and whether the span holds all the while."""
_found: dict[tuple[Span, ZoneInfo], _Stretch] = {}


def _stretch(span: Span, moment: int, zone: ZoneInfo) -> _Stretch:
    """The stretch of time around ``moment``; the last one found of each span and zone is remembered."""
    key = span, zone
    found = _found.get(key)
    if found is None or not found[0] <= moment < found[1]:
        holds = span._holds(moment, zone)
        change = (edge for edge in _edges(span, moment, zone) if edge > moment and span._holds(edge, zone) != holds)
        found = moment, next(change, NEVER), holds
        if len(_found) >= 4_096:
            _found.clear()
        _found[key] = found
    return found


def _edges(span: Span, moment: int, zone: ZoneInfo) -> Iterator[int]:
    """Where it may begin or end within the next nine days, in order; also where the wall's clock is set."""
    today = datetime.fromtimestamp(moment / 1000, zone).date()
    for days in range(-1, 9):
        midnight = datetime.combine(today + timedelta(days=days), time(), zone)
        low, high = _ms(midnight), _ms(midnight + timedelta(days=1))
        walls = [midnight + timedelta(minutes=minute) for minute in (0, span.start, span.end)]
        edges = {_ms(wall.replace(fold=fold)) for wall in walls for fold in (0, 1)}
        if _offset(low, zone) != _offset(high, zone):
            edges.add(_set_at(low, high, zone))
        yield from sorted(edges)


def is_cron(expression: str) -> bool:
    """Whether this is a cron expression of five fields (minute, hour, day, month, weekday) that comes round at all."""
    return len(expression.split()) == 5 and next_time(expression, 0, ZoneInfo("UTC")) is not None


@lru_cache(maxsize=4_096)
def next_time(expression: str, moment: int, zone: ZoneInfo) -> int | None:
    """The first time (ms) after ``moment`` that the cron expression names by the zone's clock."""
    moment = moment // 1000 * 1000
    wall, ahead = _wall(moment, zone), _offset(moment, zone)
    try:
        if _names_a_time(expression):
            return next(at for each in CronSim(expression, wall) if (at := _first_shown(each, zone)) > moment)
        while True:
            found = _ms((next(CronSim(expression, wall)) - ahead).replace(tzinfo=UTC))
            change = _change(moment, found, zone)
            if change is None:
                return found
            moment, ahead = change, _offset(change, zone)
            wall = _wall(change, zone) - _SECOND
    except (CronSimError, StopIteration, OverflowError):
        return None


def last_time(expression: str, after: int, until: int, zone: ZoneInfo) -> int | None:
    """The last time (ms) in (after, until] that the cron expression names; those missed before it are not made up."""
    moment = until // 1000 * 1000
    wall, ahead = _wall(moment, zone) + _SECOND, _offset(moment, zone)
    try:
        if _names_a_time(expression):
            again = wall.replace(tzinfo=zone)  # what is yet to come for the second time was there for the first
            wall += max(_ahead(again) - ahead, timedelta())
            walls = CronSim(expression, wall, reverse=True)
            found = next(at for each in walls if (at := _first_shown(each, zone)) <= moment)
            return found if found > after else None
        while True:
            found = _ms((next(CronSim(expression, wall, reverse=True)) - ahead).replace(tzinfo=UTC))
            change = _change(moment, found, zone)
            if change is None or change <= after:
                return found if change is None and found > after else None
            moment = change - 1_000
            wall, ahead = _wall(moment, zone) + _SECOND, _offset(moment, zone)
    except (CronSimError, StopIteration, OverflowError):
        return None


def _names_a_time(expression: str) -> bool:
    return not any(field.startswith("*") for field in expression.split()[:2])


def _first_shown(wall: datetime, zone: ZoneInfo) -> int:
    """When a clock shows this for the first time; what it never shows, when it has been set beyond that."""
    at = _ms(wall.replace(tzinfo=zone))
    if _wall(at, zone) == wall:
        return at
    return _set_at(_ms(wall.replace(tzinfo=zone, fold=1)), at, zone)


def _change(begin: int, end: int, zone: ZoneInfo) -> int | None:
    """Where the wall's clock is set first on the way from one moment to another, which may be before it."""
    step = _DAY_MS if end > begin else -_DAY_MS
    while begin != end:
        until = end if abs(end - begin) <= _DAY_MS else begin + step
        if _offset(begin, zone) != _offset(until, zone):
            return _set_at(min(begin, until), max(begin, until), zone)
        begin = until
    return None


def _set_at(low: int, high: int, zone: ZoneInfo) -> int:
    """The moment between two, to the second, at which the wall's clock is set."""
    before = _offset(low, zone)
    while high - low > 1_000:
        middle = (low + high) // 2_000 * 1_000
        low, high = (middle, high) if _offset(middle, zone) == before else (low, middle)
    return high


def _offset(moment: int, zone: ZoneInfo) -> timedelta:
    return _ahead(datetime.fromtimestamp(moment / 1000, zone))


def _ahead(local: datetime) -> timedelta:
    return local.utcoffset() or timedelta()


def _wall(moment: int, zone: ZoneInfo) -> datetime:
    """What the clock on the wall shows."""
    return datetime.fromtimestamp(moment / 1000, zone).replace(tzinfo=None, fold=0)


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
