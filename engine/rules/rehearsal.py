"""A rule played over what a device has sent, or might send: what it would have done, and when.

It is the live engine itself (``Reaction``) that is fed: each message with the time at which it was received, and
between two messages the ticks that the rule asked for. A backtest leaves out what would certainly move nothing
(``skim``). Nothing is stored and nobody is told. What it may cost is counted in processor time, and what it keeps in
firings.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from engine import clock
from engine.rules import words
from engine.rules.circles import Chain
from engine.rules.compile import CompiledRule
from engine.rules.facts import About, Moment
from engine.rules.look import values_at
from engine.rules.moves import STEADY
from engine.rules.plan import is_light, plan_of
from engine.rules.reaction import Place, Reaction
from engine.rules.record import Record, Sent
from engine.rules.ruleset import RuleSet
from engine.rules.skim import skim
from engine.rules.state import Clear, Known, Noticed, Raise, RuleState
from engine.rules.step import recall
from engine.rules.tried import Episode
from engine.telemetry.fold import Newest

MOST_EPISODES = 500
"""So many firings are kept, each with all that was seen (18 KB at worst); of more, only how many there were."""
LOOK_EVERY = 16
"""After so many messages of a rule of newest values the processor's clock is read; of another rule after each."""

SKIMMING = 0.4
"""The share of what is left to spend that it may take to find what can be passed over; the rest is for playing."""
PLAYED_AT_ONCE = 16
"""Where nothing can be passed over, so many messages are played at once before it is asked again, after fewer first."""


