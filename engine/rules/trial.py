"""Trying a rule before it acts: over stored history, on invented messages, and by the tests kept with it.

All three play the live engine (``rehearsal``). History is read as it was received, so that what would have fired is
what would have fired then. Two things are not as they were: attributes, tags and groups are those of now, and who was
connected is not kept, so that what asks for it is unknown.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from engine import clock
from engine.rules import document as documents
from engine.rules import remember, service, words
from engine.rules.compile import CompiledRule, compile_rule
from engine.rules.errors import RuleInvalid, TrialMalformed
from engine.rules.explain import explain
from engine.rules.facts import NOTHING, About, Facts
from engine.rules.model import Example, Expected, RuleDocument, Silence, leaves
from engine.rules.phrases import listed, spelled_ms
from engine.rules.plan import plan_of, where_of
from engine.rules.rehearsal import Sent, Stage
from engine.rules.ruleset import RuleSet
from engine.rules.tried import Backtest, Episode, Look, TestResult
from engine.store.tx import Tx

MOST_MESSAGES = 200_000
"""Messages played in one backtest: about a second of CPU."""
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
_SENT = text(
    """
    SELECT CAST(round(extract(epoch FROM time) * 1000) AS bigint) AS at, seq,
           CAST(round(extract(epoch FROM received_at) * 1000) AS bigint) AS received, values
    FROM telemetry
    WHERE tenant_id = :tenant AND device_id = :device AND time >= :start AND time < :end
      AND (CAST(:metrics AS text[]) IS NULL OR values ?| CAST(:metrics AS text[]))
    ORDER BY time, seq LIMIT :most
    """
)


async def backtest(
    tx: Tx, node: object, start: datetime, end: datetime | None = None, device_ids: Sequence[UUID] | None = None
) -> Backtest:
    """What the document would have done between ``start`` and ``end`` (now).

    Raises RuleInvalid, TrialMalformed. It plays at most MOST_MESSAGES of MOST_DEVICES; then it is not complete.
    """
    until = tx.now if end is None else min(end, tx.now)
    if not until - LONGEST <= start < until:
        raise TrialMalformed("A backtest begins before it ends, and spans at most 90 days.")
    rule = await _compiled(tx, node)
    rules, about = RuleSet((rule,)), {}
    scope = await _in_scope(tx, rule, rules, device_ids)
    chosen, about = list(scope)[:MOST_DEVICES], scope
    episodes: list[Episode] = []
    played, left = 0, MOST_MESSAGES
    for device in chosen:
        sent = await _sent(tx, rule, UUID(device), start - BEFORE, until, left)
        stage = Stage(rules, device, about[device])
        # In a thread: a second of counting must not keep the loop from its other callers.
        await asyncio.to_thread(stage.play, sent, clock.to_ms(until))
        begin = clock.to_ms(start)
        episodes += [each for each in stage.episodes() if each.raised_at >= begin]
        played, left = played + 1, left - len(sent)
        if left <= 0:
            break
    episodes.sort(key=lambda each: (each.raised_at, each.device_id))
    is_complete = played == len(scope) and left > 0
    return Backtest(start, until, MOST_MESSAGES - left, played, len(scope), is_complete, tuple(episodes))


async def look(tx: Tx, node: object, device_id: UUID, at: datetime | None = None) -> Look:
    """How the document stands for a device now or at a time in the past, and why. Raises RuleInvalid."""
    moment = tx.now if at is None else min(at, tx.now)
    rule = await _compiled(tx, node)
    rules = RuleSet((rule,))
    about = (await _in_scope(tx, rule, rules, [device_id], even_outside=True)).get(str(device_id), NOTHING)
    past = max((need.over_ms for need in rules.needs.values()), default=0)
    start = moment - BEFORE - timedelta(milliseconds=past)
    sent = await _sent(tx, rule, device_id, start, moment + timedelta(milliseconds=1), MOST_MESSAGES)
    stage = Stage(rules, str(device_id), about)
    await asyncio.to_thread(stage.play, sent, clock.to_ms(moment))
    return _look(rule, stage, clock.to_ms(moment))


async def rehearse(tx: Tx, node: object, given: Sequence[tuple[int, Mapping[str, object]]]) -> list[Look]:
    """How the document stands after each invented message, each so many ms after the first. Raises RuleInvalid."""
    rule = await _compiled(tx, node)
    stage, steps, did = _stage(rule), [], 0
    for place, (after_ms, values) in enumerate(given):
        at = _BEGIN_MS + after_ms
        stage.play([Sent(at, place, at, values)], at)
        effects = stage.told()
        steps.append(replace(_look(rule, stage, at), did=tuple(effects[did:])))
        did = len(effects)
    return steps


def test(rule: CompiledRule) -> list[TestResult]:
    """Each test of the rule's document, run."""
    return [_tested(rule, example) for example in rule.document.examples or ()]


