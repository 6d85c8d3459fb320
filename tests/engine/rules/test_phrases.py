"""Every leaf and every action has its words; and why a rule does not fire is one sentence."""

import random
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from engine.rules.compile import CompiledRule, compile_rule
from engine.rules.diff import difference
from engine.rules.document import parse
from engine.rules.model import MetricType, Severity
from engine.rules.phrases import action_phrase, phrase, place, seen_text
from engine.rules.placeholders import names_in, render
from engine.rules.state import Known, Raise
from engine.rules.vocabulary import Metric, Vocabulary
from engine.rules.words import sentence, why_not, why_not_over, why_raised
from tests.engine.rules import grown
from tests.engine.rules.making import document, temperature_above

GROUP = "00000000-0000-0000-0000-00000000000a"
VOCABULARY = Vocabulary(
    {
        **grown.VOCABULARY.metrics,
        "flow": Metric("flow", MetricType.NUMBER, "l/min", "Flow"),
        "running": Metric("running", MetricType.BOOLEAN),
    },
    group_names={GROUP: "Site 7"},
)
AVERAGE = {"metric": "temperature", "agg": {"fn": "avg", "over": "5m"}, "op": ">", "value": 8}
NIGHT = {"from": "22:00", "to": "06:00"}
HERE = {"circle": {"lat": 52.52, "lon": 13.405, "radius_m": 500}}


def t(**fields: Any) -> dict[str, Any]:
    return {"metric": "temperature", "op": ">", "value": 8} | fields


@pytest.mark.parametrize(
    ("leaf", "so", "not_so"),
    [
        (AVERAGE, "the average temperature over 5 minutes is above 8 °C",
         "the average temperature over 5 minutes is at most 8 °C"),
        (t(agg={"fn": "max", "last": 10}), "the highest of the last 10 values of temperature is above 8 °C", None),
        (t(agg={"fn": "count", "over": "1h"}, op="==", value=0),
         "the number of values of temperature in 1 hour is 0",
         "the number of values of temperature in 1 hour is not 0"),
        (t(rate={"per": "1m", "over": "10m"}, value=2),
         "the change of temperature per minute over 10 minutes is above 2 °C", None),
        (t(delta={"over": "10m"}, unit="degF"), "the change of temperature over 10 minutes is above 8 °F", None),
        (t(value={"metric": "setpoint", "plus": -2, "times": 1.1}),
         "temperature is above 1.1 times setpoint minus 2 °C", "temperature is at most 1.1 times setpoint minus 2 °C"),
        (t(value={"metric": "temperature", "ago": "1h"}), "temperature is above its value 1 hour ago", None),
        (t(value={"attribute": "upper_limit"}), "temperature is above its upper limit", None),
        (t(value=46.4, unit="degF"), "temperature is above 46.4 °F", None),
        ({"metric": "door_open", "changed": {"over": "1m"}}, "door open has changed within 1 minute",
         "door open has not changed within 1 minute"),
        ({"metric": "flow", "stuck": {"for": "30m", "within": 0.1}},
         "flow has not moved by more than 0.1 l/min for 30 minutes",
         "flow has moved by more than 0.1 l/min within 30 minutes"),
        ({"metric": "door_open", "op": "==", "value": True}, "door is open", "door is closed"),
        ({"metric": "running", "op": "==", "value": True}, "it is running", "it is not running"),
        ({"metric": "door_open", "stuck": {"for": "30m"}}, "door open has not changed for 30 minutes", None),
        ({"attribute": "critical", "op": "==", "value": True}, "its critical is yes", "its critical is no"),
        ({"tag": "outdoor"}, 'it is tagged “outdoor”', 'it is not tagged “outdoor”'),
        ({"group": GROUP}, 'it is in the group “Site 7”', 'it is not in the group “Site 7”'),
        ({"profile": "pump"}, 'it is of the profile “pump”', 'it is not of the profile “pump”'),
        ({"time": {"days": [1, 2, 3, 4, 5], "from": "06:00", "to": "22:00", "tz": "site"}},
         "it is between 06:00 and 22:00 on weekdays (site's time)",
         "it is not between 06:00 and 22:00 on weekdays (site's time)"),
        ({"time": {**NIGHT, "days": [5], "tz": "Europe/Berlin"}},
         "it is between 22:00 and 06:00 the next day on Fridays (Europe/Berlin time)", None),
        ({"time": {"days": [7, 6]}}, "it is at weekends (site's time)", None),
        ({"place": {"metric": "position", "is": "outside", "of": HERE}},
         "it is outside the 500 m around 52.52, 13.405", "it is inside the 500 m around 52.52, 13.405"),
        ({"place": {"metric": "position", "is": "entered", "of": {"polygon": [[0, 0], [0, 1], [1, 1]]}}},
         "it enters the area with 3 corners", "it does not enter the area with 3 corners"),
        ({"silence": "30m"}, "nothing was heard of it for 30 minutes", "something was heard of it within 30 minutes"),
        ({"presence": "offline"}, "it is offline", "it is online"),
        ({"event": "door-forced"}, 'an event “door-forced” comes', 'no event “door-forced” comes'),
    ],
)  # fmt: skip
def test_every_leaf_and_its_opposite_have_their_words(leaf: Any, so: str, not_so: str | None) -> None:
    assert phrase(parse(document(leaf)).when, VOCABULARY) == so
    if not_so is not None:
        assert phrase(parse(document({"not": leaf})).when, VOCABULARY) == not_so


