"""Reading and writing conditions: every kind of leaf, told apart by its own field, and what joins them."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeAlias, TypeGuard
from zoneinfo import ZoneInfo

from engine.rules.findings import SECOND_MS, Findings, is_number, part, shown
from engine.rules.model import (
    MAX_DEPTH,
    MAX_LEAVES,
    SITE,
    Aggregate,
    All,
    AnyLeaf,
    AnyOf,
    AttributeLeaf,
    AttributeValue,
    Changed,
    Circle,
    Condition,
    Delta,
    Derived,
    DeviceEvent,
    Duration,
    Fn,
    InGroup,
    Leaf,
    Not,
    OfProfile,
    Online,
    Op,
    Operand,
    OtherMetric,
    Past,
    Place,
    Polygon,
    Rate,
    Scalar,
    Silence,
    Stuck,
    Tagged,
    TimeOfDay,
    Whereabouts,
    minute_of,
)

MAX_CHOICES = 50
MAX_CORNERS = 100
MAX_LAST = 1_000
MAX_WINDOW = "7d"
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]|24:00")
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9+_-]*(/[A-Za-z0-9+_-]+){0,2}")
_Value: TypeAlias = Scalar | tuple[Scalar, ...] | Operand


class ConditionReader(Findings):
    """Reads conditions; None stands for a part that could not be read, and then there is a problem that says why."""

    def __init__(self) -> None:
        super().__init__()
        self._leaves = 0
        self._metrics: set[str] = set()
        self._kinds: Mapping[str, Callable[[dict[str, object], str], AnyLeaf | None]] = {
            "metric": self._metric_leaf,
            "attribute": self.attribute_leaf,
            "tag": self.tag_leaf,
            "group": lambda node, path: self._single(node, path, "group", self._group),
            "profile": lambda node, path: self._single(node, path, "profile", self._profile),
            "time": lambda node, path: self._single(node, path, "time", self.time_of_day),
            "place": lambda node, path: self._single(node, path, "place", self._place),
            "silence": lambda node, path: self._single(node, path, "silence", self._silence),
            "presence": lambda node, path: self._single(node, path, "presence", self._presence),
            "event": lambda node, path: self._single(node, path, "event", self._event),
        }

    def condition(self, node: object, path: str, depth: int = 1) -> Condition | None:
        """``node`` as a condition."""
        if depth > MAX_DEPTH:
            self.add(path, f"The condition is nested too deeply: at most {MAX_DEPTH} levels.")
            return None
        if not isinstance(node, dict):
            self.add(path, f"This must be a condition (an object), not {shown(node)}.")
            return None
        kinds = [kind for kind in ("all", "any", "not") if kind in node]
        if not kinds:
            return self._leaf(node, path)
        kind = kinds[0]
        self.fields(node, path, (kind,))
        if kind == "not":
            inner = self.condition(node["not"], f"{path}.not", depth + 1)
            return None if inner is None else Not(inner)
        parts = self.list_of(node[kind], f"{path}.{kind}", MAX_LEAVES, "parts") or ()
        read = [self.condition(each, f"{path}.{kind}[{at}]", depth + 1) for at, each in enumerate(parts)]
        known = tuple(each for each in read if each is not None)
        return None if not known else All(known) if kind == "all" else AnyOf(known)

    def _leaf(self, node: dict[str, object], path: str) -> AnyLeaf | None:
        self._leaves += 1
        if self._leaves > MAX_LEAVES:
            if self._leaves == MAX_LEAVES + 1:
                self.add(path, f"The rule has too many comparisons: at most {MAX_LEAVES}.")
            return None
        kind = next((kind for kind in self._kinds if kind in node), "metric")
        return self._kinds[kind](node, path)

    def _single(
        self, node: dict[str, object], path: str, key: str, read: Callable[[object, str], AnyLeaf | None]
    ) -> AnyLeaf | None:
        found = self.fields(node, path, (key,))
        return None if found is None else part(found, path, key, read)

    def _metric_leaf(self, node: dict[str, object], path: str) -> AnyLeaf | None:
        if "changed" in node:
            return self._window_leaf(node, path, "changed", self._changed)
        if "stuck" in node:
            return self._window_leaf(node, path, "stuck", self._stuck)
        found = self.fields(node, path, ("metric", "op", "value"), ("unit", "agg", "rate", "delta"))
        if found is None:
            return None
        metric = part(found, path, "metric", self.metric)
        op = part(found, path, "op", lambda each, at: self.choice(each, at, list(Op)))
        unit = part(found, path, "unit", lambda each, at: self.text(each, at, 40))
        how = self._how(found, path)
        if metric is None or op is None or "value" not in found:
            return None
        value = self._compared(found["value"], f"{path}.value", Op(op))
        return None if value is None else Leaf(metric, Op(op), value, unit, how)

    def metric(self, node: object, path: str) -> str | None:
        """``node`` as a metric's key; one that was read before is not looked at again."""
        if isinstance(node, str) and node in self._metrics:
            return node
        found = self.text(node, path, 100)
        if found is not None:
            self._metrics.add(found)
        return found

    def _how(self, found: dict[str, object], path: str) -> Derived | None:
        named = [key for key in ("agg", "rate", "delta") if key in found]
        if len(named) > 1:
            self.add(f"{path}.{named[1]}", f"Only one of “agg”, “rate” and “delta” can be given, and “{named[0]}” is.")
        aggregate: Derived | None = part(found, path, "agg", self.aggregate)
        return aggregate or part(found, path, "rate", self._rate) or part(found, path, "delta", self._delta)

    def aggregate(self, node: object, path: str) -> Aggregate | None:
        """``node`` as what is made of a window: over some time, or of the last values."""
        found = self.fields(node, path, ("fn",), ("over", "last"))
        if found is None:
            return None
        fn = part(found, path, "fn", lambda each, at: self.choice(each, at, list(Fn)))
        over = part(found, path, "over", self._window)
        last = part(found, path, "last", lambda each, at: self.whole(each, at, 1, MAX_LAST))
        if ("over" in found) is ("last" in found):
            self.add(path, "This needs a window: either “over” or “last”.", "Give “over”, for example “5m”.")
        return None if fn is None else Aggregate(Fn(fn), over, last)

    def _rate(self, node: object, path: str) -> Rate | None:
        found = self.fields(node, path, ("per", "over"))
        if found is None:
            return None
        per, over = part(found, path, "per", self._window), part(found, path, "over", self._window)
        return None if per is None or over is None else Rate(per, over)

    def _delta(self, node: object, path: str) -> Delta | None:
        found = self.fields(node, path, ("over",))
        over = None if found is None else part(found, path, "over", self._window)
        return None if over is None else Delta(over)

    def _window(self, node: object, path: str) -> Duration | None:
        return self.duration(node, path, SECOND_MS, MAX_WINDOW, None)

    def _compared(self, node: object, path: str, op: Op) -> _Value | None:
        if isinstance(node, dict):
            return self._operand(node, path, op)
        match op:
            case Op.BETWEEN | Op.OUTSIDE:
                return self._range(node, path)
            case Op.IN | Op.NOT_IN:
                return self._choices(node, path)
        if op not in (Op.EQ, Op.NE):
            return self.number(node, path)
        return self.scalar(node, path)

    def _operand(self, node: dict[str, object], path: str, op: Op) -> Operand | None:
        if op in (Op.BETWEEN, Op.OUTSIDE, Op.IN, Op.NOT_IN):
            self.add(path, f"“{op.value}” compares with values written down, not with another metric or attribute.")
            return None
        if "attribute" in node:
            found = self.fields(node, path, ("attribute",))
            key = None if found is None else part(found, path, "attribute", self.attribute)
            return None if key is None else AttributeValue(key)
        if "ago" in node:
            found = self.fields(node, path, ("metric", "ago")) or {}
            metric, ago = part(found, path, "metric", self.metric), part(found, path, "ago", self._window)
            return None if metric is None or ago is None else Past(metric, ago)
        return self.other_metric(node, path)

    def other_metric(self, node: object, path: str) -> OtherMetric | None:
        """``node`` as a metric's newest value, perhaps scaled and shifted."""
        found = self.fields(node, path, ("metric",), ("plus", "times"))
        if found is None:
            return None
        metric = part(found, path, "metric", self.metric)
        plus, times = part(found, path, "plus", self._factor), part(found, path, "times", self._factor)
        return None if metric is None else OtherMetric(metric, plus, times)

    def _factor(self, node: object, path: str) -> float | None:
        return self.ranged(node, path, -1e12, 1e12)

    def _range(self, node: object, path: str) -> tuple[Scalar, ...] | None:
        if not isinstance(node, list) or len(node) != 2:
            self.add(path, f"This must be a list of two numbers, the lower and the upper end, not {shown(node)}.")
            return None
        low, high = (self.number(each, f"{path}[{at}]") for at, each in enumerate(node))
        if low is None or high is None:
            return None
        if low > high:
            self.add(path, f"The lower end {low} is above the upper end {high}.", f"Write [{high}, {low}].")
        return low, high

    def _choices(self, node: object, path: str) -> tuple[Scalar, ...] | None:
        parts = self.list_of(node, path, MAX_CHOICES, "choices")
        if parts is None:
            return None
        read = [self.scalar(each, f"{path}[{at}]") for at, each in enumerate(parts)]
        known = tuple(each for each in read if each is not None)
        if len({(is_number(each), isinstance(each, bool)) for each in known}) > 1:
            self.add(path, "The choices mix kinds of values.", "Use only numbers or only texts.")
        if len(set(known)) < len(known):
            self.add(path, "A choice is there twice.", "Name each choice once.")
        return known

    def _window_leaf(
        self, node: dict[str, object], path: str, key: str, read: Callable[[str, object, str], AnyLeaf | None]
    ) -> AnyLeaf | None:
        found = self.fields(node, path, ("metric", key))
        metric = None if found is None else part(found, path, "metric", self.metric)
        return read(metric or "?", node[key], f"{path}.{key}")

    def _changed(self, metric: str, node: object, path: str) -> Changed | None:
        found = self.fields(node, path, ("over",))
        over = None if found is None else part(found, path, "over", self._window)
        return None if over is None else Changed(metric, over)

    def _stuck(self, metric: str, node: object, path: str) -> Stuck | None:
        found = self.fields(node, path, ("for",), ("within",))
        if found is None:
            return None
        held_for = part(found, path, "for", self._window)
        within = part(found, path, "within", lambda each, at: self.ranged(each, at, 0, 1e12))
        return None if held_for is None else Stuck(metric, held_for, within)

    def attribute_leaf(self, node: dict[str, object], path: str) -> AttributeLeaf | None:
        """``node`` as a comparison of one of the device's attributes."""
        found = self.fields(node, path, ("attribute", "op", "value"))
        if found is None:
            return None
        key = part(found, path, "attribute", self.attribute)
        op = part(found, path, "op", lambda each, at: self.choice(each, at, list(Op)))
        if key is None or op is None or "value" not in found:
            return None
        value = self._compared(found["value"], f"{path}.value", Op(op))
        if isinstance(value, OtherMetric | AttributeValue | Past):
            self.add(f"{path}.value", "An attribute is compared with a value written down.")
            return None
        return None if value is None else AttributeLeaf(key, Op(op), value)

    def attribute(self, node: object, path: str) -> str | None:
        """``node`` as an attribute's key."""
        return self.text(node, path, 64)

    def tag_leaf(self, node: dict[str, object], path: str) -> Tagged | None:
        """``node`` as the question whether the device bears a tag."""
        found = self.fields(node, path, ("tag",))
        tag = None if found is None else part(found, path, "tag", self.tag)
        return None if tag is None else Tagged(tag)

    def tag(self, node: object, path: str) -> str | None:
        """``node`` as a tag."""
        return self.text(node, path, 64)

    def _group(self, node: object, path: str) -> InGroup | None:
        group = self.uuid(node, path, "group")
        return None if group is None else InGroup(group)

    def _profile(self, node: object, path: str) -> OfProfile | None:
        profile = self.key(node, path, "a device profile")
        return None if profile is None else OfProfile(profile)

    def time_of_day(self, node: object, path: str, required: tuple[str, ...] = ()) -> TimeOfDay | None:
        """``node`` as a local time of day, or days, or both."""
        found = self.fields(node, path, required, tuple({"days", "from", "to", "tz"} - set(required)))
        if found is None:
            return None
        if not found.keys() & {"days", "from", "to"}:
            self.add(path, "This says no time.", "Give “days”, “from” or “to”.")
        days = part(found, path, "days", self._days)
        start, end = part(found, path, "from", self._clock), part(found, path, "to", self._clock)
        if start == "24:00":
            self.add(f"{path}.from", "A day begins at 00:00.", "Write “00:00”.")
            return None
        if (start or "00:00") == end:
            self.add(f"{path}.to", "It ends when it begins.", "Leave out “from” and “to” for the whole day.")
        zone = part(found, path, "tz", self.zone)
        return TimeOfDay(days, start, end, zone)

    def _days(self, node: object, path: str) -> tuple[int, ...] | None:
        return self.each(node, path, 7, "days", lambda each, at: self.whole(each, at, 1, 7))

    def _clock(self, node: object, path: str) -> str | None:
        if isinstance(node, str) and _CLOCK.fullmatch(node):
            return node
        self.add(path, f"This must be a time such as “06:00”, not {shown(node)}.")
        return None

    def zone(self, node: object, path: str) -> str | None:
        """``node`` as a time zone: "site" or a name such as "Europe/Berlin"."""
        if isinstance(node, str) and (node == SITE or is_zone(node)):
            return node
        message = f"This must be “{SITE}” or a time zone such as “Europe/Berlin”, not {shown(node)}."
        self.add(path, message, f"Use “{SITE}” for the time at the device's site.")
        return None

    def _place(self, node: object, path: str) -> Place | None:
        found = self.fields(node, path, ("metric", "is", "of"))
        if found is None:
            return None
        metric = part(found, path, "metric", self.metric)
        is_ = part(found, path, "is", lambda each, at: self.choice(each, at, list(Whereabouts)))
        of = part(found, path, "of", self._shape)
        return None if metric is None or is_ is None or of is None else Place(metric, Whereabouts(is_), of)

    def _shape(self, node: object, path: str) -> Circle | Polygon | None:
        if isinstance(node, dict) and "polygon" in node:
            self.fields(node, path, ("polygon",))
            return self._polygon(node["polygon"], f"{path}.polygon")
        found = self.fields(node, path, ("circle",))
        return None if found is None else part(found, path, "circle", self._circle)

    def _circle(self, node: object, path: str) -> Circle | None:
        found = self.fields(node, path, ("lat", "lon", "radius_m"))
        if found is None:
            return None
        lat = part(found, path, "lat", self.latitude)
        lon = part(found, path, "lon", self.longitude)
        radius = part(found, path, "radius_m", lambda each, at: self.ranged(each, at, 1, 1_000_000))
        return None if lat is None or lon is None or radius is None else Circle(lat, lon, radius)

    def _polygon(self, node: object, path: str) -> Polygon | None:
        parts = self.list_of(node, path, MAX_CORNERS, "corners")
        if parts is None:
            return None
        corners = [self._corner(each, path, at) for at, each in enumerate(parts)]
        known = tuple(corner for corner in corners if corner is not None)
        if len(corners) == len(known) and len(set(known)) < 3:
            self.add(path, "An area has at least three different corners.")
        return Polygon(known)

    def _corner(self, node: object, area: str, at: int) -> tuple[float, float] | None:
        if _is_corner(node):  # nearly all are, of thousands: what is wrong and where it lies is written for the others
            return node[0], node[1]
        path = f"{area}[{at}]"
        if not isinstance(node, list) or len(node) != 2:
            self.add(path, f"This must be a corner, [latitude, longitude], not {shown(node)}.")
            return None
        lat, lon = self.latitude(node[0], f"{path}[0]"), self.longitude(node[1], f"{path}[1]")
        return None if lat is None or lon is None else (lat, lon)

    def latitude(self, node: object, path: str) -> float | None:
        """``node`` as a latitude in degrees."""
        return self.ranged(node, path, -90, 90)

    def longitude(self, node: object, path: str) -> float | None:
        """``node`` as a longitude in degrees."""
        return self.ranged(node, path, -180, 180)

    def _silence(self, node: object, path: str) -> Silence | None:
        held_for = self.duration(node, path, 10 * SECOND_MS, "30d", None)
        return None if held_for is None else Silence(held_for)

    def _presence(self, node: object, path: str) -> Online | None:
        word = self.choice(node, path, ["online", "offline"])
        return None if word is None else Online(word == "online")

    def _event(self, node: object, path: str) -> DeviceEvent | None:
        kind = self.key(node, path, "a kind of device event")
        return None if kind is None else DeviceEvent(kind)


