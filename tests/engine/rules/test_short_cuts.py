"""Whatever the drain leaves out, rules do what they do when each is asked about all that happens, with nothing kept.

Of most messages no rule is asked (`gaps`), of many others few are (`is_quiet`, `is_calm`), and what was computed for
one rule serves the next (`Facts`). Here all of that is held against a drain that does none of it, for every kind of
condition, trigger and scope, and for whatever may happen to devices and rules in between.
"""

import random
from dataclasses import replace
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from engine import clock
from engine.rules.compile import CompiledRule, compile_rule
from engine.rules.document import parse
from engine.rules.facts import About
from engine.rules.plan import is_light
from engine.rules.reaction import Place, Reaction, _watches
from engine.rules.ruleset import RuleSet
from engine.rules.state import Noticed, Raise, Reading, RuleState
from engine.telemetry.fold import Newest
from tests.engine.rules.grown import GROUPS, HERE, VOCABULARY
from tests.engine.rules.making import document, random_condition, rule
from tests.engine.rules.test_look_properties import a_leaf

START = 1_763_683_200_000
DEVICES = [str(UUID(int=100 + number)) for number in range(2)]
RULES = 3


class Telling(Reaction):
    """Tells what rules do, and does nothing."""

    def __init__(self, newest: Newest, met: dict[str, str]) -> None:
        super().__init__(newest, met)
        self.newest = newest
        self.told: list[tuple[Place, int, str, int]] = []

    def _raise(self, rule: CompiledRule, place: Place, action: Raise, led_by: Any) -> None:
        self.told.append((place, action.episode, "raised", action.at))

    def _clear(self, rule: CompiledRule, place: Place, action: Any, led_by: Any) -> None:
        self.told.append((place, action.episode, f"ended: {action.reason}", action.at))

    def hears(self, profile: str, device: str, at: int, seq: int, values: dict[str, Any], now: int) -> None:
        """A message is drained."""
        self.read(profile, device, at, seq, values, now)
        self.newest.learn(device, at, now, values)

    def begins(self, now: int) -> None:
        """Rules begin with all that they watch, as they do after an edit, and look again at what they remember."""
        for each in self._set:
            for device in DEVICES:
                if not is_light(each) and _watches(each, device, self._profile(device)):
                    fresh = RuleState(condition=each.condition)
                    self._stored[each.key, device] = self._states.setdefault((each.key, device), fresh)
        for place in sorted(self._states):
            self._elapse(place, clock.from_ms(now), Noticed())

    def changed(self, device: str, now: int) -> None:
        """Something about the device is another."""
        for place in [place for place in sorted(self._states) if place[1] == device]:
            each = self._rules[place[0]]
            if is_light(each) or not self._is_watched(each, device):
                self._elapse(place, clock.from_ms(now))
        for each in self._set.starting:
            if _watches(each, device, self._profile(device)):
                self._want(each, device)
        self._notice(self._set.of_devices, device, Noticed(), clock.from_ms(now))
        self.looks(now)

    def looks(self, now: int) -> None:
        """What was wanted to be looked at is looked at."""
        for key, _ in sorted(self._wanted):
            for device in sorted(self._wanted[key, ()]):
                fresh = RuleState(condition=self._rules[key].condition)
                self._stored[key, device] = self._states.setdefault((key, device), fresh)
                self._elapse((key, device), clock.from_ms(now), Noticed())
        self._wanted.clear()

    def passes(self, now: int) -> bool:
        """Time has come so far; says whether anything was due."""
        due = (place for place, state in self._states.items() if state.due_at is not None and state.due_at <= now)
        self._due = sorted(due)
        return bool(self.tick(clock.from_ms(now)))


class Plain(Telling):
    """Asks every rule about every message, and computes whatever it asks for anew."""

    def __init__(self, newest: Newest, met: dict[str, str]) -> None:
        super().__init__(newest, met)
        self.facts._computed = Forgetful()

    def read(self, profile: str | None, device_id: str, at: int, seq: int, values: Any, received_ms: int) -> None:
        before = self.facts.hear(device_id, received_ms) if self._set.hears_silence else None
        self.facts.add(device_id, at, seq, values)
        if device_id in self._gone:
            return
        for each in self._set.matching(profile, values, device_id):
            if self._is_in_scope(each, device_id):
                now = clock.from_ms(received_ms)
                self._move(each, (each.key, device_id), Reading(at, seq, values), now, before)


class Forgetful(dict[Any, Any]):
    """Keeps nothing."""

    def __setitem__(self, key: Any, value: Any) -> None:
        pass


@given(st.integers())
def test_rules_do_what_they_do_when_everything_is_asked_and_nothing_kept(seed: int) -> None:
    rng = random.Random(seed)
    story = Story(rng)
    for number in range(rng.randint(5, 60)):
        story.goes_on(number)
    story.ends()
    short, plain = (sorted(each.told) for each in story.both)
    assert short == plain


