"""Who sends without reading, or leaves in the middle, costs its connection; who is slow or waits is served."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from infra.patience import Joined, PatientHttp
from resolvers.at_once import at_once
from tests.support.patience import PATIENCE_S
from ui.client import KEPT_S

BALANCED_S = 60.0
"""So long AWS' application load balancer keeps an idle connection to whoever serves, unless it is told otherwise."""
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
START = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
BODY = {"type": "http.response.body", "body": b"ok"}

App = Callable[[Any, Any, Any], Awaitable[None]]


class Door:
    """An application that answers when it is opened, and notes who asked and who left."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.asked = 0
        self.left = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer, or hear that the client has left."""
        self.asked += 1
        while not self.open.is_set():
            if (await receive())["type"] == "http.disconnect":
                self.left.set()
                return
        await send(START)
        await send(BODY)


@asynccontextmanager
async def serving(app: App) -> AsyncIterator[int]:
    """The port of a server with our patience."""
    config = uvicorn.Config(app, http=PatientHttp, lifespan="off", log_config=None)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: PatientHttp(config, state, {}), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_requests_without_end_that_nobody_waits_for_are_not_kept() -> None:
    door = Door()
    async with serving(door) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(ConnectionError):
                await _flood(writer)
            await door.left.wait()
        assert door.asked == 1, "none of those that waited was begun"
        writer.close()


async def _flood(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(GET * 1_000)
        await writer.drain()


async def test_a_few_requests_at_once_are_answered_each() -> None:
    door = Door()
    door.open.set()
    async with serving(door) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET * (PatientHttp.MAX_WAITING + 1))
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(PatientHttp.MAX_WAITING + 1):
                await reader.readuntil(b"ok")
        writer.close()


async def test_who_leaves_while_one_request_is_answered_and_another_waits_has_left_both() -> None:
    door = Door()
    async with serving(door) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET * 2)
        async with asyncio.timeout(PATIENCE_S):
            while not door.asked:
                await asyncio.sleep(0.01)
            writer.close()
            await door.left.wait()


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """An application that answers with what it was sent, behind its method and path."""
    body, has_more = b"", True
    while has_more:
        part = await receive()
        body, has_more = body + part["body"], part["more_body"]
    said = f"{scope['method']} {scope['path']} ".encode() + body + b";"
    await send({**START, "headers": [(b"content-length", b"%d" % len(said))]})
    await send({**BODY, "body": said})


OFFERED = (
    b"POST /first HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAMAAABkAAQ\r\nContent-Length: 4\r\n\r\nbody"
)
"""As Java's own client asks by default for whatever it is to send without TLS: it would also speak HTTP/2."""


@pytest.mark.parametrize("cut", [len(OFFERED), len(OFFERED) - 4, len(OFFERED) - 2, 30])
async def test_a_request_that_offers_another_protocol_is_read_whole_and_answered_in_this_one(cut: int) -> None:
    async with serving(echo) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(PATIENCE_S):
            writer.write(OFFERED[:cut])
            await asyncio.sleep(0.02)  # so that it comes in two reads
            writer.write(OFFERED[cut:] + OFFERED.replace(b"/first", b"/second"))
            first, second = [await reader.readuntil(b";") for _ in range(2)]
        writer.close()
    assert first.endswith(b"\r\n\r\nPOST /first body;")
    assert second.endswith(b"\r\n\r\nPOST /second body;")


async def test_who_asked_whether_to_send_its_body_and_is_answered_at_once_must_come_again() -> None:
    door = Door()
    door.open.set()
    async with serving(door) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\nExpect: 100-continue\r\n\r\n")
        async with asyncio.timeout(PATIENCE_S):
            answer = await reader.read()
        assert b"connection: close" in answer
        assert b"100 Continue" not in answer
        writer.close()


