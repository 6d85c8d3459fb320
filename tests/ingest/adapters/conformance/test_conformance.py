"""One suite for every way in: what a protocol promises to a device is kept alike, whatever it is called there.

Rows are in `rows`, columns in `speaker`; what is found is the adapters' scorecard.
"""

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
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
from infra.local.postgres import Postgres
from ingest import service
from ingest.writer import Writer
from tests.ingest.adapters.conformance.conftest import Enter
from tests.ingest.adapters.conformance.documents import poison
from tests.ingest.adapters.conformance.rows import ROWS
from tests.ingest.adapters.conformance.scorecard import Scorecard, shows
from tests.ingest.adapters.conformance.speaker import Login, Reading, Refused, Row, Speaker
from tests.support.line import Line
from tests.support.patience import PATIENCE_S
from tests.support.process import IngestProcess
from tests.support.proxy import proxy_to
from tests.support.tenant import Tenant

pytestmark = pytest.mark.usefixtures("scorecard")

NewLogin = Callable[[], Awaitable[Login]]
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


def numbers(line: Line, login: Login) -> list[int]:
    """Which of them are stored, in order; twice what is stored twice."""
    return sorted(values["n"] for device, *_, values in line.stored(login.tenant) if device == login.device.id)


# ── uplink ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@shows("uplink")
async def test_what_a_device_measures_is_stored_as_it_said_it(
    row: Row, login: NewLogin, enter: Enter, line: Line
) -> None:
    device, at = await login(), now_ms() - 60_000
    told = [
        Reading({"temperature": 4.25, "door_open": False, "mode": "eco"}, at, 1),
        Reading({"temperature": -3, "humidity": 55.5}, at + 1_500, 2),
    ]
    speaker = await enter(row, device)
    for reading in told:
        await speaker.tell(reading)
    await until(lambda: len(line.stored(device.tenant)) == 2)
    stored = [(time_ms, seq, values) for _, time_ms, seq, values in line.stored(device.tenant)]
    assert [values for *_, values in stored] == [reading.values for reading in told]
    if row.times:
        assert [(time_ms, seq) for time_ms, seq, _ in stored] == [(reading.time_ms, reading.seq) for reading in told]


# ── downlink ────────────────────────────────────────────────────────────────────────────────────────────────────────


@shows("downlink")
async def test_a_command_that_waits_and_one_that_comes_reach_their_device_and_are_answered(
    row: Row, login: NewLogin, enter: Enter, worker_store: Store
) -> None:
    device = await login()
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
    speaker = await enter(row, device)
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


@shows("ack after COMMIT")
async def test_what_was_acknowledged_is_stored_once_though_the_process_dies_before_it_can_say_so(
    row: Row, process: IngestProcess, login: NewLogin, enter: Enter, line: Line
) -> None:
    device = await login()
    speaker = await enter(row, device)
    readings = numbered(30, now_ms() - 60_000)
    await tell_all(speaker, readings[:10])
    assert await process.stop() == 0
    await process.start("after_commit_before_ack:2")
    telling = asyncio.create_task(tell_all(speaker, readings[10:], at_once=3))
    try:
        assert await process.ended() == -signal.SIGKILL
        await process.start()
        await telling
    finally:
        telling.cancel()
    await until(lambda: len(numbers(line, device)) >= 30)
    assert numbers(line, device) == list(range(30))


@shows("reconnect")
async def test_a_device_comes_back_by_itself_and_loses_nothing_when_the_process_is_gone_for_a_while(
    row: Row, process: IngestProcess, login: NewLogin, enter: Enter, line: Line
) -> None:
    device = await login()
    speaker = await enter(row, device)
    readings = numbered(40, now_ms() - 60_000)
    await tell_all(speaker, readings[:20])
    await process.stop(signal.SIGKILL)
    telling = asyncio.create_task(tell_all(speaker, readings[20:]))
    try:
        await asyncio.sleep(0.5)
        assert not telling.done(), "it promised to keep what nobody took"
        await process.start()
        await telling
    finally:
        telling.cancel()
    await until(lambda: len(numbers(line, device)) >= 40)
    assert numbers(line, device) == list(range(40))


# ── auth ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@shows("auth")
async def test_who_has_no_right_to_send_sends_nothing(row: Row, login: NewLogin, enter: Enter, line: Line) -> None:
    device, other = await login(), await login()
    stranger = Login(device.process, device.tenant, device.device, "tgd_not_its_token")
    thief = Login(device.process, device.tenant, device.device, other.token)
    for nobody in (stranger, thief):
        with pytest.raises(Refused):
            await (await enter(row, nobody)).tell(Reading({"temperature": 1}))
    speaker = await enter(row, device)
    await speaker.tell(Reading({"temperature": 2}))
    async with device.tenant.store.as_tenant(device.tenant.principal()) as tx:
        [credential] = (await devices.credentials_of(tx, [device.device.id]))[device.device.id]
        await devices.revoke_credential(tx, credential.id)
    with pytest.raises(Refused):
        await _goes_on(speaker)
    values = [values for *_, values in line.stored(device.tenant)]
    assert {"temperature": 2} in values
    assert {"temperature": 1} not in values


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


