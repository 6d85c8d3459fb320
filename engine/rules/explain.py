"""Why a condition is true, false or unknown: the condition as a tree in which every comparison says what it saw."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

from datalogic_py import DataHandle

from engine.rules.compile import CompiledRule, Program, ignoring, program
from engine.rules.conditions import leaf_json, value_json
from engine.rules.inputs import left, right
from engine.rules.logic import compared_as
from engine.rules.model import (
    All,
    AnyLeaf,
    AnyOf,
    AttributeLeaf,
    Condition,
    Leaf,
    MetricType,
    MissingDo,
    Not,
    Operand,
)
from engine.rules.resolve import resolved, unit_of
from engine.rules.state import Known
from engine.rules.vocabulary import Vocabulary

Explainer: TypeAlias = Callable[[Mapping[str, Known]], dict[str, Any]]
"""Explains one condition by facts, which it is given by their input's name."""
_Teller: TypeAlias = Callable[[Mapping[str, Known], DataHandle], dict[str, Any]]


def why(rule: CompiledRule, known: Mapping[str, Known], remembered: Mapping[str, Known]) -> dict[str, Any]:
    """Why ``rule`` fires or does not: its condition explained by what was ``known`` at a moment.

    Where it fires because values stayed away, the tree is that condition *or* a leaf for each of them: ``metric``, for
    how long it was ``missing``, and ``at``, when the last one came, which is ``remembered`` all the same.
    """
    tree, missing = _explainer_of(ignoring(rule, known))(known), rule.document.missing
    if tree["is"] is True or missing is None or missing.do is not MissingDo.FIRE:
        return tree
    gone = [
        {"metric": metric, "missing": missing.after.text, "is": True, "seen": None, "at": remembered[metric].at}
        for metric in rule.metrics
        if metric in remembered and metric not in known
    ]
    return {"any": [tree, *gone], "is": True} if gone else tree


def condition_in(tree: Mapping[str, Any]) -> Mapping[str, Any]:
    """What ``why`` says of the condition alone."""
    parts = tree.get("any") or ()
    return parts[0] if parts and "missing" in parts[-1] else tree


def explain(condition: Condition, vocabulary: Vocabulary, known: Mapping[str, Known]) -> dict[str, Any]:
    """``condition`` as a JSON tree with ``is`` (true, false or null for unknown) on every node.

    A leaf is as in the document and has ``is``, ``seen`` and ``at``: the fact it asked about and its event time in ms
    (null where there is none). A comparison of a metric has ``unit``, the profile's, in which its ``value`` is given
    too; one with another metric or attribute has ``against``, what that was. ``known`` are facts by their input's name.
    """
    return explainer(condition, vocabulary)(known)


def explainer(condition: Condition, vocabulary: Vocabulary) -> Explainer:
    """As ``explain``, for whoever explains the same condition again and again."""
    tell = _teller(condition, vocabulary)
    return lambda known: tell(known, DataHandle({name: entry.value for name, entry in known.items()}))


@lru_cache(maxsize=16_384)
def _explainer_of(rule: CompiledRule) -> Explainer:
    return explainer(rule.document.when, rule.vocabulary)


def _teller(condition: Condition, vocabulary: Vocabulary) -> _Teller:
    match condition:
        case All(of=parts):
            return _all(tuple(_teller(part, vocabulary) for part in parts))
        case AnyOf(of=parts):
            return _any(tuple(_teller(part, vocabulary) for part in parts))
        case Not(of=part):
            return _not(_teller(part, vocabulary))
        case Leaf() as leaf:
            return _comparison(leaf, vocabulary)
        case leaf:
            kind = compared_as(leaf, {}) if isinstance(leaf, AttributeLeaf) else MetricType.BOOLEAN
            return _asking(left(leaf).name, leaf_json(leaf), _program(leaf, kind))


def _all(parts: tuple[_Teller, ...]) -> _Teller:
    def tell(known: Mapping[str, Known], handle: DataHandle) -> dict[str, Any]:
        tree = [part(known, handle) for part in parts]
        return {"all": tree, "is": all_of([part["is"] for part in tree])}

    return tell


def _any(parts: tuple[_Teller, ...]) -> _Teller:
    def tell(known: Mapping[str, Known], handle: DataHandle) -> dict[str, Any]:
        tree = [part(known, handle) for part in parts]
        return {"any": tree, "is": opposite(all_of([opposite(part["is"]) for part in tree]))}

    return tell


def _not(part: _Teller) -> _Teller:
    def tell(known: Mapping[str, Known], handle: DataHandle) -> dict[str, Any]:
        inner = part(known, handle)
        return {"not": inner, "is": opposite(inner["is"])}

    return tell


def _comparison(leaf: Leaf, vocabulary: Vocabulary) -> _Teller:
    ready = resolved(leaf, vocabulary)
    assert isinstance(ready, Leaf)
    shown = {**leaf_json(leaf), "value": value_json(ready.value), "unit": unit_of(leaf.metric, leaf.how, vocabulary)}
    told = _program(ready, vocabulary.metrics[leaf.metric].type)
    if not isinstance(leaf.value, Operand):
        return _asking(left(leaf).name, shown, told)
    other, shown["value"] = right(leaf.value).name, value_json(leaf.value)
    ask = _asking(left(leaf).name, shown, told)

    def tell(known: Mapping[str, Known], handle: DataHandle) -> dict[str, Any]:
        entry = known.get(other)
        return {**ask(known, handle), "against": None if entry is None else entry.value}

    return tell


def _asking(name: str, shown: Mapping[str, Any], program_: Program) -> _Teller:
    verdict = program_.verdict

    def tell(known: Mapping[str, Known], handle: DataHandle) -> dict[str, Any]:
        entry = known.get(name)
        if entry is None:
            return {**shown, "is": verdict(handle), "seen": None, "at": None}
        return {**shown, "is": verdict(handle), "seen": entry.value, "at": entry.at}

    return tell


def all_of(verdicts: list[bool | None]) -> bool | None:
    """Kleene's *and*: false if any is false, else unknown if any is unknown."""
    if False in verdicts:
        return False
    return None if None in verdicts else True


def opposite(verdict: bool | None) -> bool | None:
    """Kleene's *not*: the opposite of unknown is unknown."""
    return None if verdict is None else not verdict


@lru_cache(maxsize=4_096)
def _program(leaf: AnyLeaf, kind: MetricType) -> Program:
    """One leaf by itself, run by the same evaluator as the whole condition, so that the two cannot disagree.

    ``kind`` tells apart the leaves that Python calls equal: ``0`` is ``False`` to it.
    """
    return program(leaf, {leaf.metric: kind} if isinstance(leaf, Leaf) else {})
