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
  stragglers change no newest value. A straggler is a point of windows all the same: what it makes of them is so from
  the moment it comes, and waits begin then. A reading older than ``max_lateness`` on arrival is remembered and may call
  off a wait, but raises and clears nothing.
- Cooldown: after an alert ended, the next waits in PENDING until ``cooldown`` is over, and is raised if still wrong.
- ``now`` is when the reading was received (the journal row's time), so that a replay decides as the first run did.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from datalogic_py import DataHandle

from engine.clock import to_ms
from engine.rules.compile import CompiledRule
from engine.rules.facts import View
from engine.rules.look import learn, look
from engine.rules.moves import MOVES, PATIENCE_MS, STEADY, Signal, adopt, arm, elapse, end, move, signal
from engine.rules.plan import is_light
from engine.rules.state import Action, EndReason, Event, Known, Phase, Reading, RuleState
from engine.rules.values import plain

__all__ = ["MOVES", "PATIENCE_MS", "Signal", "is_quiet", "is_worth_storing", "recall", "step", "stop"]


def step(
    rule: CompiledRule, state: RuleState, event: Event, now: datetime, view: View | None = None
) -> tuple[RuleState, list[Action]]:
    """The state after ``event`` and what is to be done. ``now``: when the reading was received, or the Tick's time.

    ``view`` is what can be known of the device beside newest values, this reading included; a rule that reads nothing
    but newest values needs none. A state of another condition (the rule was edited) is adopted first: its open alert
    ends, its episode number stays.
    """
    now_ms = to_ms(now)
    actions: list[Action] = []
    if state.condition != rule.condition:
        state, actions = adopt(rule, state, now_ms)
    if not is_light(rule):
        return look(rule, state, event, now_ms, actions, View.blind() if view is None else view)
    if not isinstance(event, Reading):
        return _tick(rule, state, now_ms, actions)
    known = learn(rule, state.known, event)
    if known is None:
        return state, actions
    if event.at < now_ms - rule.max_lateness_ms:
        return _call_off(rule, state, event, known), actions
    return _read(rule, state, event, known, now_ms, actions)


def stop(state: RuleState, now: datetime) -> tuple[RuleState, list[Action]]:
    """The state and the actions when the rule no longer watches the device: it is off, deleted or narrowed."""
    return end(state, to_ms(now), EndReason.RULE_STOPPED)


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
    """Whether ``reading`` certainly leaves the rule as it stands, so that ``step`` need not be asked: the common case.

    It does when nothing is waited for, the reading brings all that the rule reads, and the condition is not true of it
    or, while an alert is open, still is.
    Only of a reading that ``is_newer`` than all that is known; what is not remembered then, ``recall`` brings back.
    """
    values = reading.values
    for metric in rule.metrics:
        if metric not in values:
            return False
    return is_quiet_with(rule, state, reading.handle)


def is_quiet_with(rule: CompiledRule, state: RuleState | None, handle: DataHandle) -> bool:
    """As ``is_quiet``, of a reading with this ``handle`` that is known to bring all that the rule reads."""
    if state is not None and (state.phase not in STEADY or state.condition != rule.condition):
        return False
    return (rule.when.is_true.evaluate_data(handle) is True) is (state is not None and state.is_raised)


def _read(
    rule: CompiledRule, state: RuleState, reading: Reading, known: dict[str, Known], now_ms: int, actions: list[Action]
) -> tuple[RuleState, list[Action]]:
    handle = _handle(rule, reading, known)
    if state.phase is Phase.OK and rule.when.is_true.evaluate_data(handle) is not True:
        return state.knowing(known), actions  # the common case, made short
    at = max(reading.at, state.since or 0, state.quiet_from or 0, *(entry.at for entry in known.values()))
    state = elapse(rule, state, at - 1, actions)  # at the very moment, the reading decides
    state = move(state.knowing(known), signal(rule, handle, state), at)
    state = elapse(rule, state, at, actions)
    return arm(rule, state, now_ms - at), actions


def _call_off(rule: CompiledRule, state: RuleState, reading: Reading, known: dict[str, Known]) -> RuleState:
    """The state after a reading that came too late to decide: it can only end a wait that it contradicts."""
    state = state.knowing(known)
    if state.phase not in (Phase.PENDING, Phase.CLEARING):
        return state
    at = max(reading.at, state.since or 0)
    moved = move(state, signal(rule, _handle(rule, reading, known), state), at)
    return state if moved is state else moved._replace(lag=0, due_at=None)


def _tick(rule: CompiledRule, state: RuleState, now_ms: int, actions: list[Action]) -> tuple[RuleState, list[Action]]:
    return arm(rule, elapse(rule, state, now_ms - state.lag - PATIENCE_MS, actions), state.lag), actions


def _handle(rule: CompiledRule, reading: Reading, known: Mapping[str, Known]) -> DataHandle:
    """The values to judge by: the reading's own where it brings all the rule reads, else what is known."""
    news = reading.news
    for metric in rule.metrics:
        if known.get(metric) is not news.get(metric):
            return DataHandle({metric: entry.value for metric, entry in known.items()})
    return reading.handle
