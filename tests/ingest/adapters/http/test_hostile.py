"""Who means harm, or is broken, costs no more than a bounded answer, and nobody else anything."""

import asyncio
import contextlib
import gzip
import signal
import tracemalloc
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest

from infra.local.postgres import Postgres
from ingest.adapters.base import Decision, Reply, Verdict
from ingest.adapters.http import messages
from ingest.adapters.http.exchange import Answer, Exchange
from ingest.adapters.http.messages import Messages, unpack
from schema.wire.payloads import MAX_PAYLOAD_BYTES
from tests.ingest.adapters.http.caller import Caller, caller
from tests.ingest.adapters.http.memory import MemoryIdentifier, NoKeys, endpoint
from tests.ingest.adapters.mqtt.memory import MemoryUplink
from tests.support.line import Line
from tests.support.patience import PATIENCE_S
from tests.support.process import IngestProcess
from tests.support.tenant import Tenant

BOMB = gzip.compress(bytes(50_000_000))


def test_a_bomb_is_not_unpacked_beyond_what_a_message_may_have() -> None:
    tracemalloc.start()
    try:
        refused = unpack(BOMB)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(refused, Answer)
    assert refused.status == 413
    assert most < 4 * MAX_PAYLOAD_BYTES


async def test_a_bomb_an_endless_body_and_a_long_one_are_refused_and_the_next_request_is_served(pump: Caller) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 16_384
            yield b" " * 16_384

    json = {"Content-Type": "application/json"}
    bomb = await pump.post("telemetry", content=BOMB, headers=json | {"Content-Encoding": "gzip"})
    assert bomb.status_code == 413
    with contextlib.suppress(httpx.TransportError):  # it was hung up on while it was still sending
        assert (await pump.post("telemetry", content=endless(), headers=json)).status_code == 413
    assert sent < 20 * MAX_PAYLOAD_BYTES, "what lies in the sockets' buffers, and no more"
    long = await pump.post("telemetry", content=b" " * (MAX_PAYLOAD_BYTES + 1), headers=json)
    assert (long.status_code, long.headers["connection"]) == (413, "close")
    assert (await pump.post("telemetry", {"temperature": 1})).status_code == 200


