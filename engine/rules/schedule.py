"""When: times of day and days of the week, and cron, by the clock on the wall of the device's site.

Daylight saving is the wall's: a span that lies in the hour skipped in spring does not happen that day, one in the hour
that comes twice in autumn happens twice. Cron does as Debian's does (`cronsim`): at once after the jump, and once.
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
    try:
        begin = datetime.fromtimestamp(moment // 1000, zone)
        return _ms(next(CronSim(expression, begin)))
    except (CronSimError, StopIteration, OverflowError):
        return None


def last_time(expression: str, after: int, until: int, zone: ZoneInfo) -> int | None:
    """The last time (ms) in (after, until] that the cron expression names; those missed before it are not made up."""
    try:
        begin = datetime.fromtimestamp(until // 1000 + 1, zone)
        found = _ms(next(CronSim(expression, begin, reverse=True)))
    except (CronSimError, StopIteration, OverflowError):
        return None
    return found if after < found <= until else None


def _set_at(low: int, high: int, zone: ZoneInfo) -> int:
    """The moment between two, to the second, at which the wall's clock is set."""
    before = _offset(low, zone)
    while high - low > 1_000:
        middle = (low + high) // 2_000 * 1_000
        low, high = (middle, high) if _offset(middle, zone) == before else (low, middle)
    return high


def _offset(moment: int, zone: ZoneInfo) -> timedelta | None:
    return datetime.fromtimestamp(moment / 1000, zone).utcoffset()


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
