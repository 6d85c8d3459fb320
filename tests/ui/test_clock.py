"""Times of day in the console: written as people write them, shown in 24 hours whatever the browser's language has."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import ui

LAW = Path(__file__).with_name("clock_law.js")
BUN = Path(sys.executable).with_name("bun")
READ = {
    "22:00": "22:00",
    "6": "06:00",
    "6:30": "06:30",
    "0630": "06:30",
    "18.45": "18:45",
    "6:30 pm": "18:30",
    "12 am": "00:00",
    "12 p.m.": "12:00",
    "10PM": "22:00",
    "24:00": "24:00",
    "14:02:07": "14:02:07",
    "24:01": None,
    "25:00": None,
    "7:65": None,
    "13 pm": None,
    "0 am": None,
    "": None,
    "soon": None,
}
NIGHT = "2026-07-01T22:05:09Z"


def _told(asked: list[list[Any]], zone: str = "Europe/Berlin", language: str = "en_US.UTF-8") -> list[Any]:
    question = json.dumps({"clock": str(Path(ui.__file__).parent / "islands" / "clock.js"), "asked": asked})
    environ = {**os.environ, "TZ": zone, "LANG": language, "LC_ALL": language}
    done = subprocess.run(
        [str(BUN), str(LAW)], input=question, capture_output=True, text=True, check=True, timeout=60, env=environ
    )
    found: list[Any] = json.loads(done.stdout)
    return found


def test_a_time_of_day_is_read_as_people_write_it_and_what_is_none_is_not_guessed_at() -> None:
    assert dict(zip(READ, _told([["clockOf", text] for text in READ]), strict=True)) == READ


def test_a_time_counts_only_once_it_is_written_to_its_end() -> None:
    asked = ["2", "22", "22:", "22:0", "22:00", "6:30", "6:30 pm", "22:99"]
    assert _told([["isWholeClock", text] for text in asked]) == [False, False, False, False, True, True, True, False]


def test_a_moment_is_a_day_and_a_time_of_the_readers_own_clock_and_back() -> None:
    parts, exact, back, half = _told(
        [
            ["partsOf", NIGHT],
            ["partsOf", NIGHT, True],
            ["momentOf", "2026-07-02", "00:05:09"],
            ["momentOf", "2026-07-02", ""],
        ]
    )
    assert parts == {"day": "2026-07-02", "at": "00:05"}
    assert exact == {"day": "2026-07-02", "at": "00:05:09"}
    assert (back, half) == (1_782_943_509_000, None)


def test_a_day_is_said_in_words_that_nobody_can_misread() -> None:
    days = ["2026-11-22", "2026-03-04", "2026-04-03", "2026-02-30", "", None, "soon"]
    said = _told([["dayWords", day] for day in days], zone="America/Los_Angeles")
    assert said[:3] == ["Sunday 22 November 2026", "Wednesday 4 March 2026", "Friday 3 April 2026"]
    assert set(said[4:]) == {""}


def test_where_the_language_counts_to_twelve_times_are_shown_in_24_hours_all_the_same() -> None:
    midnight, evening = _told([["clock", NIGHT], ["toTheMinute", "2026-07-01T19:30:00Z"]])
    assert midnight == "00:05"
    assert "21:30" in evening
    assert "PM" not in evening
