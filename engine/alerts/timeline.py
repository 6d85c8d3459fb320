"""An alert's history: who did or said what, and who was told."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.engine import RowMapping

from engine import ids
from engine.alerts.model import AlertNote, Happening
from engine.alerts.tables import alert_events
from engine.store.tx import Tx

SHOWN = 200
"""Entries of one alert that are shown, the newest."""


async def write(tx: Tx, alert_id: UUID, kind: Happening, text: str | None = None) -> None:
    """One entry, by whoever acts."""
    await write_all(tx, [(alert_id, text)], kind)


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
            "text": text or None,
        }
        for alert_id, text in entries
    ]
    if rows:
        await tx.execute(insert(alert_events), rows)


async def of(tx: Tx, alert_ids: Sequence[UUID]) -> dict[UUID, list[AlertNote]]:
    """The newest entries of each alert, oldest of them first."""
    mine = alert_events.c.tenant_id == tx.principal.tenant_id
    found: dict[UUID, list[AlertNote]] = {alert_id: [] for alert_id in alert_ids}
    for alert_id in found:
        query = select(alert_events).where(mine, alert_events.c.alert_id == alert_id)
        rows = await tx.rows(query.order_by(alert_events.c.id.desc()).limit(SHOWN))
        found[alert_id] = [_note(row) for row in reversed(rows)]
    return found


def _note(row: RowMapping) -> AlertNote:
    return AlertNote(row["id"], row["alert_id"], row["at"], Happening(row["kind"]), row["by"], row["text"])
