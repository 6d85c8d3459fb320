"""Conditions with every kind of leaf, compiled, against an independent three-valued interpreter: never wrong."""

import random
from collections import Counter
from collections.abc import Callable

from datalogic_py import DataHandle

from engine.rules.compile import program
from engine.rules.conditions import condition_json
from engine.rules.document import parse
from engine.rules.explain import explain
from engine.rules.inputs import InputKind, inputs_of
from engine.rules.model import leaves
from engine.rules.resolve import resolved
from engine.rules.state import Known
from engine.rules.values import plain
from tests.engine.rules.grown import VOCABULARY, described, random_condition, random_fact, random_leaf, truth
from tests.engine.rules.making import document

TYPES = {key: metric.type for key, metric in VOCABULARY.metrics.items()}


def test_55_000_random_conditions_of_all_kinds_agree_with_kleene_and_nothing_is_raised(
    figure: Callable[[str], None],
) -> None:
    rng = random.Random(20_261_122)
    met: Counter[bool | None] = Counter()
    kinds: Counter[InputKind] = Counter()
    for _ in range(2_750):
        node = random_condition(rng, 3)
        condition = resolved(parse(document(node)).when, VOCABULARY)
        ready, inputs = program(condition, TYPES), inputs_of(condition)
        kinds.update(each.kind for each in inputs)
        for _ in range(20):
            facts = {each: random_fact(each, rng) for each in inputs}
            expected = truth(node, {described(each): value for each, value in facts.items()})
            handle = DataHandle({each.name: plain(value) for each, value in facts.items() if value is not None})
            assert ready.verdict(handle) is expected, (node, facts)
            met[expected] += 1
    assert met.total() == 55_000
    assert min(met.values()) > 5_000, "the random cases must meet true, false and unknown alike"
    assert set(kinds) == set(InputKind), "every kind of input must be met"
    counted = f"{met[True]:,} true, {met[False]:,} false, {met[None]:,} unknown"
    figure(f"three-valued conditions of {len(kinds)} kinds of facts: {met.total():,} cases ({counted}), 0 wrong")


def test_the_explanation_of_any_leaf_says_what_the_leaf_says_and_what_was_seen() -> None:
    rng = random.Random(7)
    for _ in range(2_000):
        node = random_leaf(rng)
        condition = parse(document(node)).when
        facts = {each: random_fact(each, rng) for each in inputs_of(condition)}
        known = {each.name: Known(plain(value), 5, 1) for each, value in facts.items() if value is not None}
        tree = explain(condition, VOCABULARY, known)
        assert tree["is"] is truth(node, {described(each): value for each, value in facts.items()}), (node, facts)
        assert {"seen", "at"} <= tree.keys()


def test_any_condition_is_written_as_it_was_read() -> None:
    rng = random.Random(11)
    for _ in range(2_000):
        node = random_condition(rng)
        condition = parse(document(node)).when
        assert condition_json(condition) == node
        assert len(list(leaves(condition))) >= 1
