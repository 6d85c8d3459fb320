"""Hostile rules: each is refused with a reason, or what it costs is bounded; counted in calls, not in seconds."""

import gc
import json
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from datalogic_py import DataHandle

from engine.rules.check import check
from engine.rules.compile import CompiledRule, compile_rule
from engine.rules.diff import difference
from engine.rules.document import parse
from engine.rules.errors import RuleInvalid
from engine.rules.explain import explain
from engine.rules.feuds import Neighbour
from engine.rules.lint import lint
from engine.rules.logic import guarded, normal
from engine.rules.model import MetricType, RuleDocument
from engine.rules.resolve import resolved
from engine.rules.state import Known
from engine.rules.values import plain
from engine.rules.vocabulary import Metric, Vocabulary
from engine.rules.words import sentence
from engine.units import siblings
from tests.engine.rules.making import document, rule, temperature_above

VOCABULARY = Vocabulary.of(
    [
        Metric("temperature", MetricType.NUMBER, "degC"),
        Metric("mode", MetricType.STRING),
        Metric("position", MetricType.OBJECT),
        *(
            Metric(f"metric_with_a_long_name_that_is_much_like_the_others_{at:03}", MetricType.NUMBER)
            for at in range(197)
        ),
    ],
    interval_s=60,
)
MAX_CALLS = 400_000
"""Of Python functions, at most: some 50 ms of one core. Ordinary rules take a few hundred."""
SHOWN = 90
"""How many letters of a refusal the table of figures shows."""


def doubled() -> Any:
    bomb: Any = temperature_above(8)
    for _ in range(400):
        bomb = {"all": [bomb, bomb]}
    return bomb


def nested(levels: int, kind: str) -> Any:
    bomb: Any = temperature_above(8)
    for _ in range(levels):
        bomb = {kind: bomb if kind == "not" else [bomb]}
    return bomb


def fields(count: int) -> dict[str, Any]:
    return {f"metrc{at}": at for at in range(count)}


def wide(leaf: Callable[[int], Any]) -> Any:
    return {"all": [{"any": [leaf(at * 10 + of) for of in range(10)]} for at in range(5)]}


def fifty_times(leaf: dict[str, Any]) -> Any:
    return document(wide(lambda _: dict(leaf)))


def notify(message: str) -> list[dict[str, Any]]:
    return [{"do": "notify", "policy": "a", "message": message}]


def yotta(at: int) -> dict[str, Any]:
    return temperature_above(8) | {"unit": f"k{'yotta' * 6}{chr(97 + at % 26)}"}


def unlike(at: int) -> dict[str, Any]:
    return {"metric": f"metric_with_a_long_name_that_is_like_no_other_{at}" + "x" * 30, "op": ">", "value": 1}


REFUSED: dict[str, Callable[[], Any]] = {
    "a document that doubles at every level": lambda: document(doubled()),
    "conditions nested a hundred thousand deep": lambda: document(nested(100_000, "not")),
    "lists nested ten thousand deep": lambda: document(nested(10_000, "any")),
    "a list of a million parts": lambda: document({"all": [temperature_above(8)] * 1_000_000}),
    "ten thousand unknown fields at the top": lambda: document(**fields(10_000)),
    "ten thousand unknown fields in every leaf": lambda: document(
        wide(lambda at: temperature_above(8) | fields(2_000))
    ),
    "a name of ten million letters": lambda: document(name="x" * 10_000_000),
    "a text of ten million letters to compare with": lambda: document(
        {"metric": "mode", "op": "==", "value": "x" * 10_000_000}
    ),
    "a metric of ten million letters": lambda: document({"metric": "x" * 10_000_000, "op": ">", "value": 1}),
    "a whole number of a hundred thousand digits": lambda: document(temperature_above(10**100_000)),
    "fifty choices of a million each": lambda: fifty_times(
        {"metric": "temperature", "op": "in", "value": list(range(1_000_000))}
    ),
    "fifty unknown metrics much like many": lambda: document(wide(unlike)),
    "fifty unknown units": lambda: document(
        wide(lambda at: temperature_above(8) | {"unit": f"k{'yotta' * 6}{chr(97 + at % 26)}"})
    ),
    "a unit that is a program": lambda: document(temperature_above(8) | {"unit": "__import__('os').getcwd()"}),
    "a unit that is a tower of powers": lambda: document(temperature_above(8) | {"unit": "m**9**9**9**9"}),
    "a schedule that never comes": lambda: document(trigger={"schedule": {"cron": "0 0 30 2 *"}}),
    "a schedule of a million fields": lambda: document(trigger={"schedule": {"cron": "* " * 1_000_000}}),
    "a schedule with an endless step": lambda: document(trigger={"schedule": {"cron": "*/0 * * * *"}}),
    "a schedule each second": lambda: document(trigger={"schedule": {"cron": "* * * * * *"}}),
    "a time zone that is a file": lambda: document({"time": {"days": [1], "tz": "/../../../../etc/passwd"}}),
    "a time zone of a million letters": lambda: document({"time": {"days": [1], "tz": "A" * 1_000_000}}),
    "an area of a million corners": lambda: document(
        {"place": {"metric": "position", "is": "inside", "of": {"polygon": [[0, 0]] * 1_000_000}}}
    ),
    "a window of ten years": lambda: document(temperature_above(8) | {"agg": {"fn": "avg", "over": "3650d"}}),
    "the last billion values": lambda: document(temperature_above(8) | {"agg": {"fn": "avg", "last": 1_000_000_000}}),
    "three hundred unknown placeholders": lambda: document(then=notify("{a}{b}" * 160)),
    "a text of braces": lambda: document(then=notify("{" * 1_000_000)),
    "a hundred thousand actions": lambda: document(then=[{"do": "webhook", "channel": "a"}] * 100_000),
    "a command with a million arguments": lambda: document(
        then=[{"do": "command", "command": "a", "arguments": fields(1_000_000)}]
    ),
    "a test of a million messages": lambda: document(
        tests=[{"name": "a", "given": [{"at": "0s"}] * 1_000_000, "expect": []}]
    ),
    "tests with four thousand unknown metrics": lambda: document(
        tests=[{"name": "a", "given": [{"at": "0s", "x" * 90 + str(at): 1} for at in range(200)], "expect": []}] * 20
    ),
    "a million devices": lambda: document(scope={"profile": None, "devices": ["x"] * 1_000_000}),
}
"""Made when its turn comes: some take hundreds of megabytes."""

