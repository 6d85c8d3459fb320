"""What leaves say of the facts they share: each as sets of values, and what one such set says of other facts.

Whoever knows that the lowest temperature of an hour is above 8 knows that its average is, and its highest.
"""

import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from engine.rules.inputs import Input, InputKind, derived, left, right
from engine.rules.logic import compared_as
from engine.rules.model import (
    OPPOSITE,
    SITE,
    Aggregate,
    All,
    AnyLeaf,
    AnyOf,
    AttributeLeaf,
    Circle,
    Condition,
    DeviceEvent,
    Fn,
    InGroup,
    Leaf,
    OfProfile,
    Online,
    Op,
    Operand,
    OtherMetric,
    Place,
    Polygon,
    Scope,
    Silence,
    Tagged,
    TimeOfDay,
    Whereabouts,
)
from engine.rules.places import distance_m
from engine.rules.reach import Choices, Numbers, Reach, Span, minutes_of, reach_of, within
from engine.rules.windows import MOST_POINTS

CLOCK = "\tclock:"
"""How the subjects of times of day begin: one for each clock, whose values are minutes of the week."""
_YES, _NO = Choices(frozenset({True}), is_boolean=True), Choices(frozenset({False}), is_boolean=True)
_PULSES = (Whereabouts.ENTERED, Whereabouts.LEFT)
_SHORT = 1 << 38
"""Sums of 20,000 numbers with so many binary digits are exact, and so are averages at such a bound."""


class Said(NamedTuple):
    """That the subject is one of the values in ``reach``; ``fact``: the subject, where it may bear on others."""

    subject: str
    reach: Reach
    fact: Input | None = None


def facts_of(leaf: AnyLeaf, *, negated: bool, is_known: bool) -> Iterator[Said]:
    """What is so where ``leaf`` (or its opposite) is true, in the profile's units.

    ``is_known``: also what must be known for it. Leave that out to ask whether a condition is ever false: one that is
    not known is neither.
    """
    fact, truth = left(leaf), _NO if negated else _YES
    match leaf:
        case Leaf(op=op, value=value):
            reach = reach_of(leaf, negated=negated)
            if isinstance(value, Operand):
                yield Said(*_compared(fact, OPPOSITE[op] if negated else op, value))
            elif reach is not None:
                yield Said(fact.name, reach, fact)
            if is_known and isinstance(leaf.how, Aggregate) and leaf.how.fn is not Fn.COUNT:
                counted = derived(leaf.metric, Aggregate(Fn.COUNT, leaf.how.over, leaf.how.last))
                yield Said(counted.name, within(1, None), counted)
        case AttributeLeaf():
            kind, reach = compared_as(leaf, {}).value, reach_of(leaf, negated=negated)
            if reach is not None:
                yield Said(f"{fact.name}\t{kind}", reach)
            if is_known:  # one of another type is not false but unknown
                yield Said(f"{fact.name}\tkind", Choices(frozenset({kind})))
        case OfProfile(profile=key):
            yield Said("\tprofile", Choices(frozenset({key}), negated))
        case DeviceEvent(type=key):
            yield Said("\tmoment", Choices(frozenset({key}), negated))
        case TimeOfDay(tz=tz):
            yield Said(f"{CLOCK}{tz or SITE}", minutes_of(leaf, negated=negated))
        case Silence(held_for=over):
            span = Span(0, over.ms, False, True) if negated else Span(over.ms, math.inf, False, True)
            yield Said("\tsilence", Numbers((span,)))
        case Place(is_=is_) if is_ in _PULSES:
            yield Said(fact.name, truth, fact)
            if not negated:  # a message has just come, so no event; and there it is
                yield Said("\tmoment", Choices(frozenset({""})))
        case _:
            is_opposite = leaf == Online(False) or (isinstance(leaf, Place) and leaf.is_ is Whereabouts.OUTSIDE)
            yield Said(fact.name, _NO if negated is not is_opposite else _YES, fact)


