"""Every table, every right and every process's role: as the neighbour, the database alone gives and takes nothing.

Both tenants have rows in every table there is. Each role then reads each table, writes into it a row of ours, and tries
to change and to remove what is ours: statements made from the catalogue, without any filter of the application's.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

import psycopg
import pytest
from psycopg import errors, sql
from psycopg.types.json import Jsonb

from engine.store.pool import Store
from infra.local.postgres import Postgres
from resolvers.gateway import Gateway
from tests.contract.test_isolation import _owned
from tests.support import catalogue
from tests.support.behind import change
from tests.support.gateway import gateway
from tests.support.tenant import Tenant, found_tenant

__all__ = ["gateway"]

ROLES = ("app", "worker", "ingest")
DEEDS = ("SELECT", "INSERT", "UPDATE", "DELETE")

SPARE: dict[str, LiteralString] = {
    "alert_tellings": "(tenant_id, alert_id, policy, since, due_at) "
    "SELECT tenant_id, id, 'p', now(), now() FROM alerts",
    "audit_checkpoints": "(tenant_id, seq, hash, signed_at, key_id, signature) "
    "SELECT id AS tenant_id, 1, sha256('a'), now(), 'k', 's' FROM tenants",
    "counts": "(tenant_id, device_id, hour, received, stored, duplicates, rejected, refused, not_kept) "
    "SELECT tenant_id, id, now(), 1, 1, 0, 0, 0, 0 FROM devices",
    "faults": "(tenant_id, device_id, reason, about, message, count, first_at, last_at) "
    "SELECT tenant_id, id, 'TYPE', '', 'm', 1, now(), now() FROM devices",
    "idempotency": "(tenant_id, principal_id, key, request_sha256) SELECT tenant_id, id, 'k', '' FROM api_tokens",
    "identities": "(tenant_id, provider_id, subject, user_id) "
    "SELECT tenant_id, p.id, 's', user_id FROM identity_providers p JOIN memberships USING (tenant_id)",
    "latest": "(tenant_id, device_id, values, received_at) SELECT tenant_id, id, '{}', now() FROM devices",
    "oscore_contexts": "(tenant_id, credential_id, kid, sealed, vault) "
    "SELECT tenant_id, id, substr(sha256(id::text::bytea), 1, 7), 's', 'v' FROM credentials",
    "point_table_versions": "(tenant_id, device_id, version, text, points, changed_at) "
    "SELECT tenant_id, id, 9, '', 0, now() FROM devices",
    "point_tables": "(tenant_id, device_id) SELECT tenant_id, id FROM devices",
    "quotas": "(tenant_id, devices) SELECT id AS tenant_id, 5 FROM tenants",
    "retention": "(tenant_id, days, updated_at) SELECT id AS tenant_id, 30, now() FROM tenants",
    **dict.fromkeys(
        ("rollup_hours", "rollup_days"),
        "(tenant_id, device_id, metric, start, n, numbers, first, last) "
        "SELECT tenant_id, id, 'm', now(), 1, 0, 'true', 'true' FROM devices",
    ),
    "rollup_progress": "(tenant_id, hours_to, days_to) SELECT id AS tenant_id, now(), now() FROM tenants",
    "rollup_repairs": "(tenant_id, device_id, hour, noted_at) SELECT tenant_id, id, now(), now() FROM devices",
    "rule_pace": "(tenant_id, minute, counts) SELECT id AS tenant_id, 1, '{}' FROM tenants",
    "rule_state": "(tenant_id, rule_id, device_id, state) "
    "SELECT tenant_id, r.id, d.id, '{}' FROM rules r JOIN devices d USING (tenant_id)",
    "silence_watches": "(tenant_id, since, due_at) SELECT id AS tenant_id, now(), now() FROM tenants",
    "spent_logins": "(tenant_id, secret_sha256, expires_at) "
    "SELECT tenant_id, sha256(id::text::bytea), now() FROM sessions",
    "transfer_codes": "(tenant_id, secret_sha256, giver, transfer_id, spent_at) "
    "SELECT tenant_id, sha256(id::text::bytea), tenant_id, id, now() FROM device_transfers",
    "usage": "(tenant_id, hour) SELECT id AS tenant_id, now() FROM tenants",
}
"""Rows for the tables that stay empty when a tenant has one of everything that the API makes."""

_COLUMNS = """
SELECT a.attname, has_column_privilege('tidegate_' || %s, a.attrelid, a.attnum, 'UPDATE') FROM pg_attribute a
WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum
"""


@dataclass(frozen=True)
class Two:
    """Ours and the neighbour's, and what tables there are."""

    postgres: Postgres
    ours: Tenant
    neighbour: Tenant
    tables: list[str]


