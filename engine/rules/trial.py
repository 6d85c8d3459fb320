"""Trying a rule before it acts: over stored history, on invented messages, and by the tests kept with it.

All three play the live engine (``rehearsal``). History is read as it was received, so that what would have fired is
what would have fired then. Two things are not as they were: attributes, tags and groups are those of now, and who was
connected is not kept, so that what asks for it is unknown.

Playing costs processor time, which is bounded; a backtest holds no connection while it plays.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import text

from engine import clock
from engine.devices import service as devices
from engine.rules import document as documents
from engine.rules import inspection, remember, words
from engine.rules.compile import CompiledRule, compile_rule
from engine.rules.errors import BacktestBusy, RuleInvalid, TestsFail, TrialBusy, TrialMalformed, TrialTooLarge
from engine.rules.explain import why
from engine.rules.facts import NOTHING, About, Facts
from engine.rules.invented import Invented, Message, tested
from engine.rules.model import RuleDocument, Silence, TestDevice, leaves
from engine.rules.nearest import Nearest
from engine.rules.plan import plan_of, where_of
from engine.rules.preview import previews
from engine.rules.record import Record
from engine.rules.rehearsal import MOST_EPISODES, Budget, Firing, Stage
from engine.rules.ruleset import RuleSet
from engine.rules.state import Known, Phase
from engine.rules.tried import Backtest, Look, Preview, TestResult
from engine.rules.turns import Turns
from engine.rules.values import plain
from engine.store.pool import Store
from engine.store.tx import Tx
from engine.store.wire import Reading
from engine.telemetry import service as telemetry
from engine.tenancy import Principal

MOST_MESSAGES = 200_000
"""Messages read for one backtest, with no more than what the rule reads of them: some 100 MB while it runs."""
BACKTEST_CPU_S = 5.0
BACKTESTS_AT_ONCE = 2
"""In one process; of one tenant, one."""
TRIALS_AT_ONCE = 2
"""The same of looks, invented messages and tests, which are short: some wait for their turn, in all (and of one
tenant) so many that they leave most of the process's connections to others."""
TRIALS_WAITING, TRIALS_WAITING_OF_ONE = 6, 3
MESSAGES_AT_ONCE = 20_000
"""Read by one statement: while its rows are made, the loop serves nobody else."""
LOOK_MESSAGES = MESSAGES_AT_ONCE
LOOK_CPU_S = 1.0
"""What a look, invented messages or a rule's tests may cost in all."""
MOST_DEVICES = 500
LONGEST = timedelta(days=90)
BEFORE = timedelta(days=1)
"""How much of the past is played before the beginning, so that waits and windows begin as they stood."""
_NOBODY = UUID(int=0)

_DEVICES = text(
    """
    SELECT d.id FROM devices d JOIN profiles p ON p.tenant_id = d.tenant_id AND p.id = d.profile_id
    WHERE d.tenant_id = :tenant AND d.status <> 'decommissioned'
      AND (CAST(:profile AS text) IS NULL OR p.key = :profile)
      AND (CAST(:devices AS uuid[]) IS NULL OR d.id = ANY (CAST(:devices AS uuid[])))
    ORDER BY d.id LIMIT :most
    """
)
# Of a history that is too long, a look wants the end and a backtest the beginning. As one row of lists, because a row
# made for each message costs more than playing it; and times as doubles, because numerics cost a quarter of it all.
# When something was received is rounded down, as ingest does; half a microsecond is for what a double lacks.
_SENT = """
    SELECT max(time) AS last, coalesce(array_agg(at), '{{}}') AS at, coalesce(array_agg(seq), '{{}}') AS seq,
           coalesce(array_agg(received), '{{}}') AS received{lists}
    FROM (
        SELECT CAST(date_part('epoch', time) * 1000 AS bigint) AS at, seq,
               CAST(floor(date_part('epoch', received_at) * 1000 + 0.0005) AS bigint) AS received, time{columns}
        FROM {source}
        ORDER BY time {way}, seq {way} LIMIT :most
    ) AS sent
    """
