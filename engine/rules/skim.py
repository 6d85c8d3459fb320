"""Which stored messages certainly leave a rule as it stands, found for all messages of a device at once.

Most of what a backtest plays is far from the rule's limits. For each message it is worked out between which bounds
everything that the rule reads lies as it comes, and until the next one comes, at whatever moment it is looked at.
Where the condition is the same for all that lies between them, playing the message would move nothing. Whatever is
near a limit, unusual or not known is played. So bounds may be too wide, never too narrow: sums are made in passing,
and what rounding may have made of them is allowed for on either side.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate, islice
from math import fsum, inf
from operator import and_, le, lt, or_, sub
from typing import Any, NamedTuple, TypeAlias

from engine.rules.compile import CompiledRule
from engine.rules.facts import compared
from engine.rules.findings import MAX_EXACT, is_number
from engine.rules.inputs import InputKind
from engine.rules.model import Aggregate, All, AnyOf, Condition, Fn, Leaf, Not, Op, Rate
from engine.rules.moves import PATIENCE_MS, deadline
from engine.rules.plan import OF_DEVICE, WINDOWED, plan_of
from engine.rules.record import Record
from engine.rules.resolve import resolved
from engine.rules.state import Phase, RuleState
from engine.rules.windows import MOST_POINTS

ROUNDING = 2**-50
"""Of a sum of doubles, by how much of all that was added each addition may have been wrong, and more."""
_READ = WINDOWED - {InputKind.PLACE} | OF_DEVICE | {InputKind.METRIC, InputKind.TIME}

Flags: TypeAlias = int
"""Yes or no for each message as it comes, then for each until the next one comes: bytes, the first is the lowest."""


class Verdict(NamedTuple):
    """When a condition is certainly true, and when it may be."""

    is_true: Flags
    may_be: Flags


class Bounds(NamedTuple):
    """Between what and what something lies, ``slack`` more or less, and the ``limit`` that it is compared with.

    Of each message as it comes, then of each until the next one comes; once where both are the same. Infinite where it
    may be unknown.
    """

    lows: Sequence[float]
    highs: Sequence[float]
    limit: float
    slack: float = 0.0


@dataclass(frozen=True, slots=True)
class Rest:
    """Which messages are ``to_play``, by where the rule stands, each a byte that is 1; the last message always is.

    ``times``: event time of each message. ``longest_lag``: the longest time from an event to its receipt.
    """

    rule: CompiledRule
    times: Sequence[int]
    to_play: Mapping[Phase, bytes]
    longest_lag: int

    def until(self, state: RuleState, place: int) -> int:
        """The next message to be played, from ``place`` on: those before it leave the rule in this state.

        What changes by itself after the message before ``place`` must not move it either. Nor must a tick look further
        than to the next message, as one could that goes by a much shorter lag. With what comes when a wait is over,
        it is.
        """
        if state.due_at is not None and state.lag + PATIENCE_MS < self.longest_lag:
            return place
        end, over = self.to_play[state.phase].find(1, place), deadline(self.rule, state)
        return end if over is None else max(place, min(end, bisect_left(self.times, over)))


def skim(rule: CompiledRule, record: Record, is_over: Callable[[], bool] = lambda: False) -> Rest | None:
    """What is to be played of the record; None for all of it.

    That is so for rules that read anything but values, windows and what the device is, and for devices of which a
    message came out of order, late or without something that the rule reads. Once time ``is_over``, the leaves that
    are left count as unknown.
    """
    plan = plan_of(rule)
    if not rule.metrics or not plan.kinds <= _READ or plan.missing_ms is not None or plan.cron is not None:
        return None
    lags = list(map(sub, record.received, record.times))
    if not lags or not _is_in_order(record):
        return None
    numeric = [metric for metric in rule.metrics if _is_numeric(record.columns[metric])]
    if any({*map(type, record.columns[metric])} != {bool} for metric in rule.metrics if metric not in numeric):
        return None  # values that are not compared and kept as they are
    over_ms = max((need.over_ms for need in plan.needs.values()), default=0)
    if any(map(over_ms.__ge__, map(sub, islice(record.times, MOST_POINTS, None), record.times))):
        return None  # a window holds more than is kept
    if max(lags) > min(rule.max_lateness_ms, min(lags) + PATIENCE_MS):
        return None
    judge, clear = _Judge(record, numeric, is_over), rule.document.clear
    when = judge.verdict(resolved(rule.document.when, rule.vocabulary))
    clears = judge.opposite(when) if clear is None else judge.verdict(resolved(clear.when, rule.vocabulary))
    not_wrong, not_right = judge.opposite(when).may_be, judge.opposite(clears).may_be
    to_play = {
        Phase.OK: when.may_be,
        Phase.PENDING: not_wrong,
        Phase.FIRING: not_wrong & clears.may_be,
        Phase.CLEARING: when.may_be | not_right,
    }
    places = {phase: _places(flags, len(lags)) for phase, flags in to_play.items()}
    return Rest(rule, record.times, places, max(lags))


def _places(flags: Flags, count: int) -> bytes:
    """The messages to be played: as they come, after what may have changed by itself since the one before, the last."""
    told = flags.to_bytes(2 * count, "little")
    now, since = int.from_bytes(told[:count], "little"), int.from_bytes(told[count:-1], "little") << 8
    return (now | since | 1 << 8 * (count - 1)).to_bytes(count, "little")


def _is_in_order(record: Record) -> bool:
    times, received = record.times, record.received
    return all(map(lt, times, islice(times, 1, None))) and all(map(le, received, islice(received, 1, None)))


def _is_numeric(column: Sequence[Any]) -> bool:
    return {*map(type, column)} <= {float, int} and min(column) >= -MAX_EXACT and max(column) <= MAX_EXACT


class _Judge:
    """What conditions are for each message of a record, whose ``numeric`` metrics are."""

    def __init__(self, record: Record, numeric: Sequence[str], is_over: Callable[[], bool]) -> None:
        self._record, self._numeric, self._is_over = record, numeric, is_over
        self._always = _flags(b"\1" * len(record), len(record))
        self._firsts: dict[int, list[int]] = {}

    def verdict(self, condition: Condition) -> Verdict:
        """When it is true and when it may be."""
        if self._is_over():
            return Verdict(0, self._always)
        match condition:
            case All(of=parts) | AnyOf(of=parts):
                joined = and_ if isinstance(condition, All) else or_
                return Verdict(*(reduce(joined, each) for each in zip(*map(self.verdict, parts), strict=True)))
            case Not(of=part):
                return self.opposite(self.verdict(part))
            case Leaf(metric=metric, how=None, value=bool(value), op=Op.EQ | Op.NE as op):
                if metric not in self._numeric:
                    is_so = {each: compared(each, op, value) is True for each in (True, False)}
                    column: Any = self._record.columns[metric]
                    flags = _flags(bytes([is_so[each] for each in column]), len(column))
                    return Verdict(flags, flags)
            case Leaf(metric=metric, op=op, value=value) if metric in self._numeric:
                if all(map(is_number, value if isinstance(value, tuple) else (value,))):
                    return self._compared(condition, op, value)
        return Verdict(0, self._always)

    def opposite(self, verdict: Verdict) -> Verdict:
        """When the opposite is true and when it may be."""
        return Verdict(self._always ^ verdict.may_be, self._always ^ verdict.is_true)

    def _compared(self, leaf: Leaf, op: Op, value: Any) -> Verdict:
        match op:
            case Op.GT | Op.GE:
                bounds = self._bounds(leaf, value)
                return Verdict(0, self._always) if bounds is None else _above(bounds, op, len(self._record))
            case Op.LE | Op.LT:
                return self.opposite(self._compared(leaf, Op.GT if op is Op.LE else Op.GE, value))
            case Op.BETWEEN | Op.EQ:
                least, most = value if op is Op.BETWEEN else (value, value)
                over, under = self._compared(leaf, Op.GE, least), self._compared(leaf, Op.LE, most)
                return Verdict(over.is_true & under.is_true, over.may_be & under.may_be)
            case Op.OUTSIDE | Op.NE:
                return self.opposite(self._compared(leaf, Op.BETWEEN if op is Op.OUTSIDE else Op.EQ, value))
            case _:
                return Verdict(0, self._always)

    def _bounds(self, leaf: Leaf, limit: float) -> Bounds | None:
        """Between what the left side lies; None where that is not worked out."""
        column: Any = self._record.columns[leaf.metric]
        match leaf.how:
            case None:
                return Bounds(column, column, limit)
            case Aggregate(fn=fn, over=over) if over is not None:
                made = _extremes if fn in (Fn.MIN, Fn.MAX) else _sums
                return made(column, self._begins(over.ms), fn, limit)
            case Rate(over=over, per=per):
                return _slopes(column, self._record.times, self._begins(over.ms), per.ms, limit)
            case _:
                return None

    def _begins(self, over_ms: int) -> list[int]:
        """Of each message, the first place of its window as it comes. Until the next one comes, it is the next's."""
        found = self._firsts.get(over_ms)
        if found is None:
            times, first = self._record.times, 0
            found = self._firsts[over_ms] = []
            for at in times:
                while times[first] <= at - over_ms:  # they are in order, and a window holds its own message
                    first += 1
                found.append(first)
        return found


