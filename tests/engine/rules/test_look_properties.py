"""Rules that read more than newest values, against themselves: ticks at any time, and memory lost at any time, change
nothing of what is raised and cleared, nor when."""

import json
import random
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.clock import from_ms
from engine.rules.compile import CompiledRule
from engine.rules.facts import About, Facts
from engine.rules.inputs import InputKind
from engine.rules.look import is_calm, is_heard_of_in_time
from engine.rules.moves import PATIENCE_MS
from engine.rules.plan import is_light, plan_of
from engine.rules.record import Sent
from engine.rules.rehearsal import Budget, Stage
from engine.rules.ruleset import RuleSet
from engine.rules.state import Noticed, Raise, Reading, RuleState, Tick
from engine.rules.step import is_worth_storing, recall, step
from engine.rules.words import why_raised
from tests.engine.rules.making import document, rule, temperature_above

SECOND = 1_000
START = 1_763_700_000_000 - 1_763_700_000_000 % 86_400_000
END = 1_200
LAG = 700
LATE_END = 4 * END * SECOND
DEVICE = "d"
seeds = st.integers(0, 2**32)
thoroughly = settings(max_examples=2 * settings.default.max_examples, deadline=None)


class Message(NamedTuple):
    """One message: seconds from the start, seq, values, by how many seconds it was held up, and the usual way's ms."""

    second: int
    seq: int
    values: Mapping[str, object]
    late: int = 0
    lag: int = LAG

    @property
    def at(self) -> int:
        """Event time."""
        return START + self.second * SECOND

    @property
    def received(self) -> int:
        """Server time."""
        return self.at + self.late * SECOND + self.lag


def a_leaf(rng: random.Random) -> dict[str, Any]:
    metric = rng.choice(["temperature", "humidity"])
    over = rng.choice(["20s", "60s", "5m"])
    compared = {"op": rng.choice([">", "<", ">="]), "value": rng.randint(1, 6)}
    rise = {"op": rng.choice([">", "<"]), "value": rng.choice([-1.5, 0, 0.5])}
    kinds: list[dict[str, Any]] = [
        {"metric": metric, **compared},
        {"metric": metric, "agg": {"fn": rng.choice(["avg", "min", "max", "sum"]), "over": over}, **compared},
        {"metric": metric, "agg": {"fn": "count", "over": over}, "op": "<", "value": rng.randint(1, 3)},
        {"metric": metric, "agg": {"fn": "avg", "last": rng.randint(1, 4)}, **compared},
        {"metric": metric, "rate": {"per": "1m", "over": over}, **rise},
        {"metric": metric, "delta": {"over": over}, **rise},
        {"metric": metric, "changed": {"over": over}},
        {"metric": metric, "stuck": {"for": over, "within": 1}},
        {"metric": metric, "op": compared["op"], "value": {"metric": metric, "ago": over}},
        {"time": {"from": "00:05", "to": f"00:{rng.randint(6, 15):02}", "tz": "UTC"}},
        {"silence": rng.choice(["30s", "2m"])},
        {"not": {"silence": rng.choice(["30s", "2m"])}},
        {"tag": rng.choice(["outdoor", "indoor"])},
    ]
    return rng.choice(kinds)


def a_rule(rng: random.Random, **limits: Any) -> CompiledRule:
    def condition() -> dict[str, Any]:
        kind = rng.choice(["leaf", "leaf", "all", "any", "not"])
        if kind == "leaf":
            return a_leaf(rng)
        return {"not": a_leaf(rng)} if kind == "not" else {kind: [a_leaf(rng), a_leaf(rng)]}

    made = document(condition())
    if rng.random() < 0.4:
        made["for"] = f"{rng.randint(1, 90)}s"
    if rng.random() < 0.3:
        made["clear"] = {"when": condition()}
    if rng.random() < 0.3:
        made["missing"] = {"after": rng.choice(["30s", "3m"]), "do": rng.choice(["hold", "fire", "clear", "ignore"])}
    if rng.random() < 0.3:
        limits["cooldown"] = "45s"
    if rng.random() < 0.3:
        limits["max_per_hour"] = rng.randint(1, 3)
    if limits:
        made["limits"] = limits
    return rule(made.pop("when"), **{"held" if key == "for" else key: value for key, value in made.items()})


