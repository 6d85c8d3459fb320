"""Messages that lie in the gaps of one before are judged alike: rules do what they do when always asked."""

import random
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from engine import clock
from engine.rules.compile import CompiledRule, compile_rule
from engine.rules.document import parse
from engine.rules.gaps import gaps_at, limits_of, limits_of_all
from engine.rules.reaction import Reaction
from engine.rules.ruleset import RuleSet
from engine.rules.state import Reading
from engine.telemetry.fold import Newest
from tests.engine.rules.grown import VOCABULARY
from tests.engine.rules.making import ODD, document, random_condition, random_values, rule, temperature_above

START = 1_763_683_200_000
DEVICES = [str(UUID(int=100 + number)) for number in range(3)]
TRIES = 60
"""Messages of which each is held against the gaps of one: with odd values and limits, few lie in them."""


@given(st.integers())
def test_what_lies_in_the_gaps_of_a_message_is_judged_alike(seed: int) -> None:
    rng = random.Random(seed)
    rules = [rule(random_condition(rng, rng.randint(1, 3)), number=number) for number in range(rng.randint(1, 4))]
    limits = limits_of_all(rules)
    assert limits is not None
    first = {"temperature": rng.choice([*ODD, 5]), **random_values(rng)}
    if not limits.keys() <= first.keys() or (gaps := gaps_at(limits, first)) is None:
        return
    for _ in range(TRIES):
        others = sorted(random_values(rng).items())  # of one metric, seldom
        other = first | dict(rng.sample(others, min(2, len(others))))
        if gaps.hold(other):
            assert [_verdict(each, other) for each in rules] == [_verdict(each, first) for each in rules], (
                first,
                other,
            )


def _verdict(compiled: CompiledRule, values: dict[str, Any]) -> bool:
    return compiled.when.is_true.evaluate_data(Reading(START, 1, values).handle) is True


def test_a_limit_itself_lies_in_no_gap_and_neither_does_what_cannot_be_compared() -> None:
    limits = limits_of_all([rule(temperature_above(8)), rule(temperature_above(20), number=2)])
    assert limits == {"temperature": (8, 20)}
    assert all(gaps_at(limits, {"temperature": odd}) is None for odd in (8, 8.0, 20, None, {}, float("nan"), 10**400))
    between = gaps_at(limits, {"temperature": 8.1})
    assert between is not None
    held = {value: between.hold({"temperature": value}) for value in (7, 8, 8.5, 19, 20, 20.5)}
    assert held == {7: False, 8: False, 8.5: True, 19: True, 20: False, 20.5: False}
    assert not any(between.hold({"temperature": odd}) for odd in (True, "9", None, float("nan"), float("inf")))


def test_what_is_compared_with_anything_but_constants_has_no_limits() -> None:
    against = _compiled({"metric": "temperature", "op": ">", "value": {"metric": "setpoint"}}, 2)
    assert limits_of(against) is None
    assert limits_of_all([rule(temperature_above(8)), against]) is None


def _compiled(when: dict[str, Any], number: int, **more: Any) -> CompiledRule:
    return compile_rule(UUID(int=number), 1, parse(document(when, **more)), VOCABULARY)


class Asking(Reaction):
    """Asks every rule about every message."""

    def read(self, *told: Any) -> None:
        self._calm.clear()
        super().read(*told)


class Counting(Reaction):
    """Counts the messages of which rules were asked."""

    asked = 0

    def _ask(self, *told: Any) -> bool:
        self.asked += 1
        return super()._ask(*told)


