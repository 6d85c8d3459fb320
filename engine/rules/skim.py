"""Which stored messages certainly leave a rule as it stands, found for all messages of a device at once.

Most of what a backtest plays is far from the rule's limits. For each message it is worked out between which bounds
everything that the rule reads lies until the next one comes, at whatever moment it is looked at. Where the condition
is the same for all that lies between them, playing the message would move nothing. Whatever is near a limit, unusual
or not known is played. So bounds may be too wide, never too narrow: sums are made in passing, and what rounding may
have made of them is added on either side.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from math import fsum, inf
from operator import le, lt, sub
from typing import Any, TypeAlias

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

FALSE, UNSURE, TRUE = 0, 1, 2
"""What a condition is until the next message comes. All of several is the least of them, any the greatest."""
ROUNDING = 2**-50
"""Of a sum of doubles, by how much of all that was added each addition may have been wrong, and more."""
_TOLD = {True: TRUE, False: FALSE, None: UNSURE}
_READ = WINDOWED - {InputKind.PLACE} | OF_DEVICE | {InputKind.METRIC, InputKind.TIME}

Bounds: TypeAlias = tuple[Sequence[float], Sequence[float]]
"""Of each message, between what and what something lies until the next one comes; infinite where it may be unknown."""


@dataclass(frozen=True, slots=True)
class Rest:
    """The places of the messages that are ``to_play``, by where the rule stands; the last message always is.

    ``times``: event time of each message. ``longest_lag``: the longest time from an event to its receipt.
    """

    rule: CompiledRule
    times: Sequence[int]
    to_play: Mapping[Phase, Sequence[int]]
    longest_lag: int

    def until(self, state: RuleState, place: int) -> int:
        """The next message to be played, from ``place`` on: those before it leave the rule in this state.

        What changes by itself after the message before ``place`` must not move it either. Nor must a tick look further
        than to the next message, as one could that goes by a much shorter lag. With what comes when a wait is over,
        it is.
        """
        if state.due_at is not None and state.lag + PATIENCE_MS < self.longest_lag:
            return place
        places, over = self.to_play[state.phase], deadline(self.rule, state)
        end = places[bisect_left(places, max(place - 1, 0))]
        return max(place, end if over is None else min(end, bisect_left(self.times, over)))


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
    if not lags or not _is_in_order(record) or not _are_plain(rule, record):
        return None
    over_ms = max((need.over_ms for need in plan.needs.values()), default=0)
    if any(map(over_ms.__ge__, map(sub, islice(record.times, MOST_POINTS, None), record.times))):
        return None  # a window holds more than is kept
    if max(lags) > min(rule.max_lateness_ms, min(lags) + PATIENCE_MS):
        return None
    when = _verdicts(resolved(rule.document.when, rule.vocabulary), record, is_over)
    clear = rule.document.clear
    clears = _not(when) if clear is None else _verdicts(resolved(clear.when, rule.vocabulary), record, is_over)
    both = list(enumerate(zip(when, clears, strict=True)))
    to_play = {
        Phase.OK: [place for place, is_wrong in enumerate(when) if is_wrong != FALSE],
        Phase.PENDING: [place for place, is_wrong in enumerate(when) if is_wrong != TRUE],
        Phase.FIRING: [place for place, (is_wrong, is_right) in both if is_wrong != TRUE and is_right != FALSE],
        Phase.CLEARING: [place for place, (is_wrong, is_right) in both if is_wrong != FALSE or is_right != TRUE],
    }
    for places in to_play.values():  # the last one always: after it time passes without end
        if places[-1:] != [len(lags) - 1]:
            places.append(len(lags) - 1)
    return Rest(rule, record.times, to_play, max(lags))


def _is_in_order(record: Record) -> bool:
    times, received = record.times, record.received
    return all(map(lt, times, islice(times, 1, None))) and all(map(le, received, islice(received, 1, None)))


def _are_plain(rule: CompiledRule, record: Record) -> bool:
    """Whether each message brings all that the rule reads, as values that are compared and kept as they are."""
    columns = [record.columns[metric] for metric in rule.metrics]
    return all(_is_numeric(column) or {*map(type, column)} == {bool} for column in columns)


def _is_numeric(column: Sequence[Any]) -> bool:
    return {*map(type, column)} <= {float, int} and min(column) >= -MAX_EXACT and max(column) <= MAX_EXACT


def _verdicts(condition: Condition, record: Record, is_over: Callable[[], bool]) -> Sequence[int]:
    if is_over():
        return [UNSURE] * len(record)
    match condition:
        case All(of=parts) | AnyOf(of=parts):
            decides = min if isinstance(condition, All) else max
            first, *others = [_verdicts(part, record, is_over) for part in parts]
            return list(map(decides, first, *others)) if others else first
        case Not(of=part):
            return _not(_verdicts(part, record, is_over))
        case Leaf(metric=metric, how=None, value=bool(value), op=Op.EQ | Op.NE as op):
            verdict: dict[object, int] = {each: _TOLD[compared(each, op, value)] for each in (True, False)}
            column = record.columns[metric]
            return [UNSURE] * len(record) if _is_numeric(column) else [verdict.get(each, UNSURE) for each in column]
        case Leaf(op=op, value=value):
            bounds = _bounds(condition, record)
            if bounds is not None and all(map(is_number, value if isinstance(value, tuple) else (value,))):
                return _compared(bounds, op, value)
    return [UNSURE] * len(record)


def _not(verdicts: Sequence[int]) -> Sequence[int]:
    return [TRUE - verdict for verdict in verdicts]


def _compared(bounds: Bounds, op: Op, value: Any) -> Sequence[int]:
    match op:
        case Op.GT | Op.LE:
            above = [
                TRUE if low > value else FALSE if high <= value else UNSURE for low, high in zip(*bounds, strict=True)
            ]
            return above if op is Op.GT else _not(above)
        case Op.GE | Op.LT:
            above = [
                TRUE if low >= value else FALSE if high < value else UNSURE for low, high in zip(*bounds, strict=True)
            ]
            return above if op is Op.GE else _not(above)
        case Op.BETWEEN | Op.EQ:
            least, most = value if op is Op.BETWEEN else (value, value)
            return list(map(min, _compared(bounds, Op.GE, least), _compared(bounds, Op.LE, most)))
        case Op.OUTSIDE | Op.NE:
            return _not(_compared(bounds, Op.BETWEEN if op is Op.OUTSIDE else Op.EQ, value))
        case _:
            return [UNSURE] * len(bounds[0])


def _bounds(leaf: Leaf, record: Record) -> Bounds | None:
    """Between what the left side lies; None where that is not worked out."""
    column: Any = record.columns[leaf.metric]
    if not _is_numeric(column):
        return None
    match leaf.how:
        case None:
            return column, column
        case Aggregate(fn=fn, over=over) if over is not None:
            windows = _windows(record.times, over.ms)
            return _extremes(column, windows, fn) if fn in (Fn.MIN, Fn.MAX) else _sums(column, windows, fn)
        case Rate(over=over, per=per):
            times, per_ms = record.times, per.ms
            return _spread(
                _windows(times, over.ms),
                lambda first, last: (column[last] - column[first]) / (times[last] - times[first]) * per_ms,
                least=2,
            )
        case _:
            return None


def _windows(times: Sequence[int], over_ms: int) -> Iterator[tuple[int, int, int]]:
    """Of each message: itself, and the first places that its window may begin at until the next one comes."""
    first = [bisect_right(times, at - over_ms) for at in times]
    return zip(range(len(times)), first, [*first[1:], len(times)], strict=True)


def _sums(column: Sequence[float], windows: Iterator[tuple[int, int, int]], fn: Fn) -> Bounds:
    """Of sums, averages and counts."""
    so_far = [0.0, *accumulate(column)]
    if fn is Fn.COUNT:
        return _spread(windows, lambda first, last: last + 1 - first)
    if fn is Fn.SUM:
        lows, highs = _spread(windows, lambda first, last: so_far[last + 1] - so_far[first])
    else:
        lows, highs = _spread(windows, lambda first, last: (so_far[last + 1] - so_far[first]) / (last + 1 - first))
    slack = ROUNDING * (len(column) + 8) * fsum(map(abs, column))
    return [low - slack for low in lows], [high + slack for high in highs]


def _spread(
    windows: Iterator[tuple[int, int, int]], of: Callable[[int, int], float], least: int = 1
) -> tuple[list[float], list[float]]:
    """The least and the greatest that is made of a window from its first place to its last; it needs so many points."""
    lows, highs = [], []
    for last, first, after in windows:
        if after + least > last + 1:
            lows.append(-inf)
            highs.append(inf)
        else:
            low = high = of(first, last)
            for begin in range(first + 1, after + 1):
                made = of(begin, last)
                if made < low:
                    low = made
                elif made > high:
                    high = made
            lows.append(low)
            highs.append(high)
    return lows, highs


def _extremes(column: Sequence[float], windows: Iterator[tuple[int, int, int]], fn: Fn) -> Bounds:
    """Of the least or the greatest: between that of the whole window and that of what is left of it in the end."""
    sign = 1 if fn is Fn.MAX else -1
    kept: deque[int] = deque()  # places of values that no later one outdoes
    lows, highs = [], []
    for place, _, after in windows:
        while kept and sign * column[kept[-1]] <= sign * column[place]:
            kept.pop()
        kept.append(place)
        whole = column[kept[0]]
        while kept and kept[0] < after:
            kept.popleft()
        lows.append(min(whole, column[kept[0]]) if kept else -inf)
        highs.append(max(whole, column[kept[0]]) if kept else inf)
    return lows, highs
