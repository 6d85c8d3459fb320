"""The pipeline before the writer: order, quotas, back-pressure, and repeats that name no time."""

import asyncio
import time
from collections.abc import Mapping

import pytest

from engine import clock
from engine.devices import service as devices
from engine.quotas import service as quotas
from engine.quotas.model import QuotaName
from engine.telemetry import retention
from infra.local.postgres import Postgres
from ingest.adapters.base import Verdict
from ingest.database import Database
from ingest.directory import Directory
from ingest.quota import Quota
from ingest.uplink import Pipeline
from tests.support.line import running_line
from tests.support.patience import PATIENCE_S
from tests.support.proxy import proxy_to
from tests.support.tenant import Tenant


async def test_the_marked_repeat_of_a_message_without_time_is_a_duplicate(postgres: Postgres, tenant: Tenant) -> None:
    device, other = await tenant.device(), await tenant.device()
    at = time.time()
    async with running_line(postgres) as line:

        async def sent(who: object, packet_id: int, value: int, *, dup: bool) -> Verdict:
            nonlocal at
            at += 0.01
            target = other if who is other else device
            return await line.send(tenant, target, {"temperature": value}, packet_id=packet_id, dup=dup, at=at)

        assert await sent(device, 7, 1, dup=False) is Verdict.STORED
        assert await sent(device, 7, 1, dup=True) is Verdict.DUPLICATE
        assert await sent(device, 7, 1, dup=False) is Verdict.STORED  # not marked: the same value, measured again
        assert await sent(device, 8, 1, dup=True) is Verdict.STORED  # its first try never came here
        assert await sent(device, 7, 2, dup=True) is Verdict.STORED
        assert await sent(other, 7, 1, dup=True) is Verdict.STORED
        assert len(line.stored(tenant)) == 5


async def test_an_event_that_comes_again_is_one_event(postgres: Postgres, tenant: Tenant) -> None:
    device, other = await tenant.device(), await tenant.device()
    now = time.time()
    timed = {"time": int(now * 1000) - 5_000, "door": 2}
    async with running_line(postgres) as line:

        async def sent(
            said: Mapping[str, object], *, packet_id: int | None = 7, dup: bool = False, of: object = device,
            kind: str = "door", later_s: float = 0.0,
        ) -> Verdict:  # fmt: skip
            target = other if of is other else device
            topic = f"up/event/{kind}"
            return await line.send(
                tenant, target, said, packet_id=packet_id, dup=dup, at=now + later_s, topic=topic
            )  # fmt: skip

        assert await sent({"n": 1}) is Verdict.STORED
        assert await sent({"n": 1}, dup=True, later_s=1) is Verdict.DUPLICATE
        assert await sent({"n": 1}, later_s=2) is Verdict.STORED  # not marked: it happened again
        assert await sent({"n": 1}, dup=True, packet_id=8) is Verdict.STORED  # its first try never came here
        assert await sent({"n": 2}, dup=True) is Verdict.STORED
        assert await sent({"n": 1}, dup=True, of=other) is Verdict.STORED
        assert await sent({"n": 1}, dup=True, kind="window") is Verdict.STORED
        assert await sent({"n": 1}, dup=True, later_s=3_600) is Verdict.STORED  # the packet's id was used anew
        assert await sent(timed, packet_id=1) is Verdict.STORED
        assert (
            await sent(timed, packet_id=2, later_s=3) is Verdict.DUPLICATE
        )  # marked or not: of that moment there is one
        assert await sent(timed, packet_id=None, later_s=4) is Verdict.DUPLICATE
        assert await sent({**timed, "door": 3}, packet_id=3) is Verdict.STORED
        both = await asyncio.gather(*(sent({**timed, "door": 4}, packet_id=n) for n in (4, 5)))
        assert sorted(both) == sorted([Verdict.STORED, Verdict.DUPLICATE])
        assert [kind for kind, _ in line.journal(tenant)].count("device.event") == 10


async def test_messages_of_a_device_that_is_still_looked_up_keep_their_order(
    postgres: Postgres, tenant: Tenant
) -> None:
    devices = [await tenant.device() for _ in range(3)]
    at = int(time.time() * 1000)
    async with running_line(postgres) as line:
        told = [line.send(tenant, devices[n % 3], {"time": at + n, "values": {"temperature": n}}) for n in range(60)]
        assert await asyncio.wait_for(asyncio.gather(*told), PATIENCE_S) == [Verdict.STORED] * 60
        rows = [row for kind, body in line.journal(tenant) for row in body.get("r", [])]
    for device in devices:
        times = [row[1] for row in rows if row[0] == str(device.id)]
        assert times == sorted(times)
        assert len(times) == 20


