"""The point table as an edge reads it: from a file, with the protocols that it speaks (`engine.points.table`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.points import table
from engine.points.table import (
    MAX_POINTS,
    Access,
    Connection,
    Point,
    PointTable,
    Raw,
    Report,
    TableWrong,
    Type,
    Unwritable,
)
from ingest.edge import document, protocols
from ingest.edge.document import Misread, Node, Wrong

__all__ = [
    "MAX_POINTS",
    "Access",
    "Connection",
    "Point",
    "PointTable",
    "Raw",
    "Report",
    "TableWrong",
    "Type",
    "Unwritable",
    "load",
    "one",
    "parse",
    "read",
]


def load(path: Path) -> PointTable:
    """The table in a file. Raises TableWrong or OSError."""
    return parse(read(path))


def read(path: Path, misread: Misread | None = None) -> Node:
    """A file's document, whatever it holds; `misread` as in `document.read`. Raises TableWrong or OSError."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(document.MAX_BYTES + 1)  # whatever it is: a log, or a disk's image
        return document.read(text, path.name, misread)
    except Wrong as wrong:
        raise TableWrong([wrong]) from None
    except UnicodeDecodeError:
        raise TableWrong([Wrong(path.name, "The file is no UTF-8; save it as such.")]) from None


def parse(root: Node, *, beside: Sequence[str] = ()) -> PointTable:
    """The table in a document's root; members that are neither the table's nor `beside` it are an error.

    Raises TableWrong.
    """
    return table.parse(root, protocols.get, beside=beside)


def one(device: str, connection: Connection, item: Node) -> Point:
    """A single point, as it would stand in the list of its device's. Raises Wrong."""
    return table.one(device, connection, item, protocols.get)
