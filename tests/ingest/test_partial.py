"""What is wrong with one metric is that metric's alone: the others are stored, and it can be mended (ADR 79)."""

import asyncio
from typing import Any

import psycopg

from engine.alerts import service as alerts
from engine.clock import from_ms, now_ms
from engine.devices.model import Device, Metric, MetricType
from engine.drain import Drain
from engine.inbox import service as inbox
from engine.rules import service as rules
from engine.store.pool import Store
from engine.telemetry import service as telemetry
from engine.telemetry.model import Sample, Series
from infra.local.postgres import Postgres
from ingest.adapters.base import Verdict
from ingest.database import Database
from ingest.rejected import Inbox
from ingest.replay import Replay
from ingest.trim import trim
from tests.ingest.test_replay import ask, counts, groups, mend, messages, replaying, total
from tests.support.line import Line, running_line
from tests.support.rules import too_warm
from tests.support.tenant import Tenant

STORED = Verdict.STORED

WIDE = Metric("temperature", MetricType.NUMBER, "Temperature", "°C", -60, 5_000)
NARROW = Metric("temperature", MetricType.NUMBER, "Temperature", "°C", -60, 100)
STATE = Metric("state", MetricType.STRING)
FLOW = Metric("flow", MetricType.NUMBER, "Flow", None, 0, 10)


def rows(line: Line, tenant: Tenant, device: Device) -> list[tuple[Any, ...]]:
    """Values and quality of every row of a device, by time, what was mended of a reading behind it."""
    query = "SELECT values, quality FROM telemetry WHERE tenant_id = %s AND device_id = %s ORDER BY time, source"
    return line.look(query, tenant.id, device.id)


def same(found: list[Any], expected: list[Any]) -> bool:
    """Whether these are the same rows, in whatever order."""
    return len(found) == len(expected) and all(found.count(each) == expected.count(each) for each in expected)


async def series(tenant: Tenant, device: Device, metric: str, at_ms: int) -> Series:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        return await telemetry.series(tx, device.id, metric, from_ms(at_ms - 1000), from_ms(at_ms + 60_000))


async def latest(tenant: Tenant, device: Device) -> dict[str, Sample]:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        return {each.metric: each for each in (await telemetry.latest(tx, [device.id]))[device.id]}


async def replay_all(tenant: Tenant, replay: Replay) -> None:
    """Ask for all that lies there, and decide it."""
    for group in await groups(tenant):
        await ask(tenant, group.id)
    await replay._work({str(tenant.id)})


async def send(line: Line, tenant: Tenant, device: Device, *sent: object) -> list[Verdict]:
    """By a pipeline that knows the profile as it is now."""
    line.directory.forget_all()
    return list(await asyncio.gather(*(line.send(tenant, device, each) for each in sent)))


