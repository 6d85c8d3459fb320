"""Columns built in bulk arrive in Postgres as the arrays they stand for."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.local.postgres import Postgres
from ingest import arrays
from ingest.database import connect
from ingest.statements import Connection

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
calm = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture
async def connection(postgres: Postgres) -> Any:
    opened = await connect(postgres.url("ingest"), 5)
    yield opened
    await opened.close()


async def echo(connection: Connection, column: arrays.Column) -> Any:
    row = await (await connection.execute("SELECT %b", [column], binary=True)).fetchone()
    assert row is not None
    return row[0]


@calm
@given(ids=st.lists(st.uuids()), numbers=st.lists(st.integers(-(2**63), 2**63 - 1)), blobs=st.lists(st.binary()))
async def test_uuids_bigints_and_blobs(
    connection: Connection, ids: list[UUID], numbers: list[int], blobs: list[bytes]
) -> None:
    assert await echo(connection, arrays.uuids([arrays.wire(each.bytes) for each in ids])) == ids
    assert await echo(connection, arrays.bigints(numbers)) == numbers
    assert await echo(connection, arrays.blobs(blobs)) == blobs


@calm
@given(at_us=st.lists(st.integers(0, 253_402_300_799_999_999)), words=st.lists(texts))
async def test_timestamps_and_texts(connection: Connection, at_us: list[int], words: list[str]) -> None:
    expected = [EPOCH + timedelta(microseconds=each) for each in at_us]
    assert await echo(connection, arrays.timestamps(at_us)) == expected
    assert await echo(connection, arrays.texts(words)) == words


@calm
@given(st.lists(st.dictionaries(texts, st.integers(-(2**53), 2**53) | st.booleans() | texts, max_size=3)))
async def test_documents(connection: Connection, documents: list[dict[str, Any]]) -> None:
    raw = [orjson.dumps(each) for each in documents]
    assert await echo(connection, arrays.jsons(raw)) == documents
    assert await echo(connection, arrays.jsonbs(raw)) == documents
