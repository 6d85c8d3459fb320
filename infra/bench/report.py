"""What the bench prints: tables for people."""

from collections.abc import Sequence

from infra.bench.ingest import Measured
from infra.bench.judge import Verdict
from infra.bench.kills import Outcome, promised_s


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as their widest cell; numbers to the right."""
    texts = [list(head), *([_shown(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(head))]
    lines = [
        "  ".join(
            text.ljust(width) if column == 0 else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in texts
    ]
    return "\n".join([lines[0], "-" * (sum(widths) + 2 * (len(widths) - 1)), *lines[1:]])


def ingest(measured: Measured) -> str:
    """One scenario."""
    scenario, load = measured.scenario, measured.load
    rules = "100 rules of which 3 match" if scenario.has_rules else "no rules"
    wanted = f"{scenario.rate:,.0f} msg/s for {scenario.seconds:.0f} s"
    total = sum(measured.cpu_us.values())
    kernel, memory = measured.kernel_us, measured.memory_mib
    rows = [[name, us, kernel[name], us / scenario.values, memory[name]] for name, us in measured.cpu_us.items()]
    rows.append(["all", total, sum(kernel.values()), total / scenario.values, sum(memory.values())])
    served = "  ".join(f"{role} {us:.1f}" for role, us in sorted(measured.postgres_us.items()))
    left = measured.us_beside_ingests_code
    rate = measured.messages_per_s
    lines = [
        f"\n{scenario.name}: {scenario.connections} connections, {scenario.in_flight} in flight, "
        f"{scenario.values} values, {rules}, {wanted}",
        f"  achieved      {rate:,.0f} msg/s, {rate * scenario.values:,.0f} values/s"
        f" ({load['acked']} of {load['sent']} acknowledged, {load['refused']} refused)",
        f"  CPU a value   {measured.us_a_value:.1f} us (goal {scenario.goal_us_a_value:g})",
        *_beside_bare(measured),
        f"  PUBACK        {_times(load['latency_ms'])}",
        f"  subscription  {_times(measured.live['latency_ms'])}"
        f" ({measured.live['arrived']} of {measured.live['expected']} readings, {measured.live['skipped']} skipped)",
        f"  drained       {_after(measured.drained_after_s)}",
        "",
        table(["process", "us/message", "kernel's", "us/value", "MiB"], rows),
        "",
        f"  postgres for  {served} us a message (app is web; itself: its own work, and who has left)",
        f"  if ingest computed nothing: {left:.1f} us a message, {left / scenario.values:.1f} a value"
        " (its system calls and the other processes)",
        verdict(measured.verdict),
    ]
    if measured.live["errors"]:
        lines.append(f"  subscription failed: {measured.live['errors']}")
    return "\n".join(lines)


def _beside_bare(measured: Measured) -> list[str]:
    floor, ratio = measured.floor, measured.of_bare
    if floor is None or ratio is None:
        return []
    parts = " + ".join(f"{name} {us:.1f}" for name, us in floor.cpu_us.items())
    rate = floor.load["acked"] / floor.load["until_last_ack_s"]
    return [
        f"  of the bare   {ratio:.2f} times its CPU a message (derived goal {measured.scenario.goal_of_bare:.2f}), "
        f"which was {floor.us_a_message:.1f} us: {parts}",
        f"                {rate:,.0f} msg/s, {floor.load['acked']} of {floor.load['sent']} acknowledged, "
        f"{floor.stored} stored with the warming up, {floor.lost} lost",
    ]


def verdict(found: Verdict) -> str:
    """What the judge found."""
    said = (
        f"  verified      {found.acked} acknowledged, {found.stored} stored, {found.lost} lost, {found.twice} twice, "
        f"{found.duplicates} duplicates recognised; counts wrong for {found.counts_wrong} devices; "
        f"{found.alerts} alerts of {found.alerts_expected} expected, {found.alerts_different} different"
    )
    return "\n".join([said, *(f"  WRONG         {each}" for each in found.wrong)])


def _times(latency_ms: dict[str, float]) -> str:
    if not latency_ms:
        return "none"
    return "  ".join(f"{name} {ms:.1f} ms" for name, ms in latency_ms.items())


def _after(seconds: float | None) -> str:
    return "NOT in time" if seconds is None else f"{seconds:.1f} s after the last PUBACK"


def _shown(cell: object) -> str:
    return f"{cell:.2f}" if isinstance(cell, float) else str(cell)


def kills(outcome: Outcome) -> str:
    """A campaign of kills: how long each kind took to mend, and the judgement."""
    rows = []
    for kind in outcome.campaign.kinds:
        accepting = sorted(kill.accepting_s for kill in outcome.kills if kill.kind == kind)
        waited = [kill.reacting_s for kill in outcome.kills if kill.kind == kind]
        reacting = sorted(seconds for seconds in waited if seconds is not None)
        promised = promised_s(kind)
        late = sum(seconds > promised for seconds in accepting)
        caught_up = [len(reacting), _median(reacting), reacting[-1]] if reacting else [0, "", ""]
        rows.append([kind, len(accepting), _median(accepting), accepting[-1], promised, late, *caught_up])
    head = ["killed", "times", "accepting p50 s", "max s", "promised s", "late", "waited", "reacting p50 s", "max s"]
    rate = outcome.acked / outcome.seconds
    said = (
        f"  {outcome.acked} messages acknowledged in {outcome.seconds:.0f} s ({rate:,.0f} msg/s), {outcome.resent} "
        f"sent again after {outcome.reconnects} lost connections (seed {outcome.campaign.seed})"
    )
    others = [f"  {judged.kind:<14}{judged.said}" for judged in outcome.beside]
    others += [f"  WRONG         {each}" for judged in outcome.beside for each in judged.wrong]
    return "\n".join([table(head, rows), "", said, rules(outcome.verdict), "", verdict(outcome.verdict), *others])


def rules(found: Verdict) -> str:
    """What each rule did beside what the reference says, and what followed from it."""
    head = ["rule", "raised", "reference", "cleared", "reference", "lost", "too many", "moved"]
    rows = []
    for each in found.rules:
        fired = [each.raised, each.raised_expected, each.cleared, each.cleared_expected]
        rows.append([each.name, *fired, each.lost, each.extra, each.moved])
    said = [
        f"  webhooks      {found.calls} called of {found.calls_expected} expected, {found.calls_arrived} arrived, "
        f"{found.calls_again} of them once more",
        f"  derived       {found.derived} readings of {found.derived_expected} expected; "
        f"{found.labelled} devices bear labels",
    ]
    return "\n".join(["", table(head, rows), "", *said])


def _median(ordered: Sequence[float]) -> float:
    return ordered[len(ordered) // 2]
