"""What people do with an alert while it is open: give it to somebody, talk about it, put it off."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import and_, func, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.sql import ColumnElement

from engine.alerts import errors, events, service, telling, timeline
from engine.alerts.model import Alert, AlertGroup, AlertStatus, Happening
from engine.alerts.tables import alerts
from engine.store.tx import Tx
from engine.tenants import members
from engine.tenants.errors import MemberNotFound

MAX_COMMENT = 2_000
LONGEST_SNOOZE = timedelta(days=30)
AT_ONCE = 200
_WORST = ("critical", "major", "minor", "info")


async def assign(tx: Tx, alert_id: UUID, user_id: UUID | None) -> Alert:
    """Give the alert to a member, or to nobody. Raises AlertNotFound, AlertCleared, NotAMember."""
    before = await _open(tx, alert_id)
    name = None
    if user_id is not None:
        try:
            name = (await members.get(tx, user_id)).user.name
        except MemberNotFound:
            raise errors.NotAMember from None
    if before["assigned_to"] != user_id:
        await _change(tx, before, {"assigned_to": user_id, "assigned_name": name})
        await timeline.write(tx, alert_id, Happening.ASSIGNED, name)
        tx.audit("alert.assign", "alert", alert_id, after={"assigned_to": None if user_id is None else str(user_id)})
    return await service.get(tx, alert_id)


async def comment(tx: Tx, alert_id: UUID, text: str) -> Alert:
    """Say something about an alert, open or not. Raises AlertNotFound, CommentMalformed."""
    words = text.strip()
    if not words or len(words) > MAX_COMMENT or "\0" in words:
        raise errors.CommentMalformed
    before = await _locked(tx, alert_id)
    await _change(tx, before, {})
    await timeline.write(tx, alert_id, Happening.COMMENTED, words)
    tx.audit("alert.comment", "alert", alert_id, after={"characters": len(words)})
    return await service.get(tx, alert_id)


async def snooze(tx: Tx, alert_id: UUID, until: datetime) -> Alert:
    """Tell nobody about the alert before ``until``; if it is open then, telling goes on.

    Raises AlertNotFound, AlertCleared, SnoozeMalformed.
    """
    if not tx.now < until <= tx.now + LONGEST_SNOOZE:
        raise errors.SnoozeMalformed
    before = await _open(tx, alert_id)
    await _change(tx, before, {"snoozed_until": until})
    await telling.put_off(tx, [alert_id], until)
    await timeline.write(tx, alert_id, Happening.SNOOZED, f"Until {until:%Y-%m-%d %H:%M} UTC.")
    tx.audit("alert.snooze", "alert", alert_id, after={"until": until.isoformat()})
    return await service.get(tx, alert_id)


async def wake(tx: Tx, alert_id: UUID) -> Alert:
    """End a snooze at once; on an alert that is not snoozed nothing happens. Raises AlertNotFound, AlertCleared."""
    before = await _open(tx, alert_id)
    if before["snoozed_until"] is not None and before["snoozed_until"] > tx.now:
        await _change(tx, before, {"snoozed_until": None})
        await telling.put_off(tx, [alert_id], tx.now)
        await timeline.write(tx, alert_id, Happening.WOKEN)
        tx.audit("alert.wake", "alert", alert_id)
    return await service.get(tx, alert_id)


async def acknowledge_all(tx: Tx, alert_ids: Sequence[UUID], note: str | None = None) -> list[Alert]:
    """Acknowledge those of the alerts that are open and not acknowledged; returns all of them as they are now.

    Raises TooManyAlerts, AlertNotFound (then none is acknowledged), NoteTooLong.
    """
    return await _together(tx, alert_ids, lambda alert_id: service.acknowledge(tx, alert_id, note))


async def snooze_all(tx: Tx, alert_ids: Sequence[UUID], until: datetime) -> list[Alert]:
    """Put off those of the alerts that are open; returns all of them as they are now.

    Raises TooManyAlerts, AlertNotFound (then none is put off), SnoozeMalformed.
    """
    return await _together(tx, alert_ids, lambda alert_id: snooze(tx, alert_id, until))


async def _together(tx: Tx, alert_ids: Sequence[UUID], do: Callable[[UUID], Awaitable[Alert]]) -> list[Alert]:
    """Each in the order of ids, so that two who do so at once wait for each other; what has cleared is left alone."""
    if len(alert_ids) > AT_ONCE:
        raise errors.TooManyAlerts
    for alert_id in sorted(set(alert_ids)):
        with suppress(errors.AlertCleared):
            await do(alert_id)
    found = await service.by_ids(tx, alert_ids)
    return [found[alert_id] for alert_id in dict.fromkeys(alert_ids)]


async def grouped(tx: Tx, first: int = 50) -> list[AlertGroup]:
    """Open alerts by rule, the worst and newest first, at most ``first`` groups."""
    worst = func.min(func.array_position(list(_WORST), alerts.c.severity))
    query = (
        select(
            alerts.c.rule_id,
            func.count().label("open"),
            func.count().filter(alerts.c.status == AlertStatus.ACTIVE).label("unacknowledged"),
            worst.label("worst"),
            func.min(alerts.c.raised_at).label("oldest_at"),
            func.max(alerts.c.raised_at).label("newest_at"),
        )
        .where(alerts.c.tenant_id == tx.principal.tenant_id, alerts.c.status != AlertStatus.CLEARED)
        .group_by(alerts.c.rule_id)
        .order_by(worst, func.max(alerts.c.raised_at).desc(), alerts.c.rule_id)
        .limit(first)
    )
    return [
        AlertGroup(
            row["rule_id"],
            row["open"],
            row["unacknowledged"],
            _WORST[row["worst"] - 1],
            row["oldest_at"],
            row["newest_at"],
        )
        for row in await tx.rows(query)
    ]


async def _open(tx: Tx, alert_id: UUID) -> RowMapping:
    row = await _locked(tx, alert_id)
    if row["status"] == AlertStatus.CLEARED:
        raise errors.AlertCleared
    return row


async def _locked(tx: Tx, alert_id: UUID) -> RowMapping:
    row = await tx.one(select(alerts).where(_this(tx, alert_id)).with_for_update(key_share=True))
    if row is None:
        raise errors.AlertNotFound
    return row


async def _change(tx: Tx, row: RowMapping, values: dict[str, object]) -> None:
    await tx.execute(update(alerts).where(_this(tx, row["id"])).values(**values, version=alerts.c.version + 1))
    tx.emit(events.AlertChanged(row["id"], row["rule_id"], row["device_id"]))


def _this(tx: Tx, alert_id: UUID) -> ColumnElement[bool]:
    return and_(alerts.c.tenant_id == tx.principal.tenant_id, alerts.c.id == alert_id)
