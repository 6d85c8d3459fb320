"""Taking deliveries to send, and noting what became of them: the worker's half of the rows.

A delivery under way belongs to whoever holds its lease, for ``LEASE_S``. Who dies with it has not marked it, so it is
sent again with the same id: at least once, never never.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, text, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.sql import ColumnElement

from engine.notifications import channels, retry
from engine.notifications.errors import Undelivered
from engine.notifications.model import TEST, ChannelKind, DeliveryState, Message
from engine.notifications.service import KEPT
from engine.notifications.tables import channels as channels_table
from engine.notifications.tables import deliveries
from engine.store.tx import Tx

LEASE_S = 90.0
"""Longer than any sending may take."""
EACH = 3
"""So many deliveries of one channel are under way at once, of all workers: a dead endpoint holds up nothing else."""
LOOKED_AT = 500
"""So many of those deliveries are looked at that wait longest and whose channel may have one more under way: to put
twenty thousand in order at each look cost the database 40 ms. Those behind are seen once these are under way."""
POSTPONE_S = 300.0
PRUNE_AT_ONCE = 5_000

_LEASE = text(
    """
    WITH busy AS (
        SELECT coalesce(channel_id, id) AS lane, count(*) AS n FROM deliveries
        WHERE tenant_id = :tenant AND state = 'sending' AND next_at > :now GROUP BY 1
    ), first AS (
        SELECT id, coalesce(channel_id, id) AS lane, next_at FROM deliveries
        WHERE tenant_id = :tenant AND next_at <= :now
          AND coalesce(channel_id, id) <> ALL (ARRAY(SELECT lane FROM busy WHERE n >= :each))
        ORDER BY next_at LIMIT :most
    ), ready AS (
        SELECT id, lane, next_at, row_number() OVER (PARTITION BY lane ORDER BY next_at) AS nth FROM first
    ), picked AS (
        SELECT d.id FROM deliveries d JOIN ready r ON r.id = d.id LEFT JOIN busy b ON b.lane = r.lane
        WHERE d.tenant_id = :tenant AND d.next_at <= :now AND r.nth + coalesce(b.n, 0) <= :each
        ORDER BY r.next_at LIMIT :room FOR UPDATE OF d SKIP LOCKED
    )
    UPDATE deliveries d SET state = 'sending', attempts = d.attempts + 1, next_at = :until
    FROM picked p WHERE d.tenant_id = :tenant AND d.id = p.id
    RETURNING d.id, d.kind, d.channel_id, d.target, d.message, d.secret, d.attempts, d.created_at, d.first_at
    """
)


@dataclass(frozen=True, slots=True)
class Leased:
    """A delivery that is ours to send until its lease ends. ``attempts`` counts this try already."""

    id: UUID
    kind: ChannelKind
    channel_id: UUID | None
    target: str
    node: Mapping[str, object] = field(repr=False)
    secret: bytes | None = field(repr=False)
    attempts: int
    created_at: datetime
    first_at: datetime

    @property
    def is_test(self) -> bool:
        """Whether somebody waits to see what becomes of it: it is tried once."""
        return self.node.get("kind") == TEST

    def message(self, link: str | None = None) -> Message:
        """What is to be said; ``link`` where it was sealed."""
        return Message.read(self.node, link)


async def take(tx: Tx, room: int) -> list[Leased]:
    """Up to ``room`` of the tenant's due deliveries, ours from COMMIT on."""
    given = {"tenant": tx.principal.tenant_id, "now": tx.now, "each": EACH, "room": room, "most": LOOKED_AT}
    rows = await tx.rows(_LEASE, given | {"until": tx.now + timedelta(seconds=LEASE_S)})
    return [_leased(row) for row in rows]


async def arrived(tx: Tx, leased: Leased) -> None:
    """It was delivered: its secret is wiped, and its channel is well."""
    if leased.channel_id is not None:
        well = {"failures": 0, "failing_since": None, "last_error": None, "last_success_at": tx.now}
        await tx.execute(update(channels_table).where(_channel(tx, leased.channel_id)).values(well))
    over = {"state": DeliveryState.DELIVERED, "next_at": None, "ended_at": tx.now, "last_error": None, "secret": None}
    await tx.execute(update(deliveries).where(_ours(tx, leased)).values(over))