@pytest.mark.parametrize(
    ("then", "words"),
    [
        ({"do": "alert"}, "raise a major alert"),
        ({"do": "notify", "policy": "on-call"}, 'notify “on-call”'),
        ({"do": "webhook", "channel": "ERP"}, 'call the webhook “ERP”'),
        ({"do": "command", "command": "open", "arguments": {"to": 50, "slow": True}},
         'send the command “open” with to 50 and slow yes'),
        ({"do": "command", "command": "open", "device": GROUP}, 'send the command “open” to another device'),
        ({"do": "set", "attribute": "fan_mode", "value": "high"}, 'set its fan mode to “high”'),
        ({"do": "tag", "add": "hot"}, 'tag it “hot”'),
        ({"do": "tag", "remove": "hot"}, 'take the tag “hot” off'),
        ({"do": "derive", "metric": "x", "value": {"metric": "temperature", "plus": 2}},
         "write temperature plus 2 °C as x"),
        ({"do": "derive", "metric": "x", "value": {"metric": "temperature", "agg": {"fn": "min", "over": "1h"}}},
         "write the lowest temperature over 1 hour as x"),
    ],
)  # fmt: skip
def test_every_action_has_its_words(then: Any, words: str) -> None:
    assert action_phrase(parse(document(then=[then])).then[0], Severity.MAJOR, VOCABULARY) == words


def test_what_a_document_holds_by_key_is_said_by_the_name_that_people_gave_it() -> None:
    names = replace(
        VOCABULARY,
        policy_names={"on-call-7": "Night shift"},
        channel_names={GROUP: "ERP"},
        profile_names={"cold-room": "Cold room"},
    )
    then = [{"do": "notify", "policy": "on-call-7"}, {"do": "webhook", "channel": GROUP}]
    one, other = document({"profile": "cold-room"}), document({"profile": "cold-room"}, then=then)
    said = sentence(parse(other), names)
    assert said.startswith("When it is of the profile “Cold room”, notify “Night shift” and call the webhook “ERP”")
    assert difference(parse(one), parse(other), names)[0] == "On firing, it will no longer raise a major alert."
    assert "On firing, it will also notify “Night shift”." in difference(parse(one), parse(other), names)
    moved = difference(parse(one | {"scope": {"profile": "cold-room"}}), parse(one), names)
    assert moved == ["It watches all profiles instead of the profile “Cold room”."]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("$.when.all[1].metric", "in its condition, part 2, “metric”"),
        ("$.when.any[0].all[2].value.metric", "in its condition, part 1, part 3, “value”, “metric”"),
        ("$.when.not.agg.over", "in its condition, “agg”, “over”"),
        ("$.for", "in how long it waits"),
        ("$.then[1].policy", "in what it does, number 2, “policy”"),
        ("$.clear.when.unit", "in when it is over, its condition, “unit”"),
        ("$.scope.groups[0]", "in which devices it watches, “groups”, number 1"),
        ("$.when", "in its condition"),
        ("$.colour", "in “colour”"),
        ("$", "in the document as a whole"),
    ],
)
def test_a_place_of_a_document_is_said_in_words(path: str, words: str) -> None:
    assert place(path) == words


