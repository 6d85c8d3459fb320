"""Asking for telemetry: points as measured, buckets on the calendar of a zone, and clear refusals."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from uuid import uuid4
from zoneinfo import ZoneInfo

import psycopg
import pytest

from engine import clock
from engine.devices import service as devices
from engine.devices.model import Presence
from engine.store.pool import Store
from engine.telemetry import errors, service
from engine.telemetry.model import Series
from tests.support.tenant import Tenant

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


async def _asked(tenant: Tenant, readings: list[tuple[datetime, object]], **how: object) -> Series:
    room = await tenant.device()
    tenant.tell([(room.id, clock.to_ms(at), {"m": value}) for at, value in readings])
    start, end = how.pop("start", TODAY - timedelta(days=80)), how.pop("end", TODAY + timedelta(days=1))
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        return await service.series(tx, room.id, "m", start, end, **how)  # type: ignore[arg-type]


async def test_points_come_oldest_first_and_say_when_there_were_more(tenant: Tenant) -> None:
    readings = [(TODAY - timedelta(hours=n), float(n)) for n in range(5)]
    series = await _asked(tenant, list(readings), limit=3)
    assert (list(series.values), series.is_truncated) == ([4.0, 3.0, 2.0], True)
    assert list(series.times) == [clock.to_ms(at) for at, _ in reversed(readings)][:3]


async def test_the_end_of_a_range_is_not_part_of_it(tenant: Tenant) -> None:
    series = await _asked(tenant, [(TODAY, 1), (TODAY - timedelta(hours=1), 0)], end=TODAY)
    assert list(series.values) == [0]


async def test_hours_hold_mean_min_max_and_count(tenant: Tenant) -> None:
    start = TODAY - timedelta(hours=3)
    readings = [(start + timedelta(minutes=m), v) for m, v in ((0, 1.0), (30, 3.0), (59, 8.0), (60, 10.0))]
    series = await _asked(tenant, list(readings), bucket="1h")
    assert list(series.times) == [clock.to_ms(start), clock.to_ms(start + timedelta(hours=1))]
    assert (series.values, series.min, series.max, series.n) == ([4.0, 10.0], [1.0, 10.0], [8.0, 10.0], [3, 1])


async def test_numbers_at_the_edge_of_what_a_double_holds_have_a_mean(tenant: Tenant) -> None:
    start, huge = TODAY - timedelta(hours=3), 1.7976931348623157e308
    for said in ((5e-324, 0, 0, 0, 0), (huge, huge, huge), (2**64 - 1, -(2**63))):
        series = await _asked(tenant, [(start + timedelta(minutes=n), v) for n, v in enumerate(said)], bucket="1h")
        assert (series.n, series.min, series.max) == ([len(said)], [float(min(said))], [float(max(said))])
        assert series.values == [float(sum(map(Fraction, said)) / len(said))]


async def test_what_is_no_number_gives_its_last_value(tenant: Tenant) -> None:
    start = TODAY - timedelta(hours=3)
    series = await _asked(tenant, [(start, "on"), (start + timedelta(minutes=9), "off")], bucket="1h")
    assert (series.values, series.min, series.n) == (["off"], [None], [2])


async def test_hours_of_a_half_hour_zone_begin_on_its_own_hours(tenant: Tenant) -> None:
    start = TODAY - timedelta(hours=3)
    series = await _asked(
        tenant,
        [(start + timedelta(minutes=10), 1), (start + timedelta(minutes=40), 2)],
        bucket="1h",
        time_zone="Asia/Kolkata",
    )
    assert list(series.times) == [
        clock.to_ms(start - timedelta(minutes=30)),
        clock.to_ms(start + timedelta(minutes=30)),
    ]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Los_Angeles", "Asia/Kolkata", "UTC"])
@pytest.mark.parametrize("bucket", ["1d", "1mo"])
async def test_days_and_months_begin_at_local_midnight_also_across_clock_changes(
    tenant: Tenant, zone: str, bucket: str
) -> None:
    readings = [(TODAY - timedelta(hours=7 * n), n) for n in range(250)]
    series = await _asked(tenant, list(readings), bucket=bucket, time_zone=zone)
    expected: dict[int, int] = {}
    for at, _ in readings:
        local = at.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
        local = local.replace(day=1) if bucket == "1mo" else local
        start = clock.to_ms(local)
        expected[start] = expected.get(start, 0) + 1
    assert dict(zip(series.times, series.n, strict=True)) == expected


@pytest.mark.parametrize(
    ("how", "refusal"),
    [
        ({"bucket": "1y"}, errors.BucketMalformed),
        ({"bucket": "0m"}, errors.BucketMalformed),
        ({"bucket": "1s"}, errors.TooManyPoints),
        ({"bucket": "1d", "time_zone": "Mars/Olympus"}, errors.TimeZoneUnknown),
        ({"bucket": "1d", "time_zone": "localtime"}, errors.TimeZoneUnknown),
        ({"limit": 0}, errors.TooManyPoints),
        ({"end": TODAY - timedelta(days=81)}, errors.RangeEmpty),
    ],
)
async def test_what_cannot_be_answered_is_refused_in_words(
    tenant: Tenant, how: dict[str, object], refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        await _asked(tenant, [(TODAY, 1)], **how)


async def test_a_neighbours_device_has_no_points(tenant: Tenant, neighbour: Tenant, store: Store) -> None:
    room = await neighbour.device()
    neighbour.tell([(room.id, clock.to_ms(TODAY), {"m": 1})])
    async with store.as_tenant(tenant.principal()) as tx:
        series = await service.series(tx, room.id, "m", TODAY - timedelta(days=1), TODAY + timedelta(days=1))
        assert (await service.latest(tx, [room.id]))[room.id] == []
    assert list(series.values) == []


async def test_presence_and_newest_values_asked_together_are_what_they_are_alone(
    tenant: Tenant, neighbour: Tenant, store: Store
) -> None:
    heard, silent, new, foreign = [*[await tenant.device() for _ in range(3)], await neighbour.device()]
    with psycopg.connect(tenant.postgres.url("superuser")) as connection:
        for owner, device, values in (
            (tenant, heard, '{"b": [1, 2000], "a": ["x", 3000]}'),
            (neighbour, foreign, "{}"),
        ):
            connection.execute(
                "INSERT INTO latest (tenant_id, device_id, values, received_at) VALUES (%s, %s, %s, now())",
                (owner.id, device.id, values),
            )
        for device in (heard, silent, foreign):
            connection.execute(
                "UPDATE presence SET is_online = true, since = now() - interval '1 h', seen_epoch = 7, reason = 'x', "
                "silent_since = now() - interval '1 min' WHERE device_id = %s",
                (device.id,),
            )
    asked = [heard.id, silent.id, new.id, foreign.id, uuid4()]
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        presences, latest = await devices.presence_of(tx, asked), await service.latest(tx, asked)
        together = await service.standing(tx, asked)
    assert together == {each: (presences[each], latest[each]) for each in asked}
    assert [sample.metric for sample in latest[heard.id]] == ["a", "b"]
    assert presences[silent.id].silent_since is not None
    assert presences[heard.id].silent_since is None
    assert presences[foreign.id] == Presence()
