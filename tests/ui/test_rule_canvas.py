"""The rule as a picture, by its own code under bun: nothing is lost, nothing overlaps, every part can be reached."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BUN = Path(sys.executable).with_name("bun")
CHECK = Path(__file__).with_name("rule_canvas_check.js")
SEED = 20261122


def _check(name: str, count: int) -> dict[str, Any]:
    """What the property said of so many documents by chance."""
    command = [str(BUN), str(CHECK), name, str(count), str(SEED)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def test_a_document_comes_back_from_its_picture_as_it_was() -> None:
    assert _check("identity", 3000) == {"passed": 3000}


def test_changes_in_the_picture_touch_nothing_but_the_conditions_they_are_about() -> None:
    assert _check("changes", 800) == {"passed": 800}


@pytest.mark.parametrize("law", ["layout", "walking", "problems", "verdicts", "dropping"])
def test_every_part_stands_apart_is_reached_by_keys_and_bears_its_problems(
    law: str,
) -> None:
    assert _check(law, 500) == {"passed": 500}
