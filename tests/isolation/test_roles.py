"""Each process's role, with the application's own filters left out: the database alone decides what it sees."""

import psycopg
import pytest
from psycopg import errors, sql

from infra.local.postgres import Postgres
from tests.support import catalogue
from tests.support.tenant import Tenant


def _tables(postgres: Postgres) -> list[str]:
    with psycopg.connect(postgres.url("superuser")) as connection:
        return catalogue.tables_of_tenants(connection)


@pytest.mark.parametrize("role", ["app", "worker"])
async def test_a_query_without_any_filter_sees_one_tenant_only(
    role: str, tenant: Tenant, neighbour: Tenant, postgres: Postgres
) -> None:
    for each in (tenant, neighbour):
        await each.device_token(await each.device())
        await each.api_token()
    seen, tables = 0, _tables(postgres)
    with psycopg.connect(postgres.url(role)) as connection:
        connection.execute("SELECT set_config('app.tenant_id', %s, false)", (str(tenant.id),))
        for table in tables:
            column = {"tenants": "id", "users": "id"}.get(table, "tenant_id")
            try:
                with connection.transaction():
                    query = sql.SQL("SELECT DISTINCT {} FROM {}").format(sql.Identifier(column), sql.Identifier(table))
                    found = {row[0] for row in connection.execute(query)}
            except errors.InsufficientPrivilege:
                continue
            allowed = {tenant.user_id} if table == "users" else {tenant.id}
            assert found <= allowed, table
            seen += bool(found)
    assert seen >= 5


@pytest.mark.parametrize("role", ["app", "worker", "ingest"])
def test_without_a_tenant_nothing_is_seen_at_all(role: str, postgres: Postgres) -> None:
    asked, tables = 0, _tables(postgres)
    with psycopg.connect(postgres.url(role)) as connection:
        for table in tables:
            try:
                with connection.transaction():
                    query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
                    assert connection.execute(query).fetchone() == (0,), table
                    asked += 1
            except errors.InsufficientPrivilege:
                continue
    assert asked >= 4


async def test_a_row_of_another_tenant_is_refused_also_on_writing(
    tenant: Tenant, neighbour: Tenant, postgres: Postgres
) -> None:
    with psycopg.connect(postgres.url("app")) as connection:
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", (str(tenant.id),))
        with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
            connection.execute(
                "INSERT INTO memberships (tenant_id, user_id, role) VALUES (%s, %s, 'owner')",
                (neighbour.id, tenant.user_id),
            )


async def test_ingest_cannot_write_for_a_tenant_outside_its_batch(
    tenant: Tenant, neighbour: Tenant, postgres: Postgres
) -> None:
    room = await neighbour.device()
    with psycopg.connect(postgres.url("ingest")) as connection:
        connection.execute("SELECT set_config('app.tenants', %s, true)", ("{" + str(tenant.id) + "}",))
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute(
                "INSERT INTO telemetry (tenant_id, device_id, time, seq, received_at, values) "
                "VALUES (%s, %s, now(), 1, now(), '{}')",
                (neighbour.id, room.id),
            )
        connection.rollback()
        connection.execute("SELECT set_config('app.tenants', %s, true)", ("{" + str(tenant.id) + "}",))
        with pytest.raises(errors.InsufficientPrivilege, match="not yours"):
            connection.execute("SELECT app.append(ARRAY[%s]::uuid[], ARRAY['x'], ARRAY['{}']::json[])", (neighbour.id,))


@pytest.mark.parametrize("role", ["app", "worker", "ingest"])
def test_no_process_may_create_truncate_or_read_partitions(role: str, postgres: Postgres) -> None:
    with psycopg.connect(postgres.url("superuser")) as connection:
        partition = catalogue.part_of_telemetry(connection)
    for statement in (
        "CREATE TABLE mine (a int)",
        "CREATE TEMP TABLE mine (a int)",
        "TRUNCATE devices",
        f"SELECT * FROM {partition}",
        "SELECT * FROM alembic_version",
    ):
        with psycopg.connect(postgres.url(role)) as connection, pytest.raises(errors.InsufficientPrivilege):
            connection.execute(statement)


def test_only_the_right_process_passes_through_a_door(postgres: Postgres) -> None:
    doors = {"login('a@b.c')": "app", "due()": "worker", "credential('t', 'd', '\\x00')": "ingest"}
    for call, allowed in doors.items():
        for role in ("app", "worker", "ingest"):
            with psycopg.connect(postgres.url(role)) as connection:
                if role == allowed:
                    connection.execute(f"SELECT * FROM app.{call}")
                else:
                    with pytest.raises(errors.InsufficientPrivilege):
                        connection.execute(f"SELECT * FROM app.{call}")
