"""What rules must have done: their own `step` over the journal in its order, in one process, with nothing remembered.

Each reading comes with the time at which it was received, as a replay has it; waits end by the next reading. Timers are
asked only once the journal has ended. Nothing of the live engine's state is read, neither rows nor memory.
"""

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
from engine.rules.placeholders import render
from engine.rules.plan import plan_of
from engine.rules.ruleset import RuleSet
from engine.rules.state import Action, Event, Raise, Reading, RuleState, Tick
from engine.rules.step import step
from engine.telemetry.derived import seq_of
from infra.bench.tenant import PROFILE

Times = tuple[datetime, datetime | None]
"""When an alert was raised and cleared."""
Episodes = dict[tuple[str, str, int], Times]
"""By rule, device, and the episode's number."""
Derived = dict[tuple[str, int, int], Mapping[str, object]]
"""(device, event time in ms, seq) → values."""


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

    def follow(self, readings: Iterable[Sequence[Any]]) -> None:
        """The readings of one entry of the journal: device, event time, seq, received (times in ms), values."""
        facts = self._facts
        for device, at, seq, received, values in readings:
            reading = Reading(at, seq, values)
            if not facts.windows.knows(device):
                facts.begin(device)
            facts.add(device, at, seq, reading.sent)
            light, others, _ = self._rules.matched(PROFILE, reading.values, device)
            for rule in (*light, *others):
                self._step(rule, device, reading, received)

    def elapse(self, until_ms: int) -> None:
        """Nothing more comes until this server time: what is waited for ends, each at its own time."""
        for rule_id, device in list(self._states):
            rule, due = self._rules.by_id[rule_id], self._states[rule_id, device].due_at
            while due is not None and due <= until_ms:
                self._step(rule, device, Tick(), due)
                again = self._states[rule_id, device].due_at
                due = None if again is None or again <= due else again

    def _step(self, rule: CompiledRule, device: str, event: Event, now_ms: int) -> None:
        place = rule.id, device
        before = self._states.get(place) or RuleState(condition=rule.condition)
        self._states[place], actions = step(rule, before, event, from_ms(now_ms), self._facts.view(device))
        for action in actions:
            self._happens(rule, device, action)

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