TEXTS = [f"{at:02}" + "x" * 254 for at in range(50)]
ACCEPTED: dict[str, Callable[[], Any]] = {
    "fifty lists of fifty long texts": lambda: document(
        wide(lambda at: {"metric": "mode", "op": "not in", "value": TEXTS})
    ),
    "fifty comparisons, all of them split": lambda: document(
        {"not": wide(lambda at: {"metric": "temperature", "op": "outside", "value": [at, at + 1], "unit": "degF"})}
    ),
    "fifty windows, each another": lambda: document(
        wide(lambda at: temperature_above(8) | {"agg": {"fn": "avg", "last": at + 1}})
    ),
    "fifty areas of a hundred corners": lambda: document(
        wide(
            lambda at: {
                "place": {"metric": "position", "is": "inside", "of": {"polygon": [[at, x / 2] for x in range(100)]}}
            }
        )
    ),
    "fifty numbers that are excluded from each other": lambda: document(
        {"all": [{"any": [{"metric": "temperature", "op": "not in", "value": list(range(50))}] * 10}] * 5}
    ),
    "fifty numbers that are excluded, each other ones": lambda: document(
        wide(lambda at: {"metric": "temperature", "op": "not in", "value": list(range(at, at + 50))})
    ),
    "fifty windows that hold each other": lambda: document(
        wide(lambda at: temperature_above(at) | {"agg": {"fn": ("min", "avg", "max")[at % 3], "last": at + 1}})
    ),
    "fifty counts of windows that hold each other": lambda: document(
        {"all": [temperature_above(at) | {"agg": {"fn": "count", "over": f"{at + 2}m"}} for at in range(50)]}
    ),
    "fifty circles, all of them apart": lambda: document(
        wide(
            lambda at: {
                "place": {
                    "metric": "position",
                    "is": ("inside", "entered")[at % 2],
                    "of": {"circle": {"lat": at, "lon": at, "radius_m": 10}},
                }
            }
        )
    ),
    "fifty times of day": lambda: document(wide(lambda at: {"time": {"from": f"{at % 24:02}:{at:02}", "to": "12:30"}})),
    "the slowest schedule there is": lambda: document(trigger={"schedule": {"cron": "59 23 29 2 *"}}),
    "a schedule of a hundred letters": lambda: document(
        trigger={"schedule": {"cron": ",".join("0" * 46) + " * * * *"}}
    ),
    "a text full of placeholders": lambda: document(
        then=[{"do": "notify", "policy": "a", "message": "{metric:temperature}" * 50}]
    ),
}


