"""`tidegate bench rules`: what the way from the journal to an action costs, how it scales, how late timers are, and
what a backtest costs, what it does to look why rules did not fire, what two readers of one journal gain, and what it
costs to load a device.

A database of its own, no devices and no broker: the journal is written as ingest writes it, and one worker's drain is
run in this process, which collects garbage as workers do, so that its CPU is this process's own and Postgres' is that
of its backend.
"""

import asyncio
import functools
import os
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from statistics import median
from typing import Any
from uuid import UUID

import orjson
import psycopg

from engine import clock, ids
from engine.drain import Drain
from engine.rules.sampling import Sampler
from engine.rules.step import PATIENCE_MS
from engine.store.pool import Store
from infra.bench import backtest, processes, sharing
from infra.bench.database import database
from infra.bench.readings import WARM, Signal
from infra.bench.report import table
from infra.bench.tenant import BETWEEN, OTHER_PROFILES, BenchTenant, found, rule
from infra.local.postgres import Postgres
from infra.serve import collect_garbage_seldom

SIGNAL = Signal(values=3, period=100, has_seq=True)
GOAL_A_CORE = {300: 40_000, 10: 6_000}
GOAL_MANY = 0.7
GOAL_LATE_S = 2.0
GOAL_SAMPLING = 1.05
SAMPLING_PAIRS = 6
TIMERS_WITHIN_S = 60.0
READERS = (1, 2, 1, 2)
MET_PAIRS = 2
_WARM = {"metric": "temperature", "op": ">", "value": BETWEEN}


@dataclass(frozen=True, slots=True)
class Course:
    """What is measured. ``kind``: plain comparisons, or windows."""

    events: int = 60_000
    devices: int = 1_000
    rules: int = 100
    per_transaction: int = 300
    kind: str = "plain"


@dataclass(slots=True)
class Run:
    """CPU of an event in microseconds, by process; what fired in all."""

    course: Course
    worker_us: float
    postgres_us: float
    wall_us: float
    fired: int

    @property
    def a_core(self) -> float:
        """Events a second that one core could do, the worker's and Postgres' work together."""
        return 1e6 / self.cpu_us

    @property
    def cpu_us(self) -> float:
        """CPU of an event, the worker's and Postgres' together."""
        return self.worker_us + self.postgres_us


@dataclass(slots=True)
class Measured:
    """All of it."""

    runs: list[Run] = field(default_factory=list)
    many: list[Run] = field(default_factory=list)
    timers: int = 0
    late_s: dict[str, float] = field(default_factory=dict)
    tried: list[backtest.Tried] = field(default_factory=list)
    sampled: list[tuple[Run, Run]] = field(default_factory=list)
    shared: list[sharing.Shared] = field(default_factory=list)
    met: list[tuple[Run, Run]] = field(default_factory=list)

    @property
    def sampling(self) -> float:
        """CPU of an event where it is looked why rules did not fire, over that where it is not: the median of pairs."""
        return median(on.cpu_us / off.cpu_us for on, off in self.sampled) if self.sampled else 0.0

    @property
    def ratio(self) -> float:
        """The speed with ten times the rules, at as many matches, over the speed without them."""
        return self.many[1].a_core / self.many[0].a_core

    @property
    def is_within(self) -> bool:
        """Whether every goal is met."""
        plain = [run for run in self.runs if run.course.kind == "plain"]
        is_fast = all(run.a_core >= GOAL_A_CORE[run.course.per_transaction] for run in plain)
        is_fast = is_fast and all(tried.a_core >= backtest.GOAL_A_CORE for tried in self.tried)
        is_fast = is_fast and self.sampling <= GOAL_SAMPLING
        return is_fast and self.ratio >= GOAL_MANY and self.late_s.get("p99", GOAL_LATE_S + 1) <= GOAL_LATE_S

    def as_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        return asdict(self) | {"ratio": self.ratio, "sampling": self.sampling}


