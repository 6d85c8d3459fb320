"""What a reading says of itself, in the console's words: whether it is in doubt, and how it came."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ui
from engine.telemetry.provenance import ENCODINGS, MACHINES, TRANSPORTS
from ui.words import readings

ISLANDS = Path(ui.__file__).parent / "islands"
LAW = Path(__file__).with_name("clock_law.js")  # asks any module of the islands
BUN = Path(sys.executable).with_name("bun")
ROOM = {"id": "d1", "latest": []}


def _told(asked: list[list[Any]]) -> list[Any]:
    question = json.dumps({"clock": str(ISLANDS / "trust.js"), "asked": asked})
    answer = subprocess.run([BUN, LAW], input=question, capture_output=True, text=True, timeout=60, check=True)
    found: list[Any] = json.loads(answer.stdout)
    return found


def test_each_way_that_the_platform_knows_has_words() -> None:
    ways = [
        {"transport": transport, "encoding": encoding, "decoder": 2, "via": via}
        for transport in TRANSPORTS
        for encoding in ENCODINGS
        for via in (None, *MACHINES)
    ]
    said = _told([["cameBy", way] for way in ways])
    assert len(set(said)) == len(ways)
    assert not [each for each in said if "does not know" in each]
    assert said[0] == "It came by MQTT as JSON, read by decoder 2."
    behind = {"transport": "mqtt", "encoding": "json", "decoder": 2, "via": None, "gateway": "plant"}
    assert _told([["cameBy", behind], ["cameBy", {**behind, "via": "opcua"}]]) == [
        "It came through the gateway plant by MQTT as JSON, read by decoder 2.",
        "It came from the machine by OPC UA, then through the gateway plant by MQTT as JSON, read by decoder 2.",
    ]
    assert "It came from the machine by Modbus, then through its gateway by MQTT as JSON, read by decoder 2." in said


def test_what_was_not_kept_and_what_a_later_version_knows_is_said_so() -> None:
    later = {"transport": "unknown", "encoding": "unknown", "decoder": 3, "via": None}
    assert _told([["cameBy", None], ["cameBy", later]]) == [
        "How it came was not kept.",
        "It came by a way this page does not know, read by decoder 3.",
    ]


def test_how_long_a_reading_was_under_way_is_said_where_that_was_long() -> None:
    assert _told([["underWay", 0, after] for after in (-5_000, 1_999, 2_000, 90_000, 5_400_000, 200_000_000)]) == [
        "",
        "",
        "Received 2 seconds after it was measured.",
        "Received 2 minutes after it was measured.",
        "Received 2 hours after it was measured.",
        "Received 2 days after it was measured.",
    ]


def test_a_doubt_is_named_and_explained_and_good_is_silence() -> None:
    asked = [None], ["uncertain"], ["bad"], ["bad", False], ["bad", False, "no power"], ["bad", True, "It is 'hot'."]
    good, uncertain, bad, never, why, left_out = _told([["doubt", *each] for each in asked])
    assert good is None
    assert (uncertain[0], bad[0]) == ("in doubt", "no value now")
    assert bad[1].startswith("The last there was")
    assert (never[0], "last" in never[1]) == ("no value yet", False)
    assert why == ["no value yet", "No good value has come yet: no power."]
    assert left_out[1] == "The last there was; no good value has come since: It is 'hot'."


@pytest.mark.parametrize(("said", "shown"), [(None, ""), ("uncertain", "uncertain"), ("bad", "bad")])
def test_a_newest_value_takes_its_quality_along(said: str | None, shown: str) -> None:
    sample = {"metric": "t", "label": None, "unit": None, "value": 1, "time": "2026-01-01T00:00:00Z", "quality": said}
    assert [each.quality for each in readings({**ROOM, "latest": [sample]})] == [shown]
    [told] = readings({**ROOM, "latest": [{**sample, "value": None, "quality": "bad", "reason": "broken wire"}]})
    assert (told.value, told.reason) == (None, "broken wire")
