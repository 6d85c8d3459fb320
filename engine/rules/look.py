"""Moves a rule that reads more than newest values: windows, places, times of day, silence, attributes.

Every moment at which something it reads changes by itself is looked at, in event time and in order, before the event
that comes after it. So what is decided, and at what time, does not depend on when a Tick came or on what was in memory:
a replay decides as the first run did.
"""

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from datalogic_py import DataHandle

from engine.rules.compile import CompiledRule, ignoring
from engine.rules.facts import Moment, View
from engine.rules.inputs import InputKind
from engine.rules.model import MissingDo
from engine.rules.moves import PATIENCE_MS, STEADY, Seen, Signal, deadline, elapse, move, signal
from engine.rules.plan import Plan, plan_of
from engine.rules.schedule import last_time, next_time
from engine.rules.state import Action, Event, Known, Noticed, Phase, Reading, RuleState

MOST_LOOKS = 200
"""How many changes by themselves are looked at between two events; of more, the last one counts."""
TICK_APART_MS = 1_000
_MISSING = {MissingDo.HOLD: Signal.UNSURE, MissingDo.FIRE: Signal.WRONG, MissingDo.CLEAR: Signal.RIGHT}


def look(
    rule: CompiledRule, state: RuleState, event: Event, now_ms: int, actions: list[Action], view: View
) -> tuple[RuleState, list[Action]]:
    """The state after ``event``, the actions added to ``actions``."""
    looker = _Looker(rule, view, actions, now_ms)
    if looker.plan.cron is not None:
        return looker.by_schedule(state, is_noticed=isinstance(event, Noticed)), actions
    if isinstance(event, Reading):
        return looker.read(state, event), actions
    return (looker.notice(state, event) if isinstance(event, Noticed) else looker.tick(state)), actions


def learn(rule: CompiledRule, known: Mapping[str, Known], reading: Reading) -> dict[str, Known] | None:
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


def is_calm(
    rule: CompiledRule, state: RuleState | None, reading: Reading, now_ms: int, view: View, latest: Mapping[str, Any]
) -> bool:
    """Whether ``reading`` certainly leaves the rule as it stands and its timer too, so that ``step`` need not be asked.

    As ``is_quiet``: only of a reading that ``is_newer`` than all of ``latest`` (by metric: value, event time in ms).
    """
    if state is None or state.phase not in STEADY or state.condition != rule.condition:
        return False
    if state.due_at is None or state.due_at <= now_ms or state.looked is None or state.looked > reading.at:
        return False
    plan, at, sent = plan_of(rule), reading.at, reading.values
    if plan.has_pulses or plan.missing_ms is not None or at < now_ms - rule.max_lateness_ms:
        return False
    looked = state.looked
    for metric in rule.metrics:
        if metric not in sent:
            return False
        known = latest.get(metric)
        if known is not None and known[1] > looked:
            looked = known[1]
    if (state.quiet_from is not None and state.quiet_from > at) or (state.since is not None and state.since > at):
        return False
    before, now = Moment(looked, state.lag, view.before), Moment(at, now_ms - at, view.received, at)
    if now.lag < state.lag - PATIENCE_MS or (plan.silence_ms is not None and now.lag > state.lag + PATIENCE_MS):
        return False  # in event time, a silence is over sooner the later the message that began it came
    values: dict[str, object] = {metric: sent[metric] for metric in rule.metrics}
    for each in plan.computed:
        due = view.due(each, before)
        if due is not None and due < at:
            return False
        # It had nothing to change by itself, or a shorter lag: then the timer does not yet know of what it has now.
        if due is None or now.lag < state.lag:
            due = view.due(each, now)
            if due is not None and due + now.lag + _patience(rule) < state.due_at:
                return False
        values[each.name] = view.read(each, now)
        if values[each.name] is None:
            del values[each.name]
    return (rule.when.is_true.evaluate_data(DataHandle(values)) is True) is state.is_raised


def is_heard_of_in_time(rule: CompiledRule, state: RuleState, now_ms: int, before_ms: int | None) -> bool:
    """Whether a message at this server time, after one at ``before_ms``, leaves a rule that reads no metric as it is.

    No silence ended with it, the rule is asked anyway before the silence that begins with it may be over, and nothing
    was to be asked before.
    """
    silence, due_at = plan_of(rule).silence_ms, state.due_at
    if silence is None or due_at is None or state.phase is not Phase.OK or state.condition != rule.condition:
        return False
    return before_ms is not None and now_ms < before_ms + silence and now_ms < due_at <= now_ms + silence


def values_at(rule: CompiledRule, state: RuleState, view: View, moment: Moment) -> dict[str, Known]:
    """Everything the rule reads at that moment, by the input's name; what is not known is left out."""
    return _Looker(rule, view, [], moment.at + moment.lag)._values(state, moment)


def _patience(rule: CompiledRule) -> int:
    return PATIENCE_MS if rule.metrics else 0  # without metrics, event time is the server's own


