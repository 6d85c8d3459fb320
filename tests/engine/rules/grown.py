"""Random conditions with every kind of leaf, random facts for what they read, and the tests' own reading of them.

``truth`` shares no code with the engine: it walks the JSON, names each fact by its own description of it (a tuple), and
compares with Python's own operators.
"""

import math
import random
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from engine.rules.inputs import Input, InputKind
from engine.rules.model import Circle, MetricType
from engine.rules.vocabulary import Metric, Vocabulary
from tests.engine.rules import making
from tests.engine.rules.kleene import _COMPARE
from tests.engine.rules.kleene import _seen as seen_as

Fact: TypeAlias = tuple[Any, ...]
COMPARE: Mapping[str, Callable[[Any, Any], Any]] = _COMPARE
VOCABULARY = Vocabulary.of(
    [
        *making.VOCABULARY.metrics.values(),
        Metric("outside", MetricType.NUMBER, "degF"),
        Metric("setpoint", MetricType.NUMBER, "degC"),
        Metric("position", MetricType.OBJECT),
    ]
)
TYPES = {key: metric.type.value for key, metric in VOCABULARY.metrics.items()}
CELSIUS = {32: 0, 46.4: 8, 50: 10, 212: 100, -40: -40, 33.8: 1, 35.6: 2, 37.4: 3}
"""Temperatures in °F and what they are in °C, and nothing computed."""
CELSIUS_STEPS = {1.8: 1, 3.6: 2, 18: 10, -9: -5}
MS = {"1s": 1_000, "5m": 300_000, "90s": 90_000, "1h": 3_600_000}
ZONES = ["site", "Europe/Berlin", "UTC"]
GROUPS = ["00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b"]
HERE, THERE = {"lat": 52.5, "lon": 13.4, "radius_m": 500}, {"lat": -1, "lon": 0, "radius_m": 5}
SMALL = [-3, 0, 1, 2, 7.5, 8, 0.1, 1e308, -1e308]


def random_leaf(rng: random.Random) -> dict[str, Any]:
    """Any leaf there is."""
    return rng.choice(_LEAVES)(rng)


def random_condition(rng: random.Random, depth: int = 4) -> dict[str, Any]:
    """Any condition, up to ``depth`` levels."""
    return making.random_condition(rng, depth, random_leaf)


def _length(rng: random.Random) -> str:
    return rng.choice(list(MS))


def _compare(rng: random.Random, values: list[Any]) -> dict[str, Any]:
    op = rng.choice(list(COMPARE))
    if op in ("between", "outside"):
        return {"op": op, "value": sorted(rng.choices(values, k=2))}
    if op in ("in", "not in"):
        return {"op": op, "value": list(dict.fromkeys(rng.choices(values, k=rng.randint(1, 3))))}
    return {"op": op, "value": rng.choice(values)}


def _aggregate(rng: random.Random) -> dict[str, Any]:
    fn = rng.choice(["avg", "min", "max", "sum", "count"])
    window = {"over": _length(rng)} if rng.random() < 0.6 else {"last": rng.randint(1, 20)}
    metric = rng.choice(["temperature", "humidity"] if fn != "count" else list(TYPES)[:7])
    return {"metric": metric, "agg": {"fn": fn} | window} | _compare(rng, making.NUMBERS)


def _slope(rng: random.Random) -> dict[str, Any]:
    how = {"delta": {"over": _length(rng)}}
    if rng.random() < 0.5:
        how = {"rate": {"per": _length(rng), "over": _length(rng)}}
    if rng.random() < 0.3:
        return {"metric": "temperature", **how, **_compare(rng, list(CELSIUS_STEPS)), "unit": "degF"}
    return {"metric": "temperature", **how, **_compare(rng, making.NUMBERS)}


def _fahrenheit(rng: random.Random) -> dict[str, Any]:
    return {"metric": "temperature", **_compare(rng, list(CELSIUS)), "unit": "degF"}


def _against_metric(rng: random.Random) -> dict[str, Any]:
    op = rng.choice(["==", "!=", "<", "<=", ">", ">="])
    if rng.random() < 0.3:
        key, other = rng.choice([("mode", "0"), ("lamp", "door_open")])
        return {"metric": key, "op": rng.choice(["==", "!="]), "value": {"metric": other}}
    operand: dict[str, Any] = {"metric": rng.choice(["setpoint", "temperature"])}
    if rng.random() < 0.5:
        operand["plus"] = rng.choice([2, -0.5, 0, 1e12])
    if rng.random() < 0.5:
        operand["times"] = rng.choice([2, -1.5, 0, 1])
    how = {} if rng.random() < 0.5 else {"agg": {"fn": "avg", "over": _length(rng)}}
    return {"metric": "temperature", **how, "op": op, "value": operand}