async def test_a_connection_on_which_nothing_is_asked_is_closed_by_its_client_and_not_by_us(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    door, waits = Door(), []
    door.open.set()
    loop = asyncio.get_running_loop()

    def call_later(seconds: float, callback: Callable[..., None], *args: Any) -> asyncio.TimerHandle:
        if callback.__name__ == PatientHttp.timeout_keep_alive_handler.__name__:
            waits.append(seconds)
        return loop.call_at(loop.time() + seconds, callback, *args)

    async with serving(door) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(PATIENCE_S):
            monkeypatch.setattr(loop, "call_later", call_later)
            writer.write(GET)
            await reader.readuntil(b"ok")
        writer.close()
    assert waits == [PatientHttp.IDLE_S]
    assert KEPT_S < BALANCED_S < PatientHttp.IDLE_S


class Clock:
    """A loop of which the test says what time it is."""

    def __init__(self) -> None:
        self.waiting: dict[object, tuple[Callable[..., None], tuple[Any, ...]]] = {}

    def call_later(self, _seconds: float, callback: Callable[..., None], *args: Any) -> object:
        handle = _Handle(self)
        self.waiting[handle] = callback, args
        return handle

    def ring(self) -> None:
        """Everything that was waited for is due."""
        due, self.waiting = self.waiting, {}
        for callback, args in due.values():
            callback(*args)


class _Handle:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def cancel(self) -> None:
        self._clock.waiting.pop(self, None)


class Pipe:
    """A transport whose other end takes what the test says."""

    def __init__(self) -> None:
        self.unsent = 0
        self.is_closed = False
        self.is_aborted = False

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def get_extra_info(self, _name: str) -> None:
        return None

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = self.is_aborted = True


def connected() -> tuple[PatientHttp, Clock, Pipe]:
    """A connection with nobody at either end."""
    clock, pipe = Clock(), Pipe()
    config = uvicorn.Config(Door(), lifespan="off", log_config=None)
    config.load()
    protocol = PatientHttp(config, ServerState(), {}, clock)
    protocol.connection_made(pipe)  # type: ignore[arg-type]  # what of it is used
    clock.waiting.clear()  # what it shall say in time is another test's
    return protocol, clock, pipe


def test_who_takes_nothing_of_an_answer_is_hung_up_on() -> None:
    protocol, clock, pipe = connected()
    pipe.unsent = 100_000
    protocol.pause_writing()
    clock.ring()
    assert pipe.is_aborted


def test_who_takes_it_slowly_is_served_and_who_took_it_may_be_silent() -> None:
    protocol, clock, pipe = connected()
    pipe.unsent = 100_000
    protocol.pause_writing()
    for _ in range(50):
        pipe.unsent -= 1_000
        clock.ring()
    assert not pipe.is_closed
    protocol.resume_writing()
    assert not clock.waiting, "who waits for what may come is not hurried"
    protocol.pause_writing()
    clock.ring()
    assert pipe.is_aborted, "it has stopped reading"


def test_the_rest_of_a_last_answer_is_not_kept_for_ever() -> None:
    protocol, clock, pipe = connected()
    pipe.unsent = 100_000
    protocol.pause_writing()
    pipe.close()
    pipe.unsent = 10_000
    protocol.resume_writing()
    clock.ring()
    assert pipe.is_aborted


async def test_an_answer_leaves_whole_and_a_stream_does_not_wait_for_its_first_event() -> None:
    pipe = Recorded()
    answer, stream = (Joined(pipe, asyncio.get_running_loop()) for _ in range(2))  # type: ignore[arg-type]
    answer.write(b"head ")
    answer.write(b"body")
    assert pipe.written == [b"head body"]
    stream.write(b"head")
    await asyncio.sleep(0)
    assert pipe.written.pop() == b"head"
    stream.write(b"event")
    stream.write(b"event")
    assert pipe.written == [b"head body", b"event", b"event"]


async def test_headers_without_a_body_leave_before_the_connection_is_closed() -> None:
    pipe = Recorded()
    answer = Joined(pipe, asyncio.get_running_loop())  # type: ignore[arg-type]
    answer.write(b"head")
    answer.close()
    await asyncio.sleep(0)
    assert (pipe.written, pipe.is_closed) == ([b"head"], True)


class Recorded:
    """A connection's way out, which notes what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        """Note it."""
        self.written.append(data)

    def close(self) -> None:
        """Note it."""
        self.is_closed = True

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self.is_closed


class Streamer:
    """An application that streams what can be sent at once until nothing more can, and the next part when it can."""

    def __init__(self) -> None:
        self.taken = 0
        self.is_full = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Some megabytes, until the client's and the kernel's buffers are full."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while at_once(send(_part(self.taken))):
            self.taken += 1
            await asyncio.sleep(0)
        assert not any(at_once(send(_part(self.taken))) for _ in range(3)), "nobody has read"
        self.is_full.set()
        await send(_part(self.taken))
        await send({"type": "http.response.body", "body": b""})


def _part(number: int) -> dict[str, Any]:
    return {"type": "http.response.body", "body": f"{number:>60000}".encode(), "more_body": True}


async def test_what_cannot_be_sent_at_once_was_not_begun_and_is_sent_whole_once_there_is_room() -> None:
    streamer = Streamer()
    async with serving(streamer) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(GET)
        async with asyncio.timeout(PATIENCE_S):
            await streamer.is_full.wait()
            await reader.readuntil(b"\r\n\r\n")
            parts = [int(part) async for part in _chunks(reader)]
        assert parts == list(range(streamer.taken + 1))
        writer.close()


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int(await reader.readline(), 16):
        yield await reader.readexactly(size)
        await reader.readexactly(2)
