"""Why a condition is true, false or unknown: the condition as a tree in which every comparison says what it saw."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from datalogic_py import DataHandle

from engine.rules.compile import Program, program
from engine.rules.model import All, AnyOf, Condition, Leaf, MetricType, Not
from engine.rules.state import Known
from engine.rules.vocabulary import Vocabulary


def explain(condition: Condition, vocabulary: Vocabulary, known: Mapping[str, Known]) -> dict[str, Any]:
    """``condition`` as a JSON tree with ``is`` (true, false or null for unknown) on every node.

    A leaf is ``{"metric", "op", "value", "unit", "is", "seen", "at"}``: ``unit`` the profile's, ``seen`` and ``at`` the
    metric's newest value and its event time in ms (null where there is none).
    """
    return _explain(condition, vocabulary, known, DataHandle({metric: entry.value for metric, entry in known.items()}))


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
        case Leaf(metric=key, op=op, value=value):
            metric, entry = vocabulary.metrics[key], known.get(key)
            return {
                "metric": key,
                "op": op.value,
                "value": list(value) if isinstance(value, tuple) else value,
                "unit": metric.unit,
                "is": _program(condition, metric.type).verdict(handle),
                "seen": None if entry is None else entry.value,
                "at": None if entry is None else entry.at,
            }


def all_of(verdicts: list[bool | None]) -> bool | None:
    """Kleene's *and*: false if any is false, else unknown if any is unknown."""
    if False in verdicts:
        return False
    return None if None in verdicts else True


def opposite(verdict: bool | None) -> bool | None:
    """Kleene's *not*: the opposite of unknown is unknown."""
    return None if verdict is None else not verdict


@lru_cache(maxsize=4_096)
def _program(leaf: Leaf, kind: MetricType) -> Program:
    """One comparison by itself, run by the same evaluator as the whole condition, so that the two cannot disagree."""
    return program(leaf, {leaf.metric: kind})
