"""`tidegate bench overload`: offers three times what the platform can take, for minutes, and looks what becomes of it.

What it can take is measured first, by devices that send as fast as they are answered. Then a schedule wants three times
as much, whatever is answered. A device keeps what it may not send yet, up to `most_waiting` messages, and drops what is
due above that, as a real one would: no acknowledgement, no promise. Asked is whether every process stays up, whether
memory stays bounded, and whether each acknowledged message is stored once (DESIGN §5).

Then the worker reads what has waited, and all is judged: that takes ten to twenty seconds for each million messages, so
with ten minutes of overload the whole takes about a quarter of an hour. How far it has come is said every ten seconds.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from statistics import mean
from types import TracebackType
from typing import Any, Self

from infra.bench.generator import Order
from infra.bench.judge import Verdict, judge, wait_for_drain
from infra.bench.players import Players
from infra.bench.readings import Signal
from infra.bench.report import table, verdict
from infra.bench.rig import Rig
from infra.bench.tenant import found, hundred_rules

MOST_GROWTH = 1.25
"""What a process holds in the last quarter of the overload may be so much of what it held in the second quarter…"""
MOST_GROWTH_MIB = 32.0
"""…or so much more, where it holds little."""
TRIAL_S = 10.0
MORE_THAN_ANY_MSG_PER_S = 60_000.0
EVERY_S = 1.0
BEYOND_S = 600.0
"""How long the worker may take for what has waited, beside as long as the overload took."""


@dataclass(frozen=True, slots=True)
class Flood:
    """How much is too much: `times` what the platform takes, for `seconds`."""

    seconds: float = 600.0
    times: float = 3.0
    connections: int = 1_000
    in_flight: int = 10
    most_waiting: int = 100
    values: int = 3


@dataclass(slots=True)
class Weathered:
    """What came of it. `held_mib` is what each process held, second by second of the overload."""

    flood: Flood
    capacity_msg_per_s: float
    load: dict[str, Any]
    held_mib: dict[str, list[float]]
    drained_after_s: float | None
    restarted: list[str]
    verdict: Verdict
    wrong: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        return asdict(self)


def measure(flood: Flood, tell: Callable[[str], None] = print) -> Weathered:
    """Run it on a platform of its own; `tell` hears how it goes."""
    signal = Signal(values=flood.values)
    with Rig(with_web=False) as rig:
        tenant = asyncio.run(found(rig.postgres, signal, flood.connections, hundred_rules()))
        order = Order(
            rig.ports["mqtt_port"],
            tenant.identities,
            signal,
            flood.in_flight,
            watched=0,
            progress=str(rig.folder / "progress"),
            seed=1,
            most_waiting=flood.most_waiting,
        )
        with Players(order) as players:
            players.ask(do="connect")
            capacity = _capacity(players)
            tell(f"takes {capacity:,.0f} msg/s; offered are {flood.times:g} times as many for {flood.seconds:.0f} s")
            before = rig.pids()
            with _Scales(rig, flood.seconds) as scales:
                asked = {"rate": capacity * flood.times, "seconds": flood.seconds}
                load = players.ask(do="run", **asked, timeout_s=flood.seconds * 2 + 180)
            tell("over; waiting for the worker")
            drained_after_s = wait_for_drain(rig.postgres, tenant.id, flood.seconds + BEYOND_S, tell)
            after = rig.pids()
            sent, _ = players.finish()
        restarted = [name for name, pid in before.items() if after.get(name) != pid]
        began = time.monotonic()
        found_so = judge(rig.postgres, tenant, sent, tell=tell)
        tell(f"judged {found_so.acked:,} acknowledged messages in {time.monotonic() - began:.0f} s")
        weathered = Weathered(flood, capacity, load, scales.held_mib, drained_after_s, restarted, found_so)
    weathered.wrong = wrong(weathered)
    return weathered


def shown(found: Weathered) -> str:
    """For people."""
    load, flood = found.load, found.flood
    offered = load["sent"] + load["dropped"]
    rows = []
    for name, held in found.held_mib.items():
        second, last = _quarters(held)
        rows.append([name, held[0], second, last, max(held)])
    drained = "NOT in time" if found.drained_after_s is None else f"{found.drained_after_s:.0f} s after the last PUBACK"
    return "\n".join(
        [
            f"\noverload: {flood.times:g} times what it takes, for {load['scheduled_s']:.0f} s, by {flood.connections} "
            f"connections with {flood.in_flight} in flight",
            f"  takes         {found.capacity_msg_per_s:,.0f} msg/s",
            f"  offered       {offered:,} messages, {offered / load['scheduled_s']:,.0f} a second",
            f"  acknowledged  {load['acked']:,} messages, {load['acked'] / load['until_last_ack_s']:,.0f} a second; "
            f"{load['refused']} refused; {load['dropped']:,} dropped by devices that had {flood.most_waiting} waiting",
            f"  drained       {drained}",
            "",
            table(["process", "MiB at first", "2nd quarter", "last quarter", "most"], rows),
            "",
            verdict(found.verdict),
            *(f"  WRONG         {each}" for each in found.wrong),
        ]
    )


def _capacity(players: Players) -> float:
    """Messages a second acknowledged while each device sends as fast as it is answered; of two trials the second."""
    for _ in range(2):
        load = players.ask(do="run", rate=MORE_THAN_ANY_MSG_PER_S, seconds=TRIAL_S, timeout_s=180)
    return float(load["acked"] / load["until_last_ack_s"])


def _quarters(held: Sequence[float]) -> tuple[float, float]:
    """The mean of the second quarter and of the last."""
    quarter = max(1, len(held) // 4)
    return mean(held[quarter : 2 * quarter] or held), mean(held[-quarter:])


def wrong(found: Weathered) -> list[str]:
    """What is not as promised, beside what the judge of messages says."""
    said = [f"{name} ended and was started again" for name in found.restarted]
    for name, held in found.held_mib.items():
        second, last = _quarters(held)
        if last > second * MOST_GROWTH and last > second + MOST_GROWTH_MIB:
            said.append(f"{name} grew from {second:.0f} to {last:.0f} MiB and may not have stopped")
    if found.drained_after_s is None:
        said.append("the worker did not read the whole journal in time")
    if not found.load["is_quiet"]:
        said.append("devices still have messages without PUBACK")
    return said


class _Scales:
    """Weighs each process every second, in a thread; a context manager."""

    def __init__(self, rig: Rig, seconds: float) -> None:
        self._rig = rig
        self._until = time.monotonic() + seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._weigh, daemon=True)
        self.held_mib: dict[str, list[float]] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(10)

    def _weigh(self) -> None:
        while time.monotonic() < self._until and not self._over.is_set():
            for name, usage in self._rig.usages().items():
                self.held_mib.setdefault(name, []).append(usage.memory_bytes / 2**20)
            self._over.wait(EVERY_S)
