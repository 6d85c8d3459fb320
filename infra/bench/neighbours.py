"""`tidegate bench neighbours`: what a tenant at ten times its quota does to the one beside it.

Two tenants on one platform with one quota. The calm one sends three fifths of it all the time; the noisy one is silent
or sends ten times as much, phase by phase in one run: pairs, whose order alternates, so that a machine that grows
slower does not look like a noisy neighbour. PUBACK times count from when a message was due.
"""

import asyncio
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

import psycopg

from infra.bench.generator import Order
from infra.bench.judge import Sent, Verdict, judge, wait_for_drain
from infra.bench.players import Players
from infra.bench.readings import Signal
from infra.bench.rig import Rig
from infra.bench.tenant import BenchTenant, found
from infra.local.postgres import Postgres

GOAL = 2.0
"""How many times its quiet p95 the calm tenant's may be."""
QUIET_WITHIN_S = 60.0
DRAIN_WITHIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Street:
    """`quota` is messages a second of each tenant; a phase lasts `seconds`."""

    quota: int = 80
    times: float = 10.0
    pairs: int = 5
    seconds: float = 5.0
    connections: int = 20
    in_flight: int = 4
    calm_part: float = 0.6
    values: int = 3


@dataclass(slots=True)
class Heard:
    """What came of it; times are milliseconds, one of each pair."""

    street: Street
    quiet_p95: list[float] = field(default_factory=list)
    noisy_p95: list[float] = field(default_factory=list)
    offered: int = 0
    taken: int = 0
    refused: int = 0
    calm: Verdict = field(default_factory=Verdict)
    wrong: list[str] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """The calm tenant's median p95 beside a noisy neighbour, as a multiple of its quiet one."""
        return statistics.median(self.noisy_p95) / statistics.median(self.quiet_p95)

    @property
    def is_slowed(self) -> bool:
        """Whether the calm tenant missed the goal."""
        return self.ratio >= GOAL

    def as_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        return {**asdict(self), "ratio": self.ratio}


def measure(street: Street, tell: Callable[[str], None] = print) -> Heard:
    """Run the pairs on a platform of its own and judge both tenants; `tell` hears how each pair went."""
    signal = Signal(values=street.values)
    quotas = {
        "quota_messages_per_s": street.quota,
        "quota_values_per_s": street.quota * street.values * 10,
        "quota_device_messages_per_s": street.quota * 100,
    }
    with Rig(with_web=False, settings=quotas) as rig, ExitStack() as stack:
        tenants: list[BenchTenant] = []
        players: list[Players] = []
        for name in ("calm", "noisy"):
            tenant = asyncio.run(found(rig.postgres, signal, street.connections, []))
            progress = str(rig.folder / f"progress-{name}")
            order = Order(
                rig.ports["mqtt_port"], tenant.identities, signal, street.in_flight, 0, progress, seed=len(tenants)
            )
            tenants.append(tenant)
            players.append(stack.enter_context(Players(order)))
            players[-1].ask(do="connect")
        heard = Heard(street)
        _warm_up(street, *players)
        for pair in range(street.pairs):
            for is_noisy in (False, True) if pair % 2 == 0 else (True, False):
                _phase(heard, *players, is_noisy=is_noisy)
            tell(f"pair {pair + 1}: p95 {heard.quiet_p95[-1]:.1f} ms alone, {heard.noisy_p95[-1]:.1f} ms beside noise")
        for tenant in tenants:
            wait_for_drain(rig.postgres, tenant.id, DRAIN_WITHIN_S)
        heard.calm = judge(rig.postgres, tenants[0], players[0].finish()[0])
        _judge_noisy(heard, rig.postgres, tenants[1], players[1].finish()[0])
    heard.wrong += heard.calm.wrong
    return heard


def _warm_up(street: Street, calm: Players, noisy: Players) -> None:
    """Everything is known and compiled, and what the noisy tenant may send at once is used up."""
    calm.tell(do="run", rate=street.quota * street.calm_part, seconds=2.0)
    _make_noise(street, noisy, 2.0)
    calm.answer()


def _phase(heard: Heard, calm: Players, noisy: Players, *, is_noisy: bool) -> None:
    street = heard.street
    calm.tell(do="run", rate=street.quota * street.calm_part, seconds=street.seconds)
    if is_noisy:
        _make_noise(street, noisy, street.seconds)
        heard.offered += int(street.quota * street.times * street.seconds)
    told = calm.answer()
    (heard.noisy_p95 if is_noisy else heard.quiet_p95).append(told["latency_ms"]["p95"])
    noisy.ask(do="run", rate=1.0, seconds=0.0, patience_s=QUIET_WITHIN_S)  # silent before the next phase


def _make_noise(street: Street, noisy: Players, seconds: float) -> None:
    noisy.ask(do="run", rate=street.quota * street.times, seconds=seconds, patience_s=0.0)
    noisy.ask(do="forget")


_COUNTED = """
SELECT coalesce(sum(stored), 0)::bigint, coalesce(sum(refused), 0)::bigint, coalesce(sum(duplicates), 0)::bigint
FROM counts WHERE tenant_id = %s
"""


def _judge_noisy(heard: Heard, postgres: Postgres, tenant: BenchTenant, sent: Sent) -> None:
    """What was acknowledged is stored, what was refused is counted, to the message."""
    acked = sum(len(sent.acked(device)) for device in range(len(sent.made)))
    stored, refused, duplicates = _counted(postgres, tenant.id)
    heard.taken, heard.refused = stored, refused
    if stored != acked:
        heard.wrong.append(f"the noisy tenant: {acked} acknowledged, {stored} stored")
    if refused != len(sent.refused):
        heard.wrong.append(f"the noisy tenant: {len(sent.refused)} refused, {refused} counted")
    if duplicates > sent.resent:
        heard.wrong.append(f"the noisy tenant: {duplicates} duplicates, {sent.resent} sent again")
    if not refused:
        heard.wrong.append("the noisy tenant was never refused: it made no noise")


def _counted(postgres: Postgres, tenant_id: UUID) -> tuple[int, int, int]:
    with psycopg.connect(postgres.url("superuser")) as connection:
        row = connection.execute(_COUNTED, [tenant_id]).fetchone()
    assert row is not None
    return row[0], row[1], row[2]


def shown(heard: Heard) -> str:
    """For people."""
    street = heard.street
    alone, beside = statistics.median(heard.quiet_p95), statistics.median(heard.noisy_p95)
    lines = [
        f"\nneighbours: a quota of {street.quota} msg/s each; one sends {street.quota * street.calm_part:.0f} msg/s, "
        f"the other {street.times:g} times its quota, {street.pairs} pairs of {street.seconds:g} s",
        f"  PUBACK p95    {alone:.1f} ms alone, {beside:.1f} ms beside noise (medians): {heard.ratio:.2f} times, "
        f"goal < {GOAL:g}",
        f"  calm          {heard.calm.acked} acknowledged, {heard.calm.stored} stored, {heard.calm.lost} lost",
        f"  noisy         {heard.offered} offered while measured; {heard.taken} stored and {heard.refused} refused "
        "in all, the rest was not read",
    ]
    wrong = [*heard.wrong, *(["the calm tenant was slowed by more than the goal"] if heard.is_slowed else [])]
    return "\n".join([*lines, *(f"  WRONG         {each}" for each in wrong)])
