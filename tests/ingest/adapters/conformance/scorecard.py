"""What the suite found of each adapter, as a table that nobody fills in by hand."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.ingest.adapters.conformance.rows import ROWS
from tests.ingest.adapters.conformance.speaker import COLUMNS, Column, Row

FILE = Path(__file__).parents[4] / "ingest" / "adapters" / "SCORECARD.md"
HEAD = """# What each adapter is known to do

Written by `pytest tests/ingest/adapters/conformance`, which puts one suite through every adapter: a real process, a
real database, real sockets, and kills. ✓ was seen in the run that wrote this; ✗ was not; · is nothing that the protocol
can do, for the reason below.

"""
_Test = TypeVar("_Test", bound=Callable[..., Any])
column_of: dict[str, Column] = {}
"""Test's name → what it shows."""


def shows(column: Column) -> Callable[[_Test], _Test]:
    """This test shows that an adapter can do a thing: it runs once for each row that does not lack it."""
    rows = [row for row in ROWS if column not in row.lacks]

    def mark(test: _Test) -> _Test:
        column_of[test.__name__] = column
        marked: _Test = pytest.mark.parametrize("row", rows, ids=str)(test)
        return marked

    return mark


class Scorecard:
    """Collects what was found; `write` it when every row was asked everything."""

    def __init__(self, rows: Sequence[Row] = ROWS) -> None:
        self._rows = rows
        self._found: dict[tuple[str, Column], bool] = {}

    def note(self, row: str, test: str, passed: bool) -> None:
        """A test that shows something has ended."""
        if test in column_of:
            cell = row, column_of[test]
            self._found[cell] = passed and self._found.get(cell, True)

    @property
    def is_whole(self) -> bool:
        """Whether every test of every row has run."""
        return all((row.name, each) in self._found or each in row.lacks for row in self._rows for each in COLUMNS)

    def text(self) -> str:
        """The table."""
        lines = ["| adapter | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
        lines += ["| " + " | ".join([row.name, *(self._sign(row, each) for each in COLUMNS)]) + " |" for row in ROWS]
        lacking = [f"- {row.name} has no {each}: {why}" for row in self._rows for each, why in row.lacks.items()]
        return HEAD + "\n".join([*lines, *([""] if lacking else []), *lacking]) + "\n"

    def _sign(self, row: Row, column: Column) -> str:
        return "·" if column in row.lacks else "✓" if self._found.get((row.name, column)) else "✗"

    def write(self, file: Path = FILE) -> None:
        """Into the adapters' folder, unless it stands there already."""
        if not file.exists() or file.read_text() != self.text():
            file.write_text(self.text())