def test_a_rule_with_everything_around_it_is_still_one_sentence() -> None:
    node = document(
        AVERAGE,
        held="10m",
        trigger={"schedule": {"cron": "0 6 * * 1-5"}},
        then=[{"do": "alert"}, {"do": "notify", "policy": "on-call"}],
        on_clear=[{"do": "tag", "remove": "hot"}],
        missing={"after": "30m", "do": "fire"},
        limits={"cooldown": "1h", "max_per_hour": 3, "quiet": NIGHT},
    )
    assert sentence(parse(node), VOCABULARY) == (
        "At 06:00 on Monday through Friday (site's time), if the average temperature over 5 minutes is above 8 °C "
        "for 10 minutes, raise a major alert and notify “on-call”; it clears when that is no longer so, and no new "
        "one is raised for 1 hour after that; then take the tag “hot” off; where a value is older than 30 minutes, it "
        "fires too; at most 3 an hour; silent between 22:00 and 06:00 (site's time)."
    )


def rule(when: Any, **more: Any) -> CompiledRule:
    return compile_rule(UUID(int=1), 1, parse(document(when, **more)), VOCABULARY)


def known(ready: CompiledRule, *values: Any) -> dict[str, Known]:
    """What is known of the rule's inputs, in the order of their names; None: nothing."""
    pairs = zip(ready.inputs, values, strict=True)
    return {each.name: Known(value, 1, 1) for each, value in pairs if value is not None}


@pytest.mark.parametrize(
    ("when", "values", "words"),
    [
        (temperature_above(8), [7.2], "temperature is 7.2 °C, not above 8 °C (0.8 °C away)"),
        (temperature_above(8), [None], "it is not known whether temperature is above 8 °C"),
        (temperature_above(8), [9], "temperature is 9 °C, above 8 °C"),
        ({"any": [temperature_above(8), {"tag": "a"}]}, [True, 9],
         'temperature is 9 °C, above 8 °C, and it is tagged “a”'),
        (t(value=46.4, unit="degF"), [7], "temperature is 44.6 °F, not above 46.4 °F (1.8 °F away)"),
        ({"all": [temperature_above(8), {"tag": "a"}]}, [False, 9], 'it is not tagged “a”'),
        ({"any": [temperature_above(8), {"tag": "a"}]}, [False, 7],
         'temperature is 7 °C, not above 8 °C (1 °C away) and it is not tagged “a”'),
        (t(value={"metric": "setpoint", "plus": 1}), [6, 6.5],
         "temperature is 6.5 °C, not above setpoint plus 1 °C (6 °C)"),
        (t(value={"metric": "setpoint"}), [None, 6], "it is not known whether temperature is above setpoint"),
        (t(op="between", value=[2, 4]), [8.5], "temperature is 8.5 °C, not between 2 and 4 °C (4.5 °C away)"),
        (t(value=8), [8], "temperature is 8 °C, not above 8 °C"),
        ({"metric": "lamp", "op": "==", "value": True}, [False], "lamp is off"),
        ({"metric": "door_open", "op": "==", "value": True}, [False], "door is closed"),
        ({"metric": "door_open", "op": "==", "value": True}, [None], "it is not known whether door is open"),
        ({"metric": "mode", "op": "!=", "value": "a"}, ["a"], 'mode is “a”'),
        ({"not": {"silence": "30m"}}, [True], "nothing was heard of it for 30 minutes"),
        (AVERAGE, [5.25], "the average temperature over 5 minutes is 5.25 °C, not above 8 °C (2.75 °C away)"),
    ],
)  # fmt: skip
def test_why_a_rule_does_not_fire_names_what_would_have_to_be_otherwise(when: Any, values: Any, words: str) -> None:
    ready = rule(when)
    assert why_not(ready, known(ready, *values)) == words


