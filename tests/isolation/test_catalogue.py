"""The database alone keeps tenants apart: its catalogue is walked, and what is planted in it is found."""

from collections.abc import Iterator

import psycopg
import pytest

import migrations
from infra.local.postgres import Postgres
from tests.support.catalogue import faults

PLANTED = {
    "a table without row-level security": (
        "CREATE TABLE planted (tenant_id uuid NOT NULL, note text)",
        "table planted lacks row-level security",
    ),
    "a table whose owner steps around it": (
        "CREATE TABLE planted (tenant_id uuid PRIMARY KEY); ALTER TABLE planted ENABLE ROW LEVEL SECURITY; "
        "CREATE POLICY app ON planted TO tidegate_app USING (tenant_id = (SELECT app.tenant())) "
        "WITH CHECK (tenant_id = (SELECT app.tenant()))",
        "table planted lacks row-level security, enabled and forced",
    ),
    "a policy for everybody": (
        "CREATE POLICY leak ON devices USING (true)",
        "policy leak on devices names no role",
    ),
    "a policy that lets the app see all": (
        "CREATE POLICY leak ON devices TO tidegate_app USING (true)",
        "policy leak on devices lets through more",
    ),
    "a policy that calls its setting once per row": (
        "CREATE POLICY slow ON devices TO tidegate_app USING (tenant_id = app.tenant()) "
        "WITH CHECK (tenant_id = app.tenant())",
        "policy slow on devices lets through more",
    ),
    "a policy that forgets what is written": (
        "CREATE POLICY leak ON devices TO tidegate_worker USING (tenant_id = (SELECT app.tenant()))",
        "policy leak on devices does not check",
    ),
    "a partition granted by itself": (
        "DO $$ DECLARE t text; BEGIN SELECT min(relname) INTO t FROM pg_class WHERE relname LIKE 'telemetry_2%' "
        "AND relkind = 'r'; EXECUTE format('GRANT SELECT ON %I TO tidegate_app', t); END $$",
        "can be read around its parent",
    ),
    "a foreign key without the tenant": (
        "ALTER TABLE users ADD CONSTRAINT users_pk2 UNIQUE (id, email); CREATE TABLE planted (tenant_id uuid, "
        "secret_sha256 bytea REFERENCES sessions (secret_sha256))",
        "does not carry the tenant",
    ),
    "a unique name across tenants": (
        "CREATE UNIQUE INDEX leak_index ON devices (name)",
        "unique index leak_index on devices tells",
    ),
    "a definer function anybody may call": (
        "CREATE FUNCTION app.leak() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM devices'; "
        "GRANT EXECUTE ON FUNCTION app.leak() TO PUBLIC",
        "function leak runs with its owner's rights",
    ),
    "a view with its owner's rights": (
        "CREATE VIEW leak_view AS SELECT * FROM devices",
        "view leak_view runs with its owner's rights",
    ),
}


@pytest.fixture(scope="module")
def scratch(postgres: Postgres) -> Iterator[str]:
    """A second migrated database on the same server, to be spoilt; its superuser URL."""
    postgres.bootstrap("scratch")
    migrations.upgrade(postgres.url("owner", "scratch"))
    yield postgres.url("superuser", "scratch")
    with psycopg.connect(postgres.url("superuser"), autocommit=True) as connection:
        connection.execute("DROP DATABASE scratch WITH (FORCE)")


def test_the_catalogue_holds_no_fault(postgres: Postgres) -> None:
    assert faults(postgres.url("superuser")) == []


@pytest.mark.parametrize("plant", PLANTED)
def test_a_planted_fault_is_found(scratch: str, plant: str) -> None:
    statement, expected = PLANTED[plant]
    before = faults(scratch)
    with psycopg.connect(scratch) as connection:
        connection.execute(statement)
        connection.commit()
    try:
        assert before == []
        assert any(expected in fault for fault in faults(scratch)), faults(scratch)
    finally:
        _undo(scratch)


def _undo(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for undo in (
            "DROP TABLE IF EXISTS planted",
            "DROP VIEW IF EXISTS leak_view",
            "DROP POLICY IF EXISTS leak ON devices",
            "DROP POLICY IF EXISTS slow ON devices",
            "DROP FUNCTION IF EXISTS app.leak()",
            "DROP INDEX IF EXISTS leak_index",
            "ALTER TABLE users DROP CONSTRAINT IF EXISTS users_pk2",
            "DO $$ DECLARE t text; BEGIN FOR t IN SELECT relname FROM pg_class WHERE relname LIKE 'telemetry_2%' "
            "AND relkind = 'r' LOOP EXECUTE format('REVOKE ALL ON %I FROM tidegate_app', t); END LOOP; END $$",
        ):
            connection.execute(undo)
