"""The words people read: the rule as a sentence, and why an alert was raised or ended."""

import random
from typing import Any

import pytest

from engine.clock import from_ms
from engine.devices.yes_no import yes_no
from engine.rules.compile import CompiledRule
from engine.rules.document import parse
from engine.rules.explain import explain, why
from engine.rules.model import leaves
from engine.rules.state import Action, Clear, EndReason, Known, Raise, Reading, RuleState, Tick
from engine.rules.step import step, stop
from engine.rules.words import phrase, sentence, spelled_ms, value_seen, why_cleared, why_raised
from tests.engine.rules import making
from tests.engine.rules.making import VOCABULARY, document, rule, temperature_above

MINUTE = 60_000
AT_14_02 = 1_763_733_720_000  # 2025-11-21 14:02 UTC
LIT = {"metric": "lamp", "op": "==", "value": True}
WARM_AND_SHUT = {"all": [temperature_above(8), {"metric": "door_open", "op": "==", "value": False}]}


def said(when: Any = None, **more: Any) -> str:
    return sentence(parse(document(when, **more)), VOCABULARY)


def story(watched: CompiledRule, *readings: tuple[float, dict[str, object]]) -> list[str]:
    """What is said about each action when these readings come (minutes after 14:02), and a Tick an hour later."""
    state, actions, at = RuleState(), list[Action](), AT_14_02
    for seq, (minute, values) in enumerate(readings):
        at = AT_14_02 + int(minute * MINUTE)
        state, done = step(watched, state, Reading(at, seq, values), from_ms(at))
        actions += done
    actions += step(watched, state, Tick(), from_ms(at + 60 * MINUTE))[1]
    return [why_raised(watched, done) if isinstance(done, Raise) else why_cleared(watched, done) for done in actions]


def test_a_rule_is_one_plain_sentence() -> None:
    clear = {"when": {"metric": "temperature", "op": "<", "value": 6.5}, "for": "2m"}
    assert said(held="10m", clear=clear) == (
        "When temperature is above 8 °C for 10 minutes, raise a major alert; "
        "it clears when temperature is below 6.5 °C for 2 minutes."
    )


def test_a_rule_without_waits_says_when_it_clears_by_itself() -> None:
    assert said(severity="info") == (
        "When temperature is above 8 °C, raise an info alert; it clears when that is no longer so."
    )


def test_a_cooldown_is_said_too() -> None:
    assert said(limits={"cooldown": "1h"}).endswith(
        "it clears when that is no longer so, and no new one is raised for 1 hour after that."
    )


def test_a_wait_belongs_to_the_whole_condition() -> None:
    assert said(WARM_AND_SHUT, held="90s").startswith(
        "When temperature is above 8 °C and door is closed, for 90 seconds, raise"
    )


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({"metric": "temperature", "op": "==", "value": 8.0}, "temperature is 8 °C"),
        ({"metric": "temperature", "op": "!=", "value": 8}, "temperature is not 8 °C"),
        ({"metric": "temperature", "op": "<=", "value": -0.5}, "temperature is at most -0.5 °C"),
        ({"metric": "temperature", "op": ">=", "value": 8}, "temperature is at least 8 °C"),
        ({"metric": "temperature", "op": "between", "value": [2, 8]}, "temperature is between 2 and 8 °C"),
        ({"metric": "temperature", "op": "outside", "value": [2, 8]}, "temperature is outside 2 to 8 °C"),
        ({"metric": "humidity", "op": "in", "value": [1, 2, 3]}, "humidity is one of 1, 2 or 3 %"),
        ({"metric": "mode", "op": "not in", "value": ["a", "b"]}, 'mode is none of “a” or “b”'),
        ({"metric": "mode", "op": "==", "value": ""}, 'mode is “”'),
        ({"metric": "lamp", "op": "!=", "value": True}, "lamp is off"),
        ({"not": temperature_above(8)}, "temperature is at most 8 °C"),
        ({"all": [temperature_above(8)]}, "temperature is above 8 °C"),
        (
            {"all": [temperature_above(8), {"any": [{"metric": "mode", "op": "==", "value": "a"}, LIT]}]},
            'temperature is above 8 °C and either mode is “a” or lamp is on',
        ),
        (
            {"any": [temperature_above(1), {"all": [temperature_above(2), LIT, temperature_above(4)]}]},
            "temperature is above 1 °C or all of "
            "(temperature is above 2 °C, lamp is on and temperature is above 4 °C)",
        ),
        ({"metric": "temperature", "op": ">", "value": 1234567.8}, "temperature is above 1234567.8 °C"),
    ],
)  # fmt: skip
def test_every_comparison_has_its_words(condition: Any, words: str) -> None:
    assert phrase(parse(document(condition)).when, VOCABULARY) == words


