"""Reading the journal: the same read serves the drain, live streams and resuming after a break."""

from uuid import UUID

from sqlalchemy import text

from engine.journal.errors import CursorTooOld
from engine.journal.model import Entry
from engine.store.tx import Tx
from engine.store.wire import Reading

_TAIL = Reading(
    text("SELECT pos, at, kind, body FROM journal WHERE tenant_id = :tenant AND pos > :after ORDER BY pos LIMIT :limit")
)
_HEAD = text("SELECT pos FROM journal_head WHERE tenant_id = :tenant")


async def tail(tx: Tx, after: int, limit: int = 500) -> list[Entry]:
    """Up to ``limit`` entries after position ``after``, oldest first.

    Raises CursorTooOld when entries between ``after`` and the oldest kept are gone: positions have no gaps, so the
    first entry must be ``after + 1``.
    """
    asked = {"tenant": tx.principal.tenant_id, "after": after, "limit": limit}
    rows = await tx.read(_TAIL, asked)
    if not rows and await head(tx) > after:
        rows = await tx.read(_TAIL, asked)  # each statement sees what is committed by then: the entry may be new
        if not rows:
            raise CursorTooOld
    if rows and rows[0]["pos"] != after + 1:
        raise CursorTooOld
    return [Entry(row["pos"], row["at"], row["kind"], row["body"]) for row in rows]


async def head(tx: Tx, tenant_id: UUID | None = None) -> int:
    """The position of the newest entry, 0 when there is none."""
    return int(await tx.scalar(_HEAD, {"tenant": tenant_id or tx.principal.tenant_id}) or 0)
