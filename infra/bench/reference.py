"""What rules must have done: their own `step` over the journal in its order, in one process, with nothing remembered.

Each reading comes with the time at which it was received, as a replay has it; waits end by the next reading. Timers are
asked only once the journal has ended. Nothing of the live engine's state is read, neither rows nor memory.

Millions of readings change nothing. Where a rule reads nothing but what a reading brings, and waits for nothing, what
`step` has once made of such values it makes of them again: of readings in a row that change nothing for it, the last
alone is stepped through. This is no short cut of the engine's: nothing is computed of rules here, it is only seen what
comes of them.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
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
from engine.rules.state import Action, Event, Phase, Raise, Reading, RuleState, Tick
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
"""So many readings that change nothing are remembered of a rule; what measures more is stepped through."""


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
    """A rule at a device, where it waits for nothing and reads nothing but what a reading brings.

    ``calm`` are the values that change nothing where it stands so, as ``brought`` tells them. ``at`` is the newest
    event time known; ``skipped`` the last reading that was not stepped through.
    """

    rule: CompiledRule
    calm: set[tuple[object, ...]]
    at: int
    skipped: Told | None = None

    def is_calm(self, at: int, received: int, values: Mapping[str, Any]) -> bool:
        """Whether the rule makes nothing of a reading with these values, as is known of one like it."""
        return at > self.at and received - at < self.rule.max_lateness_ms and _brought(self.rule, values) in self.calm


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
        self._standings: dict[tuple[UUID, str], Standing] = {}
        self._calm: defaultdict[tuple[UUID, Phase], set[tuple[object, ...]]] = defaultdict(set)
        """The values that changed nothing, by the rule and where it stood."""

    def follow(self, readings: Iterable[Told]) -> None:
        """The readings of one entry of the journal."""
        facts = self._facts
        for told in readings:
            device, at, seq, received, values = told
            reading = Reading(at, seq, values)
            if not facts.windows.knows(device):
                facts.begin(device)
            facts.add(device, at, seq, reading.sent)
            light, others, _ = self._rules.matched(PROFILE, reading.values, device)
            for rule in light:
                stands = self._standings.get((rule.id, device))
                if stands is not None and stands.is_calm(at, received, reading.values):
                    stands.at, stands.skipped = at, told
                    continue
                self._catch_up(rule, device)
                self._stand(rule, told, changed=self._step(rule, device, reading, received))
            for rule in others:
                self._catch_up(rule, device)
                self._step(rule, device, reading, received)

    def _catch_up(self, rule: CompiledRule, device: str) -> None:
        """Step through what was skipped last: its values are the newest that are known."""
        stands = self._standings.pop((rule.id, device), None)
        if stands is not None and stands.skipped is not None:
            _, at, seq, received, values = stands.skipped
            self._step(rule, device, Reading(at, seq, values), received)

    def _stand(self, rule: CompiledRule, told: Told, *, changed: bool) -> None:
        """Where a reading has left a rule, if it waits for nothing; and whether the reading's like may be skipped."""
        device, at, seq, received, values = told
        state = self._states[rule.id, device]
        if state.phase not in STEADY:
            return
        known = state.known.values()
        calm = self._calm[rule.id, state.phase]
        self._standings[rule.id, device] = Standing(rule, calm, max(entry.at for entry in known))
        is_taken = all((entry.at, entry.seq) == (at, seq) for entry in known) and received - at < rule.max_lateness_ms
        if is_taken and not changed and len(calm) < MOST_CALM:
            calm.add(_brought(rule, Reading(at, seq, values).values))

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


def _brought(rule: CompiledRule, values: Mapping[str, Any]) -> tuple[object, ...]:
    """All that decides what a rule makes of a reading."""
    picked = [values[metric] for metric in rule.metrics]
    return *picked, *map(type, picked)  # 1 is no true