def _against_past(rng: random.Random) -> dict[str, Any]:
    key = rng.choice(["temperature", "mode", "lamp"])
    op = rng.choice(["==", "!=", "<", ">="] if key == "temperature" else ["==", "!="])
    return {"metric": key, "op": op, "value": {"metric": key, "ago": _length(rng)}}


def _against_attribute(rng: random.Random) -> dict[str, Any]:
    key = rng.choice(["temperature", "mode", "lamp"])
    op = rng.choice(["==", "!=", "<", ">="] if key == "temperature" else ["==", "!="])
    return {"metric": key, "op": op, "value": {"attribute": rng.choice(["limit", "site"])}}


def _attribute(rng: random.Random) -> dict[str, Any]:
    key = rng.choice(["limit", "site"])
    if rng.random() < 0.3:
        return {"attribute": key, "op": rng.choice(["==", "!="]), "value": rng.random() < 0.5}
    if rng.random() < 0.5:
        return {"attribute": key} | _compare(rng, making.NUMBERS)
    op = rng.choice(["==", "!=", "in", "not in"])
    texts = rng.sample(making.TEXTS, 2)
    return {"attribute": key, "op": op, "value": texts if "in" in op else texts[0]}


def _stuck(rng: random.Random) -> dict[str, Any]:
    within = {} if rng.random() < 0.5 else {"within": rng.choice([0.1, 2])}
    return {"metric": "temperature", "stuck": {"for": _length(rng)} | within}


def _time(rng: random.Random) -> dict[str, Any]:
    found: dict[str, Any] = {"from": rng.choice(["06:00", "22:00"]), "to": rng.choice(["05:30", "24:00"])}
    if rng.random() < 0.5:
        found["days"] = rng.sample(range(1, 8), rng.randint(1, 7))
    if rng.random() < 0.7:
        found["tz"] = rng.choice(ZONES)
    return {"time": found}


def _place(rng: random.Random) -> dict[str, Any]:
    is_ = rng.choice(["inside", "outside", "entered", "left"])
    return {"place": {"metric": "position", "is": is_, "of": {"circle": rng.choice([HERE, THERE])}}}


_LEAVES: list[Callable[[random.Random], dict[str, Any]]] = [
    making.random_leaf,
    making.random_leaf,
    _aggregate,
    _slope,
    _fahrenheit,
    _against_metric,
    _against_past,
    _against_attribute,
    _attribute,
    _stuck,
    _time,
    _place,
    lambda rng: {"metric": rng.choice(["door_open", "mode"]), "changed": {"over": _length(rng)}},
    lambda rng: {"tag": rng.choice(["outdoor", "old"])},
    lambda rng: {"group": rng.choice(GROUPS)},
    lambda rng: {"profile": rng.choice(["pump", "fan"])},
    lambda rng: {"silence": rng.choice(["30m", "1h"])},
    lambda rng: {"presence": rng.choice(["online", "offline"])},
    lambda rng: {"event": rng.choice(["door-forced", "opened"])},
]


def described(read: Input) -> Fact:
    """What an input asks for, as this module names facts."""
    match read.kind:
        case InputKind.METRIC:
            return ("metric", read.metric)
        case InputKind.AGGREGATE:
            return ("agg", read.metric, str(read.fn), read.over_ms, read.last)
        case InputKind.RATE:
            return ("rate", read.metric, read.per_ms, read.over_ms)
        case InputKind.STUCK:
            return ("stuck", read.metric, read.over_ms, read.within)
        case InputKind.DELTA | InputKind.PAST | InputKind.CHANGED:
            return (str(read.kind), read.metric, read.over_ms)
        case InputKind.TIME:
            assert read.time is not None
            time = read.time
            return ("time", frozenset(time.days or range(1, 8)), time.start, time.end, time.tz or "site")
        case InputKind.PLACE:
            assert read.place is not None
            assert isinstance(read.place.of, Circle)
            return ("place", read.metric, str(read.place.is_), read.place.of.lat)
        case InputKind.SILENCE:
            return ("silence", read.over_ms)
        case InputKind.ONLINE:
            return ("online",)
    return (str(read.kind), read.key)


