"""A Modbus machine that counts how often it was read: every reading of it is another number, which names it."""

import asyncio
import logging
import threading
import time
from types import TracebackType
from typing import Any, Self

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

STARTS_WITHIN_S = 10.0


class Counter:
    """Serves unit 1, whose first two input registers are the count (uint32); a context manager, in a thread.

    ``served`` holds the moment (monotonic) of each reading: number n was read at ``served[n - 1]``.
    """

    def __init__(self) -> None:
        self.served: list[float] = []
        self.port = 0
        self.is_frozen = False
        """Whether it refuses, and counts no more."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: ModbusTcpServer | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._begin(), self._loop).result(STARTS_WITHIN_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(STARTS_WITHIN_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STARTS_WITHIN_S)
        self._loop.close()

    async def _begin(self) -> None:
        logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # that the edge is killed is no news to the bench
        none = [SimData(0, count=1, datatype=DataType.BITS)]
        words = [SimData(0, count=2, datatype=DataType.REGISTERS)]
        unit = SimDevice(1, (none, none, words, words), action=self._look)
        self._server = ModbusTcpServer([unit], address=("127.0.0.1", 0))
        await self._server.serve_forever(background=True)
        self.port = self._server.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]

    async def _end(self) -> None:
        if self._server is not None:
            await self._server.shutdown()  # type: ignore[no-untyped-call]

    async def _look(
        self, code: int, first: int, address: int, count: int, registers: list[int], written: Any
    ) -> ExcCodes | None:
        if self.is_frozen:
            return ExcCodes.DEVICE_BUSY
        self.served.append(time.monotonic())
        n = len(self.served)
        registers[0 - first], registers[1 - first] = n >> 16, n & 0xFFFF
        return None
