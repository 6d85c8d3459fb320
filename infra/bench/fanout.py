"""`tidegate bench fanout`: what it costs to hand readings on to many subscribers, and how long it takes (DESIGN §5).

PostgreSQL, Valkey and one web process; readings are written into the journal as ingest writes them, and Valkey is told,
so that nothing else has the machine. Each subscriber hears one reading a second. Times are from the moment a reading is
due on the schedule (the transaction that writes it begins within 10 ms) to its arrival at the subscriber's socket, so
COMMIT, the news by Valkey, the reading of the journal and the sending are all in it. CPU is from before the first
reading until the last one has arrived, divided by the messages that arrived.
"""

import asyncio
import contextlib
import os
import time
from array import array
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
import psycopg

from engine import clock
from engine.journal.bus import ValkeyBus
from infra.bench import processes
from infra.bench.audience import Order
from infra.bench.database import database
from infra.bench.generator import percentiles
from infra.bench.obeying import Obeying
from infra.bench.readings import Signal
from infra.bench.report import table
from infra.bench.served import Web, served
from infra.bench.tenant import BenchTenant, found
from infra.local.embedded import valkey_of
from infra.local.errors import SetupProblem
from infra.local.postgres import Postgres
from infra.local.valkey import Valkey
from infra.serve import allow_many_connections

GOAL_US = 30.0
GOAL_P99_MS = 250.0
TICK_S = 0.01
HEARD_WITHIN_S = 60.0
SETTLE_S = 0.5
SPARE_FILES = 200
"""What a process opens besides its connections."""
LOOK_S = 0.1
ARRIVES_WITHIN_S = 20.0
ANSWERS_WITHIN_S = 90.0
SIGNAL = Signal(values=3)
TIMED = (
    "  CPU is of a message that arrived. Times are from when a reading was due to be written into the journal "
    "to its arrival\n  at the subscriber: COMMIT, the news by Valkey, reading the journal and sending are in them. "
    "The goals are of one\n  reading that goes out to many by WebSocket."
)
LOOKED_AT = 4
"""Devices that everybody looks at, where all look at the same."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """`subscribers` of one kind, held by `clients` processes: each follows a device of its own, or all the same few."""

    name: str
    subscribers: int
    seconds: float
    is_same: bool = False
    is_sse: bool = False
    clients: int = 2

    @property
    def devices(self) -> int:
        """How many devices speak."""
        return min(LOOKED_AT, self.subscribers) if self.is_same else self.subscribers

    @property
    def rate(self) -> float:
        """Readings a second of all devices, of which each subscriber hears one."""
        return 1.0 if self.is_same else float(self.subscribers)

    def followed(self, number: int) -> range:
        """The devices that a subscriber follows, by their numbers."""
        return range(self.devices) if self.is_same else range(number, number + 1)


def crowds(subscribers: int, seconds: float) -> list[Crowd]:
    """What is measured, one after the other."""
    return [
        Crowd("all follow the same 4 devices", subscribers, seconds, is_same=True),
        Crowd("each follows a device of its own", subscribers, seconds),
        Crowd("the same 4 devices, as SSE", max(1, subscribers // 4), seconds, is_same=True, is_sse=True),
    ]


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of one crowd. CPU is microseconds a message that arrived; `kernel`: what the kernel did for the web
    process, which is in `web`; `…_cores`, `busiest_client`: of one core.
    """

    crowd: Crowd
    expected: int
    arrived: int
    skipped: int
    wrong: list[str]
    cpu_us: dict[str, float]
    web_cores: float
    busiest_client: float
    bytes_each: float
    latency_ms: dict[str, float]

    @property
    def lost(self) -> int:
        """Readings that neither arrived nor were said to be skipped."""
        return max(0, self.expected - self.arrived - self.skipped)

    @property
    def is_within(self) -> bool:
        """Whether nothing is wrong and, where the goals are meant for it, both are met."""
        return not self.wrong and (not self.has_goal or (self.is_cheap and self.is_soon))

    @property
    def has_goal(self) -> bool:
        """The goals are of one reading that goes out to many, by WebSocket."""
        return self.crowd.is_same and not self.crowd.is_sse

    @property
    def is_cheap(self) -> bool:
        """Whether a message costs the web process no more than the goal."""
        return self.cpu_us["web"] <= GOAL_US

    @property
    def is_soon(self) -> bool:
        """Whether messages arrive within the goal."""
        return self.latency_ms.get("p99", float("inf")) <= GOAL_P99_MS


def measure(subscribers: int, seconds: float, tell: Callable[[str], None] = print) -> list[Heard]:
    """All crowds, on engines and a web process of their own; `tell` hears of each."""
    most = allow_many_connections() - SPARE_FILES
    if not 1 <= subscribers <= most:
        raise SetupProblem(f"Between 1 and {most:,} subscribers can listen: each is an open file of the web process.")
    heard = []
    with database() as (postgres, folder), _valkey(folder) as valkey, served(postgres, folder, valkey.url()) as web:
        for crowd in crowds(subscribers, seconds):
            heard.append(follow(postgres, valkey, web, crowd))
            tell(f"{crowd.name}: {heard[-1].cpu_us['web']:.1f} us of the web process a message")
    return heard


