"""What the code believes of the tables is what the database has."""

import importlib

import psycopg

from engine.store.base import metadata
from infra.local.postgres import Postgres

for domain in ("tenants", "devices", "telemetry", "alerts", "rules"):
    importlib.import_module(f"engine.{domain}.tables")


def test_every_described_column_exists_with_its_type_and_nullability(postgres: Postgres) -> None:
    query = """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
          AND a.attnum > 0 AND NOT a.attisdropped
    """
    with psycopg.connect(postgres.url("owner")) as connection:
        found = {(row[0], row[1]): (row[2], row[3]) for row in connection.execute(query)}
    dialect = importlib.import_module("sqlalchemy.dialects.postgresql").dialect()
    described = {
        (table.name, column.name): (column.type.compile(dialect).lower(), not column.nullable)
        for table in metadata.tables.values()
        for column in table.columns
    }
    synonyms = {"timestamp with time zone": "timestamp with time zone", "bytea": "bytea"}
    assert described
    assert {place: (synonyms.get(kind, kind), needed) for place, (kind, needed) in described.items()} == {
        place: found.get(place) for place in described
    }
    tables = {table for table, _ in described}
    assert {place for place in found if place[0] in tables} == set(described)
