"""The state machine against a clock that looks at every second, and against repeats, stragglers and crashes."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import from_ms
from engine.rules.compile import CompiledRule
from engine.rules.ruleset import RuleSet
from engine.rules.state import Action, Clear, Raise, Reading, RuleState, Tick
from engine.rules.step import PATIENCE_MS, is_quiet, is_worth_storing, recall, step
from engine.rules.words import why_cleared, why_raised
from tests.engine.rules.kleene import kleene
from tests.engine.rules.making import VOCABULARY, document, rule

SECOND = 1_000
START = 1_763_700_000_000
END = 90
TYPES = {key: metric.type.value for key, metric in VOCABULARY.metrics.items()}
seeds = st.integers(0, 2**32)
thoroughly = settings(max_examples=3 * settings.default.max_examples, deadline=None)


class Message(NamedTuple):
    """One message: seconds from the start, seq, values."""

    second: int
    seq: int
    values: Mapping[str, object]

    @property
    def reading(self) -> Reading:
        return Reading(START + self.second * SECOND, self.seq, self.values)


class Told(NamedTuple):
    """One action in the words of the reference: kind, episode, second."""

    kind: str
    episode: int
    second: float


def told(actions: Sequence[Action]) -> list[Told]:
    return [Told(type(done).__name__, done.episode, (done.at - START) / SECOND) for done in actions]


# ── random rules and stories ─────────────────────────────────────────────────────────────────────────────────────────


def a_rule(rng: random.Random) -> dict[str, Any]:
    """A document over one or two metrics, with or without each kind of wait."""

    def leaf() -> dict[str, Any]:
        metric, op = rng.choice(["temperature", "temperature", "humidity"]), rng.choice([">", "<", ">=", "!="])
        return {"metric": metric, "op": op, "value": rng.randint(1, 4)}

    def condition() -> dict[str, Any]:
        return rng.choice([leaf(), leaf(), {"all": [leaf(), leaf()]}, {"any": [leaf(), leaf()]}, {"not": leaf()}])

    def wait() -> str:
        return f"{rng.randint(1, 9)}s"

    made = document(condition())
    if rng.random() < 0.6:
        made["for"] = wait()
    if rng.random() < 0.6:
        made["clear"] = {"when": condition()} | ({"for": wait()} if rng.random() < 0.5 else {})
    if rng.random() < 0.4:
        made["limits"] = {"cooldown": f"{rng.randint(1, 30)}s"}
    return made


def a_story(rng: random.Random) -> list[Message]:
    """Messages in order of (time, seq), some in the same second; a few values are missing or of another type."""
    seconds = sorted(rng.choices(range(END), k=rng.randint(1, 40)))
    return [Message(second, seq, some_values(rng)) for seq, second in enumerate(seconds)]


def some_values(rng: random.Random) -> dict[str, object]:
    values: dict[str, object] = {}
    for metric in ("temperature", "humidity"):
        if rng.random() < 0.7:
            values[metric] = "broken" if rng.random() < 0.05 else rng.randint(0, 5)
    return values


def unordered(rng: random.Random, story: Sequence[Message]) -> list[Message]:
    """The story with repeats of what was said before, and stragglers older than all that was said of their metrics."""
    heard: list[Message] = []
    for message in story:
        heard.append(message)
        while rng.random() < 0.4:
            heard.append(rng.choice(heard))
        while rng.random() < 0.3 and set(message.values) == {"temperature", "humidity"}:
            heard.append(Message(message.second - rng.randint(1, 50), rng.randint(0, 99), some_values(rng)))
    return heard


# ── the reference: a clock that looks at every second ────────────────────────────────────────────────────────────────


def reference(made: Mapping[str, Any], story: Sequence[Message], until: int) -> list[Told]:
    """What must be done up to second ``until``, by asking at every single second. Shares no code with the engine."""
    held, cooldown = seconds_of(made.get("for")), seconds_of(made.get("limits", {}).get("cooldown"))
    clear = made.get("clear", {"when": {"not": made["when"]}})
    clear_held = seconds_of(clear.get("for"))
    read = {metric for metric in TYPES if f'"{metric}"' in json.dumps([made["when"], clear])}
    story = [message for message in story if read & set(message.values)]  # others do not concern this rule
    values: dict[str, object] = {}
    found: list[Told] = []
    wrong_since = right_since = ended = None
    for second in range(until + 1):
        for news in [message.values for message in story if message.second == second] or [{}]:
            values |= news
            wrong = kleene(made["when"], values, TYPES) is True
            right = not wrong and kleene(clear["when"], values, TYPES) is True
            wrong_since = (second if wrong_since is None else wrong_since) if wrong else None
            right_since = (second if right_since is None else right_since) if right else None
            is_open = len(found) % 2 == 1
            is_quiet = ended is not None and second - ended < cooldown
            if not is_open and wrong_since is not None and second - wrong_since >= held and not is_quiet:
                found.append(Told("Raise", len(found) // 2 + 1, second))
            elif is_open and right_since is not None and second - right_since >= clear_held:
                found.append(Told("Clear", len(found) // 2 + 1, second))
                ended = second
    return found


def seconds_of(duration: str | None) -> int:
    return 0 if duration is None else int(duration[:-1])


# ── runs of the engine ───────────────────────────────────────────────────────────────────────────────────────────────


def run(watched: CompiledRule, heard: Sequence[Message], state: RuleState | None = None) -> list[Action]:
    """Readings only, each received as it was made or later, and one Tick long after."""
    state, actions = state or RuleState(), []
    now = START
    for message in heard:
        now = max(now, message.reading.at)
        state, done = step(watched, state, message.reading, from_ms(now))
        actions += done
    return actions + step(watched, state, Tick(), from_ms(now + 3_600 * SECOND))[1]


@thoroughly
@given(seeds)
def test_readings_alone_do_what_a_clock_that_looks_at_every_second_does(seed: int) -> None:
    rng = random.Random(seed)
    made, story = a_rule(rng), a_story(rng)
    assert told(run(rule(**made), story)) == reference(made, story, END + 200)


@thoroughly
@given(seeds)
def test_a_tick_every_second_makes_actions_sooner_but_never_others(seed: int) -> None:
    rng = random.Random(seed)
    made, story = a_rule(rng), a_story(rng)
    watched, state, lag = rule(**made), RuleState(), rng.randint(-300, 300) * SECOND
    actions: list[Action] = []
    for second in range(END + 60):
        now = from_ms(START + second * SECOND + lag)
        for message in story:
            if message.second == second:
                state, done = step(watched, state, message.reading, now)
                actions += done
        is_due = state.due_at is not None and from_ms(state.due_at) <= now
        state, done = step(watched, state, Tick(), now)
        assert is_due or not done, "a Tick acts only when due_at said so"
        actions += done
    assert told(actions) == reference(made, story, END + 59 - PATIENCE_MS // SECOND)


@thoroughly
@given(seeds)
def test_repeats_and_stragglers_never_change_the_actions(seed: int) -> None:
    rng = random.Random(seed)
    made, story = a_rule(rng), a_story(rng)
    assert told(run(rule(**made), unordered(rng, story))) == reference(made, story, END + 200)


@thoroughly
@given(seeds)
def test_whatever_comes_raise_and_clear_alternate_each_episode_once_and_with_its_reason(seed: int) -> None:
    rng = random.Random(seed)
    watched, heard = rule(**a_rule(rng)), unordered(rng, a_story(rng))
    rng.shuffle(heard)
    state, actions = RuleState(), list[Action]()
    for message in heard:
        now = message.reading.at + rng.choice([-600, 0, 1, 3_599, 3_601, 9_999]) * SECOND
        for event in (message.reading, *([Tick()] if rng.random() < 0.5 else [])):
            state, done = step(watched, state, event, from_ms(now + rng.randint(0, 20) * SECOND))
            actions += done
    assert all(done.why["is"] is True for done in actions if isinstance(done, Raise))
    assert all("its condition" not in why_of(watched, done) for done in actions)
    assert [(type(done), done.episode) for done in actions] == [
        (Clear if place % 2 else Raise, place // 2 + 1) for place in range(len(actions))
    ]
    assert [done.at for done in actions] == sorted(done.at for done in actions)


@thoroughly
@given(seeds)
def test_a_run_goes_on_the_same_from_any_stored_state(seed: int) -> None:
    rng = random.Random(seed)
    watched, heard = rule(**a_rule(rng)), unordered(rng, a_story(rng))
    state, actions, now = RuleState(), [], START
    rest = run(watched, heard)
    for place, message in enumerate(heard):
        now = max(now, message.reading.at)
        state, done = step(
            watched, RuleState.from_json(json.loads(json.dumps(state.to_json()))), message.reading, from_ms(now)
        )
        actions += done
        if place == len(heard) // 2:
            middle, so_far = state, list(actions)
    assert actions == rest[: len(actions)]
    stored = RuleState.from_json(json.loads(json.dumps(middle.to_json())))
    assert so_far + run(watched, heard[len(heard) // 2 + 1 :], stored) == rest


def why_of(watched: CompiledRule, done: Action) -> str:
    return why_raised(watched, done) if isinstance(done, Raise) else why_cleared(watched, done)


# ── the drain: many devices and rules, crashes, reloads ──────────────────────────────────────────────────────────────


class Drain:
    """A drain in miniature: what one COMMIT keeps is kept together, what a crash loses is lost together."""

    def __init__(self, rules: RuleSet, *, thrifty: bool) -> None:
        self.rules = rules
        self.thrifty = thrifty
        self.cursor = 0
        self.states: dict[tuple[UUID, str], str] = {}
        self.latest: dict[str, dict[str, tuple[object, int]]] = {}
        self.alerts: dict[tuple[UUID, str, int, str], Action] = {}

    def once(self, journal: Sequence[tuple[str, Message]], batch: int, *, crash: bool) -> None:
        """One transaction over the next ``batch`` events; a crash comes just before COMMIT."""
        states, acted = dict[tuple[UUID, str], RuleState](), list[tuple[UUID, str, Action]]()
        latest = {device: dict(known) for device, known in self.latest.items()}
        for device, message in journal[self.cursor : self.cursor + batch]:
            for watched in self.rules.matching("p", message.values):
                key = (watched.id, device)
                before = states[key] if key in states else self._load(watched, device)
                states[key], actions = step(watched, before, message.reading, from_ms(message.reading.at))
                acted += [(watched.id, device, done) for done in actions]
            remember(latest.setdefault(device, {}), message)
        if crash:
            return
        for (rule_id, device), state in states.items():
            if not self.thrifty or is_worth_storing(self._stored(rule_id, device), state):
                self.states[rule_id, device] = json.dumps(state.to_json())
        for rule_id, device, done in acted:
            alert = (rule_id, device, done.episode, type(done).__name__)
            assert alert not in self.alerts, "D5: an episode is raised once and cleared once"
            self.alerts[alert] = done
        self.latest, self.cursor = latest, self.cursor + batch

    def _stored(self, rule_id: UUID, device: str) -> RuleState:
        return RuleState.from_json(json.loads(self.states.get((rule_id, device), "{}")))

    def _load(self, watched: CompiledRule, device: str) -> RuleState:
        state = self._stored(watched.id, device)
        return recall(watched, state, self.latest.get(device, {})) if self.thrifty else state


def remember(latest: dict[str, tuple[object, int]], message: Message) -> None:
    """The device's latest values, each metric by its own newest time."""
    for metric, value in message.values.items():
        if metric not in latest or latest[metric][1] <= message.reading.at:
            latest[metric] = (value, message.reading.at)


