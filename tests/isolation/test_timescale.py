"""Where the server has TimescaleDB the database keeps tenants apart as well: the same suite, on its WebAssembly build.

What needs a second database, or what makes the server stop, is tried on the other engine alone. A server with
TimescaleDB that is given by TIDEGATE_TEST_DATABASE_URL takes the place of both.
"""

import dataclasses
import os
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

import migrations
from engine.devices import groups
from engine.store import timescale
from engine.store.pool import Store
from engine.telemetry import service as telemetry
from engine.tenancy import Role, system
from ingest.adapters.base import Verdict
from tests.engine.rules.test_trial import (
    test_a_backtest_counts_and_says_when_it_is_only_a_part,
)
from tests.engine.rules.test_windows_read_back import (
    test_no_statement_brings_more_than_its_share_and_the_newest_points_win,
    test_what_is_stored_but_not_yet_drained_takes_nobodys_place,
)
from tests.engine.telemetry.test_retention import (
    test_a_profile_says_how_long_its_devices_are_kept_and_the_tenant_says_it_of_the_others,
)
from tests.engine.telemetry.test_rollups import (
    devices,
    test_of_an_erased_device_no_hour_is_left_and_none_comes_back,
)
from tests.engine.telemetry.test_service import (
    test_a_neighbours_device_has_no_points,
    test_hours_hold_mean_min_max_and_count,
    test_points_come_oldest_first_and_say_when_there_were_more,
    test_the_end_of_a_range_is_not_part_of_it,
)
from tests.ingest.test_writer import (
    test_a_device_that_was_decommissioned_is_refused_and_counted,
    test_a_message_is_stored_as_sent_and_its_tenant_is_woken,
    test_many_tenants_share_a_transaction_and_each_gets_its_own_journal_row,
    test_the_database_refuses_a_row_of_a_tenant_that_is_not_in_the_batch,
    test_the_same_message_again_is_a_duplicate_whether_in_one_batch_or_later,
    test_the_same_time_and_seq_with_other_values_is_a_conflict,
)
from tests.isolation.test_catalogue import test_the_catalogue_holds_no_fault
from tests.isolation.test_database import (
    test_both_tenants_have_something_in_every_table,
    test_no_role_reads_or_writes_a_row_of_ours_as_the_neighbour,
    test_of_its_own_the_neighbour_does_see_what_the_role_may_read,
    two,
)
from tests.isolation.test_roles import (
    test_a_query_without_any_filter_sees_one_tenant_only,
    test_a_row_of_another_tenant_is_refused_also_on_writing,
    test_ingest_cannot_write_for_a_tenant_outside_its_batch,
    test_no_process_may_create_truncate_or_read_partitions,
    test_only_the_right_process_passes_through_a_door,
    test_without_a_tenant_nothing_is_seen_at_all,
)
from tests.support.catalogue import faults, part_of_telemetry
from tests.support.gateway import gateway
from tests.support.given import Given
from tests.support.line import running_line
from tests.support.tenant import Tenant
from tests.support.timescale import Timescale

__all__ = [
    "devices",
    "gateway",
    "test_a_backtest_counts_and_says_when_it_is_only_a_part",
    "test_a_device_that_was_decommissioned_is_refused_and_counted",
    "test_a_message_is_stored_as_sent_and_its_tenant_is_woken",
    "test_a_neighbours_device_has_no_points",
    "test_a_profile_says_how_long_its_devices_are_kept_and_the_tenant_says_it_of_the_others",
    "test_a_query_without_any_filter_sees_one_tenant_only",
    "test_a_row_of_another_tenant_is_refused_also_on_writing",
    "test_both_tenants_have_something_in_every_table",
    "test_hours_hold_mean_min_max_and_count",
    "test_ingest_cannot_write_for_a_tenant_outside_its_batch",
    "test_many_tenants_share_a_transaction_and_each_gets_its_own_journal_row",
    "test_no_process_may_create_truncate_or_read_partitions",
    "test_no_role_reads_or_writes_a_row_of_ours_as_the_neighbour",
    "test_no_statement_brings_more_than_its_share_and_the_newest_points_win",
    "test_of_an_erased_device_no_hour_is_left_and_none_comes_back",
    "test_of_its_own_the_neighbour_does_see_what_the_role_may_read",
    "test_only_the_right_process_passes_through_a_door",
    "test_points_come_oldest_first_and_say_when_there_were_more",
    "test_the_catalogue_holds_no_fault",
    "test_the_database_refuses_a_row_of_a_tenant_that_is_not_in_the_batch",
    "test_the_end_of_a_range_is_not_part_of_it",
    "test_the_same_message_again_is_a_duplicate_whether_in_one_batch_or_later",
    "test_the_same_time_and_seq_with_other_values_is_a_conflict",
    "test_what_is_stored_but_not_yet_drained_takes_nobodys_place",
    "test_without_a_tenant_nothing_is_seen_at_all",
    "two",
]


