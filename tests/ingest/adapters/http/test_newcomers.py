"""Newcomers over HTTP: what is passed on, what is not, and what is said when nobody is there to decide."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import orjson
import pytest

from engine.certificates.keyfile import KeyUnreadable
from engine.provisioning.model import Visitor
from ingest.adapters.base import Refused, Reply
from ingest.introductions import Introductions
from schema.wire import relay
from tests.ingest.adapters.http.memory import endpoint
from tests.support.process import free_port

JSON = {"Content-Type": "application/json"}


@dataclass
class MemoryRelay:
    """Keeps what it is to pass on, and answers as it is told."""

    reply: Reply = field(default_factory=lambda: Reply(201, b'{"status":"admitted"}'))
    passed: list[tuple[str, Visitor, bytes]] = field(default_factory=list)

    async def pass_on(self, path: str, visitor: Visitor, said: bytes) -> Reply:
        self.passed.append((path, visitor, said))
        return self.reply


@pytest.fixture
def passing() -> MemoryRelay:
    return MemoryRelay()


@pytest.fixture
async def device(passing: MemoryRelay) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(endpoint(passing), client=("192.0.2.7", 5))
    async with httpx.AsyncClient(transport=transport, base_url="http://ingest", headers=JSON) as client:
        yield client


@pytest.mark.parametrize("path", [relay.PROVISION, relay.CLAIM])
async def test_what_a_newcomer_says_is_passed_on_byte_by_byte_with_its_address(
    device: httpx.AsyncClient, passing: MemoryRelay, path: str
) -> None:
    said = b'{ "device" : "\xc3\xa9" }'
    spoofed = {relay.SECRET: "x", relay.ADDRESS: "10.0.0.1", relay.KEY: "tgp_x", relay.CERTIFICATE: "AAAA"}
    answer = await device.post(path, content=said, headers=spoofed)
    assert (answer.status_code, answer.content, answer.headers["cache-control"]) == (
        201,
        passing.reply.body,
        "no-store",
    )
    assert passing.passed == [(path, Visitor("192.0.2.7"), said)], "its headers say nothing of it"


async def test_a_refusal_is_a_problem_and_says_when_to_come_again(
    device: httpx.AsyncClient, passing: MemoryRelay
) -> None:
    passing.reply = Reply(429, b'{"code":"TOO_MANY_REQUESTS"}', 60)
    answer = await device.post(relay.PROVISION, json={})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_nothing_else_is_answered_and_nothing_longer_is_read(
    device: httpx.AsyncClient, passing: MemoryRelay
) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b" " * 8_192

    for content in (b" " * (relay.MAX_BODY_BYTES + 1), endless()):
        answer = await device.post(relay.PROVISION, content=content)
        assert (answer.status_code, answer.json()["code"]) == (413, "BODY_TOO_LARGE")
    assert read <= relay.MAX_BODY_BYTES // 8_192 + 2
    form = await device.post(relay.PROVISION, content=b"a=b", headers={"Content-Type": "text/plain"})
    assert (form.status_code, form.json()["code"]) == (400, "BAD_INPUT")
    assert (await device.get(relay.PROVISION)).status_code == 405
    for path in (relay.GREET, "/graphql", "/api/v1/devices", "/metrics", "/health/live", "/authorize/aws"):
        assert (await device.post(path, json={})).status_code == 404
    assert passing.passed == []


async def test_while_the_web_process_is_away_newcomers_are_told_to_come_again() -> None:
    away = Introductions(f"http://127.0.0.1:{free_port()}", lambda: "secret")
    reply = await away.introduce(Visitor("192.0.2.7"), b"{}")
    assert (reply.status, reply.again_in_s) == (503, 5)
    assert orjson.loads(reply.body)["code"] == "UNAVAILABLE"
    with pytest.raises(Refused) as refusal:
        await away.greet(Visitor("192.0.2.7", "tgp_x"))
    assert refusal.value.reason == "unavailable"
    away.close()


async def test_without_the_relay_secret_nobody_is_passed_on() -> None:
    def unreadable() -> str:
        raise KeyUnreadable

    shut = Introductions(f"http://127.0.0.1:{free_port()}", unreadable)
    assert (await shut.introduce(Visitor("192.0.2.7"), b"{}")).status == 503
    shut.close()


async def test_a_web_process_that_does_not_know_our_secret_is_as_good_as_away(served: str) -> None:
    stranger = Introductions(f"http://{served}", lambda: "another installation's")
    assert (await stranger.introduce(Visitor("192.0.2.7"), b"{}")).status == 503
    with pytest.raises(Refused) as refusal:
        await stranger.greet(Visitor("192.0.2.7", "tgp_x"))
    assert refusal.value.reason == "unavailable"
    stranger.close()
