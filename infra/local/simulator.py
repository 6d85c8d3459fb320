"""Simulated devices over real MQTT sockets: they measure, publish, lose their connection, come back and catch up.

They also do what they are asked: the commands that the demo's profiles declare change what they measure.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import json
import logging
import os
import signal as signals
from collections import deque
from collections.abc import Coroutine, Sequence
from random import Random
from typing import Any

import orjson

from engine import logs
from engine.clock import now_ms
from engine.settings import Settings, variable
from infra.local import plant_files
from infra.local.claims import running_ports
from infra.local.device_client import DeviceClient, Refused
from infra.local.errors import SetupProblem
from infra.local.obedience import Obedience
from infra.local.seed import SIMULATOR_FILE
from infra.local.signals import Signal, signal
from schema.wire import topics

log = logging.getLogger(__name__)

KEPT = 500
"""Readings one device keeps while it is not connected; then the oldest are given up, as a small device would."""

_BACK_OFF_S = (0.5, 1, 2, 4, 8, 15)
_REPORT_S = 60.0


@dataclasses.dataclass(frozen=True)
class Simulated:
    """One device of the fleet: whom it logs in as, and what kind of thing it is."""

    tenant: str
    key: str
    profile: str
    token: str


class SimulatedDevice:
    """One device: measures every `interval_s` whatever the network does, publishes in order, repeats what is unsure."""

    def __init__(self, device: Simulated, host: str, port: int, interval_s: float, seed: int) -> None:
        self._device = device
        self._where = host, port
        self._interval_s = interval_s
        self._model: Signal = signal(device.profile, device.key, seed)
        self._chance = Random(f"{seed}/{device.key}/timing")  # noqa: S311  # spreads the devices over time
        self._topic = topics.build(device.tenant, device.key, topics.UP["telemetry"])
        self._kept: deque[bytes] = deque(maxlen=KEPT)
        self._has_some = asyncio.Event()
        self._obedience = Obedience(device.tenant, device.key, self._model)
        self.acknowledged = 0
        self.reconnects = 0

    async def run(self) -> None:
        """Measure and publish until cancelled; raises Refused when the token is not good."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._measure())
            tasks.create_task(self._publish())

    async def _measure(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + self._chance.uniform(0, self._interval_s)
        while True:
            await asyncio.sleep(due - loop.time())
            due = max(due + self._interval_s, loop.time())
            reading = {"time": now_ms(), "values": self._model.step(self._interval_s)}
            self._kept.append(orjson.dumps(reading))
            self._has_some.set()

    async def _publish(self) -> None:
        failures = 0
        while True:
            client = DeviceClient(
                *self._where, topics.username(self._device.tenant, self._device.key), self._device.token
            )
            try:
                await client.connect()
                failures = 0
                await self._serve(client)
            except OSError as error:
                wait = _BACK_OFF_S[min(failures, len(_BACK_OFF_S) - 1)] * self._chance.uniform(0.5, 1.0)
                failures += 1
                self.reconnects += 1
                log.info(
                    "simulator.reconnect", extra={"device": self._device.key, "why": str(error), "in_s": round(wait, 1)}
                )
                await asyncio.sleep(wait)
            finally:
                await client.close()

    async def _serve(self, client: DeviceClient) -> None:
        """Measurements up, commands down, on one connection."""
        await client.subscribe(self._obedience.topic_filter, self._obedience.hear)
        answering = asyncio.create_task(self._obedience.answer(client.publish))
        try:
            await self._deliver(client)  # which ends with the connection
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)

    async def _deliver(self, client: DeviceClient) -> None:
        while True:
            await self._has_some.wait()
            self._has_some.clear()
            while self._kept:
                reading = self._kept[0]
                await client.publish(self._topic, reading)
                # Acknowledged means committed. Full meanwhile, the oldest may be gone already.
                if self._kept and self._kept[0] is reading:
                    self._kept.popleft()
                self.acknowledged += 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--devices, --interval, --seed."""
    parser.add_argument("--devices", type=int, default=None, help="how many of the demo's devices (default: all)")
    parser.add_argument("--interval", type=float, default=2.0, help="seconds between a device's readings (default 2)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same signals (default 1)")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Simulate until SIGTERM or Ctrl-C. Raises SetupProblem when there is no demo tenant to simulate."""
    if arguments.interval < 0.05:
        raise SetupProblem("--interval must be at least 0.05 seconds.")
    fleet = read_fleet(settings)
    if arguments.devices is not None:
        if not 1 <= arguments.devices <= len(fleet):
            raise SetupProblem(f"--devices must be from 1 to {len(fleet)}, the demo's simulated devices.")
        fleet = fleet[: arguments.devices]
    logs.configure(settings.log_level, "simulate")
    host, port = address(settings)
    running = simulate([SimulatedDevice(each, host, port, arguments.interval, arguments.seed) for each in fleet])
    log.info("simulator.started", extra={"devices": len(fleet), "mqtt": f"{host}:{port}"})
    if (plant_port := plant_files.plant_port(settings.data_dir)) is not None:
        running = _with_plant(running, plant_port, arguments.seed)
    return asyncio.run(_until_told(running))


