"""`tidegate bench storage`: what lies in a month of readings, on a database of its own: what questions and hours cost.

The fleet's readings are laid as ingest lays them, in the order in which they would have come. Then a worker's chore
makes their hours and days, and every question goes the way of the API: the service's own function, in a read-only
transaction as the tenant, under row-level security.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from engine import clock
from engine.store.pool import Store
from engine.store.tx import Tx
from engine.telemetry import binned, rollups, service
from engine.telemetry import bucket as buckets_of
from engine.telemetry.cover import HOUR, Part, Source
from engine.tenancy import system
from infra.bench import processes, report
from infra.bench.database import database
from infra.bench.readings import Signal
from infra.bench.tenant import BenchTenant, found
from infra.local.postgres import Postgres
from infra.serve import collect_garbage_seldom

GOAL_MS = 5.0
TIMES = 30
DEVICES = 1_000
METRICS = 3
SPAN = timedelta(days=30)
METRIC = "temperature"

# Every device in turn, then every device again: as they come when all report equally often.
_FILL = """
    INSERT INTO telemetry (tenant_id, device_id, time, seq, received_at, values)
    SELECT %(tenant)s, d.id, at, n, at + interval '200 ms', jsonb_build_object('count', n, 'humidity', 40 + n %% 20,
        'temperature', (CASE WHEN (n + d.number * 37) %% 100 < 10 THEN 300 ELSE 200 END + n %% 40) / 10.0)
    FROM generate_series(%(first)s::bigint, %(last)s) AS n
    CROSS JOIN unnest(%(devices)s::uuid[]) WITH ORDINALITY AS d (id, number),
        LATERAL (SELECT %(begin)s::timestamptz + n * %(every)s::interval + d.number * interval '7 ms' AS at) AS t
"""
_LATEST = """
    INSERT INTO latest (tenant_id, device_id, values, received_at)
    SELECT tenant_id, device_id, jsonb_build_object('temperature', jsonb_build_array(21.5, 1.7e12), 'humidity',
        jsonb_build_array(40, 1.7e12), 'count', jsonb_build_array(1, 1.7e12)), max(received_at)
    FROM telemetry WHERE tenant_id = %(tenant)s AND time > now() - interval '2 days' GROUP BY 1, 2
"""
_SIZE = "SELECT sum(pg_total_relation_size(inhrelid))::bigint FROM pg_inherits WHERE inhparent = %s::regclass"
_ROWS_AT_ONCE = 500_000

Question = Callable[[Tx], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Answered:
    """How long a question took from BEGIN to the end of the transaction, and what the processor did for it."""

    name: str
    median_ms: float
    worst_ms: float
    own_ms: float
    postgres_ms: float
    goal_ms: float | None

    @property
    def is_within(self) -> bool:
        """Whether the median holds the goal."""
        return self.goal_ms is None or self.median_ms <= self.goal_ms


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found. Bytes and microseconds are of one value; ``hour_us`` is of one hour closed in a full database."""

    values: int
    fill_s: float
    roll_s: float
    roll_us: float
    hour_us: float
    hour_ms: float
    telemetry_bytes: float
    hours_bytes: float
    days_bytes: float
    answers: list[Answered]

    def as_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        return asdict(self)


def measure(values: int, say: Callable[[str], None]) -> Measured:
    """Fill a server of its own with so many values, close their hours, ask, and throw it away."""
    collect_garbage_seldom()  # as the processes that are asked do
    with database() as (postgres, _):
        return asyncio.run(ask(postgres, values, say))


def shown(measured: Measured) -> str:
    """The figures for people."""
    rows = [
        [each.name, each.median_ms, each.worst_ms, each.own_ms, each.postgres_ms, _said(each)]
        for each in measured.answers
    ]
    lines = [
        f"\nstorage: {measured.values:,} values of {DEVICES:,} devices in 30 days, {METRICS} in a message",
        f"  on disk       {measured.telemetry_bytes:.1f} bytes a value, and its hours {measured.hours_bytes:.1f}, "
        f"its days {measured.days_bytes:.1f}",
        f"  closing       {measured.roll_us:.2f} us of CPU a value for all 30 days ({measured.roll_s:.0f} s), "
        f"{measured.hour_us:.2f} us for one hour more ({measured.hour_ms:.0f} ms)",
        "",
        report.table(["question", "median ms", "worst ms", "CPU here ms", "CPU postgres ms", "goal"], rows),
    ]
    return "\n".join(lines)


