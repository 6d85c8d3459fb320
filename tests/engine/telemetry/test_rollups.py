"""Hours and days hold what the readings say, in whatever order those come, and whatever else happens at once."""

import asyncio
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy import text

from engine import clock
from engine.devices import erase
from engine.devices.model import Device
from engine.drain import Drain
from engine.fleet import retire
from engine.store.pool import Store
from engine.telemetry import binned, rollups, service
from engine.telemetry import bucket as buckets_of
from engine.telemetry.cover import DAY, HOUR, Part, Source
from engine.tenancy import system
from tests.support.journal import Told
from tests.support.tenant import Tenant

NOW = clock.now()
VALUES: tuple[Callable[[random.Random], object], ...] = (
    lambda chance: chance.randrange(-9, 9),
    lambda chance: round(chance.uniform(-1e3, 1e3), 2),
    lambda chance: chance.choice([1e-300, 1.5e300, 0.1, 2**53 + 1]),
    lambda chance: chance.choice(["on", "off", True, {"lat": 1.5}]),
)
ASKED = (
    *(("1h", "UTC"), ("1d", "UTC"), ("1h", "Asia/Kolkata"), ("1d", "Europe/Berlin"), ("90m", "UTC"), ("5h", "UTC")),
    *(("1d", "America/Los_Angeles"), ("1w", "UTC"), ("1mo", "Europe/Berlin"), ("24h", "UTC"), ("3d", "Africa/Abidjan")),
)
WRONG = """
WITH truth AS (
    SELECT tenant_id, device_id, key AS metric, date_trunc('{unit}', time, 'UTC') AS start, count(*) AS n,
           count(*) FILTER (WHERE jsonb_typeof(value) = 'number') AS numbers,
           min(CASE jsonb_typeof(value) WHEN 'number' THEN value::numeric END) AS low,
           max(CASE jsonb_typeof(value) WHEN 'number' THEN value::numeric END) AS high,
           sum(CASE jsonb_typeof(value) WHEN 'number' THEN value::numeric END) AS total,
           (array_agg(value ORDER BY time, seq))[1] AS first, (array_agg(value ORDER BY time DESC, seq DESC))[1] AS last
    FROM telemetry, jsonb_each(values) WHERE tenant_id = %(tenant)s GROUP BY 1, 2, 3, 4
)
SELECT coalesce(t.start, r.start) AS start, row_to_json(t)::text AS truth, row_to_json(r)::text AS kept
FROM truth t FULL JOIN (SELECT * FROM rollup_{unit}s WHERE tenant_id = %(tenant)s) r
    ON r.device_id = t.device_id AND r.metric = t.metric AND r.start = t.start
WHERE coalesce(t.start, r.start) < (SELECT {unit}s_to FROM rollup_progress WHERE tenant_id = %(tenant)s)
  AND (t.n, t.numbers, t.low, t.high, t.total, t.first, t.last)
      IS DISTINCT FROM (r.n, r.numbers, r.low, r.high, r.total, r.first, r.last)
"""


class Story:
    """Readings of two devices of a tenant, told in any order."""

    def __init__(self, tenant: Tenant, devices: list[Device], seed: int) -> None:
        self.tenant, self.devices, self.chance = tenant, devices, random.Random(seed)
        self._at: set[tuple[UUID, int]] = set()

    def tell(self, count: int, *, back: timedelta, until: datetime | None = None) -> None:
        """One batch of readings of the last so long, of any metric, as if they came just then or only now."""
        readings: list[Told] = []
        end = until or clock.now()
        while len(readings) < count:
            device = self.chance.choice(self.devices)
            at_ms = clock.to_ms(end - back * self.chance.random())
            if (device.id, at_ms) not in self._at:
                self._at.add((device.id, at_ms))
                metrics = self.chance.sample("abcd", self.chance.randrange(1, 4))
                values = {metric: self.chance.choice(VALUES["abcd".index(metric) :])(self.chance) for metric in metrics}
                readings.append((device.id, at_ms, values))
        newest = max(at_ms for _, at_ms, _ in readings)
        self.tenant.tell(readings, self.chance.choice([newest, None]))


@pytest.fixture
async def devices(tenant: Tenant) -> list[Device]:
    return [await tenant.device() for _ in range(2)]


async def roll(store: Store, tenant: Tenant, devices_at_once: int = 200) -> None:
    """Close, make and repair all there is to."""
    while await rollups.step(store, tenant.id, rollups.Pace(devices_at_once)):
        pass


