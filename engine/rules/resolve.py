"""A condition in the profile's own units: what its author wrote in °F is turned into °C once, before it runs."""

from dataclasses import replace

from engine.rules.findings import is_number
from engine.rules.model import (
    Aggregate,
    All,
    AnyOf,
    Condition,
    Delta,
    Derived,
    Fn,
    Leaf,
    Not,
    OtherMetric,
    Rate,
    Scalar,
)
from engine.rules.vocabulary import Vocabulary
from engine.units import SAME, Conversion, conversion


def resolved(condition: Condition, vocabulary: Vocabulary) -> Condition:
    """``condition`` with every value in the unit of the metric it is compared with, and without units of its own.

    What cannot be converted stays as it is: ``check`` refuses it.
    """
    match condition:
        case All(of=parts):
            return All(tuple(resolved(part, vocabulary) for part in parts))
        case AnyOf(of=parts):
            return AnyOf(tuple(resolved(part, vocabulary) for part in parts))
        case Not(of=part):
            return Not(resolved(part, vocabulary))
        case Leaf():
            return _resolved(condition, vocabulary)
        case leaf:
            return leaf


def unit_of(metric: str, how: Derived | None, vocabulary: Vocabulary) -> str | None:
    """The unit of what a leaf asks about: the metric's; a count has none. A rate's is said without its "per"."""
    found = vocabulary.metrics.get(metric)
    if found is None or (isinstance(how, Aggregate) and how.fn is Fn.COUNT):
        return None
    return found.unit


def is_difference(how: Derived | None) -> bool:
    """Whether what a leaf asks about is a difference, so that a temperature has no zero point in it."""
    return isinstance(how, Rate | Delta)


def _resolved(leaf: Leaf, vocabulary: Vocabulary) -> Leaf:
    if leaf.unit is None and not isinstance(leaf.value, OtherMetric):
        return leaf
    own = unit_of(leaf.metric, leaf.how, vocabulary)
    written = conversion(leaf.unit or own, own, is_difference=is_difference(leaf.how)) or SAME
    if isinstance(leaf.value, OtherMetric):
        return replace(leaf, unit=None, value=_scaled(leaf.value, leaf, own, written, vocabulary))
    if isinstance(leaf.value, tuple):
        return replace(leaf, unit=None, value=tuple(_converted(value, written) for value in leaf.value))
    if isinstance(leaf.value, bool | int | float | str):
        return replace(leaf, unit=None, value=_converted(leaf.value, written))
    return replace(leaf, unit=None)


def _converted(value: Scalar, by: Conversion) -> Scalar:
    return by(value) if is_number(value) and by != SAME else value


def _scaled(
    other: OtherMetric, leaf: Leaf, own: str | None, written: Conversion, vocabulary: Vocabulary
) -> OtherMetric:
    """The other metric as it has to be scaled: into the unit written, there times and plus, then into our own."""
    theirs = unit_of(other.metric, None, vocabulary)
    into = conversion(theirs, leaf.unit or own, is_difference=is_difference(leaf.how)) or SAME
    if into == written == SAME:
        return other
    times, plus = 1.0 if other.times is None else other.times, 0.0 if other.plus is None else other.plus
    factor = written.factor * times * into.factor
    offset = written.factor * (times * into.offset + plus) + written.offset
    return OtherMetric(other.metric, plus=offset or None, times=None if factor == 1 else factor)
