"""A rule's scope as the database is asked for it: how many devices it holds, by the same law as the engine's."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Double, and_, case, cast, func, literal, null, or_

from engine.devices import census
from engine.rules.findings import is_number
from engine.rules.model import AttributeLeaf, Op, Scalar, Scope, Tagged
from engine.store.tx import Tx

_DIGITS = "[0-9]+(_[0-9]+)*"
_NUMBER = rf"^[+-]?({_DIGITS}(\.({_DIGITS})?)?|\.{_DIGITS})([eE][+-]?{_DIGITS})?$"
"""What ``facts.attribute`` takes for a number, as far as it is written in ASCII."""


async def count(tx: Tx, scope: Scope) -> int:
    """How many devices are in ``scope`` at the moment, of those that whoever asks may see."""
    tags = tuple(Tagged(tag) for tag in scope.tags or ())
    return await census.count(
        tx,
        profile=scope.profile,
        device_ids=None if scope.devices is None else [UUID(device) for device in scope.devices],
        group_ids=None if not scope.groups else [UUID(group) for group in scope.groups],
        labelled=[_fits(fact) for fact in (*tags, *(scope.where or ()))],
    )


def _fits(fact: AttributeLeaf | Tagged) -> ColumnElement[bool]:
    if isinstance(fact, Tagged):
        return census.LABELS.op("?", is_comparison=True)(fact.tag)
    text = census.LABELS.op("->>")(fact.attribute)
    values = fact.value if isinstance(fact.value, tuple) else (fact.value,)
    if all(isinstance(value, bool) for value in values):
        is_kind, seen = text.in_(["true", "false"]), text
        return and_(is_kind, _compared(seen, fact.op, [literal(_said(value)) for value in values]))
    if all(is_number(value) for value in values):
        return _compared(_number(text), fact.op, [literal(float(value), Double) for value in values])
    if not all(isinstance(value, str) for value in values):
        return literal(False)  # no value is of two kinds
    is_text = and_(text.not_in(["true", "false"]), text.op("!~")(_NUMBER))
    return and_(_compared(text, fact.op, [literal(value) for value in values]), is_text)


def _number(text: ColumnElement[str]) -> ColumnElement[float]:
    """The number that a text says; NULL where it says none, or one that is too large."""
    plain = func.replace(text, "_", "")
    is_one = and_(text.op("~")(_NUMBER), func.pg_input_is_valid(plain, "double precision"))
    return case((is_one, cast(plain, Double)), else_=null())


def _compared(seen: ColumnElement[Any], op: Op, values: list[ColumnElement[Any]]) -> ColumnElement[bool]:
    first, last = values[0], values[-1]
    match op:
        case Op.EQ | Op.IN:
            return seen.in_(values)
        case Op.NE | Op.NOT_IN:
            return seen.not_in(values)
        case Op.BETWEEN:
            return and_(seen >= first, seen <= last)
        case Op.OUTSIDE:
            return or_(seen < first, seen > last)
        case Op.LT:
            return seen < first
        case Op.LE:
            return seen <= first
        case Op.GT:
            return seen > first
        case Op.GE:
            return seen >= first


def _said(value: Scalar) -> str:
    return "true" if value else "false"
