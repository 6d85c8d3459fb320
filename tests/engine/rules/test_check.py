"""The typecheck of all kinds of leaves and actions: what was expected is said, with the nearest that would fit."""

from typing import Any

import pytest

from engine.devices.declared import Argument, Command, ValueType
from engine.rules.check import check
from engine.rules.document import parse
from engine.rules.model import MetricType
from engine.rules.vocabulary import Metric, Surroundings, Vocabulary
from tests.engine.rules.making import document, temperature_above

GROUP = "00000000-0000-0000-0000-00000000000a"
VOCABULARY = Vocabulary.of(
    [
        Metric("temperature", MetricType.NUMBER, "degC"),
        Metric("outside", MetricType.NUMBER, "degF"),
        Metric("pressure", MetricType.NUMBER, "bar"),
        Metric("acidity", MetricType.NUMBER, "pH"),
        Metric("door", MetricType.BOOLEAN),
        Metric("mode", MetricType.STRING),
        Metric("position", MetricType.OBJECT),
    ]
)
VALVE = Command("valve", arguments=(Argument("to", ValueType.NUMBER, min=0, max=100),))
AROUND = Surroundings(
    profiles=frozenset({"pump"}),
    groups=frozenset({GROUP}),
    tags=frozenset({"outdoor"}),
    attributes=frozenset({"limit"}),
    policies=frozenset({"on-call"}),
    channels=frozenset({"ERP"}),
    commands={"valve": VALVE},
)


def said(when: Any = None, **more: Any) -> list[tuple[str, str, str | None]]:
    found = check(parse(document(when, **more)), VOCABULARY, AROUND)
    return [(each.path, each.message, each.suggestion) for each in found]


def t(**fields: Any) -> dict[str, Any]:
    return {"metric": "temperature", "op": ">", "value": 8} | fields


@pytest.mark.parametrize(
    "when",
    [
        t(unit="degF"),
        t(unit="K", agg={"fn": "avg", "over": "5m"}),
        t(value={"metric": "outside", "plus": 2}),
        t(value={"metric": "temperature", "ago": "1h"}),
        t(value={"attribute": "limit"}),
        {"metric": "mode", "agg": {"fn": "count", "over": "5m"}, "op": ">", "value": 3},
        {"metric": "mode", "op": "==", "value": {"attribute": "limit"}},
        {"metric": "mode", "stuck": {"for": "1h"}},
        {"metric": "acidity", "op": ">", "value": 7, "unit": "pH"},
        {"place": {"metric": "position", "is": "left", "of": {"circle": {"lat": 0, "lon": 0, "radius_m": 5}}}},
        {"all": [{"tag": "outdoor"}, {"group": GROUP}, {"profile": "pump"}]},
    ],
)
def test_what_fits_together_has_no_problems(when: Any) -> None:
    assert said(when) == []