async def raw(pump: Caller, said: bytes) -> bytes:
    """What a process answers to these bytes, up to its hanging up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", pump.process.http_port)
    try:
        writer.write(said)
        return await asyncio.wait_for(reader.read(4_096), PATIENCE_S)
    finally:
        writer.close()


async def test_what_is_no_request_is_refused_and_costs_its_own_connection(pump: Caller) -> None:
    post = f"POST /ingest/v1/{pump.device.key}/telemetry HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {pump.token}\r\n"
    asked = {
        "no HTTP": (b"\x10\x0c\x00\x04MQTT\r\n\r\n", b" 400 "),
        "headers without end": (post.encode() + b"X: " + b"x" * 40_000, b" 431 "),
        "two lengths": (post.encode() + b"Content-Length: 2\r\nContent-Length: 20\r\n\r\n{}", b" 400 "),
        "a negative length": (post.encode() + b"Content-Length: -1\r\n\r\n", b" 400 "),
        "a broken chunk": (post.encode() + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b" 400 "),
        "an encoded slash": (b"POST /ingest/v1/a%2Fb/telemetry HTTP/1.1\r\nHost: x\r\n\r\n", b" 404 "),
        "a climb": (b"GET /ingest/v1/../../metrics HTTP/1.1\r\nHost: x\r\n\r\n", b" 404 "),
    }
    for what, (said, status) in asked.items():
        assert status in (await raw(pump, said)).partition(b"\r\n")[0], what
    assert (await pump.post("telemetry", {"temperature": 1})).status_code == 200


class Closed:
    """A doorway through which nobody comes."""

    async def pass_on(self, path: str, visitor: object, said: bytes) -> Reply:
        return Reply(404, b"{}")


async def test_each_verdict_and_each_refusal_has_its_status_and_says_when_to_come_again() -> None:
    made, uplink = endpoint(Closed()), MemoryUplink()
    refused: list[str] = []
    made._messages = Messages(uplink, NoKeys(), lambda _, why: refused.append(why))
    identifier = MemoryIdentifier()
    made._logins._identifier = identifier
    async with httpx.AsyncClient(transport=httpx.ASGITransport(made), base_url="http://ingest") as device:

        async def post(token: str = "pump-7", **headers: str) -> tuple[int, str, str | None]:
            headers = {"Authorization": f"Bearer {token}"} | headers
            answer = await device.post("/ingest/v1/pump-7/telemetry", json={"t": 1}, headers=headers)
            said = answer.json()
            assert answer.status_code < 300 or {"type", "title", "status", "detail", "code"} <= said.keys()
            return answer.status_code, said.get("code", said.get("status")), answer.headers.get("retry-after")

        told = {}
        for uplink.verdict in Verdict:
            told[uplink.verdict] = await post()
        uplink.bound = 0
        full = await post()
        uplink.bound = 1
        keyless = await post(**{"Idempotency-Key": "one"})
        for reason in ("unavailable", "throttled", "pending", "jwt_expired"):
            identifier.refused[reason] = reason
        refusals = [await post(reason) for reason in identifier.refused]
        made.stop()
        stopped = await post()
    assert list(told.values()) == [
        (200, "stored", None),
        (200, "duplicate", None),
        (422, "REJECTED", None),
        (403, "NOT_AUTHORISED", None),
        (429, "QUOTA_EXCEEDED", "1"),
        (503, "UNAVAILABLE", "5"),
    ]
    assert full == (503, "BUSY", "1")
    assert keyless == (503, "UNAVAILABLE", "5")
    assert refusals == [
        (503, "UNAVAILABLE", "5"),
        (429, "THROTTLED", "60"),
        (403, "PENDING", "60"),
        (401, "JWT_EXPIRED", None),
    ]
    assert stopped == (503, "UNAVAILABLE", "1")
    assert refused == [], "what may be sent again was not received"


async def test_bodies_that_are_read_at_one_time_are_bounded_and_a_tenant_has_half(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(messages, "MAX_READING_BYTES", 2_000)
    taking = Messages(MemoryUplink(), NoKeys(), lambda *_: None)
    said: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": await said}

    async def post(device: Decision, size: int) -> int:
        headers = [(b"content-length", b"%d" % size)]
        scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
        exchange = Exchange(scope, receive, None)  # type: ignore[arg-type]  # nothing is sent
        return (await taking.take(exchange, device, "up/telemetry")).status

    ours, theirs = (Decision(uuid4(), key, uuid4(), "pump-7", 0) for key in ("ours", "theirs"))
    reading = [asyncio.create_task(post(device, 900)) for device in (ours, theirs)]
    await asyncio.sleep(0)
    assert await post(ours, 200) == 503
    reading.append(asyncio.create_task(post(ours, 100)))
    await asyncio.sleep(0)
    assert await post(theirs, 101) == 503
    said.set_result(orjson.dumps({"t": 1}))
    assert await asyncio.gather(*reading) == [200, 200, 200]
    assert await post(ours, 1_000) == 200, "what was read is no longer counted"
    monkeypatch.setattr(messages, "MAX_READING_BYTES", 0)
    assert await post(ours, 0) == 200, "an empty answer to a command needs no room"


async def test_sigterm_answers_what_was_taken_and_ends_whoever_waits(
    postgres: Postgres, tenant: Tenant, tmp_path: Path
) -> None:
    process = IngestProcess(postgres.url("ingest"), tmp_path / "ingest.log")
    await process.start()
    device = await caller(process, tenant)
    try:
        waiting = asyncio.create_task(device.commands(wait=60))
        flying = [asyncio.create_task(device.post("telemetry", {"temperature": n})) for n in range(50)]
        await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED)
        assert await process.stop() == 0
        answers = await asyncio.gather(*flying, waiting, return_exceptions=True)
    finally:
        await device.client.aclose()
        await process.stop(signal.SIGKILL)
    stored = sum(isinstance(each, httpx.Response) and each.status_code == 200 for each in answers)
    assert 1 <= stored <= len(Line(postgres).stored(tenant))
    [*_, asked] = answers
    assert not isinstance(asked, httpx.Response) or asked.status_code == 503
