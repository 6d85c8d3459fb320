"""What waits for a device goes down once, in order, and not when it was called off, whatever connections do."""

import asyncio
import functools
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid5

import psycopg
import pytest

from engine.commands import service as commands
from engine.commands.model import CommandStatus, Order
from engine.commands.told import SENT
from engine.devices import service as devices
from engine.devices.declared import Argument, ValueType
from engine.devices.declared import Command as Declared
from engine.devices.model import Device
from engine.drain import Drain
from engine.points import service as points
from engine.points.model import Checked
from engine.points.packed import unpack
from engine.store.pool import Store
from infra.local.postgres import Postgres
from ingest import downlink
from ingest.adapters.base import Decision
from ingest.changes import Changes
from ingest.database import Database
from ingest.downlink import Downlink
from tests.support.patience import PATIENCE_S
from tests.support.tenant import Tenant

SET_SPEED = Declared("set-speed", "Set the speed", arguments=(Argument("rpm", ValueType.NUMBER),))


class Line:
    """The connections of one ingest process: who is there, what they were sent, and when they confirm it."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._there: dict[UUID, Decision] = {}
        self.deaf: set[UUID] = set()
        self.sent: list[tuple[str, asyncio.Future[bool]]] = []
        self.said: list[dict[str, Any]] = []
        self.is_choked = False
        self.has_asked = False
        """Devices are here because they have asked, and may ask another process next."""

    def arrive(self, device: Device, epoch: int = 1) -> None:
        self._there[device.id] = Decision(self._tenant.id, self._tenant.key, device.id, device.key, epoch)

    def leave(self, device: Device) -> None:
        """The connection ends: what it has not confirmed was not delivered."""
        del self._there[device.id]
        for _, answer in self.sent:
            if not answer.done():
                answer.set_result(False)

    def sessions(self) -> Iterable[Decision]:
        return list(self._there.values())

    def session(self, device_id: UUID) -> Decision | None:
        return self._there.get(device_id)

    def listens(self, device_id: UUID, topic_tail: str) -> bool:
        return device_id in self._there and device_id not in self.deaf

    def is_shared(self, device_id: UUID, topic_tail: str) -> bool:
        return self.has_asked

    def send(self, device_id: UUID, topic_tail: str, payload: bytes, qos: int = 1) -> asyncio.Future[bool]:
        answer = asyncio.get_running_loop().create_future()
        if self.is_choked:
            answer.set_result(False)
        else:
            said = json.loads(payload)
            self.sent.append((said.get("id", topic_tail), answer))
            self.said.append(said)
        return answer

    def looked(self, device_id: UUID) -> None:
        """Nobody here waits to hear that there was nothing."""

    @property
    def heard(self) -> list[str]:
        """The ids of the commands that were sent, in order."""
        return [command for command, _ in self.sent]

    def confirm(self, nth: int = 0) -> None:
        self.sent[nth][1].set_result(True)


@asynccontextmanager
async def process(postgres: Postgres, tenant: Tenant) -> AsyncIterator[tuple[Line, Downlink]]:
    """One ingest process as far as commands are concerned; it tells the journal at once."""
    line, database = Line(tenant), Database(postgres.url("ingest"))
    made = Downlink(database, line, lambda _tenant, kind, body: tenant.happen(kind, **json.loads(body)))
    running = asyncio.create_task(made.run())
    try:
        yield line, made
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await made.close()


@asynccontextmanager
async def told(postgres: Postgres, down: Downlink) -> AsyncIterator[None]:
    """A process hears what the database tells of commands."""
    listening = asyncio.Event()

    def changed(what: str) -> None:
        kind, _, device = what.partition(":")
        if kind == "command":
            down.tell(UUID(device))

    running = asyncio.create_task(Changes(postgres.url("ingest"), changed, listening.set).run())
    await listening.wait()
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def pump(tenant: Tenant) -> Device:
    """A device whose profile declares a command."""
    profile = await tenant.profile("pumps")
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.profile_change(tx, profile.id, commands=(SET_SPEED,))
    return await tenant.device(profile="pumps")


async def order(tenant: Tenant, device: Device, many: int = 1) -> list[str]:
    """What a rule asks for: commands whose ids tell nothing of their order."""
    orders = [
        Order(uuid5(device.id, f"order {n}"), device.id, "set-speed", {"rpm": n}, "rule Too dry") for n in range(many)
    ]
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        assert await commands.issue_all(tx, orders) == {}
    return [str(each.id) for each in orders]


async def stands(tenant: Tenant, command: str) -> CommandStatus:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        return (await commands.get(tx, UUID(command))).status


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


def has_sent(line: Line) -> bool:
    return bool(line.sent)


async def test_a_rules_commands_go_down_in_the_order_in_which_it_asked_for_them(
    postgres: Postgres, tenant: Tenant, pump: Device
) -> None:
    wanted = await order(tenant, pump, 8)
    assert wanted != sorted(wanted)
    async with process(postgres, tenant) as (line, down):
        line.arrive(pump)
        down.tell(pump.id)
        await until(lambda: len(line.sent) == 8)
        assert line.heard == wanted


@pytest.mark.parametrize("many", [1, 2_000], ids=["short", "long"])
async def test_a_point_table_goes_down_once_a_session_and_packed_where_it_is_long(
    postgres: Postgres, tenant: Tenant, pump: Device, many: int
) -> None:
    listed = [f"- {{metric: temperature_{n}, address: {{input: {n}}}, type: int16, unit: degC}}\n" for n in range(many)]
    text = f"connections: {{plc: {{protocol: modbus-tcp, host: h}}}}\ndevices: {{}}\n# {'# '.join(listed)}"
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await points.want(tx, pump.id, text, Checked(many), 0)
    async with process(postgres, tenant) as (line, down):
        for epoch in (1, 2):
            line.arrive(pump, epoch)
            down.tell(pump.id)
            await until(lambda epoch=epoch: len(line.sent) == epoch)
            line.confirm(epoch - 1)
            down.tell(pump.id)
        await order(tenant, pump)
        down.tell(pump.id)
        await until(lambda: len(line.sent) == 3)  # the command, and not the table again
    assert line.heard[:2] == ["down/points"] * 2
    said = line.said[0]
    assert (said["version"], "packed" in said) == (1, many > 1)
    assert (unpack(said["packed"]) if many > 1 else said["text"]) == text


async def test_what_is_called_off_before_it_is_written_is_not_sent(
    postgres: Postgres, tenant: Tenant, pump: Device
) -> None:
    first, second = await order(tenant, pump, 2)
    async with process(postgres, tenant) as (line, down):
        line.arrive(pump)
        down.tell(pump.id)
        await until(lambda: len(line.sent) == 2)  # both lie here, and wait for the device to take them
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            await commands.cancel(tx, UUID(second))
        down.tell(pump.id)  # as the note of its COMMIT does
        await until(lambda: line.sent[1][1].cancelled())
        assert not line.sent[0][1].done()
    assert (await stands(tenant, first), await stands(tenant, second)) == ("queued", "cancelled")


async def test_after_a_take_over_the_process_that_holds_the_device_sends_what_was_not_confirmed(
    postgres: Postgres, tenant: Tenant, worker_store: Store, pump: Device
) -> None:
    (command,) = await order(tenant, pump)
    async with process(postgres, tenant) as (there, down_there), process(postgres, tenant) as (here, down_here):
        there.arrive(pump)
        down_there.tell(pump.id)
        await until(lambda: bool(there.sent))
        here.arrive(pump, epoch=2)
        there.leave(pump)
        down_here.tell(pump.id)
        await until(lambda: bool(here.sent))
        here.confirm()
        await asyncio.sleep(0)
        down_there.tell(pump.id)  # a note reaches both; who does not hold the device does nothing
        down_here.tell(pump.id)
        await asyncio.sleep(0.2)
        assert (there.heard, here.heard) == ([command], [command])
    await Drain(worker_store).run(tenant.id)
    assert await stands(tenant, command) is CommandStatus.SENT
    assert [kind for kind, _ in _journal(tenant) if kind == SENT] == [SENT]


async def test_a_process_that_dies_before_it_has_told_of_a_receipt_leaves_the_command_to_be_sent_again(
    postgres: Postgres, tenant: Tenant, pump: Device
) -> None:
    (command,) = await order(tenant, pump)
    for _ in range(2):  # at least once: the device tells the repeat by the command's id
        async with process(postgres, tenant) as (line, down):
            line.arrive(pump)
            down.tell(pump.id)
            await until(functools.partial(has_sent, line))
            assert line.heard == [command]


async def test_what_a_device_asks_for_is_given_by_one_process_and_by_another_once_that_one_has_failed(
    postgres: Postgres, tenant: Tenant, pump: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = await order(tenant, pump)
    async with process(postgres, tenant) as (there, down_there), process(postgres, tenant) as (here, down_here):
        here.has_asked = there.has_asked = True
        async with told(postgres, down_here):
            there.arrive(pump)
            down_there.tell(pump.id)
            await until(lambda: bool(there.sent))
            here.arrive(pump)
            down_here.tell(pump.id)
            await asyncio.sleep(0.2)
            assert here.sent == [], "it is given there"
            there.leave(pump)  # it did not arrive: whom the device has asked meanwhile is told
            await until(lambda: here.heard == [first])
            here.confirm()
    monkeypatch.setattr(downlink, "HANDED_FOR_S", 0.3)
    monkeypatch.setattr(downlink, "LOOK_AGAIN_S", 0.1)
    second = (await order(tenant, pump, 2))[1]
    async with process(postgres, tenant) as (here, down_here):
        async with process(postgres, tenant) as (there, down_there):
            here.has_asked = there.has_asked = True
            there.arrive(pump)
            down_there.tell(pump.id)
            await until(lambda: second in there.heard)
        here.arrive(pump)  # and that process died, and tells nobody
        down_here.tell(pump.id)
        await until(lambda: second in here.heard)


async def test_a_device_that_read_too_slowly_is_asked_again_without_having_to_come_back(
    postgres: Postgres, tenant: Tenant, pump: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downlink, "NOT_NOW_S", 0.05)
    (command,) = await order(tenant, pump)
    async with process(postgres, tenant) as (line, down):
        line.arrive(pump)
        line.is_choked = True
        down.tell(pump.id)
        await asyncio.sleep(0.2)
        line.is_choked = False
        await until(lambda: line.heard == [command])


async def test_who_does_not_listen_is_neither_sent_to_nor_looked_for_again(
    postgres: Postgres, tenant: Tenant, pump: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downlink, "NOT_NOW_S", 0.01)
    await order(tenant, pump)
    async with process(postgres, tenant) as (line, down):
        line.arrive(pump)
        line.deaf.add(pump.id)
        down.tell(pump.id)
        await asyncio.sleep(0.2)
        assert line.sent == []
        line.deaf.clear()
        await asyncio.sleep(0.1)
        assert line.sent == []
        down.tell(pump.id)  # it subscribes
        await until(lambda: len(line.sent) == 1)


async def test_looks_for_a_device_that_confirms_nothing_do_not_become_more_and_more(
    postgres: Postgres, tenant: Tenant, pump: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each new subscription of a device with a full queue once began another series of looks, for ever."""
    monkeypatch.setattr(downlink, "LOOK_AGAIN_S", 0.1)
    await order(tenant, pump, downlink.AT_ONCE + 5)
    async with process(postgres, tenant) as (line, down):
        looks = 0
        look = down._look

        async def counted(wanted: set[str]) -> None:
            nonlocal looks
            looks += 1
            await look(wanted)

        down._told._work = counted
        line.arrive(pump)
        for _ in range(20):
            down.tell(pump.id)
            await asyncio.sleep(0.01)
        begun, at = looks, time.monotonic()
        await asyncio.sleep(0.5)
        assert looks - begun <= (time.monotonic() - at) / downlink.LOOK_AGAIN_S + 1
        assert len(line.sent) == downlink.AT_ONCE


def _journal(tenant: Tenant) -> list[tuple[str, object]]:
    with psycopg.connect(tenant.postgres.url("superuser")) as connection:
        return connection.execute(
            "SELECT kind, body FROM journal WHERE tenant_id = %s ORDER BY pos", [tenant.id]
        ).fetchall()
