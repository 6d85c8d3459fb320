"""A rule played over what a device has sent, or might send: what it would have done, and when.

It is the live engine itself (``Reaction``) that is fed: each message with the time at which it was received, and
between two messages the ticks that the rule asked for. Nothing is stored and nobody is told.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from engine import clock
from engine.rules import words
from engine.rules.acting import Effect
from engine.rules.compile import CompiledRule
from engine.rules.facts import About, Moment, Point
from engine.rules.look import values_at
from engine.rules.plan import is_light, plan_of
from engine.rules.reaction import Place, Reaction
from engine.rules.ruleset import RuleSet
from engine.rules.state import Clear, Known, Raise, Reading, RuleState
from engine.rules.step import is_quiet, recall
from engine.rules.tried import Episode
from engine.telemetry.fold import Newest


class Sent(NamedTuple):
    """One message of a device: event time, seq, when it was received (times in ms), and its values."""

    at: int
    seq: int
    received: int
    values: Mapping[str, object]


class Stage(Reaction):
    """The live reaction for one rule and one device, without a database: its ticks come by themselves."""

    def __init__(self, rules: RuleSet, device: str, about: About, past: Iterable[Point] = ()) -> None:
        """``rules`` holds one rule; ``past``: what the device has sent before, as far as the rule looks back."""
        self._latest = Newest({})
        super().__init__(self._latest, {device: about.profile or ""})
        self.use(rules)
        self.facts.use(rules.needs)
        self.facts.begin(device, past)
        self.facts.meet(device, about)
        self._rule: CompiledRule = next(iter(rules))
        self._place: Place = self._rule.key, device
        self._fired: list[Raise] = []
        self._ended: dict[int, tuple[int, str]] = {}
        if rules.starting:  # it may fire for a device that says nothing: the drain lets it begin, so do we
            self._states[self._place] = self._stored[self._place] = RuleState(condition=self._rule.condition)

    @property
    def state(self) -> RuleState:
        """What the rule remembers now."""
        return self._states.get(self._place, RuleState(condition=self._rule.condition))

    @property
    def effects(self) -> list[Effect]:
        """What would have been done beside alerts, in order."""
        return self._effects

    def play(self, sent: Iterable[Sent], until_ms: int) -> int:
        """Play messages in the order in which they were received, then let time pass; returns how many there were.

        ``until_ms`` is server time.
        """
        profile, device, rows = self._met[self._place[1]], self._place[1], 0
        rule, states, place, latest = self._rule, self._states, self._place, self._latest
        is_simple = is_light(rule) and not plan_of(rule).is_narrow and not self._set.starting
        for at, seq, received, values in sent:
            rows += 1
            state = states.get(place)
            if state is not None and state.due_at is not None:
                self._elapse_until(received)
                state = states[place]
            reading = Reading(at, seq, values)
            # What `read` asks first of such a rule, asked here: most readings leave it at rest.
            if not (is_simple and reading.is_newer(latest.of(device)) and is_quiet(rule, state, reading)):
                self.read(profile, device, reading, received)
            latest.learn(device, at, received, values)
        self._elapse_until(until_ms)
        return rows

    def episodes(self) -> Iterator[Episode]:
        """The times that it would have fired, each with its end."""
        for fired in self._fired:
            end = self._ended.get(fired.episode, (None, None))
            reason = words.why_raised(self._rule, fired)
            yield Episode(self._place[1], fired.episode, fired.at, reason, fired.why, *end)

    def told(self) -> list[str]:
        """What it would have done by now, in words and in order."""
        done = words.intentions(self._rule)
        said: list[str] = []
        for fired in self._fired:
            said += done
            if fired.episode in self._ended:
                said.append(f"clear: {self._ended[fired.episode][1]}")
        return said

    def seen(self, at_ms: int) -> dict[str, Known]:
        """Everything the rule reads at that moment, by the input's name."""
        state = recall(self._rule, self.state, self._latest.of(self._place[1]))
        view = self.facts.view(self._place[1])
        return values_at(self._rule, state, view, Moment(at_ms, 0, view.received))

    def _elapse_until(self, until_ms: int) -> None:
        """Let every wait end that is over by this server time, each at its own time."""
        while (due := self.state.due_at) is not None and due <= until_ms:
            self._due = [self._place]
            self.tick(clock.from_ms(due))
            if (again := self.state.due_at) is not None and again <= due:
                break  # it asks for the same moment again: the next message decides

    def _raise(self, rule: CompiledRule, place: Place, action: Raise) -> None:
        self._fired.append(action)
        super()._raise(rule, place, action)

    def _clear(self, rule: CompiledRule, place: Place, action: Clear, reason: str) -> None:
        self._ended[action.episode] = action.at, reason
        super()._clear(rule, place, action, reason)
