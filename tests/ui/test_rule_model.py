"""The rule designer's model: every document comes back as it went in, and no change of it breaks a law."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import ui
from engine.rules.document import parse, to_json
from tests.engine.rules import grown, making

ISLANDS = Path(ui.__file__).parent / "islands"
LAW = Path(__file__).with_name("rule_model_law.js")
BUN = Path(sys.executable).with_name("bun")
COUNT = 400


def _actions(rng: random.Random, is_clearing: bool) -> list[dict[str, Any]]:
    every: list[dict[str, Any]] = [
        {"do": "notify", "policy": "on-call"},
        {"do": "notify", "policy": "on-call", "message": "{device}: {value}, {metric:temperature}"},
        {"do": "webhook", "channel": "Shift book"},
        {"do": "command", "command": "open-valve"},
        {"do": "command", "command": "set", "arguments": {"to": 4, "why": "{rule}"}, "device": str(UUID(int=7))},
        {"do": "set", "attribute": "state", "value": rng.choice(["bad", 3, True])},
        {"do": "tag", "add": "wet"},
        {"do": "tag", "remove": "wet"},
        {"do": "derive", "metric": "mean", "value": {"metric": "temperature", "agg": {"fn": "avg", "over": "5m"}}},
        {"do": "derive", "metric": "twice", "value": {"metric": "temperature", "times": 2}},
        {"do": "derive", "metric": "one", "value": 1},
    ]
    alert = [] if is_clearing or rng.random() < 0.2 else [{"do": "alert"}]
    return alert + rng.sample(every, rng.randint(1, 3))


def _document(rng: random.Random) -> dict[str, Any]:
    """Any valid document with every optional part there or not."""
    found = making.document(grown.random_condition(rng), then=_actions(rng, False))
    found["scope"] = {"profile": rng.choice([None, "cold-room"])}
    parts: dict[str, Any] = {
        "description": "Two\nlines.",
        "for": rng.choice(["1s", "90s", "010m", "2h"]),
        "clear": {"when": grown.random_condition(rng)} | ({"for": "2m"} if rng.random() < 0.5 else {}),
        "missing": {"after": "30m", "do": rng.choice(["hold", "fire", "clear", "ignore"])},
        "trigger": {"schedule": {"cron": rng.choice(["0 6 * * 1-5", "5 23 * * *", "*/7 2 * * *"]), "tz": "site"}},
        "on_clear": _actions(rng, True),
        "tests": [{"name": "It fires", "given": [{"at": "0s", "temperature": 9}], "expect": [{"do": "raise"}]}],
    }
    limits: dict[str, Any] = {
        "cooldown": "15m",
        "max_lateness": "1h",
        "max_per_hour": 4,
        "quiet": {"from": "22:00", "to": "06:00", "days": [6, 7], "tz": "Europe/Berlin"},
    }
    scope: dict[str, Any] = {
        "devices": [str(UUID(int=1))],
        "groups": [grown.GROUPS[0]],
        "tags": ["outdoor"],
        "where": [{"attribute": "site", "op": "==", "value": "Kiel"}, {"tag": "old"}],
    }
    parts["limits"] = {key: value for key, value in limits.items() if rng.random() < 0.5}
    found["scope"] |= {key: value for key, value in scope.items() if rng.random() < 0.3}
    return found | {key: value for key, value in parts.items() if rng.random() < 0.5}


@pytest.fixture(scope="module")
def documents() -> list[dict[str, Any]]:
    rng = random.Random(4)
    return [_document(rng) for _ in range(COUNT)]


@pytest.fixture(scope="module")
def answers(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    asked = {
        "model": str(ISLANDS / "rule_model.js"),
        "words": str(ISLANDS / "rule_words.js"),
        "documents": documents,
    }
    said = subprocess.run(
        [str(BUN), str(LAW)], input=json.dumps(asked), capture_output=True, text=True, timeout=60, check=False
    )
    assert said.returncode == 0, said.stderr
    found: list[dict[str, Any]] = json.loads(said.stdout)
    return found


def test_the_documents_are_valid_and_use_every_part(documents: list[dict[str, Any]]) -> None:
    assert [to_json(parse(each)) for each in documents] == documents
    used = {key for each in documents for key in (*each, *each["scope"], *each.get("limits", {}))}
    wanted = {"trigger", "for", "clear", "missing", "limits", "on_clear", "tests", "where", "groups", "tags", "devices"}
    assert wanted | {"quiet", "cooldown", "max_per_hour", "max_lateness"} <= used


def test_every_document_comes_back_from_the_designer_as_it_went_in(
    documents: list[dict[str, Any]], answers: list[dict[str, Any]]
) -> None:
    assert [each["back"] for each in answers] == documents
    assert all(each["isComplete"] for each in answers)


def test_no_change_of_a_document_breaks_a_law(answers: list[dict[str, Any]]) -> None:
    assert [broken for each in answers for broken in each["broken"]][:5] == []