async def test_one_bad_metric_is_left_out_marked_and_mended_and_each_message_counts_once(
    postgres: Postgres, tenant: Tenant, worker_store: Store
) -> None:
    device, at = await tenant.device(), now_ms() - 60_000
    await mend(tenant, NARROW, STATE)
    sent = [
        {"time": at, "values": {"temperature": 20, "flow": 1}},
        {"time": at + 1, "seq": 7, "values": {"flow": 2, "temperature": 999, "state": 4}},
        {"time": at + 2, "values": {"flow": 3, "temperature": {"value": 998, "unit": "°C"}}},
    ]
    async with running_line(postgres) as line, replaying(postgres) as replay:
        assert await send(line, tenant, device, *sent, *sent) == [Verdict.STORED] * 3 + [Verdict.DUPLICATE] * 3
        assert await send(line, tenant, device, *sent) == [Verdict.DUPLICATE] * 3
        good, second, third = [
            ({"temperature": 20, "flow": 1}, None),
            ({"flow": 2}, {"state": "bad", "temperature": "bad"}),
            ({"flow": 3}, {"temperature": "bad"}),
        ]
        assert same(rows(line, tenant, device), [good, second, third])
        assert total(await counts(tenant, worker_store)) == (9, 3, 6, 0, 0, 0)
        [group] = await groups(tenant)
        assert (group.reason, group.about, group.count, group.partial, group.kept) == ("RANGE", "temperature", 2, 2, 2)
        later, first = sorted(await messages(tenant), key=lambda each: len(each.left_out))
        assert (first.is_partial, first.left_out, later.left_out) == (True, ["temperature", "state"], ["temperature"])
        assert first.message == (
            "'temperature' is 999, the profile allows -60 to 100. 'state' is 4, the profile says string. The rest of "
            "the reading was stored without them. Send a value within the profile's range, or widen the range. Send "
            "the type that the device's profile names, or change the profile."
        )
        found = await latest(tenant, device)
        assert (found["temperature"].value, found["temperature"].quality, found["flow"].quality) == (20, "bad", None)
        assert "998" in str(found["temperature"].reason)
        assert (found["state"].value, found["state"].quality) == (None, "bad")
        measured = await series(tenant, device, "temperature", at)
        assert (measured.values, measured.bad) == ([20], [at + 1, at + 2])

        await mend(tenant, WIDE, STATE)  # for one of the two metrics: the other stays, and says so
        await replay_all(tenant, replay)
        assert await send(line, tenant, device, *sent) == [Verdict.DUPLICATE] * 3, "whatever its profile says now"
        mended = [good, second, ({"temperature": 999}, None), third, ({"temperature": 998}, None)]
        assert same(rows(line, tenant, device), mended)
        [left] = await messages(tenant)
        assert (left.is_partial, left.left_out, left.reason, left.about) == (True, ["state"], "TYPE", "state")
        [group] = await groups(tenant)
        assert (group.reason, group.count, group.partial, group.failed) == ("TYPE", 1, 1, 1)
        measured = await series(tenant, device, "temperature", at)
        assert (measured.values, measured.bad) == ([20, 999, 998], [])
        assert total(await counts(tenant, worker_store)) == (12, 3, 9, 0, 0, 0)
        found = await latest(tenant, device)
        assert (found["temperature"].value, found["temperature"].quality) == (998, None)

        await mend(tenant, WIDE, Metric("state", MetricType.NUMBER))
        await replay_all(tenant, replay)
        assert ({"state": 4}, None) in rows(line, tenant, device)
        assert (await groups(tenant), await messages(tenant)) == ([], [])
        assert await send(line, tenant, device, sent[1], {**sent[1], "values": {"flow": 4}}) == [
            Verdict.DUPLICATE,
            Verdict.REJECTED,
        ], "another reading of this seq is a conflict as ever"
        assert total(await counts(tenant, worker_store)) == (14, 3, 10, 1, 0, 0)


def told(name: str, when: dict[str, Any]) -> dict[str, Any]:
    return too_warm(name=name, when=when)


RULES = (
    told("warm", {"metric": "temperature", "op": ">", "value": 8}),
    told("flows", {"metric": "flow", "op": ">", "value": 5}),
    told("mean", {"metric": "temperature", "agg": {"fn": "avg", "over": "1h"}, "op": ">", "value": 100}),
    told("often", {"metric": "temperature", "agg": {"fn": "count", "over": "1h"}, "op": ">=", "value": 3}),
)
"""Of one number each: as it is, of another metric of the same message, and over an hour."""


async def test_rules_and_windows_hear_of_what_was_stored_and_of_what_was_left_out_when_it_is_mended(
    postgres: Postgres, tenant: Tenant, worker_store: Store
) -> None:
    device, at, drain = await tenant.device(), now_ms() - 60_000, Drain(worker_store)
    await mend(tenant, NARROW, FLOW)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        names = {(await rules.create(tx, each)).id: str(each["name"]) for each in RULES}

    async def alerted() -> dict[str, str]:
        while await drain.run(tenant.id):
            pass
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            found = (await alerts.page(tx, first=200)).items
        return {names[each.rule_id]: each.status.value for each in sorted(found, key=lambda each: each.episode)}

    async with running_line(postgres) as line, replaying(postgres) as replay:
        assert await send(line, tenant, device, {"time": at, "values": {"temperature": 20, "flow": 1}}) == [STORED]
        assert await alerted() == {"warm": "active"}
        sent = {"time": at + 1_000, "values": {"temperature": -999, "flow": 9}}
        assert await send(line, tenant, device, sent) == [STORED]
        assert await alerted() == {"warm": "active", "flows": "active"}, "it is not cleared by what was left out"
        sent = {"time": at + 2_000, "values": {"temperature": 5, "flow": 99}}
        assert await send(line, tenant, device, sent) == [STORED]
        assert await alerted() == {"warm": "cleared", "flows": "active"}
        sent = {"time": at + 3_000, "values": {"temperature": 999, "flow": 2}}
        assert await send(line, tenant, device, sent) == [STORED]
        assert await alerted() == {"warm": "cleared", "flows": "cleared"}, "and nothing fires by it"
        await mend(tenant, WIDE, FLOW)
        await replay_all(tenant, replay)
        assert await alerted() == {"warm": "active", "flows": "cleared", "mean": "active", "often": "active"}


