"""Compiled conditions against an independent three-valued interpreter, and the traps of JSONLogic one by one."""

import random
from typing import Any

import pytest
from hypothesis import given, settings

from engine.rules.compile import Program, compile_rule, program
from engine.rules.document import parse
from engine.rules.errors import RuleInvalid
from engine.rules.explain import explain
from engine.rules.model import MetricType
from engine.rules.state import Reading
from engine.rules.vocabulary import Metric, Vocabulary
from tests.engine.rules import making
from tests.engine.rules.kleene import kleene
from tests.engine.rules.making import VOCABULARY, document, random_condition, random_values, rule

TYPES = {key: metric.type for key, metric in VOCABULARY.metrics.items()}
WORDS = {key: metric.type.value for key, metric in VOCABULARY.metrics.items()}


def compiled(condition: Any) -> Program:
    return program(parse(document(condition)).when, TYPES)


def verdict(condition: Any, values: dict[str, object]) -> bool | None:
    return compiled(condition).verdict(Reading(0, 0, values).handle)


def test_24_000_random_conditions_agree_with_kleene_and_nothing_is_raised() -> None:
    rng = random.Random(20_261_121)
    met: dict[bool | None, int] = {True: 0, False: 0, None: 0}
    for _ in range(4_000):
        condition = random_condition(rng)
        ready = compiled(condition)
        for _ in range(6):
            values = random_values(rng)
            expected = kleene(condition, values, WORDS)
            assert ready.verdict(Reading(0, 0, values).handle) is expected, (condition, values)
            met[expected] += 1
    assert sum(met.values()) == 24_000
    assert min(met.values()) > 2_000, "the random cases must meet true, false and unknown alike"


@settings(max_examples=5 * settings.default.max_examples, deadline=None)
@given(making.conditions, making.values)
def test_a_condition_and_its_opposite_are_true_false_or_unknown_together(
    condition: Any, values: dict[str, object]
) -> None:
    expected = kleene(condition, values, WORDS)
    assert verdict(condition, values) is expected
    assert verdict({"not": condition}, values) is (None if expected is None else not expected)


@settings(max_examples=2 * settings.default.max_examples, deadline=None)
@given(making.conditions, making.values)
def test_the_explanation_says_what_the_condition_says(condition: Any, values: dict[str, object]) -> None:
    reading = Reading(5, 1, values)
    known = {key: entry for key, entry in reading.news.items() if key in VOCABULARY.metrics}
    tree = explain(parse(document(condition)).when, VOCABULARY, known)
    assert tree["is"] is kleene(condition, values, WORDS)


@pytest.mark.parametrize(
    ("leaf", "seen"),
    [
        ({"metric": "temperature", "op": "<", "value": 50}, {}),
        ({"metric": "temperature", "op": ">", "value": 9}, {"temperature": "10"}),
        ({"metric": "temperature", "op": "==", "value": 1}, {"temperature": True}),
        ({"metric": "temperature", "op": "<", "value": 50}, {"temperature": None}),
        ({"metric": "temperature", "op": "!=", "value": 50}, {"temperature": float("nan")}),
        ({"metric": "door_open", "op": "==", "value": True}, {"door_open": 1}),
        ({"metric": "mode", "op": "!=", "value": "1"}, {"mode": 1}),
        ({"metric": "mode", "op": "not in", "value": ["a"]}, {"mode": ["a"]}),
    ],
)
def test_a_missing_or_mistyped_value_is_unknown_and_so_is_its_opposite(leaf: Any, seen: dict[str, object]) -> None:
    assert verdict(leaf, seen) is None
    assert verdict({"not": leaf}, seen) is None


@pytest.mark.parametrize(
    ("written", "seen"),
    [("1d", "1d:0h:0m:0s"), ("2025-01-01T00:00:00Z", "2025-01-01T01:00:00+01:00"), ("1", "1.0"), ("a", "A")],
)
def test_texts_are_compared_character_by_character_even_if_they_look_like_times(written: str, seen: str) -> None:
    for op in ("==", "in"):
        leaf = {"metric": "mode", "op": op, "value": written if op == "==" else [written]}
        assert verdict(leaf, {"mode": seen}) is False
        assert verdict(leaf, {"mode": written}) is True


