"""A whole edge between a Modbus machine and an MQTT endpoint: readings, commands, kills, and both sides going away."""

import asyncio
import json
import os
import re
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from pymodbus.pdu import ModbusPDU

from engine.commands import answer
from engine.commands.model import CommandStatus
from ingest import decode
from ingest.adapters.base import Verdict
from ingest.adapters.mqtt.endpoint import MqttEndpoint
from ingest.adapters.mqtt.limits import MqttLimits
from ingest.edge import config, line, plant
from ingest.edge.asked import succeeded
from ingest.edge.config import Config
from ingest.edge.keeper import Keeper
from ingest.edge.modbus.driver import ModbusDriver
from ingest.edge.service import Edge
from ingest.edge.spool import Spool
from ingest.edge.wall import Wall
from schema.wire.payloads import MAX_NOTE_BYTES
from tests.ingest.adapters.mqtt.memory import MemoryAuthorizer, MemoryPresence, MemoryUplink, device_id, until
from tests.ingest.edge.test_modbus import Machine, serving
from tests.support.patience import PATIENCE_S

POINTS: Sequence[dict[str, Any]] = [
    {"metric": "temperature", "address": {"holding": 0}, "type": "int16", "scale": 0.1, "unit": "Cel"},
    {"metric": "setpoint", "address": {"holding": 1}, "type": "int16", "access": "read-write", "deadband": 2},
]
GATEWAY = "acme/d/plant"


class Platform:
    """An endpoint that can go away and come back on its port; what it heard stays."""

    def __init__(self) -> None:
        self.uplink = MemoryUplink()
        self.port = 0
        self._endpoint: MqttEndpoint | None = None

    async def open(self) -> None:
        limits = MqttLimits(drain_s=0.2, tick_s=0.05, close_timeout_s=0.5)
        self._endpoint = MqttEndpoint(MemoryAuthorizer(), self.uplink, MemoryPresence(), limits)
        self.port = await self._endpoint.start("127.0.0.1", self.port)

    async def close(self) -> None:
        if self._endpoint is not None:
            await self._endpoint.stop()
            self._endpoint = None

    async def command(self, child: str, id_: str, command: str, **arguments: Any) -> None:
        assert self._endpoint is not None
        said = json.dumps({"id": id_, "command": command, "arguments": arguments}).encode()
        to = device_id(GATEWAY)
        topic = f"down/child/{child}/cmd/{id_}" if child else f"down/cmd/{id_}"
        await until(lambda: self._endpoint is not None and self._endpoint.listens(to, topic))
        assert await asyncio.wait_for(self._endpoint.send(to, topic, said), PATIENCE_S)

    def heard(self, topic: str) -> list[dict[str, Any]]:
        return [json.loads(message.payload) for message in self.uplink.messages if message.topic == topic]

    def values(self, metric: str, child: str = "freezer") -> list[Any]:
        readings = self.heard(f"up/child/{child}/telemetry")
        said = [reading["values"][metric] for reading in readings if metric in reading["values"]]
        return [value["value"] if isinstance(value, dict) else value for value in said]


