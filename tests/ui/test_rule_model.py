"""The rule designer's model: every document comes back as it went in, and no change of it breaks a law."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ui
from engine.rules.document import parse, to_json
from tests.ui import rule_documents

ISLANDS = Path(ui.__file__).parent / "islands"
LAW = Path(__file__).with_name("rule_model_law.js")
BUN = Path(sys.executable).with_name("bun")
COUNT = 400


@pytest.fixture(scope="module")
def documents() -> list[dict[str, Any]]:
    rng = random.Random(4)
    return [rule_documents.document(rng) for _ in range(COUNT)]


@pytest.fixture(scope="module")
def answers(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    asked = {
        "model": str(ISLANDS / "rule_model.js"),
        "words": str(ISLANDS / "rule_words.js"),
        "documents": documents,
    }
    said = subprocess.run(
        [str(BUN), str(LAW)], input=json.dumps(asked), capture_output=True, text=True, timeout=180, check=False
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
