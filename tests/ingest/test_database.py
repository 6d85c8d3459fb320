"""The connection to Postgres is used again as soon as there is one, whatever became of the one before."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from infra.local.postgres import Postgres
from ingest.database import Database
from tests.support.line import Line
from tests.support.process import free_port
from tests.support.proxy import proxy_to


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[Database]:
    database = Database(postgres.url("ingest"))
    yield database
    await database.drop()


async def ask(database: Database) -> int:
    """The process number of the server's backend, asked for in a transaction."""
    async with database.transaction() as connection:
        [pid] = await (await connection.execute("SELECT pg_backend_pid()")).fetchone() or [0]
        return int(pid)


async def test_a_connection_whose_server_has_left_is_not_tried_again(postgres: Postgres, database: Database) -> None:
    first = await ask(database)
    assert await ask(database) == first
    Line(postgres).look("SELECT pg_terminate_backend(%s, 5000)", first)
    assert await ask(database) not in (0, first)


async def test_a_server_that_is_on_its_way_is_waited_for(postgres: Postgres) -> None:
    port = free_port()
    database = Database(postgres.url("ingest").replace(f":{postgres.port}/", f":{port}/"))
    asking = asyncio.create_task(ask(database))
    await asyncio.sleep(0.3)
    assert not asking.done()
    async with proxy_to(postgres.port, listen_on=port):
        assert await asking > 0
        await database.drop()


async def test_a_server_that_stays_away_is_told_of() -> None:
    database = Database(f"postgresql://nobody@127.0.0.1:{free_port()}/nowhere")
    with pytest.raises((psycopg.Error, OSError)):
        await ask(database)