OLDER = "0028"
"""Telemetry is a hypertable from here on: later revisions change it behind its view."""
AGED = """
INSERT INTO tenants (id, key, name) VALUES (%(id)s, 'old', 'Old');
INSERT INTO profiles (tenant_id, id, key, name, metrics, version)
    VALUES (%(id)s, %(id)s, 'pump', 'Pump', '[{"key": "t", "type": "number"}]', 3);
INSERT INTO devices (tenant_id, id, key, name, profile_id, status)
    VALUES (%(id)s, %(id)s, 'pump-1', 'Pump', %(id)s, 'active');
INSERT INTO telemetry (tenant_id, device_id, time, seq, received_at, values)
    VALUES (%(id)s, %(id)s, date_trunc('day', now()) - interval '80 hours', 7, now(), '{"t": 1}');
"""
BESIDE = """
INSERT INTO telemetry (tenant_id, device_id, time, seq, received_at, values, quality, source)
    VALUES (%(id)s, %(id)s, date_trunc('day', now()) - interval '79 hours', 8, now(), '{"t": 2}',
            '{"t": "uncertain"}', 17)
"""
OLD = UUID("00000000-0000-0000-0000-00000000001d")


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The WebAssembly build, whose telemetry was a hypertable before the database was brought up to date, with a
    reading in its columnstore; or the server that was given, if it can do it.
    """
    given = os.environ.get("TIDEGATE_TEST_DATABASE_URL")
    if given and Given(given).has_timescaledb():
        yield request.getfixturevalue("postgres")  # everybody's, which this one stands before
        return
    server = Timescale()
    try:
        server.prepare()
        server.start()
        server.bootstrap()
        migrations.upgrade(server.url("owner"), OLDER)
        timescale.settle(server.url("owner"))
        with psycopg.connect(server.url("superuser")) as connection:
            connection.execute("SELECT set_config('app.tenant_id', %s, true)", [str(OLD)])
            for statement in AGED.split(";\n")[:-1]:
                connection.execute(statement, {"id": OLD})
        run_job(server, "policy_compression")
        migrations.upgrade(server.url("owner"))
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
async def store(postgres: Timescale) -> AsyncIterator[Store]:
    store = Store(postgres.url("app"), size=2)
    yield store
    await store.close()


@pytest.fixture(scope="session")
async def worker_store(postgres: Timescale) -> AsyncIterator[Store]:
    store = Store(postgres.url("worker"), size=2)
    yield store
    await store.close()


DAY_MS = 86_400_000
JOB = "SELECT job_id FROM timescaledb_information.jobs WHERE hypertable_name = 'telemetry' AND proc_name = %s"


def run_job(postgres: Timescale, policy: str) -> None:
    """What the server does by itself now and then, done now."""
    with psycopg.connect(postgres.url("owner"), autocommit=True) as connection:
        (job,) = connection.execute(JOB, [policy]).fetchone()  # type: ignore[misc]
        connection.execute(f"CALL run_job({job})")


def chunks(postgres: Timescale) -> dict[datetime, bool]:
    """The day of every chunk, and whether it lies in the columnstore."""
    with psycopg.connect(postgres.url("owner")) as connection:
        found = (
            "SELECT range_start, is_compressed FROM timescaledb_information.chunks WHERE hypertable_schema = 'series'"
        )
        return dict(connection.execute(found).fetchall())


async def test_what_lay_in_the_columnstore_before_an_upgrade_is_read_after_it_and_written_beside(
    postgres: Any, worker_store: Store
) -> None:
    with psycopg.connect(postgres.url("ingest")) as connection:
        connection.execute("SELECT set_config('app.tenants', %s, true)", [f"{{{OLD}}}"])
        connection.execute(BESIDE, {"id": OLD})
    async with worker_store.as_tenant(system(OLD)) as tx:
        start, end = datetime.now(UTC) - timedelta(days=5), datetime.now(UTC)
        series = await telemetry.series(tx, OLD, "t", start, end, with_source=True)
    assert (series.values, series.quality, series.sources) == ([1, 2], [None, "uncertain"], [None, 17])


async def test_a_late_reading_is_stored_once_also_in_the_columnstore(postgres: Any, tenant: Tenant) -> None:
    device = await tenant.device()
    day = int(time.time() // 86_400 - 3) * DAY_MS
    values = [float(n) for n in range(50)]
    tenant.tell([(device.id, day + n * 60_000, {"temperature": value}) for n, value in enumerate(values)])
    run_job(postgres, "policy_compression")
    assert chunks(postgres)[datetime.fromtimestamp(day / 1000, UTC)]
    late = {"time": day + 90_000, "values": {"temperature": 99.5}}
    async with running_line(postgres) as line:
        assert await line.send(tenant, device, late) is Verdict.STORED
        assert await line.send(tenant, device, late) is Verdict.DUPLICATE
        assert len(line.stored(tenant)) == 51
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        start = datetime.fromtimestamp(day / 1000, UTC)
        series = await telemetry.series(tx, device.id, "temperature", start, start + timedelta(days=1), limit=4)
        hours = await telemetry.series(tx, device.id, "temperature", start, start + timedelta(days=1), bucket="1h")
    assert (series.values, series.is_truncated) == ([0.0, 1.0, 99.5, 2.0], True)
    assert (sum(hours.n or ()), max(hours.max or ())) == (51, 99.5)


async def test_readings_that_are_too_old_go_with_their_chunk(postgres: Any, tenant: Tenant) -> None:
    device = await tenant.device()
    tenant.tell([(device.id, int(time.time() * 1000) - days * DAY_MS, {"temperature": 1}) for days in (80, 95)])
    assert len(chunks(postgres)) >= 2
    run_job(postgres, "policy_retention")
    oldest = datetime.now(UTC) - timedelta(days=91)
    assert all(day > oldest for day in chunks(postgres))
    async with running_line(postgres) as line:
        assert len(line.stored(tenant)) == 1


async def test_where_the_server_has_no_policies_maintenance_drops_old_chunks(postgres: Any, tenant: Tenant) -> None:
    device = await tenant.device()
    tenant.tell([(device.id, int(time.time() * 1000) - days * DAY_MS, {"temperature": 1}) for days in (79, 96)])
    with psycopg.connect(postgres.url("owner")) as connection:
        timescale.drop_in_maintenance(connection, timescale.extension(connection) or "")
    with psycopg.connect(postgres.url("worker"), autocommit=True) as connection:
        connection.execute("SELECT app.maintain()")
    oldest = datetime.now(UTC) - timedelta(days=91)
    assert all(day > oldest for day in chunks(postgres))
    async with running_line(postgres) as line:
        assert len(line.stored(tenant)) == 1


def test_maintenance_makes_no_partitions_of_telemetry(postgres: Any) -> None:
    with psycopg.connect(postgres.url("worker"), autocommit=True) as connection:
        connection.execute("SELECT app.maintain()")
    with psycopg.connect(postgres.url("superuser")) as connection:
        left = "SELECT count(*) FROM pg_class WHERE relname ~ '^telemetry_[0-9]+$'"
        assert connection.execute(left).fetchone() == (0,)


PLANTED = {
    "the schema behind the view, granted": (
        "GRANT USAGE ON SCHEMA series TO tidegate_app",
        "REVOKE USAGE ON SCHEMA series FROM tidegate_app",
        "schema series is granted",
    ),
    "a chunk granted by itself": (
        "GRANT SELECT ON {chunk} TO tidegate_app",
        "REVOKE SELECT ON {chunk} FROM tidegate_app",
        "{chunk} is granted",
    ),
    "a function behind the view that forgets whose rows": (
        "SET ROLE tidegate_owner; CREATE FUNCTION app.leak(p uuid) RETURNS SETOF jsonb LANGUAGE sql STABLE "
        "SECURITY DEFINER SET search_path = public, pg_temp "
        "AS $$ SELECT values FROM series.telemetry t WHERE t.device_id = p $$; RESET ROLE",
        "DROP FUNCTION app.leak(uuid)",
        "function leak runs with the rights of tidegate_owner",
    ),
    "a view that lets a question look first": (
        "ALTER VIEW telemetry SET (security_barrier = false)",
        "ALTER VIEW telemetry SET (security_barrier = true)",
        "view telemetry runs with its owner's rights",
    ),
    "a view that shows all": (
        "CREATE VIEW leak_view WITH (security_barrier, check_option = cascaded) AS SELECT * FROM series.telemetry "
        "WHERE seq > 0",
        "DROP VIEW leak_view",
        "view leak_view runs with its owner's rights",
    ),
}


@pytest.mark.parametrize("plant", PLANTED)
async def test_a_fault_planted_around_the_view_is_found(plant: str, postgres: Any, tenant: Tenant) -> None:
    tenant.tell([((await tenant.device()).id, int(time.time() * 1000), {"temperature": 1})])
    with psycopg.connect(postgres.url("superuser")) as connection:
        chunk = part_of_telemetry(connection)
    planted, undone, expected = (words.replace("{chunk}", chunk) for words in PLANTED[plant])
    for statement, wanted in ((planted, [expected]), (undone, [])):
        with psycopg.connect(postgres.url("superuser"), autocommit=True) as connection:
            connection.execute(statement)
        found = faults(postgres.url("superuser"))
        assert len(found) == len(wanted)
        assert all(words in fault for words, fault in zip(wanted, found, strict=True))


async def test_readings_of_a_device_are_given_to_its_own_tenant_only(
    postgres: Any, tenant: Tenant, neighbour: Tenant
) -> None:
    device = await tenant.device()
    tenant.tell([(device.id, int(time.time() * 1000), {"temperature": 1})])
    asked = "SELECT count(*) FROM app.readings(%s, '-infinity', NULL, 'infinity', NULL, %s, 10)"
    found = []
    for who, limits in ((tenant, ""), (tenant, "{}"), (neighbour, "")):
        with psycopg.connect(postgres.url("app")) as connection:
            connection.execute("SELECT set_config('app.tenant_id', %s, true)", [str(who.id)])
            connection.execute("SELECT set_config('app.groups', %s, true)", [limits])
            found += [connection.execute(asked, [device.id, way]).fetchone() for way in (True, False)]
    assert found == [(1,), (1,), (0,), (0,), (0,), (0,)]
    with psycopg.connect(postgres.url("ingest")) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(asked, [device.id, True])


async def test_whoever_is_limited_to_groups_reads_through_the_view_what_is_theirs(tenant: Tenant, store: Store) -> None:
    mine, other = await tenant.device(), await tenant.device()
    now = int(time.time() * 1000)
    tenant.tell([(device.id, now, {"temperature": 1}) for device in (mine, other)])
    async with store.as_tenant(tenant.principal()) as tx:
        group = await groups.create(tx, key="mine", name="Mine")
        await groups.add_devices(tx, group.id, [mine.id])
    limited = dataclasses.replace(tenant.principal(Role.OPERATOR), groups=frozenset({group.id}))
    start, end = datetime.fromtimestamp(now / 1000 - 60, UTC), datetime.fromtimestamp(now / 1000 + 60, UTC)
    async with store.as_tenant(limited, read_only=True) as tx:
        seen = [await telemetry.series(tx, device.id, "temperature", start, end) for device in (mine, other)]
    assert [series.values for series in seen] == [[1], []]
