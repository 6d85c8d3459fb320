"""The moves of a rule between its phases: what a signal, a wait that is over, an edit or an end makes of a state."""

from collections.abc import Callable, Mapping
from enum import Enum, auto

from datalogic_py import DataHandle

from engine.rules.compile import CompiledRule
from engine.rules.explain import why
from engine.rules.plan import plan_of
from engine.rules.state import Action, Clear, EndReason, Known, Phase, Raise, RuleState, times_off

HOUR_MS = 3_600_000
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

STEADY = frozenset({Phase.OK, Phase.FIRING})
"""Where a rule waits for nothing: a reading that is as wrong as those before changes nothing."""

Seen = Callable[[int], Mapping[str, Known]]
"""What was known at a moment (event time), newest values and whatever else the rule reads."""


def signal(rule: CompiledRule, values: DataHandle, state: RuleState) -> Signal:
    """What these values say; whether all is right again is asked only while an alert is open."""
    if rule.when.is_true.evaluate_data(values) is True:
        return Signal.WRONG
    if not state.is_raised:
        return Signal.UNSURE  # nothing is open, so nobody asks whether it is right
    clears = rule.when.is_false if rule.clear is None else rule.clear.is_true
    return Signal.RIGHT if clears.evaluate_data(values) is True else Signal.UNSURE


def move(state: RuleState, signal: Signal, at: int) -> RuleState:
    """The state after a signal at event time ``at``."""
    phase = MOVES[state.phase][signal]
    if phase is state.phase:
        return state
    return state._replace(phase=phase, since=None if phase is Phase.OK else at)


def deadline(rule: CompiledRule, state: RuleState) -> int | None:
    """Event time at which the present wait is over, None if nothing is being waited for."""
    since = state.since or 0
    if state.phase is Phase.CLEARING:
        return since + rule.clear_held_ms
    if state.phase is not Phase.PENDING:
        return None
    held = since + rule.held_ms
    most = plan_of(rule).max_per_hour
    if most is not None and len(state.raised) >= most:  # more than that, where an edit has made it less
        held = max(held, state.raised[-most] + HOUR_MS)
    return held if state.quiet_from is None else max(held, state.quiet_from + rule.cooldown_ms)


def elapse(
    rule: CompiledRule, state: RuleState, until: int, actions: list[Action], seen: Seen | None = None
) -> RuleState:
    """The state when event time ``until`` has come; a wait that is over raises or clears, at the time it was over."""
    over = deadline(rule, state)
    if over is None or over > until:
        return state
    since = over if state.since is None else state.since
    known = state.known if seen is None else seen(over)
    if state.phase is Phase.PENDING:
        episode = state.episode + 1
        actions.append(Raise(episode, over, since, known, why(rule, known, state.known)))
        raised = raised_lately(rule, state, over)
        return state._replace(phase=Phase.FIRING, since=over, episode=episode, raised=raised)
    actions.append(Clear(state.episode, over, since, known, EndReason.CLEARED))
    return state._replace(phase=Phase.OK, since=None, quiet_from=over)


def raised_lately(rule: CompiledRule, state: RuleState, at: int) -> tuple[int, ...]:
    """When the last alerts were raised, as many as may be in an hour; none where there is no such limit."""
    most = plan_of(rule).max_per_hour
    return () if most is None else (*state.raised, at)[-most:]


def arm(rule: CompiledRule, state: RuleState, lag: int) -> RuleState:
    """The state with the server time at which its wait will be over."""
    over = deadline(rule, state)
    if over is None:
        return state if state.due_at is None else state._replace(lag=0, due_at=None)
    return state._replace(lag=lag, due_at=over + lag + PATIENCE_MS)


def adopt(rule: CompiledRule, state: RuleState, now_ms: int) -> tuple[RuleState, list[Action]]:
    """A state of an earlier condition made one of this rule's: open alerts end, episode numbers go on, no cooldown."""
    was_off = times_off(state.condition) != times_off(rule.condition)
    state, actions = end(state, now_ms, EndReason.RULE_OFF if was_off else EndReason.RULE_CHANGED)
    known = {metric: state.known[metric] for metric in rule.metrics if metric in state.known}
    return state._replace(condition=rule.condition, quiet_from=None, looked=None, known=known), actions


def end(state: RuleState, now_ms: int, reason: EndReason) -> tuple[RuleState, list[Action]]:
    """The state at rest; an open alert ends for this reason."""
    actions: list[Action] = []
    if state.is_raised:
        since = now_ms if state.since is None else state.since
        actions.append(Clear(state.episode, now_ms, since, state.known, reason))
    return state._replace(phase=Phase.OK, since=None, lag=0, due_at=None, led_by=()), actions
