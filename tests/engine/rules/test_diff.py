"""What changed between two versions, in words: every change is said, and what means the same is not one."""

import random
from typing import Any

import pytest

from engine.rules.diff import difference
from engine.rules.document import parse
from engine.rules.inputs import inputs_of
from tests.engine.rules import grown
from tests.engine.rules.grown import VOCABULARY
from tests.engine.rules.making import document, temperature_above

LIT = {"metric": "lamp", "op": "==", "value": True}
ID = "00000000-0000-0000-0000-00000000000a"


def said(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return difference(parse(before), parse(after), VOCABULARY)


def test_a_threshold_and_a_wait_are_said_with_both_values() -> None:
    assert said(document(), document(temperature_above(9), held="10m")) == [
        "The threshold of temperature went from 8 °C to 9 °C.",
        "It now waits 10 minutes.",
    ]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({"name": "A"}, {"name": "B"}, "It is now called “B”, no longer “A”."),
        ({"severity": "minor"}, {"severity": "major"}, "Its severity went from minor to major."),
        ({}, {"description": "x"}, "Its description was added."),
        ({"scope": {"profile": "a"}}, {}, "It watches all profiles instead of the profile “a”."),
        ({}, {"scope": {"profile": None, "devices": [ID]}}, "It watches only 1 device."),
        ({"scope": {"profile": None, "tags": ["a", "b"]}}, {"scope": {"profile": None, "tags": ["b", "c"]}},
         "It is narrowed to 1 tag more and 1 tag fewer."),
        ({}, {"trigger": {"schedule": {"cron": "0 6 * * *"}}},
         "It is looked at on the schedule “0 6 * * *” (site's time)."),
        ({"held": "5m"}, {"held": "10m"}, "It now waits 10 minutes, no longer 5 minutes."),
        ({"held": "5m"}, {}, "It no longer waits."),
        ({}, {"clear": {"when": {"metric": "temperature", "op": "<", "value": 6}, "for": "2m"}},
         "It now clears when temperature is below 6 °C for 2 minutes."),
        ({}, {"missing": {"after": "30m", "do": "fire"}}, "Values missing for 30 minutes now fire."),
        ({}, {"limits": {"cooldown": "1h"}}, "The quiet time after an alert is now 1 hour."),
        ({"limits": {"max_per_hour": 3}}, {"limits": {"max_per_hour": 5}}, "The most alerts an hour went from 3 to 5."),
        ({"limits": {"quiet": {"from": "22:00", "to": "06:00"}}}, {},
         "The silent time is no longer limited (it was between 22:00 and 06:00 (site's time))."),
        ({}, {"then": [{"do": "alert"}, {"do": "notify", "policy": "on-call"}]},
         "On firing, it will also notify “on-call”."),
        ({"on_clear": [{"do": "tag", "add": "a"}]}, {}, "On clearing, it will no longer tag it “a”."),
        ({"then": [{"do": "set", "attribute": "a", "value": 1}]},
         {"then": [{"do": "set", "attribute": "a", "value": True}]},
         "On firing, it will set its a to yes, not set its a to 1."),
        ({}, {"tests": [{"name": "spike", "given": [{"at": "0s"}], "expect": []}]}, "Its test “spike” was added."),
    ],
)  # fmt: skip
def test_every_part_of_a_rule_has_its_words(before: dict[str, Any], after: dict[str, Any], words: str) -> None:
    assert said(document(**before), document(**after)) == [words]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({"all": [temperature_above(8), LIT]}, {"all": [LIT, temperature_above(9)]},
         ["The threshold of temperature went from 8 °C to 9 °C."]),
        ({"all": [temperature_above(8)]}, {"all": [temperature_above(8), LIT]},
         ["“lamp is on” was added to the condition."]),
        ({"any": [temperature_above(8), LIT]}, {"any": [LIT]},
         ["“temperature is above 8 °C” was taken out of the condition."]),
        ({"metric": "temperature", "op": ">", "value": 8}, {"metric": "temperature", "op": ">=", "value": 8},
         ["Temperature has to be at least 8 °C, no longer above 8 °C."]),
        (temperature_above(8), LIT, ["The condition is now “lamp is on”, no longer “temperature is above 8 °C”."]),
        ({"silence": "5m"}, {"silence": "1h"},
         ["The condition is now “nothing was heard of it for 1 hour”, "
          "no longer “nothing was heard of it for 5 minutes”."]),
    ],
)  # fmt: skip
def test_a_condition_is_compared_part_by_part(before: Any, after: Any, words: list[str]) -> None:
    assert said(document(before), document(after)) == words


def test_what_means_the_same_is_no_change() -> None:
    same = [temperature_above(8), {"metric": "temperature", "op": ">", "value": 46.4, "unit": "degF"}]
    assert said(document(same[0]), document(same[1])) == []
    assert said(document({"not": {"not": same[0]}}), document(same[0])) == []
    assert said(document(held="60s"), document(held="1m")) == []


def test_random_conditions_differ_in_words_exactly_where_they_differ_in_meaning() -> None:
    rng = random.Random(3)
    for _ in range(300):
        one, other = document(grown.random_condition(rng, 3)), document(grown.random_condition(rng, 3))
        assert said(one, one) == []
        if parse(one).when != parse(other).when and said(one, other) == []:
            facts = [grown.described(read) for read in inputs_of(parse(one).when)]
            values = {fact: rng.random() < 0.5 for fact in facts}
            assert grown.truth(one["when"], values) is grown.truth(other["when"], values)
