"""What is asked of machines behind an edge alone: they are written to, go away, fail, and say what no profile allows.

The rest they are asked with all others (`test_conformance`).
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asyncua.crypto.cert_gen import dump_private_key_as_pem
from asyncua.crypto.permission_rules import User

from engine.clock import now_ms
from engine.commands import service as commands
from engine.commands.model import Command, CommandStatus
from engine.devices import service as devices
from engine.devices.declared import Argument, ValueType
from engine.devices.declared import Command as Declared
from engine.drain import Drain
from engine.store.pool import Store
from infra.local.postgres import Postgres
from ingest.writer import Writer
from schema.wire.payloads import Reason
from tests.ingest.adapters.conformance.conftest import Enter, NewLogin
from tests.ingest.adapters.conformance.machines import SETPOINT
from tests.ingest.adapters.conformance.rows import MACHINES
from tests.ingest.adapters.conformance.scorecard import shows
from tests.ingest.adapters.conformance.speaker import Login, Reading, Row
from tests.ingest.adapters.conformance.speaks_edge import EdgeSpeaker
from tests.ingest.adapters.conformance.test_conformance import (
    BOUND,
    numbered,
    numbers,
    running_here,
    stored,
    tell_all,
    until,
    writers,
)
from tests.support.line import Line
from tests.support.opcua_plant import Bearers, Identity, OpcuaPlant, Users
from tests.support.patience import PATIENCE_S
from tests.support.process import IngestProcess
from tests.support.proxy import proxy_to

__all__ = ["writers"]

pytestmark = pytest.mark.usefixtures("scorecard")

SET = Declared("set", "Set", arguments=(Argument(SETPOINT, ValueType.NUMBER),))
DAY_MS = 24 * 3_600_000
OVER = frozenset({CommandStatus.SUCCEEDED, CommandStatus.FAILED})


@shows("uplink", [row for row in MACHINES if "time" in row.carries])
async def test_what_has_not_changed_for_longer_than_anything_is_kept_is_stored_as_of_yesterday(
    row: Row, login: NewLogin, enter: Enter, line: Line
) -> None:
    device, now = await login(row), now_ms()
    speaker: EdgeSpeaker = await enter(row, device)
    await speaker.tell(Reading({"n": 1}, now - 200 * DAY_MS))
    await speaker.tell(Reading({"n": 2}, now - 60_000))
    await until(lambda: numbers(line, device) == [1, 2])
    at = {values["n"]: time_ms for time_ms, _, values in stored(line, device)}
    assert at[2] == now - 60_000
    assert now - DAY_MS < at[1] < now - DAY_MS // 2
    assert line.inbox(device.tenant) == []


@shows("downlink", MACHINES)
async def test_what_is_ordered_is_written_to_the_machine_and_its_refusal_comes_back_in_words(
    row: Row, login: NewLogin, enter: Enter, worker_store: Store
) -> None:
    device = await login(row)
    tenant, drain = device.tenant, Drain(worker_store)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.profile_change(tx, device.device.profile_id, commands=(SET,))

    async def issue(by: int) -> Command:
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            return await commands.issue(tx, device.device.id, SET.key, {SETPOINT: by})

    async def over(command: Command) -> Command:
        async with asyncio.timeout(PATIENCE_S):
            while command.status not in OVER:
                await asyncio.sleep(0.05)
                await drain.run(tenant.id)
                async with tenant.store.as_tenant(tenant.principal()) as tx:
                    command = await commands.get(tx, command.id)
        return command

    speaker: EdgeSpeaker = await enter(row, device)
    waiting = await issue(11)
    await speaker.tell(Reading({"temperature": 4}))
    assert (await over(waiting)).status is CommandStatus.SUCCEEDED
    assert speaker.machine.written() == 11
    assert (await over(await issue(-12))).status is CommandStatus.SUCCEEDED
    assert speaker.machine.written() in (-12, 0x10000 - 12)
    await speaker.machine.forbid()
    refused = await over(await issue(13))
    assert refused.status is CommandStatus.FAILED
    assert speaker.machine.refusal in str(refused.reason)
    assert speaker.machine.written() in (-12, 0x10000 - 12)


@shows("reconnect", MACHINES)
async def test_a_machine_that_goes_away_is_told_of_and_read_again_when_it_is_back(
    row: Row, login: NewLogin, enter: Enter, line: Line
) -> None:
    device = await login(row)
    speaker: EdgeSpeaker = await enter(row, device)
    await speaker.tell(Reading({"temperature": 1, "n": 1}))
    await until(lambda: presence(line, device) == ["device.connected"])
    await speaker.machine.leave()
    await until(lambda: presence(line, device) == ["device.connected", "device.disconnected"])
    await speaker.machine.come_back()
    await speaker.tell(Reading({"temperature": 2, "n": 2}))
    await until(lambda: presence(line, device) == ["device.connected", "device.disconnected", "device.connected"])
    await until(lambda: numbers(line, device) == [1, 2])
    assert speaker.machine.gone_words in why_not(line, device)


def presence(line: Line, login: Login) -> list[str]:
    """What the platform has heard of who is there."""
    kinds = ("device.connected", "device.disconnected")
    return [
        kind for kind, body in line.journal(login.tenant) if kind in kinds and body["device"] == str(login.device.id)
    ]


def why_not(line: Line, login: Login) -> str:
    """Why the machine was not reached, in the edge's words, and since when; it was so once."""
    [why] = [
        str(body["reason"])
        for kind, body in line.journal(login.tenant)
        if kind == "device.disconnected" and body["device"] == str(login.device.id)
    ]
    assert why.endswith(" UTC")
    return why