async def test_what_is_stored_whole_stays_the_same_reading_when_the_profile_becomes_narrower(
    postgres: Postgres, tenant: Tenant
) -> None:
    device, at = await tenant.device(), now_ms() - 60_000
    sent = [
        {"time": at, "seq": 1, "values": {"temperature": 500, "flow": 1}},
        {"time": at, "values": {"temperature": 500, "flow": 1}},
        {"time": at + 1, "values": {"temperature": {"value": 900, "unit": "[degF]"}, "flow": 1}},
    ]
    await mend(tenant, WIDE)
    async with running_line(postgres) as line:
        assert await send(line, tenant, device, *sent) == [Verdict.STORED] * 3
        await mend(tenant, NARROW)
        assert await send(line, tenant, device, *sent) == [Verdict.DUPLICATE] * 3
        assert (len(line.stored(tenant)), line.inbox(tenant)) == (3, [])


async def test_what_was_rejected_whole_may_be_stored_in_part_and_the_others_lie_there_from_then_on(
    postgres: Postgres, tenant: Tenant, worker_store: Store
) -> None:
    device, at = await tenant.device(), now_ms() - 60_000
    await mend(tenant, NARROW, STATE)
    async with running_line(postgres) as line, replaying(postgres) as replay:
        sent = [{"time": at, "values": {"temperature": 999, "state": 4}}, {"temperature": -999, "state": 5}]
        assert await send(line, tenant, device, sent, sent[1]) == [Verdict.REJECTED] * 2
        assert [each.partial for each in await groups(tenant)] == [0, 0]
        await mend(tenant, WIDE, STATE)
        await replay_all(tenant, replay)
        assert rows(line, tenant, device) == [({"temperature": 999}, {"state": "bad"})]
        assert {(each.reason, each.about, each.is_partial) for each in await messages(tenant)} == {
            ("SHAPE", "", False),
            ("RANGE", "temperature", False),
            ("TYPE", "state", True),
        }
        assert total(await counts(tenant, worker_store)) == (3, 1, 0, 2, 0, 0)


async def test_what_was_left_out_is_bounded_thrown_away_and_trimmed_and_no_count_hears_of_it(
    postgres: Postgres, tenant: Tenant, worker_store: Store
) -> None:
    device = await tenant.device()
    async with running_line(postgres, inbox=Inbox(kept_per_hour=3)) as line:
        sent = [{"temperature": 999, "flow": n} for n in range(5)]
        assert await send(line, tenant, device, *sent) == [Verdict.STORED] * 5
        [group] = await groups(tenant)
        assert (group.count, group.partial, group.kept) == (5, 5, 3)
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            await inbox.discard(tx, (await messages(tenant))[0].id)
        [group] = await groups(tenant)
        assert (group.count, group.partial, group.kept) == (4, 4, 2)
        async with await psycopg.AsyncConnection.connect(postgres.url("ingest")) as before_0045:
            await before_0045.execute("SELECT set_config('app.tenants', %s, true)", [f"{{{tenant.id}}}"])
            for statement in ("SELECT FROM rejected FOR UPDATE", "DELETE FROM rejected WHERE id IS NOT NULL"):
                assert (await before_0045.execute(statement)).rowcount == 0, "it would take them for what they are not"
        database = Database(postgres.url("ingest"), timeout_s=20)
        assert await trim(database, [tenant.id], most=1) == 1
        await database.drop()
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            await inbox.discard_group(tx, group.id)
        assert (await groups(tenant), await messages(tenant)) == ([], [])
        assert total(await counts(tenant, worker_store)) == (5, 5, 0, 0, 0, 0)
