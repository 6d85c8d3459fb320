"""Machines in a plant, each told what it measures by a test and asked by an edge: in registers, nodes and objects.

Every one has the same metrics, and each has them in the unit and the type that its maker chose.
"""

import asyncio
import struct
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from asyncua import ua
from bacpypes3.basetypes import BinaryPV
from bacpypes3.local.analog import AnalogInputObject
from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer

from engine import clock
from ingest.edge.opcua.certificates import Certificates
from tests.ingest.edge.test_modbus import Machine as ModbusServer
from tests.ingest.edge.test_modbus import serial_line, serving
from tests.support.bacnet_plant import FAULTY, FLAGS, GOOD, OVERRIDDEN, BacnetPlant, building, free_port
from tests.support.opcua_plant import URI, Identity, OpcuaPlant, trusted_by

Values = Mapping[str, Any]
"""Metric → value in the profile's unit; None for one whose sensor has failed."""
SETPOINT = "by"
"""The one point that is written."""


class Machine(Protocol):
    """What the suite asks of a plant."""

    via: str
    """What the platform calls the protocol."""
    connection: Mapping[str, Any]
    """The connection in a point table; known once it has started."""
    refusal: str
    """Of the words in which a write is refused, after `forbid`."""
    gone_words: str
    """Of the words in which it is said that the machine is away."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def point(self, metric: str) -> Mapping[str, Any]:
        """A metric's address, type, unit and scale in a point table."""
        ...

    async def become(self, values: Values, at_ms: int, doubted: frozenset[str]) -> None:
        """Measure this from now on, by the machine's own clock; the `doubted` only so far as it can say so."""
        ...

    def said(self, metric: str, value: Any) -> Any:
        """A value as the edge reads it, scaled, in the machine's unit."""
        ...

    def written(self) -> object:
        """What stands in the point that is written."""
        ...

    async def forbid(self) -> None:
        """Let nothing be written any more."""
        ...

    async def leave(self) -> None:
        """Be gone, or silent."""
        ...

    async def come_back(self) -> None:
        """Be there again."""
        ...

    def introduced_to(self, folder: Path) -> None:
        """What a person does at an edge, whose own files are in `folder`, so that it may speak to this machine."""
        ...


class ModbusMachine:
    """Registers that mean what the manual says: the temperature in hundredths of a degree Fahrenheit."""

    via, refusal, gone_words = "modbus", "no such register", "connect"
    _CELLS: Mapping[str, range] = {
        "temperature": range(0, 2),
        "humidity": range(2, 4),
        "door_open": range(4, 5),
        "mode": range(5, 13),
        "n": range(20, 22),
        SETPOINT: range(30, 31),
    }
    _POINTS: Mapping[str, Mapping[str, Any]] = {
        "temperature": {"address": {"holding": 0}, "type": "int32", "scale": 0.01, "unit": "[degF]"},
        "humidity": {"address": {"holding": 2, "words": "little"}, "type": "float32", "unit": "%RH"},
        "door_open": {"address": {"holding": 4, "bit": 3}, "type": "bool"},
        "mode": {"address": {"holding": 5, "length": 8}, "type": "string"},
        "n": {"address": {"holding": 20}, "type": "uint32"},
        SETPOINT: {"address": {"holding": 30}, "type": "int16", "access": "write"},
    }

    def __init__(self) -> None:
        self._server = ModbusServer()
        self._stack = AsyncExitStack()
        self.connection: Mapping[str, Any] = {}

    async def start(self) -> None:
        await self._stack.enter_async_context(serving(self._server, self._server.port))
        self.connection = {
            "protocol": "modbus-tcp", "host": "127.0.0.1", "port": self._server.port, "timeout": "1 s"
        }  # fmt: skip

    async def stop(self) -> None:
        await self._stack.aclose()

    def point(self, metric: str) -> Mapping[str, Any]:
        return self._POINTS[metric]

    async def become(self, values: Values, at_ms: int, doubted: frozenset[str]) -> None:
        cells, refuses = dict(self._server.cells), set(self._server.refuses)
        for metric, value in values.items():
            place = self._CELLS[metric]
            refuses = refuses | {*place} if value is None else refuses - {*place}
            if value is not None:
                data = self._data(metric, value)
                cells |= {at: int.from_bytes(data[2 * n : 2 * n + 2]) for n, at in enumerate(place)}
        self._server.cells, self._server.refuses = cells, refuses  # at once: no read sees half of it

    def _data(self, metric: str, value: Any) -> bytes:
        if metric == "temperature":
            return struct.pack(">i", round(100 * self.said(metric, value)))
        if metric == "humidity":
            high_first = struct.pack(">f", value)
            return high_first[2:] + high_first[:2]
        if metric == "mode":
            return str(value).encode().ljust(16, b"\0")
        return struct.pack(">I", value) if metric == "n" else struct.pack(">H", int(value) << 3)

    def said(self, metric: str, value: Any) -> Any:
        return round(value * 1.8 + 32, 2) if metric == "temperature" else value

    def written(self) -> object:
        return self._server.cells.get(30)

    async def forbid(self) -> None:
        self._server.refuses = {*self._server.refuses, 30}

    async def leave(self) -> None:
        await self._stack.aclose()

    async def come_back(self) -> None:
        await self.start()

    def introduced_to(self, folder: Path) -> None:
        pass