def read_fleet(settings: Settings) -> list[Simulated]:
    """The devices and tokens that the seed left; raises SetupProblem when there are none."""
    path = settings.data_dir / SIMULATOR_FILE
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        return [
            Simulated(content["tenant"], each["key"], each["profile"], each["token"]) for each in content["devices"]
        ]
    except FileNotFoundError:
        raise SetupProblem(f"There is no {path}: run tidegate seed first, or tidegate up --demo.") from None
    except (ValueError, KeyError, TypeError):
        raise SetupProblem(f"{path} cannot be read: remove it and run tidegate seed again.") from None


def address(settings: Settings) -> tuple[str, int]:
    """Where MQTT is served: what was set, else where the `tidegate up` of this folder serves it."""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::", "") else settings.host  # noqa: S104  # compared, not bound
    if os.environ.get(variable("mqtt_port"), "").strip():
        return host, settings.mqtt_port
    return host, (running_ports(settings.data_dir) or {}).get("mqtt_port", settings.mqtt_port)


async def simulate(devices: Sequence[SimulatedDevice]) -> None:
    """Run the devices until cancelled; one whose token is refused is left out, with a word."""
    reporting = asyncio.create_task(_report(devices))
    try:
        async with asyncio.TaskGroup() as tasks:  # which waits, when cancelled, until each has said goodbye
            for device in devices:
                tasks.create_task(_unless_refused(device))
    finally:
        reporting.cancel()


async def _with_plant(devices: Coroutine[Any, Any, None], port: int, seed: int) -> None:
    """The devices, and beside them the machines; these are not worth the end of those."""
    from infra.local.plant import Plant  # takes a moment to import, and is not always wanted

    async def plant() -> None:
        try:
            await Plant(port, seed).run()
        except OSError as error:
            log.error("simulator.no_plant", extra={"why": str(error)})

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(plant())
        tasks.create_task(devices)


async def _until_told(what: Coroutine[Any, Any, None]) -> int:
    running = asyncio.create_task(what)
    for number in (signals.SIGTERM, signals.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await running
        log.error("simulator.nobody_left")
        return 1
    return 0


async def _unless_refused(device: SimulatedDevice) -> None:
    try:
        await device.run()
    except* Refused as refusals:
        log.error("simulator.refused", extra={"why": str(refusals.exceptions[0])})


async def _report(devices: Sequence[SimulatedDevice]) -> None:
    while True:
        await asyncio.sleep(_REPORT_S)
        total = sum(device.acknowledged for device in devices)
        log.info("simulator.acknowledged", extra={"readings": total, "reconnects": sum(d.reconnects for d in devices)})