class Story:
    """What happens to two devices, told to a drain with short cuts and to one without."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.now = rng, START
        self.sets = [RuleSet(_a_rule(rng, number, version) for number in range(RULES)) for version in (1, 2)]
        self.profiles = {device: rng.choice(["a", "b"]) for device in DEVICES}
        self.about = {device: _about(rng, self.profiles[device]) for device in DEVICES}
        self.out: set[str] = set()
        self.both = Telling(Newest({}), self.profiles), Plain(Newest({}), self.profiles)
        for each in self.both:
            each.use(self.sets[0])
            each.facts.use(self.sets[0].needs)
            for device in DEVICES:
                each.facts.begin(device)
                each.facts.meet(device, self.about[device])
            each.begins(self.now)

    def goes_on(self, number: int) -> None:
        """Something happens, sooner or later."""
        rng, before = self.rng, self.now
        self.now += rng.choice([0, 0, 500, 1_000, 5_000, 20_000, 60_000])
        if self.now > before and rng.random() < 0.8:  # else the worker is behind
            self._pass(self.now - 1)
        device = rng.choice(DEVICES)
        happens = [*[self._message] * 12, *[self._presence] * 3, *[self._event] * 2, *[self._change] * 2]
        rng.choice([*happens, self._out, self._back, self._edit, self._gone])(device, number)

    def ends(self) -> None:
        """Nothing more happens, and all waits end."""
        for _ in range(400):
            self.now += self.rng.choice([1_000, 7_000, 30_000, 60_000])
            self._pass(self.now)

    def _pass(self, now: int) -> None:
        for each in self.both:
            for _ in range(3):
                if not each.passes(now):
                    break

    def _message(self, device: str, number: int) -> None:
        at, values = self.now - self.rng.choice([0, 0, 0, 0, 100, 700, 5_000, 90_000]), _values(self.rng)
        self.about[device] = replace(self.about[device], received=self.now)
        for each in self.both:
            each.hears(self.profiles[device], device, at, number, values, self.now)

    def _presence(self, device: str, number: int) -> None:
        is_back = self.rng.random() < 0.5  # at once, so that both are told in one moment
        for is_online in (False, True) if is_back else (self.rng.random() < 0.5,):
            epoch = self.about[device].epoch + self.rng.choice([0, 1, 1])
            self.about[device] = replace(self.about[device], is_online=is_online, epoch=epoch)
            for each in self.both:
                each.presence(device, is_online, epoch, clock.from_ms(self.now))

    def _event(self, device: str, number: int) -> None:
        told = self.rng.choice(["door-forced", "opened", "unknown"])
        for each in self.both:
            each.happen(device, told, clock.from_ms(self.now))

    def _change(self, device: str, number: int) -> None:
        if device in self.out:  # what is asked of it then is asked again when it is back
            return
        self.profiles[device] = self.rng.choice(["a", "b"])
        other = _about(self.rng, self.profiles[device])
        self.about[device] = replace(
            self.about[device], profile=other.profile, labels=other.labels, groups=other.groups
        )
        for each in self.both:
            each.forget(device)
            each.facts.meet(device, self.about[device])
            each.changed(device, self.now)

    def _out(self, device: str, number: int) -> None:
        self.out.add(device)
        for each in self.both:
            each.device_out(device)

    def _back(self, device: str, number: int) -> None:
        self.out.discard(device)
        for each in self.both:
            each.device_back(device, clock.from_ms(self.now))
            each.looks(self.now)

    def _edit(self, device: str, number: int) -> None:
        self.sets.reverse()
        for each in self.both:
            each.use(self.sets[0])
            each.facts.use(self.sets[0].needs)
            for one in DEVICES:
                each.facts.meet(one, self.about[one])
            each.begins(self.now)

    def _gone(self, device: str, number: int) -> None:
        for each in self.both:
            each.stands(device, "decommissioned")
            for place in sorted(each._states):
                if place[1] == device:
                    each._stop(place, clock.from_ms(self.now))


def _about(rng: random.Random, profile: str) -> About:
    labels = {"limit": rng.choice(["1", "2", "x"]), "timezone": rng.choice(["UTC", "Asia/Kolkata"])}
    labels |= {tag: "" for tag in ("outdoor", "old") if rng.random() < 0.5}
    return About(profile, labels, frozenset(rng.sample(GROUPS, rng.randint(0, 2))))


def _values(rng: random.Random) -> dict[str, Any]:
    pools: dict[str, list[Any]] = {
        "temperature": [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, "1", None, True],
        "humidity": [1, 2.5, 3, 6],
        "setpoint": [1, 2.2, 3],
        "door_open": [True, False, 1],
        "mode": ["a", "b", "c"],
        "position": [{"lat": 52.5, "lon": 13.4}, {"lat": 52.6, "lon": 13.4}, {"lat": "?"}],
    }
    few = [["temperature"], ["temperature", "humidity"], ["humidity"], ["door_open", "position"], ["mode", "setpoint"]]
    return {metric: rng.choice(pools[metric]) for metric in rng.choice([*few, list(pools)])}


def _a_rule(rng: random.Random, number: int, version: int) -> CompiledRule:
    more: dict[str, Any] = {"scope": _scope(rng)}
    if rng.random() < 0.4:
        more["held"] = rng.choice(["1s", "20s", "90s"])
    if rng.random() < 0.3:
        more["clear"] = {"when": _leaf(rng)}
    if rng.random() < 0.2:
        more["missing"] = {"after": rng.choice(["30s", "3m"]), "do": rng.choice(["hold", "fire", "clear", "ignore"])}
    limits = {"cooldown": rng.choice(["5s", "2m"]), "max_per_hour": rng.randint(1, 3), "max_lateness": "1m"}
    if few := {limit: most for limit, most in limits.items() if rng.random() < 0.3}:
        more["limits"] = few
    if rng.random() < 0.1:
        more["trigger"] = {"schedule": {"cron": "* * * * *"}}
    return compile_rule(UUID(int=number), version, parse(document(random_condition(rng, 3, _leaf), **more)), VOCABULARY)


def _scope(rng: random.Random) -> dict[str, Any]:
    narrow = [{}, {}, {}, {"profile": "a"}, {"tags": ["outdoor"]}, {"groups": GROUPS[:1]}, {"devices": DEVICES[:1]}]
    return {"profile": None} | rng.choice(narrow)


def _leaf(rng: random.Random) -> dict[str, Any]:
    """Any kind of leaf, with limits that the values here pass now and then."""
    limit, less_or_more = rng.choice([1, 2, 3]), rng.choice(["<", ">"])
    return rng.choice(
        [
            *[{"metric": rng.choice(["temperature", "humidity"]), "op": less_or_more, "value": limit}] * 6,
            *[a_leaf(rng)] * 4,  # windows, silence, times
            {"metric": "temperature", "op": rng.choice(["==", "!="]), "value": limit},
            {"metric": "temperature", "op": less_or_more, "value": rng.choice([33.8, 35.6, 37.4]), "unit": "degF"},
            {"metric": "temperature", "op": less_or_more, "value": {"attribute": "limit"}},
            {"metric": "temperature", "op": less_or_more, "value": {"metric": "setpoint"}},
            {"metric": "mode", "op": rng.choice(["==", "!="]), "value": "a"},
            {"metric": "door_open", "op": "==", "value": rng.random() < 0.5},
            {"metric": "door_open", "changed": {"over": "20s"}},
            *[{"presence": rng.choice(["online", "offline"])}] * 3,
            {"event": rng.choice(["door-forced", "opened"])},
            {"tag": rng.choice(["outdoor", "old"])},
            {"group": rng.choice(GROUPS)},
            {"profile": rng.choice(["a", "b"])},
            {"attribute": "limit", "op": less_or_more, "value": 1.5},
            {"time": {"from": "00:01", "to": "00:03", "tz": "site"}},
            {
                "place": {
                    "metric": "position",
                    "is": rng.choice(["inside", "outside", "entered", "left"]),
                    "of": {"circle": HERE},
                }
            },
        ]
    )


def test_a_device_that_is_back_in_the_same_moment_is_not_offline() -> None:
    """Both are told by one transaction, so at one time, where somebody else has taken its connection over."""
    rules = Telling(Newest({}), {})
    rules.use(RuleSet([rule({"presence": "offline"})]))
    rules.facts.meet(DEVICES[0], About(is_online=True, epoch=1))
    for is_online, epoch in ((False, 1), (True, 2)):
        rules.presence(DEVICES[0], is_online, epoch, clock.from_ms(START))
    assert [what for _, _, what, _ in rules.told] == ["raised", "ended: cleared"]


def test_of_a_device_that_is_gone_nothing_is_asked_however_calm_it_was() -> None:
    most = {"metric": "temperature", "agg": {"fn": "max", "over": "5m"}, "op": ">", "value": 3}
    rules = Telling(Newest({}), {})
    rules.use(RuleSet([rule({"metric": "temperature", "op": ">", "value": 8}), rule(most, number=2)]))
    rules.facts.use(rules._set.needs)
    rules.facts.begin(DEVICES[0])
    rules.hears("a", DEVICES[0], START, 1, {"temperature": 1.0}, START)
    rules.stands(DEVICES[0], "decommissioned")
    rules.hears("a", DEVICES[0], START + 1, 2, {"temperature": 5.0}, START + 1)
    assert rules.told == []