@shows("auth", [row for row in MACHINES if row.name == "OPC-UA"])
async def test_a_server_that_nobody_has_said_is_to_be_believed_is_not_read(
    row: Row, login: NewLogin, enter: Enter, line: Line
) -> None:
    device = await login(row)
    speaker: EdgeSpeaker = await enter(row, device)
    (believed,) = (speaker.folder / "data" / "opcua" / "trusted").iterdir()
    believed.unlink()
    telling = asyncio.create_task(speaker.tell(Reading({"temperature": 1, "n": 1})))
    try:
        await until(lambda: list((speaker.folder / "data" / "opcua").glob("rejected/*")))
        await until(lambda: stored(line, replace(device, device=device.who)))  # what the edge says of itself
        assert not telling.done()
        await until(lambda: presence(line, device) == ["device.disconnected"])  # never reached, and said so
        assert "certificate" in why_not(line, device)
        assert numbers(line, device) == []
        [shown] = (speaker.folder / "data" / "opcua" / "rejected").iterdir()
        shown.rename(believed)
        await telling
    finally:
        telling.cancel()
    await until(lambda: numbers(line, device) == [1])


class Members(Users):
    """Knows who has the password, or shows this certificate; nobody else."""

    def __init__(self, der: bytes) -> None:
        super().__init__(is_open=False)
        self._bearers = Bearers(der)

    def get_user(
        self, iserver: Any, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> User | None:
        known = super().get_user(iserver, username, password)
        return known or self._bearers.get_user(iserver, username, password, certificate)


@shows("auth", [row for row in MACHINES if row.name == "OPC-UA"])
async def test_a_server_that_wants_a_login_is_read_with_the_right_one_and_a_wrong_one_is_said_to_be(
    row: Row, login: NewLogin, enter: Enter, line: Line, opcua: OpcuaPlant, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator, stranger = Identity.make(), Identity.make()
    monkeypatch.setattr(opcua.server.iserver, "user_manager", Members(operator.der))

    def by_password(folder: Path, is_right: bool) -> Mapping[str, str]:
        (folder / "word").write_text("secret" if is_right else "wrong")
        return {"user": "operator", "password_file": "word"}

    def by_certificate(folder: Path, is_right: bool) -> Mapping[str, str]:
        who = operator if is_right else stranger
        (folder / "user.der").write_bytes(who.der)
        (folder / "user.pem").write_bytes(dump_private_key_as_pem(who.key))
        return {"user_certificate": "user.der", "user_key": "user.pem"}

    async def comes_in(device: Login, way: Callable[[Path, bool], Mapping[str, str]]) -> None:
        speaker: EdgeSpeaker = await enter(row, device)
        folder = speaker.folder / "data"
        speaker.machine.connection = {**speaker.machine.connection, **way(folder, False)}
        telling = asyncio.create_task(speaker.tell(Reading({"temperature": 1, "n": 1})))
        try:
            await until(lambda: presence(line, device) == ["device.disconnected"])
            assert "check the login" in why_not(line, device)
            assert numbers(line, device) == []
            way(folder, True)
            await telling
        finally:
            telling.cancel()
        await until(lambda: numbers(line, device) == [1])

    one, other = await login(row), await login(row)
    await asyncio.gather(comes_in(one, by_password), comes_in(other, by_certificate))


@shows("back-pressure", together=[MACHINES])
async def test_while_the_database_stands_still_what_machines_say_grows_on_their_edges_disks(
    rows: Sequence[Row],
    postgres: Postgres,
    writers: list[Writer],
    login: NewLogin,
    enter: Enter,
    line: Line,
    tmp_path: Path,
) -> None:
    count = 2 * BOUND
    async with AsyncExitStack() as around:
        proxy = await around.enter_async_context(proxy_to(postgres.port))
        url = postgres.url("ingest").replace(f":{postgres.port}/", f":{proxy.port}/")
        process = IngestProcess(url, tmp_path / "ingest.log")
        await around.enter_async_context(running_here(process))
        each = [replace(await login(row), process=process) for row in rows]
        speakers: list[EdgeSpeaker] = [await enter(row, device) for row, device in zip(rows, each, strict=True)]
        readings = numbered(count, now_ms() - 60_000)
        for speaker in speakers:
            await speaker.tell(readings[0])
        await until(lambda: [numbers(line, device) for device in each] == [[0]] * len(rows))
        proxy.fall_silent()
        telling = asyncio.gather(*(tell_all(speaker, readings[1:], at_once=count) for speaker in speakers))
        try:
            [writer] = writers
            while any(speaker.edge.spool.count < count - 1 for speaker in speakers):
                assert writer.waiting <= BOUND
                await asyncio.sleep(0.02)
            assert not telling.done()
            assert [numbers(line, device) for device in each] == [[0]] * len(rows)
            proxy.speak_again()
            await telling
        finally:
            telling.cancel()
        await until(lambda: all(len(numbers(line, device)) >= count for device in each))
        for speaker in speakers:
            await speaker.close()
    assert [numbers(line, device) for device in each] == [list(range(count))] * len(rows)


@shows("poison", MACHINES)
async def test_what_the_profile_forbids_is_in_the_inbox_without_its_neighbours_and_what_a_machine_cannot_say_is_bad(
    row: Row, login: NewLogin, enter: Enter, line: Line
) -> None:
    device = await login(row)
    speaker: EdgeSpeaker = await enter(row, device)
    readings = [
        Reading(each.values if n % 5 else {"temperature": 500 + n, "n": n}, each.time_ms)
        for n, each in enumerate(numbered(20, now_ms() - 60_000))
    ]
    await tell_all(speaker, readings)
    at = now_ms() - 30_000
    await speaker.tell(Reading({"temperature": None}, at))
    await speaker.tell(Reading({"temperature": 3}, at + 1_000))
    await until(lambda: marks(line, device)[-2:] == [({}, {"temperature": "bad"}), ({"temperature": 3}, None)])
    assert numbers(line, device) == list(range(20))
    broken = [said["n"] for said, doubted in marks(line, device) if doubted is not None and "n" in said]
    # What was told together is stored without what is wrong (ADR 79): all of one read of Modbus; of others, as it came.
    assert broken == [0, 5, 10, 15] if row.name.startswith("Modbus") else {*broken} <= {0, 5, 10, 15}
    lies_there = [reason for who, reason, *_ in line.inbox(device.tenant) if who == device.device.id]
    assert lies_there == [Reason.RANGE] * 4
    whole = 4 - len(broken)
    received, kept, duplicates, rejected, refused, _ = line.counts(device.tenant)[str(device.device.id)]
    assert (received, rejected, refused) == (kept + whole, whole, 0)
    assert duplicates == 0
    failures = [body["data"] for kind, body in line.journal(device.tenant) if kind == "device.event"]
    assert [each["metric"] for each in failures] == ["temperature", "temperature"]
    assert "error" in failures[0]


def marks(line: Line, login: Login) -> list[tuple[dict[str, object], dict[str, str] | None]]:
    """Values and quality of a device's rows, in order."""
    return line.look(
        "SELECT values, quality FROM telemetry WHERE tenant_id = %s AND device_id = %s ORDER BY time, seq",
        *(login.tenant.id, login.device.id),
    )  # type: ignore[return-value]


EDGES, EACH = 2, 50


@shows("load", together=[MACHINES])
async def test_many_machines_at_once_are_all_heard(
    rows: Sequence[Row], login: NewLogin, enter: Enter, line: Line, figure: Callable[[str], None]
) -> None:
    at = now_ms() - 60_000

    async def loaded(row: Row, each: Sequence[Login]) -> None:
        speakers = [await enter(row, device) for device in each]
        began = time.monotonic()
        await asyncio.gather(*(tell_all(speaker, numbered(EACH, at), at_once=EACH) for speaker in speakers))
        took_s = time.monotonic() - began
        figure(f"{row}: {EDGES} edges, {EDGES * EACH} readings read and committed in {took_s:.1f} s (beside others)")
        await until(lambda: all(len(numbers(line, device)) >= EACH for device in each))
        assert [numbers(line, device) for device in each] == [list(range(EACH))] * EDGES

    logins = [[await login(row) for _ in range(EDGES)] for row in rows]
    await asyncio.gather(*map(loaded, rows, logins))