@pytest.fixture(scope="module")
async def two(postgres: Postgres, store: Store, worker_store: Store, gateway: Gateway) -> Two:
    """Two tenants with something in every table."""
    tenants = [await found_tenant(postgres, store) for _ in range(2)]
    for tenant in tenants:
        await _owned(postgres, store, worker_store, tenant, gateway.services.vault)
    with psycopg.connect(postgres.url("superuser")) as connection:
        tables = catalogue.tables_of_tenants(connection)
        for tenant in tenants:
            for table, rows in SPARE.items():
                connection.execute(
                    sql.SQL("INSERT INTO {} {} WHERE {} = %s ON CONFLICT DO NOTHING").format(
                        sql.Identifier(table),
                        sql.SQL(rows),
                        sql.SQL("tenant_id" if "AS tenant_id" not in rows else "id"),
                    ),
                    [tenant.id],
                )
    return Two(postgres, tenants[0], tenants[1], tables)


def _own(table: str, tenant: Tenant) -> tuple[sql.Composed, UUID]:
    """The condition that a row is a tenant's, without asking any other table, and its parameter."""
    column = {"tenants": "id", "users": "id"}.get(table, "tenant_id")
    return sql.SQL("{} = %s").format(sql.Identifier(column)), tenant.user_id if table == "users" else tenant.id


def _count(connection: psycopg.Connection, table: str, tenant: Tenant) -> int:
    mine, value = _own(table, tenant)
    query = sql.SQL("SELECT count(*) FROM {} WHERE {}").format(sql.Identifier(table), mine)
    return int(connection.execute(query, [value]).fetchone()[0])  # type: ignore[index]


def test_both_tenants_have_something_in_every_table(two: Two) -> None:
    """A table that is empty would be covered by nothing: a new one needs a row made in ``_owned`` or ``SPARE``."""
    with psycopg.connect(two.postgres.url("superuser")) as connection:
        empty = []
        for tenant in (two.ours, two.neighbour):
            connection.execute("SELECT set_config('app.tenant_id', %s, false)", [str(tenant.id)])
            empty += [table for table in two.tables if not _count(connection, table, tenant)]
    assert empty == []