_SENT_BY = {
    False: """telemetry
        WHERE tenant_id = :tenant AND device_id = :device AND (time, seq) > (:start, CAST(:after AS bigint))
          AND time < :end AND (CAST(:metrics AS text[]) IS NULL OR values ?| CAST(:metrics AS text[]))""",
    True: """app.readings(:device, :start, CAST(:after AS bigint), :end, CAST(:metrics AS text[]), {newest}, :most)""",
}
_HEARD = {
    asks_readings: text(
        f"""
    SELECT CAST(w.id AS text) AS device,
           CAST(floor(date_part('epoch', t.received_at) * 1000 + 0.0005) AS bigint) AS received
    FROM unnest(CAST(:devices AS uuid[])) AS w (id) CROSS JOIN LATERAL (
        SELECT received_at FROM {source} ORDER BY time DESC, seq DESC LIMIT 1
    ) t
    WHERE t.received_at < :start
    """  # noqa: S608  only the constants below are put in
    )
    for asks_readings, source in {
        False: "telemetry WHERE tenant_id = :tenant AND device_id = w.id AND time < :start",
        True: "app.readings(w.id, '-infinity', NULL, :start, NULL, true, 1)",
    }.items()
}
_T = TypeVar("_T")
_backtests = Turns(BacktestBusy, at_once=BACKTESTS_AT_ONCE)
_trials = Turns(TrialBusy, at_once=TRIALS_AT_ONCE, waiting=TRIALS_WAITING, waiting_of_one=TRIALS_WAITING_OF_ONE)


@dataclass(frozen=True, slots=True)
class _Story:
    """What a backtest plays: of each device in scope that was read, what is known of it and what it has sent."""

    rule: CompiledRule
    begin: datetime
    start: datetime
    end: datetime
    devices: Sequence[tuple[str, About, Record]]
    in_scope: int
    is_whole: bool


async def backtest(
    store: Store,
    principal: Principal,
    node: object,
    start: datetime,
    end: datetime | None = None,
    device_ids: Sequence[UUID] | None = None,
) -> Backtest:
    """What the document would have done between ``start`` and ``end`` (now).

    It plays at most MOST_MESSAGES of MOST_DEVICES, for BACKTEST_CPU_S; then it is not complete. Raises RuleInvalid,
    TrialMalformed, and BacktestBusy while others play.
    """
    async with _backtests.one(principal.tenant_id):
        async with store.as_tenant(principal, read_only=True) as tx:
            story = await _story(tx, node, start, end, device_ids)
        return await _apart(lambda budget: _play(story, budget), BACKTEST_CPU_S)


async def _trial(tx: Tx, work: Callable[[Budget], _T]) -> _T:
    """Do the work when it is the tenant's turn; raises TrialBusy."""
    async with _trials.one(tx.principal.tenant_id):
        return await _apart(work, LOOK_CPU_S)


async def _apart(work: Callable[[Budget], _T], cpu_s: float) -> _T:
    """Do the work in a thread, so that the loop stays with its other callers; when nobody waits any more, it ends."""
    budget = Budget(cpu_s)
    try:
        return await asyncio.to_thread(work, budget)
    except asyncio.CancelledError:
        budget.stop()
        raise


async def _story(
    tx: Tx, node: object, start: datetime, end: datetime | None, device_ids: Sequence[UUID] | None
) -> _Story:
    until = tx.now if end is None else min(end, tx.now)
    if not until - LONGEST <= start < until:
        raise TrialMalformed("A backtest begins before it ends, and spans at most 90 days.")
    rule = await _compiled(tx, node)
    scope = await _in_scope(tx, rule, RuleSet((rule,)), device_ids)
    begin, chosen = start - _reach(rule), list(scope)[:MOST_DEVICES]
    heard = await _heard(tx, rule, chosen, begin)
    devices: list[tuple[str, About, Record]] = []
    left = MOST_MESSAGES
    for device in chosen:
        sent = await _sent(tx, rule, UUID(device), begin, until, left)
        devices.append((device, replace(scope[device], received=heard.get(device)), sent))
        left -= len(sent)
        if left <= 0:
            break
    is_whole = left > 0 and len(devices) == len(scope)
    return _Story(rule, begin, start, until, devices, len(scope), is_whole)


def _play(story: _Story, budget: Budget) -> Backtest:
    rules, begin, until = RuleSet((story.rule,)), clock.to_ms(story.begin), clock.to_ms(story.end)
    kept: list[Firing] = []
    total, fired, messages, devices = 0, 0, 0, 0
    pasts: list[int] = []
    near = Nearest(story.rule.document)
    for device, about, sent in story.devices:
        if budget.is_spent:
            break
        stage = Stage(rules, device, about, budget, clock.to_ms(story.start))
        stage.begin(begin)
        messages += stage.skim(sent, until)
        total, fired, devices = total + stage.fired, fired + bool(stage.fired), devices + 1
        near.meet(device, sent)
        known = min(sent.times, default=until) if about.received is None else begin
        if known < until:
            pasts.append(until - max(known, clock.to_ms(story.start)))
        kept += stage.firings()
        kept.sort()
        del kept[MOST_EPISODES:]
    is_complete, told = story.is_whole and not budget.is_spent, tuple(each.told(story.rule) for each in kept)
    history = timedelta(milliseconds=sum(pasts) / max(1, len(pasts)))
    return Backtest(
        story.start, story.end, messages, devices, story.in_scope, is_complete, told, total, fired, near.first, history
    )


