"""What the database's own users are made with."""

import psycopg
import pytest

from engine.store.roles import ROLES
from infra.local.postgres import Postgres


@pytest.mark.parametrize("role", ROLES)
def test_who_checks_a_key_while_a_table_is_small_still_finds_it_by_index_when_it_has_grown(
    postgres: Postgres, role: str
) -> None:
    """A connection plans the look-up behind a foreign key once; with few rows, reading them all looks as good."""
    with psycopg.connect(postgres.url(role)) as connection:
        [cost] = connection.execute("SHOW random_page_cost").fetchone() or [""]
    with psycopg.connect(postgres.url("owner")) as connection:
        connection.execute(f"SET random_page_cost = {cost}")
        connection.execute("CREATE SCHEMA growing")
        connection.execute("CREATE TABLE growing.parents (a uuid, b uuid, about text, PRIMARY KEY (a, b))")
        connection.execute(
            "INSERT INTO growing.parents SELECT gen_random_uuid(), gen_random_uuid(), repeat('x', 300) "
            "FROM generate_series(1, 100)"
        )
        connection.execute("ANALYZE growing.parents")
        plan = connection.execute(
            "EXPLAIN (GENERIC_PLAN) SELECT 1 FROM ONLY growing.parents WHERE a = $1 AND b = $2 FOR KEY SHARE"
        ).fetchall()
        assert "Index" in str(plan), plan
        connection.rollback()
