"""What is called impossible never comes true in any world of messages, places and times; what is planted is found."""

import random
from typing import Any

import pytest

from engine.rules.document import parse
from engine.rules.facts import About, Facts, Moment, Point
from engine.rules.inputs import Input, InputKind, inputs_of
from engine.rules.model import Condition, MetricType
from engine.rules.possible import Possible
from engine.rules.resolve import resolved
from engine.rules.vocabulary import Metric, Vocabulary
from engine.rules.windows import Need
from tests.engine.rules import grown
from tests.engine.rules.making import document

VOCABULARY = Vocabulary.of(
    [
        Metric("temperature", MetricType.NUMBER, "degC"),
        Metric("setpoint", MetricType.NUMBER, "degC"),
        Metric("position", MetricType.OBJECT),
    ]
)
HOUR = 3_600_000
MONDAY = 4 * 24 * HOUR
"""The first one, in ms since the epoch, at midnight in UTC."""
LABELS: list[dict[str, str]] = [{}, {"old": ""}, {"a": "1"}, {"a": "x"}, {"a": "true", "old": ""}]
PASTS: list[list[object]] = [[0], [0.1], [0, 0.1], [1, 2], [0, 1, 2, 3], [2, "off"]]
WINDOWS: list[dict[str, Any]] = [{"over": "5m"}, {"over": "1h"}, {"last": 1}, {"last": 3}]


def t(op: str, value: Any, **more: Any) -> dict[str, Any]:
    return {"metric": "temperature", "op": op, "value": value} | more


def agg(fn: str, op: str, value: Any, **window: Any) -> dict[str, Any]:
    return t(op, value, agg={"fn": fn} | (window or {"over": "1h"}))


def time(start: str, end: str, *days: int, **more: Any) -> dict[str, Any]:
    return {"time": {"from": start, "to": end} | ({"days": list(days)} if days else {}) | more}


def place(is_: str, of: Any = grown.HERE) -> dict[str, Any]:
    return {"place": {"metric": "position", "is": is_, "of": {"circle": of}}}


def small_leaf(rng: random.Random) -> dict[str, Any]:
    """Any leaf, of few values and windows, so that many exclude each other."""
    op = rng.choice(["==", "!=", "<", "<=", ">", ">=", "between", "outside", "in"])
    pair = sorted(rng.sample([0, 0.1, 1, 2, 3], 2))
    value = pair if op in ("between", "outside", "in") else pair[0]
    fn = rng.choice(["min", "avg", "max", "count", "sum"])
    length = rng.choice(["5m", "1h"])
    leaves: list[dict[str, Any]] = [
        t(op, value),
        t(op, value, agg={"fn": fn} | rng.choice(WINDOWS)),
        t(op, value, agg={"fn": fn} | rng.choice(WINDOWS)),
        t(op, value, delta={"over": length}),
        t(rng.choice(["<", "<=", ">", ">=", "==", "!="]), {"metric": rng.choice(["temperature", "setpoint"])}),
        {"metric": "temperature", "stuck": {"for": length} | ({"within": 1} if rng.random() < 0.5 else {})},
        {"metric": "temperature", "changed": {"over": length}},
        time(rng.choice(["00:00", "06:00"]), rng.choice(["05:30", "12:00"]), *rng.choice(((), (1, 2), (3,)))),
        place(rng.choice(["inside", "outside", "entered", "left"]), rng.choice([grown.HERE, grown.THERE])),
        {"profile": rng.choice(["pump", "fan"])},
        {"tag": "old"},
        {"event": rng.choice(["opened", "shut"])},
        {"silence": rng.choice(["30m", "1h"])},
        {"presence": rng.choice(["online", "offline"])},
        {"attribute": "a", "op": "==", "value": rng.choice([1, 2, "x", True])},
    ]
    return rng.choice(leaves)


def small_condition(rng: random.Random, depth: int) -> dict[str, Any]:
    if depth == 1 or rng.random() < 0.2:
        return small_leaf(rng)
    kind = rng.choice(["all", "all", "any", "not"])
    parts = [small_condition(rng, depth - 1) for _ in range(rng.randint(2, 3))]
    return {"not": parts[0]} if kind == "not" else {kind: parts}


def ready(node: Any) -> Condition:
    return resolved(parse(document(node)).when, VOCABULARY)


