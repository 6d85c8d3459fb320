"""What an action says is told before it is done by the same words as then."""

import pytest

from engine.rules.acting import Effect, said
from engine.rules.model import AddTag, CallWebhook, DeriveMetric, Notify, SendCommand, SetAttribute, Then


def effect(then: Then) -> Effect:
    facts = {"device": "Room 1", "value": "9.23", "time": "2026-05-08 14:02", "severity": "major"}
    return Effect(
        rule_id="1",
        version=1,
        rule_name="Too warm",
        severity="major",
        device_id="d",
        episode=1,
        place="then.0",
        then=then,
        at_ms=0,
        is_raise=True,
        reason="temperature was 9.23 °C, above 8 °C",
        facts=facts,
        value=1.5,
        shown="9.2 °C",
    )


@pytest.mark.parametrize(
    ("then", "text"),
    [
        (Notify("a", "{device}: {value} at {time}"), "Room 1: 9.2 °C at 2026-05-08 14:02 UTC"),
        (Notify("a"), "Too warm: Room 1. Temperature was 9.23 °C, above 8 °C"),
        (CallWebhook("a"), "Too warm: Room 1. Temperature was 9.23 °C, above 8 °C"),
        (SendCommand("cool", (("to", 4.5), ("why", "{value} in {device}"))), "cool to 4.5 and why “9.23 in Room 1”"),
        (SendCommand("stop"), None),
        (SetAttribute("note", "{severity} in {metric:none}"), "major in —"),
        (SetAttribute("on", True), "true"),
        (DeriveMetric("excess", 1.5), "1.5"),
        (AddTag("warm"), None),
    ],
)
def test_an_action_says_its_words_with_its_values(then: Then, text: str | None) -> None:
    assert said(effect(then)) == text