@pytest.mark.parametrize(
    ("clear", "value", "words"),
    [
        (t(op="<", value=6), 6.5, "temperature is 6.5 °C, not below 6 °C (0.5 °C away)"),
        (t(op="<", value=6), 5, "temperature is 5 °C, below 6 °C, but not yet for 2 minutes"),
        (None, 9, "temperature is 9 °C, not at most 8 °C (1 °C away)"),
    ],
)
def test_an_alert_that_is_not_over_says_what_it_waits_for(clear: Any, value: float, words: str) -> None:
    more = {} if clear is None else {"clear": {"when": clear, "for": "2m"}}
    ready = rule(t(), **more)
    assert why_not_over(ready, known(ready, value)) == words


def test_an_alert_names_the_facts_it_rests_on() -> None:
    ready = rule({"all": [AVERAGE, {"silence": "30m"}, t(value={"metric": "setpoint"}, unit="degF")]})
    seen = known(ready, 9.5, True, 6, 9)
    assert [each.name for each in ready.inputs] == [
        "\tavg:over:300000:temperature",
        "\tsilence:1800000",
        "setpoint",
        "temperature",
    ]
    action = Raise(1, 1_763_733_720_000, 1_763_733_720_000, seen, {})
    assert why_raised(ready, action) == (
        "the average temperature over 5 minutes was 9.5 °C, above 8 °C, nothing was heard of it for 30 minutes, "
        "and temperature was 48.2 °F, above setpoint (6 °C), at 14:02 UTC"
    )


def test_placeholders_are_put_in_once_and_what_is_unknown_is_a_dash() -> None:
    text = "{device} is at {metric:temperature}; {device} {metric:gone}"
    assert names_in(text) == ("device", "metric:temperature", "metric:gone")
    facts = {"device": "{rule}", "rule": "no", "metric:temperature": "9 °C"}
    assert render(text, facts) == "{rule} is at 9 °C; {rule} —"


@pytest.mark.parametrize(
    ("value", "beside", "text"),
    [
        (77.2496, [60], "77.25"),
        (135.649, [], "135.6"),
        (1013.25, [], "1013"),
        (123456.7, [], "123457"),
        (0.0123456, [], "0.0123"),
        (0, [], "0"),
        (-9.999, [], "-10"),
        (True, [], "yes"),
        ("open", [], "“open”"),
        (8.0004, [8], "8.0004"),
        (7.9996, [8], "7.9996"),
        (8, [8], "8"),
        (253.04, [207, 253], "253.04"),
        (8.0041, [8.0039], "8.004"),
        (1000.4, ["x", True, None], "1000"),
    ],
)
def test_a_value_that_was_seen_has_the_digits_that_mean_something(value: Any, beside: list[Any], text: str) -> None:
    assert seen_text(value, beside) == text


def test_no_value_is_said_to_be_on_the_other_side_of_what_it_is_held_against() -> None:
    rng = random.Random(11)
    for _ in range(5000):
        limit = round(rng.uniform(-2, 2) * 10 ** rng.randint(-3, 5), rng.randint(0, 4))
        value = limit + rng.uniform(-1, 1) * 10 ** -rng.randint(0, 9)
        said = float(seen_text(value, [limit]))
        assert ((said > limit) - (said < limit)) == ((value > limit) - (value < limit)), (value, limit)