def a_story(rng: random.Random) -> list[Message]:
    second, story = 1, []
    for seq in range(rng.randint(1, 40)):
        second += rng.choice([1, 1, 5, 10, 10, 60, 200])
        values: dict[str, object] = {}
        if rng.random() < 0.8:
            values["temperature"] = rng.choice([1, 2, 3, 4, 5.5, 7])
        if rng.random() < 0.4:
            values["humidity"] = rng.choice([1, 3, 6])
        story.append(Message(second, seq, values or {"temperature": 2}))
    return [message for message in story if message.second < END]


class Life:
    """One device's rule as the drain leads it; what is only remembered can be lost at any time."""

    def __init__(self, made: CompiledRule, *, is_short: bool = True) -> None:
        self.rule = made
        self.is_short = is_short
        self.stored: RuleState | None = None
        self.latest: dict[str, list[Any]] = {}
        self.drained: list[Message] = []
        self.told: list[tuple[str, int, int]] = []
        self.raised: list[str] = []
        self.forget()

    def forget(self) -> None:
        """The worker is another one now."""
        self.state = None if self.stored is None else RuleState.from_json(json.loads(json.dumps(self.stored.to_json())))
        self.facts = Facts()
        self.facts.use(plan_of(self.rule).needs)
        past = [(m, START + d.second * SECOND, d.seq, v) for d in self.drained for m, v in d.values.items()]
        self.facts.begin(DEVICE, past)
        received = max((each.received for each in self.drained), default=None)
        self.facts.meet(DEVICE, About("p", {"outdoor": ""}, received=received))

    def read(self, message: Message) -> None:
        """A message is drained."""
        at, received = message.at, message.received
        reading = Reading(at, message.seq, message.values)
        before = self.facts.hear(DEVICE, received)
        self.facts.add(DEVICE, at, message.seq, reading.sent)
        if not (self.is_short and self._is_left_out(reading, received, before)):
            self._move(reading, received, before)
        for metric, value in message.values.items():
            if metric not in self.latest or at >= self.latest[metric][1]:
                self.latest[metric] = [value, at]
        self.drained.append(message)

    def _is_left_out(self, reading: Reading, received: int, before: int | None) -> bool:
        """Whether the drain does not ask the rule, as `Reaction` decides it."""
        if is_light(self.rule) or self.state is None:
            return False
        if not self.rule.metrics:
            return is_heard_of_in_time(self.rule, self.state, received, before)
        view = self.facts.view_of_message(DEVICE, before)
        return reading.is_newer(self.latest) and is_calm(self.rule, self.state, reading, received, view, self.latest)

    def tick(self, second: float) -> None:
        """The worker looks what is due."""
        self.tick_at(START + int(second * SECOND))

    def tick_at(self, now: int) -> None:
        """The same, at a moment of the server's clock."""
        if self.state is not None and self.state.due_at is not None and self.state.due_at <= now:
            self._move(Tick(), now, None)

    def _move(self, event: Any, now: int, before: int | None) -> None:
        state = recall(self.rule, self.state or RuleState(condition=self.rule.condition), self.latest)
        is_message = isinstance(event, Reading)
        view = self.facts.view_of_message(DEVICE, before) if is_message else self.facts.view(DEVICE)
        self.state, actions = step(self.rule, state, event, from_ms(now), view)
        self.told += [(type(done).__name__, done.episode, done.at - START) for done in actions]
        self.raised += [why_raised(self.rule, done) for done in actions if isinstance(done, Raise)]
        if is_worth_storing(self.stored or RuleState(), self.state):
            self.stored = self.state


def a_late_story(rng: random.Random) -> list[Message]:
    """A story of which some messages are held up, a few so long that they are history; in the order they are heard."""
    story = [each._replace(late=rng.choice([0, 0, 0, 3, 25, 100, 400])) for each in a_story(rng)]
    return sorted(story, key=lambda each: (each.received, each.at))


