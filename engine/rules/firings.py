"""When rules fired: the last time of each; and why where no alert says it, a row for each time, with its end."""

import functools
from collections.abc import Sequence
from datetime import datetime
from uuid import NAMESPACE_URL, UUID, uuid5

import orjson
from sqlalchemy import DateTime, TextClause, literal_column, select, text, tuple_
from sqlalchemy.engine import RowMapping

from engine import pages
from engine.alerts.model import Cleared, Raised
from engine.journal.share import ALL, Share
from engine.pages import Page
from engine.rules.tables import rule_firings, rules
from engine.rules.tried import Firing
from engine.store.tx import Tx

OF_RULE = 1_000
"""So many of one rule are kept, the newest."""
CUT_EVERY = 32
"""One firing in so many, chosen by its id, takes the oldest of its rule with it: however fast a rule fires, and whoever
notes it, it keeps hardly more than ``OF_RULE``."""

_NOTE = text(
    """
    INSERT INTO rule_firings (tenant_id, id, rule_id, rule_version, device_id, episode, fired_at, reason, why, would)
    SELECT :tenant, f.id, f.rule_id, f.rule_version, f.device_id, f.episode, f.fired_at, f.reason, f.why, f.would
    FROM json_to_recordset(CAST(:fired AS json)) AS f (
        id uuid, rule_id uuid, rule_version int, device_id uuid, episode bigint, fired_at timestamptz, reason text,
        why jsonb, would jsonb
    )
    ON CONFLICT DO NOTHING
    """
)
_END = text(
    """
    UPDATE rule_firings f SET cleared_at = c.cleared_at, cleared_reason = c.reason
    FROM json_to_recordset(CAST(:cleared AS json)) AS c (
        rule_id uuid, device_id uuid, episode bigint, cleared_at timestamptz, reason text
    )
    WHERE f.tenant_id = :tenant AND f.rule_id = c.rule_id AND f.device_id = c.device_id AND f.episode = c.episode
      AND f.cleared_at IS NULL
    """
)
# The last of each rule stays, however old: it says when the rule last fired.
_PRUNE = text(
    """
    DELETE FROM rule_firings f
    WHERE f.tenant_id = :tenant AND f.fired_at < :now - interval '30 days' AND EXISTS (
        SELECT FROM rule_firings n
        WHERE n.tenant_id = :tenant AND n.rule_id = f.rule_id AND (n.fired_at, n.id) > (f.fired_at, f.id)
    )
    """
)
LAST = literal_column(
    """
    greatest(
        (SELECT a.raised_at FROM alerts a WHERE a.tenant_id = rules.tenant_id AND a.rule_id = rules.id
         ORDER BY a.raised_at DESC LIMIT 1),
        (SELECT n.fired_at FROM rule_firings n WHERE n.tenant_id = rules.tenant_id AND n.rule_id = rules.id
         ORDER BY n.fired_at DESC LIMIT 1)
    )
    """,
    DateTime(timezone=True),
)
"""When each of ``rules`` last fired, with an alert or without; null: never. Two looks at an index a rule."""
# The newest of a rule that is too many is found at its place in the index: nothing is sorted.
_CUT = """
    DELETE FROM rule_firings f USING (
        SELECT r.id AS rule_id, first.fired_at, first.id
        FROM rules r CROSS JOIN LATERAL (
            SELECT n.fired_at, n.id FROM rule_firings n WHERE n.tenant_id = :tenant AND n.rule_id = r.id
            ORDER BY n.fired_at DESC, n.id DESC OFFSET :most LIMIT 1
        ) first
        WHERE r.tenant_id = :tenant AND (CAST(:rules AS uuid[]) IS NULL OR r.id = ANY (CAST(:rules AS uuid[])))
    ) AS cut
    WHERE f.tenant_id = :tenant AND f.rule_id = cut.rule_id AND (f.fired_at, f.id) <= (cut.fired_at, cut.id){mine}
    """


async def note(tx: Tx, fired: Sequence[tuple[Raised, Sequence[str]]], mine: Share = ALL) -> None:
    """Note these firings, each with what it would have done (nothing: it did it); those noted before stay.

    ``mine``: the devices of whoever notes it. No other's row is touched, so that no two readers wait for each other.
    """
    if not fired:
        return
    tenant_id = tx.principal.tenant_id
    ids = [uuid5(NAMESPACE_URL, f"tidegate:firing:{one.id(tenant_id)}") for one, _ in fired]
    rows = [
        {
            "id": id_,
            "rule_id": one.rule_id,
            "rule_version": one.rule_version,
            "device_id": one.device_id,
            "episode": one.episode,
            "fired_at": one.raised_at,
            "reason": one.reason,
            "why": one.why,
            "would": list(would),
        }
        for id_, (one, would) in zip(ids, fired, strict=True)
    ]
    await tx.execute(_NOTE, {"tenant": tenant_id, "fired": orjson.dumps(rows).decode()})
    if full := {one.rule_id for id_, (one, _) in zip(ids, fired, strict=True) if id_.int % CUT_EVERY == 0}:
        await _cut(tx, sorted(full), mine)


async def end(tx: Tx, cleared: Sequence[Cleared]) -> None:
    """These episodes are over; what is no firing is left alone."""
    if not cleared:
        return
    rows = [
        {
            "rule_id": one.rule_id,
            "device_id": one.device_id,
            "episode": one.episode,
            "cleared_at": one.cleared_at,
            "reason": one.reason,
        }
        for one in cleared
    ]
    await tx.execute(_END, {"tenant": tx.principal.tenant_id, "cleared": orjson.dumps(rows).decode()})


async def prune(tx: Tx) -> None:
    """Forget what is older than 30 days, and of a rule with very many the oldest; while no reader notes any."""
    await tx.execute(_PRUNE, {"tenant": tx.principal.tenant_id, "now": tx.now})
    await _cut(tx, None, ALL)


async def _cut(tx: Tx, rules: Sequence[str] | None, mine: Share) -> None:
    await tx.execute(_cuts(mine), {"tenant": tx.principal.tenant_id, "most": OF_RULE, "rules": rules})


@functools.cache
def _cuts(mine: Share) -> TextClause:
    return text(_CUT.format(mine=mine.condition("f.device_id")))


async def last(tx: Tx, rule_ids: Sequence[UUID]) -> dict[UUID, datetime]:
    """When each of these rules last fired, in force or only watching; those that never did are not among them."""
    mine = rules.c.tenant_id == tx.principal.tenant_id, rules.c.id.in_(rule_ids)
    rows = await tx.rows(select(rules.c.id, LAST.label("at")).where(*mine))
    return {row["id"]: row["at"] for row in rows if row["at"] is not None}


async def page(tx: Tx, rule_id: UUID, *, first: int = 50, after: str | None = None) -> Page[Firing]:
    """When a rule fired without an alert, newest first."""
    size, f = pages.page_size(first), rule_firings.c
    query = select(rule_firings).where(f.tenant_id == tx.principal.tenant_id, f.rule_id == rule_id)
    if after is not None:
        query = query.where(tuple_(f.fired_at, f.id) < tuple_(*pages.decode_moment(after)))
    rows = await tx.rows(query.order_by(f.fired_at.desc(), f.id.desc()).limit(size + 1))
    return pages.cut([_firing(row) for row in rows], size, lambda each: pages.moment(each.fired_at, each.id))


def _firing(row: RowMapping) -> Firing:
    fields = {name: row[name] for name in Firing.__dataclass_fields__}
    return Firing(**{**fields, "would": tuple(row["would"])})
