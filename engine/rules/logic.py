"""Conditions as logic: negation normal form, a canonical form to compare them by, and guarded JSONLogic to run them.

In negation normal form every leaf can carry its own guard (the metric is there and of its type). A leaf that fails its
guard is false in the condition and false in the condition's opposite: that is how unknown stays apart from both.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from engine.rules.findings import is_number
from engine.rules.inputs import left, read_by, right
from engine.rules.model import (
    OPPOSITE,
    All,
    AnyLeaf,
    AnyOf,
    AttributeLeaf,
    Condition,
    Leaf,
    MetricType,
    Not,
    Online,
    Op,
    Operand,
    OtherMetric,
    Place,
    Whereabouts,
)

LARGEST = 1.7976931348623157e308
_ACROSS = {Whereabouts.INSIDE: Whereabouts.OUTSIDE, Whereabouts.OUTSIDE: Whereabouts.INSIDE}

# To datalogic-py a text that looks like a time or a duration is of these types, and "1d" then equals "1d:0h:0m:0s".
_TEXT_TYPES = ["string", "datetime", "duration"]


def normal(condition: Condition, negated: bool = False) -> Condition:
    """``condition``, or its opposite, in normal form: De Morgan pushes every ``not`` down to the leaves.

    There it turns a comparison into the opposite one; a leaf that has no opposite keeps it.
    """
    match condition:
        case Not(of=inner):
            return normal(inner, not negated)
        case All(of=parts) | AnyOf(of=parts):
            each = tuple(normal(part, negated) for part in parts)
            return All(each) if isinstance(condition, All) is not negated else AnyOf(each)
        case leaf:
            return _opposite(leaf) if negated else leaf


def without(condition: Condition, metrics: Collection[str]) -> Condition | None:
    """``condition`` as if its author had not written the leaves that read one of ``metrics``; None if none is left."""
    match condition:
        case Not(of=part):
            rest = without(part, metrics)
            return None if rest is None else Not(rest)
        case All(of=parts) | AnyOf(of=parts):
            left_over = tuple(rest for part in parts if (rest := without(part, metrics)) is not None)
            return type(condition)(left_over) if left_over else None
        case leaf:
            return None if any(each.metric in metrics for each in read_by(leaf)) else leaf


def _opposite(leaf: AnyLeaf) -> Condition:
    match leaf:
        case Leaf(op=op) | AttributeLeaf(op=op):
            return replace(leaf, op=OPPOSITE[op])
        case Online(is_online=is_online):
            return Online(not is_online)
        case Place(is_=is_) if is_ in _ACROSS:
            return replace(leaf, is_=_ACROSS[is_])
        case _:
            return Not(leaf)


def guarded(condition: Condition, types: Mapping[str, MetricType]) -> dict[str, Any]:
    """A condition in normal form as JSONLogic with guarded leaves: true exactly where Kleene's logic says true.

    It reads the inputs of ``engine.rules.inputs`` by their names; ``types`` names the metrics it compares.
    """
    match condition:
        case All(of=parts):
            return {"and": [guarded(part, types) for part in parts]}
        case AnyOf(of=parts):
            return {"or": [guarded(part, types) for part in parts]}
        case Leaf() | AttributeLeaf():
            return _guarded_comparison(condition, compared_as(condition, types))
        case Not(of=leaf):
            if isinstance(leaf, All | AnyOf | Not | Leaf | AttributeLeaf):
                raise ValueError("a condition must be in normal form to be guarded")
            return _guarded_state(leaf, False)
        case leaf:
            return _guarded_state(leaf, True)


def compared_as(leaf: Leaf | AttributeLeaf, types: Mapping[str, MetricType]) -> MetricType:
    """Of which type both sides of a comparison have to be; an attribute is asked for the type of its value here."""
    if isinstance(leaf, Leaf):
        return types[leaf.metric] if leaf.how is None else MetricType.NUMBER
    value = leaf.value[0] if isinstance(leaf.value, tuple) else leaf.value
    if isinstance(value, bool):
        return MetricType.BOOLEAN
    return MetricType.STRING if isinstance(value, str) else MetricType.NUMBER


def _guarded_state(leaf: AnyLeaf, wanted: bool) -> dict[str, Any]:
    name = left(leaf).name
    if leaf == Online(False) or (isinstance(leaf, Place) and leaf.is_ is Whereabouts.OUTSIDE):
        wanted = not wanted
    is_boolean = {"===": [{"type": [{"val": [name]}]}, MetricType.BOOLEAN.value]}
    return {"and": [{"exists": [name]}, is_boolean, {"===": [{"val": [name]}, wanted]}]}


def _guarded_comparison(leaf: Leaf | AttributeLeaf, kind: MetricType) -> dict[str, Any]:
    read = {"val": [left(leaf).name]}
    guards = _guards(read, kind)
    value: Any = leaf.value
    if isinstance(value, Operand):
        other = {"val": [right(value).name]}
        guards += _guards(other, kind)
        value = other
        if isinstance(leaf.value, OtherMetric) and (scaled := _scaled(leaf.value, other)) is not other:
            value = scaled
            guards.append({"<=": [-LARGEST, value, LARGEST]})  # too large to be a number is unknown, as elsewhere
    if kind is MetricType.STRING:
        # The mark keeps texts texts on both sides (see _TEXT_TYPES), so that they are compared character by character.
        marked = {"cat": ["=", value]} if isinstance(value, dict) else _marked(value)
        return {"and": [*guards, _test(leaf.op, {"cat": ["=", read]}, marked)]}
    return {"and": [*guards, _test(leaf.op, read, value)]}


def _guards(read: dict[str, Any], kind: MetricType) -> list[dict[str, Any]]:
    exists = {"exists": read["val"]}
    if kind is MetricType.STRING:
        return [exists, {"in": [{"type": [read]}, _TEXT_TYPES]}]
    return [exists, {"===": [{"type": [read]}, kind.value]}]


def _scaled(operand: OtherMetric, read: dict[str, Any]) -> dict[str, Any]:
    scaled = read if operand.times is None else {"*": [read, float(operand.times)]}
    return scaled if operand.plus is None else {"+": [scaled, float(operand.plus)]}


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
    match condition:
        case Leaf() | AttributeLeaf():
            return ["leaf", left(condition).name, condition.op.value, _canonical_value(condition)]
        case All(of=parts) | AnyOf(of=parts):
            return _canonical_parts("all" if isinstance(condition, All) else "any", parts)
        case Not(of=inner):
            return ["not", _canonical(inner)]
        case leaf:
            so = leaf != Online(False) and not (isinstance(leaf, Place) and leaf.is_ is Whereabouts.OUTSIDE)
            return ["is", left(leaf).name] if so else ["not", ["is", left(leaf).name]]


def _canonical_parts(word: str, of: tuple[Condition, ...]) -> list[Any]:
    parts: dict[str, list[Any]] = {}
    for part in map(_canonical, of):
        for same in part[1] if part[0] == word else [part]:
            parts[json.dumps(same)] = same
    ordered = [parts[key] for key in sorted(parts)]
    return ordered[0] if len(ordered) == 1 else [word, ordered]


def _canonical_value(leaf: Leaf | AttributeLeaf) -> Any:
    if isinstance(leaf.value, Operand):
        other = leaf.value if isinstance(leaf.value, OtherMetric) else OtherMetric("")
        times, plus = 1.0 if other.times is None else other.times, 0.0 if other.plus is None else other.plus
        return {"read": right(leaf.value).name, "times": _double(times), "plus": _double(plus)}
    if not isinstance(leaf.value, tuple):
        return _double(leaf.value)
    values = [_double(value) for value in leaf.value]
    return sorted(values) if leaf.op in (Op.IN, Op.NOT_IN) else values


def _double(value: Any) -> Any:
    """Numbers as doubles, so that 8 and 8.0 are one; and no minus before a zero."""
    return float(value) + 0.0 if is_number(value) else value
