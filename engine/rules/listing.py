"""The orders in which rules are listed, and where in each of them a page ends."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select, tuple_
from sqlalchemy.engine import RowMapping

from engine import pages
from engine.rules.firings import LAST
from engine.rules.model import RuleOrder
from engine.rules.tables import rules

NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""Where a rule that never fired stands among those that did: behind all of them."""


def ordered(query: Select[Any], order: RuleOrder, tenant_id: UUID, after: str | None) -> Select[Any]:
    """``query`` of rules in this order, from behind the cursor ``after`` on. Raises BadCursor."""
    if order is RuleOrder.MADE:
        query = query if after is None else query.where(rules.c.id > pages.decode_id(after))
        return query.order_by(rules.c.id)
    if order is RuleOrder.NAME:
        place = func.lower(rules.c.name), rules.c.id
        query = query if after is None else query.where(tuple_(*place) > _named(tenant_id, pages.decode_id(after)))
        return query.order_by(*place)
    at: ColumnElement[Any] = rules.c.updated_at
    if order is RuleOrder.FIRED:
        at = func.coalesce(LAST, NEVER)
        query = query.add_columns(at.label("fired_at"))
    if after is not None:
        query = query.where(tuple_(at, rules.c.id) < tuple_(*pages.decode_moment(after)))
    return query.order_by(at.desc(), rules.c.id.desc())


def key(row: RowMapping, order: RuleOrder) -> str:
    """Where a row of ``ordered`` stands, for the cursor behind it."""
    if order in (RuleOrder.MADE, RuleOrder.NAME):
        return str(row["id"])
    return pages.moment(row["updated_at" if order is RuleOrder.CHANGED else "fired_at"], row["id"])


def _named(tenant_id: UUID, rule_id: UUID) -> ColumnElement[Any]:
    """Where the rule stands by name: a name itself may be too long for a cursor."""
    before = rules.alias()
    here = select(func.lower(before.c.name), before.c.id).where(before.c.tenant_id == tenant_id, before.c.id == rule_id)
    return here.scalar_subquery()