async def failed(tx: Tx, leased: Leased, trouble: Undelivered, dead_days: float) -> RowMapping | None:
    """It did not arrive: try again later, or give up. The channel's row if it was switched off for that just now."""
    sick = None
    if leased.channel_id is not None and not leased.is_test:
        sick = await _ill(tx, leased.channel_id, trouble)
    age_s = (tx.now - leased.first_at).total_seconds()
    is_off = leased.channel_id is not None and sick is None  # meanwhile, by hand or by another one's failure
    wait = None if trouble.is_final or is_off or leased.is_test else retry.wait_s(leased.attempts, age_s)
    values: dict[str, Any] = {"last_error": trouble.words}
    if wait is None:
        values |= {"state": DeliveryState.GIVEN_UP, "next_at": None, "ended_at": tx.now, "secret": None}
    else:
        values |= {"state": DeliveryState.RETRYING, "next_at": tx.now + timedelta(seconds=wait)}
    await tx.execute(update(deliveries).where(_ours(tx, leased)).values(values))
    if sick is None:
        return None
    if trouble.is_gone or retry.is_dead(sick["failures"], sick["failing_since"], tx.now, dead_days):
        return await _switch_off(tx, sick, trouble)
    if wait is not None:  # the others of this channel need not knock at a shut door one by one
        await _postpone(tx, leased.channel_id, min(wait, POSTPONE_S))
    return None


async def prune(tx: Tx) -> int:
    """Forget what ended 30 days ago; how many deliveries that were, at most ``PRUNE_AT_ONCE``."""
    old = (
        select(deliveries.c.id)
        .where(_of(tx), deliveries.c.created_at < tx.now - KEPT, deliveries.c.ended_at < tx.now - KEPT)
        .limit(PRUNE_AT_ONCE)
    )
    return int((await tx.execute(delete(deliveries).where(_of(tx), deliveries.c.id.in_(old)))).rowcount)


async def _ill(tx: Tx, channel_id: UUID, trouble: Undelivered) -> RowMapping | None:
    values = {
        "failures": channels_table.c.failures + 1,
        "failing_since": text("coalesce(failing_since, now())"),
        "last_error": trouble.words,
    }
    mine = _channel(tx, channel_id) & channels_table.c.is_enabled
    return await tx.one(update(channels_table).where(mine).values(values).returning(channels_table))


async def _switch_off(tx: Tx, sick: RowMapping, trouble: Undelivered) -> RowMapping | None:
    words = f"Switched off after {sick['failures']} failures in a row. The last: {trouble.words}"
    values = {"is_enabled": False, "disabled_reason": words, "updated_at": tx.now, "version": sick["version"] + 1}
    off = update(channels_table).where(_channel(tx, sick["id"])).values(values).returning(channels_table)
    row = await tx.one(off)
    await channels.give_up(tx, sick["id"], words)
    said = {"name": sick["name"], "kind": sick["kind"], "target": sick["target"]}
    tx.audit(
        "channel.disable",
        "channel",
        sick["id"],
        before=said | {"is_enabled": True},
        after=said | {"is_enabled": False, "reason": words},
    )
    return row


async def _postpone(tx: Tx, channel_id: UUID | None, wait_s: float) -> None:
    until = tx.now + timedelta(seconds=wait_s)
    waits = deliveries.c.state.in_((DeliveryState.WAITING, DeliveryState.RETRYING)) & (deliveries.c.next_at < until)
    theirs = _of(tx) & (deliveries.c.channel_id == channel_id)
    await tx.execute(update(deliveries).where(theirs, waits).values(next_at=until))


def _of(tx: Tx) -> ColumnElement[bool]:
    return deliveries.c.tenant_id == tx.principal.tenant_id


def _ours(tx: Tx, leased: Leased) -> ColumnElement[bool]:
    """The row as we took it: whoever has taken it after us marks it."""
    is_ours = (deliveries.c.state == DeliveryState.SENDING) & (deliveries.c.attempts == leased.attempts)
    return _of(tx) & (deliveries.c.id == leased.id) & is_ours


def _channel(tx: Tx, channel_id: UUID) -> ColumnElement[bool]:
    return (channels_table.c.tenant_id == tx.principal.tenant_id) & (channels_table.c.id == channel_id)


def _leased(row: RowMapping) -> Leased:
    return Leased(
        id=row["id"],
        kind=ChannelKind(row["kind"]),
        channel_id=row["channel_id"],
        target=row["target"],
        node=row["message"],
        secret=None if row["secret"] is None else bytes(row["secret"]),
        attempts=row["attempts"],
        created_at=row["created_at"],
        first_at=row["first_at"],
    )