def test_any_condition_can_be_put_into_words_with_all_its_metrics() -> None:
    rng = random.Random(3)
    for _ in range(300):
        node = making.random_condition(rng)
        text = phrase(parse(document(node)).when, VOCABULARY)
        for _, leaf in leaves(parse(document(node)).when):
            asked = yes_no(leaf.metric, None).subject if isinstance(leaf.value, bool) else leaf.metric.replace("_", " ")
            assert asked in text


@pytest.mark.parametrize("do", ["fire", "clear"])
def test_a_value_that_is_missing_is_named_where_that_fires_or_clears(do: str) -> None:
    humid = {"metric": "humidity", "op": ">", "value": 80}
    watched = rule({"all": [humid, temperature_above(8)]}, missing={"after": "10s", "do": do})
    seen = {"temperature": Known(20, AT_14_02, 0)}
    done = Raise(1, AT_14_02, AT_14_02, seen, explain(watched.document.when, VOCABULARY, seen))
    assert why_raised(watched, done) == "there was no humidity for 10 seconds, at 14:02 UTC"
    ended = Clear(1, AT_14_02 + MINUTE, AT_14_02, seen, EndReason.CLEARED)
    assert why_cleared(watched, ended) == "there was no humidity for 10 seconds, for 1 minute since 14:02 UTC"


def test_a_rule_that_fires_because_a_value_is_missing_says_so_in_its_tree_too() -> None:
    humid = {"metric": "humidity", "op": ">", "value": 80}
    watched = rule({"all": [humid, temperature_above(8)]}, missing={"after": "10s", "do": "fire"})
    last, seen = Known(70, AT_14_02 - 10_000, 0), {"temperature": Known(20, AT_14_02, 0)}
    tree = why(watched, seen, {"humidity": last, **seen})
    missing = {"metric": "humidity", "missing": "10s", "is": True, "seen": None, "at": last.at}
    assert tree == {"any": [explain(watched.document.when, VOCABULARY, seen), missing], "is": True}
    assert tree["any"][0]["is"] is None
    said = why_raised(watched, Raise(1, AT_14_02, AT_14_02, seen, tree))
    assert said == "there was no humidity for 10 seconds, at 14:02 UTC"
    either = rule({"any": [humid, temperature_above(8)]}, missing={"after": "10s", "do": "fire"})
    tree = why(either, seen, {"humidity": last, **seen})
    assert tree == explain(either.document.when, VOCABULARY, seen)  # it is true without that
    held = rule({"all": [humid, temperature_above(8)]}, missing={"after": "10s", "do": "hold"})
    assert why(held, seen, {"humidity": last, **seen})["is"] is None


HUMID_OR_WARM = {"any": [{"metric": "humidity", "op": ">", "value": 80}, temperature_above(30)]}
AVERAGE = {"metric": "temperature", "agg": {"fn": "avg", "over": "5m"}, "op": ">", "value": 30}


