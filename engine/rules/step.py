"""The one function that moves a rule, pure, the same live and in a backtest: (state, event) -> (state, actions).

    OK ──wrong──▶ PENDING ──for is over: Raise──▶ FIRING ──right──▶ CLEARING ──for is over: Clear──▶ OK
                  not wrong ──▶ OK                                  not right ──▶ FIRING

- A device is as its newest readings say until the next one comes: each metric keeps its newest value, so metrics may
  come in different messages. *Wrong*: ``when`` is true. *Right*: ``clear.when`` is true (without ``clear``: ``when`` is
  false) and ``when`` is not. Unknown is neither: it starts nothing, ends an unfinished wait, leaves an alert open.
- Waits count event time. A wait that was over before a reading ends before that reading is looked at. When nothing
  comes, a Tick ends it once the server's clock, set back by the last reading's lag and some patience, says so. Either
  way the action bears the same time.
- Late: a value that is not newer (by time, then seq) than the one known of its metric is not taken, so repeats and
  stragglers change nothing. A reading older than ``max_lateness`` on arrival is remembered and may call off a wait, but
  raises and clears nothing.
- Cooldown: after an alert ended, the next waits in PENDING until ``cooldown`` is over, and is raised if still wrong.
- ``now`` is when the reading was received (the journal row's time), so that a replay decides as the first run did.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum, auto
from typing import Any

from datalogic_py import DataHandle

from engine.clock import to_ms
from engine.rules.compile import CompiledRule
from engine.rules.explain import explain
from engine.rules.state import Action, Clear, EndReason, Event, Known, Phase, Raise, Reading, RuleState, Tick
from engine.rules.values import plain

PATIENCE_MS = 2_000
"""How long a Tick lets a reading be later than its predecessor before it decides without it. Devices report at regular
times and waits are round, so the reading that decides is often due in the very moment the wait is over."""


class Signal(Enum):
    """What the newest values say."""

    WRONG = auto()
    RIGHT = auto()
    UNSURE = auto()


MOVES: Mapping[Phase, Mapping[Signal, Phase]] = {
    Phase.OK: {Signal.WRONG: Phase.PENDING, Signal.RIGHT: Phase.OK, Signal.UNSURE: Phase.OK},
    Phase.PENDING: {Signal.WRONG: Phase.PENDING, Signal.RIGHT: Phase.OK, Signal.UNSURE: Phase.OK},
    Phase.FIRING: {Signal.WRONG: Phase.FIRING, Signal.RIGHT: Phase.CLEARING, Signal.UNSURE: Phase.FIRING},
    Phase.CLEARING: {Signal.WRONG: Phase.FIRING, Signal.RIGHT: Phase.CLEARING, Signal.UNSURE: Phase.FIRING},
}


def step(rule: CompiledRule, state: RuleState, event: Event, now: datetime) -> tuple[RuleState, list[Action]]:
    """The state after ``event`` and what is to be done. ``now``: when the reading was received, or the Tick's time.

    A state of another condition (the rule was edited) is adopted first: its open alert ends, its episode number stays.
    """
    now_ms = to_ms(now)
    actions: list[Action] = []
    if state.condition != rule.condition:
        state, actions = _adopt(rule, state, now_ms)
    if isinstance(event, Tick):
        return _tick(rule, state, now_ms, actions)
    known = _learn(rule, state.known, event)
    if known is None:
        return state, actions
    if event.at < now_ms - rule.max_lateness_ms:
        return _call_off(rule, state, event, known), actions
    return _read(rule, state, event, known, now_ms, actions)


def stop(state: RuleState, now: datetime) -> tuple[RuleState, list[Action]]:
    """The state and the actions when the rule no longer watches the device: it was disabled, deleted or narrowed."""
    return _end(state, to_ms(now), EndReason.RULE_STOPPED)


def is_worth_storing(before: RuleState, after: RuleState) -> bool:
    """Whether anything but the known values changed; those ``recall`` brings back from the device's latest values."""
    return before[:-1] != after[:-1]


def recall(rule: CompiledRule, state: RuleState, latest: Mapping[str, Sequence[Any]]) -> RuleState:
    """A stored state brought up to date with the device's ``latest`` (by metric: value, event time in ms).

    So the drain may leave a state unstored when only known values changed. ``latest`` must be what had been drained by
    then: not yet the readings that are about to be stepped through.
    """
    known = dict(state.known)
    for metric in rule.metrics:
        if metric in latest:
            value, at = latest[metric]
            if metric not in known or at > known[metric].at:
                known[metric] = Known(plain(value), at, -1)
    return state.knowing(known)


def is_quiet(rule: CompiledRule, state: RuleState | None, reading: Reading) -> bool:
    """Whether ``reading`` certainly leaves the rule at rest, so that ``step`` need not be asked: the common case.

    It does when nothing is going on, the reading brings all that the rule reads, and the condition is not true of it.
    Only of a reading that ``is_newer`` than all that is known; what is not remembered then, ``recall`` brings back.
    """
    if state is not None and (state.phase is not Phase.OK or state.condition != rule.condition):
        return False
    values = reading.values
    for metric in rule.metrics:
        if metric not in values:
            return False
    return rule.when.is_true.evaluate_data(reading.handle) is not True


