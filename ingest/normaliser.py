"""A device's values checked against its profile: type, range, unit, known metric, clock.

A profile is compiled once per version into a table metric → rule; a device without a rule for a metric keeps the value
as sent, unless the profile is strict. A bare value has the unit its profile names; one that names its own,
``{"value": 71.6, "unit": "[degF]"}``, is converted here, once, and what cannot be is rejected (ADR 48). What is wrong
with one metric is that metric's alone: it is left out, and the others are kept (ADR 79).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from engine.units import Conversion

_NUMBER = (float, int)
_KINDS: Mapping[str, tuple[type, ...]] = {
    "number": _NUMBER,
    "boolean": (bool,),
    "string": (str,),
    "object": (dict,),
}
_WITH_UNIT = {"value", "unit"}
RETENTION_MS = RETENTION_S * 1000
_PLAIN = (float, int, bool)

Left = Mapping[str, Rejection]
"""The metrics of a reading that cannot be stored, and why, in the order in which they were sent."""
ALL_GOOD: Left = MappingProxyType({})
MAX_UNITS = 100
"""So many units are tried for one metric of a profile: trying another costs as much as a hundred readings."""


@dataclass(frozen=True, slots=True)
class MetricRule:
    """What a profile says of one metric. `minimum` and `maximum` are inclusive and in its unit; infinite for none."""

    kinds: tuple[type, ...]
    type_name: str
    unit: str | None
    minimum: float
    maximum: float
    conversions: "dict[str, Conversion | None]" = field(default_factory=dict, compare=False)
    """How numbers in other units become numbers in its own; None for a unit that they do not."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A profile, compiled: the rules of its metrics, and whether others are refused."""

    metrics: Mapping[str, MetricRule]
    is_strict: bool = False
    kept_ms: int = RETENTION_MS
    """For how long its devices' readings are kept: older ones are not taken."""


ANYTHING = Shape({})
"""The shape of a device whose profile names no metric."""


def compile_shape(
    metrics: Sequence[Mapping[str, Any]], is_strict: bool, kept_days: int = RETENTION_S // 86_400
) -> Shape:
    """A Shape from a profile's stored metrics: objects with key, type, unit, min and max (the last three optional)."""
    return Shape({metric["key"]: _rule(metric) for metric in metrics}, is_strict, kept_days * 86_400_000)


def normalise(shape: Shape, values: decode.Values) -> tuple[decode.Values, Left]:
    """The values as they will be stored, the very ones sent where all are; and what is left out of them.

    Raises Rejection where nothing is left to store, for the first metric that breaks the profile or the wire's limit.
    """
    if len(values) > MAX_METRICS:
        raise Rejection(Reason.TOO_MANY_METRICS, f"The reading has {len(values)} metrics.")
    if _is_plain(shape.metrics, values):
        return values, ALL_GOOD
    kept, left = sift(shape, values)
    if not kept:
        raise next(iter(left.values()), None) or Rejection(Reason.EMPTY, "The reading has no metric with a value.")
    return kept, left


def sift(shape: Shape, values: decode.Values) -> tuple[decode.Values, Left]:
    """The metrics that can be stored, the very dict where nothing differs, and those that cannot; nulls are neither."""
    rules, kept, left = shape.metrics, {}, {}
    is_as_sent = True
    for key, value in values.items():
        if value is None:
            is_as_sent = False
            continue
        rule, kind = rules.get(key), type(value)
        try:
            if rule is None:
                kept[key] = _unknown(shape, key, value)
            elif kind not in rule.kinds:
                kept[key] = _with_unit(key, rule, value)
                is_as_sent = False
            elif kind is float or kind is int:
                # NaN and the infinities cannot arrive: JSON has none.
                if not rule.minimum <= value <= rule.maximum:
                    raise _out_of_range(key, rule, value)
                kept[key] = value
            else:
                kept[key] = value if kind is bool else _bounded(key, value)
        except Rejection as rejection:
            left[key] = rejection
    return values if is_as_sent and not left else kept, left or ALL_GOOD


def _is_plain(rules: Mapping[str, MetricRule], values: decode.Values) -> bool:
    """Whether these are numbers that the profile knows and allows, as most readings are: they are kept as they came."""
    for key, value in values.items():
        rule = rules.get(key)
        if rule is None or rule.kinds is not _NUMBER or type(value) not in _NUMBER:
            return False
        if not rule.minimum <= value <= rule.maximum:
            return False
    return bool(values)


