"""A text that is said at once arrives as the library would have sent it, and nobody is written to without bound."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
import websockets

from infra.prompt import PromptWebSocket
from infra.serve import WEB
from resolvers.sockets import AT_ONCE
from tests.support.patience import PATIENCE_S

Say = Callable[[bytes, bytes], bool]


class Told:
    """An application that accepts each socket and lets the test speak on it."""

    def __init__(self) -> None:
        self.say: Say = lambda _begin, _rest: False
        self.send: Callable[[Any], Awaitable[None]] | None = None
        self.has_ended = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Until the client leaves."""
        self.say, self.send = scope["extensions"][AT_ONCE]["say"], send
        assert not self.say(b"", b"too early"), "before the handshake is through"
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        self.has_ended.set()


@asynccontextmanager
async def talking(**more: Any) -> AsyncIterator[tuple[Told, websockets.ClientConnection]]:
    """An application, and a client that it speaks to."""
    told = Told()
    config = uvicorn.Config(told, port=0, ws=PromptWebSocket, lifespan="off", log_config=None, **more)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with websockets.connect(f"ws://127.0.0.1:{port}/", proxy=None, max_size=None, max_queue=1) as client:
        yield told, client
    server.should_exit = True
    await running


def test_the_web_process_speaks_by_it() -> None:
    assert WEB["ws"] == f"{PromptWebSocket.__module__}:{PromptWebSocket.__name__}"


@pytest.mark.parametrize("is_compressed", [False, True])
async def test_texts_of_every_length_arrive_in_order_among_those_sent_by_the_server(is_compressed: bool) -> None:
    async with talking(ws_per_message_deflate=is_compressed) as (told, client):
        for size in (1, 124, 125, 126, 65_533, 65_535, 65_536, 70_000):
            begin, rest = b"{", b"x" * (size - 1) + "é".encode()
            said = told.say(begin, rest)
            assert said is not is_compressed, "what an extension must change goes through the library"
            assert told.send is not None
            await told.send({"type": "websocket.send", "text": "between"})
            heard = [await asyncio.wait_for(client.recv(), PATIENCE_S) for _ in range(1 + said)]
            assert heard == ([(begin + rest).decode()] if said else []) + ["between"]


async def test_who_does_not_read_is_not_written_to_without_bound_and_hears_all_that_was_taken() -> None:
    async with talking(ws_per_message_deflate=False) as (told, client):
        taken = 0
        while told.say(b"", f"{taken:>60000}".encode()):
            taken += 1
            await asyncio.sleep(0)
        for number in range(taken):
            assert int(await asyncio.wait_for(client.recv(), PATIENCE_S)) == number
        async with asyncio.timeout(PATIENCE_S):
            while not told.say(b"", b"again"):
                await asyncio.sleep(0.01)
        assert await asyncio.wait_for(client.recv(), PATIENCE_S) == "again"
        await client.close()
        await asyncio.wait_for(told.has_ended.wait(), PATIENCE_S)
        assert not told.say(b"", b"too late")
