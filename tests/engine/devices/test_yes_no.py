"""A yes/no metric is said as people say it, whatever it is called."""

import pytest

from engine.devices.yes_no import yes_no


@pytest.mark.parametrize(
    ("label", "true", "false"),
    [
        ("Running", "it is running", "it is not running"),
        ("Door open", "door is open", "door is closed"),
        ("Window closed", "window is closed", "window is open"),
        ("Is the pump running?", "is the pump is running", "is the pump is not running"),
        ("Pump is running", "pump is running", "pump is not running"),
        ("Door", "door is open", "door is closed"),
        ("Lamp", "lamp is on", "lamp is off"),
        ("LED", "LED is on", "LED is off"),
        ("Alarm", "alarm is on", "alarm is off"),
        ("Leak", "leak is detected", "leak is not detected"),
        ("Motion detected", "motion is detected", "motion is not detected"),
        ("Low battery", "battery is low", "battery is not low"),
        ("Motor overheated", "motor is overheated", "motor is not overheated"),
        ("Feed", "feed is on", "feed is off"),
        ("Online", "it is online", "it is offline"),
    ],
)
def test_what_a_name_tells_decides_how_it_is_said(label: str, true: str, false: str) -> None:
    said = yes_no("x", label)
    assert [said.sentence(value) for value in (True, False)] == [true, false]


@pytest.mark.parametrize(
    ("key", "words"), [("door_open", "door is open"), ("is_running", "it is running"), ("x", "x is on")]
)
def test_without_a_label_the_key_is_read(key: str, words: str) -> None:
    assert yes_no(key, "").sentence(True) == words
