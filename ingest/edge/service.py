"""The edge process: reads the machines of a point table, and sends what they say to the platform, whatever happens."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from engine.points.model import MAX_PROBLEMS, MAX_WORDS
from ingest.edge import config as configs
from ingest.edge.asked import Asked
from ingest.edge.clock import Clock
from ingest.edge.config import Config
from ingest.edge.document import Wrong
from ingest.edge.keeper import Keeper
from ingest.edge.line import Line
from ingest.edge.plant import Plant
from ingest.edge.points import PointTable, TableWrong
from ingest.edge.remote import Remote
from ingest.edge.report import Report
from ingest.edge.spool import Spool
from ingest.edge.wall import Wall

log = logging.getLogger(__name__)

_LOOK_S = 2.0
_HEALTH_S = 60.0


class Edge:
    """One edge. `start`, then `stop`; the file is read anew whenever it changes."""

    def __init__(self, path: Path, config: Config, wall: Wall | None = None) -> None:
        self._path = path
        self._config = config
        self.wall = wall or Wall()
        self._seen = _changed_at(path)
        self.spool = Spool(config.folder, config.max_bytes, self.wall)
        self.keeper = Keeper(self.spool)
        self.report = Report(config.platform.device, self.wall)
        self.plant = Plant(config.folder, self.report, self.keeper.put, self.wall)
        self.remote = Remote(config.folder, self.keeper.put, self._use)
        asked = Asked(config.platform.device, self.plant, self.report, self.keeper, self.remote.heard)
        self.line = Line(config.platform, self.keeper, asked.heard, self._began, self.wall)
        self._tasks: list[asyncio.Task[None]] = []
        self._dropped = 0
        self._greeted_at = -1
        self._stalled_s = 0.0
        self._clock = Clock(self.wall, self._put)

    async def start(self) -> None:
        """Begin. Raises SpoolTaken or OSError when the folder cannot be used."""
        await asyncio.to_thread(self.spool.open)
        self._dropped = self.keeper.dropped
        await self.plant.become(self.remote.begin(self._config))
        self._tell_misread([*self._config.misread, *self.remote.misread])
        table = self.plant.table
        log.info("Reading %d points of %d devices.", len(table.points), len(table.devices))
        self._tasks = [
            asyncio.create_task(self.line.run(), name="line"),
            asyncio.create_task(self._look_after(), name="health"),
        ]

    async def _use(self, table: PointTable) -> None:
        """The platform gave another table: its machines are told of, as when a session begins."""
        await self.plant.become(table)
        for device in table.devices:
            self.keeper.put(self.report.status(device))

    async def ended(self) -> None:
        """Return when a part that should run for ever has ended: the process is to be started again."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            log.error("The part %s has ended.", task.get_name(), exc_info=task.exception())

    async def stop(self) -> bool:
        """Close everything; what could not be sent stays on the disk. False where that does not answer."""
        await self.plant.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        unwritten = await self.keeper.close()
        if unwritten is None:
            return True
        log.error(
            "The disk under %s does not answer: the edge ends without it, and loses %d messages that waited in memory.",
            *(self._config.folder, unwritten),
        )
        return False

    def _began(self) -> None:
        """The platform sees us again: it hears how we are, and which machines we reach.

        Unless it took nothing since it was told so the last time, and that still lies in the spool.
        """
        if self._greeted_at == self.line.confirmed:
            return
        self._greeted_at = self.line.confirmed
        self.remote.tell()
        for device in self.plant.table.devices:
            self.keeper.put(self.report.status(device))
        self._tell_health()

    async def _look_after(self) -> None:
        due = time.monotonic() + _HEALTH_S
        while True:
            await asyncio.sleep(_LOOK_S)
            if self._clock.look():
                self.keeper.news.set()  # what was held back has its time now
            await self._look_at_the_file()
            self._look_at_the_disk()
            if time.monotonic() >= due or (self.keeper.dropped > self._dropped and self.line.is_up):
                due = time.monotonic() + _HEALTH_S
                self._tell_health()

    def _tell_health(self) -> None:
        dropped, self._dropped = self.keeper.dropped - self._dropped, self.keeper.dropped
        values = {
            "edge_waiting": self.spool.count,
            "edge_dropped": self._dropped,
            "edge_refused": self.line.refused,
            "edge_points_failing": self.report.failing,
        }
        if (off_ms := self.wall.off_ms) is not None:
            values["edge_clock_off_s"] = round(off_ms / 1000)
        self._put("telemetry", {"time": self.wall.now_ms(), "values": values})
        if dropped > 0:
            log.warning("%d messages were dropped: the spool was full, broken, or its disk too slow.", dropped)
            self._put("event/spool-full", {"time": self.wall.now_ms(), "dropped": dropped})

    def _look_at_the_disk(self) -> None:
        stalled_s, self._stalled_s = self._stalled_s, self.keeper.stalled_s
        if self._stalled_s and not stalled_s:
            log.error(
                "The disk under %s has not answered for %.0f s: look at it. Readings wait in memory, and when that is "
                "full, the oldest go.",
                *(self._config.folder, self._stalled_s),
            )
            self._put("event/disk-stalled", {"time": self.wall.now_ms(), "seconds": round(self._stalled_s)})
        elif stalled_s and not self._stalled_s:
            log.warning("The disk under %s answers again.", self._config.folder)
            self._put("event/disk-recovered", {"time": self.wall.now_ms(), "seconds": round(stalled_s)})

    async def _look_at_the_file(self) -> None:
        changed_at = _changed_at(self._path)
        if changed_at == self._seen:
            return
        self._seen = changed_at
        try:
            config = await asyncio.to_thread(configs.load, self._path)
        except (TableWrong, OSError) as error:
            log.error("%s has changed and cannot be used; the edge goes on with what it had.\n%s", self._path, error)
            return
        table = self.remote.own_changed(config)
        if table is None:
            log.info("%s was read anew; the points come from the platform, and stay.", self._path.name)
        else:
            await self.plant.become(table)
            log.info("%s was read anew: %d points.", self._path.name, len(table.points))
            self._tell_misread(self.remote.misread)
            self.remote.tell()
        if (config.platform, config.folder) != (self._config.platform, self._config.folder):
            log.warning("`platform` and `spool` are read when the edge starts: start it again for these.")

    def _tell_misread(self, misread: Sequence[Wrong]) -> None:
        """A table that ran before goes on as it did, but somebody should look at it."""
        if not misread:
            return
        told = [str(each)[:MAX_WORDS] for each in misread[:MAX_PROBLEMS]]
        log.warning("These numbers are used as YAML reads them, as before; a new table with them is refused.")
        for each in told:
            log.warning("%s", each)
        self._put("event/points-misread", {"time": self.wall.now_ms(), "numbers": told})

    def _put(self, what: str, said: object) -> None:
        """Tell of ourselves: past a disk that does not answer, for nobody would hear of it otherwise."""
        message = f"up/{what}", json.dumps(said, separators=(",", ":")).encode()
        if not (self.keeper.stalled_s and self.line.tell(*message)):
            self.keeper.put([message])


async def run(path: Path, config: Config, stopping: asyncio.Event) -> bool:
    """Run until `stopping` is set (True) or a part has died (False). With a disk that hangs the process ends here."""
    edge = Edge(path, config)
    await edge.start()
    died = asyncio.create_task(edge.ended())
    told = asyncio.create_task(stopping.wait())
    await asyncio.wait([died, told], return_when=asyncio.FIRST_COMPLETED)
    is_told = stopping.is_set()
    for task in (died, told):
        task.cancel()
    if not await edge.stop():
        logging.shutdown()
        os._exit(1)  # Python would wait for the thread that waits for the disk
    return is_told


def main(path: Path, config: Config) -> int:
    """Run the process until SIGTERM or SIGINT; 0 when it was told to end, 1 when a part died or the disk hangs."""

    async def until_told() -> bool:
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        return await run(path, config, stopping)

    return 0 if asyncio.run(until_told()) else 1


def _changed_at(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size