def wrong(tenant: Tenant) -> list[dict[str, object]]:
    """Hours and days that do not hold what the readings say."""
    with psycopg.connect(tenant.postgres.url("superuser"), row_factory=dict_row) as connection:
        named = {"tenant": tenant.id}
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", [str(tenant.id)])  # for a view's sake
        return [
            row for unit in ("hour", "day") for row in connection.execute(WRONG.format(unit=unit), named).fetchall()
        ]


async def differing(tenant: Tenant, device: Device, chance: random.Random) -> list[object]:
    """Questions whose answers differ from what is read from the readings alone."""
    found: list[object] = []
    async with tenant.store.as_tenant(tenant.principal(), read_only=True) as tx:
        for bucket, zone in chance.sample(ASKED, 6):
            start = clock.now() - timedelta(days=4) * chance.random()
            end = start + timedelta(days=5) * chance.random()
            if chance.random() < 0.5:
                start, end = clock.hour_of(start), clock.hour_of(end) + HOUR
            given = await service.series(tx, device.id, "b", start, end, bucket=bucket, time_zone=zone)
            asked = {"tenant": tenant.id, "device": device.id, "metric": "b"}
            alone = (Part(Source.READINGS, start, end),)
            [row] = await tx.read(*binned.question(buckets_of.parse(bucket), zone, alone, asked))
            last = row["last"] or [None] * len(row["times"])
            means = [mean or said for mean, said in zip(row["mean"], last, strict=True)]
            read = list(zip(row["times"], row["n"], row["low"], row["high"], means, strict=True))
            told = zip(given.times, given.n, given.min, given.max, given.values, strict=True)
            if [(at, n, low, high, value or 0) for at, n, low, high, value in told] != [
                (*row[:4], row[4] or 0) for row in read
            ]:
                found.append((bucket, zone, start, end, given, row))
    return found


@pytest.mark.parametrize("seed", range(3))
async def test_hours_days_and_readings_together_say_what_the_readings_say(
    tenant: Tenant, worker_store: Store, devices: list[Device], seed: int
) -> None:
    story, drain = Story(tenant, devices, seed), Drain(worker_store)
    for _ in range(4):
        story.tell(story.chance.randrange(5, 60), back=timedelta(days=story.chance.choice([0.1, 1, 3.5])))
        await drain.run(tenant.id)
        assert await differing(tenant, devices[0], story.chance) == []
        if story.chance.random() < 0.8:
            await roll(worker_store, tenant, story.chance.choice([1, 200]))
            assert wrong(tenant) == []
        assert await differing(tenant, devices[0], story.chance) == []


async def test_nothing_is_lost_when_readings_come_while_their_hours_are_closed_made_and_repaired(
    tenant: Tenant, worker_store: Store, devices: list[Device]
) -> None:
    story, is_over = Story(tenant, devices, 7), False
    await roll(worker_store, tenant)
    with psycopg.connect(tenant.postgres.url("superuser")) as connection:  # all of it is to be closed once more
        connection.execute("UPDATE readers SET closed_to = NULL WHERE tenant_id = %s", [tenant.id])
        begun = "UPDATE rollup_progress SET hours_to = %s WHERE tenant_id = %s"
        connection.execute(begun, [clock.hour_of(NOW) - 4 * HOUR, tenant.id])

    async def drains() -> None:
        drain = Drain(worker_store)
        while not is_over:
            await drain.run(tenant.id)
            await asyncio.sleep(0.01)

    async def rolls() -> None:
        while not is_over:
            await rollups.step(worker_store, tenant.id, rollups.Pace(1))

    def writes() -> None:
        for _ in range(20):
            story.tell(20, back=4 * HOUR)

    at_work = [asyncio.create_task(work) for work in (drains(), rolls(), rolls())]
    await asyncio.to_thread(writes)
    is_over = True
    await asyncio.gather(*at_work)
    await Drain(worker_store).run(tenant.id)
    await roll(worker_store, tenant)
    assert wrong(tenant) == []
    with psycopg.connect(tenant.postgres.url("superuser")) as connection:
        kept = connection.execute("SELECT sum(n) > 300 FROM rollup_hours WHERE tenant_id = %s", [tenant.id]).fetchone()
    assert kept == (True,)


async def test_no_hour_is_closed_while_a_drain_is_at_work(tenant: Tenant, worker_store: Store) -> None:
    """It would not know that what it has read before is late from now on."""
    async with worker_store.as_tenant(system(tenant.id)) as drain:
        await drain.execute(text("SELECT FROM readers WHERE tenant_id = :t FOR UPDATE"), {"t": tenant.id})
        closing = asyncio.create_task(rollups.step(worker_store, tenant.id, rollups.Pace()))
        await asyncio.sleep(0.2)
        async with worker_store.as_tenant(system(tenant.id)) as tx:
            made = await tx.one(text("SELECT FROM rollup_progress WHERE tenant_id = :t"), {"t": tenant.id})
        assert (closing.done(), made) == (False, None)
    await closing


