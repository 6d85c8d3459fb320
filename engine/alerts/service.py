"""Alerts: raise, acknowledge, clear, and find them."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, and_, func, select, text, tuple_, update
from sqlalchemy.engine import RowMapping

from engine import pages
from engine.alerts import errors, events, silences, telling, timeline
from engine.alerts.model import Alert, AlertStatus, Cleared, Happening, Raised
from engine.alerts.tables import alerts
from engine.pages import Page
from engine.store.tx import Tx

# One JSON document per statement: an array per column costs the client ten times as much. What alerts of a rule have in
# common is said once, and which of them are new only where not all are: each is read and written for every alert.
_RAISE = text(
    """
    WITH raised AS (
        INSERT INTO alerts (tenant_id, id, rule_id, rule_version, device_id, episode, severity, status, reason, why,
                            raised_at, version)
        SELECT :tenant, r.id, of.rule_id, of.rule_version, r.device_id, r.episode, of.severity, 'active', r.reason,
               r.why, r.raised_at, 1
        FROM json_to_recordset(CAST(:raised AS json)) AS of (
            rule_id uuid, rule_version int, severity text, alerts json
        ) CROSS JOIN LATERAL json_to_recordset(of.alerts) AS r (
            id uuid, device_id uuid, episode bigint, reason text, why jsonb, raised_at timestamptz
        )
        ON CONFLICT DO NOTHING
        RETURNING id
    )
    SELECT CASE WHEN count(*) < :most THEN array_agg(CAST(id AS text)) END AS ids FROM raised
    """
)
_CLEAR = text(
    """
    UPDATE alerts a SET status = 'cleared', cleared_at = c.cleared_at, cleared_reason = c.reason, version = version + 1
    FROM json_to_recordset(CAST(:cleared AS json)) AS c (
        rule_id uuid, device_id uuid, episode bigint, cleared_at timestamptz, reason text
    )
    WHERE a.tenant_id = :tenant AND a.rule_id = c.rule_id AND a.device_id = c.device_id AND a.episode = c.episode
      AND a.status <> 'cleared'
    RETURNING a.id, a.rule_id, a.device_id
    """
)


async def page(
    tx: Tx,
    *,
    status: AlertStatus | None = None,
    is_open: bool | None = None,
    device_id: UUID | None = None,
    rule_id: UUID | None = None,
    severity: str | None = None,
    assigned_to: UUID | None = None,
    first: int = 50,
    after: str | None = None,
) -> Page[Alert]:
    """Alerts, newest first. ``is_open`` chooses those not cleared (or only those that are)."""
    size = pages.page_size(first)
    query = select(alerts).where(alerts.c.tenant_id == tx.principal.tenant_id)
    if status is not None:
        query = query.where(alerts.c.status == status)
    if is_open is not None:
        cleared = alerts.c.status == AlertStatus.CLEARED
        query = query.where(~cleared if is_open else cleared)
    if device_id is not None:
        query = query.where(alerts.c.device_id == device_id)
    if rule_id is not None:
        query = query.where(alerts.c.rule_id == rule_id)
    if severity is not None:
        query = query.where(alerts.c.severity == severity)
    if assigned_to is not None:
        query = query.where(alerts.c.assigned_to == assigned_to)
    if after is not None:
        query = query.where(tuple_(alerts.c.raised_at, alerts.c.id) < tuple_(*pages.decode_moment(after)))
    rows = await tx.rows(query.order_by(alerts.c.raised_at.desc(), alerts.c.id.desc()).limit(size + 1))
    return pages.cut([_alert(row) for row in rows], size, lambda alert: pages.moment(alert.raised_at, alert.id))


async def get(tx: Tx, alert_id: UUID) -> Alert:
    """The alert with this id; raises AlertNotFound."""
    row = await tx.one(select(alerts).where(_this(tx, alert_id)))
    if row is None:
        raise errors.AlertNotFound
    return _alert(row)


async def by_ids(tx: Tx, alert_ids: Sequence[UUID]) -> dict[UUID, Alert]:
    """Those of ``alert_ids`` that exist."""
    query = select(alerts).where(alerts.c.tenant_id == tx.principal.tenant_id, alerts.c.id.in_(alert_ids))
    return {row["id"]: _alert(row) for row in await tx.rows(query)}


async def there(tx: Tx, alert_ids: Sequence[UUID]) -> set[UUID]:
    """Which of ``alert_ids`` exist."""
    if not alert_ids:
        return set()
    mine = and_(alerts.c.tenant_id == tx.principal.tenant_id, alerts.c.id.in_(alert_ids))
    return {row["id"] for row in await tx.rows(select(alerts.c.id).where(mine))}


async def open_by_rule(tx: Tx, rule_ids: Sequence[UUID]) -> dict[UUID, int]:
    """How many alerts of each rule are not cleared."""
    query = (
        select(alerts.c.rule_id, func.count().label("n"))
        .where(alerts.c.tenant_id == tx.principal.tenant_id, alerts.c.rule_id.in_(rule_ids))
        .where(alerts.c.status != AlertStatus.CLEARED)
        .group_by(alerts.c.rule_id)
    )
    found = {row["rule_id"]: row["n"] for row in await tx.rows(query)}
    return {rule_id: found.get(rule_id, 0) for rule_id in rule_ids}


async def count_open(tx: Tx) -> int:
    """How many alerts are not cleared."""
    mine = and_(alerts.c.tenant_id == tx.principal.tenant_id, alerts.c.status != AlertStatus.CLEARED)
    return int(await tx.scalar(select(func.count()).where(mine)))


async def acknowledge(tx: Tx, alert_id: UUID, note: str | None = None) -> Alert:
    """Say that somebody has seen it; repeating it changes nothing. Raises AlertNotFound, AlertCleared, NoteTooLong."""
    if note is not None and (len(note) > 1000 or "\0" in note):
        raise errors.NoteTooLong
    # No key is changed: a lock that whoever writes its history need not wait for.
    row = await tx.one(select(alerts).where(_this(tx, alert_id)).with_for_update(key_share=True))
    if row is None:
        raise errors.AlertNotFound
    if row["status"] == AlertStatus.CLEARED:
        raise errors.AlertCleared
    if row["status"] == AlertStatus.ACKNOWLEDGED:
        return _alert(row)
    changed = await tx.one(
        update(alerts)
        .where(_this(tx, alert_id))
        .values(
            status=AlertStatus.ACKNOWLEDGED,
            acknowledged_at=tx.now,
            acknowledged_by=tx.principal.name,
            note=note,
            version=alerts.c.version + 1,
        )
        .returning(alerts)
    )
    assert changed is not None
    tx.emit(events.AlertAcknowledged(alert_id, row["rule_id"], row["device_id"]))
    await timeline.write(tx, alert_id, Happening.ACKNOWLEDGED, note)
    await telling.stop(tx, [alert_id])
    tx.audit("alert.acknowledge", "alert", alert_id, after={"note": note})
    return _alert(changed)


async def raise_all(tx: Tx, raised: Sequence[Raised]) -> None:
    """Raise these alerts; one that was raised before stays as it is and is not told again."""
    if not raised:
        return
    tenant_id = str(tx.principal.tenant_id)
    by_id = {one.key(tenant_id): one for one in raised}
    told = orjson.dumps(_by_rule(by_id)).decode()
    some = await tx.one(_RAISE, {"tenant": tx.principal.tenant_id, "raised": told, "most": len(by_id)})
    if some is not None and some["ids"] is not None:
        by_id = {each: by_id[each] for each in some["ids"]}
    for id_, one in by_id.items():
        tx.emit(events.AlertRaised(id_, one.rule_id, one.device_id))
    hushed = [(UUID(id_), one.hushed) for id_, one in by_id.items() if one.hushed]
    if hushed:
        await timeline.write_all(tx, hushed, Happening.NOT_TOLD)
    await silences.apply(tx, by_id)


def _by_rule(by_id: Mapping[str, Raised]) -> list[dict[str, object]]:
    """The alerts of each version of a rule together, as `_RAISE` reads them."""
    found: dict[tuple[str, int, str], list[dict[str, object]]] = {}
    for id_, one in by_id.items():
        said = {
            "id": id_,
            "device_id": one.device_id,
            "episode": one.episode,
            "reason": one.reason,
            "why": one.why,
            "raised_at": one.raised_at,
        }
        found.setdefault((one.rule_id, one.rule_version, one.severity), []).append(said)
    return [
        {"rule_id": rule_id, "rule_version": version, "severity": severity, "alerts": alerts_}
        for (rule_id, version, severity), alerts_ in found.items()
    ]


async def clear_all(tx: Tx, cleared: Sequence[Cleared]) -> None:
    """End these episodes; one that has ended stays as it is."""
    if not cleared:
        return
    told = orjson.dumps(list(cleared)).decode()
    ended: list[UUID] = []
    for row in await tx.rows(_CLEAR, {"tenant": tx.principal.tenant_id, "cleared": told}):
        tx.emit(events.AlertCleared(row["id"], row["rule_id"], row["device_id"]))
        ended.append(row["id"])
    await telling.stop(tx, ended, from_step=1)  # that it was there is told once, even if it was over at once


def _this(tx: Tx, alert_id: UUID) -> ColumnElement[bool]:
    return and_(alerts.c.tenant_id == tx.principal.tenant_id, alerts.c.id == alert_id)


def _alert(row: RowMapping) -> Alert:
    return Alert(
        id=row["id"],
        rule_id=row["rule_id"],
        rule_version=row["rule_version"],
        device_id=row["device_id"],
        episode=row["episode"],
        severity=row["severity"],
        status=AlertStatus(row["status"]),
        reason=row["reason"],
        why=row["why"],
        raised_at=row["raised_at"],
        acknowledged_at=row["acknowledged_at"],
        acknowledged_by=row["acknowledged_by"],
        note=row["note"],
        cleared_at=row["cleared_at"],
        cleared_reason=row["cleared_reason"],
        version=row["version"],
        assigned_to=row["assigned_to"],
        assigned_name=row["assigned_name"],
        snoozed_until=row["snoozed_until"],
        silenced_until=row["silenced_until"],
    )
