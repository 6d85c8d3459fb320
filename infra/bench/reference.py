"""What rules must have done: their own `step` over the journal in its order, in one process, with nothing remembered.

Each reading comes with the time at which it was received, as a replay has it; waits end by the next reading. Timers are
asked only once the journal has ended. Nothing of the live engine's state is read, neither rows nor memory.

Millions of readings change nothing. Where rules read nothing but what a reading brings, and wait for nothing, what
`step` has once made of such values it makes of them again: of readings in a row that change nothing the last alone is
stepped through. This is no short cut of the engine's: nothing is computed of rules here, it is only seen what comes of
them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import Any
from uuid import UUID, uuid5

from engine.clock import from_ms
from engine.notifications.contacts import places
from engine.notifications.model import Channel
from engine.rules.acting import Effect
from engine.rules.compile import CompiledRule
from engine.rules.effects import effects_of
from engine.rules.facts import Facts
from engine.rules.model import AddTag, CallWebhook, DeriveMetric, RemoveTag, SetAttribute
from engine.rules.moves import STEADY
from engine.rules.placeholders import render
from engine.rules.plan import plan_of
from engine.rules.ruleset import RuleSet
from engine.rules.state import Action, Event, Raise, Reading, RuleState, Tick
from engine.rules.step import is_worth_storing, step
from engine.telemetry.derived import seq_of
from infra.bench.tenant import PROFILE

Times = tuple[datetime, datetime | None]
"""When an alert was raised and cleared."""
Episodes = dict[tuple[str, str, int], Times]
"""By rule, device, and the episode's number."""
Derived = dict[tuple[str, int, int], Mapping[str, object]]
"""(device, event time in ms, seq) → values."""


Told = Sequence[Any]
"""A reading as the journal has it: device, event time, seq, received (times in ms), values."""
MOST_CALM = 100_000
"""So many kinds of readings that change nothing are remembered; a fleet that measures more is stepped through."""


@dataclass(slots=True)
class Expected:
    """What there must be: alerts, the ids of deliveries, derived readings, and the labels of devices that have some."""

    episodes: Episodes = field(default_factory=dict)
    calls: set[UUID] = field(default_factory=set)
    derived: Derived = field(default_factory=dict)
    labels: dict[str, dict[str, str]] = field(default_factory=dict)

    def copy(self) -> "Expected":
        """As it is now, whatever comes."""
        labels = {device: dict(labels) for device, labels in self.labels.items()}
        return Expected(dict(self.episodes), set(self.calls), dict(self.derived), labels)

    def add(self, other: "Expected") -> None:
        """Take in what there must be of other devices."""
        self.episodes.update(other.episodes)
        self.calls.update(other.calls)
        self.derived.update(other.derived)
        self.labels.update(other.labels)


@dataclass(slots=True)
class Standing:
    """A device whose rules wait for nothing and read nothing but what its readings bring.

    ``names`` are the metrics of its last reading, of which rules read those that ``picked`` gives. ``calm`` is what
    changed nothing where the rules stand as they do here, as ``brought`` tells it. ``at`` is the newest event time
    known; ``skipped`` the last reading that was not stepped through.
    """

    names: tuple[str, ...]
    picked: Callable[[Mapping[str, Any]], tuple[Any, ...]]
    calm: set[tuple[object, ...]]
    at: int
    lateness_ms: int
    skipped: Told | None = None

    def is_calm(self, at: int, received: int, values: Mapping[str, Any]) -> bool:
        """Whether rules make nothing of a reading with these values, as is known of one like it."""
        return (
            at > self.at
            and received - at < self.lateness_ms
            and tuple(values) == self.names
            and self.brought(values) in self.calm
        )

    def brought(self, values: Mapping[str, Any]) -> tuple[object, ...]:
        """All that decides what the rules make of a reading with these metrics."""
        picked = self.picked(values)
        return *picked, *map(type, picked)  # 1 is no true