def _learn(rule: CompiledRule, known: Mapping[str, Known], reading: Reading) -> dict[str, Known] | None:
    """``known`` with what the reading knows better, or None if it brings nothing new to this rule."""
    fresh: dict[str, Known] | None = None
    news = reading.news
    for metric in rule.metrics:
        new = news.get(metric)
        if new is not None:
            old = known.get(metric)
            if old is None or new.at > old.at or (new.at == old.at and new.seq > old.seq):
                fresh = dict(known) if fresh is None else fresh
                fresh[metric] = new
    return fresh


def _read(
    rule: CompiledRule, state: RuleState, reading: Reading, known: dict[str, Known], now_ms: int, actions: list[Action]
) -> tuple[RuleState, list[Action]]:
    handle = _handle(rule, reading, known)
    if state.phase is Phase.OK and rule.when.is_true.evaluate_data(handle) is not True:
        return state.knowing(known), actions  # the common case, made short
    at = max(reading.at, state.since or 0, state.quiet_from or 0, *(entry.at for entry in known.values()))
    state = _elapse(rule, state, at - 1, actions)  # at the very moment, the reading decides
    state = _move(state.knowing(known), _signal(rule, handle, state), at)
    state = _elapse(rule, state, at, actions)
    return _arm(rule, state, now_ms - at), actions


def _call_off(rule: CompiledRule, state: RuleState, reading: Reading, known: dict[str, Known]) -> RuleState:
    """The state after a reading that came too late to decide: it can only end a wait that it contradicts."""
    state = state.knowing(known)
    if state.phase not in (Phase.PENDING, Phase.CLEARING):
        return state
    at = max(reading.at, state.since or 0)
    moved = _move(state, _signal(rule, _handle(rule, reading, known), state), at)
    return state if moved is state else moved._replace(lag=0, due_at=None)


def _tick(rule: CompiledRule, state: RuleState, now_ms: int, actions: list[Action]) -> tuple[RuleState, list[Action]]:
    return _arm(rule, _elapse(rule, state, now_ms - state.lag - PATIENCE_MS, actions), state.lag), actions


def _handle(rule: CompiledRule, reading: Reading, known: Mapping[str, Known]) -> DataHandle:
    """The values to judge by: the reading's own where it brings all the rule reads, else what is known."""
    news = reading.news
    for metric in rule.metrics:
        if known.get(metric) is not news.get(metric):
            return DataHandle({metric: entry.value for metric, entry in known.items()})
    return reading.handle


def _signal(rule: CompiledRule, values: DataHandle, state: RuleState) -> Signal:
    if rule.when.is_true.evaluate_data(values) is True:
        return Signal.WRONG
    if not state.is_raised:
        return Signal.UNSURE  # nothing is open, so nobody asks whether it is right
    clears = rule.when.is_false if rule.clear is None else rule.clear.is_true
    return Signal.RIGHT if clears.evaluate_data(values) is True else Signal.UNSURE


def _move(state: RuleState, signal: Signal, at: int) -> RuleState:
    phase = MOVES[state.phase][signal]
    if phase is state.phase:
        return state
    return state._replace(phase=phase, since=None if phase is Phase.OK else at)


def _deadline(rule: CompiledRule, state: RuleState) -> int | None:
    """Event time at which the present wait is over, None if nothing is being waited for."""
    since = state.since or 0
    if state.phase is Phase.CLEARING:
        return since + rule.clear_held_ms
    if state.phase is not Phase.PENDING:
        return None
    held = since + rule.held_ms
    return held if state.quiet_from is None else max(held, state.quiet_from + rule.cooldown_ms)


def _elapse(rule: CompiledRule, state: RuleState, until: int, actions: list[Action]) -> RuleState:
    """The state when event time ``until`` has come; a wait that is over raises or clears, at the time it was over."""
    over = _deadline(rule, state)
    if over is None or over > until:
        return state
    since = over if state.since is None else state.since
    if state.phase is Phase.PENDING:
        episode = state.episode + 1
        why = explain(rule.document.when, rule.vocabulary, state.known)
        actions.append(Raise(episode, over, since, state.known, why))
        return state._replace(phase=Phase.FIRING, since=over, episode=episode)
    actions.append(Clear(state.episode, over, since, state.known, EndReason.CLEARED))
    return state._replace(phase=Phase.OK, since=None, quiet_from=over)


def _arm(rule: CompiledRule, state: RuleState, lag: int) -> RuleState:
    """The state with the server time at which its wait will be over."""
    over = _deadline(rule, state)
    if over is None:
        return state if state.due_at is None else state._replace(lag=0, due_at=None)
    return state._replace(lag=lag, due_at=over + lag + PATIENCE_MS)


def _adopt(rule: CompiledRule, state: RuleState, now_ms: int) -> tuple[RuleState, list[Action]]:
    """A state of an earlier condition made one of this rule's: open alerts end, episode numbers go on, no cooldown."""
    state, actions = _end(state, now_ms, EndReason.RULE_CHANGED)
    known = {metric: state.known[metric] for metric in rule.metrics if metric in state.known}
    return state._replace(condition=rule.condition, quiet_from=None, known=known), actions


def _end(state: RuleState, now_ms: int, reason: EndReason) -> tuple[RuleState, list[Action]]:
    actions: list[Action] = []
    if state.is_raised:
        since = now_ms if state.since is None else state.since
        actions.append(Clear(state.episode, now_ms, since, state.known, reason))
    return state._replace(phase=Phase.OK, since=None, lag=0, due_at=None), actions
