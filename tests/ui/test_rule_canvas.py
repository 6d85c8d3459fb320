"""The rule as a picture, by its own code under bun: nothing is lost, nothing overlaps, every part can be reached."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.ui import rule_documents

BUN = Path(sys.executable).with_name("bun")
CHECK = Path(__file__).with_name("rule_canvas_check.js")
SEED = 20261122


@pytest.fixture(scope="module")
def documents() -> list[dict[str, Any]]:
    """Every other one is valid; the others have parts in them that nobody knows."""
    rng = random.Random(SEED)
    return [(rule_documents.odd if i % 2 else rule_documents.document)(rng) for i in range(3000)]


def _check(name: str, documents: list[dict[str, Any]]) -> dict[str, Any]:
    """What the property said of the documents."""
    asked = json.dumps({"documents": documents, "seed": SEED})
    command = [str(BUN), str(CHECK), name]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=180, check=False)
    assert done.stdout, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def test_a_document_comes_back_from_its_picture_as_it_was(documents: list[dict[str, Any]]) -> None:
    assert _check("identity", documents) == {"passed": 3000}


def test_changes_in_the_picture_touch_nothing_but_the_conditions_they_are_about(
    documents: list[dict[str, Any]],
) -> None:
    assert _check("changes", documents[:800]) == {"passed": 800}


@pytest.mark.parametrize("law", ["layout", "walking", "problems", "verdicts", "dropping"])
def test_every_part_stands_apart_is_reached_by_keys_and_bears_its_problems(
    documents: list[dict[str, Any]],
    law: str,
) -> None:
    assert _check(law, documents[:500]) == {"passed": 500}
