"""A table of devices as people keep it in a spreadsheet: CSV read line by line, each line's mistakes with their place.

The heading line names the columns, in any order: ``key`` (needed), ``name``, ``profile`` (its key), ``tags``,
``attributes``, ``groups`` (their keys). Several things in one cell are divided by ``;`` or ``|``. An attribute is
``site=7``, a tag is a single word; both become labels, a tag's text is empty. A column ``label.site`` is the attribute
site by itself. Comma and semicolon divide cells, whichever the heading line uses (RFC 4180; spreadsheets of half of
Europe write semicolons).
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from engine.devices.checks import checked_labels
from engine.devices.errors import KeyMalformed, LabelsMalformed, NameMalformed, SheetMalformed, SheetTooLong
from engine.devices.model import checked_key, checked_name

MAX_ROWS = 10_000
MAX_CHARS = 1_500_000
COLUMNS = ("key", "name", "profile", "tags", "attributes", "groups")
_LABEL = re.compile(r"label\.(.{1,40})")


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong with one line: the column, if it is one, and a sentence that says how to mend it."""

    column: str | None
    message: str


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. None: the table does not speak of it. ``number`` counts lines as a spreadsheet does."""

    number: int
    key: str
    name: str | None = None
    profile: str | None = None
    labels: Mapping[str, str] | None = None
    groups: tuple[str, ...] = ()
    flaw: Flaw | None = None


class Outcome(StrEnum):
    """What becomes of a line of the table."""

    NEW = "new"
    CHANGED = "changed"
    SAME = "same"
    DIFFERENT = "different"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Line:
    """One line and what becomes of it; ``flaw`` says why where that is nothing, or what differs."""

    number: int
    key: str
    outcome: Outcome
    flaw: Flaw | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did, or would do. ``credentials``: CSV of key, username and token of each new device, once."""

    is_dry_run: bool
    lines: tuple[Line, ...]
    credentials: str | None

    def count(self, outcome: Outcome) -> int:
        """How many lines came out so."""
        return sum(1 for line in self.lines if line.outcome is outcome)


def read(text: str) -> list[Row]:
    """The rows of a table; a key that comes twice is a flaw of the later line. Raises SheetMalformed, SheetTooLong."""
    if len(text) > MAX_CHARS:
        raise SheetTooLong(f"A table has at most {MAX_CHARS:,} characters; split it.")
    if "\0" in text:
        raise SheetMalformed("Text cannot contain the character U+0000.")
    lines = _lines(text.removeprefix("\ufeff"))
    first = next(lines, None)
    if first is None:
        raise SheetMalformed
    heading = _heading(first[1])
    rows: list[Row] = []
    seen: dict[str, int] = {}
    for number, cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        if len(rows) == MAX_ROWS:
            raise SheetTooLong
        row = _row(number, heading, cells)
        if row.flaw is None and (before := seen.setdefault(row.key, number)) != number:
            row = Row(number, row.key, flaw=Flaw("key", f"Line {before} has this key already."))
        rows.append(row)
    return rows


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Each line's number and cells; a quoted cell may hold line breaks, the number is where its line begins."""
    head = text.partition("\n")[0]
    divider = ";" if head.count(";") > head.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=divider, strict=True)
    number = 1
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise SheetMalformed(f"Line {number} is no CSV: {error}.") from None
        if cells is None:
            return
        yield number, cells
        number = reader.line_num + 1


def _heading(cells: Sequence[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    names = [name.lower() if name.lower() in COLUMNS else name for name in names]
    if "key" not in names:
        raise SheetMalformed("The heading line names no column key.")
    for name in names:
        if name and name not in COLUMNS and not _LABEL.fullmatch(name):
            known = ", ".join(COLUMNS)
            raise SheetMalformed(f"There is no column {name[:40]!r}; there are {known}, and label.NAME for a label.")
    if len({name for name in names if name}) != sum(1 for name in names if name):
        raise SheetMalformed("The heading line names a column twice.")
    return names


def _row(number: int, heading: Sequence[str], cells: Sequence[str]) -> Row:
    if len(cells) > len(heading) and any(cell.strip() for cell in cells[len(heading) :]):
        return Row(number, cells[0][:40], flaw=Flaw(None, f"This line has {len(cells)} cells, the heading fewer."))
    given = {name: cell.strip() for name, cell in zip(heading, cells, strict=False) if name}
    key = given.get("key", "")
    try:
        checked_key(key)
        name = checked_name(given["name"]) if given.get("name") else None
        labels = _labels(given) if any(_is_label(column) for column in heading) else None
    except KeyMalformed as error:
        return Row(number, key[:40], flaw=Flaw("key", error.message))
    except NameMalformed as error:
        return Row(number, key, flaw=Flaw("name", error.message))
    except LabelsMalformed as error:
        return Row(number, key, flaw=Flaw("attributes", error.message))
    return Row(number, key, name, given.get("profile") or None, labels, tuple(dict.fromkeys(_parts(given, "groups"))))


def _is_label(column: str) -> bool:
    return column in ("tags", "attributes") or column.startswith("label.")


def _labels(given: Mapping[str, str]) -> dict[str, str]:
    found = dict.fromkeys(_parts(given, "tags"), "")
    for pair in _parts(given, "attributes"):
        name, divider, value = pair.partition("=")
        if not divider:
            raise LabelsMalformed(f"An attribute is written name=value; {pair[:40]!r} is not. Is it a tag?")
        found[name.strip()] = value.strip()
    for column, value in given.items():
        if (named := _LABEL.fullmatch(column)) and value:
            found[named[1]] = value
    return checked_labels(found)


def _parts(given: Mapping[str, str], column: str) -> list[str]:
    return [part.strip() for part in re.split(r"[;|]", given.get(column, "")) if part.strip()]