@pytest.mark.parametrize(
    ("when", "seen", "value"),
    [
        (HUMID_OR_WARM, {"humidity": 41, "temperature": 39.04}, (39.04, "39.04 °C")),
        (HUMID_OR_WARM, {"humidity": 81, "temperature": 20}, (81, "81 %")),
        (AVERAGE, {"\tavg:over:300000:temperature": 31.5, "temperature": 44}, (31.5, "31.5 °C")),
        (
            {"not": {"metric": "temperature", "op": "<=", "value": 86, "unit": "degF"}},
            {"temperature": 40},
            (40, "104 °F"),
        ),
        ({"metric": "mode", "op": "==", "value": "a"}, {"mode": "a"}, ("a", None)),
        (
            {"all": [{"attribute": "site", "op": "==", "value": "x"}, temperature_above(30)]},
            {"\tattribute:site": "x", "temperature": 39},
            (39, "39 °C"),
        ),
        (
            {"metric": "temperature", "changed": {"over": "5m"}},
            {"\tchanged:300000:temperature": True, "temperature": 39},
            (39, "39 °C"),
        ),
        ({"tag": "hot"}, {"\ttag:hot": True}, (None, None)),
    ],
)
def test_the_value_is_that_of_the_first_comparison_that_is_true(when: Any, seen: Any, value: Any) -> None:
    watched = rule(when)
    known = {name: Known(each, AT_14_02, 0) for name, each in seen.items()}
    assert value_seen(watched, Raise(1, AT_14_02, AT_14_02, known, {})) == value


def test_an_alert_says_what_was_seen_and_since_when() -> None:
    watched = rule(held="10m", clear={"when": {"metric": "temperature", "op": "<", "value": 6.5}, "for": "2m"})
    assert story(
        watched, (0, {"temperature": 9}), (9, {"temperature": 9.199999809265137}), (20, {"temperature": 6})
    ) == [
        "temperature was 9.2 °C, above 8 °C, for 10 minutes since 14:02 UTC",
        "temperature was 6 °C, below 6.5 °C, for 2 minutes since 14:22 UTC",
    ]


def test_an_alert_without_a_wait_says_at_what_time() -> None:
    assert story(rule(), (0, {"temperature": 8.0000001}), (1, {"temperature": 8})) == [
        "temperature was 8.0000001 °C, above 8 °C, at 14:02 UTC",
        "temperature was 8 °C, at most 8 °C, at 14:03 UTC",
    ]


def test_only_what_made_it_true_is_named() -> None:
    either = rule({"any": [temperature_above(8), {"metric": "humidity", "op": ">", "value": 60}]}, held="1m")
    assert story(either, (0, {"temperature": 7, "humidity": 70.5})) == [
        "humidity was 70.5 %, above 60 %, for 1 minute since 14:02 UTC"
    ]
    both = rule(WARM_AND_SHUT)
    assert story(both, (0, {"temperature": 9, "door_open": False})) == [
        "temperature was 9 °C, above 8 °C, and door was closed at 14:02 UTC"
    ]


def test_a_wait_over_midnight_says_the_day() -> None:
    watched = rule(held="1d")
    assert story(watched, (0, {"temperature": 9}), (25 * 60, {"temperature": 9})) == [
        "temperature was 9 °C, above 8 °C, for 1 day since 21 Nov 2025 14:02 UTC"
    ]


def test_an_alert_ended_by_people_says_so() -> None:
    watched = rule()
    now = from_ms(AT_14_02)
    state, _ = step(watched, RuleState(), Reading(AT_14_02, 1, {"temperature": 9}), now)
    (stopped,) = stop(state, now)[1]
    changed = step(rule(temperature_above(9), version=2), state, Tick(), now)[1][0]
    assert isinstance(stopped, Clear)
    assert isinstance(changed, Clear)
    assert why_cleared(watched, stopped) == "the rule no longer watches this device"
    assert why_cleared(watched, changed) == "the rule was changed"


@pytest.mark.parametrize(
    ("length_ms", "words"),
    [
        (1_000, "1 second"),
        (90_000, "1 minute 30 seconds"),
        (5_400_000, "1 hour 30 minutes"),
        (90_061_000, "1 day 1 hour"),
    ],
)
def test_lengths_of_time_are_said_by_their_two_largest_units(length_ms: int, words: str) -> None:
    assert spelled_ms(length_ms) == words
