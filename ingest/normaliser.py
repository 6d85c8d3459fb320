"""A device's values checked against its profile: type, range, unit, known metric, clock.

A profile is compiled once per version into a table metric → rule; a device without a rule for a metric keeps the value
as sent, unless the profile is strict. Nothing is converted: a value has the unit its profile names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ingest import decode
from ingest.errors import Rejection, shown
from schema.wire.payloads import (
    CLOCK_AHEAD_S,
    MAX_METRIC_KEY_CHARS,
    MAX_METRICS,
    MAX_OBJECT_BYTES,
    MAX_STRING_CHARS,
    RETENTION_S,
    Reason,
)

_KINDS: Mapping[str, tuple[type, ...]] = {
    "number": (float, int),
    "boolean": (bool,),
    "string": (str,),
    "object": (dict,),
}
_WITH_UNIT = {"value", "unit"}
_PLAIN = (float, int, bool)


@dataclass(frozen=True, slots=True)
class MetricRule:
    """What a profile says of one metric. `minimum` and `maximum` are inclusive and in the profile's unit."""

    kinds: tuple[type, ...]
    type_name: str
    unit: str | None
    minimum: float | None
    maximum: float | None


@dataclass(frozen=True, slots=True)
class Shape:
    """A profile, compiled: the rules of its metrics, and whether others are refused."""

    metrics: Mapping[str, MetricRule]
    is_strict: bool = False


ANYTHING = Shape({})
"""The shape of a device whose profile names no metric."""


def compile_shape(metrics: Sequence[Mapping[str, Any]], is_strict: bool) -> Shape:
    """A Shape from a profile's stored metrics: objects with key, type, unit, min and max (the last three optional)."""
    return Shape({metric["key"]: _rule(metric) for metric in metrics}, is_strict)


def normalise(shape: Shape, values: decode.Values) -> decode.Values:
    """The values as they will be stored; Rejection for the first metric that breaks the profile or the wire's limit."""
    if len(values) > MAX_METRICS:
        raise Rejection(Reason.TOO_MANY_METRICS, f"The reading has {len(values)} metrics.")
    rules, kept = shape.metrics, {}
    for key, value in values.items():
        if value is None:
            continue
        rule = rules.get(key)
        if rule is None:
            kept[key] = _unknown(shape, key, value)
        elif type(value) in rule.kinds:
            # NaN and the infinities cannot arrive: JSON has none.
            if (rule.minimum is not None and value < rule.minimum) or (
                rule.maximum is not None and value > rule.maximum
            ):
                raise _out_of_range(key, rule, value)
            kept[key] = value if type(value) in _PLAIN else _bounded(key, value)
        else:
            kept[key] = _with_unit(key, rule, value)
    if not kept:
        raise Rejection(Reason.EMPTY, "The reading has no metric with a value.")
    return kept


def check_clock(at_ms: int, received_ms: int) -> None:
    """Rejection TOO_OLD or CLOCK_AHEAD for a time outside the window in which readings are taken."""
    if at_ms > received_ms + CLOCK_AHEAD_S * 1000:
        ahead_s = (at_ms - received_ms) // 1000
        raise Rejection(Reason.CLOCK_AHEAD, f"The reading's time is {ahead_s} s ahead of ours.")
    if at_ms < received_ms - RETENTION_S * 1000:
        hint = " It looks like seconds: send milliseconds." if at_ms * 1000 > received_ms - RETENTION_S * 1000 else ""
        raise Rejection(Reason.TOO_OLD, f"The reading is {(received_ms - at_ms) // 86_400_000} days old.{hint}")


def _rule(metric: Mapping[str, Any]) -> MetricRule:
    name = metric["type"]
    low, high = (metric.get("min"), metric.get("max")) if name == "number" else (None, None)
    return MetricRule(_KINDS[name], name, metric.get("unit"), low, high)


def _unknown(shape: Shape, key: str, value: Any) -> Any:
    if not 0 < len(key) <= MAX_METRIC_KEY_CHARS or not key.isprintable():
        raise Rejection(Reason.METRIC_KEY, f"{shown(key)} cannot name a metric.")
    if shape.is_strict:
        raise Rejection(Reason.UNKNOWN_METRIC, f"The profile knows no metric {shown(key)}.")
    if type(value) is list:
        raise Rejection(Reason.TYPE, f"{shown(key)} is a list; a value is a number, a boolean, a string or an object.")
    return value if type(value) in _PLAIN else _bounded(key, value)


def _with_unit(key: str, rule: MetricRule, value: Any) -> Any:
    if type(value) is not dict or value.keys() != _WITH_UNIT or type(value["value"]) not in rule.kinds:
        raise Rejection(Reason.TYPE, f"{shown(key)} is {shown(value)}, the profile says {rule.type_name}.")
    if value["unit"] != rule.unit:
        raise Rejection(Reason.UNIT, f"{shown(key)} is in {shown(value['unit'])}, the profile says {shown(rule.unit)}.")
    return normalise(Shape({key: rule}), {key: value["value"]})[key]


def _out_of_range(key: str, rule: MetricRule, value: Any) -> Rejection:
    low = "-∞" if rule.minimum is None else rule.minimum
    high = "∞" if rule.maximum is None else rule.maximum
    return Rejection(Reason.RANGE, f"{shown(key)} is {shown(value)}, the profile allows {low} to {high}.")


def _bounded(key: str, value: Any) -> Any:
    if type(value) is str:
        if len(value) > MAX_STRING_CHARS:
            raise Rejection(Reason.VALUE_TOO_LARGE, f"{shown(key)} has {len(value)} characters.")
        return value
    decode.depth(value)
    size = len(decode.canonical(value))
    if size > MAX_OBJECT_BYTES:
        raise Rejection(Reason.VALUE_TOO_LARGE, f"{shown(key)} has {size} bytes.")
    return value