def check_clock(at_ms: int, received_ms: int, kept_ms: int = RETENTION_MS) -> None:
    """Rejection TOO_OLD or CLOCK_AHEAD for a time outside the window in which readings are taken."""
    if at_ms > received_ms + CLOCK_AHEAD_S * 1000:
        ahead_s = (at_ms - received_ms) // 1000
        raise Rejection(Reason.CLOCK_AHEAD, f"The reading's time is {ahead_s} s ahead of ours.")
    if at_ms < received_ms - kept_ms:
        hint = f" This device's are kept for {kept_ms // 86_400_000}." if kept_ms < RETENTION_MS else ""
        if abs(at_ms * 1000 - received_ms) < RETENTION_MS:
            hint = " It looks like seconds: send milliseconds."
        raise Rejection(Reason.TOO_OLD, f"The reading is {(received_ms - at_ms) // 86_400_000} days old.{hint}")


def _rule(metric: Mapping[str, Any]) -> MetricRule:
    name = metric["type"]
    low, high = (metric.get("min"), metric.get("max")) if name == "number" else (None, None)
    low, high = -math.inf if low is None else low, math.inf if high is None else high
    return MetricRule(_KINDS[name], name, metric.get("unit"), low, high)


def check_metric(shape: Shape, key: str) -> None:
    """Rejection for a name that no metric may have, or that a strict profile does not know."""
    if key not in shape.metrics:
        _unknown(shape, key, 0)


def _unknown(shape: Shape, key: str, value: Any) -> Any:
    if not 0 < len(key) <= MAX_METRIC_KEY_CHARS or not key.isprintable():
        raise Rejection(Reason.METRIC_KEY, f"{shown(key)} cannot name a metric.")
    if shape.is_strict:
        raise Rejection(Reason.UNKNOWN_METRIC, f"The profile knows no metric {shown(key)}.", key)
    if type(value) is list:
        words = f"{shown(key)} is a list; a value is a number, a boolean, a string or an object."
        raise Rejection(Reason.TYPE, words, key)
    return value if type(value) in _PLAIN else _bounded(key, value)


def _with_unit(key: str, rule: MetricRule, value: Any) -> Any:
    if type(value) is not dict or value.keys() != _WITH_UNIT or type(value["value"]) not in rule.kinds:
        raise Rejection(Reason.TYPE, f"{shown(key)} is {shown(value)}, the profile says {rule.type_name}.", key)
    bare = value["value"] if value["unit"] == rule.unit else _converted(key, rule, value["value"], value["unit"])
    return normalise(Shape({key: rule}), {key: bare})[0][key]


def _converted(key: str, rule: MetricRule, value: Any, unit: Any) -> float:
    convert = None
    if type(unit) is str and type(value) in (int, float):
        known = rule.conversions
        convert = known[unit] if unit in known else _conversion(rule, unit)
    converted = math.nan if convert is None else convert(value)
    if not math.isfinite(converted):
        raise Rejection(Reason.UNIT, f"{shown(key)} is in {shown(unit)}, the profile says {shown(rule.unit)}.", key)
    return converted


def _conversion(rule: MetricRule, unit: str) -> "Conversion | None":
    # Imported when the first message names a unit: a third of a second that other processes never spend.
    from engine.units import conversion, is_known

    if len(rule.conversions) >= MAX_UNITS or not is_known(unit):
        return None
    found = rule.conversions[unit] = conversion(unit, rule.unit)
    return found


def _out_of_range(key: str, rule: MetricRule, value: Any) -> Rejection:
    low = "-∞" if rule.minimum == -math.inf else rule.minimum
    high = "∞" if rule.maximum == math.inf else rule.maximum
    return Rejection(Reason.RANGE, f"{shown(key)} is {shown(value)}, the profile allows {low} to {high}.", key)


def _bounded(key: str, value: Any) -> Any:
    if type(value) is str:
        if len(value) > MAX_STRING_CHARS:
            raise Rejection(Reason.VALUE_TOO_LARGE, f"{shown(key)} has {len(value)} characters.", key)
        return value
    decode.depth(value)
    size = len(decode.canonical(value))
    if size > MAX_OBJECT_BYTES:
        raise Rejection(Reason.VALUE_TOO_LARGE, f"{shown(key)} has {size} bytes.", key)
    return value
