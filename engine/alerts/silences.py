"""Silences: times in which alerts are raised and nobody is told, such as a planned maintenance."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, insert, select, update
from sqlalchemy.engine import RowMapping

from engine import ids, pages
from engine.alerts import errors, telling, timeline
from engine.alerts.model import Happening, Raised, Silence
from engine.alerts.tables import alerts, silences
from engine.devices import groups
from engine.devices import service as devices
from engine.pages import Page
from engine.store.tx import Tx

LONGEST = timedelta(days=366)
MOST = 500


async def create(
    tx: Tx,
    *,
    reason: str,
    until_at: datetime,
    from_at: datetime | None = None,
    rule_id: UUID | None = None,
    device_id: UUID | None = None,
    group_id: UUID | None = None,
) -> Silence:
    """Silence what is named from ``from_at`` (default: now) until ``until_at``; alerts that are open stay as they are.

    Raises SilenceMalformed, TooManySilences, DeviceNotFound, GroupNotFound.
    """
    words, begins = reason.strip(), from_at or tx.now
    if not 0 < len(words) <= 500 or "\0" in words or not max(begins, tx.now) < until_at <= tx.now + LONGEST:
        raise errors.SilenceMalformed
    if device_id is not None:
        await devices.get(tx, device_id)
    if group_id is not None:
        await groups.get(tx, group_id)
    if int(await tx.scalar(select(func.count()).select_from(silences).where(_mine(tx), _is_open(tx)))) >= MOST:
        raise errors.TooManySilences
    values = {
        "tenant_id": tx.principal.tenant_id,
        "id": ids.uuid7(),
        "reason": words,
        "rule_id": rule_id,
        "device_id": device_id,
        "group_id": group_id,
        "from_at": begins,
        "until_at": until_at,
        "created_by": tx.principal.name or tx.principal.kind,
        "created_at": tx.now,
    }
    row = await tx.one(insert(silences).values(values).returning(silences))
    assert row is not None
    silence = _silence(row)
    tx.audit("silence.create", "silence", silence.id, after=_told(silence))
    return silence


async def end(tx: Tx, silence_id: UUID) -> Silence:
    """End a silence now; one that is over stays as it is. Raises SilenceNotFound."""
    silence = await get(tx, silence_id)
    if silence.ended_at is None and silence.until_at > tx.now:
        row = await tx.one(update(silences).where(_this(tx, silence_id)).values(ended_at=tx.now).returning(silences))
        assert row is not None
        silence = _silence(row)
        mine = and_(alerts.c.tenant_id == tx.principal.tenant_id, alerts.c.silence_id == silence_id)
        quiet = await tx.rows(
            update(alerts)
            .where(mine, alerts.c.silenced_until > tx.now)
            .values(silenced_until=tx.now)
            .returning(alerts.c.id)
        )
        await telling.put_off(tx, [each["id"] for each in quiet], tx.now)
        tx.audit("silence.end", "silence", silence_id)
    return silence


async def get(tx: Tx, silence_id: UUID) -> Silence:
    """One silence; raises SilenceNotFound."""
    row = await tx.one(select(silences).where(_this(tx, silence_id)))
    if row is None:
        raise errors.SilenceNotFound
    return _silence(row)


async def page(tx: Tx, *, is_open: bool | None = None, first: int = 50, after: str | None = None) -> Page[Silence]:
    """Silences, the newest first; only those that have not ended, or only those that have."""
    size = pages.page_size(first)
    query = select(silences).where(_mine(tx))
    if is_open is not None:
        query = query.where(_is_open(tx) if is_open else ~_is_open(tx))
    if after is not None:
        try:
            query = query.where(silences.c.id < UUID(pages.decode(after)))
        except ValueError as error:
            raise pages.BadCursor from error
    rows = await tx.rows(query.order_by(silences.c.id.desc()).limit(size + 1))
    return pages.cut([_silence(row) for row in rows], size, lambda silence: str(silence.id))


async def apply(tx: Tx, raised: Mapping[str, Raised]) -> None:
    """Note on these new alerts, by id, until when they are silent, if a silence is about them."""
    if not raised:
        return
    now = [_silence(row) for row in await tx.rows(select(silences).where(_mine(tx), _is_open(tx)).limit(MOST))]
    for silence in now:
        if silence.from_at > tx.now:
            continue
        about = {UUID(id_): UUID(one.device_id) for id_, one in raised.items() if _fits(silence, one)}
        if about and silence.group_id is not None:
            inside = set(await groups.members_among(tx, silence.group_id, list(about.values())))
            about = {id_: device_id for id_, device_id in about.items() if device_id in inside}
        if about:
            await _note(tx, silence, list(about))


async def _note(tx: Tx, silence: Silence, alert_ids: list[UUID]) -> None:
    later = func.greatest(alerts.c.silenced_until, silence.until_at)
    mine = and_(alerts.c.tenant_id == tx.principal.tenant_id, alerts.c.id.in_(alert_ids))
    await tx.execute(update(alerts).where(mine).values(silenced_until=later, silence_id=silence.id))
    words = f"{silence.reason} (until {silence.until_at:%Y-%m-%d %H:%M} UTC)"
    await timeline.write_all(tx, [(alert_id, words) for alert_id in alert_ids], Happening.SILENCED)


def _fits(silence: Silence, one: Raised) -> bool:
    is_its_rule = silence.rule_id is None or str(silence.rule_id) == one.rule_id
    return is_its_rule and (silence.device_id is None or str(silence.device_id) == one.device_id)


def _is_open(tx: Tx) -> ColumnElement[bool]:
    return and_(silences.c.ended_at.is_(None), silences.c.until_at > tx.now)


def _mine(tx: Tx) -> ColumnElement[bool]:
    return silences.c.tenant_id == tx.principal.tenant_id


def _this(tx: Tx, silence_id: UUID) -> ColumnElement[bool]:
    return and_(_mine(tx), silences.c.id == silence_id)


def _told(silence: Silence) -> dict[str, object]:
    about = {"rule": silence.rule_id, "device": silence.device_id, "group": silence.group_id}
    named = {what: str(which) for what, which in about.items() if which is not None}
    times = {"from": silence.from_at.isoformat(), "until": silence.until_at.isoformat()}
    return {"reason": silence.reason, **named, **times}


def _silence(row: RowMapping) -> Silence:
    return Silence(**{name: row[name] for name in Silence.__dataclass_fields__})
