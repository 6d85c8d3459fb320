"""A road to a server that can be made long or closed: a TCP proxy for fault tests, in a thread of its own."""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from typing import Any

from infra.bench.roads import CHUNK, End, Roads


class Proxy(Roads):
    """Passes on what it hears to `target`.

    ``delay_s`` is how long every byte is under way, each way. While the road is closed nothing passes either way, and
    connections stay open and can still be made, as behind a firewall that drops packets: nobody is told. What was under
    way arrives when it is opened again.
    """

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self.delay_s = 0.0
        self._open = asyncio.Event()
        self._open.set()

    def close_road(self) -> None:
        """From now on nothing passes."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def open_road(self) -> None:
        """Everything passes again, and what was under way first."""
        self._loop.call_soon_threadsafe(self._open.set)

    def _ways(self, here: End, there: End) -> Iterator[Coroutine[Any, Any, None]]:
        yield self._drive(here[0], there[1])
        yield self._drive(there[0], here[1])

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
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            await self._open.wait()
            if not data:
                return
            with contextlib.suppress(OSError):
                sink.write(data)
                await sink.drain()