def _flags(told: bytes, count: int) -> Flags:
    return int.from_bytes(told if len(told) > count else told + told, "little")


def _above(bounds: Bounds, op: Op, count: int) -> Verdict:
    """When something is greater than its limit (or as great: GE)."""
    lows, highs, limit, slack = bounds
    sure, may = limit + slack, limit - slack
    if op is Op.GT:
        is_true = bytes([low > sure for low in lows])
        may_be = is_true if highs is lows and not slack else bytes([high > may for high in highs])
    else:
        is_true = bytes([low >= sure for low in lows])
        may_be = is_true if highs is lows and not slack else bytes([high >= may for high in highs])
    return Verdict(_flags(is_true, count), _flags(may_be, count))


def _moving(firsts: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Of each message: itself, and the first places of its window as it comes and until the next one comes."""
    return zip(range(len(firsts)), firsts, [*firsts[1:], firsts[-1]], strict=True)  # after the last there is none


def _sums(column: Sequence[float], firsts: Sequence[int], fn: Fn, limit: float) -> Bounds:
    """Of sums and counts: what there was in all by a message, less what there was before its window.

    An average is above a limit where the sum of how far each number is above it is above nothing.
    """
    so_far: Sequence[float] = range(len(column) + 1)
    slack = 0.0
    if fn is not Fn.COUNT:
        base = min(max(limit, -2 * MAX_EXACT), 2 * MAX_EXACT) if fn is Fn.AVG else 0
        so_far = [0.0, *accumulate([number - base for number in column])]
        slack = ROUNDING * (len(column) + 8) * (fsum(map(abs, column)) + len(column) * abs(base))
        limit = 0 if fn is Fn.AVG else limit
    ended, began = so_far[1:], [so_far[first] for first in firsts]
    now, later = list(map(sub, ended, began)), list(map(sub, ended, [*began[1:], began[-1]]))
    lows = [one if one < other else other for one, other in zip(now, later, strict=True)]
    highs = [one if one > other else other for one, other in zip(now, later, strict=True)]
    for place, first, after in [each for each in _moving(firsts) if each[2] > each[1] + 1 or each[2] > each[0]]:
        made = [so_far[place + 1] - so_far[begin] for begin in range(first, after + 1)]
        lows[place], highs[place] = (-inf, inf) if after > place else (min(made), max(made))
    return Bounds(now + lows, now + highs, limit, slack)


def _slopes(column: Sequence[float], times: Sequence[int], firsts: Sequence[int], per_ms: int, limit: float) -> Bounds:
    """Of rates: of two points at least."""
    lows: tuple[list[float], list[float]] = [], []
    highs: tuple[list[float], list[float]] = [], []
    for last, first, after in _moving(firsts):
        for place, end in enumerate((first, after)):
            made = [-inf, inf]
            if end < last:
                made = [
                    (column[last] - column[begin]) / (times[last] - times[begin]) * per_ms
                    for begin in range(first, end + 1)
                ]
            lows[place].append(min(made))
            highs[place].append(max(made))
    return Bounds(lows[0] + lows[1], highs[0] + highs[1], limit)


def _extremes(column: Sequence[float], firsts: Sequence[int], fn: Fn, limit: float) -> Bounds:
    """Of the least or the greatest: between that of the whole window and that of what is left of it in the end."""
    sign = 1 if fn is Fn.MAX else -1
    kept: deque[int] = deque()  # places of values that no later one outdoes
    now, lows, highs = list[float](), list[float](), list[float]()
    for place, _, after in _moving(firsts):
        while kept and sign * column[kept[-1]] <= sign * column[place]:
            kept.pop()
        kept.append(place)
        whole = column[kept[0]]
        while kept and kept[0] < after:
            kept.popleft()
        now.append(whole)
        lows.append(min(whole, column[kept[0]]) if kept else -inf)
        highs.append(max(whole, column[kept[0]]) if kept else inf)
    return Bounds(now + lows, now + highs, limit)
