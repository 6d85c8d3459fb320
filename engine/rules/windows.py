"""What devices said lately: a bounded history per device and metric, and what rules ask of it (averages, slopes, …).

All rules of a tenant share one history per (device, metric), long enough for whoever looks back furthest. Everything
is asked *at a moment*, in event time, and is a function of the points up to that moment alone: how they came (in
order, late, or read back from telemetry after a restart) makes no difference, to the last bit. That is why sums are
kept exactly. Points in order cost a few steps each, however long the window; a late one makes its windows count anew.
"""

from array import array
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any, TypeAlias

LOOKBACK_MS = 7 * 86_400_000
"""What is older than this, seen from the moment looked at, is no longer anybody's past."""
MOST_POINTS = 20_000
"""The longest history of one metric of one device; of a window that would hold more, the newest so many count."""
TENANT_POINTS = 600_000
"""What one tenant's histories may hold in one worker: 32 MiB. Beyond it, the device asked longest ago is forgotten.

A point takes 56 bytes: 16 for its time and seq, 8 for the reference, 24 for a float, and what arrays have to spare.
"""
HUGE = 1e300
"""A window that holds a larger number has no sum and no average: they might be beyond what a double can say."""

Value: TypeAlias = bool | int | float | str | tuple[float, float]
"""What a history holds: what rules can compare, or the (latitude, longitude) of a position."""


@dataclass(frozen=True, slots=True)
class Need:
    """How far rules look back at a metric: ``over_ms`` in time, and at the ``last`` so many values before that."""

    over_ms: int = 0
    last: int = 1

    def __or__(self, other: "Need") -> "Need":
        return Need(max(self.over_ms, other.over_ms), max(self.last, other.last))