class Reference:
    """One tenant's rules over its journal; ``channels`` are those that webhook actions may name."""

    def __init__(self, tenant_id: UUID, rules: Iterable[CompiledRule], channels: Iterable[Channel] = ()) -> None:
        self.expected = Expected()
        self._tenant_id = tenant_id
        self._rules = RuleSet(rules)
        self._channels = {channel.name: channel for channel in channels}
        self._facts = Facts()
        self._facts.use(self._rules.needs)
        self._states: dict[tuple[UUID, str], RuleState] = {}
        self._standings: dict[str, Standing] = {}
        self._calm: defaultdict[tuple[object, ...], set[tuple[object, ...]]] = defaultdict(set)
        """What changed nothing, by the metrics of a reading and where the rules stood that look at it."""

    def follow(self, readings: Iterable[Told]) -> None:
        """The readings of one entry of the journal."""
        standings = self._standings
        for told in readings:
            device, at, _, received, values = told
            stands = standings.get(device)
            if stands is not None and stands.is_calm(at, received, values):
                stands.at, stands.skipped = at, told
                continue
            if stands is not None and stands.skipped is not None:
                self._read(stands.skipped)
            self._read(told)

    def _read(self, told: Told) -> None:
        """Step through one reading, and see whether it changed anything and where that leaves the device."""
        facts, (device, at, seq, received, values) = self._facts, told
        reading = Reading(at, seq, values)
        if not facts.windows.knows(device):
            facts.begin(device)
        facts.add(device, at, seq, reading.sent)
        light, others, _ = self._rules.matched(PROFILE, reading.values, device)
        changes = [self._step(rule, device, reading, received) for rule in (*light, *others)]
        self._standings.pop(device, None)
        if light and not others and not self._rules.needs:
            self._stand(told, light, changed=any(changes))

    def _stand(self, told: Told, rules: Sequence[CompiledRule], *, changed: bool) -> None:
        """Where the reading has left the device, if nothing is waited for; and whether its like may be skipped."""
        device, at, seq, received, values = told
        states = [self._states[rule.id, device] for rule in rules]
        if not all(state.phase in STEADY for state in states):
            return
        known = [entry for state in states for entry in state.known.values()]
        names, newest = tuple(values), max(entry.at for entry in known)
        calm = self._calm[names, *((rule.id, state.phase) for rule, state in zip(rules, states, strict=True))]
        lateness_ms = min(rule.max_lateness_ms for rule in rules)
        stands = self._standings[device] = Standing(names, _picker(rules), calm, newest, lateness_ms)
        is_taken = all((entry.at, entry.seq) == (at, seq) for entry in known) and received - at < lateness_ms
        if is_taken and not changed and len(calm) < MOST_CALM:
            calm.add(stands.brought(values))

    def elapse(self, until_ms: int) -> None:
        """Nothing more comes until this server time: what is waited for ends, each at its own time."""
        for rule_id, device in list(self._states):
            rule, due = self._rules.by_id[rule_id], self._states[rule_id, device].due_at
            while due is not None and due <= until_ms:
                self._step(rule, device, Tick(), due)
                again = self._states[rule_id, device].due_at
                due = None if again is None or again <= due else again

    def _step(self, rule: CompiledRule, device: str, event: Event, now_ms: int) -> bool:
        """Whether anything but the newest values has changed."""
        place = rule.id, device
        before = self._states.get(place) or RuleState(condition=rule.condition)
        after, actions = step(rule, before, event, from_ms(now_ms), self._facts.view(device))
        self._states[place] = after
        for action in actions:
            self._happens(rule, device, action)
        return bool(actions) or is_worth_storing(before, after)

    def _happens(self, rule: CompiledRule, device: str, action: Action) -> None:
        plan, episodes = plan_of(rule), self.expected.episodes
        place = rule.key, device, action.episode
        if isinstance(action, Raise):
            episodes[place] = from_ms(action.at), None
        else:
            episodes[place] = episodes[place][0], from_ms(action.at)
        thens = plan.then if isinstance(action, Raise) else plan.on_clear
        for effect in effects_of(rule, device, action, thens, "", self._facts, ()) if thens else ():
            self._acts(effect)

    def _acts(self, effect: Effect) -> None:
        effect_id, labels = effect.id(self._tenant_id), self.expected.labels.setdefault(effect.device_id, {})
        match effect.then:
            case CallWebhook(channel=name):
                channel = self._channels[name]
                for place in places(channel.kind, channel.target, channel.settings):
                    self.expected.calls.add(uuid5(effect_id, f"{channel.id}|{place}"))
            case DeriveMetric(metric=metric):
                key = effect.device_id, effect.at_ms, seq_of(effect_id)
                self.expected.derived[key] = {metric: effect.value}
            case AddTag(tag=tag):
                labels.setdefault(tag, "")
            case RemoveTag(tag=tag):
                labels.pop(tag, None)
            case SetAttribute(attribute=key, value=str(value)):
                labels[key] = render(value, effect.facts)
            case other:
                raise NotImplementedError(f"The reference does not know {other}.")


def _picker(rules: Sequence[CompiledRule]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """The values of all metrics that these rules read, out of a reading's."""
    metrics = sorted({metric for rule in rules for metric in rule.metrics})
    return itemgetter(*metrics) if len(metrics) > 1 else lambda values: (values[metrics[0]],)