class _Looker:
    """One rule looking at one device because of one event."""

    def __init__(self, rule: CompiledRule, view: View, actions: list[Action], now_ms: int) -> None:
        self.rule = rule
        self.plan: Plan = plan_of(rule)
        self._view = view
        self._actions = actions
        self._now_ms = now_ms
        self._patience_ms = _patience(rule)

    def read(self, state: RuleState, reading: Reading) -> RuleState:
        """A message has come."""
        known = learn(self.rule, state.known, reading)
        if known is None:
            if InputKind.SILENCE not in self.plan.kinds:
                return self._straggle(state, reading)
            known = dict(state.known)
        own = reading.at if self.rule.metrics else self._now_ms
        at = max(own, state.since or 0, state.quiet_from or 0, *(entry.at for entry in known.values()))
        lag = self._now_ms - at
        if own < self._now_ms - self.rule.max_lateness_ms:
            return self._call_off(state.knowing(known), Moment(at, lag, self._view.received, own))
        if state.looked is None or state.looked > at:  # what was looked at without this message counts no longer
            state = state._replace(looked=at, lag=lag)
        state = self._pass(state, at - 1, self._view.before)
        state = self._judge(state.knowing(known), Moment(at, lag, self._view.received, own))
        if self.plan.has_pulses:
            state = self._judge(state, Moment(at + 1, lag - 1, self._view.received))
        return self._arm(self._leave(state, at, lag), lag, self._view.received)

    def _straggle(self, state: RuleState, reading: Reading) -> RuleState:
        """A message with no newest value: the windows that it lies in are another, so they are looked at as of now."""
        looked, lag, received = self._looked(state), self._lag(state), self._view.received
        if looked is None or not self.plan.needs.keys() & reading.values.keys():
            return state
        if reading.at < self._now_ms - self.rule.max_lateness_ms:
            return state
        at = max(self._now_ms - lag - self._patience_ms, looked)
        state = self._judge(self._pass(state, at - 1, received), Moment(at, lag, received))
        return self._arm(state._replace(looked=at), lag, received)

    def notice(self, state: RuleState, noticed: Noticed) -> RuleState:
        """Something else about the device has changed, or an event of its own has come."""
        lag = self._lag(state)
        at = max(self._now_ms - lag, self._looked(state) or 0)
        state = self._pass(state, at - 1, self._view.received)
        state = self._judge(state, Moment(at, self._now_ms - at, self._view.received, event=noticed.type))
        if self.plan.has_pulses:
            at += 1
            state = self._judge(state, Moment(at, self._now_ms - at, self._view.received))
        return self._arm(state._replace(looked=at), lag, self._view.received)

    def tick(self, state: RuleState) -> RuleState:
        """Time has passed."""
        lag, looked = self._lag(state), self._looked(state)
        until = max(self._now_ms - lag - self._patience_ms, looked or 0)
        if state.looked is None:  # the first look of a rule that was just made or edited
            state = self._judge(state, Moment(until, lag, self._view.received))
        else:
            state = self._pass(state, until, self._view.received)
        state = self._elapse(state, until, Moment(until, lag, self._view.received))
        return self._arm(state._replace(looked=until, due_at=None), lag, self._view.received, TICK_APART_MS)

    def by_schedule(self, state: RuleState, *, is_noticed: bool) -> RuleState:
        """Whatever has happened: if a time of the schedule has come since the last look, look; the next one is due.

        A device of which something else was noticed may be in another time zone now: what has passed by that one's
        clock before it was to be looked at does not come again. One that is due by another clock than the one that is
        right now is due for nothing, but for what has come since the tenant's clock became this one.
        """
        assert self.plan.cron is not None
        now_ms, zone = self._now_ms, self._view.zone(self.plan.zone)
        begin = self._unlooked(self.plan.cron, state, zone)
        if begin is not None:
            at = last_time(self.plan.cron, begin, now_ms, zone)
            if at is not None and at >= now_ms - self.rule.max_lateness_ms:
                state = self._judge(state, Moment(max(at, state.since or 0), 0, self._view.received))
        is_due = state.due_at is None or state.due_at <= now_ms
        if is_noticed or is_due or state.looked is None or state.clock_since is not None:
            due = next_time(self.plan.cron, now_ms, zone)
            state = state._replace(looked=now_ms, lag=0, due_at=due, clock_since=None)
        return state

    def _unlooked(self, cron: str, state: RuleState, zone: ZoneInfo) -> int | None:
        """After which moment a time of the schedule may have come by this clock; None if none is to be looked for."""
        looked, due, since = state.looked, state.due_at, state.clock_since
        if looked is None or (since is None and due is not None and due > self._now_ms):
            return None
        if due is not None and due == next_time(cron, looked, zone):  # this device's clock is the one it was
            return looked
        if since is None:
            return looked if due is None else None
        return max(looked, since)

    def _pass(self, state: RuleState, until: int, received: int | None) -> RuleState:
        """What happens by itself up to ``until``: inputs change, waits end."""
        moment, lag = self._looked(state), state.lag
        for _ in range(MOST_LOOKS if moment is not None else 0):
            moment = self._next(state, Moment(moment or 0, lag, received))
            if moment is None or moment > until:
                break
            state = self._judge(state, Moment(moment, lag, received))
        else:
            if moment is not None:
                state = self._judge(state, Moment(until, lag, received))
        return self._elapse(state, until, Moment(until, lag, received))

    def _leave(self, state: RuleState, at: int, lag: int) -> RuleState:
        """The state with the look at ``at`` remembered, where no known value does so and it would else be looked at
        what was before ``at`` once more: silence is no longer what it was then."""
        looked = self._looked(state)
        if looked is None or looked >= at:
            return state
        moment = self._next(state, Moment(looked, lag, self._view.received))
        return state if moment is None or moment > at else state._replace(looked=at)

    def _judge(self, state: RuleState, moment: Moment) -> RuleState:
        """Look at one moment."""
        state = self._elapse(state, moment.at - 1, moment)
        state = move(state, self._signal(state, moment), moment.at)
        return self._elapse(state, moment.at, moment)

    def _elapse(self, state: RuleState, until: int, moment: Moment) -> RuleState:
        """The state when event time ``until`` has come. ``moment``: how what was known then is looked at."""
        if state.phase in STEADY:
            return state
        return elapse(self.rule, state, until, self._actions, self._seen(state, moment))

    def _call_off(self, state: RuleState, moment: Moment) -> RuleState:
        """A reading that came too late to decide can only end a wait that it contradicts."""
        if state.phase not in (Phase.PENDING, Phase.CLEARING):
            return state
        moved = move(state, self._signal(state, moment), moment.at)
        return state if moved is state else self._arm(moved._replace(due_at=None), moment.lag, moment.received)

    def _signal(self, state: RuleState, moment: Moment) -> Signal:
        missing = self._missing(state, moment.at)
        if missing and self.plan.missing_do in _MISSING:
            return _MISSING[self.plan.missing_do]
        values = self._values(state, moment)
        handle = DataHandle({name: entry.value for name, entry in values.items()})
        return signal(ignoring(self.rule, values), handle, state)

    def _values(self, state: RuleState, moment: Moment) -> dict[str, Known]:
        """Everything the rule reads at that moment, by the input's name; what is not known is left out."""
        missing = self._missing(state, moment.at)
        values = {metric: entry for metric, entry in state.known.items() if metric not in missing}
        for each in self.plan.computed:
            value = None if each.metric in missing else self._view.read(each, moment)
            if value is not None:
                values[each.name] = Known(value, moment.at, -1)
        return values

    def _seen(self, state: RuleState, moment: Moment) -> Seen:
        """What was known at a moment, for whoever explains what happened then."""
        return lambda at: self._values(state, moment if at == moment.at else Moment(at, moment.lag, moment.received))

    def _missing(self, state: RuleState, at: int) -> set[str]:
        after = self.plan.missing_ms
        return set() if after is None else {metric for metric, entry in state.known.items() if entry.at + after <= at}

    def _next(self, state: RuleState, moment: Moment) -> int | None:
        """When something that is read changes by itself next, after that moment."""
        found: int | None = None
        dues = [self._view.due(each, moment) for each in self.plan.computed]
        if self.plan.missing_ms is not None:
            dues += [entry.at + self.plan.missing_ms for entry in state.known.values()]
        for due in dues:
            if due is not None and due > moment.at and (found is None or due < found):
                found = due
        return found

    def _arm(self, state: RuleState, lag: int, received: int | None, apart_ms: int = 0) -> RuleState:
        """The state with the server time at which it is to be looked at again, if nothing comes.

        One that is due earlier stays: to be asked for nothing costs less than to store another time with each message.
        When it is asked it goes by the shortest way since, within its patience: after what a device had kept back and
        sent at once, the first of it says nothing of how late the last of it came. A rule that hears silence goes by
        the last way, within that patience: when a silence is over depends on it.
        """
        looked = self._looked(state)
        if self.plan.silence_ms is not None:
            if abs(lag - state.lag) > PATIENCE_MS:
                state = state._replace(lag=lag)
            lag = state.lag
        found = [deadline(self.rule, state)]
        if looked is not None:
            found.append(self._next(state, Moment(looked, lag, received)))
        due = min((each for each in found if each is not None), default=None)
        if due is None:
            return state if state.due_at is None else state._replace(due_at=None)
        due_at = max(due + lag + self._patience_ms, self._now_ms + apart_ms)
        if state.due_at is not None and self._now_ms < state.due_at <= due_at:
            return state._replace(lag=lag) if lag < state.lag - PATIENCE_MS else state
        return state._replace(lag=lag, due_at=due_at)

    def _looked(self, state: RuleState) -> int | None:
        """The last moment that was looked at, None before the first."""
        looked, since = state.looked, state.since
        if looked is None or (since is not None and since > looked):
            looked = since
        for entry in state.known.values():
            if looked is None or entry.at > looked:
                looked = entry.at
        return looked

    def _lag(self, state: RuleState) -> int:
        """From event time to the server's clock, as the last message that was looked at came.

        At the first look of a rule none was: its values came at the latest with the device's last message.
        """
        if not self.rule.metrics:
            return 0
        if state.looked is not None or state.lag or self._view.received is None or not state.known:
            return state.lag
        return max(0, self._view.received - max(entry.at for entry in state.known.values()))