@given(st.integers())
def test_rules_do_what_they_do_when_each_is_asked_about_every_message(seed: int) -> None:
    rng = random.Random(seed)
    sets = [RuleSet(_a_rule(rng, number) for number in range(rng.randint(1, 5))) for _ in range(2)]
    newest = Newest({}), Newest({})
    profiles = {device: rng.choice(["a", "b"]) for device in DEVICES}
    both = Reaction(newest[0], profiles), Asking(newest[1], profiles)
    now = START
    for number in range(rng.randint(5, 120)):
        now += rng.choice([0, 500, 1_000, 60_000])
        at = now - rng.choice([0, 0, 0, 0, 100, 5_000, 4_000_000])
        values = _values(rng)
        device, rules, luck = rng.choice(DEVICES), sets[number // 40 % 2], rng.random()
        if luck < 0.1:
            profiles[device] = rng.choice(["a", "b"])
        for each, latest in zip(both, newest, strict=True):
            each.use(rules)
            if luck < 0.1:
                each.forget(device)
            elif luck < 0.13:
                each.stands(device, "decommissioned")
            elif luck < 0.2:
                due = [place for place, state in each._states.items() if state.due_at is not None]
                each._due = sorted(due)
                each.tick(clock.from_ms(now))
            each.read(profiles[device], device, at, number, values, now)
            latest.learn(device, at, now, values)
        assert both[0]._states.keys() == both[1]._states.keys()
        for place, state in both[0]._states.items():  # known values come back from the latest ones
            assert state[:-1] == both[1]._states[place][:-1]
        assert (both[0]._raised, both[0]._cleared) == (both[1]._raised, both[1]._cleared)


def _a_rule(rng: random.Random, number: int) -> CompiledRule:
    limit, more = rng.choice([1, 2, 3]), dict[str, Any]()
    condition = rng.choice(
        [
            {"metric": "temperature", "op": rng.choice([">", "<", ">=", "==", "!="]), "value": limit},
            {"metric": "temperature", "op": "between", "value": [limit, 3]},
            {"any": [temperature_above(limit), {"metric": "door_open", "op": "==", "value": rng.random() < 0.5}]},
            {"all": [temperature_above(limit), {"metric": "mode", "op": "==", "value": rng.choice(["a", "b"])}]},
            {"metric": "setpoint", "op": ">", "value": {"metric": "temperature"}},
            {"metric": "temperature", "agg": {"fn": "max", "over": "1m"}, "op": ">", "value": limit},
        ]
    )
    if rng.random() < 0.4:
        more["held"] = rng.choice(["1s", "90s"])
    if rng.random() < 0.3:
        more["clear"] = {"when": {"metric": "temperature", "op": "<", "value": limit - 0.5}}
    if rng.random() < 0.3:
        more["limits"] = {"cooldown": "2m"}
    scope = {"profile": rng.choice([None, "a", "b"])}
    return _compiled(condition, number, scope=scope, **more)


def _values(rng: random.Random) -> dict[str, object]:
    pools: dict[str, list[Any]] = {
        "temperature": [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, "1", None],
        "setpoint": [1, 2.2, 3],
        "door_open": [True, False, 1],
        "mode": ["a", "b", "c"],
    }
    metrics = rng.choice([["temperature"], ["temperature", "setpoint"], ["setpoint", "temperature"], list(pools)])
    return {metric: rng.choice(pools[metric]) for metric in metrics}


def test_of_messages_that_change_nothing_rules_are_asked_once() -> None:
    newest = Newest({})
    reaction = Counting(newest, {})
    reaction.use(RuleSet([rule(temperature_above(8)), rule(temperature_above(20), number=2)]))
    for number, value in enumerate([3, 4, 5.5, 9, 9.5, 10, 3]):
        at = START + number * 1_000
        reaction.read(None, DEVICES[0], at, number, {"temperature": value, "humidity": number}, at)
        newest.learn(DEVICES[0], at, at, {"temperature": value})
    # the first, the one that raises, the one after it (the rule has moved), and the one that clears
    assert reaction.asked == 4


def test_a_document_names_no_limit_in_another_unit() -> None:
    fahrenheit = rule({"metric": "temperature", "op": ">", "value": 50, "unit": "degF"})
    assert limits_of(fahrenheit) == {"temperature": (10.0,)}
    assert document()["when"] == temperature_above(8)
