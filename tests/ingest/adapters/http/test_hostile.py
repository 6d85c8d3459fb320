"""Who means harm, or is broken, costs no more than a bounded answer, and nobody else anything."""

import asyncio
import contextlib
import gzip
import signal
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import orjson

from infra.local.postgres import Postgres
from ingest.adapters.base import Decision, Reply, Verdict
from ingest.adapters.http.exchange import Answer, Exchange
from ingest.adapters.http.messages import Messages, unpack
from ingest.adapters.http.room import Room
from schema.wire.payloads import MAX_PAYLOAD_BYTES
from tests.ingest.adapters.http.caller import Caller, caller
from tests.ingest.adapters.http.memory import MemoryIdentifier, NoKeys, endpoint
from tests.ingest.adapters.mqtt.memory import MemoryUplink, device_id
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


def body(size: int, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": b'{"t":%b1}' % (b" " * (size - 7)) if size else b"", "more_body": more}


async def post(taking: Messages, device: Decision, *parts: "dict[str, Any] | asyncio.Future[Any]", **named: str) -> int:
    """The status of what a device posts in these parts; of a future nothing has come yet."""
    coming = list(parts)

    async def receive() -> dict[str, Any]:
        part = coming.pop(0)
        return part if isinstance(part, dict) else await part

    headers = [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
    exchange = Exchange(scope, receive, None)  # type: ignore[arg-type]  # nothing is sent
    return (await taking.take(exchange, device, "up/telemetry")).status


async def begun(*posts: Any) -> "list[asyncio.Task[int]]":
    """They are on their way, each as far as it gets."""
    tasks = [asyncio.create_task(each) for each in posts]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def test_what_has_come_of_bodies_is_bounded_and_a_tenant_has_half() -> None:
    taking = Messages(MemoryUplink(), NoKeys(), lambda *_: None, Room(2_000))
    rest: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    ours, theirs = (Decision(uuid4(), key, uuid4(), "pump-7", 0) for key in ("ours", "theirs"))
    reading = await begun(*(post(taking, device, body(900, more=True), rest) for device in (ours, theirs)))
    assert await post(taking, ours, body(200)) == 503
    reading += await begun(post(taking, ours, body(100, more=True), rest))
    assert await post(taking, theirs, body(101)) == 503
    rest.set_result(body(0))
    assert await asyncio.gather(*reading) == [200, 200, 200]
    assert await post(taking, ours, body(1_000)) == 200, "what was handed on is no longer counted"
    packed = gzip.compress(orjson.dumps({"t": "x" * 1_500}))
    part = {"type": "http.request", "body": packed}
    assert await post(taking, ours, part, content_encoding="gzip") == 503, "it is as large as it is unpacked"


async def test_bodies_that_are_announced_take_no_room_and_a_device_holds_few() -> None:
    taking = Messages(MemoryUplink(), NoKeys(), lambda *_: None, Room(2_000, max_messages=3))
    rest: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    tenant = uuid4()
    slow, calm = (Decision(tenant, "ours", uuid4(), key, 0) for key in ("slow", "calm"))
    waiting = await begun(*(post(taking, slow, rest, content_length=str(MAX_PAYLOAD_BYTES)) for _ in range(3)))
    assert await post(taking, slow, body(10)) == 503
    assert await post(taking, calm, body(10)) == 200
    rest.set_result(body(10))
    assert await asyncio.gather(*waiting) == [200] * 3
    assert await post(taking, slow, body(10)) == 200


async def test_bodies_that_end_at_one_moment_do_not_pass_the_pipelines_bound() -> None:
    uplink = MemoryUplink(holding=True, bound=5)
    taking = Messages(uplink, NoKeys(), lambda *_: None)
    rest: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    devices = [Decision(uuid4(), "acme", uuid4(), "pump-7", 0) for _ in range(50)]
    posts = await begun(*(post(taking, device, rest) for device in devices))
    rest.set_result(body(10))
    await begun()
    assert len(uplink.messages) == 5
    uplink.decide()
    assert sorted(await asyncio.gather(*posts)) == [200] * 5 + [503] * 45


async def test_who_lost_its_rights_while_its_body_was_on_its_way_is_refused() -> None:
    made, uplink, identifier = endpoint(Closed()), MemoryUplink(), MemoryIdentifier()
    made._messages = Messages(uplink, NoKeys(), lambda *_: None)
    made._logins._identifier = identifier
    asked: asyncio.Event = asyncio.Event()
    rest: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def slow() -> AsyncIterator[bytes]:
        yield b'{"t":'
        asked.set()
        yield await rest

    async with httpx.AsyncClient(transport=httpx.ASGITransport(made), base_url="http://ingest") as device:
        headers = {"Authorization": "Bearer pump-7", "Content-Type": "application/json"}
        posting = asyncio.create_task(device.post("/ingest/v1/pump-7/telemetry", content=slow(), headers=headers))
        await asyncio.wait_for(asked.wait(), PATIENCE_S)
        identifier.refused["pump-7"] = "revoked"
        made.changed(device_id("acme/d/pump-7"))
        rest.set_result(b"1}")
        answer = await asyncio.wait_for(posting, PATIENCE_S)
    assert (answer.status_code, answer.json()["code"]) == (401, "REVOKED")
    assert (identifier.asked, uplink.messages) == (2, [])


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
