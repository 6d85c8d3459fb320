"""Usage: counted by the drain and the web processes, asked by hour and against the quotas; how long data is kept."""

from datetime import timedelta

import psycopg
import pytest

from engine import clock
from engine.drain import Drain
from engine.quotas import service as quotas
from engine.quotas import usage
from engine.quotas.model import QuotaName, defaults
from engine.quotas.usage import Asked
from engine.store.pool import Store
from engine.telemetry import retention
from engine.tenancy import system
from infra.local.postgres import Postgres
from tests.support.rolled import rolled_up
from tests.support.tenant import Tenant


async def test_the_drain_counts_what_came_in_of_each_tenant_alone(
    tenant: Tenant, neighbour: Tenant, store: Store, worker_store: Store
) -> None:
    room = await tenant.device()
    at = clock.now_ms()
    tenant.tell([(room.id, at - n, {"temperature": 1.0, "humidity": n}) for n in range(3)])
    drain = Drain(worker_store)
    for _ in range(2):  # what was drained once is not counted again
        await drain.run(tenant.id)
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        (hour,) = await usage.hours(tx)
        assert (hour.messages, hour.stored, hour.refused, hour.values) == (3, 3, 0, 6)
    async with store.as_tenant(neighbour.principal(), read_only=True) as tx:
        assert await usage.hours(tx) == []


async def test_what_web_processes_ask_for_is_added_and_the_most_streams_are_kept(tenant: Tenant, store: Store) -> None:
    for counted in (Asked(100, 1, 4), Asked(50, 0, 2)):
        async with store.as_tenant(tenant.principal()) as tx:
            await usage.asked(tx, counted)
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        (hour,) = await usage.hours(tx)
    assert (hour.api_cost, hour.api_refused, hour.streams_peak, hour.devices) == (150, 1, 4, None)


async def test_every_quota_is_shown_with_what_is_used_of_it(tenant: Tenant, store: Store, worker_store: Store) -> None:
    room = await tenant.device()
    tenant.tell([(room.id, clock.now_ms(), {"temperature": 1.0, "humidity": 2})])
    await Drain(worker_store).run(tenant.id)
    async with store.as_tenant(tenant.principal()) as tx:
        await quotas.change(tx, {QuotaName.SUBSCRIPTIONS: 9})
        found = {use.name: use for use in await usage.now(tx, defaults(), streams=4, api_cost=12.5)}
    assert set(found) == set(QuotaName)
    assert found[QuotaName.DEVICES].used == 1
    assert (found[QuotaName.SUBSCRIPTIONS].limit, found[QuotaName.SUBSCRIPTIONS].used) == (9, 4)
    assert (found[QuotaName.SUBSCRIPTIONS].is_own, found[QuotaName.DEVICES].is_own) == (True, False)
    assert found[QuotaName.MESSAGES_PER_S].used == pytest.approx(1 / 3600, abs=0.001)
    assert found[QuotaName.VALUES_PER_S].used == pytest.approx(2 / 3600, abs=0.001)
    assert found[QuotaName.STORAGE_DAYS].used == 1
    assert found[QuotaName.API_COST_PER_MIN].used == 12.5


def _days_stored(postgres: Postgres, tenant: Tenant) -> list[int]:
    with psycopg.connect(postgres.url("superuser")) as connection:
        rows = connection.execute(
            "SELECT round(extract(epoch FROM now() - time) / 86400)::int FROM telemetry WHERE tenant_id = %s "
            "ORDER BY 1",
            [tenant.id],
        )
        return [row[0] for row in rows]


async def test_a_tenant_keeps_telemetry_as_long_as_its_quota_says_and_its_neighbour_as_before(
    tenant: Tenant,
    neighbour: Tenant,
    store: Store,
    worker_store: Store,
    postgres: Postgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "BATCH_ROWS", 2)  # several batches
    day_ms = int(timedelta(days=1).total_seconds() * 1000)
    for each in (tenant, neighbour):
        room = await each.device()
        each.tell(
            [(room.id, clock.now_ms() - days * day_ms, {"temperature": 1.0}) for days in (0, 1, 5, 20, 21, 40, 80)]
        )
        await rolled_up(each, worker_store)  # before that nothing goes
    async with store.as_tenant(tenant.principal()) as tx:
        assert await usage._days_stored(tx) in (81, 82)
        await quotas.change(tx, {QuotaName.STORAGE_DAYS: 7})
    assert await retention.prune(worker_store, system(tenant.id), defaults()) == 4
    assert await retention.prune(worker_store, system(neighbour.id), defaults()) == 0
    assert _days_stored(postgres, tenant) == [0, 1, 5]
    assert len(_days_stored(postgres, neighbour)) == 7


async def test_a_turn_of_the_drain_ends_and_says_that_there_is_more(
    tenant: Tenant, store: Store, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.drain.READINGS_AT_ONCE", 2)
    room = await tenant.device()
    for n in range(7):
        tenant.tell([(room.id, clock.now_ms() + n, {"temperature": n})])
    drain = Drain(worker_store)
    taken, has_more = await drain.turn(tenant.id, 0.0)
    assert has_more
    assert 0 < taken < 8
    while has_more:
        more, has_more = await drain.turn(tenant.id, 0.0)
        taken += more
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        assert (await usage.hours(tx))[0].stored == 7