def run_skipping(watched: CompiledRule, heard: Sequence[Message]) -> tuple[list[Action], int]:
    """As ``run``, but what ``is_quiet`` calls quiet is skipped, as the drain does; also how many were skipped."""
    state, actions, latest = None, list[Action](), dict[str, tuple[object, int]]()
    now, skipped = START, 0
    for message in heard:
        now = max(now, message.reading.at)
        if message.reading.is_newer(latest) and is_quiet(watched, state, message.reading):
            skipped += 1
        else:
            known = recall(watched, state or RuleState(condition=watched.condition), latest)
            state, done = step(watched, known, message.reading, from_ms(now))
            actions += done
        remember(latest, message)
    last = recall(watched, state or RuleState(condition=watched.condition), latest)
    return actions + step(watched, last, Tick(), from_ms(now + 3_600 * SECOND))[1], skipped


@thoroughly
@given(seeds)
def test_what_is_skipped_as_quiet_would_have_done_nothing(seed: int) -> None:
    rng = random.Random(seed)
    watched, heard = rule(**a_rule(rng)), unordered(rng, a_story(rng))
    assert told(run_skipping(watched, heard)[0]) == told(run(watched, heard))


def test_most_of_an_uneventful_day_is_skipped() -> None:
    watched = rule({"metric": "temperature", "op": ">", "value": 8})
    story = [Message(second, second, {"temperature": 5.0}) for second in range(60)]
    assert run_skipping(watched, story) == ([], 60)


