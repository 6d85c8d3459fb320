"""Commands in the database: each reaches one end, whatever is said of it and in which order."""

import itertools
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import pytest

from engine.commands import errors
from engine.commands import service as commands
from engine.commands.model import Command, CommandStatus, Order
from engine.commands.told import ANSWERED, SENT
from engine.devices import service as devices
from engine.devices.declared import Argument, ValueType
from engine.devices.declared import Command as Declared
from engine.devices.model import Device
from engine.journal.model import Entry
from tests.support.tenant import Tenant

SET_SPEED = Declared(
    "set-speed", "Set the speed", arguments=(Argument("rpm", ValueType.NUMBER, min=0, max=3000),), timeout_s=60
)
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
_pos = itertools.count(1)


async def pump(tenant: Tenant) -> Device:
    """A device whose profile declares a command."""
    key = f"pump-{next(_pos)}"
    profile = await tenant.profile(key)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.profile_change(tx, profile.id, commands=(SET_SPEED,))
    return await tenant.device(profile=key)


async def issue(tenant: Tenant, device: Device, **more: int) -> Command:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        return await commands.issue(tx, device.id, "set-speed", {"rpm": 900}, **more)


async def hear(tenant: Tenant, command: Command, kind: str, **said: object) -> Command:
    body = {"command": str(command.id), "device": str(command.device_id), "at": int(NOW.timestamp() * 1000), **said}
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await commands.follow(tx, [Entry(next(_pos), NOW, kind, body)])
        return await commands.get(tx, command.id)


async def elapse(tenant: Tenant, later: timedelta) -> None:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        tx.now = datetime.now(UTC) + later
        await commands.elapse(tx)


async def test_a_command_is_sent_acknowledged_and_done(tenant: Tenant) -> None:
    command = await issue(tenant, await pump(tenant))
    assert (command.status, command.timeout_s, command.arguments) == (CommandStatus.QUEUED, 60, {"rpm": 900})
    sent = await hear(tenant, command, SENT)
    assert (sent.status, sent.sent_at) == (CommandStatus.SENT, NOW)
    assert (await hear(tenant, command, ANSWERED, status="acknowledged")).status is CommandStatus.ACKNOWLEDGED
    done = await hear(tenant, command, ANSWERED, status="succeeded", result={"rpm": 898})
    assert (done.status, done.result, done.finished_at) == (CommandStatus.SUCCEEDED, {"rpm": 898}, NOW)


async def test_an_answer_that_overtakes_the_receipt_is_not_lost(tenant: Tenant) -> None:
    command = await issue(tenant, await pump(tenant))
    acknowledged = await hear(tenant, command, ANSWERED, status="acknowledged")
    assert (acknowledged.status, acknowledged.sent_at) == (CommandStatus.ACKNOWLEDGED, NOW)
    assert (await hear(tenant, command, SENT)).status is CommandStatus.ACKNOWLEDGED
    other = await issue(tenant, await pump(tenant))
    done = await hear(tenant, other, ANSWERED, status="succeeded")
    assert (done.status, done.sent_at) == (CommandStatus.SUCCEEDED, NOW), "whoever has done it has had it"


async def test_an_answer_leaves_the_moment_of_sending_as_it_was(tenant: Tenant) -> None:
    command = await issue(tenant, await pump(tenant))
    await hear(tenant, command, SENT, at=int(NOW.timestamp() * 1000) - 5_000)
    done = await hear(tenant, command, ANSWERED, status="succeeded")
    assert (done.sent_at, done.finished_at) == (NOW - timedelta(seconds=5), NOW)


async def test_a_late_answer_after_a_timeout_is_kept_beside_it_and_changes_nothing(tenant: Tenant) -> None:
    command = await issue(tenant, await pump(tenant))
    await hear(tenant, command, SENT)
    await elapse(tenant, timedelta(seconds=0))
    late = await hear(tenant, command, ANSWERED, status="succeeded", result=1)
    assert late.status is CommandStatus.TIMED_OUT
    assert late.late is not None
    assert late.late["status"] == "succeeded"


async def test_what_is_over_stays_as_it_is_when_it_is_told_again(tenant: Tenant) -> None:
    command = await issue(tenant, await pump(tenant))
    done = await hear(tenant, command, ANSWERED, status="failed", reason="dry")
    for kind, said in ((SENT, {}), (ANSWERED, {"status": "succeeded"}), (ANSWERED, {"status": "acknowledged"})):
        assert await hear(tenant, command, kind, **said) == done


async def test_a_command_that_nobody_fetches_expires(tenant: Tenant) -> None:
    command = await issue(tenant, await pump(tenant), queue_s=30)
    await elapse(tenant, timedelta(seconds=29))
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        assert (await commands.get(tx, command.id)).status is CommandStatus.QUEUED
    await elapse(tenant, timedelta(seconds=31))
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        expired = await commands.get(tx, command.id)
    assert (expired.status, expired.reason) == (CommandStatus.EXPIRED, "The device did not connect in time.")