def test_one_true_part_of_any_is_enough_while_the_others_are_unknown() -> None:
    condition = {"any": [{"metric": "humidity", "op": ">", "value": 1}, making.temperature_above(8)]}
    assert verdict(condition, {"temperature": 9}) is True
    assert verdict(condition, {"temperature": 7}) is None
    assert verdict({"all": condition["any"]}, {"temperature": 7}) is False


def test_between_includes_its_ends_and_outside_is_the_rest() -> None:
    for seen, inside in [(2, True), (8, True), (1.99, False), (8.01, False), (5, True)]:
        assert verdict({"metric": "temperature", "op": "between", "value": [2, 8]}, {"temperature": seen}) is inside
        assert verdict({"metric": "temperature", "op": "outside", "value": [2, 8]}, {"temperature": seen}) is not inside


def test_the_largest_condition_allowed_compiles_and_runs_within_its_budget() -> None:
    leaf = {"metric": "temperature", "op": "outside", "value": [2, 8]}
    wide: Any = {"all": [leaf] * 50}
    for _ in range(6):
        wide = {"not": wide}
    assert verdict(wide, {"temperature": 9}) is True
    assert verdict(wide, {"temperature": 5}) is False


def test_a_rule_that_misuses_its_metrics_is_refused_with_the_leaf_named() -> None:
    with pytest.raises(RuleInvalid) as refused:
        rule({"all": [making.temperature_above(8), {"metric": "mode", "op": ">", "value": 8}]})
    assert [problem.path for problem in refused.value.problems] == ["$.when.all[1].op", "$.when.all[1].value"]
    assert refused.value.code == "RULE_INVALID"


def test_what_a_rule_reads_is_known_and_each_metric_once() -> None:
    ready = rule(
        {"all": [making.temperature_above(8), making.temperature_above(9)]},
        clear={"when": {"metric": "humidity", "op": "<", "value": 5}},
    )
    assert ready.metrics == ("humidity", "temperature")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"all": [making.temperature_above(8), {"metric": "lamp", "op": "==", "value": True}]},
         {"all": [{"metric": "lamp", "op": "==", "value": True}, making.temperature_above(8.0)]}),
        ({"not": {"not": making.temperature_above(8)}}, making.temperature_above(8)),
        ({"not": {"metric": "temperature", "op": "<=", "value": 8}}, making.temperature_above(8)),
        ({"all": [{"all": [making.temperature_above(8)]}]}, {"any": [making.temperature_above(8)] * 2}),
        ({"metric": "mode", "op": "in", "value": ["a", "b"]}, {"metric": "mode", "op": "in", "value": ["b", "a"]}),
        ({"metric": "temperature", "op": ">", "value": 8, "unit": "degC"}, making.temperature_above(8)),
        ({"metric": "temperature", "op": ">", "value": -0.0}, making.temperature_above(0)),
    ],
)  # fmt: skip
def test_two_ways_to_write_one_condition_have_one_hash(one: Any, other: Any) -> None:
    assert rule(one).condition == rule(other).condition


@pytest.mark.parametrize(
    "edit",
    [
        {"when": making.temperature_above(8.5)},
        {"when": {"metric": "temperature", "op": ">=", "value": 8}},
        {"when": {"metric": "humidity", "op": ">", "value": 8}},
        {"clear": {"when": {"metric": "temperature", "op": "<", "value": 6}}},
    ],
)
def test_another_condition_has_another_hash(edit: dict[str, Any]) -> None:
    assert rule().condition != rule(**edit).condition


def test_names_severity_waits_and_limits_are_no_part_of_the_condition() -> None:
    edited = rule(name="Other", severity="info", held="5m", limits={"cooldown": "1h"}, description="x", version=2)
    assert rule().condition == edited.condition


def test_a_metric_of_another_type_makes_another_condition() -> None:
    same = document({"metric": "x", "op": "==", "value": 1})
    number = Vocabulary.of([Metric("x", MetricType.NUMBER)])
    assert compile_rule(rule().id, 1, parse(same), number).condition
    with pytest.raises(RuleInvalid):
        compile_rule(rule().id, 1, parse(same), Vocabulary.of([Metric("x", MetricType.STRING)]))
