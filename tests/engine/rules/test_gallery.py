"""The gallery: every template becomes a valid rule for a fitting profile, in its units, and the linter is content."""

import json
from typing import Any

import pytest

from engine.rules.check import check
from engine.rules.compile import compile_rule
from engine.rules.document import parse
from engine.rules.errors import RuleInvalid
from engine.rules.gallery import GALLERY, template
from engine.rules.lint import Weight, lint
from engine.rules.model import MetricType
from engine.rules.phrases import phrase
from engine.rules.templates import HOLE, HoleKind, Template, fill, fitting, is_fitting, lack
from engine.rules.vocabulary import Metric, Vocabulary
from engine.rules.words import sentence
from tests.engine.rules.making import rule

NUMBER, BOOLEAN = MetricType.NUMBER, MetricType.BOOLEAN
METRIC = Vocabulary.of(
    [
        Metric("temperature", NUMBER, "degC", "Temperature"),
        Metric("setpoint", NUMBER, "degC"),
        Metric("humidity", NUMBER, "percent"),
        Metric("battery", NUMBER, "percent"),
        Metric("tank_level", NUMBER, "percent"),
        Metric("co2", NUMBER, "ppm"),
        Metric("position", MetricType.OBJECT),
        Metric("motor_current", NUMBER, "A"),
        Metric("flow", NUMBER, "l/min"),
        Metric("power", NUMBER, "kW"),
        Metric("door", BOOLEAN),
        Metric("motion", BOOLEAN),
        Metric("leak", BOOLEAN),
        Metric("running_hours", NUMBER, "h"),
    ]
)
IMPERIAL = Vocabulary.of(
    [
        Metric(
            key,
            metric.type,
            {"degC": "degF", "l/min": "m3/h", "kW": "W", "A": "mA"}.get(metric.unit or "", metric.unit),
        )
        for key, metric in METRIC.metrics.items()
    ]
)
AREA = {"lat": 52.52, "lon": 13.405, "radius_m": 500}


def filled(one: Template, vocabulary: Vocabulary, **more: Any) -> dict[str, Any]:
    choices = {hole.key: AREA for hole in one.holes if hole.kind is HoleKind.CIRCLE}
    return fill(one, choices, vocabulary, **more)


@pytest.mark.parametrize("vocabulary", [METRIC, IMPERIAL], ids=["metric", "imperial"])
@pytest.mark.parametrize("one", GALLERY, ids=lambda each: each.key)
def test_every_template_becomes_a_valid_rule_the_linter_has_nothing_against(
    one: Template, vocabulary: Vocabulary
) -> None:
    document = parse(filled(one, vocabulary, profile="room", policy="on-call"))
    assert check(document, vocabulary) == []
    assert compile_rule(rule().id, 1, document, vocabulary).document == document
    assert [found for found in lint(document, vocabulary) if found.weight is not Weight.HINT] == []
    assert HOLE not in json.dumps(filled(one, vocabulary))
    assert sentence(document, vocabulary).endswith(".")


def test_there_are_enough_templates_and_each_says_what_it_is_for() -> None:
    assert len(GALLERY) >= 14
    assert len({one.key for one in GALLERY}) == len({one.title for one in GALLERY}) == len(GALLERY)
    for one in GALLERY:
        assert one.description.endswith(".")
        assert template(one.key) is one
        assert len({hole.key for hole in one.holes}) == len(one.holes)


@pytest.mark.parametrize("one", GALLERY, ids=lambda each: each.key)
def test_every_hole_of_a_template_is_used_in_its_rule(one: Template) -> None:
    text = json.dumps(one.rule)
    for hole in one.holes:
        assert f'{{"{HOLE}": "{hole.key}"}}' in text, hole.key


