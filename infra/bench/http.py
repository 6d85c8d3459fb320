"""`tidegate bench http`: what a device's request costs ingest and Postgres, over connections that are kept open.

Devices post one after the other on a connection each: a reading, a reading without a time under an Idempotency-Key, a
list of readings. Then what was stored is counted.
"""

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import psycopg

from infra.bench.clients import Identity
from infra.bench.judge import wait_for_drain
from infra.bench.processes import Usage
from infra.bench.readings import Signal
from infra.bench.report import table
from infra.bench.rig import Rig
from infra.bench.tenant import BenchTenant, found

LIST = 100
"""Readings of a list."""
PROCESSES = ("ingest", "postgres")
DRAIN_WITHIN_S = 300.0


@dataclass(frozen=True, slots=True)
class Course:
    """One way to send. `readings` of a request; `is_keyed` leaves their times to us and names an Idempotency-Key."""

    name: str
    readings: int = 1
    is_keyed: bool = False


Sending = Callable[[int, list[Identity], Course, float], Coroutine[Any, Any, list[float]]]
"""Sends to a port from all these devices at once for so long; the seconds that each request took."""

COURSES = (Course("a reading"), Course("a reading, keyed", is_keyed=True), Course("a list of 100", LIST))


@dataclass(slots=True)
class Cost:
    """CPU microseconds by process for one request of a course; the rate of all connections together."""

    course: Course
    requests: int
    requests_per_s: float
    cpu_us: dict[str, float]
    p99_ms: float


@dataclass(slots=True)
class Measured:
    """All courses, and whether each reading was stored once."""

    connections: int
    costs: list[Cost]
    sent: int
    stored: int

    def as_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        return asdict(self)


def measure(connections: int, seconds: float) -> Measured:
    """Run all courses on a platform of their own, `seconds` each."""
    costs, stored = measured(connections, seconds, COURSES, "ingest_http_port", run)
    return Measured(connections, costs, _Device.sent, stored)


def measured(
    connections: int, seconds: float, courses: Sequence[Course], port: str, sending: Sending
) -> tuple[list[Cost], int]:
    """What each course costs when so many devices send at once to this port; and how many readings were stored."""
    with Rig(with_web=False) as rig:
        tenant = asyncio.run(found(rig.postgres, Signal(values=3), connections, []))
        send = partial(sending, rig.ports[port], tenant.identities)
        every = (courses[0], *courses)  # the first warms up
        costs = [_cost(rig, tenant, course, partial(send, course, seconds)) for course in every][1:]
        with psycopg.connect(rig.postgres.url("superuser")) as connection:
            [(stored,)] = connection.execute("SELECT count(*) FROM telemetry").fetchall()
    return costs, stored


def shown(measured: Measured, way: str = "connections kept open", good: str = "200") -> str:
    """For people; `way` names what the devices send by, `good` the answer that was counted."""
    rows = [
        [
            cost.course.name,
            cost.requests_per_s,
            cost.p99_ms,
            *(cost.cpu_us[name] for name in PROCESSES),
            sum(cost.cpu_us.values()) / cost.course.readings,
        ]
        for cost in measured.costs
    ]
    head = ["request", "a second", "p99 ms", *(f"{name} us" for name in PROCESSES), "us a reading"]
    return (
        f"\n{measured.connections} {way}, one request of each at a time, 3 values a reading\n"
        f"{table(head, rows)}\n{measured.sent} readings answered with {good}, {measured.stored} stored"
    )


def _cost(rig: Rig, tenant: BenchTenant, course: Course, send: Callable[[], Coroutine[Any, Any, list[float]]]) -> Cost:
    before, began = rig.usages(), time.monotonic()
    times = asyncio.run(send())
    took_s = time.monotonic() - began
    after = rig.usages()
    wait_for_drain(rig.postgres, tenant.id, DRAIN_WITHIN_S)
    return Cost(course, len(times), len(times) / took_s, _cpu_us(before, after, len(times)), _p99_ms(times))


async def run(port: int, identities: list[Identity], course: Course, seconds: float) -> list[float]:
    """Send from all these devices at once; the seconds that each request took."""
    until = time.monotonic() + seconds
    devices = [_Device(identity, course) for identity in identities]
    return [took for each in await asyncio.gather(*(device.post(port, until) for device in devices)) for took in each]


class _Device:
    """One connection that posts until it is told to end; written by hand, so that little of the machine is ours."""

    sent = 0
    _number: Iterator[int] = itertools.count(1)

    def __init__(self, identity: Identity, course: Course) -> None:
        self._course = course
        path = f"/ingest/v1/{identity.key}/telemetry"
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {identity.token}\r\n"
            "Content-Type: application/json\r\n"
        )

    async def post(self, port: int, until: float) -> list[float]:
        """The seconds that each request took."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        times = []
        try:
            while (began := time.monotonic()) < until:
                writer.write(self._request())
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                said = await reader.readexactly(size)
                if b" 200 " not in head.partition(b"\r\n")[0]:
                    raise RuntimeError(f"{head.decode()}{said.decode()}")
                _Device.sent += self._course.readings
                times.append(time.monotonic() - began)
        finally:
            writer.close()
        return times

    def _request(self) -> bytes:
        numbers = [next(self._number) for _ in range(self._course.readings)]
        now_ms = time.time_ns() // 1_000_000
        values = [{"temperature": n % 50, "humidity": n % 90, "pressure": n} for n in numbers]
        timed = [{"time": now_ms, "seq": n, "values": each} for n, each in zip(numbers, values, strict=True)]
        said = values[0] if self._course.is_keyed else timed if len(timed) > 1 else timed[0]
        key = f"Idempotency-Key: {numbers[0]}\r\n" if self._course.is_keyed else ""
        body = json.dumps(said).encode()
        return f"{self._head}{key}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _cpu_us(before: Mapping[str, Usage], after: Mapping[str, Usage], requests: int) -> dict[str, float]:
    return {name: (after[name].cpu_s - before[name].cpu_s) * 1e6 / max(requests, 1) for name in PROCESSES}


def _p99_ms(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.99)] * 1_000
