"""A machine behind `tidegate edge`: it is asked in its own protocol, and what it says goes up as a gateway's child.

The machine knows of no platform and repeats nothing: the promise is the edge's, in whose spool a reading lies until it
is committed.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import yaml

from ingest.edge import config
from ingest.edge.service import Edge
from tests.ingest.adapters.conformance.machines import (
    SETPOINT,
    BacnetMachine,
    Machine,
    ModbusMachine,
    OpcuaMachine,
    SerialModbusMachine,
)
from tests.ingest.adapters.conformance.speaker import Login, Reading, Refused

LOOK_S = 0.01
SHUT_OUT = "does not let us in"


class EdgeSpeaker:
    """A machine, and beside it an edge of its own that begins to read with the first that the machine has to say."""

    def __init__(self, login: Login, machine: Machine) -> None:
        self.machine = machine
        self.child = login.device.key
        self._login = login
        self._files = tempfile.TemporaryDirectory(prefix="tidegate-edge-")
        self.folder = Path(self._files.name)
        self._edge: Edge | None = None
        self._turn = asyncio.Lock()
        self._looking = asyncio.Lock()
        self._gone = 0
        """Up to here all that lay in the spool was decided by the platform."""

    async def connect(self) -> None:
        """Switch the machine on, and let a person tell the edge whom to believe."""
        await self.machine.start()
        self.machine.introduced_to(self.folder / "data")

    @property
    def edge(self) -> Edge:
        """The edge, which has begun."""
        assert self._edge is not None, "nothing was measured yet"
        return self._edge

    async def tell(self, reading: Reading) -> None:
        """Measure it, and wait until the platform has decided what becomes of it. Raises Refused."""
        async with self._turn:
            last = await self.measure(reading)
        while self._gone < last:
            async with self._looking:  # one looks for all who wait
                newest, waiting = self.edge.spool._newest, await self.edge.keeper.after(0, 1)
                self._gone = waiting[0].id - 1 if waiting else newest
                self._look_whether_shut_out()
                if self._gone < last:
                    await asyncio.sleep(LOOK_S)
        self._look_whether_shut_out()

    def _look_whether_shut_out(self) -> None:
        if SHUT_OUT in self.edge.line._why:
            raise Refused(self.edge.line._why)

    async def measure(self, reading: Reading) -> int:
        """Measure it, and wait until the edge has it on its disk; the number of what is newest there."""
        at_ms = int(time.time() * 1000) if reading.time_ms is None else reading.time_ms
        doubted = frozenset(m for m, word in (reading.quality or {}).items() if word == "uncertain")
        await self.machine.become(reading.values, at_ms, doubted)
        if self._edge is None:
            await self.begin(reading.values)
        while not all(self._has_read(metric, value) for metric, value in reading.values.items()):
            await asyncio.sleep(LOOK_S)
        await self.edge.keeper.flush()
        return self.edge.spool._newest

    def _has_read(self, metric: str, value: Any) -> bool:
        """Whether it is what the edge has last said of the metric."""
        point = self.edge.plant.table.find(self.child, metric)
        last = self.edge.report._last.get(point) if point is not None else None
        if last is None:
            return False
        if value is None or last.error is not None:
            return value is None and last.error is not None
        return bool(last.value == self.machine.said(metric, value))

    async def begin(self, metrics: Iterable[str]) -> None:
        """Start the edge, which reads these metrics."""
        login = self._login
        points = [{"metric": metric, **self.machine.point(metric)} for metric in (*metrics, SETPOINT)]
        device = {"connection": "machine", "every": "50 ms", "on_change": True, "points": points}
        port, gateway = login.process.mqtt_port, login.who.key
        where = {"host": "127.0.0.1", "port": port, "tls": False, "tenant": login.tenant.key, "device": gateway}
        document = {
            "platform": {**where, "token_file": "token"},
            "spool": {"folder": "data", "max_mb": 1},
            "connections": {"machine": dict(self.machine.connection)},
            "devices": {self.child: device},
        }
        (self.folder / "token").write_text(login.token)
        path = self.folder / "edge.yaml"
        path.write_text(yaml.safe_dump(document))
        self._edge = Edge(path, config.load(path))
        await self._edge.start()

    async def babble(self, payload: bytes) -> None:
        """Measure what stands in it, which no reading of its profile can be; the edge hears that nothing was stored."""
        await self.tell(Reading(orjson.loads(payload)))

    async def close(self) -> None:
        """End the edge, and switch the machine off."""
        edge, self._edge = self._edge, None
        if edge is not None:
            await edge.stop()
        await self.machine.stop()
        self._files.cleanup()


def by_modbus(login: Login) -> EdgeSpeaker:
    """A machine with registers."""
    return EdgeSpeaker(login, ModbusMachine())


def by_modbus_rtu(login: Login) -> EdgeSpeaker:
    """A machine with registers, at a serial line."""
    return EdgeSpeaker(login, SerialModbusMachine())


def by_opcua(login: Login) -> EdgeSpeaker:
    """A machine whose values are nodes of a server."""
    return EdgeSpeaker(login, OpcuaMachine(login.opcua))


def by_bacnet(login: Login) -> EdgeSpeaker:
    """A machine in a building."""
    return EdgeSpeaker(login, BacnetMachine())
