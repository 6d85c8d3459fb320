"""The time next to the machines, by a computer whose clock was never set, is wrong, or is set meanwhile."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from engine import clock
from ingest.edge import wall as walls
from ingest.edge.service import Edge
from ingest.edge.spool import Spool
from ingest.edge.wall import NEAR_MS, Wall
from tests.ingest.adapters.mqtt.memory import until
from tests.ingest.edge.test_edge import POINTS, Platform, _soon, file, platform, running
from tests.ingest.edge.test_modbus import Machine, serving

__all__ = ["_soon", "platform"]

TRUE_MS = 1_790_000_000_000
HOUR_MS = 3_600_000


class Computer:
    """One whose clock is set by the test; on since `on_ms`."""

    def __init__(self, system_ms: int, on_ms: int = 60_000, boot_id: str = "first") -> None:
        self.system_ms, self.on_ms, self.boot_id = system_ms, on_ms, boot_id

    @property
    def wall(self) -> Wall:
        return Wall(lambda: self.system_ms, lambda: self.on_ms, self.boot_id)

    def pass_ms(self, ms: int) -> None:
        self.system_ms, self.on_ms = self.system_ms + ms, self.on_ms + ms


def test_nobody_knows_the_time_until_the_platform_says_it_and_then_no_setting_of_the_clock_moves_it() -> None:
    computer = Computer(40_000)
    wall = computer.wall
    assert (wall.is_known, wall.now_ms(), wall.guess_ms()) == (False, -60_000, None)
    wall.hear(TRUE_MS)
    assert (wall.now_ms(), wall.is_system_right) == (TRUE_MS, False)
    computer.pass_ms(5_000)
    assert wall.now_ms() == TRUE_MS + 5_000
    computer.system_ms = TRUE_MS + 5_100  # by the network
    assert (wall.now_ms(), wall.is_system_right, wall.off_ms) == (TRUE_MS + 5_100, True, 100)
    computer.system_ms -= HOUR_MS  # by a person
    assert (wall.now_ms(), wall.ago_ms(1.0), wall.off_ms) == (TRUE_MS + 5_000, TRUE_MS + 4_000, 100 - HOUR_MS)


@pytest.mark.parametrize(("system_ms", "is_known"), [(40_000, False), (TRUE_MS, True)])
def test_where_the_platform_says_no_time_a_clock_that_was_set_is_believed(system_ms: int, is_known: bool) -> None:
    computer = Computer(system_ms)
    wall = computer.wall
    wall.hear(None)
    assert wall.is_known == is_known
    computer.system_ms = TRUE_MS
    assert wall.now_ms() == TRUE_MS


def _spool(folder: Path, wall: Wall) -> Spool:
    spool = Spool(folder, 1024 * 1024, wall)
    spool.open()
    return spool


def _put(spool: Spool, wall: Wall, value: int) -> None:
    spool.put(
        [("up/telemetry", json.dumps({"time": wall.now_ms(), "values": {"n": value}}, separators=(",", ":")).encode())]
    )


def _told(spool: Spool, last: int = 0) -> list[tuple[int, Any]]:
    said = [json.loads(entry.payload) for entry in spool.after(last, 100)]
    return [(each["time"], each["values"]["n"]) for each in said]


def test_what_was_read_before_the_time_was_known_gets_its_time_and_the_same_one_for_good(tmp_path: Path) -> None:
    computer = Computer(40_000)
    wall = computer.wall
    spool = _spool(tmp_path, wall)
    _put(spool, wall, 1)
    computer.pass_ms(2_000)
    _put(spool, wall, 2)
    assert _told(spool) == []
    wall.hear(TRUE_MS)
    computer.pass_ms(1_000)
    _put(spool, wall, 3)
    told = [(TRUE_MS - 2_000, 1), (TRUE_MS, 2), (TRUE_MS + 1_000, 3)]
    assert _told(spool) == told
    spool.close()
    computer.pass_ms(10_000)
    again = _spool(tmp_path, computer.wall)  # the process alone was started again
    assert _told(again) == told
    again.close()


@pytest.mark.parametrize(
    ("system_ms", "times"),
    [
        (40_000, [TRUE_MS - 3_000 - 2_000, TRUE_MS - 3_000]),  # never set: as if this start had followed at once
        (TRUE_MS - 9 * HOUR_MS, [TRUE_MS - 9 * HOUR_MS, TRUE_MS - 9 * HOUR_MS + 2_000]),  # by what it said
    ],
)
def test_what_was_read_before_the_computer_was_started_again_gets_the_best_time_there_is(
    tmp_path: Path, system_ms: int, times: Sequence[int]
) -> None:
    computer = Computer(system_ms)
    spool = _spool(tmp_path, computer.wall)
    _put(spool, computer.wall, 1)
    computer.pass_ms(2_000)
    _put(spool, computer.wall, 2)
    spool.close()

    computer = Computer(50_000, on_ms=3_000, boot_id="second")
    wall = computer.wall
    spool = _spool(tmp_path, wall)
    _put(spool, wall, 3)
    wall.hear(TRUE_MS)
    assert _told(spool) == [(times[0], 1), (times[1], 2), (TRUE_MS, 3)]
    spool.close()


def test_what_has_no_time_does_not_wait_for_it_and_what_has_waited_comes_behind(tmp_path: Path) -> None:
    computer = Computer(40_000)
    wall = computer.wall
    wall.hear(None)
    spool = _spool(tmp_path, wall)
    _put(spool, wall, 1)
    spool.put([("up/cmd/1/result", b"{}")])
    (sent,) = spool.after(0, 10)
    assert sent.topic == "up/cmd/1/result"
    computer.system_ms = TRUE_MS
    _put(spool, wall, 2)
    assert _told(spool, sent.id) == [(TRUE_MS, 2), (TRUE_MS, 1)]
    assert spool.forget([sent.id])
    spool.put([("up/cmd/2/result", b"{}")])
    assert [entry.topic for entry in spool.after(0, 10)][-1] == "up/cmd/2/result"
    assert spool.count == 3
    spool.close()


def test_a_disk_that_takes_nothing_holds_back_in_memory_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computer = Computer(40_000)
    wall = computer.wall
    spool = _spool(tmp_path, wall)
    with monkeypatch.context() as patch:
        patch.setattr("ingest.edge.spool._free_bytes", lambda folder: 0)
        _put(spool, wall, 1)
        assert spool.is_failing
        assert _told(spool) == []
        wall.hear(TRUE_MS)
        assert _told(spool) == [(TRUE_MS, 1)]
        computer.pass_ms(7)
    spool.put([])
    assert not spool.is_failing
    assert _told(spool) == [(TRUE_MS, 1)]
    spool.close()


def test_a_spool_of_before_is_gone_on_with(tmp_path: Path) -> None:
    spool = _spool(tmp_path, Wall())
    assert spool._base is not None
    spool._base.executescript(
        "DROP TABLE boots; DROP TABLE entries; CREATE TABLE entries (id INTEGER PRIMARY KEY AUTOINCREMENT,"
        " topic TEXT NOT NULL, payload BLOB NOT NULL, size INTEGER NOT NULL);"
        """INSERT INTO entries (topic, payload, size) VALUES ('up/telemetry', '{"time":7,"values":{"n":1}}', 9)"""
    )
    spool.close()
    computer = Computer(TRUE_MS)
    wall = computer.wall
    spool = _spool(tmp_path, wall)
    _put(spool, wall, 2)
    wall.hear(TRUE_MS)
    assert _told(spool) == [(7, 1), (TRUE_MS, 2)]
    spool.close()


class Wrong:
    """A real computer's clock, as wrong as the test says."""

    def __init__(self, off_ms: int) -> None:
        self.off_ms = off_ms
        self.wall = Wall(lambda: clock.now_ms() + self.off_ms, walls.elapsed_ms, "wrong")