def lived(made: CompiledRule, story: Sequence[Message], rng: random.Random | None) -> list[tuple[str, int, int]]:
    """What is told; with ``rng``, time passes and memory is lost in between, and what can be left out is."""
    life, now = Life(made, is_short=rng is not None), 0.0
    for message in story:
        while rng is not None and rng.random() < 0.6:
            now = rng.uniform(now, message.second + LAG / SECOND)
            life.tick(now)
            if rng.random() < 0.5:
                life.forget()
        now = message.second + LAG / SECOND
        life.read(message)
    while rng is not None and now < 2 * END:
        now += rng.uniform(0.5, 120)
        life.tick(now)
    for second in range(2 * END, 2 * END + 4_000, 50):
        life.tick(second)
    return life.told


@thoroughly
@given(seeds)
@example(16909118)  # a window that was empty is filled while the timer stands at a far time of day
@example(3530903724)  # messages without the rule's metric end a silence while its window changes by itself
def test_ticks_and_lost_memory_change_nothing_of_what_is_told_nor_when(seed: int) -> None:
    rng = random.Random(seed)
    made, story = a_rule(rng), a_story(rng)
    assert lived(made, story, random.Random(seed + 1)) == lived(made, story, None)


def played(made: CompiledRule, story: Sequence[Message]) -> list[tuple[str, int, int]]:
    """What a backtest tells of it."""
    stage = Stage(RuleSet((made,)), DEVICE, About("p", {"outdoor": ""}), Budget(60))
    stage.begin(START)
    stage.play([Sent(each.at, each.seq, each.received, each.values) for each in story], START + LATE_END)
    told = []
    for each in stage.episodes():
        told.append(("Raise", each.episode, each.raised_at - START))
        if each.cleared_at is not None:
            told.append(("Clear", each.episode, each.cleared_at - START))
    return told


def a_jittered_story(rng: random.Random) -> list[Message]:
    """A story that comes in order, by a way that takes now longer and now shorter."""
    story, longest = a_story(rng), rng.choice([3_000, 20_000, 130_000])
    jittered = [each._replace(lag=rng.choice([LAG, rng.randint(0, longest)])) for each in story]
    return sorted(jittered, key=lambda each: (each.received, each.at))


def drained(
    made: CompiledRule, story: Sequence[Message], rng: random.Random, *, is_short: bool = True
) -> list[tuple[str, int, int]]:
    """What is told live, where a tick comes when it is due; memory is lost at any time."""
    life = Life(made, is_short=is_short)
    if RuleSet((made,)).starting:
        life.state = RuleState(condition=made.condition)
        life._move(Noticed(), START, None)

    def pass_until(until: int) -> None:
        while life.state is not None and (due := life.state.due_at) is not None and due <= until:
            life.tick_at(due)
            if life.state.due_at is not None and life.state.due_at <= due:
                break  # as a backtest does
            if rng.random() < 0.5:
                life.forget()

    for message in story:
        pass_until(message.received - 1)
        life.read(message)
        if rng.random() < 0.3:
            life.forget()
    pass_until(START + LATE_END)
    return life.told


@thoroughly
@given(seeds)
def test_a_backtest_tells_what_is_told_live_of_late_messages_too(seed: int) -> None:
    rng = random.Random(seed)
    made, story = a_rule(rng, max_lateness="2m"), a_late_story(rng)
    assert drained(made, story, random.Random(seed + 1)) == played(made, story)


@settings(deadline=None)
@given(seeds)
@example(635)  # a way that became shorter: what a window holds changes before the timer's time
@example(1190)
@example(2858)  # a way that became longer: the silence after it is over sooner, as event time goes
@example(1000769)  # the same by little more than half a second
def test_what_is_left_out_changes_nothing_however_long_messages_take(seed: int) -> None:
    rng = random.Random(seed)
    made, story = a_rule(rng, max_lateness="2m"), a_jittered_story(rng)
    asked = drained(made, story, random.Random(seed + 1), is_short=False)
    assert drained(made, story, random.Random(seed + 1)) == asked