def asked_by(scope: Scope) -> Condition:
    """What is true of every device in ``scope``, as a condition."""
    parts: list[Condition] = [Tagged(tag) for tag in scope.tags or ()]
    if scope.profile is not None:
        parts.append(OfProfile(scope.profile))
    if scope.groups:
        parts.append(AnyOf(tuple(map(InGroup, scope.groups))))
    return All((*parts, *(scope.where or ())))


def domain(fact: Input | None) -> Reach | None:
    """The values a fact can have at all, where that is less than any."""
    if fact is None or fact.kind is not InputKind.AGGREGATE or fact.fn is not Fn.COUNT:
        return None
    return within(0, fact.last or MOST_POINTS)


def whole(reach: Reach) -> Reach:
    """The whole numbers in ``reach``, each span from the first to the last of its own."""
    if not isinstance(reach, Numbers):
        return reach
    spans = []
    for low, high, is_low_open, is_high_open in reach.spans:
        first = low if math.isinf(low) else math.floor(low) + 1 if is_low_open else math.ceil(low)
        last = high if math.isinf(high) else math.ceil(high) - 1 if is_high_open else math.floor(high)
        if first <= last:
            spans.append(Span(first, last))
    return Numbers(tuple(spans))


def is_counted(fact: Input | None) -> bool:
    """Whether a fact is a number of values."""
    return domain(fact) is not None


_BEARS_ON: Mapping[str, frozenset[str]] = {
    "newest": frozenset({"min", "max"}),
    "avg": frozenset({"min", "max"}),
    "min": frozenset({"newest", "avg", "min", "max"}),
    "max": frozenset({"newest", "avg", "min", "max"}),
    "count": frozenset({"count"}),
    "stuck": frozenset({"stuck", "changed", "delta", "rate"}),
    "changed": frozenset({"stuck", "changed"}),
    "delta": frozenset({"stuck"}),
    "rate": frozenset({"stuck"}),
    "place": frozenset({"place"}),
}


def implied(fact: Input, reach: Reach, other: Input) -> Reach | None:
    """The values that ``other`` can have where ``fact`` is one of ``reach``; None for any."""
    if fact.metric != other.metric or _role(other) not in _BEARS_ON.get(_role(fact), ()):
        return None
    if isinstance(reach, Numbers):
        if fact.kind in (InputKind.DELTA, InputKind.RATE):
            return None if _may_stand_still(fact, reach, other) else _NO
        return _ordered(fact, reach, other)
    if reach not in (_YES, _NO):
        return None
    if fact.kind is InputKind.PLACE:
        return _elsewhere(fact, reach == _YES, other)
    return _moving(fact, reach == _YES, other)


def _role(fact: Input) -> str:
    match fact.kind:
        case InputKind.METRIC:
            return "newest"
        case InputKind.AGGREGATE:
            return fact.fn or ""
    return fact.kind


# ── numbers: the lowest ≤ any, and the average ≤ the highest; and what a shorter window holds, a longer one does ────


def _ordered(fact: Input, reach: Numbers, other: Input) -> Reach | None:
    low, high = reach.spans[0], reach.spans[-1]
    is_dusty = Fn.AVG in (fact.fn, other.fn)
    if _is_below(fact, other):
        return Numbers((Span(_loose(low.low, -math.inf, is_dusty), math.inf, low.is_low_open, True),))
    if _is_below(other, fact):
        return Numbers((Span(-math.inf, _loose(high.high, math.inf, is_dusty), True, high.is_high_open),))
    return None


def _is_below(one: Input, other: Input) -> bool:
    """Whether the one can never be greater than the other, where both are known."""
    if one.fn is Fn.COUNT:
        return _holds(other, one)
    return (one.fn is Fn.MIN and _holds(one, other)) or (other.fn is Fn.MAX and _holds(other, one))


def _holds(window: Input, other: Input) -> bool:
    """Whether whatever ``other`` is made of is in ``window`` too."""
    if other.kind is InputKind.METRIC:
        return True  # the newest value is in any window that is not empty
    if window.last or other.last:
        return 0 < other.last <= window.last
    return other.over_ms <= window.over_ms


