"""Commands in the console: the form fits what the profile declares, and every state has words."""

from typing import Any

import pytest

from engine.commands.model import CommandStatus
from tests.ui.support import Gateway, Visit
from ui.command_words import STANDS, Unfit, arguments_of, command_line, told
from ui.components.commands import Commands

SPEED = {"key": "speed", "type": "NUMBER", "label": "", "unit": "percent", "min": 20, "max": 100}
RUN: dict[str, Any] = {
    "key": "run",
    "label": "Start the pump",
    "description": "",
    "timeoutS": 30,
    "arguments": [
        {**SPEED, "choices": [], "isRequired": True},
        {**SPEED, "key": "mode", "type": "STRING", "unit": None, "min": None, "max": None,
         "choices": ["eco", "full"], "isRequired": False},
        {**SPEED, "key": "gently", "type": "BOOLEAN", "unit": None, "min": None, "max": None,
         "choices": [], "isRequired": False},
    ],
}  # fmt: skip
COMMAND: dict[str, Any] = {
    "id": "c1",
    "command": "run",
    "arguments": {"speed": 40, "mode": "eco"},
    "status": "QUEUED",
    "timeoutSeconds": 90,
    "requestedBy": "Ada",
    "requestedAt": "1",
    "expiresAt": "9",
    "sentAt": "2",
    "acknowledgedAt": "3",
    "finishedAt": None,
    "reason": None,
    "result": None,
    "lateAnswer": None,
}
KNOWN = {"run": told(RUN)}


def test_every_state_of_a_command_has_words() -> None:
    assert set(STANDS) == {status.name for status in CommandStatus}


def test_an_argument_says_its_unit_and_what_it_accepts() -> None:
    speed, mode, _ = told(RUN).arguments
    assert (speed.label, speed.unit, speed.hint) == ("Speed", "%", "From 20 to 100 %.")
    assert (mode.hint, mode.choices) == ("", ["eco", "full"])


def test_what_is_filled_in_becomes_what_the_device_is_told() -> None:
    form = {"argument speed": " 42,5 ", "argument mode": "", "argument gently": "yes"}
    assert arguments_of(told(RUN), form) == {"speed": 42.5, "gently": True}
    assert arguments_of(told(RUN), {"argument speed": "40", "argument mode": "eco"}) == {"speed": 40, "mode": "eco"}


@pytest.mark.parametrize(
    ("speed", "said"), [("", "is missing"), ("fast", "has to be a number"), ("10", "from 20 to 100 %"), ("101", "from")]
)
def test_what_does_not_fit_is_said_before_anything_is_asked(speed: str, said: str) -> None:
    with pytest.raises(Unfit, match=said):
        arguments_of(told(RUN), {"argument speed": speed})


def test_a_command_reads_as_people_asked_it_and_an_unknown_one_too() -> None:
    line = command_line(COMMAND, KNOWN)
    assert (line.label, line.given, line.stands) == ("Start the pump", "Speed: 40 %, Mode: eco", "Waits for the device")
    assert (line.at, line.expires_at) == ("1", "9")
    assert command_line({**COMMAND, "command": "old-one"}, KNOWN).label == "Old one"


@pytest.mark.parametrize(
    ("more", "stands", "at", "detail"),
    [
        ({"status": "SENT"}, "The device has it", "2", ""),
        ({"status": "ACKNOWLEDGED"}, "It said that it will do it", "3", ""),
        ({"status": "SUCCEEDED", "result": {"speed": 40}}, "Done", "4", "It answered: speed 40."),
        ({"status": "FAILED", "reason": "No water."}, "It could not do it", "4", "No water."),
        ({"status": "TIMED_OUT", "reason": "x"}, "No answer within 90 s", "4", ""),
    ],
)
def test_where_a_command_stands_is_said_with_its_time(more: dict[str, Any], stands: str, at: str, detail: str) -> None:
    is_over = more["status"] not in ("SENT", "ACKNOWLEDGED")
    line = command_line({**COMMAND, **more, "finishedAt": "4" if is_over else None}, KNOWN)
    assert (line.stands, line.at, line.detail) == (stands, at, detail)


def test_a_late_answer_is_told_and_counts_for_nothing() -> None:
    late = {
        **COMMAND,
        "status": "TIMED_OUT",
        "finishedAt": "4",
        "lateAnswer": {"status": "failed", "reason": "No water"},
    }
    line = command_line(late, KNOWN)
    assert line.late == "Too late to count, it said: it could not do it (No water)."


@pytest.fixture
async def commands(gateway: Gateway, visit: Visit) -> Commands:
    profile = {"id": "p1", "name": "Pump", "commands": [RUN, {**RUN, "key": "stop", "label": "Stop", "arguments": []}]}
    device = {"isOnline": False, "status": "ACTIVE", "profile": profile}
    gateway.answers["DeviceCommands"] = {"device": device, "commands": {"items": [COMMAND]}}
    gateway.answers["CommandIssue"] = {"commandIssue": {"id": "c2"}}
    state = visit(Commands, "/devices/d1")
    await state.load()
    return state


async def test_a_device_is_asked_and_one_that_is_away_is_asked_later(commands: Commands, gateway: Gateway) -> None:
    assert (commands.chosen, len(commands.arguments), len(commands.commands)) == ("run", 3, 1)
    await commands.issue({"argument speed": "40"})
    asked = {"deviceId": "d1", "input": {"command": "run", "arguments": {"speed": 40}}}
    assert gateway.variables("CommandIssue") == asked
    assert commands.said == "It is offline. It is asked as soon as it comes back."
    commands.choose("stop")
    await commands.issue({})
    assert gateway.variables("CommandIssue")["input"] == {"command": "stop", "arguments": {}}


async def test_what_does_not_fit_is_not_asked(commands: Commands, gateway: Gateway) -> None:
    await commands.issue({"argument speed": "7"})
    assert commands.problem == "“Speed”: from 20 to 100 %."
    assert "CommandIssue" not in [name for name, _ in gateway.asked]


async def test_what_waits_is_called_off_and_a_refusal_is_said(commands: Commands, gateway: Gateway) -> None:
    gateway.refuses("CommandCancel", "The device has it already.", "COMMAND_NOT_QUEUED")
    await commands.cancel("c1")
    assert (gateway.variables("CommandCancel"), commands.problem) == ({"id": "c1"}, "The device has it already.")


def test_what_another_device_can_be_asked_is_gone_before_anything_else_is_known(visit: Visit) -> None:
    state = visit(Commands, "/devices/d1")
    state.begin()
    state.ready, state.chosen, state.declared = True, "run", [told(RUN)]
    state.begin()
    assert (state.ready, state.chosen) == (True, "run"), "still the same device"
    state.uid = "d2"
    state.begin()
    assert (state.uid, state.ready, state.chosen, state.declared) == ("d1", False, "", [])
