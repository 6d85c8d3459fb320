"""Commands on their way: to a device that is there, to one that comes later, and never again once it has confirmed."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from engine.commands import service as commands
from engine.commands.model import Command, CommandStatus
from engine.devices import service as devices
from engine.devices.declared import Argument, ValueType
from engine.devices.declared import Command as Declared
from engine.devices.model import Device
from engine.drain import Drain
from engine.store.pool import Store
from infra.local.postgres import Postgres
from tests.support.patience import PATIENCE_S
from tests.support.process import IngestProcess, ingest_process
from tests.support.tenant import Tenant

SET_SPEED = Declared("set-speed", "Set the speed", arguments=(Argument("rpm", ValueType.NUMBER, min=0, max=3000),))


class Pump:
    """A device by paho: it subscribes to its commands and answers as `answer` says."""

    def __init__(self, process: IngestProcess, username: str, token: str, in_websockets: bool = False) -> None:
        self.heard: list[dict[str, Any]] = []
        self.home = f"t/{username}"
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            username,
            protocol=paho.MQTTv5,
            transport="websockets" if in_websockets else "tcp",
        )
        self._client.username_pw_set(username, token)
        self._client.on_connect = lambda client, *_: client.subscribe(f"{self.home}/down/#", 1)
        self._grants: list[object] = []
        self._client.on_subscribe = lambda *said: self._grants.append(said)
        self._client.on_message = lambda _client, _data, message: self.heard.append(json.loads(message.payload))
        self._client.connect("127.0.0.1", process.mqtt_ws_port if in_websockets else process.mqtt_port)
        self._client.loop_start()

    def answer(self, command: UUID, what: str, said: object = None) -> None:
        """Publish an ack or a result, and wait until it is stored."""
        payload = b"" if said is None else json.dumps(said).encode()
        self._client.publish(f"{self.home}/up/cmd/{command}/{what}", payload, 1).wait_for_publish(10)

    def is_ready(self) -> bool:
        """It has subscribed."""
        return bool(self._grants)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.02)


async def issue(tenant: Tenant, device: Device, rpm: int) -> Command:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        return await commands.issue(tx, device.id, "set-speed", {"rpm": rpm})


@asynccontextmanager
async def pump(process: IngestProcess, login: tuple[str, str], in_websockets: bool = False) -> AsyncIterator[Pump]:
    made = await asyncio.to_thread(Pump, process, *login, in_websockets)
    try:
        yield made
    finally:
        await asyncio.to_thread(made.close)


async def test_commands_reach_their_device_in_order_and_are_answered(
    postgres: Postgres, store: Store, worker_store: Store, tenant: Tenant, tmp_path: Path
) -> None:
    profile = await tenant.profile("pumps")
    async with store.as_tenant(tenant.principal()) as tx:
        await devices.profile_change(tx, profile.id, commands=(SET_SPEED,))
    device = await tenant.device(profile="pumps")
    login = f"{tenant.key}/d/{device.key}", await tenant.device_token(device)
    drain = Drain(worker_store)

    async def stands(command: Command, status: CommandStatus) -> Command:
        until_s = time.monotonic() + 15
        while time.monotonic() < until_s:
            await drain.run(tenant.id)
            async with store.as_tenant(tenant.principal()) as tx:
                now = await commands.get(tx, command.id)
            if now.status is status:
                return now
            await asyncio.sleep(0.05)
        raise AssertionError(f"the command is {now.status}, not {status}")

    waiting = [await issue(tenant, device, rpm) for rpm in (1, 2, 3)]
    async with ingest_process(postgres.url("ingest"), tmp_path / "ingest.log") as process:
        async with pump(process, login) as there:
            await until(lambda: len(there.heard) == 3)
            assert [told["arguments"]["rpm"] for told in there.heard] == [1, 2, 3]
            assert [told["id"] for told in there.heard] == [str(command.id) for command in waiting]
            for command in waiting:
                await stands(command, CommandStatus.SENT)
            live = await issue(tenant, device, 4)
            await until(lambda: len(there.heard) == 4)
            await asyncio.to_thread(there.answer, live.id, "ack")
            await stands(live, CommandStatus.ACKNOWLEDGED)
            await asyncio.to_thread(there.answer, live.id, "result", {"status": "succeeded", "result": {"rpm": 4}})
            assert (await stands(live, CommandStatus.SUCCEEDED)).result == {"rpm": 4}
            await asyncio.to_thread(there.answer, waiting[0].id, "ack", {"status": "rejected", "reason": "locked"})
            assert (await stands(waiting[0], CommandStatus.REJECTED)).reason == "locked"
        async with pump(process, login) as again:  # nothing is sent twice to a device that has confirmed it
            last = await issue(tenant, device, 5)
            await until(lambda: bool(again.heard))
            assert [told["id"] for told in again.heard] == [str(last.id)]


async def test_a_command_reaches_its_device_by_whichever_process_it_has_come_in(
    postgres: Postgres, store: Store, tenant: Tenant, tmp_path: Path
) -> None:
    profile = await tenant.profile("pumps")
    async with store.as_tenant(tenant.principal()) as tx:
        await devices.profile_change(tx, profile.id, commands=(SET_SPEED,))
    device = await tenant.device(profile="pumps")
    login = f"{tenant.key}/d/{device.key}", await tenant.device_token(device)
    async with (
        ingest_process(postgres.url("ingest"), tmp_path / "first.log") as first,
        ingest_process(postgres.url("ingest"), tmp_path / "second.log") as second,
    ):
        for process, in_websockets in ((first, False), (second, True), (first, True)):
            async with pump(process, login, in_websockets) as there:
                await until(there.is_ready)
                issued = str((await issue(tenant, device, 1)).id)
                await until(lambda wanted=issued: wanted in [told["id"] for told in there.heard])  # type: ignore[misc]
