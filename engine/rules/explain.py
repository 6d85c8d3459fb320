"""Why a condition is true, false or unknown: the condition as a tree in which every comparison says what it saw."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from datalogic_py import DataHandle

from engine.rules.compile import Program, program
from engine.rules.conditions import leaf_json, value_json
from engine.rules.inputs import left, right
from engine.rules.logic import compared_as
from engine.rules.model import All, AnyLeaf, AnyOf, AttributeLeaf, Condition, Leaf, MetricType, Not, Operand
from engine.rules.resolve import resolved, unit_of
from engine.rules.state import Known
from engine.rules.vocabulary import Vocabulary


def explain(condition: Condition, vocabulary: Vocabulary, known: Mapping[str, Known]) -> dict[str, Any]:
    """``condition`` as a JSON tree with ``is`` (true, false or null for unknown) on every node.

    A leaf is as in the document and has ``is``, ``seen`` and ``at``: the fact it asked about and its event time in ms
    (null where there is none). A comparison of a metric has ``unit``, the profile's, in which its ``value`` is given
    too; one with another metric or attribute has ``against``, what that was. ``known`` are facts by their input's name.
    """
    return _explain(condition, vocabulary, known, DataHandle({name: entry.value for name, entry in known.items()}))


def _explain(
    condition: Condition, vocabulary: Vocabulary, known: Mapping[str, Known], handle: DataHandle
) -> dict[str, Any]:
    match condition:
        case All(of=parts):
            tree = [_explain(part, vocabulary, known, handle) for part in parts]
            return {"all": tree, "is": all_of([part["is"] for part in tree])}
        case AnyOf(of=parts):
            tree = [_explain(part, vocabulary, known, handle) for part in parts]
            return {"any": tree, "is": opposite(all_of([opposite(part["is"]) for part in tree]))}
        case Not(of=part):
            inner = _explain(part, vocabulary, known, handle)
            return {"not": inner, "is": opposite(inner["is"])}
        case leaf:
            return _leaf(leaf, vocabulary, known, handle)


def _leaf(leaf: AnyLeaf, vocabulary: Vocabulary, known: Mapping[str, Known], handle: DataHandle) -> dict[str, Any]:
    entry = known.get(left(leaf).name)
    seen = {"seen": None if entry is None else entry.value, "at": None if entry is None else entry.at}
    if not isinstance(leaf, Leaf):
        kind = compared_as(leaf, {}) if isinstance(leaf, AttributeLeaf) else MetricType.BOOLEAN
        return {**leaf_json(leaf), "is": _program(leaf, kind).verdict(handle), **seen}
    ready = resolved(leaf, vocabulary)
    assert isinstance(ready, Leaf)
    tree = {**leaf_json(leaf), "value": value_json(ready.value), "unit": unit_of(leaf.metric, leaf.how, vocabulary)}
    if isinstance(leaf.value, Operand):
        other = known.get(right(leaf.value).name)
        tree["value"], tree["against"] = value_json(leaf.value), None if other is None else other.value
    return {**tree, "is": _program(ready, vocabulary.metrics[leaf.metric].type).verdict(handle), **seen}


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