@pytest.mark.parametrize(
    ("when", "problem"),
    [
        (t(metric="mode", agg={"fn": "avg", "over": "5m"}),
         ("$.when.metric", '“mode” is a text, so it has no average.', "Count it.")),
        (t(metric="position"),
         ("$.when.metric", '“position” is an object, which cannot be compared.', "Ask for a place.")),
        (t(agg={"fn": "count", "over": "5m"}, unit="degC"),
         ("$.when.unit", '“temperature” is counted, so it has no unit, not in “degC”.', "Leave the unit out.")),
        (t(unit="degc"),
         ("$.when.unit", '“temperature” is measured in “degC”, not in “degc”.', 'Did you mean “degC”?')),
        (t(metric="acidity", unit="H"),
         ("$.when.unit", '“acidity” is measured in “pH”, not in “H”.', 'Give the value in “pH”.')),
        (t(value={"metric": "pressure"}),
         ("$.when.value.metric", '“temperature” is in “degC”, “pressure” is in “bar”: they cannot be compared.',
          "There are: temperature, outside, pressure, acidity.")),
        (t(value={"metric": "outside", "ago": "1h"}),
         ("$.when.value.metric", '“temperature” is in “degC”, “outside” is in “degF”: they cannot be compared.',
          "There are: temperature, outside, pressure, acidity.")),
        (t(value={"metric": "mode"}),
         ("$.when.value.metric", '“temperature” is a number here, and “mode” is a text: they never compare.',
          "There are: temperature, outside, pressure, acidity.")),
        (t(value={"metric": "presure"}),
         ("$.when.value.metric", 'There is no metric “presure”.', 'Did you mean “pressure”?')),
        ({"metric": "mode", "op": "==", "value": {"metric": "mode", "plus": 1}},
         ("$.when.value", '“mode” is a text, so nothing can be added or multiplied.', None)),
        ({"metric": "mode", "stuck": {"for": "1h", "within": 2}},
         ("$.when.metric", '“mode” is a text; only a number can be watched for standing still.',
          "Use one of: temperature, outside, pressure, acidity.")),
        ({"place": {"metric": "mode", "is": "left", "of": {"circle": {"lat": 0, "lon": 0, "radius_m": 5}}}},
         ("$.when.place.metric", '“mode” is a text; only an object can be a place: an object with lat and lon.',
          "Use one of: position.")),
        ({"attribute": "limit", "op": ">", "value": 3, },
         None),
        ({"attribute": "limit", "op": "in", "value": [True]},
         ("$.when.op", '“limit” is true or false, which cannot be compared with “in”.', "Use one of: ==, !=.")),
        ({"attribute": "limti", "op": "==", "value": 3},
         ("$.when.attribute", 'There is no attribute “limti”.', 'Did you mean “limit”?')),
        ({"tag": "x"}, ("$.when.tag", 'There is no tag “x”.', "There are: outdoor.")),
        ({"group": GROUP.replace("a", "b")},
         ("$.when.group", "There is no group with this id.", "Choose one from the list.")),
        ({"profile": "pmp"}, ("$.when.profile", 'There is no profile “pmp”.', 'Did you mean “pump”?')),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_with_what_would(when: Any, problem: tuple[str, str, str | None] | None) -> None:
    assert said(when) == ([] if problem is None else [problem])


@pytest.mark.parametrize(
    ("then", "path", "message"),
    [
        ({"do": "notify", "policy": "oncall"}, "policy", 'There is no notification policy “oncall”.'),
        ({"do": "notify", "policy": "on-call", "message": "{metric:temprature}"}, "message",
         'There is no metric “temprature”.'),
        ({"do": "notify", "policy": "on-call", "message": "{attribute:lim}"}, "message",
         'There is no attribute “lim”.'),
        ({"do": "webhook", "channel": "SAP"}, "channel", 'There is no channel “SAP”.'),
        ({"do": "command", "command": "vlave"}, "command", 'There is no command “vlave”.'),
        ({"do": "command", "command": "valve", "arguments": {"to": 200}}, "arguments.to", None),
        ({"do": "command", "command": "valve"}, "arguments.to", None),
        ({"do": "command", "command": "valve", "arguments": {"to": 5, "at": 1}}, "arguments.at", None),
        ({"do": "derive", "metric": "mode", "value": 1}, "metric",
         '“mode” is a text, and what is derived is a number.'),
        ({"do": "derive", "metric": "x", "value": {"metric": "mode"}}, "value.metric",
         '“mode” is a text, and only numbers can be derived from.'),
    ],
)  # fmt: skip
def test_an_action_that_names_what_does_not_exist_is_refused(then: Any, path: str, message: str | None) -> None:
    (problem,) = said(temperature_above(8), then=[then])
    assert problem[0] == f"$.then[0].{path}"
    assert message is None or problem[1] == message


def test_a_placeholder_stands_for_an_argument_whose_value_comes_later() -> None:
    then = [{"do": "command", "command": "valve", "arguments": {"to": "{metric:temperature}"}}]
    assert said(temperature_above(8), then=then) == []


def test_the_scope_and_the_tests_are_checked_too() -> None:
    where = [{"attribute": "lmit", "op": "==", "value": 1}]
    tests = [{"name": "a", "given": [{"at": "0s", "temprature": 9}], "expect": []}]
    scope = {"profile": None, "tags": ["indoor"], "where": where}
    assert [path for path, _, _ in said(temperature_above(8), scope=scope, tests=tests)] == [
        "$.scope.tags[0]",
        "$.scope.where[0].attribute",
        "$.tests[0].given[0].temprature",
    ]


def test_what_is_not_known_of_the_surroundings_is_not_refused() -> None:
    node = document({"all": [{"tag": "x"}, {"group": GROUP}]}, then=[{"do": "notify", "policy": "whoever"}])
    assert check(parse(node), VOCABULARY) == []