def calls(work: Callable[[], Any]) -> int:
    """How many Python and built-in functions ``work`` calls."""
    count = 0

    def counted(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def cpu_ms(work: Callable[[], Any]) -> float:
    """Milliseconds of processor time that ``work`` takes, with what it costs to tidy up after it.

    To look through all that a test run keeps in memory took 80 ms more now and then, and is no rule's doing.
    """
    gc.freeze()
    try:
        began = time.process_time()
        work()
        return (time.process_time() - began) * 1_000
    finally:
        gc.unfreeze()


def ready_to_judge(node: Any) -> tuple[CompiledRule, dict[str, Any]]:
    """A heavy rule compiled, and facts that make it work."""
    texts = {"mode": "x" * 256, "temperature": 4.5}
    ready = compile_rule(rule().id, 1, parse(node), VOCABULARY)
    return ready, {each.name: texts.get(each.metric or "", True) for each in ready.inputs}


def judging(node: Any) -> Callable[[], Any]:
    """One look at a message by a heavy rule."""
    ready, facts = ready_to_judge(node)
    return lambda: ready.when.verdict(DataHandle(facts))


def save(node: Any) -> RuleDocument:
    """All that is done with a document when somebody saves it; raises RuleInvalid."""
    read = parse(node)
    if problems := check(read, VOCABULARY):
        raise RuleInvalid(problems)
    compile_rule(rule().id, 1, read, VOCABULARY)
    lint(read, VOCABULARY)
    sentence(read, VOCABULARY)
    return read


@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_rule_is_refused_cheaply_with_a_reason(name: str, figure: Callable[[str], None]) -> None:
    siblings("degC")  # pint's knowledge is read once in a process's life
    node = REFUSED[name]()
    reasons: list[str] = []

    def refused() -> None:
        with pytest.raises(RuleInvalid) as said:
            save(node)
        assert 0 < len(said.value.problems) <= 50
        assert all(len(str(problem)) < 1_000 for problem in said.value.problems)
        reasons.append(said.value.problems[0].message)

    assert calls(refused) < MAX_CALLS
    took = cpu_ms(refused)
    figure(f"hostile: {name}: refused in {took:.1f} ms CPU: {reasons[0][:SHOWN]}")


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_heavy_rule_costs_a_bounded_effort_to_save_and_to_run(name: str, figure: Callable[[str], None]) -> None:
    node = ACCEPTED[name]()
    assert calls(lambda: save(node)) < MAX_CALLS
    saved, judged = cpu_ms(lambda: save(node)), cpu_ms(judging(node))
    figure(f"hostile: {name}: saved in {saved:.1f} ms CPU, judged in {judged:.2f} ms CPU")
    read = parse(node)
    types = {key: metric.type for key, metric in VOCABULARY.metrics.items()}
    for negated in (False, True):
        logic = guarded(normal(resolved(read.when, VOCABULARY), negated), types)
        assert steps(logic) < 5_000, "the evaluator's own budget is 10,000"


def steps(logic: Any) -> int:
    """How many operations and values a program has: it has no loops, so no run takes more."""
    if isinstance(logic, dict):
        return 1 + sum(map(steps, logic.values()))
    return 1 + sum(map(steps, logic)) if isinstance(logic, list | tuple) else 1


def test_every_heavy_rule_gives_its_verdict_within_the_evaluators_budget() -> None:
    for make in ACCEPTED.values():
        ready, facts = ready_to_judge(make())
        verdict = ready.when.verdict(DataHandle(facts))
        known = {name: Known(plain(value), 1, 1) for name, value in facts.items()}
        assert verdict is explain(ready.document.when, VOCABULARY, known)["is"]
        assert verdict is not None


def test_two_thousand_neighbours_are_judged_with_a_bounded_effort() -> None:
    def valve(position: int) -> list[Any]:
        return [{"do": "command", "command": "valve", "arguments": {"position": position}}, {"do": "tag", "add": "a"}]

    heavy = parse(document(ACCEPTED["fifty windows, each another"]()["when"], then=valve(1)))
    rival = parse(document({"all": [{"tag": f"t{at}"} for at in range(10)]}, then=valve(2)))
    neighbours = [Neighbour(f"rule {at}", rival) for at in range(2_000)]
    assert calls(lambda: lint(heavy, VOCABULARY, neighbours)) < 10 * MAX_CALLS
    assert len(lint(heavy, VOCABULARY, neighbours)) <= 50


def test_the_differences_of_two_heavy_rules_are_found_with_a_bounded_effort() -> None:
    one = parse(ACCEPTED["fifty lists of fifty long texts"]())
    other = parse(ACCEPTED["fifty windows, each another"]())
    assert calls(lambda: difference(one, other, VOCABULARY)) < MAX_CALLS


def test_what_is_stored_of_the_largest_rule_fits_a_row() -> None:
    assert all(len(json.dumps(make())) < 1_000_000 for make in ACCEPTED.values())
