"""`tidegate bench connections`: what a connected device costs in memory, and a message in fleets of growing size.

Memory is what the ingest process holds with all devices connected and subscribed, less what it held with none, on a
platform of its own for plain TCP and for TLS. Cost is CPU a message at one rate, from a fleet of a hundred devices to
one of fifty thousand. As a process may open only so many files, a large fleet comes in shifts: what it costs to come in
is not counted, what the fleet's size does to caches, indexes and to how seldom a device speaks twice in a batch, is. A
device's first message is counted apart: whoever has not been heard before is looked up, and its rows are made.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from infra.bench import processes
from infra.bench.generator import Order
from infra.bench.judge import Sent, Verdict, judge, wait_for_drain
from infra.bench.players import Players
from infra.bench.readings import Signal
from infra.bench.report import table, verdict
from infra.bench.rig import Rig
from infra.bench.tenant import BenchTenant, found, hundred_rules

GOAL_KIB = 10.0
SETTLED_S = 3.0
DRAIN_WITHIN_S = 300.0


@dataclass(frozen=True, slots=True)
class Crowd:
    """`held` connections are weighed; fleets of these `sizes` send `rate` messages a second for `seconds` each."""

    held: int = 10_000
    kinds: Sequence[str] = ("TCP", "TLS")
    sizes: Sequence[int] = (100, 1_000, 10_000, 50_000)
    rate: float = 3_000.0
    seconds: float = 20.0
    shift: int = 10_000
    values: int = 3


@dataclass(frozen=True, slots=True)
class Weight:
    """What `connections` of one kind did to the ingest process."""

    kind: str
    connections: int
    connected_after_s: float
    before_mib: float
    with_mib: float
    cpu_ms_each: float

    @property
    def kib_each(self) -> float:
        """Memory of a connection."""
        return (self.with_mib - self.before_mib) * 1024 / self.connections


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU microseconds a message by process, in a fleet of `devices`; `first_us`: of a device's first one, in all.

    `postgres_us` is that of Postgres by whom it served; `itself` is who has left, and its tidying up once a
    minute, which may fall into the course of any fleet.
    """

    devices: int
    messages: int
    first_us: float
    cpu_us: dict[str, float]
    postgres_us: dict[str, float]
    latency_ms: dict[str, float]
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Measured:
    """All figures."""

    crowd: Crowd
    weights: list[Weight]
    costs: list[Cost]

    @property
    def is_within(self) -> bool:
        """Whether plain connections are as light as promised and nothing was lost."""
        light = all(weight.kib_each <= GOAL_KIB for weight in self.weights if weight.kind == "TCP")
        return light and not any(cost.verdict.wrong for cost in self.costs)

    def as_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        return asdict(self)


def measure(crowd: Crowd, tell: Callable[[str], None] = print) -> Measured:
    """Weigh, then count; `tell` hears of each course."""
    weights = []
    for kind in crowd.kinds:
        weights.append(_weigh(crowd, kind))
        tell(f"{kind}: {weights[-1].kib_each:.1f} KiB a connection")
    costs = []
    with Rig(with_web=False) as rig:
        for size in (min(crowd.sizes), *crowd.sizes):  # the first warms up
            costs.append(_cost(crowd, rig, size))
            tell(
                f"{size} devices: {sum(costs[-1].cpu_us.values()):.1f} us a message, the first {costs[-1].first_us:.1f}"
            )
    return Measured(crowd, weights, costs[1:])


def shown(measured: Measured) -> str:
    """For people."""
    weighed = [
        [
            *(each.kind, each.connections, each.connected_after_s, each.cpu_ms_each),
            *(each.before_mib, each.with_mib, each.kib_each),
        ]
        for each in measured.weights
    ]
    names, parts = list(measured.costs[0].cpu_us), list(measured.costs[0].postgres_us)
    least = sum(measured.costs[0].cpu_us.values())
    rows = []
    for cost in measured.costs:
        total = sum(cost.cpu_us.values())
        by_process = [cost.cpu_us[name] for name in names]
        of_postgres = [cost.postgres_us.get(name, 0.0) for name in parts]
        rows.append([cost.devices, cost.messages, cost.first_us, *by_process, total, total / least, *of_postgres])
    wrong = [f"{cost.devices} devices: {verdict(cost.verdict)}" for cost in measured.costs if cost.verdict.wrong]
    return "\n".join(
        [
            f"\nconnected and subscribed (goal {GOAL_KIB:g} KiB each, plain TCP)",
            table(["", "connections", "in s", "CPU ms each", "MiB before", "MiB with", "KiB each"], weighed),
            f"\nCPU a message by process, us: {measured.crowd.rate:,.0f} msg/s of {measured.crowd.values} values, 100 "
            f"rules of which 3 match; fleets above {measured.crowd.shift:,} come in shifts",
            table(
                ["devices", "messages", "the first", *names, "all", "times", *(f"for {part}" for part in parts)], rows
            ),
            *wrong,
        ]
    )