async def tests(tx: Tx, node: object) -> list[TestResult]:
    """Each test kept in the document, run. Raises RuleInvalid."""
    return test(await _compiled(tx, node))


_BEGIN_MS = 1_767_600_000_000
"""Invented messages begin on Monday, 5 January 2026, at 08:00 UTC."""
_AFTER_MS = 60_000
"""How much time passes after a test's last message."""


def _tested(rule: CompiledRule, example: Example) -> TestResult:
    stage = _stage(rule)
    sent = [
        Sent(_BEGIN_MS + given.at.ms, place, _BEGIN_MS + given.at.ms, _values(given.values))
        for place, given in enumerate(example.given)
    ]
    last = max([each.at for each in sent] + [_BEGIN_MS + each.at.ms for each in example.expect if each.at is not None])
    stage.play(sent, last + _AFTER_MS)
    happened = _happened(stage)
    wanted = [(each.is_raise, None if each.at is None else each.at.ms) for each in example.expect]
    passed = len(happened) == len(wanted) and all(
        kind == is_raise and (at is None or at == when)
        for (kind, when), (is_raise, at) in zip(happened, wanted, strict=True)
    )
    return TestResult(example.name, passed, "It did as expected." if passed else _instead(happened, example.expect))


def _happened(stage: Stage) -> list[tuple[bool, int]]:
    """(whether it fired or cleared, ms after the beginning), in order."""
    moves = []
    for episode in stage.episodes():
        moves.append((True, episode.raised_at - _BEGIN_MS))
        if episode.cleared_at is not None:
            moves.append((False, episode.cleared_at - _BEGIN_MS))
    return sorted(moves, key=lambda move: move[1])


def _instead(happened: Sequence[tuple[bool, int]], expected: Sequence[Expected]) -> str:
    did = [f"{'fired' if is_raise else 'cleared'} after {spelled_ms(at)}" for is_raise, at in happened]
    wanted = [
        ("fire" if each.is_raise else "clear") + ("" if each.at is None else f" after {spelled_ms(each.at.ms)}")
        for each in expected
    ]
    said = f"It {listed(did, 'and')}" if did else "It did nothing"
    return f"{said}; it should {listed(wanted, 'and')}." if wanted else f"{said}; it should have done nothing."


def _values(given: Sequence[tuple[str, Any]]) -> dict[str, object]:
    return {
        metric: value if isinstance(value, bool | int | float | str) else {"lat": value.lat, "lon": value.lon}
        for metric, value in given
    }


def _stage(rule: CompiledRule) -> Stage:
    """A stage for invented messages: nothing is known of the device but that it is of the rule's profile."""
    return Stage(RuleSet((rule,)), str(_NOBODY), About(rule.profile))


def _look(rule: CompiledRule, stage: Stage, at_ms: int) -> Look:
    seen = stage.seen(at_ms)
    tree = explain(rule.document.when, rule.vocabulary, seen)
    return Look(clock.from_ms(at_ms), stage.state.phase, tree["is"], words.why_not(rule, seen), tree)


async def _compiled(tx: Tx, node: object) -> CompiledRule:
    """The document as a rule for every device; raises RuleInvalid."""
    checked = await service.inspect(tx, node)
    if checked.problems:
        raise RuleInvalid(checked.problems)
    document = documents.parse(node)
    return compile_rule(_NOBODY, 1, document, await service.vocabulary_of(tx, document))


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
        facts.meet(device, replace(each, is_online=None))
    return {
        device: facts.of(device)
        for device in known
        if even_outside or not plan.is_narrow or facts.is_in_scope(device, plan, where_of(rule))
    }


async def _sent(tx: Tx, rule: CompiledRule, device: UUID, start: datetime, end: datetime, most: int) -> list[Sent]:
    """What the device has sent of what the rule reads, in the order in which it was received."""
    hears_all = not rule.metrics or _hears_silence(rule.document)
    named = {"tenant": tx.principal.tenant_id, "device": device, "start": start, "end": end, "most": most}
    rows = await tx.rows(_SENT, {**named, "metrics": None if hears_all else list(rule.metrics)})
    found = [
        Sent(row["at"], row["seq"], row["received"], {m: row["values"][m] for m in rule.metrics if m in row["values"]})
        for row in rows
    ]
    found.sort(key=lambda each: (each.received, each.at, each.seq))
    return found


def _hears_silence(document: RuleDocument) -> bool:
    return any(isinstance(leaf, Silence) for _, condition in document.conditions for _, leaf in leaves(condition))
