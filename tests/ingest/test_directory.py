"""How devices are found: each by its own key, whatever the planner knows of the table."""

import psycopg

from engine import ids
from infra.local.postgres import Postgres
from ingest import statements
from ingest.directory import FIND
from tests.support.tenant import Tenant

FLEET = 5_000


def test_a_device_is_found_by_itself_in_a_fleet_that_was_just_registered(postgres: Postgres, tenant: Tenant) -> None:
    made = [ids.uuid7() for _ in range(FLEET)]
    with psycopg.connect(postgres.url("superuser")) as connection:
        profile = ids.uuid7()
        connection.execute(
            "INSERT INTO profiles (tenant_id, id, key, name, metrics) VALUES (%s, %s, 'one', 'One', '[]')",
            [tenant.id, profile],
        )
        connection.execute(
            "INSERT INTO devices (tenant_id, id, key, name, profile_id, status) "
            "SELECT %s, u.id, 'd' || u.n, 'd', %s, 'active' FROM unnest(%s::uuid[]) WITH ORDINALITY AS u (id, n)",
            [tenant.id, profile, made],
        )
        connection.execute("SET LOCAL ROLE tidegate_ingest")
        connection.execute(statements.ENTER, [f"{{{tenant.id}}}"])
        asked = [90, [tenant.id] * 20, made[:20]]
        plan = [row[0] for row in connection.execute("EXPLAIN ANALYZE " + FIND, asked)]  # type: ignore[operator]
        found = connection.execute(FIND, asked).fetchall()  # type: ignore[arg-type]
    assert {row[0] for row in found} == {*made[:20]}
    assert [line for line in plan if "Index Cond" in line and "id = wanted.id" in line], plan
