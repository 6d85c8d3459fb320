"""A TCP proxy that can fall silent, or swallow the answer to one request: a real network going wrong, on purpose."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Proxy:
    """Stands before a server on 127.0.0.1. Everything passes unless a fault is set."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._may_pass = asyncio.Event()
        self._may_pass.set()
        self._trigger: bytes | None = None
        self.port = 0
        self.lost = 0

    def lose_answer_to(self, request: bytes) -> None:
        """The next request that contains these bytes reaches the server; its answer does not come back."""
        self._trigger = request

    def fall_silent(self) -> None:
        """Connections stay open and nothing passes, as behind a firewall that forgot them."""
        self._may_pass.clear()

    def speak_again(self) -> None:
        """Everything passes again."""
        self._may_pass.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client's connection."""
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target)
        mine = {writer, up_writer}
        self._writers |= mine
        is_lost = asyncio.Event()
        ways = [
            asyncio.create_task(self._requests(reader, up_writer, is_lost)),
            asyncio.create_task(self._answers(up_reader, writer, is_lost)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for each in mine:
                each.close()
            self._writers -= mine

    async def _requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_lost: asyncio.Event
    ) -> None:
        while data := await reader.read(65_536):
            await self._may_pass.wait()
            if self._trigger is not None and self._trigger in data:
                self._trigger = None
                is_lost.set()
            writer.write(data)
            await writer.drain()

    async def _answers(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_lost: asyncio.Event
    ) -> None:
        while data := await reader.read(65_536):
            await self._may_pass.wait()
            if is_lost.is_set():
                self.lost += 1
                return
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def proxy_to(port: int, *, listen_on: int = 0) -> AsyncIterator[Proxy]:
    """A proxy before the server on `port`, on a free port of its own or on the one given."""
    proxy = Proxy(port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", listen_on)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        proxy.speak_again()
        server.close()
        for writer in list(proxy._writers):
            writer.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(server.wait_closed(), 5)
