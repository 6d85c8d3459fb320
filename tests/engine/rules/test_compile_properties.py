"""Conditions with every kind of leaf, compiled, against an independent three-valued interpreter: never wrong."""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Set
from typing import Any, TypeGuard
from uuid import uuid4

from datalogic_py import DataHandle

from engine.rules.compile import compile_rule, ignoring, program
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


def written_without(node: Mapping[str, Any], gone: Set[str]) -> dict[str, Any] | None:
    """The document's condition as its author would have written it without these metrics; None if nothing is left."""
    if "not" in node:
        inner = written_without(node["not"], gone)
        return None if inner is None else {"not": inner}
    for word in ("all", "any"):
        if word in node:
            left = [part for each in node[word] if (part := written_without(each, gone)) is not None]
            return {word: left} if left else None
    value = node.get("value")
    read = {node.get("metric"), node.get("place", {}).get("metric"), value.get("metric") if is_object(value) else None}
    return None if read & gone else dict(node)


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def test_a_rule_that_ignores_what_is_missing_decides_as_if_it_had_not_been_written() -> None:
    rng = random.Random(31)
    met: Counter[bool | None] = Counter()
    for _ in range(1_500):
        node = random_condition(rng, 4)
        made = compile_rule(uuid4(), 1, parse(document(node, missing={"after": "30m", "do": "ignore"})), VOCABULARY)
        gone = {metric for metric in made.metrics if rng.random() < 0.4}
        facts = {each: random_fact(each, rng) for each in made.inputs if each.metric not in gone}
        known = {each.name: Known(plain(value), 5, 1) for each, value in facts.items() if value is not None}
        known |= {metric: Known(None, 5, 1) for metric in made.metrics if metric not in gone and metric not in known}
        left = written_without(node, gone)
        expected = None if left is None else truth(left, {described(each): value for each, value in facts.items()})
        ready = ignoring(made, known)
        handle = DataHandle({name: entry.value for name, entry in known.items()})
        assert ready.when.verdict(handle) is expected, (node, gone, facts)
        assert explain(ready.document.when, VOCABULARY, known)["is"] is expected
        assert (ready is made) is (not gone)
        met[expected] += 1
    assert min(met.values()) > 100
