"""Conditions as logic: negation normal form, a canonical form to compare them by, and guarded JSONLogic to run them.

In negation normal form every leaf can carry its own guard (the metric is there and of its type). A leaf that fails its
guard is false in the condition and false in the condition's opposite: that is how unknown stays apart from both.
"""

import json
from collections.abc import Mapping
from typing import Any

from engine.rules.findings import is_number
from engine.rules.model import OPPOSITE, All, AnyOf, Condition, Leaf, MetricType, Not, Op

# To datalogic-py a text that looks like a time or a duration is of these types, and "1d" then equals "1d:0h:0m:0s".
_TEXT_TYPES = ["string", "datetime", "duration"]


def normal(condition: Condition, negated: bool = False) -> Condition:
    """``condition``, or its opposite, without any ``not``: De Morgan pushes it down to the leaves' operators."""
    match condition:
        case Not(of=part):
            return normal(part, not negated)
        case Leaf(metric=metric, op=op, value=value):
            return Leaf(metric, OPPOSITE[op] if negated else op, value)
        case All(of=parts) | AnyOf(of=parts):
            inner = tuple(normal(part, negated) for part in parts)
            return All(inner) if isinstance(condition, All) is not negated else AnyOf(inner)


def guarded(condition: Condition, types: Mapping[str, MetricType]) -> dict[str, Any]:
    """A condition in normal form as JSONLogic with guarded leaves: true exactly where Kleene's logic says true."""
    match condition:
        case All(of=parts):
            return {"and": [guarded(part, types) for part in parts]}
        case AnyOf(of=parts):
            return {"or": [guarded(part, types) for part in parts]}
        case Leaf(metric=metric):
            return {"and": [{"exists": [metric]}, *_guarded_test(condition, types[metric])]}
        case Not():
            raise ValueError("a condition must be in normal form to be guarded")


def _guarded_test(leaf: Leaf, kind: MetricType) -> list[dict[str, Any]]:
    read = {"val": [leaf.metric]}
    if kind is MetricType.STRING:
        # The mark keeps texts texts on both sides (see _TEXT_TYPES), so that they are compared character by character.
        return [{"in": [{"type": [read]}, _TEXT_TYPES]}, _test(leaf.op, {"cat": ["=", read]}, _marked(leaf.value))]
    return [{"===": [{"type": [read]}, kind.value]}, _test(leaf.op, read, leaf.value)]


def _marked(value: Any) -> Any:
    return tuple(f"={choice}" for choice in value) if isinstance(value, tuple) else f"={value}"


def _test(op: Op, read: Any, value: Any) -> dict[str, Any]:
    match op:
        case Op.EQ:
            return {"===": [read, value]}
        case Op.NE:
            return {"!==": [read, value]}
        case Op.LT | Op.LE | Op.GT | Op.GE:
            return {op.value: [read, value]}
        case Op.BETWEEN:
            return {"<=": [value[0], read, value[1]]}
        case Op.OUTSIDE:
            return {"or": [{"<": [read, value[0]]}, {">": [read, value[1]]}]}
        case Op.IN:
            return {"in": [read, list(value)]}
        case Op.NOT_IN:
            return {"!": [{"in": [read, list(value)]}]}


def canonical(condition: Condition) -> list[Any]:
    """A JSON value that is equal for conditions of the same form: normal, flat, sorted, without repetition."""
    return _canonical(normal(condition))


def _canonical(condition: Condition) -> list[Any]:
    if isinstance(condition, Leaf):
        return ["leaf", condition.metric, condition.op.value, _canonical_value(condition)]
    word = "all" if isinstance(condition, All) else "any"
    parts: dict[str, list[Any]] = {}
    for part in map(_canonical, condition.of if isinstance(condition, All | AnyOf) else ()):
        for same in part[1] if part[0] == word else [part]:
            parts[json.dumps(same)] = same
    ordered = [parts[key] for key in sorted(parts)]
    return ordered[0] if len(ordered) == 1 else [word, ordered]


def _canonical_value(leaf: Leaf) -> Any:
    if not isinstance(leaf.value, tuple):
        return _double(leaf.value)
    values = [_double(value) for value in leaf.value]
    return sorted(values) if leaf.op in (Op.IN, Op.NOT_IN) else values


def _double(value: Any) -> Any:
    """Numbers as doubles, so that 8 and 8.0 are one; and no minus before a zero."""
    return float(value) + 0.0 if is_number(value) else value