class SerialModbusMachine(ModbusMachine):
    """The same registers at the other end of a serial line, in frames that end with a check sum."""

    gone_words = "does not answer"

    def __init__(self) -> None:
        super().__init__()
        self._line = AsyncExitStack()
        self._end = ""

    async def start(self) -> None:
        ours, self._end = await self._line.enter_async_context(serial_line())
        self.connection = {"protocol": "modbus-rtu", "device": ours, "parity": "N", "timeout": "0.5 s"}
        await self.come_back()

    async def stop(self) -> None:
        await self.leave()
        await self._line.aclose()

    async def come_back(self) -> None:
        devices = self._server.devices()
        server = ModbusSerialServer(devices, framer=FramerType.RTU, port=self._end, trace_pdu=self._server.traced)
        await server.serve_forever(background=True)
        self._stack.push_async_callback(server.shutdown)


class OpcuaMachine:
    """Nodes of a server that other machines share: the temperature in kelvin."""

    via, refusal, gone_words = "opcua", "BadUserAccessDenied", "opc.tcp://127.0.0.1:"
    _KINDS: Mapping[str, tuple[ua.VariantType, Any]] = {
        "temperature": (ua.VariantType.Double, 0.0),
        "humidity": (ua.VariantType.Float, 0.0),
        "door_open": (ua.VariantType.Boolean, False),
        "mode": (ua.VariantType.String, ""),
        "n": (ua.VariantType.Int32, 0),
        SETPOINT: (ua.VariantType.Int16, 0),
    }
    _UNITS: Mapping[str, str] = {"temperature": "K", "humidity": "%RH"}

    def __init__(self, plant: OpcuaPlant) -> None:
        self._plant = plant
        self._name = f"m{len(plant.nodes)}"
        self._is_back = asyncio.Event()
        self._restarting: asyncio.Task[None] | None = None
        self.connection: Mapping[str, Any] = {"protocol": "opcua", "url": plant.url, "timeout": "5 s"}

    async def start(self) -> None:
        for metric, (kind, value) in self._KINDS.items():
            await self._plant.add(f"{self._name}.{metric}", value, kind)

    async def stop(self) -> None:
        await self.come_back()  # its nodes stay: the server takes long to forget one

    def point(self, metric: str) -> Mapping[str, Any]:
        point: dict[str, Any] = {"address": {"node": f"nsu={URI};s={f'{self._name}.{metric}'.title()}"}}
        if metric in self._UNITS:
            point["unit"] = self._UNITS[metric]
        return point | ({"access": "write"} if metric == SETPOINT else {})

    async def become(self, values: Values, at_ms: int, doubted: frozenset[str]) -> None:
        at = clock.from_ms(at_ms)
        for metric, value in values.items():
            status = ua.StatusCodes.UncertainSensorNotAccurate if metric in doubted else ua.StatusCodes.Good
            if value is None:
                status, value = ua.StatusCodes.BadSensorFailure, self._KINDS[metric][1]
            await self._plant.tell(f"{self._name}.{metric}", self.said(metric, value), at, status)

    def said(self, metric: str, value: Any) -> Any:
        return round(value + 273.15, 2) if metric == "temperature" else value

    def written(self) -> object:
        node = self._plant.nodes[f"{self._name}.{SETPOINT}"]
        return self._plant.server.iserver.aspace.read_attribute_value(node.nodeid, ua.AttributeIds.Value).Value.Value

    async def forbid(self) -> None:
        await self._plant.nodes[f"{self._name}.{SETPOINT}"].set_read_only()

    async def leave(self) -> None:
        gone = asyncio.Event()

        async def stay_away() -> None:
            gone.set()
            await self._is_back.wait()

        self._is_back.clear()
        self._restarting = asyncio.create_task(self._plant.restart(stay_away))
        await gone.wait()

    async def come_back(self) -> None:
        self._is_back.set()
        if self._restarting is not None:
            await self._restarting

    def introduced_to(self, folder: Path) -> None:
        trusted_by(folder, Identity.of(self._plant))
        (folder / "opcua" / "own").mkdir(mode=0o700)
        for name, content in _own().items():
            (folder / "opcua" / "own" / name).write_bytes(content)


