"""Tests kept with a rule can give whatever rules ask for: events, presence, attributes, tags, groups and positions."""

from typing import Any
from uuid import UUID

import pytest

from engine.rules import invented
from engine.rules.compile import compile_rule
from engine.rules.document import parse, to_json
from engine.rules.errors import RuleInvalid
from engine.rules.model import MetricType
from engine.rules.rehearsal import Budget
from engine.rules.tried import TestResult
from engine.rules.vocabulary import Metric, Vocabulary
from tests.engine.rules.making import document

GROUP = str(UUID(int=3))
VOCABULARY = Vocabulary.of([Metric("t", MetricType.NUMBER), Metric("p", MetricType.OBJECT)])
RAISE: list[dict[str, Any]] = [{"do": "raise"}]
HIGH = {"metric": "t", "op": ">", "value": 8}
YARD = {"circle": {"lat": 1, "lon": 2, "radius_m": 500}}
LEFT = {"place": {"metric": "p", "is": "left", "of": YARD}}
IN, OUT = {"lat": 1, "lon": 2}, {"lat": 1.1, "lon": 2}


def run(when: dict[str, Any], test: dict[str, Any], **over: Any) -> TestResult:
    """The test, run by a rule with this condition."""
    node = document(when, tests=[{"name": "a", **test}], **over)
    assert to_json(parse(node)) == node
    rule = compile_rule(UUID(int=1), 1, parse(node), VOCABULARY)
    (example,) = rule.document.examples or ()
    return invented.tested(rule, example, Budget(5))


ASKED: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "an event": (
        {"event": "door-forced"},
        {"given": [{"at": "0s", "$event": "door-forced"}]},
        {"given": [{"at": "0s", "$event": "door-opened"}]},
    ),
    "an event and a value": (
        {"all": [{"event": "door-forced"}, HIGH]},
        {"given": [{"at": "0s", "t": 9}, {"at": "1m", "$event": "door-forced"}]},
        {"given": [{"at": "0s", "t": 7}, {"at": "1m", "$event": "door-forced"}]},
    ),
    "a presence": (
        {"presence": "offline"},
        {"given": [{"at": "0s", "$presence": "online"}, {"at": "5m", "$presence": "offline"}]},
        {"given": [{"at": "0s", "$presence": "online"}]},
    ),
    "a tag": (
        {"all": [{"tag": "cellar"}, HIGH]},
        {"given": [{"at": "0s", "t": 9}], "device": {"tags": ["cellar"]}},
        {"given": [{"at": "0s", "t": 9}], "device": {"tags": ["attic"]}},
    ),
    "an attribute": (
        {"all": [{"attribute": "floor", "op": ">", "value": 2}, HIGH]},
        {"given": [{"at": "0s", "t": 9}], "device": {"attributes": {"floor": "3"}}},
        {"given": [{"at": "0s", "t": 9}], "device": {"attributes": {"floor": "1"}}},
    ),
    "a group": (
        {"all": [{"group": GROUP}, HIGH]},
        {"given": [{"at": "0s", "t": 9}], "device": {"groups": [GROUP]}},
        {"given": [{"at": "0s", "t": 9}]},
    ),
    "a position": (
        {"place": {"metric": "p", "is": "outside", "of": YARD}},
        {"given": [{"at": "0s", "p": OUT}]},
        {"given": [{"at": "0s", "p": IN}]},
    ),
}


@pytest.mark.parametrize("asked", sorted(ASKED))
def test_what_a_rule_asks_for_can_be_given_and_decides(asked: str) -> None:
    when, fires, stays_quiet = ASKED[asked]
    ends = [{"do": "clear"}] if asked.startswith("an event") else []
    fired = run(when, fires | {"expect": [*RAISE, *ends]})
    quiet = run(when, stays_quiet | {"expect": []})
    assert (fired.passed, quiet.passed) == (True, True), (fired.said, quiet.said)
    assert not run(when, stays_quiet | {"expect": RAISE}).passed


def test_a_wait_that_is_over_ends_before_the_device_connects_again() -> None:
    given = [{"at": "0s", "$presence": "offline"}, {"at": "10m", "$presence": "online"}]
    test = {"given": given, "expect": [{"at": "5m", "do": "raise"}, {"at": "10m", "do": "clear"}]}
    kept = run({"presence": "offline"}, test, held="5m")
    assert kept.passed, kept.said


WARM = [9, 9, 5, 5, 9, 5]
SENT = [{"at": f"{at}m", "t": value} for at, value in enumerate(WARM)]


@pytest.mark.parametrize(
    ("start", "end", "fires"),
    [("0s", "1m", True), ("1m", "1m", True), ("2m", "3m", False), ("3m", "4m", True), ("5m", "9m", False)],
)
def test_of_a_stretch_of_time_only_what_stands_open_in_it_counts(start: str, end: str, fires: bool) -> None:
    """Warm from 0 to 2 minutes and from 4 to 5."""
    stretch = {"given": SENT, "within": {"from": start, "to": end}}
    assert run(HIGH, stretch | {"expect": RAISE}).passed is fires
    assert run(HIGH, stretch | {"expect": []}).passed is not fires


def test_of_a_stretch_of_time_it_does_not_matter_how_it_goes_on() -> None:
    stretch = {"given": SENT, "within": {"from": "0s", "to": "9m"}}
    assert run(HIGH, stretch | {"expect": RAISE}).passed
    assert not run(HIGH, {"given": SENT, "expect": RAISE}).passed
    assert not run(HIGH, stretch | {"expect": [{"do": "raise", "at": "1m"}]}).passed


@pytest.mark.parametrize(
    ("part", "path"),
    [
        ({"device": {"tags": []}}, "$.tests[0].device.tags"),
        ({"device": {"attributes": {"floor": 3}}}, "$.tests[0].device.attributes.floor"),
        ({"device": {"groups": ["cellar"]}}, "$.tests[0].device.groups[0]"),
        ({"device": {"color": "red"}}, "$.tests[0].device.color"),
        ({"within": {"from": "5m", "to": "1m"}}, "$.tests[0].within.to"),
        ({"within": {"from": "5m"}}, "$.tests[0].within.to"),
        ({"given": [{"at": "0s", "$presence": "away"}]}, "$.tests[0].given[0].$presence"),
        ({"given": [{"at": "0s", "$event": ""}]}, "$.tests[0].given[0].$event"),
    ],
)
def test_what_cannot_be_given_is_refused_at_its_place(part: dict[str, Any], path: str) -> None:
    test = {"name": "a", "given": [{"at": "0s", "t": 9}], "expect": [], **part}
    with pytest.raises(RuleInvalid) as refused:
        parse(document(HIGH, tests=[test]))
    assert path in [problem.path for problem in refused.value.problems]
