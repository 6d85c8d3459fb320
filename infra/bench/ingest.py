"""`tidegate bench ingest`: what a message costs and how long it takes, on a platform of its own (DESIGN §5).

Devices send by an open schedule: times count from when a message was due. CPU is that of every process but the
generator and the subscriber, from before the first measured message until the worker has drained the last one.

Right after it the same generator plays the same devices, at the rate that was achieved, to the bare path (`floor.py`):
how many times its CPU a message took is the figure that does not change with the machine's.
"""

import asyncio
import time
from dataclasses import asdict, dataclass
from typing import Any

from infra.bench import processes
from infra.bench.floor import Floor
from infra.bench.floor import measure as measure_floor
from infra.bench.generator import Order
from infra.bench.judge import Verdict, judge, wait_for_drain
from infra.bench.players import Players
from infra.bench.readings import Signal
from infra.bench.rig import Rig
from infra.bench.tenant import BenchTenant, found, hundred_rules
from infra.bench.watching import Watching, delays

WATCHED = 2
DRAIN_WITHIN_S = 300.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """How a fleet behaves. `rate` is messages a second, `burst` how many of a device are due in one moment."""

    name: str
    connections: int
    in_flight: int
    burst: int
    rate: float
    seconds: float
    values: int
    has_rules: bool
    goal_us_a_value: float
    goal_of_bare: float
    """The same goal as a ratio: set where a prototype like `bare.py` took 38 us a message, 16.7 in bursts."""
    warm_up_s: float = 5.0
    workers: int = 1
    has_floor: bool = True


HONEST = Scenario("honest", 1_000, 1, 1, 6_000, 20, 3, True, 20, 60 / 38)
BURSTS = Scenario("bursts", 200, 10, 10, 20_000, 20, 3, False, 8, 24 / 16.7)


@dataclass(slots=True)
class Measured:
    """One scenario's figures. `cpu_us` is CPU microseconds a message by process.

    `kernel_us` is the kernel's part of it, `postgres_us` that of Postgres by whom it served.
    """

    scenario: Scenario
    load: dict[str, Any]
    cpu_us: dict[str, float]
    kernel_us: dict[str, float]
    postgres_us: dict[str, float]
    memory_mib: dict[str, float]
    drained_after_s: float | None
    live: dict[str, Any]
    verdict: Verdict
    floor: Floor | None = None

    @property
    def messages_per_s(self) -> float:
        """Acknowledged messages a second, from the first one due to the last PUBACK."""
        return float(self.load["acked"] / self.load["until_last_ack_s"])

    @property
    def us_a_value(self) -> float:
        """CPU of all processes for one value."""
        return sum(self.cpu_us.values()) / self.scenario.values

    @property
    def us_beside_ingests_code(self) -> float:
        """What a message would take if ingest computed nothing: its system calls, and all other processes."""
        return sum(self.cpu_us.values()) - self.cpu_us["ingest"] + self.kernel_us["ingest"]

    @property
    def of_bare(self) -> float | None:
        """How many times the bare path's CPU a message takes; None where that was not measured."""
        return None if self.floor is None else sum(self.cpu_us.values()) / self.floor.us_a_message

    @property
    def wrong(self) -> list[str]:
        """What must not be, of the platform and of what it is held against."""
        lost = self.floor.lost if self.floor is not None else 0
        return self.verdict.wrong + ([f"the bare path lost {lost} acknowledged messages"] if lost else [])

    def as_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        derived = {"messages_per_s": self.messages_per_s, "us_a_value": self.us_a_value, "of_bare": self.of_bare}
        return {**asdict(self), **derived}


def measure(scenario: Scenario) -> Measured:
    """Run one scenario from an empty folder to the verdict."""
    signal = Signal(values=scenario.values)
    with Rig(with_web=True, workers=scenario.workers) as rig:
        documents = hundred_rules() if scenario.has_rules else []
        tenant = asyncio.run(found(rig.postgres, signal, scenario.connections, documents))
        order = Order(
            rig.ports["mqtt_port"],
            tenant.identities,
            signal,
            scenario.in_flight,
            WATCHED,
            str(rig.folder / "progress"),
            seed=1,
        )
        with Players(order) as players:
            measured = _measure(scenario, rig, tenant, players)
    if scenario.has_floor:
        pace = {"rate": min(scenario.rate, measured.messages_per_s), "burst": scenario.burst}
        measured.floor = measure_floor(
            signal, scenario.connections, scenario.in_flight, pace, scenario.warm_up_s, scenario.seconds
        )
    return measured


def _measure(scenario: Scenario, rig: Rig, tenant: BenchTenant, players: Players) -> Measured:
    players.ask(do="connect")
    pace: dict[str, Any] = {"do": "run", "rate": scenario.rate, "burst": scenario.burst}
    players.ask(**pace, seconds=scenario.warm_up_s)
    wait_for_drain(rig.postgres, tenant.id, DRAIN_WITHIN_S)
    with Watching(rig.ports["http_port"], tenant.api_token, tenant.device_ids[:WATCHED]) as watching:
        before, asked, began = rig.usages(), processes.served(rig.pids()["postgres"]), time.monotonic()
        load = players.ask(**pace, seconds=scenario.seconds, timeout_s=scenario.seconds + 180)
        drained_after_s = wait_for_drain(rig.postgres, tenant.id, DRAIN_WITHIN_S)
        after, answered = rig.usages(), processes.served(rig.pids()["postgres"])
        told = watching.end()
    sent, due = players.finish()
    us = 1e6 / max(load["acked"], 1)
    both = [name for name in after if name in before]
    return Measured(
        scenario,
        load,
        {name: (after[name].cpu_s - before[name].cpu_s) * us for name in both},
        {name: (after[name].kernel_s - before[name].kernel_s) * us for name in both},
        {role: (used_s - asked.get(role, 0.0)) * us for role, used_s in answered.items()},
        {name: usage.memory_bytes / 2**20 for name, usage in after.items()},
        drained_after_s,
        delays(told, due, began),
        judge(rig.postgres, tenant, sent),
    )
