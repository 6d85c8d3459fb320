"""A road to a server that can be made long or closed: a TCP proxy for fault tests, in a thread of its own."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

CHUNK = 256 * 1024
STARTS_WITHIN_S = 10.0


class Proxy:
    """Listens on a free port of 127.0.0.1 and passes on what it hears to `target`; a context manager.

    ``delay_s`` is how long every byte is under way, each way. While the road is closed nothing passes either way, and
    connections stay open and can still be made, as behind a firewall that drops packets: nobody is told. What was under
    way arrives when it is opened again.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.delay_s = 0.0
        self._open: asyncio.Event | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._roads: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = self._do(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STARTS_WITHIN_S)
        self._loop.close()

    def close_road(self) -> None:
        """From now on nothing passes."""
        assert self._open is not None
        self._loop.call_soon_threadsafe(self._open.clear)

    def open_road(self) -> None:
        """Everything passes again, and what was under way first."""
        assert self._open is not None
        self._loop.call_soon_threadsafe(self._open.set)

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(STARTS_WITHIN_S)

    async def _listen(self) -> int:
        self._open = asyncio.Event()
        self._open.set()
        self._server = await asyncio.start_server(self._come_in, "127.0.0.1", 0, limit=CHUNK)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _end(self) -> None:
        self._server.close()
        for road in list(self._roads):
            road.cancel()
        await asyncio.gather(*self._roads, return_exceptions=True)

    async def _come_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.target, limit=CHUNK)
        except OSError:
            writer.close()
            return
        for source, sink in ((reader, there_writer), (there_reader, writer)):
            road = asyncio.get_running_loop().create_task(self._drive(source, sink))
            self._roads.add(road)
            road.add_done_callback(self._roads.discard)

    async def _drive(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """One direction: read as it comes, write when it is due."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)
        arriving = asyncio.create_task(self._arrive(under_way, sink))
        loop = asyncio.get_running_loop()
        try:
            with contextlib.suppress(OSError):
                while data := await source.read(CHUNK):
                    await under_way.put((loop.time() + self.delay_s, data))
            await under_way.put((loop.time() + self.delay_s, b""))
            await arriving
        finally:
            arriving.cancel()
            sink.close()

    async def _arrive(self, under_way: "asyncio.Queue[tuple[float, bytes]]", sink: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        assert self._open is not None
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            await self._open.wait()
            if not data:
                return
            with contextlib.suppress(OSError):
                sink.write(data)
                await sink.drain()
