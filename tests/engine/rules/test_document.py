"""Documents: what is valid comes back unchanged, what is not is refused with every problem, its place and a way out."""

import copy
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import Invalid
from engine.rules.document import parse, to_json
from engine.rules.errors import Problem, RuleInvalid
from tests.engine.rules import making
from tests.engine.rules.making import document, temperature_above

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(making.ODD),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.sampled_from(list(document())), inner, max_size=6)
    ),
    max_leaves=20,
)


def problems(node: object) -> list[Problem]:
    with pytest.raises(RuleInvalid) as refused:
        parse(node)
    assert refused.value.problems, "a refusal always says why"
    return list(refused.value.problems)


def refusal(node: object) -> tuple[Problem, ...]:
    """The problems of a document, none if it is valid; any other exception passes through and fails the test."""
    try:
        parse(node)
    except RuleInvalid as refused:
        return refused.problems
    return ()


@settings(max_examples=3 * settings.default.max_examples, deadline=None)
@given(making.documents())
def test_a_valid_document_comes_back_exactly_as_it_was_written(node: dict[str, Any]) -> None:
    written = to_json(parse(node))
    assert json.dumps(written, sort_keys=True) == json.dumps(node, sort_keys=True)


@settings(max_examples=5 * settings.default.max_examples, deadline=None)
@given(anything)
def test_any_json_is_read_or_refused_and_nothing_else_happens(node: object) -> None:
    assert all(len(str(problem)) < 3_000 for problem in refusal(node))


@settings(max_examples=5 * settings.default.max_examples, deadline=None)
@given(making.documents(), st.integers(), anything)
def test_a_valid_document_with_one_part_replaced_by_anything_is_read_or_refused(
    node: dict[str, Any], seed: int, junk: object
) -> None:
    broken = _replace_somewhere(copy.deepcopy(node), random.Random(seed), junk)
    found = refusal(broken)
    assert len(found) <= 50
    assert found or to_json(parse(broken)) == broken


def _replace_somewhere(node: Any, rng: random.Random, junk: object) -> Any:
    keys = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
    if not keys or rng.random() < 0.25:
        return junk
    key = rng.choice(keys)
    node[key] = _replace_somewhere(node[key], rng, junk)
    return node


def test_every_problem_is_reported_at_once() -> None:
    node = document(
        {"all": [{"metric": "t", "op": "=>", "value": 1}, {"any": []}, 3]}, name=" ", severty="x", held="10 min"
    )
    del node["severity"]
    assert [problem.path for problem in problems(node)] == [
        "$.severty",
        "$.severity",
        "$.name",
        "$.when.all[0].op",
        "$.when.all[1].any",
        "$.when.all[2]",
        "$.for",
    ]


def test_a_misspelt_field_is_suggested() -> None:
    found = problems(document({"metrc": "t", "op": ">", "value": 1}))
    assert found[0] == Problem("$.when.metrc", "There is no such field here.", "Did you mean “metric”?")


def test_a_refusal_is_an_engine_error_with_its_problems_as_details() -> None:
    with pytest.raises(Invalid) as refused:
        parse(document(severity="huge"))
    assert refused.value.details["problems"] == [
        {"path": "$.severity", "message": "This must be one of info, minor, major, critical, not “huge”."}
    ]


@pytest.mark.parametrize(
    ("node", "path"),
    [
        (None, "$"),
        ([], "$"),
        (document() | {"v": 2}, "$.v"),
        (document() | {"v": True}, "$.v"),
        (document() | {"v": 1.0}, "$.v"),
        (document(name="x" * 121), "$.name"),
        (document(name="a\x00b"), "$.name"),
        (document(name="\ud800"), "$.name"),
        (document(scope={}), "$.scope.profile"),
        (document(scope={"profile": "has space"}), "$.scope.profile"),
        (document(scope={"profile": None, "devices": []}), "$.scope.devices"),
        (document(scope={"profile": None, "devices": ["pump-7"]}), "$.scope.devices[0]"),
        (document(scope={"profile": None, "devices": ["00000000-0000-0000-0000-00000000000A"]}), "$.scope.devices[0]"),
        (document(scope={"profile": None, "devices": ["00000000-0000-0000-0000-00000000000a"] * 2}), "$.scope.devices"),
        (document(then=[]), "$.then"),
        (document(then=[{"do": "alert"}, {"do": "alert"}]), "$.then"),
        (document(then=[{"do": "email"}]), "$.then[0].do"),
        (document(held="0s"), "$.for"),
        (document(held="31d"), "$.for"),
        (document(held=600), "$.for"),
        (document(held="-5m"), "$.for"),
        (document(held="٣m"), "$.for"),
        (document(clear={"for": "2m"}), "$.clear.when"),
        (document(limits={"cooldown": "0s"}), "$.limits.cooldown"),
        (document(limits={"max_lateness": "59s"}), "$.limits.max_lateness"),
        (document({"metric": "t", "op": ">", "value": "8"}), "$.when.value"),
        (document({"metric": "t", "op": ">", "value": True}), "$.when.value"),
        (document({"metric": "t", "op": ">", "value": float("inf")}), "$.when.value"),
        (document({"metric": "t", "op": "==", "value": 2**53 + 1}), "$.when.value"),
        (document({"metric": "t", "op": "==", "value": 10**5000}), "$.when.value"),
        (document({"metric": "t", "op": "==", "value": None}), "$.when.value"),
        (document({"metric": "t", "op": "between", "value": [8, 2]}), "$.when.value"),
        (document({"metric": "t", "op": "between", "value": [8]}), "$.when.value"),
        (document({"metric": "t", "op": "in", "value": []}), "$.when.value"),
        (document({"metric": "t", "op": "in", "value": ["a", 1]}), "$.when.value"),
        (document({"metric": "t", "op": "in", "value": ["a", "a"]}), "$.when.value"),
        (document({"metric": "t", "op": "in", "value": list(range(51))}), "$.when.value"),
        (document({"metric": "", "op": ">", "value": 1}), "$.when.metric"),
        (document({"all": [temperature_above(8)], "any": [temperature_above(8)]}), "$.when.any"),
        (document({"all": [temperature_above(8)] * 51}), "$.when.all"),
        (document({"missing": "x"}), "$.when.missing"),
    ],
)
def test_what_is_out_of_bounds_is_refused_at_its_place(node: object, path: str) -> None:
    assert path in [problem.path for problem in problems(node)]


def test_eight_levels_are_read_and_nine_are_too_deep() -> None:
    deep: Any = temperature_above(8)
    for _ in range(7):
        deep = {"not": deep}
    parse(document(deep))
    assert "nested too deeply" in problems(document({"not": deep}))[0].message


def test_fifty_comparisons_are_read_and_fifty_one_are_too_many() -> None:
    ten = {"all": [temperature_above(8)] * 10}
    parse(document({"any": [ten] * 5}))
    found = problems(document({"any": [ten, ten, ten, ten, ten, temperature_above(8)]}))
    assert [problem.message for problem in found] == ["The rule has too many comparisons: at most 50."]


def test_both_conditions_of_a_rule_share_the_bound_on_comparisons() -> None:
    many = {"all": [temperature_above(8)] * 26}
    assert problems(document(many, clear={"when": many}))[0].path.startswith("$.clear.when")


def test_a_bomb_of_nested_lists_is_refused_quickly_and_briefly() -> None:
    bomb: Any = temperature_above(8)
    for _ in range(400):
        bomb = {"all": [bomb] * 2}
    found = problems(document(bomb))
    assert len(found) <= 50