@shows("back-pressure")
async def test_while_the_database_stands_still_no_more_is_taken_than_the_bound_and_nothing_is_acknowledged(
    row: Row, postgres: Postgres, writers: list[Writer], login: NewLogin, enter: Enter, line: Line, tmp_path: Path
) -> None:
    asked = await login()
    async with proxy_to(postgres.port) as proxy:
        url = postgres.url("ingest").replace(f":{postgres.port}/", f":{proxy.port}/")
        process = IngestProcess(url, tmp_path / "ingest.log")
        async with running_here(process):
            device = Login(process, asked.tenant, asked.device, asked.token)
            speaker = await enter(row, device)
            readings = numbered(101, now_ms() - 60_000)
            await speaker.tell(readings[0])
            proxy.fall_silent()
            telling = asyncio.create_task(tell_all(speaker, readings[1:], at_once=100))
            try:
                [writer] = writers
                for _ in range(50):
                    await asyncio.sleep(0.02)
                    assert writer.waiting <= BOUND
                assert not telling.done()
                assert len(numbers(line, device)) == 1
                proxy.speak_again()
                await telling
            finally:
                telling.cancel()
            await until(lambda: len(numbers(line, device)) >= 101)
            await speaker.close()
    assert numbers(line, device) == list(range(101))


# ── poison, load ────────────────────────────────────────────────────────────────────────────────────────────────────

POISON, GOOD, DEVICES = 200, 2_000, 4


@shows("poison")
async def test_poison_lies_in_the_inbox_to_the_last_message_and_harms_nothing_beside_it(
    row: Row, login: NewLogin, enter: Enter, line: Line, tenant: Tenant
) -> None:
    now = now_ms()
    senders = [await login() for _ in range(DEVICES)]
    speakers = [await enter(row, each) for each in senders]
    wrong = [poison(number, now) for number in range(POISON)]

    async def mixed(nth: int) -> None:
        """One poisonous message among ten good ones, all the way."""
        good = numbered(GOOD // DEVICES, now - 60_000)
        each = len(good) // (POISON // DEVICES)
        for turn, (payload, _) in enumerate(wrong[nth::DEVICES]):
            await asyncio.gather(
                speakers[nth].babble(payload),
                tell_all(speakers[nth], good[turn * each : (turn + 1) * each], at_once=10),
            )

    async with asyncio.timeout(3 * PATIENCE_S), asyncio.TaskGroup() as group:
        for nth in range(DEVICES):
            group.create_task(mixed(nth))
    await until(lambda: sum(counted[0] for counted in line.counts(tenant).values()) >= GOOD + POISON)
    for each in senders:
        assert numbers(line, each) == list(range(GOOD // DEVICES))
    told = line.counts(tenant)
    for each in senders:
        received, stored, duplicates, rejected, refused, _ = told[str(each.device.id)]
        assert (received, duplicates, refused) == (stored + rejected, 0, 0)
        assert (stored, rejected) == (GOOD // DEVICES, POISON // DEVICES)
    kept = line.inbox(tenant)
    assert len(kept) + sum(counted[5] for counted in told.values()) == POISON
    reasons = {payload: str(reason) for payload, reason in wrong}
    assert all(reasons[bytes(payload)] == reason for _, reason, _, payload in kept)
    assert {reason for _, reason, _, _ in kept} == set(reasons.values())


@shows("load")
async def test_many_devices_at_once_are_all_heard(
    row: Row, login: NewLogin, enter: Enter, line: Line, figure: Callable[[str], None]
) -> None:
    senders = [await login() for _ in range(10)]
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
    device = await login()
    speaker = await enter(row, device)
    await speaker.babble(b'{"temperature": 500}')
    await until(lambda: line.inbox(device.tenant))
    tenant = device.tenant
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.profile_change(tx, device.device.profile_id, metrics=(Metric("temperature", MetricType.NUMBER),))
        [group] = (await inbox.groups(tx)).items
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await inbox.replay_group(tx, group.id)
    await until(lambda: line.stored(tenant))
    assert [values for *_, values in line.stored(tenant)] == [{"temperature": 500}]
    assert line.inbox(tenant) == []


# ── the card itself ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_scorecard_has_a_line_for_every_adapter_and_shows_what_failed() -> None:
    card = Scorecard()
    assert all(f"\n| {row} |" in card.text() for row in ROWS)
    card.note(ROWS[0].name, "test_many_devices_at_once_are_all_heard", True)
    card.note(ROWS[0].name, "test_many_devices_at_once_are_all_heard", False)
    assert not card.is_whole
    assert "✓" not in card.text().partition("|---")[2]
