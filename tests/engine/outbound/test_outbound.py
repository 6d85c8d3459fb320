"""What a tenant typed leads to the public internet and nowhere else, whatever tricks its name plays."""

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from engine.outbound import fetch
from engine.outbound import fetch as way_out
from engine.outbound.addresses import is_loopback, is_public
from engine.outbound.errors import AddressRefused, NoAnswer
from engine.outbound.fetch import Outbound
from tests.support.patience import PATIENCE_S

PUBLIC = ("1.1.1.1", "8.8.8.8", "100.63.255.255", "172.32.0.1", "223.255.255.255", "2606:4700::1111", "2a00:1450::1")
INNER = (
    *("0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.9.9.9", "169.254.169.254", "172.16.0.1", "172.31.255.255"),
    *("192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.7", "203.0.113.9"),
    *("224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "fe80::1", "fe80::1%lo", "fc00::1", "fd00:ec2::254", "ff02::1", "fec0::1", "100::1"),
    *("::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1"),
    *("2002:7f00:1::", "2001:0:7f00:1::", "2001:db8::1", "3fff::1", "5f00::1", "not an address", ""),
)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", INNER)
def test_whatever_lies_inside_is_not_public(address: str) -> None:
    assert not is_public(address)


def test_this_machine_has_many_names() -> None:
    assert is_loopback("127.0.0.1")
    assert is_loopback("127.1.2.3")
    assert is_loopback("::1")
    assert not is_loopback("10.0.0.1")


@pytest.mark.parametrize(
    "url",
    [
        "http://provider.example/",
        "ftp://provider.example/",
        "file:///etc/passwd",
        "gopher://provider.example/",
        "https://user:password@provider.example/",
        "https://public.example@10.0.0.1/",
        "https://provider.example:22/",
        "https://provider.example:80/",
        "https://provider.example:99999/",
        "https://provider.example\\@10.0.0.1/",
        "https://provider.example/\r\nHost: elsewhere",
        "https://provider.example/#fragment",
        "https:///nowhere",
        "//provider.example/",
        "https://pröv.example/",
        "https://[::1",
        "",
    ],
)
async def test_an_address_that_is_no_plain_https_is_refused_before_any_name_is_asked_for(url: str) -> None:
    asked: list[str] = []

    async def resolve(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return ["1.1.1.1"]

    with pytest.raises(AddressRefused):
        await Outbound(resolve=resolve).fetch("GET", url)
    assert asked == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"]
)
async def test_this_machine_is_refused_however_it_is_spelt(host: str) -> None:
    async with listening() as (port, heard):
        with pytest.raises((AddressRefused, NoAnswer)):
            await Outbound().fetch("GET", f"https://{host}:{port}/")
        assert heard == []


async def test_one_inner_address_among_public_ones_refuses_them_all() -> None:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return ["1.1.1.1", "10.0.0.1"]

    with pytest.raises(AddressRefused):
        await Outbound(resolve=resolve).fetch("GET", "https://provider.example/")


async def test_a_name_is_asked_for_once_so_it_cannot_answer_otherwise_when_it_is_connected_to() -> None:
    """DNS rebinding: the name leads outside while it is checked, and inside a moment later."""
    async with listening() as (port, heard):
        answers = [["192.0.2.1"], ["127.0.0.1"]]
        asked = []

        async def resolve(host: str, _port: int) -> Sequence[str]:
            asked.append(host)
            return answers.pop(0)

        with pytest.raises(AddressRefused):
            await Outbound(may_loop_back=True, resolve=resolve).fetch("GET", f"http://rebinding.example:{port}/")
        assert asked == ["rebinding.example"]
        assert heard == []


async def test_what_was_checked_is_what_is_connected_to_and_the_name_is_still_said() -> None:
    async with listening() as (port, heard):

        async def resolve(_host: str, _port: int) -> Sequence[str]:
            return ["127.0.0.1"]

        out = Outbound(may_loop_back=True, resolve=resolve)
        answer = await out.fetch("POST", f"http://provider.example:{port}/token?x=1", body=b"a=b")
        assert (answer.status, answer.body) == (200, b"hello")
        assert heard[0].startswith(b"POST /token?x=1 HTTP/1.1\r\n")
        assert f"Host: provider.example:{port}\r\n".encode() in heard[0]


async def test_http_is_for_this_machine_alone_even_in_development() -> None:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return ["1.1.1.1"]

    with pytest.raises(AddressRefused):
        await Outbound(may_loop_back=True, resolve=resolve).fetch("GET", "http://provider.example/")


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    said = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    async with listening(said) as (port, heard):
        answer = await Outbound(may_loop_back=True).fetch("GET", f"http://127.0.0.1:{port}/")
        assert (answer.status, answer.headers["location"]) == (302, "http://127.0.0.1:1/")
        assert len(heard) == 1


async def test_an_answer_that_does_not_end_is_cut_off() -> None:
    said = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 2_000
    async with listening(said) as (port, _):
        with pytest.raises(NoAnswer, match="more than 1000 bytes"):
            await Outbound(may_loop_back=True).fetch("GET", f"http://127.0.0.1:{port}/", most_bytes=1_000)


async def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(way_out, "TIMEOUT_S", 0.1)
    async with listening(b"") as (port, _):
        with pytest.raises(NoAnswer):
            await Outbound(may_loop_back=True).fetch("GET", f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
async def test_what_speaks_no_http_or_stops_in_the_middle_is_no_answer(said: bytes) -> None:
    async with listening(said, hang_up=True) as (port, _):
        with pytest.raises(NoAnswer):
            await Outbound(may_loop_back=True).fetch("GET", f"http://127.0.0.1:{port}/")


async def test_a_certificate_must_be_the_names() -> None:
    """The address that was checked is connected to, but it is the name that TLS must prove."""
    async with listening() as (port, heard):
        with pytest.raises(NoAnswer):
            await Outbound(may_loop_back=True, trust=ssl.create_default_context()).fetch(
                "GET", f"https://127.0.0.1:{port}/"
            )
        assert all(not text.startswith(b"GET") for text in heard)


@asynccontextmanager
async def listening(
    said: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", *, hang_up: bool = False
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server on this machine that says ``said`` to whatever it hears; its port, and what it heard."""
    heard: list[bytes] = []
    over = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(4_096))
        writer.write(said)
        await writer.drain()
        if not hang_up:
            await over.wait()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], heard
    finally:
        over.set()
        server.close()


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example"])
async def test_what_no_name_on_the_net_can_be_gives_no_answer(host: str) -> None:
    with pytest.raises(NoAnswer):
        await Outbound().fetch("GET", f"https://{host}/")


async def test_waiting_for_others_is_not_held_against_an_address() -> None:
    asked = asyncio.Event()

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        asked.set()
        raise OSError

    outbound = Outbound(resolve=resolve)
    async with AsyncExitStack() as others:
        for _ in range(fetch.AT_ONCE):
            await others.enter_async_context(outbound._at_once)
        waiting = asyncio.create_task(outbound.fetch("GET", "https://slow.example/"))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        assert not asked.is_set()
    with pytest.raises(NoAnswer):
        await waiting
    assert asked.is_set()


async def test_name_servers_that_do_not_answer_keep_no_other_name_from_being_looked_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of each request that was given up, a look-up goes on: twice as many as requests are under way."""
    answers, real = threading.Event(), socket.getaddrinfo

    def look_up(host: str, *how: Any, **more: Any) -> Any:
        return [] if host.endswith(".silent.example") and answers.wait(PATIENCE_S) else real(host, *how, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    waiting = [asyncio.create_task(fetch.resolve(f"{n}.silent.example", 443)) for n in range(2 * fetch.AT_ONCE)]
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert "127.0.0.1" in await fetch.resolve("127.0.0.1", 443)
    finally:
        answers.set()
        assert await asyncio.gather(*waiting) == [[]] * len(waiting)
