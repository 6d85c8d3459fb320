"""`tidegate bench faults`: whatever may go wrong, again and again under load, and one table of what became of it.

It wages several campaigns of `kills`, one after another: every process killed, with an edge and an unruly broker beside
them; the road, the disk and the log in trouble; two thousand devices cut off at once; the time of day put elsewhere.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from infra.bench.kills import BESIDE, CLOCK, Campaign, Outcome, promised_s, wage
from infra.bench.report import table
from infra.local.errors import SetupProblem

PROCESSES = ("ingest", "postgres", "valkey", "worker", "web", *BESIDE)
SELDOM = ("loader",)
"""What waits for seconds of loading before each: a quarter as often."""
MEMORY = ("failpoint", "backend", "flushall")
TROUBLE = ("hole", "latency", "full", "fsync")
HERD = 2_000


@dataclass(frozen=True, slots=True)
class Named:
    """A campaign and what it is about."""

    name: str
    campaign: Campaign


@dataclass(slots=True)
class Endured:
    """What became of all of it; a campaign that did not come to its end has no outcome, but a word."""

    seconds: float = 0.0
    outcomes: list[tuple[Named, Outcome]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        told = [{"name": named.name, **outcome.as_json()} for named, outcome in self.outcomes]
        return {"seconds": self.seconds, "wrong": self.wrong, "campaigns": told}


def plan(kills: int, rate: float, seed: int) -> list[Named]:
    """The campaigns: each process is killed so many times, everything else a quarter or half as often."""
    half, quarter = max(1, kills // 2), max(1, kills // 4)
    base = Campaign(kills=kills, rate=rate, seed=seed, pause_s=0.6)
    fewer = dict.fromkeys(MEMORY, half) | dict.fromkeys(SELDOM, quarter)
    processes = replace(base, kinds=(*PROCESSES, *SELDOM, *MEMORY), fewer=fewer)
    return [
        Named("processes", processes),
        Named("trouble", replace(base, kinds=TROUBLE, kills=max(1, kills // 7), lasts_s=5.0)),
        Named("herd", replace(base, kinds=("ingest",), kills=quarter, devices=HERD)),
        Named("clock", replace(base, kinds=(CLOCK,), kills=max(1, kills // 7), lasts_s=5.0)),
    ]


def endure(plans: Sequence[Named], say: Callable[[str], None]) -> Endured:
    """Wage them all; one that does not come to its end does not keep the others from theirs."""
    endured, began = Endured(), time.monotonic()
    for named in plans:
        campaign = named.campaign
        say(f"{named.name}: {campaign.kills} of each of {', '.join(campaign.kinds)}, seed {campaign.seed}")
        try:
            outcome = wage(campaign, lambda sentence: say(f"  {sentence}"))
        except SetupProblem as problem:
            endured.wrong.append(f"{named.name}: {problem}")
            say(f"  WRONG: {problem}")
            continue
        endured.outcomes.append((named, outcome))
        endured.wrong += [f"{named.name}: {each}" for each in outcome.wrong]
        endured.wrong += [
            f"{named.name}: {kill.kind} was back after {kill.accepting_s:.1f} s, not {promised_s(kill.kind):g}"
            for kill in outcome.late
        ]
    endured.seconds = time.monotonic() - began
    return endured


def shown(endured: Endured) -> str:
    """One table, a line a kind. What was lost or doubled is told of a campaign, in whose midst all of its kinds were;
    of what stands beside the platform it is told alone.
    """
    head = ["kind", "campaign", "times", "worst s until accepting", "promised s", "late", "lost", "twice"]
    head += ["alerts other", "webhooks missing"]
    rows = [row for named, outcome in endured.outcomes for row in _rows(named, outcome)]
    lines = [table(head, rows), ""]
    for named, outcome in endured.outcomes:
        rate = outcome.acked / outcome.seconds
        lines.append(
            f"  {named.name:<10}{outcome.verdict.acked} messages acknowledged at {rate:,.0f} a second, "
            f"{outcome.verdict.stored} stored; seed {outcome.campaign.seed}"
        )
        lines += [f"  {judged.kind:<10}{judged.said}" for judged in outcome.beside]
    lines += [f"  WRONG     {each}" for each in endured.wrong]
    lines.append(f"  {endured.seconds / 60:.1f} minutes, {len(endured.wrong)} findings")
    return "\n".join(lines)


def _rows(named: Named, outcome: Outcome) -> list[list[object]]:
    found, rows = outcome.verdict, []
    missing = max(0, found.calls_expected - found.calls_arrived)
    of_all: Mapping[str, list[object]] = {judged.kind: [judged.lost, judged.twice, "", ""] for judged in outcome.beside}
    for kind in outcome.campaign.kinds:
        took = [kill.accepting_s for kill in outcome.kills if kill.kind == kind]
        promised = promised_s(kind)
        told = of_all.get(kind, [found.lost, found.twice, found.alerts_different, missing])
        late = sum(seconds > promised for seconds in took)
        rows.append([kind, named.name, len(took), max(took, default=0.0), promised, late, *told])
    return rows