async def ask(
    postgres: Postgres, values: int, say: Callable[[str], None], *, devices: int = DEVICES, span: timedelta = SPAN
) -> Measured:
    """Fill a running server, close what is over, and ask."""
    tenant = await found(postgres, Signal(values=METRICS, period=100, has_seq=True), devices, [])
    each = values // METRICS // devices
    now = clock.now()
    began = time.monotonic()
    _fill(postgres, tenant, each, now - span - timedelta(seconds=10), span / each)
    fill_s = time.monotonic() - began
    stored = each * devices * METRICS
    say(f"{stored:,} values in {fill_s:.0f} s")
    began, cpu = time.monotonic(), _server_cpu_s()
    worker, app = Store(postgres.url("worker"), size=1), Store(postgres.url("app"), size=1)
    try:
        await _roll(worker, tenant.id)
        roll_s, roll_us = time.monotonic() - began, (_server_cpu_s() - cpu) * 1e6 / stored
        say(f"hours and days in {roll_s:.0f} s")
        hour_ms, hour_us = await _an_hour(postgres, worker, tenant.id, stored / (span / HOUR))
        with psycopg.connect(postgres.url("superuser"), autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE telemetry, rollup_hours, rollup_days, latest")
            disk = [_bytes(connection, table) / stored for table in ("telemetry", "rollup_hours", "rollup_days")]
        answers = [
            await _asked(app, tenant.id, name, question, goal_ms)
            for name, (question, goal_ms) in _questions(tenant, now, span).items()
        ]
    finally:
        await worker.close()
        await app.close()
    return Measured(stored, fill_s, roll_s, roll_us, hour_us, hour_ms, disk[0], disk[1], disk[2], answers)


def _fill(postgres: Postgres, tenant: BenchTenant, each: int, begin: datetime, every: timedelta) -> None:
    given: dict[str, Any] = {"tenant": tenant.id, "devices": tenant.device_ids, "every": every, "begin": begin}
    batch = max(1, _ROWS_AT_ONCE // len(tenant.device_ids))
    with psycopg.connect(postgres.url("superuser"), autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        for first in range(1, each + 1, batch):
            connection.execute(_FILL, {**given, "first": first, "last": min(each, first + batch - 1)})
        connection.execute(_LATEST, given)
        connection.execute("VACUUM ANALYZE telemetry, latest")


def _bytes(connection: psycopg.Connection, table: str) -> int:
    found = connection.execute(_SIZE, [table]).fetchone()
    return int(found[0]) if found else 0


async def _roll(store: Store, tenant_id: UUID) -> None:
    pace = rollups.Pace()
    while await rollups.step(store, tenant_id, pace):
        pass


async def _an_hour(postgres: Postgres, worker: Store, tenant_id: UUID, values: float) -> tuple[float, float]:
    """The last whole hour once more, as if it had just been closed: milliseconds, and microseconds of CPU a value."""
    hour = clock.hour_of(clock.now() - rollups.CLOSES_AFTER) - HOUR
    with psycopg.connect(postgres.url("superuser"), autocommit=True) as connection:
        connection.execute("DELETE FROM rollup_hours WHERE tenant_id = %s AND start >= %s", [tenant_id, hour])
        connection.execute("UPDATE rollup_progress SET hours_to = %s WHERE tenant_id = %s", [hour, tenant_id])
    began, cpu = time.monotonic(), _server_cpu_s()
    await _roll(worker, tenant_id)
    return (time.monotonic() - began) * 1e3, (_server_cpu_s() - cpu) * 1e6 / values


def _questions(tenant: BenchTenant, now: datetime, span: timedelta) -> dict[str, tuple[Question, float | None]]:
    device = tenant.device_ids[len(tenant.device_ids) // 2]

    def series(start: datetime, bucket: str | None = None, zone: str = "UTC") -> Question:
        return lambda tx: service.series(tx, device, METRIC, start, now, bucket=bucket, time_zone=zone)

    async def alone(tx: Tx) -> object:
        asked = {"tenant": tenant.id, "device": device, "metric": METRIC}
        part = Part(Source.READINGS, now - span, now)
        return await tx.read(*binned.question(buckets_of.parse("1h"), "UTC", (part,), asked))

    return {
        "30 d in buckets of 1 h, up to now": (series(now - span, "1h"), GOAL_MS),
        "30 d in days of Berlin, up to now": (series(now - span, "1d", "Europe/Berlin"), GOAL_MS),
        "30 d in days of UTC, up to now": (series(now - span, "1d"), GOAL_MS),
        "latest of 1,000 devices": (lambda tx: service.latest(tx, tenant.device_ids), GOAL_MS),
        "the last hour of one device": (series(now - HOUR), GOAL_MS),
        "24 h in buckets of 1 min": (series(now - timedelta(days=1), "1m"), None),
        "30 d in buckets of 1 h, of readings alone": (alone, None),
    }


async def _asked(store: Store, tenant_id: UUID, name: str, question: Question, goal_ms: float | None) -> Answered:
    async def ask() -> float:
        began = time.perf_counter()
        async with store.as_tenant(system(tenant_id), read_only=True) as tx:
            await question(tx)
        return (time.perf_counter() - began) * 1e3

    for _ in range(3):  # statements are compiled, pages are read
        await ask()
    own, server = time.process_time(), _server_cpu_s()
    taken = sorted([await ask() for _ in range(TIMES)])
    own, server = time.process_time() - own, _server_cpu_s() - server
    return Answered(name, taken[TIMES // 2], taken[-1], own * 1e3 / TIMES, server * 1e3 / TIMES, goal_ms)


def _said(answer: Answered) -> str:
    if answer.goal_ms is None:
        return "-"
    return f"<= {answer.goal_ms:g} {'held' if answer.is_within else 'MISSED'}"


def _server_cpu_s() -> float:
    """What the server has used, its backends too."""
    return processes.usage(processes.named(os.getpid())["postgres"]).cpu_s
