"""Reading the audit log, signing its end, and proving that it is what was written."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import RowMapping

from engine import pages
from engine.audit.model import Entry, Fault, Verified
from engine.audit.seal import Sealer
from engine.audit.tables import audit, audit_checkpoints, audit_head
from engine.pages import Page
from engine.store.tx import Tx

_BEYOND = 2**63 - 1
_SHOWN = [column for column in audit.c if column.name not in ("tenant_id", "hash")]

# Each row's seal is computed anew from what is stored and from the seal stored before it; the first that differs, or
# does not follow its predecessor, is where the log was touched.
_FIRST_FAULT = text(
    """
    SELECT seq, expected_seq, is_sealed FROM (
        SELECT a.seq, row_number() OVER w AS expected_seq,
               a.hash = app.audit_seal(lag(a.hash, 1, '\\x'::bytea) OVER w, a) AS is_sealed
        FROM audit a WHERE a.tenant_id = :tenant WINDOW w AS (ORDER BY a.seq)
    ) checked
    WHERE seq <> expected_seq OR NOT is_sealed ORDER BY seq LIMIT 1
    """
)

# The numbers follow the clock, so a time is found among them by halving: some twenty looks at the primary key in a log
# of a million rows, and no index by time that each deed would have to pay for. An hour is left to clocks that are put
# back, so what is found is a bound and not the place. Where a row is missing nothing is found.
_BOUND = text(
    """
    WITH RECURSIVE half (low, high) AS (
        SELECT CAST(1 AS bigint), seq + 1 FROM audit_head WHERE tenant_id = :tenant
        UNION ALL
        SELECT CASE WHEN is_before THEN middle + 1 ELSE low END, CASE WHEN is_before THEN high ELSE middle END
        FROM half CROSS JOIN LATERAL (
            SELECT a.seq AS middle, a.at < CAST(:at AS timestamptz) + :hours * interval '1 hour' AS is_before
            FROM audit a WHERE a.tenant_id = :tenant AND a.seq = (low + high) / 2 LIMIT 1  -- each by the key, no join
        ) looked
        WHERE low < high
    )
    SELECT low FROM half WHERE low >= high
    """
)


async def page(
    tx: Tx,
    *,
    action: str | None = None,
    target_id: str | None = None,
    actor: str | None = None,
    result: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    first: int = 50,
    after: str | None = None,
) -> Page[Entry]:
    """What was done from ``start`` until before ``end``, newest first.

    ``action`` matches from its beginning (``device.``), ``actor`` anywhere.
    """
    size = pages.page_size(first)
    query = select(*_SHOWN).where(audit.c.tenant_id == tx.principal.tenant_id)
    if action:
        query = query.where(audit.c.action.startswith(action, autoescape=True))
    if target_id:
        query = query.where(audit.c.target_id == target_id)
    if actor:
        query = query.where(audit.c.actor_name.icontains(actor, autoescape=True))
    if result:
        query = query.where(audit.c.result == result)
    if start is not None:
        query = query.where(audit.c.at >= start, audit.c.seq >= await lowest_since(tx, start))
    if end is not None:
        query = query.where(audit.c.at < end, audit.c.seq < await _lowest(tx, end, 1, _BEYOND))
    if after is not None:
        query = query.where(audit.c.seq < _seq_of(after))
    rows = await tx.rows(query.order_by(audit.c.seq.desc()).limit(size + 1))
    return pages.cut([Entry(**row) for row in rows], size, lambda entry: str(entry.seq))


async def lowest_since(tx: Tx, at: datetime) -> int:
    """A number that no row written at ``at`` or later is below; rows before it may be few or many."""
    return await _lowest(tx, at, -1, 1)


async def _lowest(tx: Tx, at: datetime, hours: int, otherwise: int) -> int:
    found = await tx.scalar(_BOUND, {"tenant": tx.principal.tenant_id, "at": at, "hours": hours})
    return otherwise if found is None else int(found)


async def checkpoint(tx: Tx, sealer: Sealer) -> int | None:
    """Sign the log's present end; returns its seq, or None when nothing was written since the last checkpoint."""
    head = await tx.one(select(audit_head).where(audit_head.c.tenant_id == tx.principal.tenant_id))
    last = await tx.scalar(
        select(audit_checkpoints.c.seq)
        .where(audit_checkpoints.c.tenant_id == tx.principal.tenant_id)
        .order_by(audit_checkpoints.c.seq.desc())
        .limit(1)
    )
    if head is None or head["seq"] == (last or 0):
        return None
    seal = bytes(head["hash"])
    await tx.execute(
        insert(audit_checkpoints).values(
            tenant_id=tx.principal.tenant_id,
            seq=head["seq"],
            hash=seal,
            signed_at=tx.now,
            key_id=sealer.key_id,
            signature=sealer.sign(tx.principal.tenant_id, head["seq"], seal),
        )
    )
    return int(head["seq"])


async def verify(tx: Tx, sealer: Sealer | None = None) -> Verified:
    """Whether the log is what was written: every seal, every number, its end, and what was signed (with ``sealer``)."""
    tenant_id = tx.principal.tenant_id
    head = await tx.one(select(audit_head).where(audit_head.c.tenant_id == tenant_id))
    rows = int(await tx.scalar(text("SELECT count(*) FROM audit WHERE tenant_id = :tenant"), {"tenant": tenant_id}))
    points = await tx.rows(
        select(audit_checkpoints, audit.c.hash.label("sealed"))
        .join_from(
            audit_checkpoints,
            audit,
            (audit.c.tenant_id == audit_checkpoints.c.tenant_id) & (audit.c.seq == audit_checkpoints.c.seq),
            isouter=True,
        )
        .where(audit_checkpoints.c.tenant_id == tenant_id)
        .order_by(audit_checkpoints.c.seq)
    )
    found = [fault for fault in (await _chain_fault(tx), _end_fault(head, rows)) if fault]
    found += [fault for point in points if (fault := _point_fault(tenant_id, point, sealer))]
    return Verified(rows, len(points), min(found, key=lambda fault: fault.seq, default=None))


async def _chain_fault(tx: Tx) -> Fault | None:
    row = await tx.one(_FIRST_FAULT, {"tenant": tx.principal.tenant_id})
    if row is None:
        return None
    if row["seq"] != row["expected_seq"]:
        return Fault(row["expected_seq"], "a row is missing here")
    return Fault(row["seq"], "this row, or the seal of the one before it, was changed")


def _end_fault(head: RowMapping | None, rows: int) -> Fault | None:
    written = head["seq"] if head else 0
    return Fault(rows + 1, f"the log ends here, yet {written} rows were written") if rows < written else None


def _point_fault(tenant_id: UUID, point: RowMapping, sealer: Sealer | None) -> Fault | None:
    if point["sealed"] is None or bytes(point["sealed"]) != bytes(point["hash"]):
        return Fault(point["seq"], "this row is not the one that was signed")
    if sealer is None or sealer.key_id != point["key_id"]:
        return None
    if not sealer.vouches(tenant_id, point["seq"], bytes(point["hash"]), bytes(point["signature"])):
        return Fault(point["seq"], "the signature of the checkpoint here is not ours")
    return None


def _seq_of(cursor: str) -> int:
    key = pages.decode(cursor)
    if not key.isdecimal() or len(key) > 18:
        raise pages.BadCursor
    return int(key)