def a_story_of_one_that_catches_up(rng: random.Random) -> list[Message]:
    """A device sends what it had kept back: each message comes sooner after its event than the one before."""
    story, now, before = [], START + 3 * END * SECOND, START
    for each in a_story(rng):
        now, before = now + min(rng.choice([1, 50, 200, 200, 200, 1_500, 9_000]), each.at - before), each.at
        story.append(each._replace(lag=now - each.at))
    return [*story[:-1], story[-1]._replace(values={"temperature": 2, "humidity": 1, **story[-1].values})]


def hurried(made: CompiledRule, story: Sequence[Message], until: int, rng: random.Random) -> list[tuple[str, int, int]]:
    """What is told live by then: the worker looks once a second, the journal is behind at times, memory is lost."""
    life, waiting, now, is_behind = Life(made), deque(story), story[0].received, False
    while now < until:
        now, is_behind = now + SECOND, not is_behind and rng.random() < 0.5
        while not is_behind and waiting and waiting[0].received <= now:
            life.read(waiting.popleft())
        life.tick_at(now)
        if rng.random() < 0.3:
            life.forget()
    return life.told


def unhurried(made: CompiledRule, story: Sequence[Message], until: int) -> list[tuple[str, int, int]]:
    """What is told by then where timers are asked only when nothing more comes, to the millisecond."""
    life = Life(made, is_short=False)
    for message in story:
        life.read(message)
    while life.state is not None and (due := life.state.due_at) is not None and due <= until:
        life.tick_at(due)
        if life.state.due_at is not None and life.state.due_at <= due:
            break
    return life.told


@settings(deadline=None)
@given(seeds)
def test_of_a_device_that_has_caught_up_the_same_is_told_at_the_same_time_as_of_one_never_late(seed: int) -> None:
    rng = random.Random(seed)
    made = a_rule(rng, max_lateness="2h")
    while InputKind.SILENCE in plan_of(made).kinds:  # which the worker's clock ends, however late messages come
        made = a_rule(rng, max_lateness="2h")
    story = a_story_of_one_that_catches_up(rng)
    prompt = [each._replace(lag=story[-1].lag) for each in story]
    until = story[-1].received + rng.randint(10, 400) * SECOND
    told = hurried(made, story, until, random.Random(seed + 1))
    must, may = unhurried(made, prompt, until - 2 * SECOND - PATIENCE_MS), unhurried(made, prompt, until)
    assert must == told[: len(must)]
    assert told == may[: len(told)]