@cache
def _own() -> Mapping[str, bytes]:
    """The certificate of all the edges here, and its key: making them takes long."""
    with tempfile.TemporaryDirectory() as folder:
        made = Certificates(Path(folder))
        made.prepare()
        return {each.name: each.read_bytes() for each in (made.own, made.key)}


class BacnetMachine:
    """Objects of a device in a building: 32-bit numbers, of which it tells when they change, or is asked."""

    via, refusal, gone_words = "bacnet", "does not know this service", "does not answer"
    _OBJECTS: Mapping[str, str] = {
        "temperature": "analog-input,1",
        "humidity": "analog-input,2",
        "door_open": "binary-input,1",
        "mode": "characterstring-value,1",
        "n": "analog-input,3",
        SETPOINT: "analog-output,1",
    }
    _NAMES: Mapping[str, str] = {"door_open": "door", "mode": "state", SETPOINT: "valve"}
    _UNITS: Mapping[str, str] = {"temperature": "Cel", "humidity": "%RH"}

    def __init__(self, *, tells: bool = True) -> None:
        self._lacks = set() if tells else {"SubscribeCOVRequest"}
        self._stack = AsyncExitStack()
        self._plant: BacnetPlant
        self.connection: Mapping[str, Any] = {}

    async def start(self) -> None:
        self._plant = await self._stack.enter_async_context(building(lacks=self._lacks))
        for number, metric in enumerate(("humidity", "n"), 2):
            said = {"objectIdentifier": ("analog-input", number), "objectName": metric, "covIncrement": 0.1, **FLAGS}
            self._plant.add(metric, AnalogInputObject(presentValue=0.0, **said))
        self.connection = {
            "protocol": "bacnet", "interface": "127.0.0.1/32", "port": free_port(), "timeout": "0.6 s"
        }  # fmt: skip

    async def stop(self) -> None:
        await self._stack.aclose()

    def point(self, metric: str) -> Mapping[str, Any]:
        place = {"object": self._OBJECTS[metric], "device": self._plant.device, "host": self._plant.place}
        point: dict[str, Any] = {"address": place}
        if metric in self._UNITS:
            point["unit"] = self._UNITS[metric]
        return point | ({"access": "write"} if metric == SETPOINT else {})

    async def become(self, values: Values, at_ms: int, doubted: frozenset[str]) -> None:
        for metric, value in values.items():
            name = self._NAMES.get(metric, metric)
            one = self._plant.objects[name]
            is_faulty, is_doubted = value is None, metric in doubted
            self._plant.flag(name, FAULTY if is_faulty else OVERRIDDEN if is_doubted else GOOD)
            one.outOfService, one.reliability = is_doubted, "open-loop" if is_faulty else "no-fault-detected"
            if metric == "door_open":
                one.presentValue = BinaryPV("active" if value else "inactive")
            elif metric == "mode":
                one.presentValue = str(value)
            else:
                one.presentValue = 999.0 if is_faulty else float(value)  # a change, so that watchers hear of the fault

    def said(self, metric: str, value: Any) -> Any:
        return value

    def written(self) -> object:
        return self._plant.objects["valve"].presentValue

    async def forbid(self) -> None:
        self._plant.application.lacks.add("WritePropertyRequest")

    async def leave(self) -> None:
        self._plant.application.is_silent = True

    async def come_back(self) -> None:
        self._plant.application.is_silent = False

    def introduced_to(self, folder: Path) -> None:
        pass
