"""One suite for every way in: what a protocol promises to a device is kept alike, whatever it is called there.

Rows are in `rows`, columns in `speaker`; what is found is the adapters' scorecard. What is asked of machines behind an
edge alone stands in `test_machines`.
"""

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from engine.clock import now_ms
from engine.commands import service as commands
from engine.commands.model import Command, CommandStatus
from engine.devices import service as devices
from engine.devices.declared import Argument, ValueType
from engine.devices.declared import Command as Declared
from engine.devices.model import Metric, MetricType
from engine.drain import Drain
from engine.inbox import service as inbox
from engine.store.pool import Store
from infra.local.device_client import DeviceClient
from infra.local.postgres import Postgres
from ingest import service
from ingest.writer import Writer
from tests.ingest.adapters.conformance.conftest import Enter, NewLogin, shared
from tests.ingest.adapters.conformance.documents import poison
from tests.ingest.adapters.conformance.rows import DEVICES, MACHINES, ROWS
from tests.ingest.adapters.conformance.scorecard import shows
from tests.ingest.adapters.conformance.speaker import Listener, Login, Reading, Refused, Row, Speaker
from tests.support.line import Line
from tests.support.mosquitto import mosquitto
from tests.support.patience import PATIENCE_S
from tests.support.process import IngestProcess
from tests.support.proxy import proxy_to
from tests.support.tenant import Tenant

pytestmark = pytest.mark.usefixtures("scorecard")

MENDED = Metric("temperature", MetricType.NUMBER, "Temperature", "°C")
OPEN = Declared("open-valve", "Open the valve", arguments=(Argument("by", ValueType.NUMBER),))


async def until(condition: Callable[[], object]) -> None:
    """Wait until it holds; fail when it does not in time."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.05)


def numbered(count: int, at: int, first: int = 0) -> list[Reading]:
    """Readings that can be told apart, whether or not the protocol carries their times."""
    return [Reading({"temperature": n % 50, "n": n}, at + n, n) for n in range(first, first + count)]


async def tell_all(speaker: Speaker, readings: Sequence[Reading], at_once: int = 20) -> None:
    """Tell all of them, some at a time."""
    waiting = iter(readings)

    async def one_after_another() -> None:
        for reading in waiting:
            await speaker.tell(reading)

    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(one_after_another())


def stored(line: Line, login: Login) -> list[tuple[int, int, dict[str, Any]]]:
    """Epoch ms, seq and values of a device's rows, in order; its gateway has some of its own."""
    return [
        (time_ms, seq, values)
        for device, time_ms, seq, values in line.stored(login.tenant)
        if device == login.device.id
    ]


def numbers(line: Line, login: Login) -> list[int]:
    """Which of them are stored, in order; twice what is stored twice."""
    return sorted(values["n"] for *_, values in stored(line, login) if "n" in values)


# ── uplink ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@shows("uplink")
async def test_what_a_device_measures_is_stored_as_it_said_it(
    row: Row, login: NewLogin, enter: Enter, line: Line
) -> None:
    device, at = await login(row), now_ms() - 60_000
    told = [
        Reading({"temperature": 4.25, "humidity": 54, "door_open": False, "mode": "eco"}, at, 1),
        Reading({"temperature": -3, "humidity": 55.5}, at + 1_500, 2),
    ]
    speaker = await enter(row, device)
    for reading in told:
        await speaker.tell(reading)
    await until(lambda: sum(len(values) for *_, values in stored(line, device)) == 6)
    rows = stored(line, device)
    for metric in told[0].values:
        said = [(reading.time_ms, reading.values[metric]) for reading in told if metric in reading.values]
        found = [(time_ms, values[metric]) for time_ms, _, values in rows if metric in values]
        assert [value for _, value in found] == [value for _, value in said]
        if "time" in row.carries:
            assert found == said
    if "seq" in row.carries:
        assert [(seq, values) for _, seq, values in rows] == [(reading.seq, reading.values) for reading in told]
    await speaker.tell(Reading({"temperature": 5, "humidity": 130}, at + 3_000, 3))
    await is_stored_in_part(line, device, may_split=row.name in ("OPC-UA", "BACnet"))


async def is_stored_in_part(line: Line, login: Login, *, may_split: bool) -> None:
    """The newest reading is stored without its humidity, which lies in the inbox and is marked (ADR 79).

    What a machine tells by itself may be a message of its own: of that nothing is left, and nothing is marked.
    """
    tenant = login.tenant
    await until(lambda: any(values.get("temperature") == 5 for *_, values in stored(line, login)))
    async with asyncio.timeout(PATIENCE_S):
        while not (found := await left_out(tenant)):
            await asyncio.sleep(0.05)
    ((device, is_partial, about),) = found
    assert (device, is_partial or may_split, about) == (login.device.id, True, "humidity")
    query = "SELECT values, quality FROM telemetry WHERE tenant_id = %s AND device_id = %s"
    rows = line.look(query, tenant.id, login.device.id)
    assert [row for row in rows if row[0].get("temperature") == 5] == [
        ({"temperature": 5}, {"humidity": "bad"} if is_partial else None)
    ]