def test_what_a_device_had_kept_back_does_not_keep_its_timers_back() -> None:
    warm = {"metric": "temperature", "agg": {"fn": "count", "over": "60s"}, "op": ">", "value": 2}
    now, made = START + 3_600 * SECOND, rule(warm)
    life = Life(made)
    for n in range(30):  # the last has just been measured, the first almost five minutes ago
        life.read(Message((now - START) // SECOND - 290 + 10 * n, n, {"temperature": 9}, lag=290_000 - 9_990 * n))
    assert [kind for kind, *_ in life.told] == ["Raise"]
    for second in range(46):
        life.tick_at(now + second * SECOND)
    assert life.told[1:] == [("Clear", 1, now - START + 42_000)], "windows are looked at every three seconds"


def test_a_late_point_of_a_window_begins_the_wait_when_it_comes() -> None:
    warm = {"metric": "temperature", "agg": {"fn": "avg", "over": "60s"}, "op": ">", "value": 5}
    made = rule(warm, held="30s")
    story = [
        Message(10, 1, {"temperature": 2}),
        Message(40, 3, {"temperature": 4}),
        Message(20, 2, {"temperature": 20}, late=25),  # heard in the second 45, less the patience of a tick: 43
    ]
    told = [("Raise", 1, 73_000), ("Clear", 1, 81_000)]
    assert drained(made, story, random.Random(1)) == played(made, story) == told
    too_late = [*story[:2], story[2]._replace(late=90)]
    lenient = rule(warm, held="30s", limits={"max_lateness": "1m"})
    assert drained(lenient, too_late, random.Random(1)) == played(lenient, too_late) == []


def test_a_message_that_ends_a_silence_is_not_left_out_though_the_rule_is_asked_soon() -> None:
    made = rule({"all": [{"not": {"silence": "2m"}}, {"time": {"from": "00:00", "to": "00:05", "tz": "UTC"}}]})
    story = [Message(10, 1, {"temperature": 2}), Message(250, 2, {"temperature": 2})]
    told = [("Raise", 1, 10_700), ("Clear", 1, 130_700), ("Raise", 2, 250_700), ("Clear", 2, 300_000)]
    assert drained(made, story, random.Random(1)) == played(made, story) == told


def test_the_first_look_of_a_new_rule_knows_how_late_a_devices_messages_come() -> None:
    life = Life(rule(None, missing={"after": "30m", "do": "fire"}))
    late = Message(60, 1, {"temperature": 2}, late=3_000)
    life.drained = [late]
    life.latest = {"temperature": [2, late.at]}
    life.forget()
    life._move(Tick(), late.received + 5_000, None)
    assert life.told == []
    life.tick_at(late.received + 31 * 60 * SECOND)
    assert [kind for kind, *_ in life.told] == ["Raise"]


def test_a_rule_that_hears_silence_is_not_asked_with_every_message_because_none_comes_by_quite_the_same_way() -> None:
    rng, made = random.Random(1), rule({"any": [temperature_above(8), {"silence": "10m"}]})

    class Asked(Life):
        messages = 0

        def _move(self, event: Any, now: int, before: int | None) -> None:
            self.messages += isinstance(event, Reading)
            super()._move(event, now, before)

    even, uneven = Asked(made), Asked(made)
    for n in range(2_000):
        even.read(Message(1 + 5 * n, n, {"temperature": 4 + n % 3}))
        uneven.read(Message(1 + 5 * n, n, {"temperature": 4 + n % 3}, lag=LAG + rng.randint(0, 900)))
    assert uneven.messages <= 2 * even.messages < 40, "as its timer is, every ten minutes"
    uneven.read(Message(10_005, 2_000, {"temperature": 4}, lag=30_000))
    assert uneven.state is not None
    assert uneven.state.lag == 30_000, "this way is another one"


def test_a_notice_looks_at_once_and_an_unknown_event_does_nothing() -> None:
    life = Life(rule({"event": "door-forced"}))
    for kind, expected in (("door-opened", 0), ("door-forced", 2), (None, 2)):
        life._move(Noticed(kind), START + 5_000, None)
        assert len(life.told) == expected


def test_a_schedule_does_not_make_up_for_times_that_another_time_zone_has_had_already() -> None:
    minute, hourly = 60 * SECOND, {"schedule": {"cron": "0 * * * *"}}
    life = Life(rule(temperature_above(8), trigger=hourly))
    life.read(Message(10 * 60, 1, {"temperature": 9}))
    assert life.state is not None
    assert life.state.due_at == START + 60 * minute
    life.facts.go_by(ZoneInfo("Asia/Kolkata"))  # where an hour began at 00:30 UTC
    life._move(Noticed(), START + 40 * minute, None)
    assert life.told == []
    assert life.state.due_at == START + 90 * minute
    life.tick_at(START + 90 * minute)
    assert life.told == [("Raise", 1, 90 * minute)]


def test_a_rule_that_ignores_what_is_missing_goes_on_with_what_is_there() -> None:
    both = {"all": [{"metric": metric, "op": ">", "value": 4} for metric in ("temperature", "humidity")]}
    life = Life(rule(both, missing={"after": "30s", "do": "ignore"}))
    for second, values in ((1, {"humidity": 1}), (10, {"temperature": 7}), (20, {"temperature": 7})):
        life.read(Message(second, second, values))
    assert life.told == []
    life.tick(40)
    assert life.told == [("Raise", 1, 31_000)], "humidity is missing from then on"
    assert life.raised == ["temperature was 7 °C, above 4 °C, at 00:00 UTC"]
    life.read(Message(45, 45, {"humidity": 1}))
    assert life.told[1:] == [("Clear", 1, 45_000)]
