"""What the tests of rules are made of: a vocabulary, short ways to write rules, random ones (plain and hypothesis)."""

import random
from collections.abc import Callable
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from engine.rules.compile import CompiledRule, compile_rule
from engine.rules.document import parse
from engine.rules.model import MetricType
from engine.rules.vocabulary import Metric, Vocabulary

VOCABULARY = Vocabulary.of(
    [
        Metric("temperature", MetricType.NUMBER, "degC", "Temperature"),
        Metric("humidity", MetricType.NUMBER, "percent"),
        Metric("a.b/ü", MetricType.NUMBER),
        Metric("door_open", MetricType.BOOLEAN),
        Metric("lamp", MetricType.BOOLEAN),
        Metric("mode", MetricType.STRING),
        Metric("0", MetricType.STRING),
    ]
)
NUMBERS = [
    -1,
    0,
    1,
    2,
    3,
    8,
    8.0,
    0.1,
    0.30000000000000004,
    0.3,
    -0.0,
    1e-320,
    1e308,
    -1e308,
    2**53,
    -(2**53),
    2**53 - 1,
]
TEXTS = [
    "",
    "a",
    "b",
    "A",
    "1",
    "true",
    "1d",
    "1d:0h:0m:0s",
    "24h",
    "2025-01-01T00:00:00Z",
    "2025-01-01T01:00:00+01:00",
]
TEXTS += ["2025-01-01", "=a", "é", "\U0001f6aa", "x" * 256]
ODD: list[object] = [
    None,
    [],
    {},
    [1],
    {"datetime": 1},
    float("nan"),
    float("inf"),
    2**53 + 1,
    2**64,
    10**400,
    "\ud800",
]
ODD += ["x" * 257, "x" * 300, "\x00"]


def temperature_above(limit: float) -> dict[str, Any]:
    """The plainest condition."""
    return {"metric": "temperature", "op": ">", "value": limit}


def document(when: Any = None, **more: Any) -> dict[str, Any]:
    """A valid rule document, with ``more`` on top; ``held`` stands for ``for``, which Python keeps for itself."""
    found = {
        "v": 1,
        "name": "Cold room too warm",
        "severity": "major",
        "scope": {"profile": None},
        "when": temperature_above(8) if when is None else when,
        "then": [{"do": "alert"}],
    }
    if "held" in more:
        found["for"] = more.pop("held")
    return found | more


def rule(when: Any = None, *, version: int = 1, number: int = 1, **more: Any) -> CompiledRule:
    """The compiled rule of ``document(when, **more)``."""
    return compile_rule(UUID(int=number), version, parse(document(when, **more)), VOCABULARY)


def random_leaf(rng: random.Random) -> dict[str, Any]:
    """Any comparison the vocabulary allows."""
    metric = rng.choice(list(VOCABULARY.metrics.values()))
    leaf: dict[str, Any] = {"metric": metric.key}
    if metric.type is MetricType.BOOLEAN:
        return leaf | {"op": rng.choice(["==", "!="]), "value": rng.random() < 0.5}
    choices: list[Any] = TEXTS if metric.type is MetricType.STRING else NUMBERS
    numeric = [] if metric.type is MetricType.STRING else ["<", "<=", ">", ">=", "between", "outside"]
    op = rng.choice(["==", "!=", "in", "not in", *numeric])
    if op in ("in", "not in"):
        return leaf | {"op": op, "value": list(dict.fromkeys(rng.choices(choices, k=rng.randint(1, 4))))}
    if op in ("between", "outside"):
        return leaf | {"op": op, "value": sorted(rng.choices(choices, k=2))}
    return leaf | {"op": op, "value": rng.choice(choices)}


def random_condition(
    rng: random.Random, depth: int = 4, leaf: Callable[[random.Random], dict[str, Any]] = random_leaf
) -> dict[str, Any]:
    """Any condition the vocabulary allows, of such leaves, up to ``depth`` levels."""
    if depth == 1 or rng.random() < 0.25:
        return leaf(rng)
    kind = rng.choice(["all", "any", "not"])
    if kind == "not":
        return {"not": random_condition(rng, depth - 1, leaf)}
    return {kind: [random_condition(rng, depth - 1, leaf) for _ in range(rng.randint(1, 3))]}


def random_values(rng: random.Random) -> dict[str, object]:
    """Values as they may come: right, missing, of another type, or odd."""
    values: dict[str, object] = {"not.in.the.rule": 1}
    pools: dict[MetricType, list[Any]] = {
        MetricType.NUMBER: NUMBERS,
        MetricType.BOOLEAN: [True, False],
        MetricType.STRING: TEXTS,
    }
    for metric in VOCABULARY.metrics.values():
        luck = rng.random()
        if luck < 0.7:
            values[metric.key] = rng.choice(pools[metric.type])
        elif luck < 0.8:
            values[metric.key] = rng.choice(pools[rng.choice(list(pools))])
        elif luck < 0.88:
            values[metric.key] = rng.choice(ODD)
    return values


conditions = st.builds(
    lambda seed, depth: random_condition(random.Random(seed), depth), st.integers(), st.integers(1, 5)
)
values = st.builds(lambda seed: random_values(random.Random(seed)), st.integers())

_durations = st.sampled_from(["1s", "90s", "010m", "2h", "1d", "30d"])
_names = st.text(
    st.characters(min_codepoint=32, max_codepoint=0xFFFF, exclude_categories=["C"]), min_size=1, max_size=120
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Any valid document: every optional part there or not."""
    found = document(
        draw(conditions),
        name=draw(_names.filter(str.strip)),
        severity=draw(st.sampled_from(["info", "minor", "major", "critical"])),
        scope={"profile": draw(st.sampled_from([None, "cold-room", "a"]))},
    )
    if draw(st.booleans()):
        found["scope"]["devices"] = [
            str(device) for device in draw(st.lists(st.uuids(), min_size=1, max_size=3, unique=True))
        ]
    if draw(st.booleans()):
        found["description"] = draw(st.sampled_from(["", "One line.", "Two\nlines."]))
    if draw(st.booleans()):
        found["for"] = draw(_durations)
    if draw(st.booleans()):
        found["clear"] = {"when": draw(conditions)} | ({"for": draw(_durations)} if draw(st.booleans()) else {})
    if draw(st.booleans()):
        limits = {"cooldown": draw(_durations), "max_lateness": draw(_durations.filter(lambda text: text != "1s"))}
        found["limits"] = {key: limits[key] for key in draw(st.sets(st.sampled_from(sorted(limits))))}
    return found