@dataclass
class Role:
    """One process's role, at work for the neighbour."""

    name: str
    two: Two
    connection: psycopg.Connection
    superuser: psycopg.Connection

    def tries(self, table: str, deed: str) -> tuple[bool, str | None]:
        """Whether the role may do such a thing to its own at all, and what came of doing it to ours."""
        statement, values = self._statement(table, deed)
        try:
            with self.connection.transaction(force_rollback=True):
                found = self.connection.execute(statement, values)
                touched = found.fetchone()[0] if deed == "SELECT" else found.rowcount  # type: ignore[index]
        except errors.InsufficientPrivilege as error:
            return "row-level security" in str(error), None
        except errors.IntegrityError:  # it came as far as the rows that are there
            return True, f"{self.name}: {deed} {table} is stopped by a constraint only"
        return True, f"{self.name}: {deed} {table} reaches {touched} rows of ours" if touched else None

    def _statement(self, table: str, deed: str) -> tuple[sql.Composed, list[object]]:
        mine, value = _own(table, self.two.ours)
        name = sql.Identifier(table)
        columns = self.superuser.execute(_COLUMNS, [self.name, table]).fetchall()
        if deed == "SELECT":
            return sql.SQL("SELECT count(*) FROM {} WHERE {}").format(name, mine), [value]
        if deed == "DELETE":
            return sql.SQL("DELETE FROM {} WHERE {}").format(name, mine), [value]
        if deed == "UPDATE":
            changed = sql.Identifier(next((column for column, may in columns if may), columns[0][0]))
            return sql.SQL("UPDATE {} SET {} = {} WHERE {}").format(name, changed, changed, mine), [value]
        ours = sql.SQL("SELECT to_jsonb(t) FROM {} t WHERE {} LIMIT 1").format(name, mine)
        row = self.superuser.execute(ours, [value]).fetchone()
        assert row is not None
        listed = sql.SQL(", ").join(sql.Identifier(column) for column, _ in columns)
        query = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM jsonb_populate_record(NULL::{}, %s)")
        return query.format(name, listed, listed, name), [Jsonb(row[0])]


def _try_all(two: Two, tables: list[str]) -> tuple[int, list[str]]:
    """How many statements the roles were not denied outright, and what reached a row of ours."""
    granted, leaks = 0, []
    for name in ROLES:
        with (
            psycopg.connect(two.postgres.url(name)) as connection,
            psycopg.connect(two.postgres.url("superuser"), autocommit=True) as superuser,
        ):
            setting, value = ("app.tenants", f"{{{two.neighbour.id}}}") if name == "ingest" else ("app.tenant_id", "")
            connection.execute("SELECT set_config(%s, %s, false)", [setting, value or str(two.neighbour.id)])
            connection.commit()
            # A view (TimescaleDB) shows even a superuser one tenant only, here ours; it is no matter to tables.
            superuser.execute("SELECT set_config('app.tenant_id', %s, false)", [str(two.ours.id)])
            role = Role(name, two, connection, superuser)
            for table in tables:
                found = [role.tries(table, deed) for deed in DEEDS]
                granted += sum(may for may, _ in found)
                leaks += [leak for _, leak in found if leak]
    return granted, leaks


async def test_no_role_reads_or_writes_a_row_of_ours_as_the_neighbour(two: Two, figure: Callable[[str], None]) -> None:
    granted, leaks = await asyncio.to_thread(_try_all, two, two.tables)
    asked = len(two.tables) * len(ROLES) * len(DEEDS)
    figure(
        f"database: {len(two.tables)}/{len(two.tables)} tables covered, {asked} statements of {len(ROLES)} roles, "
        f"{granted} within their rights, {len(leaks)} leaks"
    )
    assert leaks == []
    assert granted > asked / 4


@pytest.mark.parametrize("role", ["app", "worker"])
def test_of_its_own_the_neighbour_does_see_what_the_role_may_read(role: str, two: Two) -> None:
    seen = 0
    with psycopg.connect(two.postgres.url(role)) as connection:
        connection.execute("SELECT set_config('app.tenant_id', %s, false)", [str(two.neighbour.id)])
        for table in two.tables:
            try:
                with connection.transaction():
                    assert _count(connection, table, two.neighbour), table
                    seen += 1
            except errors.InsufficientPrivilege:
                continue
    assert seen > len(two.tables) * 3 / 4


@pytest.mark.parametrize("table", ["channels", "alerts", "telemetry"])
async def test_a_table_whose_policies_sleep_is_found(table: str, two: Two) -> None:
    name = sql.Identifier(table)
    try:
        await change(two.postgres, sql.SQL("ALTER TABLE {} DISABLE ROW LEVEL SECURITY").format(name))
        _, leaks = await asyncio.to_thread(_try_all, two, [table])
    finally:
        await change(two.postgres, sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(name))
    assert any("SELECT" in leak for leak in leaks)
    assert (await asyncio.to_thread(_try_all, two, [table]))[1] == []
