"""A connection that somebody was cancelled on, or that died while it lay idle, is nobody else's trouble."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from engine.store import pool
from engine.store.pool import Store
from infra.local.postgres import Postgres
from tests.support.tenant import Tenant


@pytest.fixture
async def narrow(postgres: Postgres) -> AsyncIterator[Store]:
    """A store with a single connection: whoever comes next gets what the last one left."""
    store = Store(postgres.url("app"), size=1)
    yield store
    await store.close()


@pytest.mark.parametrize("read_only", [True, False])
async def test_the_next_borrower_works_whenever_the_last_was_cancelled(
    tenant: Tenant, narrow: Store, read_only: bool
) -> None:
    async def sleeps() -> None:
        async with narrow.as_tenant(tenant.principal(), read_only=read_only) as tx:
            while True:
                await tx.execute(text("SELECT pg_sleep(0.003)"))

    for turn in range(40):
        task = asyncio.create_task(sleeps())
        await asyncio.sleep(0.001 * turn)
        for _ in range(3):  # as a cancelled scope does: again at every await
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        async with narrow.as_tenant(tenant.principal(), read_only=True) as tx:
            assert await tx.scalar(text("SELECT current_setting('app.tenant_id')")) == str(tenant.id)


async def test_a_door_left_in_a_hurry_shuts_behind_whoever_was_cancelled(narrow: Store) -> None:
    for turn in range(40):
        task = asyncio.create_task(narrow.door("login", "nobody@nowhere.example"))
        await asyncio.sleep(0.0005 * turn)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await narrow.door("login", "nobody@nowhere.example") == []


async def test_connections_that_died_while_they_lay_idle_are_not_lent(postgres: Postgres, tenant: Tenant) -> None:
    store = Store(postgres.url("app"), size=3)
    try:
        pids = await _backends(store, tenant, at_once=3)
        with psycopg.connect(postgres.url("superuser"), autocommit=True) as connection:
            for pid in pids:
                connection.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
        assert pids.isdisjoint(await _backends(store, tenant, at_once=3))
    finally:
        await store.close()


async def test_the_server_is_asked_whether_a_connection_lives_only_when_it_may_not(
    tenant: Tenant, narrow: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _backends(narrow, tenant)
    dialect, asked = narrow._engine.dialect, 0
    ping = dialect.do_ping

    def count(connection: Any) -> bool:
        nonlocal asked
        asked += 1
        return ping(connection)

    monkeypatch.setattr(dialect, "do_ping", count)
    monkeypatch.setattr(pool, "TRUSTED_S", 600.0)
    for _ in range(3):
        await _backends(narrow, tenant)
    assert asked == 0
    monkeypatch.setattr(pool, "TRUSTED_S", 0.0)  # it has lain idle for longer
    await _backends(narrow, tenant)
    assert asked == 1


async def test_a_reader_whose_sibling_was_cut_off_in_a_statement_ends_in_peace(tenant: Tenant, narrow: Store) -> None:
    async with narrow.as_tenant(tenant.principal(), read_only=True) as tx:
        sibling = asyncio.create_task(tx.execute(text("SELECT pg_sleep(20)")))
        await asyncio.sleep(0.05)
        sibling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sibling
    assert len(await _backends(narrow, tenant)) == 1


async def _backends(store: Store, tenant: Tenant, at_once: int = 1) -> set[int]:
    """The server's processes behind so many transactions at once."""
    met = asyncio.Barrier(at_once)

    async def ask() -> int:
        async with store.as_tenant(tenant.principal(), read_only=True) as tx:
            await met.wait()
            return int(await tx.scalar(text("SELECT pg_backend_pid()")))

    return set(await asyncio.gather(*(ask() for _ in range(at_once))))
