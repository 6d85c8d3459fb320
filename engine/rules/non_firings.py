"""What rules saw where they did not fire, as it is kept: the newest looks of each rule and device."""

import functools
from collections.abc import Sequence
from dataclasses import asdict
from uuid import UUID

import orjson
from sqlalchemy import TextClause, select, text, tuple_
from sqlalchemy.engine import RowMapping

from engine import ids, pages
from engine.journal.share import ALL, Share
from engine.pages import Page
from engine.rules.sampling import Sample
from engine.rules.state import Phase
from engine.rules.tables import rule_non_firings
from engine.rules.tried import NonFiring
from engine.store.tx import Tx

OF_DEVICE, NEAR_OF_DEVICE = 3, 5
"""So many looks of one rule at one device are kept, and so many more at which it almost fired."""
OF_RULE = 100
"""So many of one rule, and as many near misses."""
OF_TENANT = 20_000

_KEEP = text(
    """
    INSERT INTO rule_non_firings
        (tenant_id, id, rule_id, rule_version, device_id, looked_at, at, phase, verdict, is_near, reason, why)
    SELECT :tenant, s.id, s.rule_id, s.rule_version, s.device_id, :now, to_timestamp(s.at_ms / 1000.0), s.phase,
           s.verdict, s.is_near, s.reason, s.why
    FROM json_to_recordset(CAST(:samples AS json)) AS s (
        id uuid, rule_id uuid, rule_version int, device_id uuid, at_ms bigint, phase text, verdict boolean,
        is_near boolean, reason text, why jsonb
    )
    """
)
_CUT = """
    DELETE FROM rule_non_firings WHERE tenant_id = :tenant AND id IN (
        SELECT id FROM (
            SELECT id, is_near, row_number() OVER of_device AS mine, row_number() OVER of_rule AS ours
            FROM rule_non_firings WHERE tenant_id = :tenant AND rule_id = ANY (CAST(:rules AS uuid[]))
            WINDOW of_device AS (PARTITION BY rule_id, device_id, is_near ORDER BY looked_at DESC, id DESC),
                   of_rule AS (PARTITION BY rule_id, is_near ORDER BY looked_at DESC, id DESC)
        ) AS n
        WHERE n.mine > CASE WHEN n.is_near THEN :near_of_device ELSE :of_device END OR n.ours > :of_rule
    ){mine}
    """
_PRUNE = text(
    """
    DELETE FROM rule_non_firings WHERE tenant_id = :tenant AND (
        looked_at < :now - interval '7 days' OR id IN (
            SELECT id FROM rule_non_firings WHERE tenant_id = :tenant ORDER BY looked_at DESC, id DESC OFFSET :most
        )
    )
    """
)


async def keep(tx: Tx, samples: Sequence[Sample], mine: Share = ALL) -> None:
    """Keep these looks and forget the oldest of their rules and devices, as far as they are of ``mine``.

    The others' are for the other readers: no two of them wait for each other.
    """
    if not samples:
        return
    rows = [{**asdict(sample), "id": ids.uuid7()} for sample in samples]
    told = {"tenant": tx.principal.tenant_id, "now": tx.now, "samples": orjson.dumps(rows).decode()}
    await tx.execute(_KEEP, told)
    bounds = {"of_device": OF_DEVICE, "near_of_device": NEAR_OF_DEVICE, "of_rule": OF_RULE}
    rules = sorted({sample.rule_id for sample in samples})
    await tx.execute(_cuts(mine), {"tenant": tx.principal.tenant_id, "rules": rules, **bounds})


@functools.cache
def _cuts(mine: Share) -> TextClause:
    return text(_CUT.format(mine=mine.condition("device_id")))


async def prune(tx: Tx) -> None:
    """Forget what is older than 7 days, and of a tenant with very many the oldest; while no reader keeps any."""
    await tx.execute(_PRUNE, {"tenant": tx.principal.tenant_id, "now": tx.now, "most": OF_TENANT})


async def page(
    tx: Tx, rule_id: UUID | None = None, device_id: UUID | None = None, *, first: int = 50, after: str | None = None
) -> Page[NonFiring]:
    """What one rule or any saw where it did not fire, for one device or any, newest first."""
    size, n = pages.page_size(first), rule_non_firings.c
    query = select(rule_non_firings).where(n.tenant_id == tx.principal.tenant_id)
    if rule_id is not None:
        query = query.where(n.rule_id == rule_id)
    if device_id is not None:
        query = query.where(n.device_id == device_id)
    if after is not None:
        query = query.where(tuple_(n.looked_at, n.id) < tuple_(*pages.decode_moment(after)))
    rows = await tx.rows(query.order_by(n.looked_at.desc(), n.id.desc()).limit(size + 1))
    return pages.cut([_non_firing(row) for row in rows], size, lambda each: pages.moment(each.looked_at, each.id))


def _non_firing(row: RowMapping) -> NonFiring:
    fields = {name: row[name] for name in NonFiring.__dataclass_fields__}
    return NonFiring(**{**fields, "phase": Phase(row["phase"])})
