"""Devices behind a real Mosquitto: nothing lost and nothing twice. Who dies in between, tests/faults has it."""

import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path

import orjson

from engine.clock import now_ms
from engine.commands import service as commands
from engine.devices import service as devices
from engine.devices.declared import Command as Declared
from infra.local.postgres import Postgres
from tests.support.line import Line
from tests.support.mosquitto import BrokerDevice, broker_device, mosquitto
from tests.support.patience import PATIENCE_S
from tests.support.process import IngestProcess
from tests.support.tenant import Tenant


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what the database, or a thread, will say."""
    async with asyncio.timeout(PATIENCE_S):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.05)


def behind(postgres: Postgres, url: str, log: Path) -> IngestProcess:
    """An ingest process that takes from a broker as well."""
    return IngestProcess(postgres.url("ingest"), log, broker_url=url)


async def told(device: BrokerDevice, home: str, count: int, first: int = 0) -> None:
    """Publish readings with times and numbers of their own, a little apart."""
    at_ms = now_ms() - 1_000
    for n in range(first, first + count):
        said = orjson.dumps({"time": at_ms, "seq": n, "values": {"temperature": n % 100}})
        device.publish(f"{home}/up/telemetry", said)
        if n % 10 == 0:
            await asyncio.sleep(0.02)


async def test_readings_events_and_poison_come_by_a_broker_and_commands_go_down(
    postgres: Postgres, tenant: Tenant, tmp_path: Path
) -> None:
    line = Line(postgres)
    made = await tenant.device(profile="valves")
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.profile_change(tx, tenant.profiles["valves"].id, commands=(Declared("open", "Open"),))
        issued = await commands.issue(tx, made.id, "open", {})
    home = f"t/{tenant.key}/d/{made.key}"
    async with mosquitto(tmp_path / "broker") as broker, broker_device(broker, "valve") as device:
        process = behind(postgres, broker.url, tmp_path / "ingest.log")
        await process.start()
        try:
            device.subscribe(f"{home}/down/#")
            device.publish(f"{home}/up/telemetry", b'{"temperature":"warm"}')
            device.publish(f"{home}/up/telemetry", b'{"temperature":4}')
            device.publish(f"{home}/up/event/door", b'{"by":"key"}')
            device.publish(f"t/{tenant.key}/d/nobody/up/telemetry", b'{"temperature":4}')
            await until(lambda: len(line.stored(tenant)) == 1)
            await until(lambda: len(line.inbox(tenant)) == 1)
            await until(lambda: bool(device.heard))
            [(topic, said)] = device.heard
            assert (topic, json.loads(said)["command"]) == (f"{home}/down/cmd/{issued.id}", "open")
            device.publish(f"{home}/up/cmd/{issued.id}/result", b"")
            wanted = {"telemetry", "device.event", "command.sent", "command.answered"}
            await until(lambda: wanted <= {kind for kind, _ in line.journal(tenant)})
            async with tenant.store.as_tenant(tenant.principal()) as tx:
                await devices.suspend(tx, made.id)
            device.publish(f"{home}/up/telemetry", b'{"temperature":5}')
            await until(lambda: line.counts(tenant)[str(made.id)][4] == 1)
            assert len(line.stored(tenant)) == 1
            assert "unknown_device" in await asyncio.to_thread(process.text, "/metrics")
        finally:
            await process.stop(signal.SIGKILL)


async def test_a_broker_that_is_restarted_and_two_processes_that_share_it_lose_and_double_nothing(
    postgres: Postgres, tenant: Tenant, tmp_path: Path
) -> None:
    line, count = Line(postgres), 300
    made = await tenant.device(profile="valves")
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.profile_change(tx, tenant.profiles["valves"].id, commands=(Declared("open", "Open"),))
    home = f"t/{tenant.key}/d/{made.key}"
    async with mosquitto(tmp_path / "broker") as broker, broker_device(broker, "pump") as device:
        pair = [behind(postgres, broker.url, tmp_path / f"ingest-{n}" / "ingest.log") for n in (1, 2)]
        try:
            for process in pair:
                process.log.parent.mkdir()
            await asyncio.gather(*(process.start() for process in pair))
            await until(lambda: broker.shares() >= 2)
            await told(device, home, count // 2)
            await until(lambda: len(line.stored(tenant)) == count // 2)
            device.subscribe(f"{home}/down/#")
            async with tenant.store.as_tenant(tenant.principal()) as tx:
                issued = [(await commands.issue(tx, made.id, "open", {})).id for _ in range(3)]
            await until(lambda: len(device.heard) >= len(issued))
            await asyncio.sleep(0.5)  # both have heard of the device, and of the commands
            assert [topic for topic, _ in device.heard] == [f"{home}/down/cmd/{each}" for each in issued]
            await broker.stop()
            await broker.start()
            # 2.0.11 forgets shared subscriptions when it ends, and drops what comes before they are asked for again
            await until(lambda: broker.shares() >= 4)
            await told(device, home, count // 2, count // 2)
            await pair[0].stop(signal.SIGKILL)
            await pair[0].start()
            await until(lambda: len(line.stored(tenant)) >= count)
            assert sorted(row[2] for row in line.stored(tenant)) == list(range(count))
        finally:
            for process in pair:
                if process.process is not None:
                    await process.stop(signal.SIGKILL)