async def test_what_comes_while_its_hour_is_repaired_is_noted_again(
    tenant: Tenant, worker_store: Store, devices: list[Device]
) -> None:
    hour, drain = clock.to_ms(clock.hour_of(NOW) - 3 * HOUR), Drain(worker_store)
    await roll(worker_store, tenant)
    tenant.tell([(devices[0].id, hour, {"m": 1})])
    await drain.run(tenant.id)
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        taken = await tx.rows(rollups._TAKE, {"tenant": tenant.id, "most": 9})  # before it reads anything
        tenant.tell([(devices[0].id, hour + 1, {"m": 2})])
        draining = asyncio.create_task(drain.run(tenant.id))
        await asyncio.sleep(0.2)
        assert (len(taken), draining.done()) == (1, False)
    await draining
    assert wrong(tenant) != []
    await roll(worker_store, tenant)
    assert wrong(tenant) == []


async def test_what_came_late_is_noted_once_and_counts_before_it_is_repaired(
    tenant: Tenant, worker_store: Store, devices: list[Device], monkeypatch: pytest.MonkeyPatch
) -> None:
    device, late = devices[0], clock.hour_of(NOW) - 3 * HOUR
    await roll(worker_store, tenant)
    tenant.tell([(device.id, clock.to_ms(late) + n, {"m": n}) for n in range(3)])
    tenant.tell([(device.id, clock.to_ms(clock.now()), {"m": 9})])
    await Drain(worker_store).run(tenant.id)
    with psycopg.connect(tenant.postgres.url("superuser")) as connection:
        noted = "SELECT device_id, hour FROM rollup_repairs WHERE tenant_id = %s"
        assert connection.execute(noted, [tenant.id]).fetchall() == [(device.id, late)]
        with monkeypatch.context() as turn:
            turn.setattr(rollups, "REPAIR_S", -1.0)  # a turn that is over before this one's turn came
            assert await rollups.step(worker_store, tenant.id, rollups.Pace())
        connection.rollback()
        assert connection.execute(noted, [tenant.id]).fetchall() == [(device.id, late)]
    for _ in range(2):
        async with tenant.store.as_tenant(tenant.principal(), read_only=True) as tx:
            series = await service.series(tx, device.id, "m", late, late + HOUR, bucket="1h")
        assert (series.n, series.values) == ([3], [1.0])
        await roll(worker_store, tenant)
    assert wrong(tenant) == []


async def test_hours_survive_their_readings_and_what_comes_late_then_does_not_make_them_smaller(
    tenant: Tenant, worker_store: Store, devices: list[Device]
) -> None:
    device, hour = devices[0], clock.hour_of(NOW) - 30 * HOUR
    tenant.tell([(device.id, clock.to_ms(hour) + n, {"m": n, "door": "open"}) for n in range(5)])
    await Drain(worker_store).run(tenant.id)
    await roll(worker_store, tenant)
    tenant.run("DELETE FROM telemetry WHERE tenant_id = %s")
    tenant.tell([(device.id, clock.to_ms(hour) + 9, {"m": 100})])
    await Drain(worker_store).run(tenant.id)
    await roll(worker_store, tenant)
    async with tenant.store.as_tenant(tenant.principal(), read_only=True) as tx:
        numbers = await service.series(tx, device.id, "m", hour, hour + HOUR, bucket="1h")
        doors = await service.series(tx, device.id, "door", hour - DAY, hour + DAY, bucket="1d")
    assert (numbers.n, numbers.values, numbers.max) == ([5], [2.0], [4.0])
    assert (doors.n, doors.values, doors.min) == ([5], ["open"], [None])


async def test_of_an_erased_device_no_hour_is_left_and_none_comes_back(
    tenant: Tenant, worker_store: Store, devices: list[Device]
) -> None:
    Story(tenant, devices, 3).tell(40, back=2 * DAY)
    await Drain(worker_store).run(tenant.id)
    await roll(worker_store, tenant)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await retire.decommission(tx, devices[0].id, erase=True)
    await Drain(worker_store).run(tenant.id)
    for _ in range(2):
        async with worker_store.as_tenant(system(tenant.id)) as tx:
            await erase.step(tx)
        await roll(worker_store, tenant)
    assert wrong(tenant) == []
    with psycopg.connect(tenant.postgres.url("superuser")) as connection:
        left = "SELECT DISTINCT device_id FROM rollup_hours WHERE tenant_id = %s"
        assert connection.execute(left, [tenant.id]).fetchall() == [(devices[1].id,)]
