"""The table that comes from the platform: used and kept, refused in words, and left alone where the owner says so."""

import json
import secrets
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.points import check, grammars
from engine.points.model import MAX_PLAIN_BYTES, MAX_TEXT_BYTES
from engine.points.packed import pack, unpack
from engine.points.table import PROTOCOLS
from infra import edge as command_line
from infra.local.errors import SetupProblem
from ingest.adapters.mqtt.endpoint import MqttEndpoint
from ingest.edge import config, protocols, remote
from schema.wire.payloads import MAX_NOTE_BYTES
from tests.ingest.adapters.mqtt.memory import device_id, until
from tests.ingest.edge.test_edge import GATEWAY, POINTS, Platform, file, running
from tests.ingest.edge.test_modbus import Machine, serving

pytestmark = pytest.mark.usefixtures("_soon")


@pytest.fixture
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.edge.plant.MOST_PAUSE_S", 0.2)
    monkeypatch.setattr("ingest.edge.service._LOOK_S", 0.05)


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    opened = Platform()
    await opened.open()
    yield opened
    await opened.close()


def table(machine: int, metric: str = "pressure", **point: object) -> str:
    plc = {"protocol": "modbus-tcp", "host": "127.0.0.1", "port": machine, "timeout": "1 s"}
    points = [{"metric": metric, "address": {"holding": 1}, "type": "int16", **point}]
    devices = {"boiler": {"connection": "plc", "every": "50 ms", "points": points}}
    return yaml.safe_dump({"connections": {"plc": plc}, "devices": devices})


async def send(platform: Platform, version: int, text: str) -> None:
    endpoint = platform._endpoint
    assert isinstance(endpoint, MqttEndpoint)
    to = device_id(GATEWAY)
    await until(lambda: endpoint.listens(to, "down/points"))
    packed = {"packed": pack(text)} if len(text) > MAX_PLAIN_BYTES else {"text": text}
    assert await endpoint.send(to, "down/points", json.dumps({"version": version, **packed}).encode())


def said(platform: Platform) -> list[dict[str, Any]]:
    """What the edge said of its table, but for its file's own."""
    return [{name: told for name, told in each.items() if name != "file"} for each in platform.heard("up/points")]


def own(path: Path, more: Mapping[str, object]) -> Path:
    path.write_text(yaml.dump({**yaml.safe_load(path.read_text()), **more}, Dumper=yaml.CSafeDumper))
    return path


def test_the_platform_and_the_edge_know_the_same_protocols() -> None:
    assert set(PROTOCOLS) == protocols.MODULES.keys()
    assert all(grammars.get(name).parse_connection for name in PROTOCOLS)


async def test_a_table_from_the_platform_is_used_at_once_and_after_a_restart_instead_of_the_files(
    platform: Platform, tmp_path: Path
) -> None:
    machine = Machine()
    machine.cells = {0: 40, 1: 7}
    path = file(tmp_path, platform.port, 1, POINTS)
    async with serving(machine):
        async with running(path):
            await until(lambda: bool(said(platform)))
            assert said(platform)[-1] == {"running": 0, "points": 2}
            await send(platform, 3, table(machine.port))
            await until(lambda: 7 in platform.values("pressure", "boiler"))
            await until(lambda: said(platform)[-1] == {"running": 3, "points": 1})
            machine.cells[1] = 8
            await until(lambda: 8 in platform.values("pressure", "boiler"))
        heard = len(said(platform))
        async with running(path) as edge:
            assert [point.name for point in edge.plant.table.points] == ["boiler/pressure"]
            await until(lambda: len(said(platform)) > heard)
            assert said(platform)[-1] == {"running": 3, "points": 1}
    assert "version 3 from the platform" in command_line._said(config.load(path))


async def test_a_table_that_cannot_be_used_is_refused_by_its_lines_and_the_last_good_one_goes_on(
    platform: Platform, tmp_path: Path
) -> None:
    machine = Machine()
    machine.cells = {1: 7}
    async with serving(machine), running(file(tmp_path, platform.port, 1)) as edge:
        await send(platform, 1, table(machine.port))
        await until(lambda: 7 in platform.values("pressure", "boiler"))
        await send(platform, 2, table(machine.port, type="int17"))
        await until(lambda: "refused" in said(platform)[-1])
        told = said(platform)[-1]
        assert (told["running"], told["refused"]["version"]) == (1, 2)
        (problem,) = told["refused"]["problems"]
        assert problem["line"] == 15
        assert problem["place"] == "devices.boiler.points[0].type"
        assert "write one of auto, bool, int16" in problem["words"]
        machine.cells[1] = 9
        await until(lambda: 9 in platform.values("pressure", "boiler"))
        assert edge.plant.table.points


