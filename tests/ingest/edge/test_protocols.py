"""One story told through every industrial protocol: the platform hears the same readings from each of them."""

import asyncio
import struct
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from bacpypes3.basetypes import BinaryPV

from ingest.edge import config
from ingest.edge.service import Edge
from tests.ingest.adapters.mqtt.memory import until
from tests.ingest.edge.test_edge import Platform
from tests.ingest.edge.test_modbus import Machine, serving
from tests.support.bacnet_plant import BacnetPlant, building, free_port
from tests.support.opcua_plant import URI, Identity, OpcuaPlant, plant, trusted_by

STORY = ((21.3, True, 7), (0.1, True, 8), (-40.0, False, 8), (1234.567, True, -3))
"""What happens: a temperature (32-bit floats do not hold all of these), whether it runs, and a count."""
DEVICES = ("by-modbus", "by-opcua", "by-bacnet")


class Cellar:
    """The same machine behind three protocols."""

    def __init__(self, modbus: Machine, opcua: OpcuaPlant, bacnet: BacnetPlant) -> None:
        self.modbus, self.opcua, self.bacnet = modbus, opcua, bacnet

    async def become(self, temperature: float, is_running: bool, count: int) -> None:
        words = struct.unpack(">HH", struct.pack(">f", temperature))
        self.modbus.cells = {0: words[0], 1: words[1], 2: int(is_running), 3: count & 0xFFFF}
        for name, value in (("pressure", temperature), ("running", is_running), ("count", count)):
            await self.opcua.tell(name, value)
        self.bacnet.objects["temperature"].presentValue = temperature
        self.bacnet.objects["door"].presentValue = BinaryPV("active" if is_running else "inactive")
        self.bacnet.objects["valve"].presentValue = float(count)

    def table(self) -> dict[str, Any]:
        host = {"host": self.bacnet.place, "device": self.bacnet.device}
        addresses = (
            ({"holding": 0}, {"holding": 2}, {"holding": 3}),
            tuple({"node": f"nsu={URI};s={name}"} for name in ("Pressure", "Running", "Count")),
            tuple({"object": name, **host} for name in ("analog-input,1", "binary-input,1", "analog-output,1")),
        )
        types = (("float32", "bool", "int16"), ("auto",) * 3, ("auto",) * 3)
        links: dict[str, Any] = {
            "by-modbus": {"protocol": "modbus-tcp", "host": "127.0.0.1", "port": self.modbus.port},
            "by-opcua": {"protocol": "opcua", "url": self.opcua.url},
            "by-bacnet": {"protocol": "bacnet", "interface": "127.0.0.1/32", "port": free_port()},
        }
        devices = {
            name: {
                "connection": name,
                "every": "50 ms",
                "on_change": True,
                "points": [
                    {"metric": "temperature", "address": where[0], "type": kinds[0], "unit": "Cel"},
                    {"metric": "running", "address": where[1], "type": kinds[1]},
                    {"metric": "count", "address": where[2], "type": kinds[2]},
                ],
            }
            for name, where, kinds in zip(DEVICES, addresses, types, strict=True)
        }
        return {"connections": links, "devices": devices}


@pytest.fixture
async def cellar() -> AsyncIterator[Cellar]:
    machine, identity = Machine(), Identity.make()
    async with serving(machine), plant(identity) as opcua, building() as bacnet:
        made = Cellar(machine, opcua, bacnet)
        await made.become(*STORY[0])
        yield made


async def test_the_same_story_is_heard_from_every_protocol(cellar: Cellar, tmp_path: Path) -> None:
    platform = Platform()
    await platform.open()
    trusted_by(tmp_path / "data", Identity.of(cellar.opcua))
    (tmp_path / "token").write_text("token\n")
    where = {"host": "127.0.0.1", "port": platform.port, "tls": False, "tenant": "acme", "device": "plant"}
    said = {"platform": {**where, "token_file": "token"}, "spool": {"folder": "data", "max_mb": 1}, **cellar.table()}
    path = tmp_path / "edge.yaml"
    path.write_text(yaml.safe_dump(said))
    edge = Edge(path, config.load(path))
    began = int(time.time() * 1000)
    await edge.start()
    try:
        for step in STORY:
            await cellar.become(*step)
            for child in DEVICES:
                for metric, value in zip(("temperature", "running", "count"), step, strict=True):
                    await until(lambda child=child, m=metric, v=value: platform.values(m, child)[-1:] == [v])
            await asyncio.sleep(0.1)
    finally:
        await edge.stop()
        await platform.close()
    told = {child: _told(platform, child) for child in DEVICES}
    assert told["by-opcua"] == told["by-modbus"] == told["by-bacnet"]
    assert told["by-modbus"]["temperature"] == [{"value": value, "unit": "Cel"} for value, _, _ in STORY]
    assert told["by-modbus"]["count"] == [7, 8, -3]
    ended = int(time.time() * 1000)
    for child in DEVICES:
        heard = platform.heard(f"up/child/{child}/telemetry")
        assert all(began - 5_000 <= r["time"] <= ended for r in heard)
        assert {(r["via"], "quality" in r) for r in heard} == {(child.removeprefix("by-"), False)}


def _told(platform: Platform, child: str) -> dict[str, list[Any]]:
    told: dict[str, list[Any]] = {}
    for reading in platform.heard(f"up/child/{child}/telemetry"):
        for metric, value in reading["values"].items():
            told.setdefault(metric, []).append(value)
    return told