async def test_a_device_above_its_quota_is_refused_and_counted_and_its_neighbour_is_not(
    postgres: Postgres, tenant: Tenant
) -> None:
    mad, calm = await tenant.device(), await tenant.device()
    async with running_line(postgres) as line:
        line.pipeline = Pipeline(line.directory, line.writer, Quota(per_second=0.001, burst=5))
        at = int(time.time() * 1000)
        told = [line.send(tenant, mad, {"time": at - n, "values": {"temperature": 1}}) for n in range(8)]
        told.append(line.send(tenant, calm, {"temperature": 1}))
        verdicts = await asyncio.wait_for(asyncio.gather(*told), PATIENCE_S)
        assert verdicts == [Verdict.STORED] * 5 + [Verdict.QUOTA] * 3 + [Verdict.STORED]
    assert line.counts(tenant)[str(mad.id)] == [8, 5, 0, 0, 3, 0]  # written when the line was closed


async def test_a_full_pipeline_says_so_and_calls_back_when_it_is_not(postgres: Postgres, tenant: Tenant) -> None:
    device = await tenant.device()
    at = int(time.time() * 1000)
    async with running_line(postgres, max_waiting=10) as line:
        drained = asyncio.Event()
        assert await line.send(tenant, device, {"temperature": 1}) is Verdict.STORED
        told = [line.send(tenant, device, {"time": at - n, "values": {"temperature": 1}}) for n in range(10)]
        assert line.pipeline.is_full
        line.pipeline.when_drained(drained.set)
        assert not drained.is_set()
        await asyncio.wait_for(drained.wait(), PATIENCE_S)
        assert not line.pipeline.is_full
        await asyncio.gather(*told)


async def test_while_the_database_is_away_unknown_devices_are_told_to_repeat(
    postgres: Postgres, tenant: Tenant
) -> None:
    device = await tenant.device()
    async with proxy_to(postgres.port) as proxy, running_line(postgres) as line:
        url = postgres.url("ingest").replace(f":{postgres.port}/", f":{proxy.port}/")
        line.directory = Directory(Database(url, timeout_s=0.2), patience_s=0.5)
        line.pipeline = Pipeline(line.directory, line.writer)
        proxy.fall_silent()
        assert await asyncio.wait_for(line.send(tenant, device, {"temperature": 1}), PATIENCE_S) is Verdict.UNAVAILABLE
        proxy.speak_again()
        assert await asyncio.wait_for(line.send(tenant, device, {"temperature": 1}), PATIENCE_S) is Verdict.STORED


async def test_a_mistake_of_ours_costs_one_message(
    postgres: Postgres, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = await tenant.device()
    async with running_line(postgres) as line:
        with monkeypatch.context() as patch:
            patch.setattr("ingest.uplink.normalise", lambda *_: 1 / 0)
            assert await line.send(tenant, device, {"temperature": 1}) is Verdict.REJECTED
        assert await line.send(tenant, device, {"temperature": 1}) is Verdict.STORED
        assert [row[1] for row in line.inbox(tenant)] == ["UNSTORABLE"]


async def test_what_waits_is_written_when_the_writer_is_closed(postgres: Postgres, tenant: Tenant) -> None:
    device = await tenant.device()
    async with running_line(postgres) as line:
        await line.send(tenant, device, {"temperature": 1})
        told = [line.send(tenant, device, {"seq": n, "values": {"temperature": 1}}) for n in range(100)]
    assert [verdict.result() for verdict in told] == [Verdict.STORED] * 100


async def test_what_is_older_than_its_device_keeps_is_rejected_as_soon_as_somebody_says_so(
    postgres: Postgres, tenant: Tenant
) -> None:
    device, day_ms = await tenant.device(), 86_400_000

    def aged(days: int) -> dict[str, object]:
        return {"time": clock.now_ms() - days * day_ms, "values": {"temperature": days}}

    async with running_line(postgres) as line:
        assert await line.send(tenant, device, aged(8)) is Verdict.STORED
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            await retention.change(tx, days=7)
        line.directory.changed(f"retention:{tenant.id}")
        assert await line.send(tenant, device, aged(9)) is Verdict.REJECTED
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            await devices.profile_change(tx, device.profile_id, retention_days=10)
        line.directory.changed(f"profile:{device.profile_id}")
        assert await line.send(tenant, device, aged(9)) is Verdict.STORED
        assert await line.send(tenant, device, aged(11)) is Verdict.REJECTED
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            await quotas.change(tx, {QuotaName.STORAGE_DAYS: 3})
        line.directory.changed(f"quota:{tenant.id}")
        assert await line.send(tenant, device, aged(4)) is Verdict.REJECTED
        assert line.inbox(tenant)[-1][2].startswith("The reading is 4 days old. This device's are kept for 3. ")
