"""Rules as they are published, made ready to run; and those switched off or deleted, to undo what they have done."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.engine import RowMapping

from engine.rules import document as documents
from engine.rules.around import vocabularies
from engine.rules.compile import CompiledRule, compile_rule
from engine.rules.errors import RuleInvalid
from engine.rules.inspection import spoken_in
from engine.rules.state import EndReason, marked
from engine.rules.tables import rules
from engine.rules.vocabulary import Vocabulary
from engine.store.tx import Tx


class Ended(NamedTuple):
    """A rule that is no more, with which what it left open is undone, and why it is no more."""

    rule: CompiledRule
    reason: EndReason


def made(row: RowMapping | dict[str, Any], known: dict[str, Vocabulary]) -> CompiledRule:
    """A row of ``rules``, ready to run. Raises RuleInvalid where its document or its profile no longer allows it.

    Another mode is another condition, and so is the same one after the rule was off: what was left open ends.
    """
    document = documents.parse(row["document"])
    rule = compile_rule(row["id"], row["version"], document, spoken_in(document, known))
    marks = marked(rule.condition, times_off=row["times_off"], is_shadow=row["is_shadow"])
    return rule if marks == rule.condition else replace(rule, condition=marks)


async def ended(tx: Tx, rule_ids: Collection[str]) -> dict[str, Ended]:
    """Those of these rules that were switched off or deleted, by id; one that cannot be understood is left out."""
    found, known = dict[str, Ended](), await vocabularies(tx)
    mine = rules.c.tenant_id == tx.principal.tenant_id
    for row in await tx.rows(select(rules).where(mine, rules.c.id.in_(sorted(rule_ids)), ~rules.c.is_enabled)):
        reason = EndReason.RULE_OFF if row["deleted_at"] is None else EndReason.RULE_DELETED
        try:
            rule = made(row, known)
        except RuleInvalid:
            continue
        found[rule.key] = Ended(rule, reason)
    return found
