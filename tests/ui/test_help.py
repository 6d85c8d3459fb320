"""Every "?" of the console leads to a concept that is explained, and every concept is led to."""

import re
from pathlib import Path

import pytest

import ui
from ui.help_words import CONCEPTS, PARTS, Concept

SOURCES = [each for kind in ("py", "jsx") for each in Path(ui.__file__).parent.glob(f"*/**/*.{kind}")]
LED_TO = re.compile(r'(?:help_link\(|[< ]about=)"([\w-]+)"')
EVERY = [each for _, part in PARTS for each in part]
NEEDED = {
    "rule",
    "trigger",
    "condition",
    "groups-of-conditions",
    "window",
    "for",
    "over",
    "cooldown",
    "missing-data",
    "mode",
}
NEEDED |= {"backtest", "rule-test", "draft", "version", "alert", "acknowledge", "silence", "escalation", "channel"}
NEEDED |= {"time-zone", "why-not", "noted", "profile", "tag", "group", "command", "device-shadow"}


def _led_to() -> set[str]:
    own = [each for each in SOURCES if ".web" not in each.parts and "assets" not in each.parts]
    return {about for each in own for about in LED_TO.findall(each.read_text())}


def test_each_concept_stands_once_and_none_that_people_ask_for_is_missing() -> None:
    assert len(EVERY) == len(CONCEPTS)
    assert set(CONCEPTS) >= NEEDED


def test_every_question_mark_leads_to_a_concept() -> None:
    assert len(_led_to()) > 20
    assert _led_to() <= set(CONCEPTS)


def test_every_concept_is_led_to_from_the_console_or_from_another_concept() -> None:
    told = {other for each in EVERY for other in each.see}
    assert told <= set(CONCEPTS)
    assert set(CONCEPTS) - _led_to() - told == set()


@pytest.mark.parametrize("concept", EVERY, ids=lambda each: str(each.key))
def test_a_concept_is_said_in_whole_sentences_and_found_where_it_says(concept: Concept) -> None:
    routes = set(re.findall(r'add\(\s*\w+,\s*"([^"]+)"', (Path(ui.__file__).parent / "app.py").read_text()))
    assert concept.place is None or concept.place[1] in routes
    assert concept.words.endswith(".")
    assert 40 < len(concept.words) < 420
    assert concept.key not in concept.see
