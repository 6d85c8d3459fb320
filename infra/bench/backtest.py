"""What a backtest costs: stored messages read and played through the live engine, as `tidegate bench rules` shows it.

The database holds what devices have sent in the last hours; each rule is tried on all of it as the API does, reading
first and playing then.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import Any

import psycopg

from engine import clock
from engine.rules import trial
from engine.rules.rehearsal import Budget
from engine.store.pool import Store
from engine.tenancy import system
from infra.bench import processes
from infra.bench.readings import COLD, WARM, Signal
from infra.bench.report import table
from infra.bench.tenant import BETWEEN, BenchTenant, found, rule
from infra.local.errors import SetupProblem
from infra.local.postgres import Postgres

SIGNAL = Signal(values=3, period=100, has_seq=True)
GOAL_A_CORE = 200_000
EVERY = timedelta(seconds=5)
PER_DEVICE = 1_000
PLAYS = 3
"""How often each story is played, of which the median counts: how fast a processor is here changes within seconds."""
_WARM = {"metric": "temperature", "op": ">", "value": BETWEEN}
_AVERAGE = {"metric": "temperature", "agg": {"fn": "avg", "over": "5m"}, "op": ">", "value": 23.2}
TRIED = {
    "a comparison": rule("Warm", _WARM),
    "a comparison for a while": rule("Warm for a while", _WARM, **{"for": "30s"}),
    "an average": rule("Warm on average", _AVERAGE),
}

# A wave as `Signal` makes it: warm for a tenth of a hundred messages. The values lie as ingest lays them.
_FILL = """
    INSERT INTO telemetry (tenant_id, device_id, time, seq, received_at, values)
    SELECT %(tenant)s, d.id, at, n, at + interval '200 ms', jsonb_build_object('count', n, 'humidity', 40 + n %% 20,
        'temperature', (CASE WHEN (n + d.number * 37) %% 100 < 10 THEN %(warm)s ELSE %(cold)s END + n %% 40) / 10.0)
    FROM unnest(%(devices)s::uuid[]) WITH ORDINALITY AS d (id, number) CROSS JOIN generate_series(1, %(each)s) AS n,
        LATERAL (SELECT %(begin)s::timestamptz + n * %(every)s::interval AS at) AS t
"""


@dataclass(frozen=True, slots=True)
class Tried:
    """One rule tried: messages played, how often it would have fired, CPU of a message in microseconds."""

    name: str
    messages: int
    fired: int
    reading_us: float
    playing_us: float
    postgres_us: float

    @property
    def a_core(self) -> float:
        """Messages a second that one core could play, once they are read."""
        return 1e6 / self.playing_us

    @property
    def in_all(self) -> float:
        """Messages a second that one core could read and play, this process's and Postgres' work together."""
        return 1e6 / (self.reading_us + self.playing_us + self.postgres_us)


def shown(all_tried: Sequence[Tried]) -> str:
    """The figures for people."""
    head = ["a backtest of", "messages", "fired", "reading us", "playing us", "postgres us"]
    head += ["played/s/core", "goal", "with reading"]
    rows = [
        [
            *(each.name, each.messages, each.fired, each.reading_us, each.playing_us, each.postgres_us),
            *(round(each.a_core), GOAL_A_CORE, round(each.in_all)),
        ]
        for each in all_tried
    ]
    return table(head, rows)


async def tried(postgres: Postgres, messages: int) -> list[Tried]:
    """Each kind of rule, tried on so many stored messages (at most what one backtest may read)."""
    devices = max(1, min(messages, trial.MOST_MESSAGES - PER_DEVICE) // PER_DEVICE)
    tenant = await found(postgres, SIGNAL, devices, [])
    _fill(postgres, tenant)
    store = Store(postgres.url("app"), size=1)
    try:
        return [await _one(store, tenant, name, document) for name, document in TRIED.items()]
    finally:
        await store.close()


async def _one(store: Store, tenant: BenchTenant, name: str, document: dict[str, Any]) -> Tried:
    start = clock.from_ms(clock.now_ms()) - _span()
    own, server = time.process_time(), _server_cpu_s()
    async with store.as_tenant(system(tenant.id), read_only=True) as tx:
        story = await trial._story(tx, document, start, None, None)
    read, server = time.process_time(), _server_cpu_s() - server
    took = []
    for _ in range(PLAYS):
        began = time.process_time()
        answer = trial._play(story, Budget(trial.BACKTEST_CPU_S))
        took.append(time.process_time() - began)
    if not answer.is_complete:
        raise SetupProblem(f"The backtest of {name} ended early, after {answer.messages:,} messages.")
    scale = 1e6 / answer.messages
    return Tried(name, answer.messages, answer.total, (read - own) * scale, median(took) * scale, server * scale)


def _fill(postgres: Postgres, tenant: BenchTenant) -> None:
    given = {
        "tenant": tenant.id,
        "devices": tenant.device_ids,
        "each": PER_DEVICE,
        "warm": WARM,
        "cold": COLD,
        "every": EVERY,
        "begin": clock.from_ms(clock.now_ms()) - EVERY * PER_DEVICE,
    }
    with psycopg.connect(postgres.url("superuser")) as connection:
        connection.execute(_FILL, given)
    with psycopg.connect(postgres.url("superuser"), autocommit=True) as connection:
        connection.execute("ANALYZE telemetry")


def _span() -> timedelta:
    """Somewhat longer than the stored past, so that all of it is played."""
    return EVERY * PER_DEVICE + timedelta(minutes=10)


def _server_cpu_s() -> float:
    """What the server has used, its backends too."""
    return processes.usage(processes.named(os.getpid())["postgres"]).cpu_s