class World:
    """A device with a past, looked at in one moment of it; the engine's own windows and places say what is so."""

    def __init__(self, rng: random.Random) -> None:
        at = MONDAY + rng.randrange(14) * 12 * HOUR + rng.choice([0, 5, 6, 11]) * HOUR
        self.newest: dict[str, object] = {}
        points: list[Point] = []
        for metric in ("temperature", "setpoint", "position"):
            begins = rng.choice([0, 2 * HOUR, 400_000])
            times = sorted({at - rng.randrange(begins + 1) for _ in range(rng.randrange(8))} | {at})
            few = rng.choice(PASTS)
            for seq, when in enumerate(times if rng.random() < 0.9 else []):
                value = rng.choice(few) if metric != "position" else _near(rng.choice([grown.HERE, grown.THERE]))
                points.append((metric, when, seq, value))
                self.newest[metric] = value
        self.facts = Facts()
        self.facts.use(dict.fromkeys(("temperature", "position"), Need(2 * HOUR, 20)))
        labels = rng.choice(LABELS)
        self.facts.meet("d", About(rng.choice([None, "pump", "fan", "hat"]), labels, is_online=rng.random() < 0.5))
        self.facts.begin("d", points)
        event = rng.choice([None, None, "opened", "shut", "else"])
        received = rng.choice([None, at, at - HOUR, at - HOUR // 2, at - 1_000])
        self.moment = Moment(at, 0, received, at if event is None and rng.random() < 0.7 else None, event)

    def seen(self, each: Input) -> object:
        if each.kind is InputKind.METRIC:
            return self.newest.get(each.metric or "")
        return self.facts.read("d", each, self.moment)


def _near(circle: Any) -> dict[str, float]:
    return {"lat": circle["lat"], "lon": circle["lon"]}


def test_no_world_makes_true_what_is_called_impossible_nor_false_what_is_called_always_true() -> None:
    rng = random.Random(11)
    worlds = [World(rng) for _ in range(250)]
    never = always = 0
    for _ in range(1_500):
        node = small_condition(rng, 3)
        condition = ready(node)
        cannot_be = not Possible().walk(condition, "$")
        cannot_fail = not Possible(is_known=False).walk(condition, "$", negated=True)
        never, always = never + cannot_be, always + cannot_fail
        if not (cannot_be or cannot_fail):
            continue
        inputs = inputs_of(condition)
        for world in rng.sample(worlds, 50):
            verdict = grown.truth(node, {grown.described(each): world.seen(each) for each in inputs})
            assert not (cannot_be and verdict is True), node
            assert not (cannot_fail and verdict is False), node
    assert never > 100, "many of these conditions can never be"
    assert always > 10, "and some always are"


PLANTED: dict[str, list[Any]] = {
    "two ranges in two units": [t(">", 8), t("<", 41, unit="degF")],
    "times of day apart": [time("08:00", "10:00"), time("20:00", "22:00")],
    "one over midnight and one at noon": [time("22:00", "06:00"), time("11:00", "13:00")],
    "days apart": [{"time": {"days": [1, 2]}}, {"time": {"days": [6, 7]}}],
    "a night that began on a day, and another day": [time("22:00", "06:00", 1), time("07:00", "24:00", 2)],
    "not at any time": [{"not": time("08:00", "20:00")}, {"not": time("20:00", "08:00")}],
    "two profiles": [{"profile": "pump"}, {"profile": "fan"}],
    "a lowest value above the highest": [agg("min", ">", 8), agg("max", "<", 5)],
    "a lowest value above the average": [agg("min", ">=", 8), agg("avg", "<", 8)],
    "an average above the highest value": [agg("avg", ">", 8), agg("max", "<=", 8)],
    "a longer window with a smaller highest value": [agg("max", ">", 8, over="5m"), agg("max", "<", 8, over="1h")],
    "the newest value above the highest": [t(">", 8), agg("max", "<", 5)],
    "the newest value below the lowest of some": [t("<", 5), agg("min", ">", 8, last=3)],
    "a count below nothing": [agg("count", "<", 0)],
    "a count between two whole numbers": [agg("count", ">", 2), agg("count", "<", 3)],
    "more of the last three than three": [agg("count", ">", 3, last=3)],
    "more in a part than in the whole": [agg("count", ">", 5, over="5m"), agg("count", "<", 5, over="1h")],
    "an average of nothing": [agg("count", "==", 0), agg("avg", ">", 8)],
    "stuck and changed": [
        {"metric": "temperature", "stuck": {"for": "1h"}},
        {"metric": "temperature", "changed": {"over": "5m"}},
    ],
    "stuck with a jump": [
        {"metric": "temperature", "stuck": {"for": "1h", "within": 1}},
        t(">", 2, delta={"over": "5m"}),
    ],
    "silent long but not shortly": [{"silence": "1h"}, {"not": {"silence": "30m"}}],
    "inside of two circles that lie apart": [place("inside", grown.HERE), place("inside", grown.THERE)],
    "entered, and outside": [place("entered"), place("outside")],
    "two events at once": [{"event": "opened"}, {"event": "shut"}],
    "a message and an event at once": [{"event": "opened"}, place("left")],
    "above and below the same other metric": [t(">", {"metric": "setpoint"}), t("<", {"metric": "setpoint"})],
    "above itself": [t(">", {"metric": "temperature"})],
    "an attribute of two types": [
        {"attribute": "a", "op": "==", "value": 1},
        {"attribute": "a", "op": "==", "value": "x"},
    ],
    "a branch for each case, and none of them left": [
        {"any": [{"all": [t(">", 8), {"tag": "a"}]}, {"all": [t("<", 2), {"tag": "b"}]}]},
        {"any": [t("between", [3, 7]), {"not": {"any": [{"tag": "a"}, {"tag": "b"}]}}]},
    ],
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_contradiction_is_found_and_every_part_of_it_alone_is_fine(name: str) -> None:
    parts = PLANTED[name]
    assert not Possible().walk(ready({"all": parts}), "$")
    assert not Possible().walk(ready({"not": {"any": [{"not": part} for part in reversed(parts)]}}), "$")
    assert len(parts) == 1 or all(Possible().walk(ready(part), "$") for part in parts)
