"""`tidegate bench api`: what a query costs, in processor time of the web process and of Postgres.

A database of its own and one real web process; a single client asks the same question again and again over one
connection, as a console or a program does, so that texts are known and connections are warm.
"""

import asyncio
import http.client
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson
import psycopg

from engine import clock
from infra.bench import processes, report
from infra.bench.database import database
from infra.bench.readings import Signal
from infra.bench.served import Web, served
from infra.bench.tenant import BenchTenant, found
from infra.local.errors import SetupProblem
from infra.local.postgres import Postgres

DEVICES = 50
POINTS = 1_000
SIGNAL = Signal(values=3, period=100)
WARM_UP = 50

_ONE = "query($id: ID!) { device(id: $id) { id key name status isOnline latest { metric value time unit } } }"
_MANY = (
    "query($first: Int!) { devices(first: $first) { pageInfo { hasNextPage endCursor } "
    "items { id key name status isOnline latest { metric value time unit } } } }"
)
_SERIES = (
    "query($id: ID!, $from: DateTime!, $limit: Int!) { device(id: $id) { id "
    'telemetry(metric: "temperature", from: $from, limit: $limit) { times values } } }'
)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, what the web process may take for it, and how many things the answer must hold."""

    name: str
    goal_ms: float
    query: str
    variables: dict[str, Any]
    holds: int


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU of one answer, in milliseconds, by process; how long it took; how long it is."""

    name: str
    goal_ms: float
    web_ms: float
    postgres_ms: float
    wall_ms: float
    size_bytes: int

    @property
    def is_within(self) -> bool:
        """Whether the goal is met."""
        return self.web_ms <= self.goal_ms


def measure(times: int) -> list[Cost]:
    """Ask each question ``times`` times on a server of its own, and throw it away."""
    with database() as (postgres, folder), served(postgres, folder) as web:
        return ask(postgres, web, times)


def ask(postgres: Postgres, web: Web, times: int) -> list[Cost]:
    """Fill a running server and ask the web process beside it."""
    tenant = asyncio.run(found(postgres, SIGNAL, DEVICES, []))
    _fill(postgres, tenant)
    client = _Client(web.port, tenant.api_token)
    return [_cost(postgres, web.pid, client, question, times) for question in _questions(tenant)]


def shown(costs: Sequence[Cost]) -> str:
    """The figures for people."""
    rows = [
        [
            cost.name,
            cost.web_ms,
            cost.postgres_ms,
            cost.wall_ms,
            cost.size_bytes,
            f"<= {cost.goal_ms:g} {'held' if cost.is_within else 'MISSED'}",
        ]
        for cost in costs
    ]
    head = ["CPU of one query", "web ms", "postgres ms", "wall ms", "bytes", "goal (web)"]
    return report.table(head, rows)


def as_json(costs: Sequence[Cost]) -> list[dict[str, Any]]:
    """Everything, for a file."""
    return [asdict(cost) for cost in costs]


def _questions(tenant: BenchTenant) -> list[Question]:
    device = str(tenant.device_ids[0])
    begin = clock.from_ms(clock.now_ms() - 86_400_000).isoformat()
    series = {"id": device, "from": begin, "limit": POINTS}
    return [
        Question("one device", 0.8, _ONE, {"id": device}, 1),
        Question(f"{DEVICES} devices and their latest values", 3.0, _MANY, {"first": DEVICES}, DEVICES),
        Question(f"{POINTS:,} points", 2.5, _SERIES, series, POINTS),
    ]


def _fill(postgres: Postgres, tenant: BenchTenant) -> None:
    """A message of each device with its newest values, and the first device's past, as ingest and drain leave them."""
    now = clock.now_ms()
    sent = [(0, now - 10_000 * n) for n in range(POINTS)] + [(number, now) for number in range(1, DEVICES)]
    with psycopg.connect(postgres.url("superuser")) as connection, connection.cursor() as cursor:
        told = [(tenant.device_ids[number], at, _values(number, n, at)) for n, (number, at) in enumerate(sent)]
        cursor.executemany(
            "INSERT INTO telemetry (tenant_id, device_id, time, seq, received_at, values) "
            "VALUES (%s, %s, to_timestamp(%s / 1000.0), 1, now(), %s)",
            [(tenant.id, device, at, orjson.dumps(values).decode()) for device, at, values in told],
        )
        newest = {device: {m: [v, at] for m, v in values.items()} for device, at, values in reversed(told)}
        cursor.executemany(
            "INSERT INTO latest (tenant_id, device_id, values, received_at) VALUES (%s, %s, %s, now())",
            [(tenant.id, device, orjson.dumps(values).decode()) for device, values in newest.items()],
        )
    with psycopg.connect(postgres.url("superuser"), autocommit=True) as connection:
        connection.execute("ANALYZE telemetry, latest, devices")


def _values(number: int, n: int, at: int) -> dict[str, float]:
    values: dict[str, float] = orjson.loads(SIGNAL.payload(number, n, at))["values"]
    return values


class _Client:
    """One connection that asks and reads."""

    def __init__(self, port: int, token: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def ask(self, question: Question) -> bytes:
        body = orjson.dumps({"query": question.query, "variables": question.variables})
        self._connection.request("POST", "/graphql", body, self._headers)
        return self._connection.getresponse().read()


def _cost(postgres: Postgres, web: int, client: _Client, question: Question, times: int) -> Cost:
    _check(question, client.ask(question))
    for _ in range(WARM_UP):
        client.ask(question)
    web_s, postgres_s, began = processes.usage(web).cpu_s, _backends_s(postgres), time.perf_counter()
    for _ in range(times):
        answer = client.ask(question)
    wall_s = time.perf_counter() - began
    web_s, postgres_s = processes.usage(web).cpu_s - web_s, _backends_s(postgres) - postgres_s
    web_ms, postgres_ms, wall_ms = (seconds / times * 1_000 for seconds in (web_s, postgres_s, wall_s))
    return Cost(question.name, question.goal_ms, web_ms, postgres_ms, wall_ms, len(answer))


def _check(question: Question, answer: bytes) -> None:
    """That the answer is the whole one: an error would be cheap."""
    data = orjson.loads(answer).get("data") or {}
    (root,) = data.values() or [None]
    found = root if isinstance(root, dict) else {}
    listed = found.get("items") or found.get("telemetry", {}).get("times") or [found]
    if not found or len(listed) != question.holds:
        raise SetupProblem(f"“{question.name}” was not answered: {answer[:300].decode()}")


def _backends_s(postgres: Postgres) -> float:
    """CPU seconds of the server's processes, which serve nobody but the web process."""
    with psycopg.connect(postgres.url("superuser")) as connection:
        rows = connection.execute("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()").fetchall()
    return sum(processes.usage(pid).cpu_s for (pid,) in rows)
