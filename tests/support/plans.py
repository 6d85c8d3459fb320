"""How much a statement reads, as PostgreSQL itself says when it has run it."""

from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg


def most_read(connection: psycopg.Connection[Any], statement: LiteralString, *given: object, of: str = "") -> float:
    """The most rows that one scan of a table (this one) has read, whether they were wanted or not; 0 without any."""
    row = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", given).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return max(_read(row[0][0]["Plan"], of), default=0)


def _read(node: dict[str, Any], of: str) -> Iterator[float]:
    table = node.get("Relation Name")
    if table is not None and of in ("", table):
        yield node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
    for below in node.get("Plans", ()):
        yield from _read(below, of)
