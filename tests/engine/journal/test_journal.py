"""The journal has no gaps, follows the order of commits, and says so when a place is no longer kept."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from engine.devices import service as devices
from engine.journal import read
from engine.journal.errors import CursorTooOld
from engine.store.pool import Store
from engine.store.tx import Tx
from infra.local.postgres import Postgres
from tests.support.journal import journal
from tests.support.tenant import Tenant


async def test_positions_have_no_gap_and_a_rolled_back_event_never_was(tenant: Tenant, store: Store) -> None:
    profile = await tenant.profile()
    await tenant.device("one")
    with pytest.raises(RuntimeError):  # noqa: PT012  the raise inside is the point
        async with store.as_tenant(tenant.principal()) as tx:
            await devices.provision(tx, key="never", name="never", profile_id=profile.id)
            raise RuntimeError
    await tenant.device("two")
    async with store.as_tenant(tenant.principal()) as tx:
        entries = await read.tail(tx, 0)
    assert [entry.pos for entry in entries] == [1, 2, 3]
    assert [entry.kind for entry in entries] == ["profile.changed", "device.provisioned", "device.provisioned"]


@contextmanager
def _threads(count: int, work: object) -> Iterator[None]:
    threads = [threading.Thread(target=work, args=(n,)) for n in range(count)]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join(60)


async def test_a_reader_beside_four_writers_misses_nothing(
    tenant: Tenant, neighbour: Tenant, store: Store, postgres: Postgres
) -> None:
    """Writers commit out of order on purpose; a reader that only ever asks for what is newer sees every row."""

    def write(number: int) -> None:
        with psycopg.connect(postgres.url("ingest")) as connection:
            both = sorted((tenant.id, neighbour.id), reverse=bool(number % 2))
            for turn in range(50):
                connection.execute("SELECT set_config('app.tenants', %s, true)", (f"{{{both[0]},{both[1]}}}",))
                connection.execute("SELECT app.append(%s::uuid[], ARRAY['a', 'b'], ARRAY['{}', '{}']::json[])", (both,))
                if turn % 7 == 3:
                    connection.rollback()
                else:
                    connection.commit()

    seen: list[int] = []
    with _threads(4, write):
        while len(seen) < 4 * 43:
            async with store.as_tenant(tenant.principal(), read_only=True) as tx:
                seen += [entry.pos for entry in await read.tail(tx, seen[-1] if seen else 0, 1000)]
            await asyncio.sleep(0.002)
    assert seen == list(range(1, 4 * 43 + 1))


async def test_a_cursor_older_than_what_is_kept_is_refused(tenant: Tenant, store: Store, postgres: Postgres) -> None:
    for _ in range(3):
        await tenant.device()
    with psycopg.connect(postgres.url("superuser")) as connection:
        connection.execute("DELETE FROM journal WHERE tenant_id = %s AND pos <= 2", (tenant.id,))
    async with store.as_tenant(tenant.principal()) as tx:
        with pytest.raises(CursorTooOld):
            await read.tail(tx, 0)
        assert [entry.pos for entry in await read.tail(tx, 2)] == [3, 4]
    with psycopg.connect(postgres.url("superuser")) as connection:
        connection.execute("DELETE FROM journal WHERE tenant_id = %s", (tenant.id,))
    async with store.as_tenant(tenant.principal()) as tx:
        with pytest.raises(CursorTooOld):
            await read.tail(tx, 3)
        assert await read.tail(tx, 4) == []


async def test_partitions_are_made_ahead_and_never_dropped_under_a_reader_that_is_behind(
    tenant: Tenant, postgres: Postgres
) -> None:
    with psycopg.connect(postgres.url("superuser")) as connection:
        connection.execute(
            "SELECT app.partition('journal', date_trunc('hour', now()) - interval '5 hours', "
            "date_trunc('hour', now()) - interval '4 hours', "
            "to_char(now() at time zone 'UTC' - interval '5 hours', 'YYYYMMDDHH24'))"
        )
        journal(connection, tenant.id, "test", {})
        connection.execute(
            "UPDATE readers SET pos = 0, at = now() - interval '6 hours' WHERE tenant_id = %s", (tenant.id,)
        )
        connection.commit()
        connection.execute("SELECT app.maintain()")
        assert _old_partitions(connection) == 1
        connection.execute(
            "UPDATE readers r SET pos = h.pos, at = now() FROM journal_head h WHERE h.tenant_id = r.tenant_id"
        )
        connection.commit()
        connection.execute("SELECT app.maintain()")
        assert _old_partitions(connection) == 0
        ahead = connection.execute(
            "SELECT count(*) FROM pg_class WHERE relispartition AND relkind = 'r' AND relname > 'telemetry_' || "
            "to_char(now() at time zone 'UTC', 'YYYYMMDD') AND relname LIKE 'telemetry_2%'"
        ).fetchone()
        assert ahead is not None
        assert ahead[0] >= 2
        connection.commit()


def _old_partitions(connection: psycopg.Connection) -> int:
    row = connection.execute(
        "SELECT count(*) FROM pg_class WHERE relname = 'journal_' || "
        "to_char(now() at time zone 'UTC' - interval '5 hours', 'YYYYMMDDHH24')"
    ).fetchone()
    assert row is not None
    return int(row[0])


async def test_an_entry_committed_while_the_end_is_being_read_is_read_and_not_taken_for_a_gap(
    tenant: Tenant, store: Store, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    await tenant.device("one")
    asked = read.head

    async def head_after_another_commit(tx: Tx) -> int:
        with psycopg.connect(postgres.url("ingest")) as connection:
            connection.execute("SELECT set_config('app.tenants', %s, true)", (f"{{{tenant.id}}}",))
            journal(connection, tenant.id, "late", {})
        return await asked(tx)

    async with store.as_tenant(tenant.principal()) as tx:
        newest = await read.head(tx)
        monkeypatch.setattr(read, "head", head_after_another_commit)
        entries = await read.tail(tx, newest)
    assert [(entry.pos, entry.kind) for entry in entries] == [(newest + 1, "late")]