def random_fact(read: Input, rng: random.Random) -> object:
    """What an input may be: right, missing, of another type, or odd."""
    luck = rng.random()
    if luck < 0.12:
        return None
    if luck < 0.18:
        return rng.choice([*making.ODD, *making.TEXTS, *making.NUMBERS, True, False])
    if read.kind in (InputKind.METRIC, InputKind.PAST):
        kind = TYPES[read.metric or ""]
        if read.metric in ("temperature", "setpoint"):
            return rng.choice([*SMALL, *making.NUMBERS])
        pools: dict[str, list[Any]] = {"number": making.NUMBERS, "boolean": [True, False]}
        return rng.choice(pools.get(kind, making.TEXTS))
    if read.kind in (InputKind.AGGREGATE, InputKind.RATE, InputKind.DELTA):
        return rng.choice([*making.NUMBERS, -5, 10])
    if read.kind is InputKind.ATTRIBUTE:
        return rng.choice([*making.NUMBERS, *making.TEXTS, True, False])
    return rng.random() < 0.5


def truth(node: Mapping[str, Any], facts: Mapping[Fact, object]) -> bool | None:
    """True, False, or None for unknown, by Kleene's three-valued logic."""
    if "not" in node:
        inner = truth(node["not"], facts)
        return None if inner is None else not inner
    if "all" in node:
        parts = [truth(part, facts) for part in node["all"]]
        return False if any(part is False for part in parts) else None if None in parts else True
    if "any" in node:
        parts = [truth(part, facts) for part in node["any"]]
        return True if any(part is True for part in parts) else None if None in parts else False
    if "metric" in node and "op" in node:
        return _metric_truth(node, facts)
    if "attribute" in node:
        value = node["value"][0] if isinstance(node["value"], list) else node["value"]
        kind = "boolean" if isinstance(value, bool) else "string" if isinstance(value, str) else "number"
        seen = seen_as(facts.get(("attribute", node["attribute"])), kind)
        return None if seen is None else bool(COMPARE[node["op"]](seen, node["value"]))
    return _state_truth(node, facts)


def _metric_truth(node: Mapping[str, Any], facts: Mapping[Fact, object]) -> bool | None:
    key, value = node["metric"], node["value"]
    kind = TYPES[key]
    if "agg" in node:
        agg, kind = node["agg"], "number"
        fact: Fact = ("agg", key, agg["fn"], MS[agg["over"]] if "over" in agg else 0, agg.get("last", 0))
    elif "rate" in node:
        fact = ("rate", key, MS[node["rate"]["per"]], MS[node["rate"]["over"]])
    elif "delta" in node:
        fact = ("delta", key, MS[node["delta"]["over"]])
    else:
        fact = ("metric", key)
    seen = seen_as(facts.get(fact), kind)
    if node.get("unit") == "degF":
        table = CELSIUS_STEPS if fact[0] in ("rate", "delta") else CELSIUS
        value = [table[each] for each in value] if isinstance(value, list) else table[value]
    if isinstance(value, dict):
        value = _operand(value, kind, facts)
    return None if seen is None or value is None else bool(COMPARE[node["op"]](seen, value))


def _operand(node: Mapping[str, Any], kind: str, facts: Mapping[Fact, object]) -> Any:
    if "attribute" in node:
        return seen_as(facts.get(("attribute", node["attribute"])), kind)
    if "ago" in node:
        return seen_as(facts.get(("past", node["metric"], MS[node["ago"]])), kind)
    seen = seen_as(facts.get(("metric", node["metric"])), kind)
    if seen is None or not node.keys() & {"plus", "times"}:
        return seen
    assert isinstance(seen, float)
    scaled = seen * node.get("times", 1) + node.get("plus", 0)
    return scaled if math.isfinite(scaled) else None


def _state_truth(node: Mapping[str, Any], facts: Mapping[Fact, object]) -> bool | None:
    wanted = True
    if "changed" in node:
        fact: Fact = ("changed", node["metric"], MS[node["changed"]["over"]])
    elif "stuck" in node:
        fact = ("stuck", node["metric"], MS[node["stuck"]["for"]], float(node["stuck"].get("within", 0)))
    elif "time" in node:
        time = node["time"]
        days = frozenset(time.get("days") or range(1, 8))
        fact = ("time", days, time.get("from"), time.get("to"), time.get("tz", "site"))
    elif "place" in node:
        place = node["place"]
        wanted = place["is"] != "outside"
        is_ = place["is"] if wanted else "inside"
        fact = ("place", place["metric"], is_, place["of"]["circle"]["lat"])
    elif "silence" in node:
        fact = ("silence", {"30m": 1_800_000, "1h": 3_600_000}[node["silence"]])
    elif "presence" in node:
        fact, wanted = ("online",), node["presence"] == "online"
    else:
        ((kind, key),) = node.items()
        fact = (kind, key)
    seen = facts.get(fact)
    return seen is wanted if isinstance(seen, bool) else None
