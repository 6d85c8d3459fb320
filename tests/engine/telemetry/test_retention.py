"""How long readings are kept: as a profile says, or else its tenant, as far as possible; and their hours longer."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest

from engine import clock
from engine.devices import profiles
from engine.devices import service as devices
from engine.devices.errors import DaysMalformed
from engine.quotas import service as quotas
from engine.quotas.model import QuotaName, defaults
from engine.store.pool import Store
from engine.telemetry import errors, retention, rollups
from engine.telemetry.model import Retention
from engine.tenancy import system
from tests.support.rolled import rolled_up
from tests.support.tenant import Tenant

DAY_MS = 86_400_000
AGES = (0, 2, 6, 12, 40)


async def _told(tenant: Tenant, profile: str) -> UUID:
    device = await tenant.device(profile=profile)
    tenant.tell([(device.id, clock.now_ms() - days * DAY_MS - 7_200_000, {"temperature": 1.0}) for days in AGES])
    return device.id


def _ages(tenant: Tenant, table: str, time: str, device_id: UUID) -> list[int]:
    with psycopg.connect(tenant.postgres.url("superuser")) as connection:
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", [str(tenant.id)])  # for a view's sake
        rows = connection.execute(
            f"SELECT {time} FROM {table} WHERE tenant_id = %s AND device_id = %s ORDER BY 1 DESC",
            [tenant.id, device_id],
        ).fetchall()
    return [(datetime.now(UTC) - row[0]).days for row in rows]


async def test_a_profile_says_how_long_its_devices_are_kept_and_the_tenant_says_it_of_the_others(
    tenant: Tenant, store: Store, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH_DEVICES", 1)
    short, other, long = [await _told(tenant, profile) for profile in ("short", "other", "long")]
    async with store.as_tenant(tenant.principal()) as tx:
        await devices.profile_change(tx, tenant.profiles["short"].id, retention_days=5)
        await devices.profile_change(tx, tenant.profiles["long"].id, retention_days=30)
        await retention.change(tx, days=10)
        await quotas.change(tx, {QuotaName.STORAGE_DAYS: 20})
    await rolled_up(tenant, worker_store)
    assert await retention.prune(worker_store, system(tenant.id), defaults()) == 6
    assert _ages(tenant, "telemetry", "time", short) == [0, 2]
    assert _ages(tenant, "telemetry", "time", other) == [0, 2, 6]
    assert _ages(tenant, "telemetry", "time", long) == [0, 2, 6, 12]
    assert len(_ages(tenant, "rollup_hours", "start", short)) == len(AGES)


async def test_no_reading_goes_before_its_hour_is_made_unless_that_would_be_too_old_as_well(
    tenant: Tenant, store: Store, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, other = await _told(tenant, "cold-room"), await _told(tenant, "cold-room")
    async with store.as_tenant(tenant.principal()) as tx:
        await retention.change(tx, days=10)
    assert await retention.prune(worker_store, system(tenant.id), defaults()) == 0, "nothing is rolled up yet"
    await rolled_up(tenant, worker_store)
    with psycopg.connect(tenant.postgres.url("superuser")) as connection:
        connection.execute(
            "UPDATE rollup_progress SET pruned_to = now() - interval '1 day' WHERE tenant_id = %s", [tenant.id]
        )
        connection.execute(
            "INSERT INTO rollup_repairs (tenant_id, device_id, hour, noted_at) SELECT %s, device_id, start, now() "
            "FROM rollup_hours WHERE device_id = %s",
            [tenant.id, late],
        )
    assert await retention.prune(worker_store, system(tenant.id), defaults()) == 2
    assert _ages(tenant, "telemetry", "time", late) == list(AGES), "its hours are to be made again"
    assert _ages(tenant, "telemetry", "time", other) == [0, 2, 6]
    with psycopg.connect(tenant.postgres.url("superuser")) as connection:
        connection.execute(
            "UPDATE rollup_progress SET pruned_to = now() - interval '1 day', "
            "hours_to = now() - interval '60 days' WHERE tenant_id = %s",
            [tenant.id],
        )
    monkeypatch.setattr(retention, "longest_rollup", lambda: 30)
    assert await retention.prune(worker_store, system(tenant.id), defaults()) == 1
    assert _ages(tenant, "telemetry", "time", late) == [0, 2, 6, 12]


async def test_hours_whose_partitions_fell_before_they_were_made_are_told_and_passed(
    tenant: Tenant, worker_store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    await _told(tenant, "cold-room")
    await rolled_up(tenant, worker_store)
    with psycopg.connect(tenant.postgres.url("superuser")) as connection:
        connection.execute(
            "UPDATE rollup_progress SET hours_to = date_trunc('day', now() - interval '92 days', 'UTC') "
            "WHERE tenant_id = %s",
            [tenant.id],
        )
    pace = rollups.Pace()
    await rollups.step(worker_store, tenant.id, pace)
    assert (pace.take_missed(), pace.take_missed()) == (48, 0)
    assert "telemetry.rollups_missed" in caplog.text
    await rollups.step(worker_store, tenant.id, pace)
    assert pace.take_missed() == 0


async def test_who_prunes_waits_for_whoever_rolls_up(tenant: Tenant, store: Store, worker_store: Store) -> None:
    device = await _told(tenant, "cold-room")
    async with store.as_tenant(tenant.principal()) as tx:
        await retention.change(tx, days=10)
    await rolled_up(tenant, worker_store)
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        assert await rollups._is_mine(tx)
        pruning = asyncio.create_task(retention.prune(worker_store, system(tenant.id), defaults()))
        _, waiting = await asyncio.wait([pruning], timeout=0.3)
        assert waiting
    assert await pruning == 2
    assert _ages(tenant, "telemetry", "time", device) == [0, 2, 6]


async def test_hours_and_days_go_when_they_are_not_kept_either_but_never_before_the_readings(
    tenant: Tenant, store: Store, worker_store: Store
) -> None:
    device = await _told(tenant, "cold-room")
    await rolled_up(tenant, worker_store)
    async with store.as_tenant(tenant.principal()) as tx:
        kept = await retention.change(tx, days=10, rollup_days=3)
        assert (kept.days, kept.rollup_days) == (10, 10)
    await retention.prune(worker_store, system(tenant.id), defaults())
    for table in ("rollup_hours", "rollup_days"):
        assert max(_ages(tenant, table, "start", device)) in (6, 7), table


async def test_what_is_said_is_within_what_is_possible_and_can_be_taken_back(tenant: Tenant, store: Store) -> None:
    async with store.as_tenant(tenant.principal()) as tx:
        await quotas.change(tx, {QuotaName.STORAGE_DAYS: 20})
        assert await retention.of(tx) == Retention(20, 730, None, None, 20, 730)
        assert await retention.change(tx, days=60, rollup_days=100) == Retention(20, 100, 60, 100, 20, 730)
        assert await retention.change(tx, days=0) == Retention(20, 100, None, 100, 20, 730)
        deeds = len(tx.deeds)
        await retention.change(tx)
        assert len(tx.deeds) == deeds
        for days, rollup_days in ((91, None), (-1, None), (None, 1096)):
            with pytest.raises(errors.RetentionMalformed):
                await retention.change(tx, days=days, rollup_days=rollup_days)


async def test_a_profile_says_a_number_of_days_and_its_history_tells_of_it(tenant: Tenant, store: Store) -> None:
    profile = await tenant.profile()
    async with store.as_tenant(tenant.principal()) as tx:
        with pytest.raises(DaysMalformed):
            await devices.profile_change(tx, profile.id, retention_days=91)
        assert (await devices.profile_change(tx, profile.id, retention_days=1)).retention_days == 1
        assert (await devices.profile_change(tx, profile.id, retention_days=0)).retention_days is None
        history = [kept.changes[0] for kept in (await profiles.version_page(tx, profile.id)).items]
    assert history[:2] == ["Readings are kept as long as the organisation's others.", "Readings are kept for 1 day."]
