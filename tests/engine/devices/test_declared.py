"""What a profile declares is checked when it is written, and what a command is told when it is issued."""

from dataclasses import replace
from typing import Any

import pytest

from engine.devices import errors
from engine.devices.changes import changes, every
from engine.devices.checks import checked_commands, checked_interval, checked_metrics, checked_shadow
from engine.devices.declared import Argument, Command, ShadowLeaf, ValueType, check_arguments
from engine.devices.model import Declaration, Metric, MetricType
from engine.devices.rows import as_declaration

NUMBER, BOOLEAN, STRING = ValueType.NUMBER, ValueType.BOOLEAN, ValueType.STRING
SPEED = Argument("speed", NUMBER, "Speed", "%", 10, 100)
RUN = Command("run", "Run", "Starts the pump.", (SPEED, Argument("mode", STRING, choices=("eco", "full"))), 20)
SETPOINT = ShadowLeaf("cooling.setpoint", NUMBER, "Setpoint", "degC", -30, 10, is_writable=True)
DOOR = ShadowLeaf("door_alarm", BOOLEAN)
METRIC = Metric("temperature", MetricType.NUMBER, "Temperature", "degC", -60, 120)


def test_what_is_declared_comes_back_from_the_database_as_it_was() -> None:
    stored: dict[str, Any] = {
        "name": "Cold room",
        "is_strict": True,
        "reporting_interval_s": 60,
        "metrics": checked_metrics([METRIC]),
        "commands": checked_commands([RUN, Command("stop")]),
        "shadow": checked_shadow([SETPOINT, DOOR]),
    }
    declared = Declaration("Cold room", (METRIC,), True, 60, (RUN, Command("stop")), (SETPOINT, DOOR))
    assert as_declaration(stored) == declared


@pytest.mark.parametrize(
    ("command", "place", "remedy"),
    [
        (Command("1st"), "command “1st”", "begin with a letter"),
        (Command("run", timeout_s=0), "command “run”", "after 1 to 86,400 seconds"),
        (replace(RUN, arguments=(SPEED, SPEED)), "command “run”, argument “speed”", "Rename or remove one"),
        (replace(RUN, arguments=(replace(SPEED, min=9, max=1),)), "command “run”, argument “speed”", "Swap them"),
        (replace(RUN, arguments=(Argument("on", BOOLEAN, max=1),)), "command “run”, argument “on”", "Remove them"),
        (replace(RUN, arguments=(Argument("n", NUMBER, choices=("1",)),)), "command “run”, argument “n”", "Remove"),
        (replace(RUN, arguments=(Argument("n", NUMBER, max=float("nan")),)), "command “run”, argument “n”", "finite"),
    ],
)
def test_a_command_that_cannot_be_used_is_refused_with_its_place_and_a_remedy(
    command: Command, place: str, remedy: str
) -> None:
    with pytest.raises(errors.CommandsMalformed) as refusal:
        checked_commands([Command("fine"), command])
    problems = refusal.value.details["problems"]
    assert isinstance(problems, list)
    assert [each["place"] for each in problems] == [place]
    assert remedy in problems[0]["message"]
    assert remedy in refusal.value.message


@pytest.mark.parametrize(
    ("leaves", "place"),
    [
        ([DOOR, DOOR], "setting “door_alarm”"),
        ([ShadowLeaf("a", NUMBER), ShadowLeaf("a.b", NUMBER)], "setting “a”"),
        ([ShadowLeaf("a.b.c.d.e.f", NUMBER)], "setting “a.b.c.d.e.f”"),
        ([ShadowLeaf("a..b", NUMBER)], "setting “a..b”"),
    ],
)
def test_a_setting_that_has_no_place_of_its_own_is_refused(leaves: list[ShadowLeaf], place: str) -> None:
    with pytest.raises(errors.ShadowMalformed) as refusal:
        checked_shadow(leaves)
    problems = refusal.value.details["problems"]
    assert isinstance(problems, list)
    assert [each["place"] for each in problems] == [place]


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(errors.CommandsMalformed, match="1 more") as refusal:
        checked_commands([Command("1st"), Command("2nd")])
    assert len(refusal.value.details["problems"]) == 2  # type: ignore[arg-type]


