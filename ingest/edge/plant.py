"""The machines' side of an edge: opens each connection, reads its points in time, and begins anew when it breaks."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ingest.edge import protocols
from ingest.edge.driver import Away, Driver, Failed, Proposal, Sample
from ingest.edge.endings import end
from ingest.edge.points import Connection, Point, PointTable, Unwritable
from ingest.edge.report import Message, Report
from ingest.edge.wall import Wall

log = logging.getLogger(__name__)

FIRST_PAUSE_S, MOST_PAUSE_S = 1.0, 60.0
_STEADY_S = 30.0
"""A connection that stood so long was no failure: the pause begins anew."""
_CLEANED_UP_S = 5.0
"""A driver may take so long to say goodbye before it is interrupted."""


def pause_s(failures: int) -> float:
    """How long to wait after so many failures in a row: ever longer, and not for all at the same moment."""
    jitter = 0.5 + secrets.randbelow(1_000) / 2_000
    return min(MOST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 16)) * jitter


class Machines:
    """What lies behind one connection. `run` until cancelled; the others may be called meanwhile."""

    def __init__(
        self,
        connection: Connection,
        points: Sequence[Point],
        folder: Path,
        report: Report,
        put: Callable[[Sequence[Message]], None],
        wall: Wall,
    ) -> None:
        self._connection = connection
        self._points = points
        self._devices = list(dict.fromkeys(point.device for point in points))
        self._via = connection.protocol.partition("-")[0]  # modbus-tcp and modbus-rtu are modbus
        self._folder = folder
        self._report = report
        self._put = put
        self._wall = wall
        self._driver: Driver | None = None
        self._told: list[Sample] = []
        self._turn = asyncio.Lock()
        self._is_looking = False
        self._why = "the edge has just begun"

    async def run(self) -> None:
        """Read until cancelled."""
        failures = 0
        while True:
            began = time.monotonic()
            try:
                await self._session()
            except Away as error:
                self._lost(str(error))
            except Exception as error:  # a mistake of ours or of a library: this connection alone begins anew
                log.exception("%s: reading has failed.", self._connection.name)
                self._lost(f"reading has failed: {type(error).__name__}")
            failures = 1 if time.monotonic() - began > _STEADY_S else failures + 1
            await asyncio.sleep(pause_s(failures))

    async def read_now(self, points: Sequence[Point]) -> Sequence[Sample]:
        """These points' present values. Raises Failed."""
        async with self._opened() as driver:
            return await driver.read(points)

    async def write(self, point: Point, value: object) -> None:
        """Write a value in the metric's unit. Raises Failed."""
        try:
            raw = point.raw_of(value)
        except Unwritable as error:
            raise Failed(str(error)) from None
        async with self._opened() as driver:
            await driver.write(point, raw)

    async def call(self, point: Point, arguments: Mapping[str, Any]) -> Any:
        """Call a point that is a command. Raises Failed."""
        async with self._opened() as driver:
            return await driver.call(point, arguments)

    async def discover(self, wanted: Mapping[str, Any]) -> Sequence[Proposal]:
        """Look what is there; whatever else is to be read or written goes between its requests. Raises Failed."""
        name, driver = self._connection.name, self._driver
        if self._is_looking:
            raise Failed(f"{name} is being looked at; ask again when that has ended, in a minute at most.")
        if driver is None:
            raise Failed(f"{name} is not connected: {self._why}.")

        @contextlib.asynccontextmanager
        async def turn() -> AsyncIterator[None]:
            async with self._turn:
                if self._driver is not driver:
                    raise Away(f"the connection broke while it was looked at ({self._why})")
                yield

        self._is_looking = True
        try:
            return await driver.discover(wanted, turn)
        except Away as error:
            raise Failed(f"{name} is not connected: {error}.") from None
        finally:
            self._is_looking = False

    @contextlib.asynccontextmanager
    async def _opened(self) -> AsyncIterator[Driver]:
        """The driver, whose turn it is ours; Failed when there is none, or it goes away."""
        async with self._turn:
            if self._driver is None:
                raise Failed(f"{self._connection.name} is not connected: {self._why}.")
            try:
                yield self._driver
            except Away as error:
                raise Failed(f"{self._connection.name} is not connected: {error}.") from None

    async def _session(self) -> None:
        """From `open` to the end of a connection. Raises Away."""
        driver = protocols.get(self._connection.protocol).driver(self._connection, self._folder)
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def lost(why: str) -> None:
            if not gone.done():
                gone.set_exception(Away(why))

        try:
            await driver.open(lost)
            self._driver = driver
            log.info("%s is connected.", self._connection.name)
            reading = asyncio.create_task(self._read(driver))
            try:
                await asyncio.wait([reading, gone], return_when=asyncio.FIRST_COMPLETED)
            finally:
                await end([reading])
            for done in (gone, reading):
                if done.done() and not done.cancelled():
                    done.result()
        finally:
            self._driver = None
            if not gone.done():
                gone.cancel()
            elif not gone.cancelled():
                gone.exception()  # heard
            await driver.close()

    async def _read(self, driver: Driver) -> None:
        """Watch what can be watched, poll the rest. Raises Away."""
        wanted = [point for point in self._points if point.is_read]
        for device in {*self._devices} - {point.device for point in wanted}:  # nothing else would tell
            self._put(self._report.reached(device, True, ""))
        async with self._turn:
            watched = set(await driver.watch(wanted, self._gather))
        rounds: dict[float, list[Point]] = {}
        for point in wanted:
            every_s = point.report.at_least_s if point in watched else point.report.every_s
            if every_s is not None:
                rounds.setdefault(every_s, []).append(point)
        if not rounds:
            await asyncio.Future()  # all of it is told by the machine
        loop = asyncio.get_running_loop()
        due = [(loop.time(), every_s) for every_s in rounds]
        while True:
            at, every_s = heapq.heappop(due)
            await asyncio.sleep(max(0.0, at - loop.time()))
            async with self._turn:
                samples = await driver.read(rounds[every_s])
            self._tell(samples)
            # what could not be kept up with is left out, rather than made up for
            missed = max(0, int((loop.time() - at) / every_s))
            heapq.heappush(due, (at + (1 + missed) * every_s, every_s))

    def _gather(self, sample: Sample) -> None:
        """What a machine tells at once goes up at once: one message for each time of it, and not for each value."""
        if not self._told:
            asyncio.get_running_loop().call_soon(self._tell_gathered)
        self._told.append(sample)

    def _tell_gathered(self) -> None:
        told, self._told = self._told, []
        self._tell(told)

    def _tell(self, samples: Sequence[Sample]) -> None:
        messages = self._report.messages(samples, self._wall.now_ms(), time.monotonic(), self._via)
        answered: dict[str, str] = {}
        for sample in samples:
            answered[sample.point.device] = answered.get(sample.point.device, " ") and (sample.error or "")
        status: list[Message] = []
        for device, error in answered.items():  # an empty one: something of it could be read
            if not error or self._has_failed(device):
                status += self._report.reached(device, not error, error)
        self._put([*status, *messages])

    def _has_failed(self, device: str) -> bool:
        return all(self._report.has_failed(p) for p in self._points if p.device == device and p.is_read)

    def _lost(self, why: str) -> None:
        if why != self._why:
            log.warning("%s is not connected: %s.", self._connection.name, why)
        self._why = why
        for device in self._devices:
            self._put(self._report.reached(device, False, why))


