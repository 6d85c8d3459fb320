"""Buckets about the hours in which clocks are set: each begins where its day, week or month does by the wall."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import dict_row

from engine import clock
from engine.telemetry import binned
from engine.telemetry import bucket as buckets_of
from engine.telemetry.cover import Part, Source
from infra.local.postgres import Postgres

NOBODY = UUID(int=0)
SET = (
    *(("Europe/Berlin", "2026-03-29"), ("Europe/Berlin", "2026-10-25"), ("America/New_York", "2026-11-01")),
    *(("Australia/Lord_Howe", "2026-04-05"), ("Australia/Lord_Howe", "2026-10-04")),
    # at midnight, which is skipped, comes twice, or comes after the hour that does
    *(("Atlantic/Azores", "2026-03-29"), ("Atlantic/Azores", "2026-10-25"), ("America/Havana", "2026-11-01")),
    *(("America/Santiago", "2026-04-05"), ("America/Santiago", "2026-09-06")),
)


def test_where_clocks_are_set_each_bucket_begins_where_its_day_week_or_month_does(postgres: Postgres) -> None:
    """Where midnight comes twice, a day once began at the second one, after the readings of the first."""
    with psycopg.connect(postgres.url("superuser"), row_factory=dict_row) as connection:
        connection.execute(
            "CREATE TEMP TABLE telemetry (tenant_id uuid, device_id uuid, time timestamptz, seq bigint, values jsonb)"
        )
        for name, day in SET:
            zone, noon = ZoneInfo(name), datetime.fromisoformat(f"{day}T12:00Z")
            times = [noon + timedelta(minutes=15 * n) for n in range(-4 * 72, 4 * 48)]
            connection.execute("TRUNCATE pg_temp.telemetry")
            connection.execute(
                """INSERT INTO pg_temp.telemetry SELECT %s, %s, t, 0, '{"m": 1}' FROM unnest(%s::timestamptz[]) t""",
                [NOBODY, NOBODY, times],
            )
            for size in ("1d", "1w", "1mo"):
                asked = {"tenant": NOBODY, "device": NOBODY, "metric": "m"}
                alone = (Part(Source.READINGS, times[0], times[-1] + timedelta(seconds=1)),)
                reading, given = binned.question(buckets_of.parse(size), name, alone, asked)
                row = connection.execute(reading.text, {**reading.fixed, **given}).fetchone()  # type: ignore[arg-type]
                assert row is not None
                expected = Counter(clock.to_ms(_begin(size, at, zone)) for at in times)
                assert dict(zip(row["times"], row["n"], strict=True)) == expected, (name, day, size)


def _begin(size: str, at: datetime, zone: ZoneInfo) -> datetime:
    """The first moment that the wall's clock shows as belonging to the same day, week or month."""
    day = at.astimezone(zone).date()
    day -= {"1d": timedelta(), "1w": timedelta(days=day.weekday()), "1mo": timedelta(days=day.day - 1)}[size]
    first = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
    while first.astimezone(zone).date() < day:
        first += timedelta(minutes=15)
    return first
