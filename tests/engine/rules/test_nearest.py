"""Almost is only said of what was near: by the rule's own band, by what the metric can be, or by its limit."""

from typing import Any

import pytest

from engine.rules.explain import explain
from engine.rules.nearest import is_near_miss
from engine.rules.state import Known
from tests.engine.rules.making import VOCABULARY, rule, temperature_above

BELOW_6 = {"when": {"metric": "temperature", "op": "<", "value": 6}}
LIT = {"metric": "lamp", "op": "==", "value": True}
WARM = temperature_above(8)


def is_near(when: Any, seen: dict[str, Any], **more: Any) -> bool:
    made = rule(when, **more)
    known = {name: Known(value, 0, 0) for name, value in seen.items()}
    return is_near_miss(made, explain(made.document.when, VOCABULARY, known))


@pytest.mark.parametrize(("temperature", "near"), [(4.26, False), (7.1, False), (7.2, True), (8, True)])
def test_a_number_is_near_within_a_tenth_of_its_limit(temperature: float, near: bool) -> None:
    assert is_near({"all": [WARM, LIT]}, {"temperature": temperature, "lamp": True}) is near


@pytest.mark.parametrize(("temperature", "near"), [(4.26, False), (5.9, False), (6.5, True)])
def test_a_rule_with_an_end_of_its_own_says_itself_what_near_is(temperature: float, near: bool) -> None:
    assert is_near({"all": [WARM, LIT]}, {"temperature": temperature, "lamp": True}, clear=BELOW_6) is near


def test_what_is_asked_for_not_to_be_so_is_measured_as_well() -> None:
    when = {"all": [{"not": {"metric": "temperature", "op": ">=", "value": 8}}, LIT]}
    assert is_near(when, {"temperature": 8.5, "lamp": True})
    assert not is_near(when, {"temperature": 20, "lamp": True})


def test_another_value_is_a_limit_too() -> None:
    than = {"metric": "temperature", "op": "<", "value": {"metric": "temperature", "ago": "1h"}}
    made = rule({"all": [than, LIT]})
    before = next(each.name for each in made.inputs if each.name.startswith("\t"))
    for seen, near in ((9.5, True), (20, False)):
        known = {"temperature": seen, before: 9, "lamp": True}
        assert is_near({"all": [than, LIT]}, known) is near


def test_what_has_no_order_lacks_or_does_not() -> None:
    assert is_near({"all": [WARM, LIT]}, {"temperature": 9, "lamp": False})
    assert not is_near({"all": [WARM, LIT]}, {"temperature": 9}), "nobody knows"
    assert not is_near({"all": [WARM, LIT]}, {"temperature": 7.9, "lamp": False}), "two parts lack"
    assert not is_near(WARM, {"temperature": 7.9}), "its only part"


def test_of_a_group_the_nearest_part_counts() -> None:
    either = {"any": [temperature_above(100), WARM]}
    assert is_near({"all": [LIT, either]}, {"temperature": 7.9, "lamp": True})
    assert not is_near({"all": [LIT, either]}, {"temperature": 2, "lamp": True})
    both = {"all": [WARM, {"metric": "humidity", "op": ">", "value": 60}]}
    assert is_near({"all": [LIT, both]}, {"temperature": 9, "humidity": 59, "lamp": True})
    assert not is_near({"all": [LIT, both]}, {"temperature": 7.9, "humidity": 59, "lamp": True})