@pytest.mark.parametrize("off_ms", [60_000 - clock.now_ms(), -3 * HOUR_MS], ids=["never set", "behind"])
async def test_an_edge_with_a_wrong_clock_sends_the_right_times_and_says_that_it_is_wrong(
    platform: Platform, tmp_path: Path, off_ms: int
) -> None:
    machine, began_ms, wrong = Machine(), clock.now_ms(), Wrong(off_ms)
    await platform.close()

    async def read(value: int) -> None:
        machine.cells[0] = value
        asked = len(machine.asked)
        await until(lambda: len(machine.asked) >= asked + 2)

    async with (
        serving(machine),
        running(file(tmp_path, platform.port, machine.port, POINTS[:1]), wrong.wall) as edge,
    ):
        for value in (10, 20, 30):
            await read(value)
        await platform.open()
        await until(lambda: 3.0 in platform.values("temperature"))
        await until(lambda: platform.heard("up/event/clock-wrong"))
        await _each_setting(edge, wrong, platform, read)
    readings = platform.heard("up/child/freezer/telemetry")
    times = [reading["time"] for reading in readings]
    assert all(began_ms - 1_000 <= each <= clock.now_ms() + 1_000 for each in times)
    assert times == sorted(times)
    assert list(dict.fromkeys(platform.values("temperature")))[-5:] == [1.0, 2.0, 3.0, 4.0, 5.0]
    (said,) = platform.heard("up/event/clock-wrong")[:1]
    assert abs(said["seconds"] - off_ms / 1000) < 5
    health = [each["values"] for each in platform.heard("up/telemetry")]
    told = [each["edge_clock_off_s"] for each in health if "edge_clock_off_s" in each]
    assert abs(told[0] - off_ms / 1000) < 5


async def _each_setting(edge: Edge, wrong: Wrong, platform: Platform, read: Any) -> None:
    """The network sets the clock right, then a person sets it back by an hour."""
    wrong.off_ms = 0
    await until(lambda: platform.heard("up/event/clock-right"))
    await read(40)
    wrong.off_ms = -HOUR_MS
    await until(lambda: len(platform.heard("up/event/clock-wrong")) > 1)
    await read(50)
    await until(lambda: 5.0 in platform.values("temperature"))
    await until(lambda: len(platform.heard("up/event/clock-jumped")) > 1)
    assert abs(edge.wall.now_ms() - clock.now_ms()) < NEAR_MS
