"""An alert's history: who did or said what, and who was told."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import insert, text
from sqlalchemy.engine import RowMapping

from engine import ids
from engine.alerts.model import AlertNote, Happening
from engine.alerts.tables import alert_events
from engine.store.tx import Tx

SHOWN = 200
"""Entries of one alert that are shown, the newest."""


_OF = text(
    """
    SELECT e.id, e.alert_id, e.at, e.kind, e.by, e.text
    FROM unnest(CAST(:alerts AS uuid[])) AS wanted (id)
    CROSS JOIN LATERAL (
        SELECT e.* FROM alert_events e WHERE e.tenant_id = :tenant AND e.alert_id = wanted.id
        ORDER BY e.id DESC LIMIT :most
    ) e
    ORDER BY e.id
    """
)


async def write(tx: Tx, alert_id: UUID, kind: Happening, words: str | None = None) -> None:
    """One entry, by whoever acts."""
    await write_all(tx, [(alert_id, words)], kind)


async def write_all(tx: Tx, entries: Iterable[tuple[UUID, str | None]], kind: Happening) -> None:
    """The same kind of entry for many alerts, each with its own words."""
    rows = [
        {
            "tenant_id": tx.principal.tenant_id,
            "id": ids.uuid7(),
            "alert_id": alert_id,
            "at": tx.now,
            "kind": kind,
            "by": tx.principal.name or tx.principal.kind,
            "text": words or None,
        }
        for alert_id, words in entries
    ]
    if rows:
        await tx.execute(insert(alert_events), rows)


async def of(tx: Tx, alert_ids: Sequence[UUID]) -> dict[UUID, list[AlertNote]]:
    """The newest entries of each alert, oldest of them first."""
    found: dict[UUID, list[AlertNote]] = {alert_id: [] for alert_id in alert_ids}
    given = {"tenant": tx.principal.tenant_id, "alerts": list(found), "most": SHOWN}
    for row in await tx.rows(_OF, given):
        found[row["alert_id"]].append(_note(row))
    return found


def _note(row: RowMapping) -> AlertNote:
    return AlertNote(row["id"], row["alert_id"], row["at"], Happening(row["kind"]), row["by"], row["text"])
