"""From a look around to readings: what real machines have is proposed, ticked in the console, sent, and read."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.points import check
from ingest.edge.driver import Failed
from tests.ingest.adapters.mqtt.memory import until
from tests.ingest.edge.test_edge import Platform, file, running
from tests.ingest.edge.test_modbus import Machine, serving
from tests.ingest.edge.test_remote import said, send
from tests.support.bacnet_plant import building, free_port
from tests.support.opcua_plant import Identity, plant, trusted_by
from ui.point_words import proposals, wanted, with_points

PROTOCOLS = ("modbus-tcp", "opcua", "bacnet")
FORMS: Mapping[str, Mapping[str, str]] = {
    "modbus-tcp": {"unit": "1", "table": "holding", "from": "0", "to": "3"},
    "opcua": {"under": ""},
    "bacnet": {"hosts": "{place}"},
}
READ = {
    "modbus-tcp": {"unit-1": {"holding_0": 0, "holding_1": 7}},
    "opcua": {"Line1": {"Temperature": 21.5, "Count": 7, "Running": True, "State": "idle"}},
    "bacnet": {"AHU-1": {"Room_Temp": 21.3, "Door": True, "Mode": 2, "State": "idle"}},
}


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    opened = Platform()
    await opened.open()
    yield opened
    await opened.close()


class Beside:
    """The machines of a protocol, how an edge connects to them, and where they say they are."""

    def __init__(self, protocol: str, folder: Path) -> None:
        self.protocol, self._folder = protocol, folder
        self.place = ""
        self._machines: AbstractAsyncContextManager[Any] = nullcontext()

    async def __aenter__(self) -> dict[str, Any]:
        if self.protocol == "modbus-tcp":
            machine = Machine()
            machine.cells = {1: 7}
            self._machines = serving(machine)
            await self._machines.__aenter__()
            return {"host": "127.0.0.1", "port": machine.port}
        if self.protocol == "opcua":
            identity = Identity.make()
            trusted_by(self._folder, identity)
            self._machines = plant(identity)
            return {"url": (await self._machines.__aenter__()).url}
        self._machines = building()
        self.place = (await self._machines.__aenter__()).place
        return {"interface": "127.0.0.1/32", "port": free_port()}

    async def __aexit__(self, *error: Any) -> None:
        await self._machines.__aexit__(*error)


async def test_what_does_not_fit_into_one_answer_is_told_by_the_next(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine()
    machine.cells = dict.fromkeys(range(200), 1)
    async with serving(machine), running(file(tmp_path, platform.port, machine.port)) as edge:
        await until(lambda: edge.plant.behind("plc")._driver is not None)
        look: dict[str, Any] = {"connection": "plc", "from": 0, "to": 199}
        told: list[int] = []
        asked = 0
        while not told or len(told) < 200:
            id_ = f"l{len(told)}"
            await platform.command("", id_, "edge-discover", **look, skip=len(told))
            await until(lambda id_=id_: bool(platform.heard(f"up/cmd/{id_}/result")))
            result = platform.heard(f"up/cmd/{id_}/result")[0]["result"]
            assert (result["found"], bool(result["points"])) == (200, True)
            told += [point["address"]["holding"] for point in result["points"]]
            scans = len([each for each in machine.asked if each[0] == 3 and each[2] == 50])
            asked = asked or scans
            assert scans == asked > 0  # the machine was looked at once
        await platform.command("", "no", "edge-discover", **look, skip="all")
        await until(lambda: bool(platform.heard("up/cmd/no/result")))
        monkeypatch.setattr("ingest.edge.modbus.scan.MOST_S", -1.0)
        await platform.command("", "late", "edge-discover", **look)
        await until(lambda: bool(platform.heard("up/cmd/late/result")))
    assert told == list(range(200))
    (late,) = platform.heard("up/cmd/late/result")
    assert (late["status"], late["result"]["found"]) == ("succeeded", 0)
    assert late["result"]["stopped"].startswith("It ended before holding 0: ")
    assert "`skip` is a whole number" in platform.heard("up/cmd/no/result")[0]["reason"]


async def test_machines_are_read_in_time_while_others_of_their_line_are_looked_for(
    platform: Platform, tmp_path: Path
) -> None:
    machine = Machine()
    async with serving(machine), running(file(tmp_path, platform.port, machine.port)) as edge:
        await until(lambda: edge.plant.behind("plc")._driver is not None)
        machines, machine.slow_s = edge.plant.behind("plc"), 0.01
        asked = len(machine.asked)
        looking = asyncio.create_task(machines.discover({"to": 999}))
        await asyncio.sleep(0)
        with pytest.raises(Failed, match="plc is being looked at; ask again"):
            await machines.discover({})
        await asyncio.wait_for(edge.plant.of(edge.plant.table.points[1]).write(edge.plant.table.points[1], 9), 5)
        assert not looking.done()
        assert len(await looking) == 500
        polls = [each for each in machine.asked[asked:] if (each[1], each[2]) == (0, 2)]
        assert len(polls) > 3

        looking = asyncio.create_task(machines.discover({"to": 9_999}))
        await asyncio.sleep(0.1)
        looking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await looking
        asked = len(machine.asked)
        await until(lambda: len(machine.asked) > asked + 3)
        looking = asyncio.create_task(machines.discover({"to": 9_999}))
        await asyncio.sleep(0.1)
        await edge.plant.become(edge.plant.table)
        with pytest.raises(Failed, match=r"plc is not connected|the connection.*look again from"):
            await asyncio.wait_for(looking, 5)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_what_a_look_around_finds_is_added_to_the_text_sent_and_read(
    protocol: str, platform: Platform, tmp_path: Path
) -> None:
    path = file(tmp_path, platform.port, 1)
    folder = tmp_path / "data"
    folder.mkdir()
    beside = Beside(protocol, folder)
    async with beside as connection, running(path) as edge:
        # a connection alone is enough to look around behind it
        text = yaml.safe_dump({"connections": {"new": {"protocol": protocol, **connection}}})
        assert check.checked(text).problems == ()
        await send(platform, 1, text)
        await until(lambda: bool(said(platform)) and said(platform)[-1] == {"running": 1, "points": 0})
        await until(lambda: edge.plant.behind("new")._driver is not None)
        form = {name: value.format(place=beside.place) for name, value in FORMS[protocol].items()}
        await platform.command("", "look", "edge-discover", connection="new", **wanted(protocol, form))
        await until(lambda: bool(platform.heard("up/cmd/look/result")))
        (answer,) = platform.heard("up/cmd/look/result")
        found = answer["result"]["points"]
        assert answer["result"]["found"] == len(found) == len(proposals(found))
        for device in {each["device"] for each in found}:
            text = with_points(text, "new", device, [each for each in found if each["device"] == device])
        checked = check.checked(text)
        assert (checked.points, list(checked.problems)) == (len(found), [])
        await send(platform, 2, text)
        await until(lambda: said(platform)[-1] == {"running": 2, "points": len(found)})
        for device, values in READ[protocol].items():
            for metric, value in values.items():
                await until(lambda d=device, m=metric, v=value: v in platform.values(m, d))