async def look(tx: Tx, node: object, device_id: UUID, at: datetime | None = None) -> Look:
    """How the document stands for a device now or at a time in the past, and why.

    Raises RuleInvalid, TrialTooLarge, TrialBusy.
    """
    async with _trials.one(tx.principal.tenant_id):  # also for reading: of many looks at once, the rows alone are much
        return await _looked(tx, node, device_id, tx.now if at is None else min(at, tx.now))


async def preview(tx: Tx, node: object, device_id: UUID) -> list[Preview]:
    """What the document's actions would say of a device as it is now.

    Raises RuleInvalid, DeviceNotFound, TrialTooLarge, TrialBusy.
    """
    await devices.get(tx, device_id)
    async with _trials.one(tx.principal.tenant_id):
        rule = await _compiled(tx, node)
        samples = (await telemetry.latest(tx, [device_id])).get(device_id, [])
        valued = (each for each in samples if each.value is not None)
        latest = {each.metric: Known(plain(each.value), clock.to_ms(each.time), -1) for each in valued}
        return await _staged(
            tx, rule, device_id, tx.now, lambda stage, at_ms: previews(rule, stage, str(device_id), latest, at_ms)
        )


async def _looked(tx: Tx, node: object, device_id: UUID, moment: datetime) -> Look:
    rule = await _compiled(tx, node)
    return await _staged(tx, rule, device_id, moment, lambda stage, at_ms: _look(rule, stage, at_ms))


async def _staged(tx: Tx, rule: CompiledRule, device_id: UUID, moment: datetime, ask: Callable[[Stage, int], _T]) -> _T:
    """What is asked of the rule once it has played what the device has sent by that moment."""
    rules = RuleSet((rule,))
    about = (await _in_scope(tx, rule, rules, [device_id], even_outside=True)).get(str(device_id), NOTHING)
    start, end = moment - _reach(rule), moment + timedelta(milliseconds=1)
    sent = await _sent(tx, rule, device_id, start, end, LOOK_MESSAGES, newest_first=True)
    heard = await _heard(tx, rule, [str(device_id)], start)

    def play(budget: Budget) -> _T:
        stage = Stage(rules, str(device_id), replace(about, received=heard.get(str(device_id))), budget)
        stage.begin(clock.to_ms(start))
        stage.play(sent, clock.to_ms(moment))
        return _within(budget, ask(stage, clock.to_ms(moment)))

    return await _apart(play, LOOK_CPU_S)


async def rehearse(tx: Tx, node: object, given: Sequence[Message], device: TestDevice | None = None) -> list[Look]:
    """How the document stands after each thing that an invented device does.

    Raises RuleInvalid, TrialTooLarge, TrialBusy.
    """
    rule = await _compiled(tx, node)
    return await _trial(tx, lambda budget: _rehearsed(rule, given, device, budget))


def _rehearsed(rule: CompiledRule, given: Sequence[Message], device: TestDevice | None, budget: Budget) -> list[Look]:
    stage, steps, did = Invented(rule, budget, device), [], 0
    for message in given:
        at = stage.say(message)
        effects = stage.told()
        steps.append(replace(_look(rule, stage, at), did=tuple(effects[did:])))
        did = len(effects)
        _within(budget, None)
    return steps


def _within(budget: Budget, found: _T) -> _T:
    """What was found, unless it is only a part of it: raises TrialTooLarge."""
    if budget.is_spent:
        raise TrialTooLarge
    return found


async def tests(tx: Tx, node: object) -> list[TestResult]:
    """Each test kept in the document, run. Raises RuleInvalid, TrialTooLarge, TrialBusy."""
    return await _run(tx, await _compiled(tx, node))


async def prove(tx: Tx, document: RuleDocument) -> None:
    """Run the tests that are kept with a rule; raises TestsFail, and as ``tests`` does."""
    if not document.examples:
        return
    rule = compile_rule(_NOBODY, 1, document, await inspection.vocabulary_of(tx, document))
    failed = [result for result in await _run(tx, rule) if not result.passed]
    if failed:
        said = " ".join(f"“{result.name}”: {result.said}" for result in failed[:5])
        raise TestsFail(f"{len(failed)} of the rule's tests fail. {said}")


async def _run(tx: Tx, rule: CompiledRule) -> list[TestResult]:
    examples = rule.document.examples or ()
    if not examples:
        return []
    return await _trial(tx, lambda budget: [_within(budget, tested(rule, each, budget)) for each in examples])