def _loose(bound: float, way: float, is_dusty: bool) -> float:
    """``bound``, or a little farther out where an average may lie beyond it by the dust of floating point."""
    if not is_dusty or math.isinf(bound) or abs(bound.as_integer_ratio()[0]) < _SHORT:
        return bound
    return math.nextafter(math.nextafter(bound, way), way)


# ── standing still, and moving ───────────────────────────────────────────────────────────────────────────────────────


def _moving(fact: Input, is_so: bool, other: Input) -> Reach | None:
    is_longer = other.over_ms >= fact.over_ms
    match fact.kind, other.kind:
        case InputKind.STUCK, InputKind.STUCK if is_so and not is_longer and other.within >= fact.within:
            return _YES
        case InputKind.STUCK, InputKind.STUCK if not is_so and is_longer and other.within <= fact.within:
            return _NO
        case InputKind.STUCK, InputKind.CHANGED if is_so and fact.within == 0 and other.over_ms <= fact.over_ms:
            return _NO
        case InputKind.STUCK, InputKind.CHANGED if not is_so and is_longer:
            return _YES
        case InputKind.CHANGED, InputKind.STUCK if is_so and is_longer and other.within == 0:
            return _NO
        case InputKind.CHANGED, InputKind.STUCK if not is_so and other.over_ms <= fact.over_ms:
            return _YES
        case InputKind.CHANGED, InputKind.CHANGED if is_so and is_longer:
            return _YES
        case InputKind.CHANGED, InputKind.CHANGED if not is_so and other.over_ms <= fact.over_ms:
            return _NO
        case InputKind.STUCK, InputKind.DELTA if is_so and other.over_ms <= fact.over_ms:
            return within(-fact.within, fact.within)
        case InputKind.STUCK, InputKind.RATE if is_so and fact.within == 0 and other.over_ms <= fact.over_ms:
            return within(0, 0)
    return None


def _may_stand_still(fact: Input, reach: Numbers, stuck: Input) -> bool:
    """Whether a value may be stuck that changes by so much in ``fact``'s window."""
    if fact.over_ms > stuck.over_ms or (fact.kind is InputKind.RATE and stuck.within):
        return True
    return not reach.cut(within(-stuck.within, stuck.within)).is_empty


# ── places ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _elsewhere(fact: Input, is_so: bool, other: Input) -> Reach | None:
    """Who has just entered is inside, who has just left is not; and nobody is in two circles that lie apart."""
    assert fact.place is not None
    assert other.place is not None
    asked, wanted = fact.place.is_, other.place.is_
    is_inside = is_so if asked is Whereabouts.INSIDE else asked is Whereabouts.ENTERED if is_so else None
    if is_inside is None:
        return None
    if fact.place.of == other.place.of:
        if wanted is Whereabouts.INSIDE:
            return _YES if is_inside else _NO
        return _NO if (wanted is Whereabouts.ENTERED) is not is_inside else None
    if is_inside and wanted is not Whereabouts.LEFT and _are_apart(fact.place.of, other.place.of):
        return _NO
    return None


@lru_cache(maxsize=4_096)
def _are_apart(one: Circle | Polygon, other: Circle | Polygon) -> bool:
    if not isinstance(one, Circle) or not isinstance(other, Circle):
        return False
    between = distance_m((one.lat, one.lon), (other.lat, other.lon))
    return between > (one.radius_m + other.radius_m) * (1 + 1e-9) + 0.01


# ── two things that are read ─────────────────────────────────────────────────────────────────────────────────────────


def _compared(fact: Input, op: Op, operand: Operand) -> tuple[str, Numbers]:
    """A comparison with something else that is read, as the sign of the difference of the two."""
    other = right(operand).name
    times, plus = 1.0, 0.0
    if isinstance(operand, OtherMetric):
        times, plus = 1.0 if operand.times is None else float(operand.times), float(operand.plus or 0)
    sign = reach_of(Leaf("", op, 0))
    assert isinstance(sign, Numbers)
    if (other, times, plus) == (fact.name, 1, 0):  # nothing differs from itself
        sign = Numbers(tuple(span for span in sign.spans if not span.cut(Span(0, 0)).is_empty))
    return f"\tsign:{fact.name}\t{other}\t{times}\t{plus}", sign