async def test_what_a_device_said_in_time_counts_though_the_drain_has_not_read_it_yet(tenant: Tenant) -> None:
    """The worker was away: when it is back, the tick must not end what the journal tells was answered."""
    device = await pump(tenant)
    answered, silent = await issue(tenant, device, queue_s=30), await issue(tenant, device, queue_s=30)
    await hear(tenant, silent, SENT)
    tenant.happen(ANSWERED, command=str(answered.id), device=str(device.id), status="acknowledged", at=1)
    await elapse(tenant, timedelta(minutes=5))
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        assert (await commands.get(tx, answered.id)).status is CommandStatus.QUEUED
        assert (await commands.get(tx, silent.id)).status is CommandStatus.TIMED_OUT


async def test_a_device_that_answers_twice_is_taken_at_its_first_word(tenant: Tenant) -> None:
    command = await issue(tenant, await pump(tenant))
    await hear(tenant, command, SENT)
    first = await hear(tenant, command, ANSWERED, status="rejected", reason="locked")
    again = await hear(tenant, command, ANSWERED, status="succeeded", result=1)
    assert (again.status, again.reason, again.late) == (CommandStatus.REJECTED, "locked", None)
    assert again == first


async def test_of_two_late_answers_the_first_is_kept(tenant: Tenant) -> None:
    command = await issue(tenant, await pump(tenant), queue_s=30)
    await elapse(tenant, timedelta(seconds=31))
    await hear(tenant, command, ANSWERED, status="succeeded", result=1)
    late = await hear(tenant, command, ANSWERED, status="failed", reason="dry")
    assert late.status is CommandStatus.EXPIRED
    assert late.late is not None
    assert late.late["status"] == "succeeded"


async def test_rules_commands_come_in_the_order_in_which_they_were_asked_for(tenant: Tenant) -> None:
    """Their ids follow from what they are about, so they tell nothing of the order."""
    device = await pump(tenant)
    orders = [
        Order(uuid5(UUID(int=1), f"place {n} of {device.id}"), device.id, "set-speed", {"rpm": n}, "Too dry")
        for n in range(8)
    ]
    assert sorted(order.id for order in orders) != [order.id for order in orders]
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await commands.issue_all(tx, orders)
    found: list[UUID] = []
    after = None
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        for _ in range(3):
            page = await commands.page(tx, device_id=device.id, first=3, after=after)
            found += [command.id for command in page.items]
            after = page.end_cursor
    assert found == [order.id for order in reversed(orders)]


async def test_another_device_cannot_answer_it(tenant: Tenant) -> None:
    command, other = await issue(tenant, await pump(tenant)), await pump(tenant)
    await hear(tenant, command, ANSWERED, status="succeeded", device=str(other.id))
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        assert (await commands.get(tx, command.id)).status is CommandStatus.QUEUED


async def test_only_what_still_waits_can_be_called_off(tenant: Tenant) -> None:
    device = await pump(tenant)
    waiting, sent = await issue(tenant, device), await issue(tenant, device)
    await hear(tenant, sent, SENT)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        assert (await commands.cancel(tx, waiting.id)).status is CommandStatus.CANCELLED
        with pytest.raises(errors.CommandNotQueued, match="is sent"):
            await commands.cancel(tx, sent.id)


async def test_only_declared_commands_with_fitting_arguments_are_issued(tenant: Tenant) -> None:
    device = await pump(tenant)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        with pytest.raises(errors.CommandUnknown, match="There are: set-speed"):
            await commands.issue(tx, device.id, "self-destruct", {})
        with pytest.raises(errors.CommandArgumentsInvalid, match="from 0 to 3000"):
            await commands.issue(tx, device.id, "set-speed", {"rpm": 9000})
        with pytest.raises(errors.CommandTimesInvalid):
            await commands.issue(tx, device.id, "set-speed", {"rpm": 1}, timeout_s=0)


async def test_a_device_out_of_service_takes_none_and_loses_those_that_wait(tenant: Tenant) -> None:
    device = await pump(tenant)
    command = await issue(tenant, device)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.decommission(tx, device.id)
        await commands.device_gone(tx, device.id)
        assert (await commands.get(tx, command.id)).status is CommandStatus.CANCELLED
        with pytest.raises(errors.DeviceOutOfService):
            await commands.issue(tx, device.id, "set-speed", {"rpm": 1})


async def test_a_rules_order_is_issued_once_however_often_it_is_told(tenant: Tenant) -> None:
    device = await pump(tenant)
    order = Order(uuid5(UUID(int=1), "episode 1"), device.id, "set-speed", {"rpm": 5}, "Too dry")
    wrong = Order(uuid5(UUID(int=1), "episode 2"), device.id, "set-speed", {"rpm": "fast"}, "Too dry")
    for _ in range(2):
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            refused = await commands.issue_all(tx, [order, wrong])
        assert list(refused) == [wrong.id]
        assert "set-speed" in refused[wrong.id]
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        page = await commands.page(tx, device_id=device.id)
    assert [(command.id, command.requested_by) for command in page.items] == [(order.id, "Too dry")]