def _look(rule: CompiledRule, stage: Stage, at_ms: int) -> Look:
    seen = stage.seen(at_ms)
    tree = why(rule, seen, stage.remembered.known)
    if not stage.state.is_raised:
        is_waiting = stage.state.phase is Phase.PENDING
        said = words.why_not_yet(rule, seen) if is_waiting else words.why_not(rule, seen)
    elif tree["is"] is True:
        said = f"it has fired: {words.why_not(rule, seen)}"
    else:
        said = f"it has fired and is not over yet: {words.why_not_over(rule, seen)}"
    return Look(clock.from_ms(at_ms), stage.state.phase, tree["is"], said, tree)


async def _compiled(tx: Tx, node: object) -> CompiledRule:
    """The document as a rule for every device; raises RuleInvalid."""
    checked = await inspection.inspect(tx, node)
    if checked.problems:
        raise RuleInvalid(checked.problems)
    document = documents.parse(node)
    return compile_rule(_NOBODY, 1, document, await inspection.vocabulary_of(tx, document))


async def _in_scope(
    tx: Tx,
    rule: CompiledRule,
    rules: RuleSet,
    device_ids: Sequence[UUID] | None,
    *,
    even_outside: bool = False,
) -> dict[str, About]:
    """The devices that the rule watches, narrowed to ``device_ids``, with what is known of them."""
    wanted = None if device_ids is None else {str(each) for each in device_ids}
    if rule.devices is not None and not even_outside:
        wanted = set(rule.devices) if wanted is None else wanted & rule.devices
    asked = {"tenant": tx.principal.tenant_id, "profile": None if even_outside else rule.profile}
    rows = await tx.rows(_DEVICES, {**asked, "devices": None if wanted is None else sorted(wanted), "most": 5_000})
    facts, plan = Facts(), plan_of(rule)
    known = await remember.about(tx, rules, [str(row["id"]) for row in rows])
    for device, each in known.items():
        facts.meet(device, replace(each, is_online=None, received=None))
    return {
        device: facts.of(device)
        for device in known
        if even_outside or not plan.is_narrow or facts.is_in_scope(device, plan, where_of(rule))
    }


async def _sent(
    tx: Tx,
    rule: CompiledRule,
    device: UUID,
    start: datetime,
    end: datetime,
    most: int,
    *,
    newest_first: bool = False,
) -> Record:
    """What the device has sent of what the rule reads, in the order in which it was received."""
    hears_all = not rule.metrics or _hears_silence(rule.document)
    named: dict[str, object] = {"tenant": tx.principal.tenant_id, "device": device, "end": end}
    named |= {"metrics": None if hears_all else list(rule.metrics)}
    named |= {f"m{place}": metric for place, metric in enumerate(rule.metrics)}
    query = _query(len(rule.metrics), newest_first=newest_first, asks_readings=tx.asks_readings)
    found: list[list[Any]] = [[] for _ in range(3 + len(rule.metrics))]
    after = -(2**63)
    while len(found[0]) < most:
        page = min(MESSAGES_AT_ONCE, most - len(found[0]))
        named |= {"start": start, "after": after, "most": page}
        (row,) = await tx.read(query, named)
        last, *columns = row.values()
        for column, more in zip(found, columns, strict=True):
            column += reversed(more) if newest_first else more
        if newest_first or len(columns[0]) < page:
            break
        after, start = columns[1][-1], last
    times, seqs, received, *values = found
    return Record.of(times, seqs, received, dict(zip(rule.metrics, values, strict=True)))


@lru_cache(maxsize=64)
def _query(metrics: int, *, newest_first: bool, asks_readings: bool) -> Reading:
    """What was sent, with a list for each metric: the rest of a message is not even brought here."""
    columns = "".join(f", values -> CAST(:m{place} AS text) AS m{place}" for place in range(metrics))
    lists = "".join(f", coalesce(json_agg(m{place}), '[]') AS m{place}" for place in range(metrics))
    source = _SENT_BY[asks_readings].format(newest=newest_first)
    sent = _SENT.format(columns=columns, lists=lists, source=source, way="DESC" if newest_first else "ASC")
    return Reading(text(sent), is_binary=True)


async def _heard(tx: Tx, rule: CompiledRule, devices: Sequence[str], start: datetime) -> dict[str, int]:
    """When (ms) the devices were heard of last before ``start``, if the rule asks for silence."""
    if not devices or not _hears_silence(rule.document):
        return {}
    rows = await tx.rows(
        _HEARD[tx.asks_readings], {"tenant": tx.principal.tenant_id, "devices": list(devices), "start": start}
    )
    return {row["device"]: row["received"] for row in rows}


def _reach(rule: CompiledRule) -> timedelta:
    """How long before the moment asked about the rule begins."""
    return BEFORE + timedelta(milliseconds=max((need.over_ms for need in plan_of(rule).needs.values()), default=0))


def _hears_silence(document: RuleDocument) -> bool:
    return any(isinstance(leaf, Silence) for _, condition in document.conditions for _, leaf in leaves(condition))
