"""What the suite found of each adapter, as a table that nobody fills in by hand."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.ingest.adapters.conformance.rows import ROWS
from tests.ingest.adapters.conformance.speaker import COLUMNS, Column, Row

FILE = Path(__file__).parents[4] / "ingest" / "adapters" / "SCORECARD.md"
HEAD = """# What each adapter is known to do

Written by `pytest tests/ingest/adapters/conformance`, which puts one suite through every adapter: a real process, a
real database, real sockets, and kills. What stands behind an edge is a real server of that protocol, read by a whole
edge. ✓ was seen in the run that wrote this; ✗ was not; · is nothing that the protocol can do, for the reason below; *
says below what was seen where that is not what the column says.

"""
_Test = TypeVar("_Test", bound=Callable[..., Any])
Shown = Mapping[str, tuple[Column, frozenset[str]]]
"""Test's name → what it shows, and of which rows."""
shown_by: dict[str, tuple[Column, frozenset[str]]] = {}


def shows(
    column: Column, rows: Sequence[Row] = ROWS, *, together: Sequence[Sequence[Row]] = ()
) -> Callable[[_Test], _Test]:
    """This test shows that an adapter can do a thing: it runs once for each of these rows that does not lack it.

    `together`: once for each of these groups of rows instead, whose test takes `rows`.
    """
    groups = [[row for row in group if column not in row.lacks] for group in together]
    singly = [row for row in rows if column not in row.lacks]
    asked = [row for group in groups for row in group] or singly

    def mark(test: _Test) -> _Test:
        shown_by[test.__name__] = column, frozenset(row.name for row in asked)
        by_group = pytest.mark.parametrize("rows", groups, ids=lambda group: ", ".join(map(str, group)))
        marked: _Test = (by_group if groups else pytest.mark.parametrize("row", singly, ids=str))(test)
        return marked

    return mark


class Scorecard:
    """Collects what was found; `write` it when every row was asked everything."""

    def __init__(self, rows: Sequence[Row] = ROWS, shown: Shown = shown_by) -> None:
        self._rows = rows
        self._shown = shown
        self._found: dict[tuple[str, str], bool] = {}

    def note(self, row: str, test: str, passed: bool) -> None:
        """A test that shows something has ended."""
        if test in self._shown:
            self._found[row, test] = passed and self._found.get((row, test), True)

    @property
    def is_whole(self) -> bool:
        """Whether every test of every row has run."""
        asked = all((row, test) in self._found for test, (_, rows) in self._shown.items() for row in rows)
        return asked and all(self._of(row, each) or each in row.lacks for row in self._rows for each in COLUMNS)

    @property
    def table(self) -> list[str]:
        """A line for each adapter, below two that name the columns."""
        lines = ["| adapter | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
        return lines + [
            "| " + " | ".join([row.name, *(self._sign(row, each) for each in COLUMNS)]) + " |" for row in self._rows
        ]

    def text(self) -> str:
        """The table, and what stands below it."""
        lacking = [f"- {row.name} has no {each}: {why}." for row in self._rows for each, why in row.lacks.items()]
        remarks = [f"- {row.name}, {each}: {what}." for row in self._rows for each, what in row.remarks.items()]
        below = [*lacking, *remarks]
        return HEAD + "\n".join([*self.table, *([""] if below else []), *below]) + "\n"

    def _of(self, row: Row, column: Column) -> list[bool]:
        """What each test has found that shows this of the row."""
        return [
            passed
            for (name, test), passed in self._found.items()
            if name == row.name and self._shown[test][0] == column
        ]

    def _sign(self, row: Row, column: Column) -> str:
        found = self._of(row, column)
        sign = "·" if column in row.lacks else "✓" if found and all(found) else "✗"
        return sign + ("*" if column in row.remarks else "")

    def write(self, file: Path = FILE) -> None:
        """Into the adapters' folder, unless it stands there already."""
        if not file.exists() or file.read_text() != self.text():
            file.write_text(self.text())
