"""What is asked over lines is answered as the tenant who asks, whatever became of the line and of who asked before."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DataError

from engine.store import lines
from engine.store.errors import StoreUnavailable
from engine.store.pool import Store
from engine.store.tx import Tx
from engine.store.wire import Reading
from infra.local.postgres import Postgres
from tests.support.tenant import Tenant

WHO = Reading(
    text(
        "SELECT current_setting('app.tenant_id') AS tenant, pg_backend_pid() AS pid, "
        "current_setting('transaction_read_only') AS reads, CAST(:said AS text) AS said, '100 %' AS percent"
    )
)
WHEN = Reading(text("SELECT current_setting('app.tenant_id') AS tenant, transaction_timestamp() AS at, :n AS n"))
SLEEPS = Reading(text("SELECT pg_sleep(:seconds)"))
FAILS = Reading(text("SELECT 1 / CAST(:n AS int) AS never"))
WRITES = Reading(text("UPDATE tenants SET name = :name RETURNING name"))
SIZES = Reading(text("SELECT cardinality(CAST(:ids AS uuid[])) AS size"), is_binary=True)


@pytest.fixture
async def narrow(postgres: Postgres) -> AsyncIterator[Store]:
    """A store with a single line and a single connection beside it."""
    store = Store(postgres.url("app"), size=1)
    yield store
    await store.close()


async def who(tx: Tx, said: str | None = None) -> tuple[str, int]:
    [row] = await tx.read(WHO, {"said": said})
    assert (row["reads"], row["said"], row["percent"]) == ("on", said, "100 %")
    return row["tenant"], row["pid"]


async def test_tenants_in_turns_on_one_line_are_each_themselves_and_leave_nothing_behind(
    tenant: Tenant, neighbour: Tenant, narrow: Store
) -> None:
    pids = set()
    async with (
        narrow.as_tenant(tenant.principal(), read_only=True) as ours,
        narrow.as_tenant(neighbour.principal(), read_only=True) as theirs,
    ):
        for turn in range(4):
            for tx, asking in ((ours, tenant), (theirs, neighbour)):
                told, pid = await who(tx, "x" * turn)
                assert told == str(asking.id)
                pids.add(pid)
    assert len(pids) == 1
    line = narrow._lines._idle.pop()
    line._server.send_query_params(b"SELECT current_setting('app.tenant_id', true)", [])
    answer = line._answer = asyncio.get_running_loop().create_future()
    line._sent.append(None)
    line._server.pipeline_sync()
    [left] = await answer
    assert left.get_value(0, 0) == b""


async def test_what_is_asked_beside_a_question_goes_with_it_as_the_same_tenant_or_by_itself(
    tenant: Tenant, narrow: Store
) -> None:
    async with narrow.as_tenant(tenant.principal(), read_only=True) as tx:
        besides = [tx.beside(WHEN, {"n": n}) for n in (1, 2)]
        [own] = await tx.read(WHEN, {"n": 0})
        told = [own, *[row for beside in besides for row in await beside.rows()]]
        assert [row["n"] for row in told] == [0, 1, 2]
        assert {(row["tenant"], row["at"]) for row in told} == {(str(tenant.id), own["at"])}  # one message, once
        alone = tx.beside(WHEN, {"n": 3})
        [later] = await alone.rows()
        assert (later["n"], later["tenant"]) == (3, str(tenant.id))
        assert [later] == await alone.rows()
        failing = tx.beside(FAILS, {"n": 0})
        for asking in (tx.read(WHEN, {"n": 4}), failing.rows()):
            with pytest.raises(DataError, match="division by zero"):
                await asking
        await tx.scalar(text("SELECT 1"))  # from here on over SQLAlchemy's connection
        beside = tx.beside(WHEN, {"n": 5})
        assert [(await tx.read(WHEN, {"n": 6}))[0]["n"], (await beside.rows())[0]["n"]] == [6, 5]


async def test_what_fails_is_told_in_sqlalchemys_words_and_the_line_goes_on(tenant: Tenant, narrow: Store) -> None:
    async with narrow.as_tenant(tenant.principal(), read_only=True) as tx:
        _, pid = await who(tx)
        for _ in range(2):  # while it is prepared, and when it is
            with pytest.raises(DataError, match="division by zero"):
                await tx.read(FAILS, {"n": 0})
        with pytest.raises(Exception, match="read-only transaction"):
            await tx.read(WRITES, {"name": "ours"})
        assert (await who(tx))[1] == pid


async def test_a_line_that_died_while_it_lay_idle_costs_nobody_an_answer(
    postgres: Postgres, tenant: Tenant, narrow: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with narrow.as_tenant(tenant.principal(), read_only=True) as tx:
        _, pid = await who(tx)
        with psycopg.connect(postgres.url("superuser"), autocommit=True) as killer:
            killer.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
        told, another = await who(tx)  # nobody has heard of the end as yet
        assert (told, another != pid) == (str(tenant.id), True)
        with psycopg.connect(postgres.url("superuser"), autocommit=True) as killer:
            killer.execute("SELECT pg_terminate_backend(%s, 5000)", (another,))
        await asyncio.sleep(0.05)
        assert not narrow._lines._open  # it was heard
        assert (await who(tx))[0] == str(tenant.id)


async def test_without_a_server_the_store_is_unavailable(
    tenant: Tenant, narrow: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with narrow.as_tenant(tenant.principal(), read_only=True) as tx:
        await who(tx)
    await narrow._lines.close()
    monkeypatch.setattr(narrow, "_url", "postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(StoreUnavailable):
        async with narrow.as_tenant(tenant.principal(), read_only=True) as tx:
            await who(tx)
    assert narrow._lines._coming == 0


async def test_who_finds_no_line_free_is_answered_on_another_way(
    tenant: Tenant, neighbour: Tenant, narrow: Store
) -> None:
    async def sleeps() -> None:
        async with narrow.as_tenant(tenant.principal(), read_only=True) as tx:
            await tx.read(SLEEPS, {"seconds": 0.3})

    asleep = asyncio.create_task(sleeps())
    await asyncio.sleep(0.1)
    async with narrow.as_tenant(neighbour.principal(), read_only=True) as tx:
        assert (await who(tx))[0] == str(neighbour.id)
        assert not asleep.done()
    await asleep


async def test_a_line_whose_asker_was_cancelled_hears_the_answer_to_its_end(
    tenant: Tenant, neighbour: Tenant, narrow: Store
) -> None:
    async with narrow.as_tenant(tenant.principal(), read_only=True) as tx:
        _, pid = await who(tx)
        for turn in range(20):
            asking = asyncio.create_task(tx.read(SLEEPS, {"seconds": 0.002}))
            await asyncio.sleep(0.0003 * turn)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
    await asyncio.sleep(0.05)
    async with narrow.as_tenant(neighbour.principal(), read_only=True) as tx:
        assert await who(tx) == (str(neighbour.id), pid)


async def test_a_question_longer_than_the_sockets_buffer_arrives_whole(tenant: Tenant, narrow: Store) -> None:
    ids = [uuid4() for _ in range(300_000)]
    async with narrow.as_tenant(tenant.principal(), read_only=True) as tx:
        assert [row["size"] for row in await tx.read(SIZES, {"ids": ids})] == [300_000]


async def test_beyond_so_many_prepared_questions_a_line_asks_without_preparing(
    tenant: Tenant, narrow: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "MOST_PREPARED", 3)
    async with narrow.as_tenant(tenant.principal(), read_only=True) as tx:
        for number in range(6):
            [row] = await tx.read(Reading(text(f"SELECT {number} + CAST(:n AS int) AS n")), {"n": 1})
            assert row["n"] == number + 1
    [line] = narrow._lines._idle
    assert len(line._prepared) == 3


async def test_sqlalchemy_and_lines_answer_in_one_question_as_the_same_tenant(tenant: Tenant, narrow: Store) -> None:
    async with narrow.as_tenant(tenant.principal(), read_only=True) as tx:
        _, line = await who(tx)
        assert await tx.scalar(text("SELECT current_setting('app.tenant_id')")) == str(tenant.id)
        told, beside = await who(tx)
    assert (told, beside != line) == (str(tenant.id), True)