def follow(postgres: Postgres, valkey: Valkey, web: Web, crowd: Crowd) -> Heard:
    """Let a crowd listen to a tenant of its own for so many seconds, and judge what arrived."""
    tenant = asyncio.run(found(postgres, SIGNAL, crowd.devices, []))
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(Obeying("infra.bench.audience", order.text())) for order in _orders(web, tenant, crowd)
        ]
        for client in clients:
            client.tell(do="subscribe")
        for client in clients:
            client.answer(ANSWERS_WITHIN_S)
        return asyncio.run(_follow(postgres, valkey, web, tenant, crowd, clients))


async def _follow(
    postgres: Postgres, valkey: Valkey, web: Web, tenant: BenchTenant, crowd: Crowd, clients: Sequence[Obeying]
) -> Heard:
    async with writing(postgres, valkey, tenant, crowd) as writer:
        await _until_all_heard(writer, clients, crowd)
        pids = _pids(web) | {f"client {number}": client.pid for number, client in enumerate(clients, 1)}
        before, own, began = _cpu_s(pids), time.process_time(), time.monotonic()
        due = await writer.play(crowd.seconds)
        expected = sum(len(_expected(crowd, due, number)) for number in range(crowd.subscribers))
        await _until_arrived(clients, expected)
        wall = time.monotonic() - began
        spent = {name: cpu_s - before[name] for name, cpu_s in _cpu_s(pids).items()}
        spent["bench"] = time.process_time() - own
    devices = [str(device_id) for device_id in tenant.device_ids]
    return judged(crowd, devices, due, [client.ask(ANSWERS_WITHIN_S, do="tell") for client in clients], spent, wall)


class Writer:
    """Writes readings into the journal as ingest does, by an open schedule, and says that there is news."""

    def __init__(self, connection: "psycopg.AsyncConnection[Any]", bus: ValkeyBus, tenant: BenchTenant, crowd: Crowd):
        self._connection = connection
        self._bus = bus
        self._tenant = tenant
        self._crowd = crowd
        self._number = 0

    async def play(self, seconds: float) -> dict[int, float]:
        """Write what falls due in so many seconds; when each reading was due (monotonic), by its number."""
        rate, first, began = self._crowd.rate, self._number, time.monotonic()
        last = first + max(1, int(rate * seconds))
        while self._number < last:
            until = min(last, first + 1 + int((time.monotonic() - began) * rate))
            if until > self._number:
                await self._write(range(self._number, until))
                self._number = until
            await asyncio.sleep(TICK_S)
        return {number: began + (number - first) / rate for number in range(first, last)}

    async def _write(self, numbers: range) -> None:
        now = clock.now_ms()
        devices = (self._tenant.device_ids[number % self._crowd.devices] for number in numbers)
        rows = [
            [str(device), now, number, now, {"temperature": 20.5, "count": number, "humidity": 40}]
            for device, number in zip(devices, numbers, strict=True)
        ]
        body, tenant_id = orjson.dumps({"r": rows, "n": {}}).decode(), self._tenant.id
        async with self._connection.transaction():
            await self._connection.execute("SELECT set_config('app.tenants', %s, true)", [f"{{{tenant_id}}}"])
            await self._connection.execute(
                "SELECT app.append(%s::uuid[], ARRAY['telemetry'], %s::json[])", [[tenant_id], [body]]
            )
        self._bus.publish([tenant_id])


@contextlib.asynccontextmanager
async def writing(postgres: Postgres, valkey: Valkey, tenant: BenchTenant, crowd: Crowd) -> AsyncIterator[Writer]:
    """A writer with its connections."""
    bus = ValkeyBus(valkey.url())
    await bus.open()
    try:
        async with await psycopg.AsyncConnection.connect(postgres.url("ingest"), autocommit=True) as connection:
            yield Writer(connection, bus, tenant, crowd)
    finally:
        await bus.close()


def shown(all_heard: Sequence[Heard]) -> str:
    """The figures for people."""
    rows = [
        [
            f"{heard.crowd.name}, {heard.crowd.subscribers:,}",
            f"{heard.arrived:,}",
            *(heard.cpu_us[name] for name in ("web", "kernel", "postgres", "valkey", "clients")),
            *(heard.latency_ms.get(name, "none") for name in ("p50", "p95", "p99", "max")),
            _verdict(heard),
        ]
        for heard in all_heard
    ]
    head = ["subscribers at 1 message/s", "messages", "web us", "kernel's", "postgres", "valkey", "clients"]
    head += ["p50 ms", "p95", "p99", "max", f"goal {GOAL_US:g} us, p99 {GOAL_P99_MS:g} ms"]
    return "\n".join(["", table(head, rows), *(line for heard in all_heard for line in _said(heard)), TIMED])


def _verdict(heard: Heard) -> str:
    if not heard.has_goal:
        return "WRONG" if heard.wrong else ""
    cheap, soon = ("held" if each else "MISSED" for each in (heard.is_cheap, heard.is_soon))
    return f"{cheap}, {soon}"