def _is_corner(node: object) -> TypeGuard[tuple[float, float]]:
    """Whether ``node`` is two numbers, a latitude and a longitude."""
    return (
        isinstance(node, list)
        and len(node) == 2
        and is_number(node[0])
        and is_number(node[1])
        and -90 <= node[0] <= 90
        and -180 <= node[1] <= 180
    )


@lru_cache(maxsize=1_000)
def is_zone(name: str) -> bool:
    """Whether ``name`` is a time zone of the IANA database."""
    if len(name) > 40 or not _ZONE.fullmatch(name):
        return False
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):  # ZoneInfoNotFoundError is a KeyError
        return False
    return True


def is_over_midnight(time: TimeOfDay) -> bool:
    """Whether it ends on the day after it began."""
    return minute_of(time.end or "24:00") <= minute_of(time.start or "00:00")


def condition_json(condition: Condition) -> dict[str, Any]:
    """One condition as JSON."""
    match condition:
        case All(of=parts):
            return {"all": [condition_json(each) for each in parts]}
        case AnyOf(of=parts):
            return {"any": [condition_json(each) for each in parts]}
        case Not(of=inner):
            return {"not": condition_json(inner)}
        case leaf:
            return leaf_json(leaf)


def leaf_json(leaf: AnyLeaf) -> dict[str, Any]:
    """One leaf as JSON."""
    match leaf:
        case Leaf(metric=metric, op=op, value=value, unit=unit, how=how):
            found = {"metric": metric, **derived_json(how), "op": op.value, "value": value_json(value)}
            return found if unit is None else {**found, "unit": unit}
        case AttributeLeaf(attribute=attribute, op=op, value=value):
            return {"attribute": attribute, "op": op.value, "value": value_json(value)}
        case Changed(metric=metric, over=over):
            return {"metric": metric, "changed": {"over": over.text}}
        case Stuck(metric=metric, held_for=held_for, within=within):
            return {"metric": metric, "stuck": {"for": held_for.text} | given({"within": within})}
        case Tagged(tag=tag):
            return {"tag": tag}
        case InGroup(group=group):
            return {"group": group}
        case OfProfile(profile=profile):
            return {"profile": profile}
        case TimeOfDay():
            return {"time": time_json(leaf)}
        case Place(metric=metric, is_=is_, of=of):
            return {"place": {"metric": metric, "is": is_.value, "of": _shape_json(of)}}
        case Silence(held_for=held_for):
            return {"silence": held_for.text}
        case Online(is_online=is_online):
            return {"presence": "online" if is_online else "offline"}
        case DeviceEvent(type=kind):
            return {"event": kind}