class History:
    """The points of one metric of one device in the order of (event time, seq)."""

    __slots__ = ("_first", "_need", "_seqs", "_sliding", "_times", "_values", "newest")

    def __init__(self, need: Need) -> None:
        self._need = need
        self._times = array("q")
        self._seqs = array("q")
        self._values: list[Value] = []
        self._first = 0  # how many points have been let go: places in the sliding windows are counted from the start
        self._sliding: dict[tuple[str, int], _Sums | _Extremes] = {}
        self.newest = -(2**62)

    def __len__(self) -> int:
        return len(self._values)

    def add(self, at: int, seq: int, value: Value) -> int:
        """Take in one point, its time in ms; returns by how many points the history has grown (or shrunk)."""
        before = len(self._values)
        if at > self.newest:
            self._let_go()  # by what was the newest: moments between that one and this may still be asked for
            self._append(at, seq, value)
            self.newest = at
        else:
            self._insert(at, seq, value)
        return len(self._values) - before

    def extend(self, times: Sequence[int], seqs: Sequence[int], values: Sequence[Value]) -> int:
        """Take in points in order, all later than the newest; only moments after the last will be asked for then."""
        before = len(self._values)
        self._times.extend(times)
        self._seqs.extend(seqs)
        self._values.extend(values)
        self.newest = times[-1]
        self._let_go()
        return len(self._values) - before

    def held(self, moment: int) -> Value | None:
        """The value as it was at ``moment``: that of the newest point up to it, None if there is none."""
        place = bisect_right(self._times, moment) - 1
        if place < 0 or self._times[place] <= moment - LOOKBACK_MS:
            return None
        return self._values[place]

    def before(self, moment: int) -> Value | None:
        """The value of the newest point before the newest one up to ``moment``, None if there is none."""
        place = bisect_right(self._times, moment) - 2
        return self._values[place] if place >= 0 and self._times[place] > moment - LOOKBACK_MS else None

    def within(self, moment: int, over_ms: int, last: int | None = None) -> list[Value]:
        """The values in (moment - over_ms, moment], or the ``last`` so many of them."""
        start, end = self._bounds(moment, over_ms, last)
        return self._values[start:end]

    def aggregate(self, kind: str, moment: int, over_ms: int, last: int | None = None) -> float | None:
        """What ``kind`` (avg, min, max, sum; count of all values) makes of the window's numbers; None without any."""
        if last is not None:
            return _aggregate(kind, self.within(moment, over_ms, last))
        if kind == "count":
            start, end = self._bounds(moment, over_ms, None)
            return end - start
        name = str(kind) if kind in ("min", "max") else "sums"
        window = self._sliding.get((name, over_ms))
        if window is None:
            window = self._sliding[name, over_ms] = _Sums() if name == "sums" else _Extremes(name == "max")
        start, end = self._bounds(moment, over_ms, None)
        if not window.can_slide(self._first + start, self._first + end):
            if window.end > self._first + end:
                return _aggregate(kind, self._values[start:end])  # a look back: it must not cost the next look ahead
            window.clear(self._first + start)
        window.slide(self._values, self._first, self._first + start, self._first + end)
        return window.result(kind)

    def rate(self, moment: int, over_ms: int) -> float | None:
        """The slope from the first to the last number of the window, a millisecond."""
        start, end = self._bounds(moment, over_ms, None)
        places = [place for place in (self._number(start, end, 1), self._number(end - 1, start - 1, -1)) if place >= 0]
        if len(places) < 2 or self._times[places[0]] == self._times[places[1]]:
            return None
        first, last = places
        return _finite((self._values[last] - self._values[first]) / (self._times[last] - self._times[first]))  # type: ignore[operator]

    def delta(self, moment: int, over_ms: int) -> float | None:
        """The newest number minus what it was when the window began (or minus the first in it)."""
        start, end = self._bounds(moment, over_ms, None)
        last = self._number(end - 1, start - 1, -1)
        began = self.held(moment - over_ms)
        first = began if _is_number(began) else self._value(self._number(start, end, 1))
        if last < 0 or first is None or (began is None and last == self._number(start, end, 1)):
            return None
        return _finite(self._values[last] - first)  # type: ignore[operator]

    def changed(self, moment: int, over_ms: int) -> bool | None:
        """Whether the newest value of the window differs from another in it or from the one it began with."""
        found = self.within(moment, over_ms)
        if not found:
            return None if self.held(moment) is None else False
        began = self.held(moment - over_ms)
        newest = found[-1]
        return any(value != newest for value in found) or (began is not None and began != newest)

    def stuck(self, moment: int, for_ms: int, within: float = 0.0) -> bool | None:
        """Whether it has not moved by more than ``within`` for so long; None when that cannot be known yet."""
        found, began = self.within(moment, for_ms), self.held(moment - for_ms)
        seen = found if began is None else [began, *found]
        if not seen:
            return None
        if _spread(seen, within):
            return False
        return True if began is not None and len(seen) > 1 else None

    def next_change(self, moment: int, over_ms: int, grid_ms: int) -> int | None:
        """When the window changes by itself, if nothing comes: at the grid's next line after its first point leaves.

        The last point leaves in time, not at the grid's line. None when the window is empty.
        """
        line = moment - moment % grid_ms  # what has left since then is still to be seen at the next one
        end = bisect_right(self._times, moment)
        start = bisect_right(self._times, line - over_ms, 0, end)
        if start >= end:
            return None
        seen = -(-(self._times[start] + over_ms) // grid_ms) * grid_ms
        empty = self._times[end - 1] + over_ms
        return min(seen, empty) if empty > moment else None

    def _bounds(self, moment: int, over_ms: int, last: int | None) -> tuple[int, int]:
        times = self._times
        end = len(times) if moment >= self.newest else bisect_right(times, moment)
        start = max(bisect_right(times, moment - over_ms, 0, end), end - MOST_POINTS)
        return (start if last is None else max(start, end - last)), end

    def _number(self, start: int, end: int, way: int) -> int:
        """The place of the first number from ``start`` on, -1 if there is none before ``end``."""
        for place in range(start, end, way):
            if _is_number(self._values[place]):
                return place
        return -1

    def _value(self, place: int) -> Value | None:
        return self._values[place] if place >= 0 else None

    def _append(self, at: int, seq: int, value: Value) -> None:
        self._times.append(at)
        self._seqs.append(seq)
        self._values.append(value)

    def _insert(self, at: int, seq: int, value: Value) -> None:
        place = bisect_right(self._times, at)
        while place and self._times[place - 1] == at and self._seqs[place - 1] >= seq:
            place -= 1
            if self._seqs[place] == seq:
                return  # it is here already
        self._times.insert(place, at)
        self._seqs.insert(place, seq)
        self._values.insert(place, value)
        self._sliding.clear()

    def _let_go(self) -> None:
        """Forget what nobody can ask for any more, once that is a good part of it."""
        times, last = self._times, self._need.last
        old = bisect_right(times, self.newest - self._need.over_ms) - last
        old = max(
            old, bisect_right(times, self.newest - self._need.over_ms - LOOKBACK_MS), len(times) - MOST_POINTS - last
        )
        if old > 16 and old * 4 >= len(times):
            del times[:old], self._seqs[:old], self._values[:old]
            self._first += old
            # A window that has not yet taken back what is now gone can no longer do so.
            self._sliding = {key: kept for key, kept in self._sliding.items() if kept.start >= self._first}


class _Sums:
    """How many numbers a window holds and their sum, exact: Shewchuk's partial sums, which can be taken back."""

    __slots__ = ("_count", "_huge", "_partials", "end", "start")

    def __init__(self) -> None:
        self.clear(0)

    def clear(self, at: int) -> None:
        """Begin anew with an empty window at this place."""
        self.start = self.end = at
        self._partials: list[float] = []
        self._count = self._huge = 0

    def can_slide(self, start: int, end: int) -> bool:
        """Whether both ends only have to go on."""
        return self.start <= start and self.end <= end

    def slide(self, values: list[Value], first: int, start: int, end: int) -> None:
        """Move both ends on; ``values[0]`` has the place ``first``."""
        if start - self.start + end - self.end > end - start:
            self._sum_up(values[start - first : end - first])
        else:
            for place in range(self.start, start):
                self._take(values[place - first], -1)
            for place in range(self.end, end):
                self._take(values[place - first], 1)
        self.start, self.end = start, end

    def result(self, kind: str) -> float | None:
        """The sum or the average."""
        if not self._count or self._huge:
            return None
        return fsum(self._partials) if kind == "sum" else fsum(self._partials) / self._count

    def _sum_up(self, values: list[Value]) -> None:
        """Begin anew with these values: fewer than would have to be taken in and back, and at once."""
        numbers = [float(value) for value in values if type(value) is float or type(value) is int]
        small = [number for number in numbers if -HUGE <= number <= HUGE]
        self._count, self._huge, self._partials = len(numbers), len(numbers) - len(small), []
        while rest := fsum(small):  # what rounding has left of it comes next, until nothing is left
            self._partials.insert(0, rest)
            small.append(-rest)

    def _take(self, value: Value, sign: int) -> None:
        if type(value) is not float and type(value) is not int:
            return
        self._count += sign
        x = float(value) * sign
        if abs(x) > HUGE:
            self._huge += sign
            return
        kept = 0
        partials = self._partials
        for y in partials:
            if abs(x) < abs(y):
                x, y = y, x
            high = x + y
            if low := y - (high - x):
                partials[kept] = low
                kept += 1
            x = high
        partials[kept:] = [x]


class _Extremes:
    """The greatest (or least) number of a window: those that a later one outdoes are not kept."""

    __slots__ = ("_kept", "_sign", "end", "start")

    def __init__(self, is_max: bool) -> None:
        self._sign = 1 if is_max else -1
        self.clear(0)

    def clear(self, at: int) -> None:
        """Begin anew with an empty window at this place."""
        self.start = self.end = at
        self._kept: deque[tuple[int, float, Any]] = deque()

    def can_slide(self, start: int, end: int) -> bool:
        """Whether both ends only have to go on."""
        return self.start <= start and self.end <= end

    def slide(self, values: list[Value], first: int, start: int, end: int) -> None:
        """Move both ends on; ``values[0]`` has the place ``first``."""
        kept, sign = self._kept, self._sign
        for place in range(max(self.end, start), end):
            value = values[place - first]
            if type(value) is float or type(value) is int:
                signed = sign * value
                while kept and kept[-1][1] <= signed:
                    kept.pop()
                kept.append((place, signed, value))
        while kept and kept[0][0] < start:
            kept.popleft()
        self.start, self.end = start, end

    def result(self, kind: str) -> float | None:
        """The extreme value."""
        return self._kept[0][2] if self._kept else None


class Windows:
    """One tenant's histories in one worker, by device and metric; those of a device are there as a whole or not at all.

    ``needs`` say how far rules look back, by metric. What is not ``knows`` must be given back from telemetry first.
    """

    def __init__(self, most_points: int = TENANT_POINTS) -> None:
        self.needs: Mapping[str, Need] = {}
        self._most = most_points
        self._devices: OrderedDict[str, dict[str, History]] = OrderedDict()
        self.points = 0

    def use(self, needs: Mapping[str, Need]) -> None:
        """Rules look back so far from now on; if it is further than before, everything is to be read again."""
        if needs == self.needs:
            return
        if any(self.needs.get(metric, Need(-1)) | need != self.needs.get(metric) for metric, need in needs.items()):
            self._devices.clear()
            self.points = 0
        else:
            needs = {metric: self.needs[metric] for metric in needs}
        self.needs = needs

    def knows(self, device: str) -> bool:
        """Whether the device's histories are here."""
        return device in self._devices

    def begin(self, device: str, points: Iterable[tuple[str, int, int, Value]] = ()) -> None:
        """From now on the device is known, with these points (metric, time in ms, seq, value) in any order."""
        self.forget(device)
        histories: dict[str, History] = {}
        self._devices[device] = histories
        for metric, at, seq, value in sorted(points, key=lambda point: point[1:3]):
            self.points += self._history(histories, metric).add(at, seq, value)

    def forget(self, device: str) -> None:
        """Let go of a device's histories."""
        self.points -= sum(map(len, self._devices.pop(device, {}).values()))

    def add(self, device: str, metric: str, at: int, seq: int, value: Value) -> None:
        """Take in one point of a known device; of an unknown one it will be read from telemetry when it is needed."""
        histories = self._devices.get(device)
        if histories is not None:
            self.points += self._history(histories, metric).add(at, seq, value)

    def extend(
        self, device: str, metric: str, times: Sequence[int], seqs: Sequence[int], values: Sequence[Value]
    ) -> None:
        """Take in points of a known device, in order and all later than its newest one of the metric."""
        self.points += self._history(self._devices[device], metric).extend(times, seqs, values)

    def of(self, device: str, metric: str) -> History | None:
        """A metric's history, None when it has no points."""
        histories = self._devices.get(device)
        return None if histories is None else histories.get(metric)

    def evict(self, spared: Iterable[str] = ()) -> int:
        """Forget devices until the bound holds, those asked longest ago first; returns how many."""
        count = 0
        if self.points > self._most:
            for device in spared:
                if device in self._devices:
                    self._devices.move_to_end(device)
            while self.points > self._most and len(self._devices) > 1:
                self.forget(next(iter(self._devices)))
                count += 1
        return count

    def _history(self, histories: dict[str, History], metric: str) -> History:
        history = histories.get(metric)
        if history is None:
            history = histories[metric] = History(self.needs[metric])
        return history

    def __iter__(self) -> Iterator[str]:
        return iter(self._devices)


def _aggregate(kind: str, values: list[Value]) -> float | None:
    if kind == "count":
        return len(values)
    numbers: list[Any] = [value for value in values if _is_number(value)]
    if not numbers:
        return None
    if kind in ("min", "max"):
        return min(reversed(numbers)) if kind == "min" else max(reversed(numbers))  # type: ignore[no-any-return]
    if any(abs(number) > HUGE for number in numbers):
        return None
    return fsum(numbers) if kind == "sum" else fsum(numbers) / len(numbers)


def _spread(values: list[Value], within: float) -> bool:
    """Whether the values differ by more than ``within``."""
    if all(_is_number(value) for value in values):
        return max(values) - min(values) > within  # type: ignore[operator]
    return any(value != values[0] for value in values)


def _is_number(value: object) -> bool:
    return type(value) is float or type(value) is int


def _finite(value: float) -> float | None:
    return value if -1e308 <= value <= 1e308 else None