async def test_a_table_that_ran_before_its_numbers_were_refused_goes_on_as_it_did_and_that_is_told(
    platform: Platform, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    machine = Machine()
    machine.cells = {8: 88, 9: 99}
    async with serving(machine):
        misread = table(machine.port).replace("holding: 1", "holding: 010")
        assert len(check.checked(misread).problems) == 1
        path = file(tmp_path, platform.port, machine.port)
        (tmp_path / "data").mkdir()
        remote.keep(tmp_path / "data" / remote.FILE, remote.Kept(4, misread))
        async with running(path):
            await until(lambda: 88 in platform.values("pressure", "boiler"))
            await until(lambda: bool(said(platform)) and said(platform)[-1] == {"running": 4, "points": 1})
            await until(lambda: bool(platform.heard("up/event/points-misread")))
            (told,) = platform.heard("up/event/points-misread")[-1]["numbers"]
            assert told in caplog.text
            assert told.startswith("the point table, line 13 (devices.boiler.points[0].address.holding): `010` is 8 ")
            await send(platform, 5, misread)
            await until(lambda: said(platform)[-1].get("refused", {}).get("version") == 5)
            assert said(platform)[-1]["running"] == 4
        (tmp_path / "data" / remote.FILE).unlink()
        path.write_text(path.read_text().replace("holding: 1", "holding: 011"))
        with pytest.raises(SetupProblem, match="`011` is 9 in YAML"):
            command_line._load(path, goes_on=False)
        async with running(path, loaded=command_line._load(path, goes_on=True)) as edge:
            await until(lambda: 99 in platform.values("setpoint"))
            assert "edge.yaml, line " in platform.heard("up/event/points-misread")[-1]["numbers"][0]
            path.write_text(path.read_text().replace("int16", "uint16"))
            await until(lambda: "the edge goes on with what it had" in caplog.text)
            assert edge.plant.table.points[1].type == "int16"


async def test_the_table_of_the_edges_own_file_goes_up_without_secrets_while_it_runs(
    platform: Platform, tmp_path: Path
) -> None:
    path = file(tmp_path, platform.port, 1)
    press = {"protocol": "opcua", "url": "opc.tcp://192.0.2.1:4840", "user": "op", "password_file": "/etc/press.pw"}
    document = yaml.safe_load(path.read_text())
    path.write_text("# the word is swordfish\n" + yaml.safe_dump(document | {"points": "local"}))
    own(path, {"connections": {**document["connections"], "press": press}})
    async with running(path):
        await until(lambda: bool(platform.heard("up/points")))
        told = unpack(platform.heard("up/points")[-1]["file"])
        assert yaml.safe_load(told)["devices"] == document["devices"]
        assert not any(word in told for word in ("swordfish", "press.pw", "token", "platform"))
        (problem,) = check.checked(told).problems
        assert "put it into the folder secrets there, and write secrets/NAME" in problem.words
        own(path, {"points": "platform"})
        await until(lambda: len(platform.heard("up/points")) > 1)
        assert "file" in platform.heard("up/points")[-1]
        await send(platform, 1, table(1))
        await until(lambda: said(platform)[-1]["running"] == 1)
        assert "file" not in platform.heard("up/points")[-1]


async def test_a_table_of_five_thousand_points_comes_packed_and_one_that_unpacks_to_too_much_is_not_taken(
    platform: Platform, tmp_path: Path
) -> None:
    devices = yaml.safe_load(table(1))["devices"]
    point = devices["boiler"]["points"][0]
    devices["boiler"]["points"] = [
        {**point, "metric": f"oil_temperature_{n}", "address": {"holding": 2 * n}} for n in range(5_000)
    ]
    wanted = {**yaml.safe_load(table(1)), "devices": devices}
    text = yaml.dump(wanted, Dumper=yaml.CSafeDumper)
    assert MAX_PLAIN_BYTES < len(text) < MAX_TEXT_BYTES
    path = file(tmp_path, platform.port, 1)
    own(path, wanted)
    async with running(path):
        await until(lambda: bool(platform.heard("up/points")))
        told = platform.heard("up/points")[-1]["file"]
        assert len(told) > MAX_NOTE_BYTES
        assert yaml.load(unpack(told), Loader=yaml.CSafeLoader) == wanted
        await send(platform, 1, text)
        await until(lambda: said(platform)[-1] == {"running": 1, "points": 5_000})
        await send(platform, 2, text + "#" * MAX_TEXT_BYTES)
        await send(platform, 3, table(1))
        await until(lambda: said(platform)[-1]["running"] == 3)
    assert not any(2 in (each["running"], each.get("refused", {}).get("version")) for each in said(platform))


def test_a_table_that_the_platform_would_not_take_stays_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    assert unpack(remote._packed("points: {}") or "") == "points: {}"
    for n, too_long in enumerate(("#" * (MAX_TEXT_BYTES + 1), secrets.token_hex(250_000)), 1):
        assert remote._packed(too_long) is None
        assert len(caplog.records) == n
    assert "too long to be shown to the platform: 1024 KiB, 1 compressed" in caplog.text


async def test_a_table_from_the_platform_may_name_no_file_of_the_edge_but_its_secrets(
    platform: Platform, tmp_path: Path
) -> None:
    server = {"protocol": "opcua", "url": "opc.tcp://192.0.2.1:4840", "user": "eve", "password_file": "opcua/key.pem"}
    async with running(file(tmp_path, platform.port, 1)):
        await send(platform, 1, yaml.safe_dump({"connections": {"far": server}}))
        await until(lambda: bool(said(platform)) and "refused" in said(platform)[-1])
    (problem,) = said(platform)[-1]["refused"]["problems"]
    assert "put it into the folder secrets there, and write secrets/NAME" in problem["words"]


async def test_an_edge_whose_file_says_local_takes_no_table_and_one_that_stops_saying_so_takes_it_up(
    platform: Platform, tmp_path: Path
) -> None:
    path = own(file(tmp_path, platform.port, 1), {"points": "local"})
    async with running(path) as edge:
        await send(platform, 1, table(1))
        await until(lambda: bool(said(platform)) and "refused" in said(platform)[-1])
        assert said(platform)[-1]["local"] is True
        assert "points: local" in said(platform)[-1]["refused"]["problems"][0]["words"]
        assert [point.device for point in edge.plant.table.points] == ["freezer", "freezer"]
        assert "whatever the platform says" in command_line._said(config.load(path))
        own(path, {"points": "platform"})
        await until(lambda: said(platform)[-1] == {"running": 0, "points": 2})
        await send(platform, 1, table(1))
        await until(lambda: said(platform)[-1] == {"running": 1, "points": 1})


async def test_a_kill_between_the_write_and_the_answer_leaves_the_table_and_the_answer_comes_later(
    platform: Platform, tmp_path: Path
) -> None:
    path = file(tmp_path, platform.port, 1)
    (tmp_path / "data").mkdir()
    remote.keep(tmp_path / "data" / remote.FILE, remote.Kept(5, table(1)))
    async with running(path) as edge:
        assert [point.name for point in edge.plant.table.points] == ["boiler/pressure"]
        await until(lambda: bool(said(platform)))
        assert said(platform)[0] == {"running": 5, "points": 1}
        await send(platform, 5, table(1, "temperature"))  # the same again
        await until(lambda: len(said(platform)) > 1)
        assert said(platform)[-1] == {"running": 5, "points": 1}


async def test_a_disk_that_takes_nothing_refuses_a_table_and_a_torn_file_is_asked_for_again(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file(tmp_path, platform.port, 1)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / remote.FILE).write_text('{"version": 4, "te')

    def full(path: Path, kept: remote.Kept) -> None:
        raise OSError(28, "No space left on device")

    async with running(path) as edge:
        await until(lambda: bool(said(platform)))
        assert said(platform)[-1]["running"] == 0
        monkeypatch.setattr(remote, "keep", full)
        await send(platform, 4, table(1))
        await until(lambda: "refused" in said(platform)[-1])
        assert "No space left" in said(platform)[-1]["refused"]["problems"][0]["words"]
        assert [point.device for point in edge.plant.table.points] == ["freezer", "freezer"]


async def test_a_point_in_no_table_yet_is_tried_over_a_connection_that_there_is(
    platform: Platform, tmp_path: Path
) -> None:
    machine = Machine()
    machine.cells = {4: 215}
    async with serving(machine), running(file(tmp_path, platform.port, machine.port)):
        await until(lambda: bool(platform.values("setpoint")))
        point = {"address": {"holding": 4}, "type": "int16", "scale": 0.1, "unit": "Cel"}
        described = {"device": "new", "metric": "m", "connection": "plc", "point": point}
        await platform.command("", "t1", "edge-read", **described)
        await platform.command("", "t2", "edge-read", **{**described, "point": {"address": {"holding": 4}}})
        await platform.command("", "t3", "edge-read", **{**described, "connection": "elsewhere"})
        await until(lambda: bool(platform.heard("up/cmd/t3/result")))
    assert platform.heard("up/cmd/t1/result")[0]["result"] == {
        "value": 21.5,
        "raw": 215,
        "unit": "Cel",
        "quality": "good",
    }
    assert "write `type`, such as int16" in platform.heard("up/cmd/t2/result")[0]["reason"]
    assert "There is no connection 'elsewhere'" in platform.heard("up/cmd/t3/result")[0]["reason"]