async def left_out(tenant: Tenant) -> list[tuple[UUID, bool, str | None]]:
    """Whose messages lie in the inbox, whether the rest of each is stored, and about which metric."""
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        return [(each.device_id, each.is_partial, each.about) for each in (await inbox.page(tx)).items]


# ── downlink ────────────────────────────────────────────────────────────────────────────────────────────────────────


@shows("downlink", DEVICES)
async def test_a_command_that_waits_and_one_that_comes_reach_their_device_and_are_answered(
    row: Row, login: NewLogin, enter: Enter, worker_store: Store
) -> None:
    device = await login(row)
    tenant, drain = device.tenant, Drain(worker_store)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.profile_change(tx, device.device.profile_id, commands=(OPEN,))

    async def issue(by: int) -> Command:
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            return await commands.issue(tx, device.device.id, OPEN.key, {"by": by})

    async def succeeds(command: UUID) -> Command:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                await drain.run(tenant.id)
                async with tenant.store.as_tenant(tenant.principal()) as tx:
                    now = await commands.get(tx, command)
                if now.status is CommandStatus.SUCCEEDED:
                    return now
                await asyncio.sleep(0.05)

    waiting = await issue(1)
    speaker: Listener = await enter(row, device)
    if row.behind == "broker":
        await speaker.tell(Reading({"temperature": 1}))
    async with asyncio.timeout(PATIENCE_S):
        first = await speaker.order()
        assert (first.id, first.command, first.arguments) == (waiting.id, OPEN.key, {"by": 1})
        await speaker.obey(first)
        asking = asyncio.create_task(speaker.order())
        issued = await issue(2)
        second = await asking
        assert (second.id, second.arguments) == (issued.id, {"by": 2})
        await speaker.obey(second)
    assert [(await succeeds(each)).result for each in (first.id, second.id)] == [1, 1]


# ── ack after COMMIT, reconnect ─────────────────────────────────────────────────────────────────────────────────────


FIRST = 10
"""How many readings are told before anything happens."""


@shows("ack after COMMIT", together=[*([row] for row in DEVICES), MACHINES])
async def test_what_was_acknowledged_is_stored_once_though_the_process_dies_before_it_can_say_so(
    rows: Sequence[Row], process: IngestProcess, login: NewLogin, enter: Enter, line: Line
) -> None:
    told = [await Telling.begin(row, login, enter, 30) for row in rows]
    await asyncio.gather(*(each.first() for each in told))
    assert await process.stop() == 0
    await process.start(f"after_commit_before_ack:{DIES_AT[rows[0].behind]}")
    telling = asyncio.gather(*(each.rest(at_once=3) for each in told))
    try:
        assert await process.ended() == -signal.SIGKILL
        await process.start()
        await telling
    finally:
        telling.cancel()
    for each in told:
        await each.is_stored_once(line)


DIES_AT: Mapping[str, int] = {"nothing": 2, "broker": 1, "edge": 10}
"""At which COMMIT. A broker hands over at once what a device says bit by bit; an edge first says that it is back."""


@shows("reconnect", together=[ROWS])
async def test_a_device_comes_back_by_itself_and_loses_nothing_when_the_process_is_gone_for_a_while(
    rows: Sequence[Row], process: IngestProcess, login: NewLogin, enter: Enter, line: Line
) -> None:
    told = [await Telling.begin(row, login, enter, 30) for row in rows]
    await asyncio.gather(*(each.first() for each in told))
    for each in told:
        await each.is_stored_once(line, FIRST)
    await process.stop(signal.SIGKILL)
    telling = [asyncio.create_task(each.rest()) for each in told]
    try:
        await asyncio.sleep(0.5)
        for each, waiting in zip(told, telling, strict=True):
            assert waiting.done() is (each.row.behind == "broker"), "whoever has promised to keep it waits"
        await process.start()
        await asyncio.gather(*telling)
    finally:
        for waiting in telling:
            waiting.cancel()
    for each in told:
        await each.is_stored_once(line)


