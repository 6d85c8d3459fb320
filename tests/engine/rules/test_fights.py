"""Two rules on one actuator: opposite commands are found by whatever name, and what goes together is left alone."""

from typing import Any

import pytest

from engine.rules.document import parse
from engine.rules.feuds import Feud, Neighbour, feuds
from tests.engine.rules.making import document

PUMP = "00000000-0000-0000-0000-00000000000a"
OTHER = "00000000-0000-0000-0000-00000000000b"
HOT = {"metric": "temperature", "op": ">", "value": 30}
WET = {"metric": "humidity", "op": ">", "value": 80}
COLD = {"metric": "temperature", "op": "<", "value": 5}


def sends(command: str, device: str | None = None, **arguments: Any) -> dict[str, Any]:
    """An action that sends a command."""
    found = {"do": "command", "command": command} | ({"arguments": arguments} if arguments else {})
    return found if device is None else found | {"device": device}


def rule(when: Any, *then: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A rule that does this."""
    return document(when, then=list(then) or [{"do": "alert"}], scope={"profile": "pump"}) | more


def told(one: dict[str, Any], other: dict[str, Any], **profiles: str) -> list[Feud]:
    """What the first rule is told of the other."""
    return list(feuds(parse(one), [Neighbour("Other", parse(other))], profiles))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("run", "stop"),
        ("compressor.on", "compressor.off"),
        ("open_valve", "close_valve"),
        ("fanOn", "fanOff"),
        ("stop", "compressor.on"),
    ],
)
def test_opposite_commands_fight_whatever_they_are_called(one: str, other: str) -> None:
    (feud,) = told(rule(HOT, sends(one)), rule(WET, sends(other)))
    assert (feud.weight, feud.path) == ("warning", "$.then[0]")
    assert feud.message == f"The rule “Other” wants something else: it sends “{other}”, this one sends “{one}”."


def test_commands_whose_names_do_not_tell_are_a_hint_and_the_sure_ones_come_first() -> None:
    (feud,) = told(rule(HOT, sends("flush")), rule(WET, sends("identify")))
    assert (feud.weight, feud.message) == (
        "hint",
        "The rule “Other” commands the same device: it sends “identify”, this one sends “flush”.",
    )
    both = told(rule(HOT, sends("flush"), sends("run")), rule(WET, sends("identify"), sends("stop")))
    assert [each.weight for each in both] == ["warning", "hint"]


def test_the_device_itself_and_the_same_one_by_its_id_are_one_device() -> None:
    own, by_id = rule(HOT, sends("run")), rule(WET, sends("stop", PUMP))
    assert len(told(own, by_id)) == len(told(by_id, own)) == 1
    assert told(own, by_id, **{PUMP: "fan"}) == []
    elsewhere = rule(HOT, sends("run"), scope={"profile": "pump", "devices": [OTHER]})
    assert told(elsewhere, by_id) == told(by_id, elsewhere) == []
    assert told(rule(HOT, sends("run", OTHER)), by_id) == []


def test_what_one_does_when_it_clears_fights_too() -> None:
    until = {"on_clear": [sends("stop")]}
    (feud,) = told(rule(HOT, sends("run"), **until), rule(WET, sends("run")))
    assert feud.path == "$.on_clear[0]"
    assert feud.message == (
        "The rule “Other” wants something else: it sends “run”, this one sends “stop” when it clears."
    )
    (back,) = told(rule(WET, sends("run")), rule(HOT, sends("run"), **until))
    assert (back.path, "it sends “stop” when it clears, this one" in back.message) == ("$.then[0]", True)


def test_a_clear_action_whose_condition_excludes_the_other_does_not_fight() -> None:
    hotter = {"metric": "temperature", "op": ">", "value": 40}
    until = {"on_clear": [sends("stop")]}
    assert told(rule(HOT, sends("run"), **until), rule(hotter, sends("run"))) == []
    cooled = {"clear": {"when": COLD}, "on_clear": [sends("stop")]}
    assert told(rule(HOT, sends("run"), **cooled), rule(hotter, sends("run"))) == []
    assert told(rule(HOT, sends("run"), **until), rule(HOT, sends("run"), **until)) == []


@pytest.mark.parametrize(
    "other",
    [
        rule(WET, sends("run")),
        rule(COLD, sends("stop")),
        rule(WET, sends("stop"), scope={"profile": "fan"}),
        rule(WET, sends("lamp.off")),
        rule(WET),
    ],
)
def test_what_goes_together_is_left_alone(other: dict[str, Any]) -> None:
    mine = rule(HOT, sends("pump.on")) if other["then"] == [sends("lamp.off")] else rule(HOT, sends("run"))
    assert told(mine, other) == []


def test_scopes_that_ask_for_the_opposite_exclude_each_other() -> None:
    def at(site: str) -> dict[str, Any]:
        return {"scope": {"profile": "pump", "where": [{"attribute": "site", "op": "==", "value": site}]}}

    assert told(rule(HOT, sends("run"), **at("Kiel")), rule(WET, sends("stop"), **at("Bonn"))) == []
    assert len(told(rule(HOT, sends("run"), **at("Kiel")), rule(WET, sends("stop"), **at("Kiel")))) == 1


def test_what_two_devices_measure_does_not_exclude_each_other() -> None:
    on, off = rule(HOT, sends("on", PUMP)), rule(COLD, sends("off", PUMP))
    assert len(told(on, off)) == 1  # of many devices, one may be hot and another cold
    one = {"scope": {"profile": None, "devices": [OTHER]}}
    assert told(on | one, off | one) == []
    assert len(told(on | one, off | {"scope": {"profile": None, "devices": [PUMP]}})) == 1
    watched = {"scope": {"profile": None, "devices": [PUMP]}}
    assert told(rule(HOT, sends("on"), **watched), rule(COLD, sends("off", PUMP), **watched)) == []