@pytest.mark.parametrize(
    ("name", "choices", "safe"),
    [
        ("freezer-too-warm", {"limit": -3}, -5),
        ("freezer-too-warm", {"limit": 4.5}, 2.5),
        ("freezer-too-warm", {"limit": -3, "safe": -10}, -10),
        ("freezer-too-warm", {}, -17),
        ("battery-low", {"limit": 95}, 100),
    ],
    ids=["a limit", "a fraction", "a choice of one's own", "the defaults", "no more than all"],
)
def test_where_it_is_well_again_follows_the_limit_that_was_chosen(
    name: str, choices: dict[str, Any], safe: float
) -> None:
    one = template(name)
    assert one is not None
    assert fill(one, choices, METRIC)["clear"]["when"]["value"] == safe


def test_a_template_that_compares_two_metrics_fits_only_where_there_are_two() -> None:
    one = template("off-its-setpoint")
    assert one is not None
    alone = Vocabulary.of([Metric("temperature", NUMBER, "degC")])
    both = Vocabulary.of([*alone.metrics.values(), Metric("setpoint", NUMBER, "degC")])
    assert (is_fitting(one, alone), is_fitting(one, both)) == (False, True)


def test_what_follows_another_hole_stands_behind_it_and_both_have_a_number_to_begin_with() -> None:
    for one in GALLERY:
        before: dict[str, Any] = {}
        for hole in one.holes:
            assert hole.follows is None or isinstance(before[hole.follows], int | float)
            before[hole.key] = hole.default


def test_a_template_keeps_its_values_in_its_own_unit_where_the_profile_measures_in_another() -> None:
    one = template("freezer-too-warm")
    assert one is not None
    when = parse(filled(one, IMPERIAL)).when
    assert phrase(when, IMPERIAL) == "temperature is above -15 °C"
    assert filled(one, IMPERIAL)["when"]["unit"] == "degC"
    assert "unit" not in filled(one, METRIC)["when"]


def test_the_metric_that_sounds_right_is_taken_and_another_may_be_chosen() -> None:
    battery = template("battery-low")
    assert battery is not None
    assert fitting(battery.holes[0], METRIC)[0] == "battery"
    assert filled(battery, METRIC)["when"]["metric"] == "battery"
    assert fill(battery, {"metric": "humidity", "limit": 7}, METRIC)["when"] == {
        "metric": "humidity",
        "op": "<",
        "value": 7,
    }


def test_a_profile_without_such_a_metric_does_not_fit_and_says_what_is_missing() -> None:
    damp = Vocabulary.of([Metric("humidity", NUMBER, "percent")])
    battery = template("battery-low")
    assert battery is not None
    assert not is_fitting(battery, damp)
    assert is_fitting(battery, METRIC)
    assert lack(battery, METRIC) is None
    assert lack(battery, damp) == "Nothing measured here looks like “Battery” in %."
    dry, door = (next(each for each in GALLERY if each.key == key) for key in ("pump-runs-dry", "door-left-open"))
    wanted = "“Current of the motor” in A or “Flow” in l/min"
    assert lack(dry, damp) == f"Nothing measured here looks like {wanted}."
    assert lack(door, damp) == "Nothing measured here looks like “Door” (yes or no)."
    with pytest.raises(RuleInvalid) as refused:
        fill(battery, {}, damp)
    (problem,) = refused.value.problems
    assert (problem.path, problem.message) == ("$.choices.metric", "“Battery” has to be chosen.")


def test_a_choice_that_does_not_exist_is_refused_and_a_bad_one_is_found_in_the_document() -> None:
    battery = template("battery-low")
    assert battery is not None
    with pytest.raises(RuleInvalid) as refused:
        fill(battery, {"limt": 7}, METRIC)
    assert refused.value.problems[0].suggestion == "Did you mean “limit”?"
    with pytest.raises(RuleInvalid) as refused:
        parse(fill(battery, {"limit": "much"}, METRIC))
    assert refused.value.problems[0].path == "$.when.value"


def test_a_choice_nested_without_end_is_refused_as_any_other() -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    battery = template("battery-low")
    assert battery is not None
    with pytest.raises(RuleInvalid):
        parse(fill(battery, {"limit": deep, "metric": deep}, METRIC))