def derived_json(how: Derived | None) -> dict[str, Any]:
    """What is derived from a metric, as the field of its leaf."""
    match how:
        case None:
            return {}
        case Aggregate(fn=fn, over=over, last=last):
            return {"agg": {"fn": fn.value} | given({"over": over and over.text, "last": last})}
        case Rate(per=per, over=over):
            return {"rate": {"per": per.text, "over": over.text}}
        case Delta(over=over):
            return {"delta": {"over": over.text}}


def value_json(value: _Value) -> Any:
    """The right side of a comparison as JSON."""
    match value:
        case OtherMetric(metric=metric, plus=plus, times=times):
            return {"metric": metric} | given({"plus": plus, "times": times})
        case AttributeValue(attribute=attribute):
            return {"attribute": attribute}
        case Past(metric=metric, ago=ago):
            return {"metric": metric, "ago": ago.text}
        case tuple():
            return list(value)
        case scalar:
            return scalar


def time_json(time: TimeOfDay) -> dict[str, Any]:
    """A time of day as JSON."""
    days = None if time.days is None else list(time.days)
    return given({"days": days, "from": time.start, "to": time.end, "tz": time.tz})


def _shape_json(shape: Circle | Polygon) -> dict[str, Any]:
    if isinstance(shape, Polygon):
        return {"polygon": [list(corner) for corner in shape.corners]}
    return {"circle": {"lat": shape.lat, "lon": shape.lon, "radius_m": shape.radius_m}}


def given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``fields`` that are not None."""
    return {key: value for key, value in fields.items() if value is not None}