@dataclass
class Telling:
    """One device of a row, and what it has to say."""

    row: Row
    device: Login
    speaker: Speaker
    readings: Sequence[Reading]

    @classmethod
    async def begin(cls, row: Row, login: NewLogin, enter: Enter, count: int) -> "Telling":
        device = await login(row)
        return cls(row, device, await enter(row, device), numbered(count, now_ms() - 60_000))

    async def first(self) -> None:
        await tell_all(self.speaker, self.readings[:FIRST])

    async def rest(self, at_once: int = 20) -> None:
        await tell_all(self.speaker, self.readings[FIRST:], at_once)

    async def is_stored_once(self, line: Line, count: int | None = None) -> None:
        count = len(self.readings) if count is None else count
        await until(lambda: len(numbers(line, self.device)) >= count)
        assert numbers(line, self.device) == list(range(count)), str(self.row)


# ── auth ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@shows("auth")
async def test_who_has_no_right_to_send_sends_nothing(row: Row, login: NewLogin, enter: Enter, line: Line) -> None:
    device, other = await login(row), await login(row)
    stranger, thief = replace(device, token="tgd_not_its_token"), replace(device, token=other.token)
    for nobody in (stranger, thief):
        with pytest.raises(Refused):
            await (await enter(row, nobody)).tell(Reading({"temperature": 1}))
    speaker = await enter(row, device)
    await speaker.tell(Reading({"temperature": 2}))
    await until(lambda: stored(line, device))
    await _shut_out(row, device)
    with pytest.raises(Refused):
        await _goes_on(speaker)
    values = [values for *_, values in stored(line, device)]
    assert {"temperature": 2} in values
    assert {"temperature": 1} not in values


async def _shut_out(row: Row, device: Login) -> None:
    """Whoever lets it in does so no more."""
    if row.behind == "broker":
        await device.broker.expel(device.name)
        return
    async with device.tenant.store.as_tenant(device.tenant.principal()) as tx:
        [credential] = (await devices.credentials_of(tx, [device.who.id]))[device.who.id]
        await devices.revoke_credential(tx, credential.id)


@shows("auth", [row for row in DEVICES if row.behind == "broker"])
async def test_behind_a_broker_nobody_speaks_for_another_and_who_is_suspended_is_heard_no_more(
    row: Row, login: NewLogin, enter: Enter, line: Line
) -> None:
    device, other = await login(row), await login(row)
    speaker, tenant = await enter(row, device), device.tenant
    client = DeviceClient("127.0.0.1", device.broker.port, device.name, device.token)
    await client.connect()  # with its own name, and on another's topic
    await client.publish(f"t/{other.name}/up/telemetry", b'{"temperature": 1}')
    await speaker.tell(Reading({"temperature": 2}))
    await until(lambda: line.stored(tenant))
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.suspend(tx, device.device.id)
    await speaker.tell(Reading({"temperature": 3}))
    await until(lambda: line.counts(tenant)[str(device.device.id)][4] == 1)
    assert [(who, values) for who, *_, values in line.stored(tenant)] == [(device.device.id, {"temperature": 2})]
    await client.close()