def _said(heard: Heard) -> list[str]:
    return [
        f"  {heard.crowd.name}: {heard.arrived:,} of {heard.expected:,} readings arrived, {heard.skipped} skipped, "
        f"{heard.lost} lost; {heard.bytes_each:.0f} bytes each; web used {heard.web_cores:.2f} of a core, "
        f"the busiest of {heard.crowd.clients} client processes {heard.busiest_client:.2f}",
        *(f"  WRONG         {each}" for each in heard.wrong),
    ]


def _orders(web: Web, tenant: BenchTenant, crowd: Crowd) -> list[Order]:
    """What each client process holds: every so many-th subscriber."""
    followed = [[str(tenant.device_ids[n]) for n in crowd.followed(number)] for number in range(crowd.subscribers)]
    parts = [followed[first :: crowd.clients] for first in range(crowd.clients)]
    return [Order(web.port, tenant.api_token, part, crowd.is_sse) for part in parts]


async def _until_all_heard(writer: Writer, clients: Sequence[Obeying], crowd: Crowd) -> None:
    """No protocol says when a subscription has begun: it has when it hears. What was heard until then is forgotten."""
    until, heard = time.monotonic() + HEARD_WITHIN_S, 0
    while heard < crowd.subscribers:
        if time.monotonic() > until:
            raise SetupProblem(f"Only {heard} of {crowd.subscribers} subscribers have heard anything.")
        await writer.play(1.0)
        await asyncio.sleep(SETTLE_S)
        heard = sum(client.ask(ANSWERS_WITHIN_S, do="count")["subscribers"] for client in clients)
    for client in clients:
        client.ask(ANSWERS_WITHIN_S, do="forget")


async def _until_arrived(clients: Sequence[Obeying], expected: int) -> None:
    for _ in range(int(ARRIVES_WITHIN_S / LOOK_S)):
        if sum(client.ask(ANSWERS_WITHIN_S, do="count")["messages"] for client in clients) >= expected:
            return
        await asyncio.sleep(LOOK_S)


def _pids(web: Web) -> dict[str, int]:
    """What runs, by its name."""
    engines = processes.named(os.getpid())
    return {"web": web.pid, "postgres": engines["postgres"], "valkey": engines["valkey"]}


def _cpu_s(pids: Mapping[str, int]) -> dict[str, float]:
    usage = {name: processes.usage(pid) for name, pid in pids.items()}
    return {name: used.cpu_s for name, used in usage.items()} | {"kernel": usage["web"].kernel_s}


def _expected(crowd: Crowd, due: Mapping[int, float], number: int) -> list[int]:
    """The numbers of the readings that a subscriber must hear."""
    followed = crowd.followed(number)
    return [reading for reading in due if reading % crowd.devices in followed]


def judged(
    crowd: Crowd,
    devices: Sequence[str],
    due: Mapping[int, float],
    told: Sequence[Mapping[str, Any]],
    spent: Mapping[str, float],
    wall_s: float,
) -> Heard:
    """What the clients' processes tell, held against what was written; `spent` is CPU seconds by process."""
    wrong = [f"a client says {error}" for each in told for error in each["errors"]]
    came, late, first = Counter[tuple[int, int]](), array("d"), min(due)
    for client, each in enumerate(told):
        for place, device, number, at in each["arrived"]:
            if number < first:
                continue  # of the warming up, under way when that was forgotten
            came[place * crowd.clients + client, number] += 1
            late.append(at - due.get(number, at))
            if devices[number % crowd.devices] != device:
                wrong.append(f"reading {number} came under another device's name")
    expected = {(s, number) for s in range(crowd.subscribers) for number in _expected(crowd, due, s)}
    arrived, skipped = len(came.keys() & expected), sum(each["skipped"] for each in told)
    if strange := len(came) - arrived:
        wrong.append(f"{strange} messages that were meant for somebody else")
    if twice := came.total() - len(came):
        wrong.append(f"{twice} messages came again")
    if lost := max(0, len(expected) - arrived - skipped):
        wrong.append(f"{lost} readings neither arrived nor were said to be skipped")
    messages = max(1, came.total())
    clients = [cpu_s for name, cpu_s in spent.items() if name.startswith("client")]
    used = {name: spent[name] for name in ("web", "kernel", "postgres", "valkey", "bench")} | {"clients": sum(clients)}
    return Heard(
        crowd,
        len(expected),
        arrived,
        skipped,
        wrong,
        {name: cpu_s * 1e6 / messages for name, cpu_s in used.items()},
        spent["web"] / wall_s,
        max(clients) / wall_s,
        sum(each["bytes"] for each in told) / messages,
        percentiles(late),
    )


def as_json(all_heard: Sequence[Heard]) -> list[dict[str, Any]]:
    """Everything, for a file."""
    return [asdict(heard) for heard in all_heard]


@contextlib.contextmanager
def _valkey(folder: Path) -> Iterator[Valkey]:
    valkey = valkey_of(folder)
    try:
        valkey.prepare()
        valkey.start()
        yield valkey
    finally:
        valkey.remove()