def a_journal(rng: random.Random) -> list[tuple[str, Message]]:
    """The stories of three devices, interleaved; each message of a device in a second of its own."""
    pending = [(device, _one_a_second(a_story(rng))) for device in ("a", "b", "c")]
    return list(_interleaved(rng, pending))


def _one_a_second(story: Sequence[Message]) -> list[Message]:
    return list({message.second: message for message in story}.values())


def _interleaved(rng: random.Random, stories: Sequence[tuple[str, list[Message]]]) -> Iterator[tuple[str, Message]]:
    left = [(device, iter(story), len(story)) for device, story in stories]
    order = [place for place, (_, _, length) in enumerate(left) for _ in range(length)]
    rng.shuffle(order)
    for place in order:
        yield left[place][0], next(left[place][1])


def drained(seed: int, *, thrifty: bool, crashes: bool, batches: bool) -> dict[tuple[UUID, str, int, str], Action]:
    rng = random.Random(seed)
    rules = RuleSet([rule(number=number, **a_rule(rng)) for number in range(4)])
    journal = a_journal(rng)
    drain, fate = Drain(rules, thrifty=thrifty), random.Random(seed + 1)
    while drain.cursor < len(journal):
        size = fate.randint(1, 20) if batches else len(journal)
        drain.once(journal, size, crash=crashes and fate.random() < 0.4)
    return drain.alerts


@settings(max_examples=3 * settings.default.max_examples // 2, deadline=None)
@given(seeds)
def test_crashes_before_commit_and_replays_raise_the_same_alerts_as_an_undisturbed_run(seed: int) -> None:
    reference_run = drained(seed, thrifty=False, crashes=False, batches=False)
    assert drained(seed, thrifty=False, crashes=True, batches=True) == reference_run


@settings(max_examples=3 * settings.default.max_examples // 2, deadline=None)
@given(seeds)
def test_a_drain_that_leaves_unchanged_states_unstored_raises_the_same_alerts(seed: int) -> None:
    reference_run = drained(seed, thrifty=False, crashes=False, batches=False)
    found = drained(seed, thrifty=True, crashes=True, batches=True)
    assert {key: (done.at, done.since) for key, done in found.items()} == {
        key: (done.at, done.since) for key, done in reference_run.items()
    }