class Plant:
    """All the connections of a point table. `become` another table at any time; `close` at the end."""

    def __init__(self, folder: Path, report: Report, put: Callable[[Sequence[Message]], None], wall: Wall) -> None:
        self._folder = folder
        self._report = report
        self._put = put
        self._wall = wall
        self._machines: dict[str, Machines] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.table = PointTable({}, ())

    async def become(self, table: PointTable) -> None:
        """Read this table from now on, and nothing of the one before."""
        await self.close()
        self._report.forget(self.table.points)
        self.table = table
        for name, connection in table.connections.items():
            machines = Machines(connection, table.of(name), self._folder, self._report, self._put, self._wall)
            self._machines[name] = machines
            self._tasks.append(asyncio.create_task(machines.run(), name=name))

    async def close(self) -> None:
        """Give every connection back."""
        await end(self._tasks, _CLEANED_UP_S)
        self._tasks.clear()
        self._machines.clear()

    def of(self, point: Point) -> Machines:
        """The machines behind a point."""
        return self._machines[point.connection]

    def connection(self, name: str) -> Connection:
        """The connection of this name. Raises Failed."""
        self.behind(name)
        return self.table.connections[name]

    def behind(self, connection: str) -> Machines:
        """The machines behind a connection. Raises Failed."""
        if connection not in self._machines:
            raise Failed(f"There is no connection {connection!r}; there are: {', '.join(self._machines) or 'none'}.")
        return self._machines[connection]
