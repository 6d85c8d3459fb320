"""Devices ask over HTTP what waits for them: at once, or held until there is something, one question a device."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import httpx
import pytest

from engine.commands import service as commands
from engine.commands.model import Command, CommandStatus
from engine.devices import service as devices
from engine.devices.declared import Command as Declared
from engine.devices.model import Device
from engine.drain import Drain
from engine.store.pool import Store
from ingest.adapters.base import Decision
from ingest.adapters.http.polls import Polls
from schema.wire import http as wire
from tests.ingest.adapters.http.caller import Caller
from tests.support.patience import PATIENCE_S
from tests.support.tenant import Tenant

OPEN = Declared("open-valve", "Open the valve")


async def issue(tenant: Tenant, device: Device) -> Command:
    """Ask a device to open its valve."""
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        profile = await devices.profile(tx, device.profile_id)
        if not profile.commands:
            await devices.profile_change(tx, profile.id, commands=(OPEN,))
        return await commands.issue(tx, device.id, OPEN.key, {})


async def status(tenant: Tenant, command: UUID) -> CommandStatus:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        return (await commands.get(tx, command)).status


async def drain(store: Store, tenant: Tenant) -> None:
    """Follow the journal to its end, as the worker does."""
    while await Drain(store).run(tenant.id):
        pass


@asynccontextmanager
async def asking(pump: Caller, wait_s: int = wire.MAX_WAIT_S) -> AsyncIterator["asyncio.Task[httpx.Response]"]:
    """The device has asked, and the process holds its question."""
    task = asyncio.create_task(pump.commands(wait=wait_s))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_waits_is_handed_over_in_order_and_counts_as_sent(pump: Caller, worker_store: Store) -> None:
    assert (await pump.commands(wait=0)).status_code == 204
    first, second = await issue(pump.tenant, pump.device), await issue(pump.tenant, pump.device)
    answer = await pump.commands(wait=0)
    assert answer.status_code == 200
    assert [(each["id"], each["command"]) for each in answer.json()["commands"]] == [
        (str(first.id), "open-valve"),
        (str(second.id), "open-valve"),
    ]
    assert (await pump.commands(wait=0)).status_code == 204, "once is enough"
    async with asyncio.timeout(PATIENCE_S):
        while await status(pump.tenant, first.id) is not CommandStatus.SENT:
            await drain(worker_store, pump.tenant)
            await asyncio.sleep(0.05)
    assert (await pump.post(f"commands/{first.id}/ack")).status_code == 200
    assert (await pump.post(f"commands/{first.id}/result", {"status": "succeeded", "result": 1})).status_code == 200
    assert (await pump.post(f"commands/{second.id}/ack", {"status": "rejected", "reason": "stuck"})).status_code == 200
    assert (await pump.post(f"commands/{second.id}/ack", {"status": "perhaps"})).status_code == 422
    await drain(worker_store, pump.tenant)
    assert await status(pump.tenant, first.id) is CommandStatus.SUCCEEDED
    assert await status(pump.tenant, second.id) is CommandStatus.REJECTED


async def test_a_question_is_held_once_it_is_known_that_nothing_waits_and_not_when_it_is_not_to_wait() -> None:
    polls = Polls(lambda _: None)
    device = Decision(uuid4(), "acme", uuid4(), "pump-7", 0)
    with polls.waiting(device) as poll:
        polls.looked(device.device_id)
        assert not poll.ended.done(), "it has arrived, there is nothing, and it is patient"
        poll.hurry()
        assert poll.ended.result() == "nothing"
    with polls.waiting(device) as poll:
        poll.hurry()
        assert not poll.ended.done(), "nobody knows yet"
        polls.looked(device.device_id)
        assert poll.ended.result() == "nothing"


async def test_a_question_that_waits_is_answered_when_a_command_comes(pump: Caller) -> None:
    async with asking(pump) as asked:
        await asyncio.sleep(0.3)
        assert not asked.done()
        command = await issue(pump.tenant, pump.device)
        answer = await asyncio.wait_for(asked, PATIENCE_S)
    assert [each["id"] for each in answer.json()["commands"]] == [str(command.id)]


async def test_of_two_questions_of_a_device_the_newer_one_waits_and_the_older_one_ends(pump: Caller) -> None:
    async with asking(pump) as one, asking(pump) as other:
        done, waiting = await asyncio.wait({one, other}, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        assert (len(done), len(waiting)) == (1, 1)
        answer = done.pop().result()
    assert (answer.status_code, answer.json()["code"]) == (409, "NEWER_QUESTION")


async def test_what_was_given_to_a_question_whose_device_left_was_not_delivered() -> None:
    asked: list[UUID] = []
    polls = Polls(asked.append)
    device = Decision(uuid4(), "acme", uuid4(), "pump-7", 0)
    with polls.waiting(device) as poll:
        given = polls.send(device.device_id, "down/cmd/7", b"{}")
        assert await poll.ended == "commands"
        assert not polls.listens(device.device_id, "down/cmd/8"), "it is being answered"
    assert await given is False
    assert await polls.send(device.device_id, "down/cmd/7", b"{}") is False
    assert (polls.sessions(), asked) == ([], [device.device_id])


async def test_a_command_that_was_called_off_meanwhile_is_not_given() -> None:
    polls = Polls(lambda _: None)
    device = Decision(uuid4(), "acme", uuid4(), "pump-7", 0)
    with polls.waiting(device) as poll:
        one, other = (polls.send(device.device_id, f"down/cmd/{n}", b"%d" % n) for n in (1, 2))
        one.cancel()
        poll.settle(True)
    assert (one.cancelled(), other.result()) == (True, True)


async def test_a_question_ends_with_the_rights_of_the_device_and_outlives_other_changes(pump: Caller) -> None:
    async with asking(pump) as asked:
        await asyncio.sleep(0.3)
        async with pump.tenant.store.as_tenant(pump.tenant.principal()) as tx:
            await devices.change(tx, pump.device.id, name="Another name")
        await asyncio.sleep(0.5)
        assert not asked.done()
        async with pump.tenant.store.as_tenant(pump.tenant.principal()) as tx:
            await devices.suspend(tx, pump.device.id)
        answer = await asyncio.wait_for(asked, PATIENCE_S)
    assert (answer.status_code, answer.json()["code"]) == (403, "SUSPENDED")


async def test_another_devices_commands_are_nobodys_to_ask_for(pump: Caller) -> None:
    other = await pump.tenant.device()
    await issue(pump.tenant, other)
    assert (await pump.commands(wait=0)).status_code == 204
    answer = await pump.client.get(f"/ingest/v1/{other.key}/commands", headers=pump.bearer)
    assert (answer.status_code, answer.json()["code"]) == (403, "ANOTHER_DEVICE")


@pytest.mark.parametrize("wait", ["61", "-1", "x", "1.5", "", "99999999999"])
async def test_a_wait_that_is_none_is_refused(pump: Caller, wait: str) -> None:
    answer = await pump.commands(wait=wait)
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_INPUT")
