"""Whatever can be read can be written again: no device's message ends what others share with it."""

import asyncio
import time
from typing import Any
from uuid import uuid4

import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from infra.local.postgres import Postgres
from ingest.adapters.base import Decision, Message, Verdict
from ingest.batch import Batch, Known, Parcel
from ingest.encode import written
from ingest.errors import Rejection
from ingest.normaliser import ANYTHING
from ingest.rejected import Inbox
from ingest.uplink import fill
from schema.wire.payloads import Reason
from tests.ingest.test_decode import anything, members
from tests.support.line import running_line
from tests.support.tenant import Tenant

DEEP = b'{"values":{"a":' + b'{"a":' * 300 + b"1" + b"}" * 302
"""Orjson reads it and does not write it."""


@given(anything, st.lists(st.booleans(), max_size=800))
@example(1, [True] * 1_000)
@example({}, [False] * 1_000)
def test_json_that_was_read_is_written_as_it_was(document: Any, shells: list[bool]) -> None:
    whole, levels = orjson.dumps(document), len(shells)
    for is_object in shells:
        document = {"a": document, "": None} if is_object else [1, document, "é\n"]
        whole = b'{"a":%b,"":null}' % whole if is_object else '[1,%b,"é\\n"]'.encode() % whole
    assert written(document) == whole
    assert levels > 1_000 or written(orjson.loads(whole)) == whole


@given(st.lists(anything | members, min_size=1, max_size=4), st.sampled_from([0, 20, 300, 900]))
def test_any_json_is_stored_or_lies_in_the_inbox(items: list[Any], deep: int) -> None:
    item = b'{"values":{"a":' + b"[" * deep + b"]" * deep + b"}}"
    payload = b"[" + b",".join([*map(orjson.dumps, items), item]) + b"]"
    now = time.time()
    device = Known(uuid4(), uuid4(), ANYTHING)
    message = Message(Decision(uuid4(), "acme", uuid4(), "pump-7", 0), "up/telemetry", payload, 1, now)
    parcel = Parcel(device, lambda _: None, int(now * 1e6), message.topic, message.transport, len(payload))
    fill(parcel, message, int(now * 1000))
    batch = Batch([parcel], [], {})
    rows = Inbox().choose(batch.settle())
    assert len(parcel.readings) + len(rows) in (1, len(items) + 1)
    assert len(rows) == len(parcel.rejections) > 0, "the last one is a list, or too deep"
    if len(rows) > 1 or parcel.readings:
        assert (rows[-1].payload, rows[-1].size_bytes) == (item, len(item))


def test_what_could_not_be_written_all_the_same_is_marked_and_counted() -> None:
    parcel = Parcel(Known(uuid4(), uuid4(), ANYTHING), lambda _: None, 0, "up/telemetry", "mqtt", 77)
    parcel.rejections.append((Rejection(Reason.TOO_DEEP, "No."), object()))
    [row] = Inbox().choose(Batch([parcel], [], {}).settle())
    assert b"77 bytes" in row.payload


async def test_a_reading_too_deep_to_be_written_costs_its_neighbours_nothing(
    postgres: Postgres, tenant: Tenant
) -> None:
    device = await tenant.device()
    async with running_line(postgres) as line:
        told = [line.send(tenant, device, each) for each in (b"[%b]" % DEEP, b'[{"values":{"b":1}},%b]' % DEEP, DEEP)]
        assert await asyncio.gather(*told) == [Verdict.REJECTED, Verdict.STORED, Verdict.REJECTED]
        assert [(reason, payload) for _, reason, _, payload in line.inbox(tenant)] == [("TOO_DEEP", DEEP)] * 3
        assert len(line.stored(tenant)) == 1