def file(folder: Path, platform: int, machine: int, points: Sequence[dict[str, Any]] = POINTS) -> Path:
    (folder / "token").write_text("token\n")
    where = {"host": "127.0.0.1", "port": platform, "tls": False, "tenant": "acme", "device": "plant"}
    plc = {"protocol": "modbus-tcp", "host": "127.0.0.1", "port": machine, "timeout": "1 s"}
    document = {
        "platform": {**where, "token_file": "token"},
        "spool": {"folder": "data", "max_mb": 1},
        "connections": {"plc": plc},
        "devices": {"freezer": {"connection": "plc", "every": "50 ms", "points": list(points)}},
    }
    (folder / "edge.yaml").write_text(yaml.safe_dump(document))
    return folder / "edge.yaml"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a minute in a test."""
    monkeypatch.setattr(plant, "MOST_PAUSE_S", 0.2)
    monkeypatch.setattr("ingest.edge.service._LOOK_S", 0.05)


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    opened = Platform()
    await opened.open()
    yield opened
    await opened.close()


@asynccontextmanager
async def running(path: Path, wall: Wall | None = None, loaded: Config | None = None) -> AsyncIterator[Edge]:
    edge = Edge(path, loaded or config.load(path), wall)
    await edge.start()
    try:
        yield edge
    finally:
        await edge.stop()


async def test_what_the_machine_says_goes_up_as_the_child_scaled_and_when_it_has_changed(
    platform: Platform, tmp_path: Path
) -> None:
    machine = Machine()
    machine.cells = {0: 0x10000 - 185, 1: -20 & 0xFFFF}
    async with serving(machine), running(file(tmp_path, platform.port, machine.port)):
        await until(lambda: len(platform.values("temperature")) > 3)
        machine.cells |= {0: 0x10000 - 190, 1: -19 & 0xFFFF}
        await until(lambda: -19.0 in platform.values("temperature"))
        machine.cells[1] = -15 & 0xFFFF
        await until(lambda: len(platform.values("setpoint")) > 1)
    assert platform.values("temperature")[0] == -18.5
    assert platform.values("setpoint") == [-20, -15]  # a change within the deadband is none
    assert platform.heard("up/child/freezer/status")[0] == {"connected": True}
    times = [reading["time"] for reading in platform.heard("up/child/freezer/telemetry")]
    assert times == sorted(times)
    assert platform.heard("up/telemetry")[0]["values"]["edge_dropped"] == 0


async def test_readings_wait_while_the_platform_is_away_and_come_in_order_and_once_when_it_is_back(
    platform: Platform, tmp_path: Path
) -> None:
    machine = Machine()
    async with serving(machine), running(file(tmp_path, platform.port, machine.port, POINTS[:1])) as edge:
        await until(lambda: len(platform.values("temperature")) > 2)
        await platform.close()
        for n in range(1, 20):  # every value that was there while nobody heard
            machine.cells[0] = n
            asked = len(machine.asked)
            await until(lambda asked=asked: len(machine.asked) >= asked + 2)
        await edge.keeper.flush()
        waiting = edge.spool.count
        assert waiting >= 19
        await platform.open()
        await until(lambda: 1.9 in platform.values("temperature"))
        await until(lambda: edge.spool.count == 0 or platform.values("temperature")[-1] == 1.9)
    told = platform.heard("up/child/freezer/telemetry")
    assert [n / 10 for n in range(20)] == list(dict.fromkeys(platform.values("temperature")))
    assert told[0]["values"]["temperature"] == {"value": 0.0, "unit": "Cel"}
    times = [reading["time"] for reading in told]
    first = list(dict.fromkeys(times))
    assert first == sorted(first)
    # what was on its way when the platform went may come twice: with the same time, so that it is stored once
    assert len(times) - len(first) <= 50


async def test_what_the_platform_cannot_take_now_is_sent_again_and_what_it_never_takes_is_not(
    platform: Platform, tmp_path: Path
) -> None:
    machine = Machine()
    platform.uplink.verdict = Verdict.UNAVAILABLE
    async with serving(machine), running(file(tmp_path, platform.port, machine.port, POINTS[:1])) as edge:
        await until(lambda: len(platform.uplink.messages) > 3)
        assert edge.spool.count > 0
        platform.uplink.verdict = Verdict.REJECTED
        await until(lambda: edge.line.refused > 3)
        refused = edge.line.refused
        platform.uplink.verdict = Verdict.STORED
        await until(lambda: edge.line.is_up and edge.spool.count <= 2)
        assert edge.line.refused <= refused + 60


async def test_a_message_that_the_platform_would_hang_up_on_keeps_no_other_back(
    platform: Platform, tmp_path: Path
) -> None:
    async with running(file(tmp_path, platform.port, 9, POINTS[:1])) as edge:
        edge.keeper.put([("up/event/long", b"x" * MqttLimits().max_packet_bytes), ("up/event/short", b"{}")])
        await until(lambda: platform.heard("up/event/short"))
        assert edge.line.refused == 1
        await edge.keeper.flush()
        await until(lambda: edge.spool.count == 0)


async def test_what_fails_while_something_is_taken_out_costs_nothing_that_is_put_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(ids: Sequence[int]) -> bool:
        raise MemoryError

    spool = Spool(tmp_path, 1_000_000)
    spool.open()
    keeper = Keeper(spool)
    keeper.put([("up/event/n", b"1")])
    keeper.sent(1)
    with monkeypatch.context() as patch:
        patch.setattr(spool, "forget", fails)
        with pytest.raises(MemoryError):
            await keeper.flush()
    await keeper.flush()
    assert [entry.payload for entry in await keeper.after(0, 10)] == [b"1"]
    await keeper.close()


async def test_what_is_read_while_the_disk_does_not_answer_is_bounded_counted_and_told_past_it(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.edge.keeper._STALLED_S", 0.2)
    monkeypatch.setattr("ingest.edge.keeper.MOST_IN_MEMORY", 20)
    async with running(file(tmp_path, platform.port, 9, POINTS[:1])) as edge:
        await until(lambda: edge.line.is_up and platform.heard("up/telemetry"))
        await edge.keeper.flush()
        with sqlite3.connect(tmp_path / "data" / "spool.db", isolation_level=None) as other:
            other.execute(
                "BEGIN IMMEDIATE"
            )  # no disk that answers nothing is at hand: it waits for this in the same way
            edge.keeper.put([("up/event/n", b"0")])
            await until(lambda: edge.keeper._asked and not edge.keeper._waiting)
            edge.keeper.put([("up/event/n", b"%d" % n) for n in range(1, 100)])
            await until(lambda: platform.heard("up/event/disk-stalled"))
            dropped = edge.keeper.dropped
            assert (len(edge.keeper._waiting), dropped >= 79) == (20, True)
            await until(lambda: platform.heard("up/event/spool-full"))
            other.execute("ROLLBACK")
        other.close()
        await until(lambda: 99 in platform.heard("up/event/n"))
        await until(lambda: platform.heard("up/event/disk-recovered"))
        await edge.keeper.flush()
        assert edge.keeper.dropped == edge.spool.dropped == dropped
    said = platform.heard("up/event/n")
    assert said == sorted(set(said))
    assert said[-5:] == list(range(95, 100))
    assert 100 - dropped <= len(said) <= 21  # what the edge says of itself takes room, too
    again = Spool(tmp_path / "data", 1_000_000)
    again.open()
    assert again.dropped == dropped
    again.close()


async def test_what_is_above_the_quota_is_sent_again_before_anything_more_is_begun(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.edge.line._QUOTA_PAUSE_S", 0.05)
    uplink, stored = platform.uplink, 0
    uplink.holding = True
    async with running(file(tmp_path, platform.port, 9, POINTS[:1])) as edge:
        edge.keeper.put([("up/event/n", b"%d" % n) for n in range(1_000)])
        while stored < 20:
            await until(lambda: uplink.undecided)
            uplink.decide(1, Verdict.STORED)
            uplink.decide(None, Verdict.QUOTA)
            stored += 1
        assert len({message.payload for message in uplink.messages}) <= line.WINDOW + stored
        uplink.holding = False
        uplink.decide()
        await until(lambda: edge.spool.count == 0)
    assert {b"%d" % n for n in range(1_000)} <= {message.payload for message in uplink.messages}


async def test_a_command_is_written_to_the_machine_and_answered_once(platform: Platform, tmp_path: Path) -> None:
    machine = Machine()
    async with serving(machine), running(file(tmp_path, platform.port, machine.port)) as edge:
        await until(lambda: platform.values("setpoint"))
        await platform.command("freezer", "c1", "set-point", setpoint=-25)
        await until(lambda: platform.heard("up/child/freezer/cmd/c1/result"))
        assert machine.cells[1] == -25 & 0xFFFF
        await until(lambda: platform.values("setpoint")[-1] == -25)

        writes = len([asked for asked in machine.asked if asked[0] == 6])
        await platform.command("freezer", "c1", "set-point", setpoint=-25)
        await platform.command("freezer", "c2", "set-point", temperature=5)
        await platform.command("freezer", "c3", "set-point", setpoint=99_999)
        await platform.command("", "c4", "edge-read", device="freezer", metric="setpoint")
        await platform.command("", "c5", "edge-discover", connection="plc", **{"from": 398, "to": 402})
        await until(lambda: platform.heard("up/cmd/c5/result"))
        assert len([asked for asked in machine.asked if asked[0] == 6]) == writes
        await edge.keeper.flush()
    assert platform.heard("up/child/freezer/cmd/c1/result") == [{"status": "succeeded"}]
    (no,) = platform.heard("up/child/freezer/cmd/c2/result")
    assert no["status"] == "failed"
    assert "freezer/temperature cannot be written; of this device there are: setpoint" in no["reason"]
    assert "takes -32768 to 32767" in platform.heard("up/child/freezer/cmd/c3/result")[0]["reason"]
    assert platform.heard("up/cmd/c4/result")[0]["result"]["value"] == -25
    assert [point["address"]["holding"] for point in platform.heard("up/cmd/c5/result")[0]["result"]["points"]] == [
        398,
        399,
    ]


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (None, answer.Answer(CommandStatus.SUCCEEDED)),
        ({"rpm": 3}, answer.Answer(CommandStatus.SUCCEEDED, None, {"rpm": 3})),
        ("K\udcfcche", answer.Answer(CommandStatus.SUCCEEDED, None, "K?che")),
        (
            list(range(5_000)),
            answer.Answer(
                CommandStatus.SUCCEEDED, "It was done. What it gave takes 23923 bytes, and an answer has at most 8192."
            ),
        ),
    ],
)
def test_what_a_command_gave_is_told_in_an_answer_that_the_platform_takes(result: Any, told: answer.Answer) -> None:
    said = succeeded(result)
    assert len(said) <= MAX_NOTE_BYTES
    assert answer.read("result", decode.load(said)) == told


async def test_a_machine_that_goes_away_is_told_and_read_again_when_it_is_back(
    platform: Platform, tmp_path: Path
) -> None:
    machine = Machine()
    async with serving(machine) as server:
        path = file(tmp_path, platform.port, machine.port)
        async with running(path):
            await until(lambda: platform.values("temperature"))
            await server.shutdown()
            await until(lambda: not platform.heard("up/child/freezer/status")[-1]["connected"])
            assert platform.heard("up/child/freezer/status")[-1]["reason"]
            machine.cells[0] = 77
            async with serving(machine, machine.port):
                await until(lambda: 7.7 in platform.values("temperature"))
                await until(lambda: platform.heard("up/child/freezer/status")[-1] == {"connected": True})


async def test_an_edge_that_is_told_to_end_in_the_moment_of_an_answer_ends(platform: Platform, tmp_path: Path) -> None:
    machine = Machine()
    async with serving(machine), running(file(tmp_path, platform.port, machine.port)) as edge:
        await until(lambda: platform.values("temperature"))
        driver = edge.plant.behind("plc")._driver
        assert isinstance(driver, ModbusDriver)
        client = driver._client
        assert client is not None
        closing: list[asyncio.Task[None]] = []

        def heard(is_sent: bool, pdu: ModbusPDU) -> ModbusPDU:
            if not is_sent and not closing:
                edge.plant._tasks[0].cancel()  # the answer is there when it hears of this, and wait_for prefers that
                closing.append(asyncio.create_task(edge.plant.close()))
            return pdu

        client.ctx.trace_pdu = heard
        await until(lambda: bool(closing) and closing[0].done())
        closing[0].result()
    assert len(platform.values("temperature")) > 0


async def test_a_changed_file_is_read_anew_and_a_wrong_one_is_not(
    platform: Platform, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    machine = Machine()
    machine.cells = {5: 55}
    async with serving(machine):
        path = file(tmp_path, platform.port, machine.port)
        async with running(path):
            await until(lambda: platform.values("temperature"))
            before = path.read_text()
            path.write_text(before.replace("int16", "int61"))
            await until(lambda: "the edge goes on with what it had" in caplog.text)
            assert "edge.yaml, line" in caplog.text
            heard = len(platform.values("temperature"))
            await until(lambda: len(platform.values("temperature")) > heard + 2)
            file(
                tmp_path, platform.port, machine.port, [{"metric": "flow", "address": {"holding": 5}, "type": "uint16"}]
            )
            await until(lambda: 55 in platform.values("flow"))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"ca_file": "edge.yaml", "token_file": "token"}, "`ca_file` .* is no certificate in PEM"),
        ({"certificate_file": "token", "key_file": "token"}, "are no pair in PEM, without a password"),
        ({"host": "plant..example", "tls": False, "token_file": "token"}, "'plant..example' cannot be found.*`host`"),
        ({"token_file": "nowhere"}, "`token_file` .*nowhere cannot be read .No such file.*put the token there"),
        ({"token_file": "empty"}, "`token_file` .*empty is empty"),
        ({"port": 9, "token_file": "token"}, "127.0.0.1:9: nobody listens there: look at `host` and `port`"),
    ],
    ids=["authority", "certificate", "host", "no token", "empty token", "port"],
)
async def test_whatever_it_cannot_log_in_with_is_told_and_readings_wait(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, said: dict[str, object], told: str
) -> None:
    (tmp_path / "token").write_text("token\n")
    (tmp_path / "empty").touch()
    where = {"host": "127.0.0.1", "tenant": "acme", "device": "plant", **said}
    path = tmp_path / "edge.yaml"
    path.write_text(yaml.safe_dump({"platform": where}))
    async with running(path) as edge:
        await until(lambda: "Readings wait on the disk" in caplog.text)
        assert not any(task.done() for task in edge._tasks)
    assert re.search(told, caplog.text), caplog.text


async def test_a_killed_edge_goes_on_where_it_was(platform: Platform, tmp_path: Path) -> None:
    machine = Machine()
    async with serving(machine):
        path = file(tmp_path, platform.port, machine.port, POINTS[:1])
        await platform.close()
        first = await _process(path)
        await _on_disk(tmp_path, 20)
        first.send_signal(signal.SIGKILL)
        await asyncio.wait_for(first.wait(), PATIENCE_S)
        kept = await _on_disk(tmp_path, 20)
        await platform.open()
        second = await _process(path)
        try:
            await until(lambda: len(platform.values("temperature")) > kept + 5)
        finally:
            second.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(second.wait(), PATIENCE_S) == 0
    times = [reading["time"] for reading in platform.heard("up/child/freezer/telemetry")]
    assert times == sorted(set(times))


async def test_an_edge_whose_disk_does_not_answer_ends_when_it_is_told_to_and_says_what_it_did_not_write(
    platform: Platform, tmp_path: Path
) -> None:
    program = tmp_path / "edge.py"
    program.write_text(_STALLING)
    path = file(tmp_path, platform.port, 1)
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(program), str(path), stderr=asyncio.subprocess.PIPE, env=dict(os.environ)
    )
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE_S):
        while b"stalled" not in await process.stderr.readline():
            pass
        process.send_signal(signal.SIGTERM)
        last = (await process.stderr.read()).decode()
        assert await process.wait() == 1
    assert re.search(r"The disk under .*data does not answer: .* loses [1-9]\d* messages", last), last


_STALLING = """
import sys, time
from infra import cli
from ingest.edge import keeper, spool

def put(*given):
    print("stalled", file=sys.stderr, flush=True)
    time.sleep(600)

keeper._CLOSED_WITHIN_S = 0.2
spool.Spool.put = put
cli.main(["edge", sys.argv[1]])
"""


async def _process(path: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "infra.cli", "edge", str(path), stderr=asyncio.subprocess.DEVNULL, env=dict(os.environ)
    )


async def _on_disk(folder: Path, least: int) -> int:
    """How many readings the spool of another process holds, once there are so many."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                with sqlite3.connect(f"file:{folder}/data/spool.db?mode=ro", uri=True) as base:
                    found: int = base.execute("SELECT count(*) FROM entries WHERE topic LIKE '%telemetry'").fetchone()[
                        0
                    ]
                base.close()
            except sqlite3.OperationalError:
                found = 0
            if found >= least:
                return found
            await asyncio.sleep(0.05)
