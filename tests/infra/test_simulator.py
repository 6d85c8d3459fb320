"""Simulated devices are believable, repeatable, and lose nothing that was acknowledged when the platform goes away."""

import argparse
import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.settings import Settings
from infra.local import demo, simulator
from infra.local.errors import SetupProblem
from infra.local.obedience import Obedience
from infra.local.postgres import Postgres
from infra.local.signals import MODELS, Unwilling
from infra.local.signals import signal as model
from ingest.normaliser import compile_shape, normalise
from tests.support.line import Line
from tests.support.patience import PATIENCE_S
from tests.support.process import IngestProcess
from tests.support.tenant import Tenant


@pytest.mark.parametrize("profile", sorted(MODELS))
def test_a_day_of_values_fits_the_demo_profile(profile: str) -> None:
    metrics = [
        {"key": m.key, "type": m.type.value, "unit": m.unit, "min": m.min, "max": m.max}
        for m in demo.PROFILES[profile].metrics
    ]
    shape = compile_shape(metrics, is_strict=True)
    device = model(profile, "one", 1)
    for _ in range(86_400 // 10):
        values = device.step(10)
        assert normalise(shape, dict(values)) == (values, {})
        assert set(values) == {m.key for m in demo.PROFILES[profile].metrics}


def test_the_same_seed_gives_the_same_signals_and_devices_differ() -> None:
    for profile in MODELS:
        one, same, other = (model(profile, key, seed) for key, seed in (("a", 1), ("a", 1), ("b", 1)))
        assert [one.step(2) for _ in range(50)] == [same.step(2) for _ in range(50)]
        assert [one.step(2) for _ in range(50)] != [other.step(2) for _ in range(50)]


def test_every_demo_rule_sees_its_condition_and_its_end_within_hours() -> None:
    """A demo whose alerts never come, or never go, shows nothing."""
    watched = {
        "cold-room": lambda v: v["temperature"] > 8,
        "pump": lambda v: v["running"] and v["vibration"] > 7.1,
        "energy-meter": lambda v: not 207 <= v["voltage"] <= 253,
    }
    for profile, is_wrong in watched.items():
        devices = [model(profile, key, 1) for key, (_, p, _) in demo.DEVICES.items() if p == profile]
        seen = [[bool(is_wrong(device.step(2))) for _ in range(4 * 1_800)] for device in devices]
        assert any(any(each) for each in seen)
        for each in seen:
            assert sum(each) < len(each) / 2


def test_a_cold_room_that_is_told_to_defrost_warms_up_and_cools_again() -> None:
    told, left = model("cold-room", "one", 1), model("cold-room", "one", 1)
    told.step(1), left.step(1)
    assert set(told.obey("defrost", {"minutes": 10})) == {"temperature"}
    warmer = [(told.step(10)["temperature"], left.step(10)["temperature"]) for _ in range(50)]
    assert warmer[-1][0] > warmer[-1][1]
    later = [told.step(10)["temperature"] for _ in range(360)]
    assert min(later) < 3


def test_a_pump_runs_as_it_is_told_and_says_what_it_cannot_do() -> None:
    pump = model("pump", "one", 1)
    assert pump.obey("run", {"speed": 50}) == {"speed": 50}
    half = [pump.step(10) for _ in range(20)][-1]
    assert pump.obey("run", {"speed": 100, "mode": "full"}) == {"speed": 100}
    full = [pump.step(10) for _ in range(20)][-1]
    assert 0.4 < half["flow"] / full["flow"] < 0.6
    assert pump.obey("stop", {}) == {"speed": 0}
    assert [pump.step(10) for _ in range(20)][-1]["running"] is False
    with pytest.raises(Unwilling, match="does not know"):
        pump.obey("dance", {})


def test_every_command_of_the_demo_is_known_to_its_simulated_devices() -> None:
    for profile, declaration in demo.PROFILES.items():
        for command in declaration.commands:
            arguments = {each.key: each.max if each.max is not None else each.choices[0] for each in command.arguments}
            assert isinstance(model(profile, "one", 1).obey(command.key, arguments), dict)


async def test_a_command_is_taken_done_once_and_reported_also_when_it_comes_again() -> None:
    said: list[tuple[str, dict[str, Any]]] = []

    async def publish(topic: str, payload: bytes) -> None:
        said.append((topic.removeprefix("t/demo/d/pump-1/up/cmd/"), json.loads(payload)))

    obedience = Obedience("demo", "pump-1", model("pump", "pump-1", 1), pause_s=0)
    assert obedience.topic_filter == "t/demo/d/pump-1/down/cmd/#"
    run = {"id": "c1", "command": "run", "arguments": {"speed": 40}, "expiresAt": ""}
    for body in (run, run, {**run, "id": "c2", "command": "dance"}, {**run, "id": "c3", "arguments": {}}):
        obedience.hear("", json.dumps(body).encode())
    obedience.hear("", b"no command")
    answering = asyncio.create_task(obedience.answer(publish))
    async with asyncio.timeout(PATIENCE_S):
        while len(said) < 6:
            await asyncio.sleep(0)
    answering.cancel()
    done = ("c1/result", {"status": "succeeded", "result": {"speed": 40}})
    assert said[:4] == [("c1/ack", {"status": "accepted"}), done, ("c1/ack", {"status": "accepted"}), done]
    assert said[4] == ("c2/ack", {"status": "rejected", "reason": "A pump does not know “dance”."})
    assert said[5] == ("c3/ack", {"status": "rejected", "reason": "It does not understand these arguments."})


async def test_a_command_whose_answer_is_cut_off_is_answered_on_the_next_connection() -> None:
    obedience = Obedience("demo", "pump-1", model("pump", "pump-1", 1), pause_s=0)
    obedience.hear("", json.dumps({"id": "c1", "command": "stop", "arguments": {}}).encode())
    said: list[str] = []

    async def broken(topic: str, payload: bytes) -> None:
        raise ConnectionResetError("gone")

    async def whole(topic: str, payload: bytes) -> None:
        said.append(topic.rpartition("/")[2])

    with pytest.raises(ConnectionResetError):
        await obedience.answer(broken)
    answering = asyncio.create_task(obedience.answer(whole))
    async with asyncio.timeout(PATIENCE_S):
        while len(said) < 2:
            await asyncio.sleep(0)
    answering.cancel()
    assert said == ["ack", "result"]


def fleet_file(folder: Path, tenant: Tenant, tokens: dict[str, str]) -> Settings:
    devices = [{"key": key, "profile": "cold-room", "token": token} for key, token in tokens.items()]
    (folder / "simulator.json").write_text(json.dumps({"tenant": tenant.key, "devices": devices}))
    return Settings(data_dir=folder)


def test_without_a_seed_it_says_what_to_do(tmp_path: Path) -> None:
    arguments = argparse.Namespace(devices=None, interval=1.0, seed=1)
    with pytest.raises(SetupProblem, match="tidegate seed"):
        simulator.run(arguments, Settings(data_dir=tmp_path))
    (tmp_path / "simulator.json").write_text("{")
    with pytest.raises(SetupProblem, match="remove it"):
        simulator.run(arguments, Settings(data_dir=tmp_path))


async def test_simulated_devices_come_back_after_a_kill_and_nothing_acknowledged_is_missing(
    postgres: Postgres, tenant: Tenant, tmp_path: Path
) -> None:
    tokens = {}
    for number in range(3):
        device = await tenant.device(f"room-{number}")
        tokens[device.key] = await tenant.device_token(device)
    tokens["room-9"] = "tgd_wrong"  # left out, with a word
    fleet = simulator.read_fleet(fleet_file(tmp_path, tenant, tokens))
    process, line = IngestProcess(postgres.url("ingest"), tmp_path / "ingest.log"), Line(postgres)
    await process.start()
    devices = [simulator.SimulatedDevice(each, "127.0.0.1", process.mqtt_port, 0.05, 1) for each in fleet]
    running = asyncio.create_task(simulator.simulate(devices))
    try:
        await _until(lambda: sum(device.acknowledged for device in devices) >= 20)
        await process.stop(signal.SIGKILL)
        await process.start()
        again = [device.acknowledged + 3 for device in devices[:3]]
        await _until(lambda: all(d.acknowledged >= n for d, n in zip(devices, again, strict=False)))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await _until(lambda: [b.get("reason") for _, b in line.journal(tenant)].count("client") == 3)
    finally:
        running.cancel()
        await process.stop()
    assert sum(device.reconnects for device in devices) >= 3
    assert devices[3].acknowledged == 0
    assert len(line.stored(tenant)) >= sum(device.acknowledged for device in devices)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.05)
