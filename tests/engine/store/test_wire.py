"""What goes to the server below SQLAlchemy fails as what goes through it, and leaves as little behind."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import Integer, Numeric, bindparam, column, select, table, text
from sqlalchemy.exc import DataError, SQLAlchemyError

from engine.store.errors import StoreUnavailable, TransactionOver
from engine.store.pool import Store
from engine.store.wire import Reading
from engine.tenancy import Principal
from infra.local.postgres import Postgres
from tests.support.tenant import Tenant

WHO = Reading(text("SELECT current_setting('app.tenant_id') AS tenant, pg_backend_pid() AS pid, :n + 1 AS more"))
SLEEPS = Reading(text("SELECT pg_sleep(:seconds)"))
FAILS = Reading(text("SELECT 1 / :n AS never"))


@pytest.fixture
async def narrow(postgres: Postgres) -> AsyncIterator[Store]:
    """A store with a single connection: whoever comes next gets what the last one left."""
    store = Store(postgres.url("app"), size=1)
    yield store
    await store.close()


async def test_what_is_read_is_read_as_the_tenant(tenant: Tenant, narrow: Store) -> None:
    async with narrow.as_tenant(tenant.principal(), read_only=True) as tx:
        [row] = await tx.read(WHO, {"n": 1})
    assert (row["tenant"], row["more"]) == (str(tenant.id), 2)


@pytest.mark.parametrize(
    "statement",
    [
        select(table("t", column("a", Integer))).where(column("a", Integer).in_([1, 2])),
        select(table("t", column("a", Numeric(asdecimal=False)))),
    ],
    ids=["a list written out each time", "a number converted each time"],
)
def test_a_statement_that_sqlalchemy_must_convert_each_time_cannot_be_made_ready(statement: object) -> None:
    with pytest.raises(TypeError):
        Reading(statement)  # type: ignore[arg-type]


def test_what_a_statement_holds_itself_need_not_be_given() -> None:
    made = Reading(select(table("t", column("a"))).where(column("a") != "x", column("a") == bindparam("y")))
    assert set(made.fixed.values()) == {"x"}


async def test_a_reading_that_fails_is_told_in_sqlalchemys_words(tenant: Tenant, narrow: Store) -> None:
    with pytest.raises(DataError, match="division by zero"):
        async with narrow.as_tenant(tenant.principal()) as tx:
            await tx.read(FAILS, {"n": 0})
    async with narrow.as_tenant(tenant.principal()) as tx:
        assert await tx.read(WHO, {"n": 1})


async def test_a_server_that_goes_in_the_middle_is_away_and_the_next_finds_another_connection(
    postgres: Postgres, tenant: Tenant, narrow: Store
) -> None:
    gone: list[int] = []

    async def lose_it() -> None:
        async with narrow.as_tenant(tenant.principal()) as tx:
            gone.append((await tx.read(WHO, {"n": 1}))[0]["pid"])
            async with await psycopg.AsyncConnection.connect(postgres.url("superuser"), autocommit=True) as killer:
                await killer.execute("SELECT pg_terminate_backend(%s, 20000)", gone)
            await tx.read(WHO, {"n": 1})

    with pytest.raises(StoreUnavailable):
        await lose_it()
    async with narrow.as_tenant(tenant.principal()) as tx:
        [again] = await tx.read(WHO, {"n": 1})
    assert again["pid"] not in gone


async def test_nobody_goes_on_with_another_connection_after_a_sibling_was_cut_off(
    tenant: Tenant, narrow: Store
) -> None:
    """Another one would not know which tenant is asking."""
    async with narrow.as_tenant(tenant.principal(), read_only=True) as tx:
        await tx.scalar(text("SELECT 1"))  # from here on it is SQLAlchemy's connection
        sibling = asyncio.create_task(tx.read(SLEEPS, {"seconds": 60}))
        await asyncio.sleep(0.05)
        sibling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sibling
        for ask in (tx.read(WHO, {"n": 1}), tx.scalar(text("SELECT 1"))):
            with pytest.raises(SQLAlchemyError):
                await ask
    async with narrow.as_tenant(tenant.principal()) as tx:
        [row] = await tx.read(WHO, {"n": 1})
    assert row["tenant"] == str(tenant.id)


async def test_only_ids_are_said_with_the_beginning(narrow: Store) -> None:
    asking = Principal("'; DROP TABLE devices; --", "system", uuid4(), frozenset())  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        async with narrow.as_tenant(asking):
            pass


async def test_a_transaction_that_is_over_asks_nothing_more_in_the_next_ones_name(
    tenant: Tenant, neighbour: Tenant, narrow: Store
) -> None:
    async with narrow.as_tenant(tenant.principal(), read_only=True) as over:
        await over.read(WHO, {"n": 1})
    async with narrow.as_tenant(neighbour.principal(), read_only=True) as tx:
        for asked in (over.read(WHO, {"n": 1}), over.rows(text("SELECT 1")), over.rows_of_many(text("SELECT 1"))):
            with pytest.raises(TransactionOver):
                await asked
        assert (await tx.read(WHO, {"n": 1}))[0]["tenant"] == str(neighbour.id)


async def test_who_still_waits_for_their_turn_when_a_transaction_ends_does_not_get_it(
    tenant: Tenant, neighbour: Tenant, narrow: Store
) -> None:
    """As the loaders of a question of which another part has failed."""
    async with narrow.as_tenant(tenant.principal()) as tx:
        first, second = (asyncio.create_task(tx.read(SLEEPS, {"seconds": 0.2})) for _ in range(2))
        await asyncio.sleep(0.05)
    async with narrow.as_tenant(neighbour.principal(), read_only=True) as tx:
        assert (await tx.read(WHO, {"n": 1}))[0]["tenant"] == str(neighbour.id)
        assert first.done(), "what was under way when the transaction ended is before COMMIT"
        with pytest.raises(TransactionOver):
            await second
