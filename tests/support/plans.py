"""How much a statement reads, as PostgreSQL itself says when it has run it."""

from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg


def most_read(connection: psycopg.Connection[Any], statement: LiteralString, *given: object) -> float:
    """The most rows that one scan of a table has read, whether they were wanted or not."""
    row = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", given).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return max(_read(row[0][0]["Plan"]))


def _read(node: dict[str, Any]) -> Iterator[float]:
    if "Relation Name" in node:
        yield node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
    for below in node.get("Plans", ()):
        yield from _read(below)