async def _goes_on(speaker: Speaker) -> None:
    """Until it is told that it has no right any more."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            await speaker.tell(Reading({"temperature": 3}))
            await asyncio.sleep(0.05)


# ── back-pressure ───────────────────────────────────────────────────────────────────────────────────────────────────

BOUND = 20


@pytest.fixture
def writers(monkeypatch: pytest.MonkeyPatch) -> list[Writer]:
    """The writers of processes run in this one, which take no more than BOUND readings at a time."""
    made: list[Writer] = []

    class Narrow(Writer):
        def __init__(self, *needed: Any, **more: Any) -> None:
            super().__init__(*needed, max_waiting=BOUND, patience_s=PATIENCE_S, **more)
            made.append(self)

    monkeypatch.setattr(service, "Writer", Narrow)
    return made


@asynccontextmanager
async def running_here(process: IngestProcess) -> AsyncIterator[None]:
    """The whole of an ingest process, in this one."""
    stopping = asyncio.Event()
    running = asyncio.create_task(service.run(process.settings, stopping))
    try:
        await until(lambda: running.done() or _is_open(process.internal_port))
        yield
    finally:
        stopping.set()
        async with asyncio.timeout(PATIENCE_S):
            await running


def _is_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@shows("back-pressure", DEVICES)
async def test_while_the_database_stands_still_no_more_is_taken_than_the_bound_and_nothing_is_acknowledged(
    row: Row, postgres: Postgres, writers: list[Writer], login: NewLogin, enter: Enter, line: Line, tmp_path: Path
) -> None:
    asked = await login(row)
    async with AsyncExitStack() as around:
        proxy = await around.enter_async_context(proxy_to(postgres.port))
        broker = asked.broker
        if row.behind == "broker":  # one that nobody else takes from
            broker = await around.enter_async_context(mosquitto(tmp_path / "broker"))
            await broker.admit(asked.name, asked.token)
        url = postgres.url("ingest").replace(f":{postgres.port}/", f":{proxy.port}/")
        process = IngestProcess(url, tmp_path / "ingest.log", broker_url=broker.url if row.behind == "broker" else "")
        await around.enter_async_context(running_here(process))
        if row.behind == "broker":
            await shared(broker)
        device = replace(asked, process=process, broker=broker)
        speaker = await enter(row, device)
        readings = numbered(101, now_ms() - 60_000)
        await speaker.tell(readings[0])
        await until(lambda: len(numbers(line, device)) == 1)
        proxy.fall_silent()
        telling = asyncio.create_task(tell_all(speaker, readings[1:], at_once=100))
        try:
            [writer] = writers
            for _ in range(50):
                await asyncio.sleep(0.02)
                assert writer.waiting <= BOUND
            assert telling.done() is (row.behind == "broker")
            assert len(numbers(line, device)) == 1
            proxy.speak_again()
            await telling
        finally:
            telling.cancel()
        await until(lambda: len(numbers(line, device)) >= 101)
        await speaker.close()
    assert numbers(line, device) == list(range(101))


# ── poison, load ────────────────────────────────────────────────────────────────────────────────────────────────────

POISON, GOOD, SENDERS = 200, 2_000, 4


@shows("poison", DEVICES)
async def test_poison_lies_in_the_inbox_to_the_last_message_and_harms_nothing_beside_it(
    row: Row, login: NewLogin, enter: Enter, line: Line, tenant: Tenant
) -> None:
    now = now_ms()
    senders = [await login(row) for _ in range(SENDERS)]
    speakers = [await enter(row, each) for each in senders]
    wrong = [poison(number, now) for number in range(POISON)]

    async def mixed(nth: int) -> None:
        """One poisonous message among ten good ones, all the way."""
        good = numbered(GOOD // SENDERS, now - 60_000)
        each = len(good) // (POISON // SENDERS)
        for turn, (payload, _) in enumerate(wrong[nth::SENDERS]):
            await asyncio.gather(
                speakers[nth].babble(payload),
                tell_all(speakers[nth], good[turn * each : (turn + 1) * each], at_once=10),
            )

    async with asyncio.timeout(3 * PATIENCE_S), asyncio.TaskGroup() as group:
        for nth in range(SENDERS):
            group.create_task(mixed(nth))
    await until(lambda: sum(counted[0] for counted in line.counts(tenant).values()) >= GOOD + POISON)
    for each in senders:
        assert numbers(line, each) == list(range(GOOD // SENDERS))
    told = line.counts(tenant)
    for each in senders:
        received, stored, duplicates, rejected, refused, _ = told[str(each.device.id)]
        assert (received, duplicates, refused) == (stored + rejected, 0, 0)
        assert (stored, rejected) == (GOOD // SENDERS, POISON // SENDERS)
    kept = line.inbox(tenant)
    assert len(kept) + sum(counted[5] for counted in told.values()) == POISON
    reasons = {payload: str(reason) for payload, reason in wrong}
    assert all(reasons[bytes(payload)] == reason for _, reason, _, payload in kept)
    assert {reason for _, reason, _, _ in kept} == set(reasons.values())


@shows("load", DEVICES)
async def test_many_devices_at_once_are_all_heard(
    row: Row, login: NewLogin, enter: Enter, line: Line, figure: Callable[[str], None]
) -> None:
    senders = [await login(row) for _ in range(10)]
    speakers = await asyncio.gather(*(enter(row, each) for each in senders))
    began, at = time.monotonic(), now_ms() - 60_000
    await asyncio.gather(*(tell_all(speaker, numbered(50, at), at_once=5) for speaker in speakers))
    figure(f"{row}: 10 devices, 500 readings acknowledged in {time.monotonic() - began:.1f} s (beside other tests)")
    await until(lambda: all(len(numbers(line, each)) >= 50 for each in senders))
    assert [numbers(line, each) for each in senders] == [list(range(50))] * 10


@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_what_was_rejected_is_stored_once_its_profile_is_mended_and_somebody_asks(
    row: Row, login: NewLogin, enter: Enter, line: Line
) -> None:
    device = await login(row)
    speaker = await enter(row, device)
    await speaker.babble(b'{"temperature": 500}')
    await until(lambda: line.inbox(device.tenant))
    tenant = device.tenant
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.profile_change(tx, device.device.profile_id, metrics=(MENDED,))
        [group] = (await inbox.groups(tx)).items
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await inbox.replay_group(tx, group.id)
    await until(lambda: stored(line, device))
    assert [values for *_, values in stored(line, device)] == [{"temperature": 500}]
    assert line.inbox(tenant) == []