def measure(events: int, timers: int, history: int = 190_000) -> Measured:
    """Run all courses on a server of its own, and throw it away."""
    measured = Measured()
    collect_garbage_seldom()
    with database() as (postgres, _):
        for size in GOAL_A_CORE:
            for kind in ("plain", "windows"):
                some = events if size > 100 else events // 5
                measured.runs.append(asyncio.run(_run(postgres, Course(some, per_transaction=size, kind=kind))))
        for rules in (1_000, 10_000):
            measured.many.append(asyncio.run(_run(postgres, Course(events, rules=rules))))
        measured.timers = timers
        measured.late_s = asyncio.run(_timers(postgres, timers))
        measured.tried = asyncio.run(backtest.tried(postgres, history))
        measured.shared = [asyncio.run(_shared(postgres, Course(events), count)) for count in READERS]
        measured.met = asyncio.run(_met(postgres, Course(events // 3, devices=events // 3)))
        measured.sampled = _sampled(lambda sampler: asyncio.run(_run(postgres, Course(events), sampler)))
    return measured


def _sampled(run: Callable[[Sampler], Run]) -> list[tuple[Run, Run]]:
    """Pairs of runs, with looks and without: now the one first and now the other, as each leaves a larger database."""
    pairs = []
    for number in range(SAMPLING_PAIRS):
        if number % 2 == 0:
            on, off = run(Sampler()), run(Unlooking())
        else:
            off, on = run(Unlooking()), run(Sampler())
        pairs.append((on, off))
    return pairs


class Unlooking(Sampler):
    """Never looks why a rule did not fire."""

    def is_due(self, tenant_id: UUID, now: datetime) -> bool:
        """It is not."""
        return False


def shown(measured: Measured) -> str:
    """The figures for people."""
    rows = [
        [
            f"{run.course.kind}, {run.course.rules} rules, {run.course.per_transaction} a transaction",
            run.worker_us,
            run.postgres_us,
            round(run.a_core),
            GOAL_A_CORE.get(run.course.per_transaction, "") if run.course.kind == "plain" else "",
            run.fired,
        ]
        for run in (*measured.runs, *measured.many)
    ]
    head = ["three rules match an event", "worker us", "postgres us", "events/s/core", "goal", "alerts"]
    late = "  ".join(f"{name} {seconds:.2f} s" for name, seconds in measured.late_s.items())
    said = [
        table(head, rows),
        "",
        f"  10,000 rules go at {measured.ratio:.2f} of the speed of 1,000 (goal {GOAL_MANY})",
        f"  {measured.timers} timers due in one second are late by {late} (goal p99 {GOAL_LATE_S:g} s)",
    ]
    if measured.sampled:
        pairs = ", ".join(f"{on.cpu_us:.1f}/{off.cpu_us:.1f}" for on, off in measured.sampled)
        looks = f"looks why rules did not fire cost {measured.sampling:.2f} of the CPU without (goal {GOAL_SAMPLING})"
        said.append(f"  {looks}; pairs, us an event: {pairs}")
    said += [f"  {sharing.said(each)}" for each in measured.shared]
    if measured.met:
        pairs = ", ".join(
            f"{new.worker_us:.1f} + {new.postgres_us:.1f}/{known.worker_us:.1f} + {known.postgres_us:.1f}"
            for new, known in measured.met
        )
        said.append(
            f"  each event of another device, which the worker must load/knows, us of worker + Postgres: {pairs}"
        )
    return "\n".join([*said, "", backtest.shown(measured.tried)])


async def _run(postgres: Postgres, course: Course, sampler: Sampler | None = None) -> Run:
    tenant = await found(postgres, SIGNAL, course.devices, _matching(course.kind))
    _add_others(postgres, tenant.id, course.rules - 3)
    store = Store(postgres.url("worker"), size=1)
    try:
        drain = Drain(store, sampler=sampler)
        await _drained(drain, tenant.id)  # rules are compiled, nothing of a device is known yet
        return await _measured(postgres, tenant, course, drain)
    finally:
        await store.close()


async def _measured(postgres: Postgres, tenant: BenchTenant, course: Course, drain: Drain) -> Run:
    """The course's events are told, and drained."""
    _write(postgres, tenant, course)
    worker, server, began = time.process_time(), _server_cpu_s(), time.monotonic()
    await _drained(drain, tenant.id)
    spent, wall, served = time.process_time() - worker, time.monotonic() - began, _server_cpu_s() - server
    scale = 1e6 / course.events
    return Run(course, spent * scale, served * scale, wall * scale, _count(postgres, tenant.id))


async def _met(postgres: Postgres, course: Course) -> list[tuple[Run, Run]]:
    """Pairs of what an event costs of a device that the worker knows nothing of, and of one that it has just met."""
    tenant = await found(postgres, SIGNAL, course.devices, _matching(course.kind))
    store, pairs = Store(postgres.url("worker"), size=1), []
    try:
        await _measured(postgres, tenant, course, Drain(store))  # what is stored of each for the first time
        for _ in range(MET_PAIRS):
            drain = Drain(store)
            await _drained(drain, tenant.id)
            new = await _measured(postgres, tenant, course, drain)
            pairs.append((new, await _measured(postgres, tenant, course, drain)))
    finally:
        await store.close()
    return pairs


async def _shared(postgres: Postgres, course: Course, count: int) -> sharing.Shared:
    """A course's backlog drained by so many readers at once."""
    tenant = await found(postgres, SIGNAL, course.devices, _matching(course.kind))
    store = Store(postgres.url("worker"), size=1)
    try:
        await _drained(Drain(store), tenant.id)
    finally:
        await store.close()
    await sharing.share(postgres, tenant.id, count)
    write = functools.partial(_write, postgres, tenant, course)
    return await asyncio.to_thread(sharing.drained, postgres, tenant.id, count, course.events, write)


def _matching(kind: str) -> list[dict[str, Any]]:
    """Three rules that match every event; each device's temperature changes sides twice in a hundred messages."""
    if kind == "windows":
        average = {"metric": "temperature", "agg": {"fn": "avg", "over": "5m"}, "op": ">", "value": BETWEEN}
        rising = {"metric": "temperature", "rate": {"per": "1m", "over": "10m"}, "op": ">", "value": 1e9}
        most = {"metric": "humidity", "agg": {"fn": "max", "over": "10m"}, "op": ">", "value": 90}
        return [rule("On average too warm", average), rule("Rises", rising), rule("Was too humid", most)]
    return [
        rule("Too warm", {"metric": "temperature", "op": ">", "value": BETWEEN}),
        rule("Too humid", {"metric": "humidity", "op": ">", "value": 90}),
        rule("Both", {"all": [{"metric": m, "op": "<", "value": -20} for m in ("temperature", "humidity")]}),
    ]


def _add_others(postgres: Postgres, tenant_id: UUID, count: int) -> None:
    """Rules of other profiles, behind the service's back: a tenant may not have so many."""
    with psycopg.connect(postgres.url("superuser")) as connection, connection.cursor() as cursor:
        for number in range(count):
            when = {"metric": "temperature", "op": ">", "value": number}
            document = rule(f"Other {number}", when, profile=f"other-{number % OTHER_PROFILES}")
            cursor.execute(
                "INSERT INTO rules (tenant_id, id, name, severity, document, is_enabled) "
                "VALUES (%s, %s, %s, 'major', %s, true)",
                (tenant_id, ids.uuid7(), document["name"], orjson.dumps(document).decode()),
            )


def _write(postgres: Postgres, tenant: BenchTenant, course: Course) -> None:
    """The journal of these events, a second apart for each device, as many a row as ingest took at once."""
    devices, now = [str(device) for device in tenant.device_ids], clock.now_ms()
    began = now - 1_000 * (course.events // len(devices) + 1)
    rows = []
    for event in range(course.events):
        device, n = event % len(devices), event // len(devices)
        at = began + n * 1_000
        values = orjson.loads(SIGNAL.payload(device, n, at))["values"]
        rows.append([devices[device], at, n, at, values])
    parts = (rows[start : start + course.per_transaction] for start in range(0, len(rows), course.per_transaction))
    tell(postgres, tenant.id, parts)


def tell(postgres: Postgres, tenant_id: UUID, parts: Iterable[list[list[Any]]]) -> None:
    """Append these readings to the journal, a transaction for each part."""
    with psycopg.connect(postgres.url("ingest")) as connection:
        for part in parts:
            body = orjson.dumps({"r": part, "n": {}}).decode()
            connection.execute("SELECT set_config('app.tenants', %s, true)", ("{" + str(tenant_id) + "}",))
            connection.execute("SELECT app.append(%s::uuid[], ARRAY['telemetry'], %s::json[])", ([tenant_id], [body]))
            connection.commit()


async def _timers(postgres: Postgres, count: int) -> dict[str, float]:
    """How late so many waits end that are over in the same second, with a tick a second as beat gives it."""
    tenant = await found(postgres, SIGNAL, count, [rule("Warm for a while", _WARM, **{"for": "8s"})])
    store = Store(postgres.url("worker"), size=1)
    try:
        drain, rng = Drain(store), random.Random(1)  # noqa: S311  # when within the second, nothing secret
        await _drained(drain, tenant.id)
        # Each was received as it was sent: what is late on its way is waited for as much longer, and all of one journal
        # row that was received at one moment would be due at one moment too.
        sent = [clock.now_ms() - rng.randrange(1_000) for _ in tenant.device_ids]
        rows = [[str(d), at, 1, at, {"temperature": WARM}] for d, at in zip(tenant.device_ids, sent, strict=True)]
        tell(postgres, tenant.id, [rows])
        await _drained(drain, tenant.id)
        deadline = time.monotonic() + TIMERS_WITHIN_S
        while _count(postgres, tenant.id) < count and time.monotonic() < deadline:
            await asyncio.sleep(1 - time.time() % 1)
            await _drained(drain, tenant.id)
    finally:
        await store.close()
    return _lateness(postgres, tenant.id)


def _lateness(postgres: Postgres, tenant_id: UUID) -> dict[str, float]:
    """From the moment a wait was over (and the patience after it) to the COMMIT that raised its alert, in seconds."""
    with psycopg.connect(postgres.url("superuser")) as connection:
        rows = connection.execute(
            "SELECT extract(epoch FROM j.at - a.raised_at) FROM alerts a JOIN journal j ON j.tenant_id = a.tenant_id "
            "AND j.kind = 'alert.raised' AND j.body ->> 'alert' = a.id::text WHERE a.tenant_id = %s",
            [tenant_id],
        ).fetchall()
    late = sorted(float(row[0]) - PATIENCE_MS / 1_000 for row in rows)
    if not late:
        return {}
    return {"p50": late[len(late) // 2], "p99": late[len(late) * 99 // 100], "max": late[-1]}


async def _drained(drain: Drain, tenant_id: UUID) -> None:
    while await drain.run(tenant_id):
        continue


def _server_cpu_s() -> float:
    """What the server has used, its backends too."""
    return processes.usage(processes.named(os.getpid())["postgres"]).cpu_s


def _count(postgres: Postgres, tenant_id: UUID) -> int:
    with psycopg.connect(postgres.url("superuser")) as connection:
        row = connection.execute("SELECT count(*) FROM alerts WHERE tenant_id = %s", [tenant_id]).fetchone()
    return int(row[0]) if row else 0
