"""What lies in the inbox is decided again by the mended profile, once, whatever happens meanwhile."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg import errors as psycopg_errors

from engine.clock import now_ms
from engine.devices import groups as device_groups
from engine.devices import service as devices
from engine.devices.model import Device, Metric, MetricType
from engine.drain import Drain
from engine.inbox import errors
from engine.inbox import service as inbox
from engine.inbox.model import Group, Rejected
from engine.store.pool import Store
from engine.telemetry import service as telemetry
from engine.telemetry.model import Count
from engine.tenancy import SCOPES, Principal, Role
from infra.local.postgres import Postgres
from ingest import decode, statements
from ingest.adapters.base import Message, Verdict
from ingest.batch import Row
from ingest.database import Database
from ingest.rejected import Inbox
from ingest.replay import Replay
from ingest.trim import trim
from schema.wire.payloads import Reason
from tests.support.line import Line, decision, running_line
from tests.support.tenant import Tenant


@contextlib.asynccontextmanager
async def replaying(postgres: Postgres) -> AsyncIterator[Replay]:
    """The part of an ingest process that decides again, told by hand."""
    replay = Replay(Database(postgres.url("ingest"), timeout_s=20), list, lambda _: None)
    try:
        yield replay
    finally:
        await replay.close()


async def groups(tenant: Tenant) -> list[Group]:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        return list((await inbox.groups(tx, first=200)).items)


async def messages(tenant: Tenant) -> list[Rejected]:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        return list((await inbox.page(tx)).items)


async def ask(tenant: Tenant, group_id: UUID) -> int:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        return (await inbox.replay_group(tx, group_id)).waiting


async def mend(tenant: Tenant, *metrics: Metric) -> None:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        profile = await devices.profile(tx, (await tenant.profile()).id)
        await devices.profile_change(tx, profile.id, metrics=metrics)


async def counts(tenant: Tenant, worker: Store) -> list[Count]:
    while await Drain(worker).run(tenant.id):
        pass
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        return await telemetry.counts(tx)


def total(counted: list[Count]) -> tuple[int, ...]:
    return tuple(
        sum(getattr(each, name) for each in counted)
        for name in ("received", "stored", "duplicates", "rejected", "refused", "not_kept")
    )


async def wrong(line: Line, tenant: Tenant, device: Device, number: int) -> list[dict[str, object]]:
    """Readings of a device whose profile is mistaken about its temperature."""
    at = now_ms() - 60_000
    sent = [{"time": at + n, "seq": n, "values": {"temperature": 1_000 + n}} for n in range(number)]
    assert set(await asyncio.gather(*(line.send(tenant, device, each) for each in sent))) == {Verdict.REJECTED}
    return sent


async def test_once_the_profile_is_mended_a_group_is_stored_each_message_once_and_the_counts_move(
    postgres: Postgres, tenant: Tenant, worker_store: Store
) -> None:
    device, other = await tenant.device(), await tenant.device()
    async with running_line(postgres) as line, replaying(postgres) as replay:
        sent = await wrong(line, tenant, device, 20)
        await wrong(line, tenant, other, 5)
        await line.send(tenant, device, {"temperature": 20})
        [group] = await groups(tenant)
        assert (group.reason, group.about, group.count, group.kept, group.devices) == (
            "RANGE",
            "temperature",
            25,
            25,
            2,
        )
        assert total(await counts(tenant, worker_store)) == (26, 1, 0, 25, 0, 0)

        assert await ask(tenant, group.id) == 25
        await replay._work({str(tenant.id)})
        [still] = await groups(tenant)
        assert (still.count, still.kept, still.waiting, still.failed) == (25, 25, 0, 25), "nothing was mended yet"

        await mend(tenant, Metric("temperature", MetricType.NUMBER, "Temperature", "°C", -60, 5_000))
        assert await ask(tenant, group.id) == await ask(tenant, group.id) == 25
        await asyncio.gather(replay._work({str(tenant.id)}), replay._work({str(tenant.id)}))
        stored = [
            (time, seq, values) for owner, time, seq, values in line.stored(tenant) if owner == device.id and seq >= 0
        ]
        assert stored == [(each["time"], each["seq"], each["values"]) for each in sent]
        assert await groups(tenant) == []
        assert await messages(tenant) == []
        counted = await counts(tenant, worker_store)
        assert total(counted) == (26, 26, 0, 0, 0, 0)
        assert all(c.received == c.stored + c.duplicates + c.rejected + c.refused and c.rejected >= 0 for c in counted)


async def test_two_processes_that_replay_at_once_and_one_that_dies_before_its_commit_store_each_message_once(
    postgres: Postgres, tenant: Tenant, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = await tenant.device()
    async with running_line(postgres) as line, replaying(postgres) as one, replaying(postgres) as other:
        await wrong(line, tenant, device, 600)
        await mend(tenant, Metric("temperature", MetricType.NUMBER))
        [group] = await groups(tenant)
        await ask(tenant, group.id)

        async def dies(*_: object) -> None:
            raise psycopg_errors.AdminShutdown("killed")

        with monkeypatch.context() as patch:
            patch.setattr(statements, "append", dies)
            with pytest.raises(psycopg_errors.AdminShutdown):
                await one._work({str(tenant.id)})
        assert line.stored(tenant) == []
        assert (await groups(tenant))[0].waiting == 600, "it waits as before"
        await asyncio.gather(one._work({str(tenant.id)}), other._work({str(tenant.id)}))
        assert [seq for _, _, seq, _ in line.stored(tenant)] == list(range(600))
        assert total(await counts(tenant, worker_store)) == (600, 600, 0, 0, 0, 0)


async def test_what_is_stored_already_ends_as_a_duplicate_and_what_conflicts_says_so(
    postgres: Postgres, tenant: Tenant, worker_store: Store
) -> None:
    device, at = await tenant.device(), now_ms() - 60_000
    async with running_line(postgres) as line, replaying(postgres) as replay:
        for values in ({"temperature": 1_000}, {"temperature": 2_000}):
            assert await line.send(tenant, device, {"time": at, "seq": 1, "values": values}) is Verdict.REJECTED
        await mend(tenant, Metric("temperature", MetricType.NUMBER))
        await asyncio.sleep(0)
        line.directory.forget_all()
        assert (
            await line.send(tenant, device, {"time": at, "seq": 1, "values": {"temperature": 1_000}}) is Verdict.STORED
        )
        [group] = await groups(tenant)
        await ask(tenant, group.id)
        await replay._work({str(tenant.id)})
        [left] = await messages(tenant)
        assert (left.reason, left.about, left.payload.count(b"2000")) == ("CONFLICT", "", 1)
        [now] = await groups(tenant)
        assert (now.reason, now.count, now.failed) == ("CONFLICT", 1, 1)
        assert total(await counts(tenant, worker_store)) == (3, 1, 1, 1, 0, 0)


async def test_what_a_gateway_said_for_a_child_is_the_childs_once_that_is_registered_and_names_the_gateway(
    postgres: Postgres, tenant: Tenant, worker_store: Store
) -> None:
    gateway = await tenant.device("plant")
    async with running_line(postgres) as line, replaying(postgres) as replay:

        async def says(what: str, payload: bytes) -> None:
            told = asyncio.Queue[Verdict]()
            message = Message(decision(tenant, gateway), f"up/child/freezer/{what}", payload, 1, time.time())
            line.pipeline.reject(message, Reason.CHILD, "No device freezer in service.", told.put_nowait)
            assert await told.get() is Verdict.REJECTED

        async def replayed() -> dict[str, tuple[UUID, str]]:
            for group in await groups(tenant):
                await ask(tenant, group.id)
            await replay._work({str(tenant.id)})
            return {each.topic: (each.device_id, each.reason) for each in await messages(tenant)}

        await says("telemetry", b'{"temperature": 4}')
        await says("telemetry", b'{"temperature": 1000}')
        await says("status", b'{"connected": true}')
        assert await line.send(tenant, gateway, b"{}", topic="up/child/a b/telemetry") is Verdict.REJECTED
        before = await replayed()
        assert before.keys() == {"up/child/freezer/telemetry", "up/child/freezer/status", "up/child/a b/telemetry"}
        child = await tenant.device("freezer")
        assert await replayed() == before, "it names no gateway"
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            await devices.change(tx, child.id, labels={"gateway": "plant"})
            await devices.suspend(tx, gateway.id)
        assert await replayed() == before, "who is suspended speaks for nobody"
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            await devices.resume(tx, gateway.id)
        left = await replayed()
        assert left == {
            "up/telemetry": (child.id, "RANGE"),
            "up/child/freezer/status": (gateway.id, "CHILD"),
            "up/child/a b/telemetry": (gateway.id, "TOPIC"),
        }
        assert [(device, values) for device, _, _, values in line.stored(tenant)] == [(child.id, {"temperature": 4})]
        assert {each.reason: each.count for each in await groups(tenant)} == {"RANGE": 1, "CHILD": 1, "TOPIC": 1}
        assert total(await counts(tenant, worker_store)) == (4, 1, 0, 3, 0, 0)
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            assert total(await telemetry.counts(tx, device_id=child.id)) == (2, 1, 0, 1, 0, 0)
            assert total(await telemetry.counts(tx, device_id=gateway.id)) == (2, 0, 0, 2, 0, 0)


async def test_what_is_older_than_is_kept_now_is_not_brought_back(postgres: Postgres, tenant: Tenant) -> None:
    device, day_ms = await tenant.device(), 86_400_000
    async with running_line(postgres) as line, replaying(postgres) as replay:
        for days in (1, 6):
            said = {"time": now_ms() - days * day_ms, "values": {"temperature": 1_000}}
            assert await line.send(tenant, device, said) is Verdict.REJECTED
        await mend(tenant, Metric("temperature", MetricType.NUMBER))
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            await devices.profile_change(tx, (await tenant.profile()).id, retention_days=5)
        [group] = await groups(tenant)
        await ask(tenant, group.id)
        await replay._work({str(tenant.id)})
        assert len(line.stored(tenant)) == 1
        [left] = await messages(tenant)
        assert (left.reason, "kept for 5" in left.message) == ("TOO_OLD", True)


async def test_a_reading_of_a_list_is_replayed_as_one_and_what_was_cut_not_at_all(
    postgres: Postgres, tenant: Tenant
) -> None:
    device, at = await tenant.device(), now_ms() - 60_000
    async with running_line(postgres) as line, replaying(postgres) as replay:
        await line.send(tenant, device, [{"temperature": 5}, {"time": at, "values": {"humidity": 150}}])
        await line.send(tenant, device, b'{"mode": "' + b"x" * 9_000 + b'"}')
        by_reason = {each.reason: each for each in await groups(tenant)}
        assert set(by_reason) == {"SHAPE", "RANGE", "VALUE_TOO_LARGE"}
        await mend(tenant, Metric("humidity", MetricType.NUMBER), Metric("mode", MetricType.OBJECT))
        for reason in ("SHAPE", "RANGE"):
            await ask(tenant, by_reason[reason].id)
        with pytest.raises(errors.NothingKept):
            await ask(tenant, by_reason["VALUE_TOO_LARGE"].id)
        await replay._work({str(tenant.id)})
        assert [(time, values) for _, time, _, values in line.stored(tenant)] == [(at, {"humidity": 150})]
        assert {each.reason for each in await messages(tenant)} == {"SHAPE", "VALUE_TOO_LARGE"}


async def test_a_message_of_a_suspended_device_waits_for_its_return(postgres: Postgres, tenant: Tenant) -> None:
    device = await tenant.device()
    async with running_line(postgres) as line, replaying(postgres) as replay:
        await wrong(line, tenant, device, 2)
        await mend(tenant, Metric("temperature", MetricType.NUMBER))
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            await devices.suspend(tx, device.id)
        [group] = await groups(tenant)
        await ask(tenant, group.id)
        await replay._work({str(tenant.id)})
        assert {(each.reason, "suspended" in each.message) for each in await messages(tenant)} == {("RANGE", True)}
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            await devices.resume(tx, device.id)
        await ask(tenant, group.id)
        await replay._work({str(tenant.id)})
        assert len(line.stored(tenant)) == 2


async def test_what_the_database_cannot_hold_and_what_nobody_can_read_costs_itself_alone(
    postgres: Postgres, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = await tenant.device()
    async with running_line(postgres) as line, replaying(postgres) as replay:
        await wrong(line, tenant, device, 4)
        await mend(tenant, Metric("temperature", MetricType.NUMBER))
        [group] = await groups(tenant)
        await ask(tenant, group.id)
        store, read = statements.store, decode.load

        async def picky(connection: statements.Connection, rows: Sequence[Row]) -> Any:
            if any(row.seq == 1 for row in rows):
                await connection.execute("SELECT 1 / 0")
            return await store(connection, rows)

        def clumsy(payload: bytes) -> Any:
            return 1 / 0 if b'"seq":2' in payload else read(payload)

        monkeypatch.setattr(statements, "store", picky)
        monkeypatch.setattr(decode, "load", clumsy)
        await replay._work({str(tenant.id)})
        assert [seq for _, _, seq, _ in line.stored(tenant)] == [0, 3]
        assert {(each.reason, each.is_waiting) for each in await messages(tenant)} == {("UNSTORABLE", False)}


async def test_what_is_discarded_stays_counted_as_rejected_and_not_kept(
    postgres: Postgres, tenant: Tenant, worker_store: Store
) -> None:
    device = await tenant.device()
    async with running_line(postgres) as line:
        await wrong(line, tenant, device, 3)
        await line.send(tenant, device, b"nonsense")
        newest, *_ = await messages(tenant)
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            await inbox.discard(tx, newest.id)
        [group] = await groups(tenant)
        assert (group.reason, group.count) == ("RANGE", 3)
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            await inbox.discard_group(tx, group.id)
        assert await groups(tenant) == []
        assert total(await counts(tenant, worker_store)) == (4, 0, 0, 4, 0, 4)
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            with pytest.raises(errors.GroupNotFound):
                await inbox.replay_group(tx, group.id)


async def test_beyond_its_bound_a_tenants_inbox_loses_its_oldest_and_says_so(
    postgres: Postgres, tenant: Tenant, neighbour: Tenant, worker_store: Store
) -> None:
    device, other = await tenant.device(), await neighbour.device()
    async with running_line(postgres) as line:
        await wrong(line, neighbour, other, 12)
        for n in range(3):
            await line.send(tenant, device, {"mode": n})
        await wrong(line, tenant, device, 10)
        database = Database(postgres.url("ingest"), timeout_s=20)
        assert await trim(database, {tenant.id}, most=10) == 3
        assert await trim(database, {tenant.id}, most=10) == 0
        assert {each.reason for each in await messages(tenant)} == {"RANGE"}
        assert {(each.reason, each.count, each.kept) for each in await groups(tenant)} == {
            ("RANGE", 10, 10),
            ("TYPE", 3, 0),
        }
        assert total(await counts(tenant, worker_store)) == (13, 0, 0, 13, 0, 3)
        assert len(await messages(neighbour)) == 12, "another tenant's was not asked for"
        assert await trim(database, {neighbour.id}) == 0
        assert await trim(database, {neighbour.id}, days=-1) == 12, "it is older than tomorrow"
        await database.drop()


async def test_broken_firmware_is_counted_to_the_last_message_and_kept_within_its_bounds(
    postgres: Postgres, tenant: Tenant, worker_store: Store
) -> None:
    each = await tenant.device(), await tenant.device()
    async with running_line(postgres, inbox=Inbox(kept_per_hour=50, kept_of_a_fault=60)) as line:
        for device in each:
            await wrong(line, tenant, device, 100)
        await asyncio.gather(*(line.send(tenant, each[0], {f"{'x' * n}": [n]}) for n in range(1, 65)))
        found = {(group.reason, group.about): group for group in await groups(tenant)}
        flood = found["RANGE", "temperature"]
        assert (flood.count, flood.kept, flood.devices) == (200, 60, 2)
        of_lists = [group for (reason, _), group in found.items() if reason == "TYPE"]
        assert sum(group.count for group in of_lists) == 64
        assert sum(group.kept for group in of_lists) == 0, "the device has had its fifty"
        assert len(of_lists) <= 51
        assert total(await counts(tenant, worker_store)) == (264, 0, 0, 264, 0, 204)


async def test_who_is_limited_replays_and_discards_what_their_devices_sent_and_a_neighbour_nothing(
    postgres: Postgres, tenant: Tenant, neighbour: Tenant
) -> None:
    mine, other = await tenant.device(), await tenant.device()
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        of_mine = await device_groups.create(tx, key="mine", name="Mine")
        await device_groups.add_devices(tx, of_mine.id, [mine.id])
    async with running_line(postgres) as line:
        await wrong(line, tenant, mine, 2)
        await wrong(line, tenant, other, 3)
        [whole] = await groups(tenant)
        theirs = next(each for each in await messages(tenant) if each.device_id == other.id)
        scopes = SCOPES[Role.OPERATOR]
        who = Principal(tenant.id, "user", uuid4(), scopes, "site@seven.example", groups=frozenset({of_mine.id}))
        async with tenant.store.as_tenant(who) as tx:
            assert {each.device_id for each in (await inbox.page(tx)).items} == {mine.id}
            [part] = (await inbox.groups(tx)).items
            assert (part.id, part.count, part.kept, part.devices) == (whole.id, 2, 2, 1)
            assert (await inbox.replay_group(tx, whole.id)).waiting == 2
            for act in (inbox.get, inbox.replay, inbox.discard):
                with pytest.raises(errors.MessageNotFound):
                    await act(tx, theirs.id)
        assert [each.waiting for each in await groups(tenant)] == [2]
        async with tenant.store.as_tenant(who) as tx:
            assert (await inbox.discard_group(tx, whole.id)).count == 2
        async with neighbour.store.as_tenant(neighbour.principal()) as tx:
            for act in (inbox.get, inbox.replay, inbox.discard):
                with pytest.raises(errors.MessageNotFound):
                    await act(tx, theirs.id)
            for of_group in (inbox.group, inbox.replay_group, inbox.discard_group):
                with pytest.raises(errors.GroupNotFound):
                    await of_group(tx, whole.id)
        assert [(each.count, each.kept, each.waiting) for each in await groups(tenant)] == [(3, 3, 0)]