def _weigh(crowd: Crowd, kind: str) -> Weight:
    """Connect devices to a platform of its own and look what ingest holds then."""
    signal = Signal(values=crowd.values)
    with Rig(with_web=False) as rig:
        tenant = asyncio.run(found(rig.postgres, signal, crowd.held + 1, []))
        port = rig.ports["mqtts_port" if kind == "TLS" else "mqtt_port"]
        order = _order(rig, tenant, signal, port=port, kind=kind, last=crowd.held)
        with _warm(rig, tenant, signal, port, kind), Players(order) as players:
            before = rig.usages()["ingest"]
            told = players.ask(do="connect", timeout_s=900)
            time.sleep(SETTLED_S)
            after = rig.usages()["ingest"]
    cpu_ms = (after.cpu_s - before.cpu_s) * 1_000 / crowd.held
    return Weight(kind, crowd.held, told["seconds"], _mib(before), _mib(after), cpu_ms)


@contextlib.contextmanager
def _warm(rig: Rig, tenant: BenchTenant, signal: Signal, port: int, kind: str) -> Iterator[None]:
    """While one more device is connected, which has spoken: what the first one has loaded is not the others' weight."""
    with Players(_order(rig, tenant, signal, port=port, kind=kind, first=len(tenant.identities) - 1)) as players:
        players.ask(do="connect")
        players.ask(do="run", rate=50, seconds=1)
        time.sleep(SETTLED_S)
        yield


def _order(
    rig: Rig, tenant: BenchTenant, signal: Signal, *, port: int, kind: str, first: int = 0, last: int | None = None
) -> Order:
    return Order(
        port,
        tenant.identities[first:last],
        signal,
        in_flight=1,
        watched=0,
        progress=str(rig.folder / f"progress-{first}"),
        seed=1,
        is_tls=kind == "TLS",
        has_downlink=True,
    )


def _cost(crowd: Crowd, rig: Rig, size: int) -> Cost:
    signal = Signal(values=crowd.values)
    tenant = asyncio.run(found(rig.postgres, signal, size, hundred_rules()))
    met, spent = _Spent(), _Spent()
    messages, shifts, slowest = 0, [], dict[str, float]()
    for first in range(0, size, crowd.shift):
        order = _order(
            rig, tenant, signal, port=rig.ports["mqtt_port"], kind="TCP", first=first, last=first + crowd.shift
        )
        with Players(order) as players:
            players.ask(do="connect", timeout_s=900)
            wait_for_drain(rig.postgres, tenant.id, DRAIN_WITHIN_S)
            _send(rig, tenant, players, crowd.rate, (len(order.identities) + 0.5) / crowd.rate, met)
            load = _send(rig, tenant, players, crowd.rate, crowd.seconds, spent)
            messages += load["acked"]
            slowest = max(slowest, load["latency_ms"], key=lambda times: times.get("p99", 0.0))
            shifts.append(players.finish()[0])
    us = 1e6 / max(messages, 1)
    cpu_us, postgres_us = ({name: s * us for name, s in spent_s.items()} for spent_s in (spent.cpu_s, spent.postgres_s))
    first_us = sum(met.cpu_s.values()) * 1e6 / size
    return Cost(size, messages, first_us, cpu_us, postgres_us, slowest, judge(rig.postgres, tenant, _joined(shifts)))


@dataclass(frozen=True, slots=True)
class _Spent:
    """CPU seconds by process, and those of Postgres by whom it served."""

    cpu_s: dict[str, float] = field(default_factory=dict)
    postgres_s: dict[str, float] = field(default_factory=dict)


def _send(
    rig: Rig, tenant: BenchTenant, players: Players, rate: float, seconds: float, spent: _Spent
) -> dict[str, Any]:
    """Let the fleet send in turn; what that costs until it is drained is added to `spent`."""
    before, asked = _cpu_s(rig), processes.served(rig.pids()["postgres"])
    load = players.ask(do="run", rate=rate, seconds=seconds, timeout_s=seconds + 180)
    wait_for_drain(rig.postgres, tenant.id, DRAIN_WITHIN_S)
    _add(spent.cpu_s, before, _cpu_s(rig))
    _add(spent.postgres_s, asked, processes.served(rig.pids()["postgres"]))
    return load


def _cpu_s(rig: Rig) -> dict[str, float]:
    return {name: usage.cpu_s for name, usage in rig.usages().items()}


def _add(spent: dict[str, float], before: dict[str, float], after: dict[str, float]) -> None:
    for name in (each for each in after if each in before):
        spent[name] = spent.get(name, 0.0) + after[name] - before[name]


def _joined(shifts: Sequence[Sent]) -> Sent:
    """What all shifts know, the devices of the first shift first."""
    made: list[int] = []
    unacked: list[Sequence[int]] = []
    refused: list[tuple[int, int, int]] = []
    for shift in shifts:
        refused += [(device + len(made), n, code) for device, n, code in shift.refused]
        made += shift.made
        unacked += shift.unacked
    return Sent(made, unacked, refused, sum(shift.resent for shift in shifts))


def _mib(usage: processes.Usage) -> float:
    return usage.memory_bytes / 2**20
