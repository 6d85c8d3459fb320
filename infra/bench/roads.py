"""Roads to a server on which something may happen: what listens, in a thread of its own, and passes on both ways."""

import asyncio
import threading
from collections.abc import Coroutine, Iterable
from types import TracebackType
from typing import Any, Self

CHUNK = 256 * 1024
STARTS_WITHIN_S = 10.0
End = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Roads:
    """Listens on a free port of 127.0.0.1 and opens a road to `target` for whoever comes; a context manager.

    What happens on a road is what ``_ways`` says.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._under_way: set[asyncio.Task[None]] = set()

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

    def _ways(self, here: End, there: End) -> Iterable[Coroutine[Any, Any, None]]:
        """What drives a new connection, each way."""
        raise NotImplementedError

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(STARTS_WITHIN_S)

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._come_in, "127.0.0.1", 0, limit=CHUNK)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _end(self) -> None:
        self._server.close()
        for way in list(self._under_way):
            way.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _come_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_connection("127.0.0.1", self.target, limit=CHUNK)
        except OSError:
            writer.close()
            return
        for way in self._ways((reader, writer), there):
            task = asyncio.get_running_loop().create_task(way)
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
