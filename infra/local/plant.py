"""The demo's plant: two simulated machines behind Modbus TCP, which the demo's edge reads."""

import asyncio
import struct
from collections.abc import Mapping
from typing import Any

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from infra.local.signals import Signal, Unwilling, signal

_EVERY_S = 1.0
_DOOR, _COMPRESSOR = 1, 2


class Plant:
    """Both machines on one port. `run` until cancelled; raises OSError when the port cannot be had."""

    def __init__(self, port: int, seed: int) -> None:
        self._port = port
        self._cooler: Signal = signal("cold-room", "cooler-1", seed)
        self._pump: Signal = signal("pump", "boiler-feed", seed)
        self._cells: dict[int, dict[int, int]] = {1: {}, 2: {}}

    async def run(self) -> None:
        """Serve, and let a second pass every second."""
        self._step()
        units = [self._unit(1), self._unit(2)]
        server = ModbusTcpServer(units, address=("127.0.0.1", self._port))
        try:
            if not await server.listen():
                raise OSError(f"nobody can listen on port {self._port}")
            while True:
                await asyncio.sleep(_EVERY_S)
                self._step()
        finally:
            await server.shutdown()  # type: ignore[no-untyped-call]

    def _step(self) -> None:
        cooler, pump = self._cooler.step(_EVERY_S), self._pump.step(_EVERY_S)
        bits = _DOOR * bool(cooler["door_open"]) + _COMPRESSOR * bool(cooler["compressor_on"])
        self._cells[1] |= _words(0, "hHH", round(cooler["temperature"] * 10), round(cooler["humidity"] * 10), bits)
        self._cells[2] |= _words(0, "f", pump["flow"])
        self._cells[2] |= dict(zip((3, 2), _words(0, "f", pump["pressure"]).values(), strict=True))
        self._cells[2] |= _words(4, "HH", round(pump["vibration"] * 100), bool(pump["running"]))

    def _unit(self, number: int) -> SimDevice:
        """A unit whose input registers are what is measured, and whose first holding register is what it is told."""

        async def look(
            code: int, first: int, address: int, count: int, registers: list[int], written: Any
        ) -> ExcCodes | None:
            if code == 4:
                for place, value in self._cells[number].items():
                    registers[place - first] = value
            elif written is not None:
                return self._told(number, int(written[0]))
            return None

        held = [SimData(0, count=1, values=100 if number == 2 else 0, datatype=DataType.REGISTERS)]
        none = [SimData(0, count=1, datatype=DataType.BITS)]
        measured = [SimData(0, count=8, datatype=DataType.REGISTERS)]
        return SimDevice(number, (none, none, held, measured), action=look)

    def _told(self, number: int, value: int) -> ExcCodes | None:
        """What was written is done, or refused as machines refuse it."""
        try:
            if number == 1 and 5 <= value <= 45:
                self._cooler.obey("defrost", {"minutes": value})
            elif number == 2 and value <= 100:
                self._pump.obey("run" if value else "stop", {"speed": value})
            else:
                return ExcCodes.ILLEGAL_VALUE
        except Unwilling:
            return ExcCodes.DEVICE_BUSY
        return None


def _words(first: int, form: str, *values: Any) -> Mapping[int, int]:
    data = struct.pack(">" + form, *values)
    return {first + n: word for n, (word,) in enumerate(struct.iter_unpack(">H", data))}
