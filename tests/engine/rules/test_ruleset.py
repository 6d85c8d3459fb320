"""The index: an event meets exactly the rules that read one of its metrics on its device, and memory stays bounded."""

import random
from uuid import UUID

from engine.rules import ruleset
from engine.rules.compile import CompiledRule
from engine.rules.ruleset import RuleSet
from tests.engine.rules.making import VOCABULARY, rule, temperature_above

DEVICES = [str(UUID(int=100 + number)) for number in range(4)]
HUMID = {"metric": "humidity", "op": ">", "value": 60}


def test_only_rules_that_read_one_of_the_metrics_match_each_once() -> None:
    warm, humid, both = (
        rule(number=1),
        rule(HUMID, number=2),
        rule({"all": [temperature_above(8), HUMID]}, number=3),
    )
    rules = RuleSet([warm, humid, both])
    assert rules.matching("p", ["temperature", "humidity"]) == (warm, humid, both)
    assert rules.matching("p", ["humidity"]) == (humid, both)
    assert rules.matching("p", ["lamp"]) == ()


def test_a_metric_read_only_by_the_clearing_condition_matches_too() -> None:
    clearing = rule(clear={"when": HUMID})
    assert RuleSet([clearing]).matching("p", ["humidity"]) == (clearing,)


def test_a_rule_of_one_profile_does_not_meet_devices_of_another() -> None:
    cold = rule(scope={"profile": "cold-room"})
    rules = RuleSet([cold])
    assert rules.matching("cold-room", ["temperature"]) == (cold,)
    assert rules.matching("pump", ["temperature"]) == ()
    assert rules.matching(None, ["temperature"]) == ()


def test_a_rule_narrowed_to_devices_meets_only_those() -> None:
    own = rule(scope={"profile": "cold-room", "devices": [DEVICES[0]]})
    rules = RuleSet([own])
    assert rules.matching("cold-room", ["temperature"], DEVICES[0]) == (own,)
    assert rules.matching("pump", ["temperature"], DEVICES[0]) == ()
    assert rules.matching("cold-room", ["temperature"], DEVICES[1]) == ()
    assert rules.matching("cold-room", ["temperature"]) == ()


def test_the_index_finds_what_a_search_through_all_rules_finds() -> None:
    rng = random.Random(7)
    metrics = list(VOCABULARY.metrics)
    rules = [_random_rule(rng, number) for number in range(60)]
    index = RuleSet(rules)
    for _ in range(500):
        seen = rng.sample(metrics, rng.randint(0, 4))
        profile, device = rng.choice([None, "a", "b"]), rng.choice([None, *DEVICES])
        expected = tuple(found for found in rules if _meets(found, profile, seen, device))
        assert index.matching(profile, seen, device) == expected


def _random_rule(rng: random.Random, number: int) -> CompiledRule:
    scope: dict[str, object] = {"profile": rng.choice([None, "a", "b"])}
    if rng.random() < 0.4:
        scope["devices"] = rng.sample(DEVICES, rng.randint(1, 3))
    metric = rng.choice(["temperature", "humidity", "a.b/ü"])
    return rule({"metric": metric, "op": ">", "value": 1}, number=number, scope=scope)


def _meets(found: CompiledRule, profile: str | None, seen: list[str], device: str | None) -> bool:
    in_scope = found.profile in (None, profile) and (found.devices is None or device in found.devices)
    return in_scope and bool(set(found.metrics) & set(seen))


def test_a_device_that_makes_up_metrics_cannot_grow_the_cache_without_bound() -> None:
    rules = RuleSet([rule()])
    for number in range(ruleset.CACHE_SIZE + 500):
        assert len(rules.matching("p", ["temperature", f"made-up-{number}"])) == 1
    assert len(rules._cache) == ruleset.CACHE_SIZE