def test_a_metric_that_cannot_be_used_says_why() -> None:
    with pytest.raises(errors.MetricsMalformed, match=r"'temperature'.*Swap them"):
        checked_metrics([replace(METRIC, min=200)])
    with pytest.raises(errors.MetricsMalformed, match="there twice"):
        checked_metrics([METRIC, METRIC])


def test_an_interval_is_a_second_to_thirty_days_and_zero_means_none() -> None:
    assert (checked_interval(0), checked_interval(None), checked_interval(1)) == (None, None, 1)
    for seconds in (-1, 2_592_001):
        with pytest.raises(errors.IntervalMalformed):
            checked_interval(seconds)


def test_arguments_that_fit_are_values_to_send() -> None:
    told = check_arguments(RUN, {"speed": 50, "mode": "eco"})
    assert (told.values, told.problems) == ({"speed": 50, "mode": "eco"}, ())
    optional = Command("run", arguments=(replace(SPEED, is_required=False),))
    assert check_arguments(optional, {"speed": None}).values == {}


@pytest.mark.parametrize(
    ("given", "place", "words"),
    [
        ({"mode": "eco"}, "speed", "“Speed” is missing: give a number from 10 to 100 %."),
        ({"speed": 5, "mode": "eco"}, "speed", "“Speed” cannot be 5: give a number from 10 to 100 %."),
        ({"speed": True, "mode": "eco"}, "speed", "“Speed” cannot be true: give a number from 10 to 100 %."),
        ({"speed": "50", "mode": "eco"}, "speed", "“Speed” cannot be “50”: give a number from 10 to 100 %."),
        ({"speed": float("inf"), "mode": "eco"}, "speed", "cannot be so large a number"),
        ({"speed": 50, "mode": "off"}, "mode", "“mode” cannot be “off”: give one of “eco”, “full”."),
        ({"speed": 50, "mode": "eco", "pace": 1}, "pace", "it takes “speed”, “mode”. Leave it out."),
    ],
)
def test_an_argument_that_does_not_fit_is_explained_and_nothing_is_sent(
    given: dict[str, object], place: str, words: str
) -> None:
    told = check_arguments(RUN, given)
    assert [problem.place for problem in told.problems] == [place]
    assert words in told.problems[0].message
    assert told.values == {}


def test_a_change_is_told_in_sentences() -> None:
    before = Declaration("Pump", (METRIC,), False, 300, (RUN,), (SETPOINT, DOOR))
    after = Declaration(
        "Big pump",
        (replace(METRIC, min=-40.5), Metric("flow", MetricType.NUMBER, unit="m3/h", min=0)),
        True,
        60,
        (replace(RUN, timeout_s=60, arguments=(replace(SPEED, is_required=False),)), Command("stop")),
        (replace(DOOR, is_writable=True),),
    )
    assert list(changes(before, after)) == [
        "Renamed from “Pump” to “Big pump”.",
        "Values that are not named are turned away from here on.",
        "Devices are expected to report every minute, no longer every 5 minutes.",
        "Changed the value “temperature”: lowest -40.5, was -60.",
        "Added the value “flow”, a number of at least 0 in m3/h.",
        "Changed the command “run”: seconds to wait for an answer 60, was 20.",
        "Added the command “stop”.",
        "Removed the argument “mode” of the command “run”.",
        "Changed the argument “speed” of the command “run”: needed no, was yes.",
        "Removed the setting “cooling.setpoint”.",
        "Changed the setting “door_alarm”: may be set yes, was no.",
    ]
    assert changes(None, after) == ("The profile was made.",)
    assert changes(after, after) == ()


def test_another_order_is_a_change_too() -> None:
    before = Declaration("Pump", (), shadow=(SETPOINT, DOOR))
    assert changes(before, replace(before, shadow=(DOOR, SETPOINT))) == ("Put the settings into another order.",)


def test_intervals_are_said_as_people_do() -> None:
    said = [every(seconds) for seconds in (1, 90, 60, 900, 3_600, 86_400, 172_800)]
    assert said == [
        "every second",
        "every 90 seconds",
        "every minute",
        "every 15 minutes",
        "every hour",
        "every day",
        "every 2 days",
    ]