class Budget:
    """Seconds of processor time that playing may take, of the thread that asks first."""

    def __init__(self, cpu_s: float) -> None:
        self._cpu_s = cpu_s
        self._end: float | None = None

    def stop(self) -> None:
        """Whoever asked has gone: nothing is left."""
        self._cpu_s, self._end = 0, 0

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left."""
        if self._end is None:
            self._end = time.thread_time() + self._cpu_s
        return time.thread_time() >= self._end

    def part(self, share: float) -> Callable[[], bool]:
        """Asks whether this share of what is left now is spent."""
        if self.is_spent or self._end is None:
            return lambda: True
        now = time.thread_time()
        until = now + share * (self._end - now)
        return lambda: self.is_spent or time.thread_time() >= until


class Firing(NamedTuple):
    """One time that a rule would have fired for a device, and how that ended, if it has. In order of time."""

    at: int
    device: str
    episode: int
    raised: Raise
    cleared: Clear | None

    def told(self, rule: CompiledRule) -> Episode:
        """The same, put into words."""
        cleared, reason = self.cleared, words.why_raised(rule, self.raised)
        end = (None, None) if cleared is None else (cleared.at, words.why_cleared(rule, cleared))
        return Episode(self.device, self.episode, self.at, reason, self.raised.why, *end)


class Stage(Reaction):
    """The live reaction for one rule and one device, without a database: its ticks come by themselves."""

    def __init__(self, rules: RuleSet, device: str, about: About, budget: Budget, from_ms: int = 0) -> None:
        """``rules`` holds one rule. Firings before ``from_ms`` (event time) are not told."""
        self._latest = Newest({})
        super().__init__(self._latest, {device: about.profile or ""})
        self.use(rules)
        self.facts.use(rules.needs)
        self.facts.begin(device)
        self.facts.meet(device, about)
        self.fired = 0
        """How often it has fired; of many, only the first are kept as ``episodes``."""
        self._budget = budget
        self._from_ms = from_ms
        self._rule: CompiledRule = next(iter(rules))
        self._place: Place = self._rule.key, device
        self._fired: dict[int, Raise] = {}
        self._ended: dict[int, Clear] = {}
        self._is_known_to_move = False

    def begin(self, now_ms: int) -> None:
        """The rule is there from this server time on: one that may fire for a device that says nothing looks now."""
        if self._set.starting:
            self._states[self._place] = self._stored[self._place] = RuleState(condition=self._rule.condition)
            self._elapse(self._place, clock.from_ms(now_ms), Noticed())

    @property
    def state(self) -> RuleState:
        """What the rule remembers now."""
        return self._states.get(self._place, RuleState(condition=self._rule.condition))

    def play(self, sent: Iterable[Sent], until_ms: int) -> int:
        """Play messages in the order in which they were received, then let time pass; returns how many there were.

        ``until_ms`` is server time. It ends early when the budget is spent.
        """
        rows = self._play(sent)
        self._elapse_until(until_ms)
        return rows

    def skim(self, record: Record, until_ms: int) -> int:
        """As ``play``, but what certainly leaves the rule as it stands is not played, only remembered."""
        rest = skim(self._rule, record, self._budget.part(SKIMMING))
        if rest is None:
            return self.play(record, until_ms)
        place, some = 0, 1
        while place < len(record):
            end = rest.until(self.state, place)
            some = 1 if end > place else min(2 * some, PLAYED_AT_ONCE)
            if end > place:
                self._pass_over(record, place, end)
            # Of the first it is known that it may move the rule: it is not asked once more whether it does.
            self._is_known_to_move = True
            played = self._play(record.between(end, end + some))
            place = end + played
            if not played:  # the budget is spent
                break
        self._elapse_until(until_ms)
        return place

    def _pass_over(self, record: Record, start: int, end: int) -> None:
        """These messages have come and moved nothing, nor would ticks have: what is due by then the next one decides.

        The timer stays, so that it goes on by the way that it was set by.
        """
        device, times, last = self._place[1], record.times, end - 1
        for metric in self.facts.windows.needs.keys() & record.columns.keys():
            values: Any = record.columns[metric][start:end]
            self.facts.windows.extend(device, metric, times[start:end], record.seqs[start:end], values)
        self.facts.next_event()
        newest = {metric: column[last] for metric, column in record.columns.items()}
        self._latest.learn(device, times[last], record.received[last], newest)
        self.has_passed(device, times[last])
        state = self.state
        if state.due_at is not None and state.due_at < record.received[end] and state.phase in STEADY:
            self._states[self._place] = state._replace(due_at=record.received[end] + 1)

    def _play(self, sent: Iterable[Sent]) -> int:
        profile, device, rows = self._met[self._place[1]], self._place[1], 0
        rule, states, place, latest, budget = self._rule, self._states, self._place, self._latest, self._budget
        is_simple = is_light(rule) and not plan_of(rule).is_narrow and not self._set.starting
        for at, seq, received, values in sent:
            if not (is_simple and rows % LOOK_EVERY) and budget.is_spent:
                return rows
            rows += 1
            state = states.get(place)
            if state is not None and state.due_at is not None:
                self._elapse_until(received - 1)  # at the very moment, the message comes first, as in the drain
                state = states[place]
            self.read(profile, device, at, seq, values, received)
            latest.learn(device, at, received, values)
        return rows

    def _is_calm(self, *asked: Any) -> bool:
        is_known, self._is_known_to_move = self._is_known_to_move, False
        return not is_known and super()._is_calm(*asked)

    def firings(self) -> list[Firing]:
        """The times that it would have fired, each with its end: the first MOST_EPISODES."""
        device, ended = self._place[1], self._ended
        return [Firing(fired.at, device, number, fired, ended.get(number)) for number, fired in self._fired.items()]

    def episodes(self) -> Iterator[Episode]:
        """The same, put into words."""
        return (each.told(self._rule) for each in self.firings())

    def told(self) -> list[str]:
        """What it would have done by now, in words and in order."""
        done = words.intentions(self._rule)
        said: list[str] = []
        for episode in self._fired:
            said += done
            if episode in self._ended:
                said.append(f"clear: {words.why_cleared(self._rule, self._ended[episode])}")
        return said

    def seen(self, at_ms: int) -> dict[str, Known]:
        """Everything the rule reads at that moment, by the input's name."""
        view = self.facts.view(self._place[1])
        return values_at(self._rule, self.remembered, view, Moment(at_ms, 0, view.received))

    @property
    def remembered(self) -> RuleState:
        """The rule's state with the device's newest values."""
        return recall(self._rule, self.state, self._latest.of(self._place[1]))

    def _elapse_until(self, until_ms: int) -> None:
        """Let every wait end that is over by this server time, each at its own time."""
        while (due := self.state.due_at) is not None and due <= until_ms and not self._budget.is_spent:
            self._due = [self._place]
            self.tick(clock.from_ms(due))
            if (again := self.state.due_at) is not None and again <= due:
                break  # it asks for the same moment again: the next message decides

    # What the live reaction would tell and do is noted here instead, and nothing of it piles up.

    def _raise(self, rule: CompiledRule, place: Place, action: Raise, led_by: Chain) -> None:
        if action.at >= self._from_ms:
            self.fired += 1
            if self.fired <= MOST_EPISODES:
                self._fired[action.episode] = action

    def _clear(self, rule: CompiledRule, place: Place, action: Clear, led_by: Chain) -> None:
        if action.episode in self._fired:
            self._ended[action.episode] = action
