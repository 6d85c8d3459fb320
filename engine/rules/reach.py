"""Which values, or minutes of the week, make a leaf true: sets that can be cut, so that t > 8 and t < 5 never meet."""

import itertools
import math
from bisect import bisect_left
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple, TypeAlias

from engine.rules.findings import is_number
from engine.rules.model import OPPOSITE, AttributeLeaf, Leaf, Op, Operand, Scalar, TimeOfDay


class Span(NamedTuple):
    """Numbers from ``low`` to ``high``; an open end is left out itself."""

    low: float
    high: float
    is_low_open: bool = False
    is_high_open: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether no number lies in it."""
        return self.low > self.high or (self.low == self.high and (self.is_low_open or self.is_high_open))

    @property
    def end(self) -> tuple[float, bool]:
        """Its upper end, to be compared with others'."""
        return self.high, not self.is_high_open

    def ends_before(self, other: "Span") -> bool:
        """Whether its upper end comes first."""
        return self.end < other.end

    def begins_after(self, other: "Span") -> bool:
        """Whether its lower end comes last."""
        return (self.low, self.is_low_open) > (other.low, other.is_low_open)

    def cut(self, other: "Span") -> "Span":
        """What lies in both."""
        low = max((self.low, self.is_low_open), (other.low, other.is_low_open))
        high = min((self.high, not self.is_high_open), (other.high, not other.is_high_open))
        return Span(low[0], high[0], low[1], not high[1])


_END = attrgetter("end")


@dataclass(frozen=True, slots=True)
class Numbers:
    """A set of numbers: spans in rising order that do not touch."""

    spans: tuple[Span, ...]

    @property
    def is_empty(self) -> bool:
        """Whether no number is in it."""
        return not self.spans

    def cut(self, other: "Reach") -> "Reach":
        """What is in both; of different kinds nothing is."""
        if not isinstance(other, Numbers):
            return NOTHING
        cuts, one, two = list[Span](), 0, 0
        while one < len(self.spans) and two < len(other.spans):
            cut = self.spans[one].cut(other.spans[two])
            if not cut.is_empty:
                cuts.append(cut)
            if self.spans[one].ends_before(other.spans[two]):
                one += 1
            else:
                two += 1
        return Numbers(tuple(cuts))


@dataclass(frozen=True, slots=True)
class Choices:
    """A set of texts or of yes and no: those ``named``, or with ``is_others`` all but those."""

    named: frozenset[Scalar]
    is_others: bool = False
    is_boolean: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in it."""
        return len(self.named) == 2 if self.is_boolean and self.is_others else not (self.is_others or self.named)

    def cut(self, other: "Reach") -> "Reach":
        """What is in both; of different kinds nothing is."""
        if not isinstance(other, Choices) or other.is_boolean is not self.is_boolean:
            return NOTHING
        if self.is_others and other.is_others:
            return Choices(self.named | other.named, True, self.is_boolean)
        if self.is_others:
            return Choices(other.named - self.named, False, self.is_boolean)
        if other.is_others:
            return Choices(self.named - other.named, False, self.is_boolean)
        return Choices(self.named & other.named, False, self.is_boolean)


@dataclass(frozen=True, slots=True)
class Minutes:
    """A set of minutes of the week by one clock: bit 0 is Monday 00:00."""

    mask: int

    @property
    def is_empty(self) -> bool:
        """Whether no minute is in it."""
        return not self.mask

    @property
    def longest(self) -> int | None:
        """How many of its minutes follow each other at most, from week to week; None where it never ends."""
        if self.mask == _WHOLE_WEEK:
            return None
        return max(map(len, (f"{self.mask:0{_WEEK}b}" * 2).split("0")))

    def cut(self, other: "Reach") -> "Reach":
        """What is in both; of different kinds nothing is."""
        return Minutes(self.mask & other.mask) if isinstance(other, Minutes) else NOTHING

    def join(self, other: "Minutes") -> "Minutes":
        """What is in either."""
        return Minutes(self.mask | other.mask)


Reach: TypeAlias = Numbers | Choices | Minutes
NOTHING = Choices(frozenset())
_DAY = 1_440
_WEEK = 7 * _DAY
_WHOLE_WEEK = (1 << _WEEK) - 1
ALWAYS = Minutes(_WHOLE_WEEK)


def reach_of(leaf: Leaf | AttributeLeaf, *, negated: bool = False) -> Reach | None:
    """The values that make ``leaf`` (or its opposite) true; None where that depends on something else that is read."""
    if isinstance(leaf.value, Operand):
        return None
    op = OPPOSITE[leaf.op] if negated else leaf.op
    values = leaf.value if isinstance(leaf.value, tuple) else (leaf.value,)
    numbers = tuple(float(value) for value in values if is_number(value))
    if len(numbers) == len(values):
        return _numbers(op, numbers)
    is_boolean = all(isinstance(value, bool) for value in values)
    return Choices(frozenset(values), op in (Op.NE, Op.NOT_IN), is_boolean)


def minutes_of(time: TimeOfDay, *, negated: bool = False) -> Minutes:
    """The minutes of the week at which it is ``time`` (or is not); over midnight it belongs to the day it began."""
    start, end = time.minutes
    span = (1 << ((end - start) % _DAY or _DAY)) - 1
    mask = 0
    for day in time.days or range(1, 8):
        mask |= span << ((day - 1) * _DAY + start)
    mask = (mask | mask >> _WEEK) & _WHOLE_WEEK
    return Minutes(_WHOLE_WEEK & ~mask if negated else mask)


def within(low: float | None, high: float | None) -> Numbers:
    """All numbers from ``low`` to ``high``, ends included; None is no end."""
    return Numbers((Span(-math.inf if low is None else low, math.inf if high is None else high),))


def is_within(one: Reach, other: Reach) -> bool:
    """Whether all of ``one`` lies in ``other``."""
    if not isinstance(one, Numbers) or not isinstance(other, Numbers):
        return one.cut(other) == one
    # Where numbers are excluded the outermost spans are endless: the first of them or the last decides most often.
    return all(_is_in_one(span, other.spans) for span in (*one.spans[:1], *reversed(one.spans)))


def _is_in_one(span: Span, spans: tuple[Span, ...]) -> bool:
    place = bisect_left(spans, span.end, key=_END)
    return place < len(spans) and not spans[place].begins_after(span)


def _numbers(op: Op, values: tuple[float, ...]) -> Numbers:
    first, last = values[0], values[-1]
    match op:
        case Op.EQ | Op.IN:
            return Numbers(tuple(Span(value, value) for value in sorted(values)))
        case Op.NE | Op.NOT_IN:
            ends = [-math.inf, *sorted(values), math.inf]
            return Numbers(tuple(Span(low, high, True, True) for low, high in itertools.pairwise(ends)))
        case Op.LT:
            return Numbers((Span(-math.inf, first, True, True),))
        case Op.LE:
            return Numbers((Span(-math.inf, first, True),))
        case Op.GT:
            return Numbers((Span(first, math.inf, True, True),))
        case Op.GE:
            return Numbers((Span(first, math.inf, False, True),))
        case Op.BETWEEN:
            return Numbers((Span(first, last),))
        case Op.OUTSIDE:
            return Numbers((Span(-math.inf, first, True, True), Span(last, math.inf, True, True)))
