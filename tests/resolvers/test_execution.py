"""How events of a subscription become answers: at once where they are plain, once for all, and nothing is kept."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, cast
from uuid import uuid4

import orjson
import pytest

from engine.tenancy import system
from resolvers.assembly import schema
from resolvers.context import RequestContext, Services
from resolvers.execution import Operations, Stream
from resolvers.feeds import Reading

QUERY = "subscription($d: [ID!]!) { %s: telemetry(deviceIds: $d) { %s cursor deviceId time values quality skipped } }"
READING = Reading("7.1", uuid4(), 1_700_000_000_123, {"temperature": 20.5, "mode": "auto"}, {"mode": "uncertain"})


@pytest.fixture(scope="module")
def operations() -> Operations:
    return Operations(schema())


def _stream(operations: Operations, *, name: str = "telemetry", more: str = "") -> Stream:
    context = RequestContext(cast(Services, None), system(uuid4()))  # a reading's fields ask for nothing
    executor, _ = operations.build(operations.prepare(QUERY % (name, more)), None, {"d": [str(uuid4())]}, context)
    return Stream(executor, _nothing(), context, operations.shared, uuid4(), lambda: None)


async def _nothing() -> AsyncIterator[Any]:
    return
    yield


@pytest.mark.parametrize("name", ["telemetry", "heard"])
def test_a_plain_event_is_answered_at_once_as_it_would_be_the_long_way(operations: Operations, name: str) -> None:
    stream, long = _stream(operations, name=name), _stream(operations, name=name)
    long._plain = None
    at_once = stream._made(READING)
    assert isinstance(at_once, bytes)
    assert at_once == asyncio.run(long.answer(READING)) == asyncio.run(stream.answer(READING))
    assert orjson.loads(at_once)["data"][name]["values"] == READING.values


def test_an_event_that_is_not_as_promised_is_answered_with_what_is_wrong(operations: Operations) -> None:
    stream = _stream(operations)
    bad = orjson.loads(asyncio.run(stream.answer(replace(READING, device_id=None, is_merged=True))))
    assert bad["data"] is None
    assert bad["errors"][0]["path"] == ["telemetry", "deviceId"]
    assert isinstance(stream._made(READING), bytes), "the next one is plain again"


def test_a_stream_keeps_nothing_of_the_events_that_it_has_answered(operations: Operations) -> None:
    stream = _stream(operations, more="__typename")
    assert stream._plain is None, "which the short way does not know"
    executor: Any = stream._executor
    before = len(executor._relevant_sub_fields), len(executor._projections)
    for pos in range(20):
        answer = orjson.loads(asyncio.run(stream.answer(replace(READING, cursor=str(pos)))))
        assert answer["data"]["telemetry"]["__typename"] == "TelemetryEvent"
    assert (len(executor._relevant_sub_fields), len(executor._projections)) == before


def test_what_several_ask_alike_is_made_once_and_anew_after_it_failed(operations: Operations) -> None:
    made: list[int] = []

    async def fail() -> bytes:
        made.append(1)
        await asyncio.sleep(0)
        raise ConnectionError

    def answer() -> bytes:
        made.append(2)
        return b"answer"

    async def ask() -> None:
        shared = operations.shared
        failed = await asyncio.gather(shared.get("a", fail), shared.get("a", fail), return_exceptions=True)
        assert [type(each) for each in failed] == [ConnectionError, ConnectionError]
        assert [await shared.get("a", answer) for _ in range(2)] == [b"answer"] * 2

    asyncio.run(ask())
    assert made == [1, 2]
