"""Typechecking: each misuse of a metric is named with its leaf, what was expected, and what was probably meant."""

from typing import Any

import pytest

from engine.rules.check import check
from engine.rules.document import parse
from engine.rules.model import MetricType
from engine.rules.vocabulary import Metric, Vocabulary
from tests.engine.rules.making import VOCABULARY, document, temperature_above


def said(condition: Any, vocabulary: Vocabulary = VOCABULARY) -> list[tuple[str, str, str | None]]:
    return [(found.path, found.message, found.suggestion) for found in check(parse(document(condition)), vocabulary)]


def test_a_rule_that_uses_its_metrics_rightly_has_no_problems() -> None:
    assert said({"all": [temperature_above(8), {"metric": "mode", "op": "in", "value": ["a"]}]}) == []
    assert said({"metric": "temperature", "op": ">", "value": 8, "unit": "degC"}) == []


@pytest.mark.parametrize(
    ("leaf", "expected"),
    [
        (
            {"metric": "temprature", "op": ">", "value": 8},
            ("$.when.metric", "There is no metric “temprature”.", "Did you mean “temperature”?"),
        ),
        (
            {"metric": "Temperature", "op": ">", "value": 8},
            ("$.when.metric", "There is no metric “Temperature”.", "Did you mean “temperature”?"),
        ),
        (
            {"metric": "zzz", "op": ">", "value": 8},
            (
                "$.when.metric",
                "There is no metric “zzz”.",
                "There are: temperature, humidity, a.b/ü, door_open, lamp.",
            ),
        ),
        (
            {"metric": "temperature", "op": "==", "value": "8"},
            (
                "$.when.value",
                "“temperature” is a number, so it cannot be compared with “8”.",
                "Leave the quotes out: 8.",
            ),
        ),
        (
            {"metric": "temperature", "op": "==", "value": "nan?"},
            ("$.when.value", "“temperature” is a number, so it cannot be compared with “nan?”.", None),
        ),
        (
            {"metric": "door_open", "op": "==", "value": "true"},
            (
                "$.when.value",
                "“door_open” is true or false, so it cannot be compared with “true”.",
                "Use true or false, without quotes.",
            ),
        ),
        (
            {"metric": "mode", "op": "==", "value": 3},
            (
                "$.when.value",
                "“mode” is a text, so it cannot be compared with the number 3.",
                'Put it in quotes: "3".',
            ),
        ),
        (
            {"metric": "door_open", "op": "in", "value": [True]},
            (
                "$.when.op",
                "“door_open” is true or false, which cannot be compared with “in”.",
                "Use one of: ==, !=.",
            ),
        ),
        (
            {"metric": "temperature", "op": ">", "value": 8, "unit": "bar"},
            ("$.when.unit", "“temperature” is measured in “degC”, not in “bar”.", "Give the value in “degC”."),
        ),
        (
            {"metric": "mode", "op": "==", "value": "a", "unit": "kg"},
            ("$.when.unit", "“mode” has no unit, not in “kg”.", "Leave the unit out."),
        ),
    ],
)
def test_a_misuse_says_what_was_expected_and_what_would_mend_it(
    leaf: Any, expected: tuple[str, str, str | None]
) -> None:
    assert said(leaf) == [expected]


def test_the_path_leads_to_the_leaf_in_both_conditions() -> None:
    wrong = {"metric": "x", "op": ">", "value": 1}
    node = document(
        {"any": [temperature_above(8), {"not": {"all": [wrong]}}]},
        clear={"when": {"all": [temperature_above(8), wrong]}},
    )
    paths = [found.path for found in check(parse(node), VOCABULARY)]
    assert paths == ["$.when.any[1].not.all[0].metric", "$.clear.when.all[1].metric"]


def test_a_rule_for_all_profiles_may_use_what_they_agree_on_and_is_told_what_clashes() -> None:
    cold = Vocabulary.of([Metric("temperature", MetricType.NUMBER, "degC"), Metric("door", MetricType.BOOLEAN)])
    pump = Vocabulary.of([Metric("temperature", MetricType.NUMBER, "degC"), Metric("door", MetricType.STRING)])
    both = Vocabulary.union([cold, pump])
    assert said(temperature_above(8), both) == []
    assert said({"metric": "door", "op": "==", "value": True}, both) == [
        (
            "$.when.metric",
            "“door” is of different types or units in different profiles.",
            "Choose one profile for this rule.",
        )
    ]


def test_an_empty_profile_says_what_to_do_first() -> None:
    assert said(temperature_above(8), Vocabulary())[0][2] == "Add metrics to the device profile first."
