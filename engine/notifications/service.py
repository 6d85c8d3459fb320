"""Telling people: ``notify`` by a policy, ``mail`` to one address; and the log of what became of it.

For whoever makes something worth telling (alerts, rules): make a `Message` in plain words and call, in the transaction
of the fact::

    outcome = await notify(tx, "on-call", message, key=alert.id, about=alert.id)

That writes one delivery a place, and nothing else; the worker sends them after COMMIT (`postman`). ``key`` is yours: it
makes a repetition harmless, since a delivery's id follows from it, the step and the place, and a row is made once. For
another telling of the same thing (cleared, a reminder) take another key: ``uuid5(alert.id, "cleared")``. Escalation is
a policy's steps: step 0 comes at once; when ``policy.step_due(raised_at, n)`` has come and nobody has acknowledged,
call ``notify(…, step=n)`` with the same key. Nothing here raises for a policy that does not exist or is not for
this severity: the `Outcome` says so in words, for whoever shows why nobody was told.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import orjson
from sqlalchemy import JSON, DateTime, Select, Text, Uuid, cast, column, func, literal, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import RowMapping
from sqlalchemy.sql import ColumnElement

from engine.notifications import channels, errors, policies
from engine.notifications.contacts import places
from engine.notifications.model import Channel, ChannelKind, Delivery, DeliveryState, Message, Outcome, one_line
from engine.notifications.tables import channels as channels_table
from engine.notifications.tables import deliveries
from engine.pages import Page, cut, decode_moment, moment, page_size
from engine.store.tx import Tx
from engine.tenants.second_factor import Vault

KEPT = timedelta(days=30)
MOST_WAITING = 20_000
"""So many deliveries of a tenant may wait; more are not made, and the outcome says so."""
_WAITING = text(
    "SELECT count(*) FROM (SELECT FROM deliveries WHERE tenant_id = :tenant AND next_at IS NOT NULL LIMIT :most) w"
)
_OWNERS = text(
    "SELECT u.email FROM memberships m JOIN users u ON u.id = m.user_id "
    "WHERE m.tenant_id = :tenant AND m.role = 'owner' ORDER BY u.email LIMIT 20"
)
PERSONAL = ("invitation", "second_factor.reset")
"""Kinds of messages that are about a person."""
OFF = "The channel is switched off."


async def notify(
    tx: Tx, policy_key: str, message: Message, *, key: UUID, about: UUID | None = None, step: int = 0
) -> Outcome:
    """Tell whom the policy names at ``step``; see the module. ``about``: what it is about, to find it in the log."""
    policy = await policies.by_key(tx, policy_key)
    if policy is None:
        return Outcome(0, f"There is no notification policy “{one_line(policy_key, 40)}”.")
    if not policy.tells_of(message.severity):
        return Outcome(0, f"“{policy.name}” does not tell of {message.severity} alerts.")
    if step >= len(policy.steps):
        return Outcome(0, f"“{policy.name}” has no step {step + 1}.")
    held = policy.held_until(message.severity, tx.now)
    named = await channels.by_ids(tx, policy.steps[step].channels)
    made = await _tell(tx, named, message, uuid5(key, f"step {step}"), about, policy.key, held)
    if made is None:
        return Outcome(0, f"{MOST_WAITING} deliveries are waiting already.")
    if not any(channel.is_enabled for channel in named):
        return Outcome(0, f"Every channel of “{policy.name}” is switched off.")
    return Outcome(made, "" if held is None else f"It waits until quiet hours are over, at {held:%H:%M %Z}.")


async def tell_channel(
    tx: Tx, channel_id: UUID, message: Message, *, key: UUID, about: UUID | None = None
) -> list[Delivery]:
    """Tell one channel, whatever its policies; a test is made so. Raises ChannelNotFound, TooManyWaiting."""
    channel = await channels.get(tx, channel_id)
    if await reach(tx, channel, message, key=key, about=about) is None:
        raise errors.TooManyWaiting
    ids = [uuid5(key, f"{channel.id}|{place}") for place in places(channel.kind, channel.target, channel.settings)]
    return [await get(tx, each) for each in ids]


async def reach(tx: Tx, channel: Channel, message: Message, *, key: UUID, about: UUID | None = None) -> int | None:
    """Tell by one channel; how many deliveries are on their way, None: too many wait and none was made."""
    return await _tell(tx, [channel], message, key, about, None, None, even_off=message.kind == "test")


async def mail(tx: Tx, vault: Vault, to: str, message: Message, *, key: UUID, secret_link: str | None = None) -> UUID:
    """One e-mail to ``to``, a checked address, whoever that is; the delivery's id.

    ``secret_link``: a path that holds a secret, like an invitation's. It is sealed, takes the place of ``message.link``
    when it is sent, and is wiped as soon as the delivery has ended. Only call it where mail is set up. Raises
    TooManyWaiting.
    """
    if await _is_full(tx):
        raise errors.TooManyWaiting
    delivery_id = uuid5(key, f"mail|{to}")
    secret = None
    if secret_link is not None:
        sealed = orjson.dumps({"link": secret_link})
        secret = await vault.seal(sealed, purpose(tx.principal.tenant_id, delivery_id))
    row = _row(tx, delivery_id, ChannelKind.EMAIL, to, message, tx.now) | {"secret": secret}
    await tx.execute(insert(deliveries).values(row).on_conflict_do_nothing())
    return delivery_id


async def mail_owners(tx: Tx, message: Message, *, key: UUID) -> None:
    """One e-mail to each owner of the tenant, however much waits already. Only call it where mail is set up."""
    owners = [row["email"] for row in await tx.rows(_OWNERS, {"tenant": tx.principal.tenant_id})]
    rows = [_row(tx, uuid5(key, f"mail|{to}"), ChannelKind.EMAIL, to, message, tx.now) for to in owners]
    if rows:
        await tx.execute(insert(deliveries).values(rows).on_conflict_do_nothing())


async def page(
    tx: Tx,
    *,
    state: DeliveryState | None = None,
    channel_id: UUID | None = None,
    about: UUID | None = None,
    first: int = 50,
    after: str | None = None,
) -> Page[Delivery]:
    """The delivery log, newest first; it is kept for 30 days. Raises BadCursor, BadPageSize."""
    wanted = [_seen(tx)]
    wanted += [deliveries.c.state == state] if state else []
    wanted += [deliveries.c.channel_id == channel_id] if channel_id else []
    wanted += [deliveries.c.about == about] if about else []
    if after is not None:
        wanted.append(tuple_(deliveries.c.created_at, deliveries.c.id) < decode_moment(after))
    query = _select().where(*wanted).order_by(deliveries.c.created_at.desc(), deliveries.c.id.desc())
    rows = [_delivery(row) for row in await tx.rows(query.limit(page_size(first) + 1))]
    return cut(rows, first, lambda each: moment(each.created_at, each.id))


async def get(tx: Tx, delivery_id: UUID) -> Delivery:
    """One delivery; raises DeliveryNotFound."""
    row = await tx.one(_select().where(_seen(tx), deliveries.c.id == delivery_id))
    if row is None:
        raise errors.DeliveryNotFound
    return _delivery(row)


async def about_alerts(tx: Tx, moments: Collection[tuple[UUID, datetime]]) -> dict[UUID, list[Delivery]]:
    """What was made to tell of these alerts at these moments, alone or with others; oldest first, none older than 30
    days."""
    found: dict[UUID, list[Delivery]] = {alert_id: [] for alert_id, _ in moments}
    if not moments:
        return found
    told = literal([{"alert": str(alert_id), "at": at.isoformat()} for alert_id, at in moments], JSON)
    wanted = func.json_to_recordset(told).table_valued(column("alert", Uuid), column("at", DateTime(timezone=True)))
    wanted = wanted.render_derived(with_types=True)
    named = func.jsonb_build_array(func.jsonb_build_object("id", cast(wanted.c.alert, Text)))
    query = _select().add_columns(wanted.c.alert).where(_seen(tx), deliveries.c.created_at == wanted.c.at)
    query = query.where(deliveries.c.message["data"]["alerts"].contains(named))
    for row in await tx.rows(query.order_by(deliveries.c.created_at, deliveries.c.id)):
        found[row["alert"]].append(_delivery(row))
    return found


async def retry(tx: Tx, delivery_id: UUID) -> Delivery:
    """Send again what was given up, from now on as if it were new. Raises DeliveryNotFound, DeliveryOver."""
    before = await get(tx, delivery_id)
    if not before.can_retry:
        raise errors.DeliveryOver
    fresh = {"state": DeliveryState.WAITING, "attempts": 0, "next_at": tx.now, "first_at": tx.now, "ended_at": None}
    given_up = deliveries.c.state == DeliveryState.GIVEN_UP
    await tx.execute(update(deliveries).where(_of(tx), deliveries.c.id == delivery_id, given_up).values(fresh))
    tx.audit("delivery.retry", "delivery", delivery_id, after={"target": before.target, "title": before.title})
    return await get(tx, delivery_id)


def purpose(tenant_id: UUID, delivery_id: UUID) -> bytes:
    """What a delivery's secret is sealed for: it opens for no other row."""
    return b"delivery 1" + tenant_id.bytes + delivery_id.bytes


async def _tell(
    tx: Tx,
    named: Sequence[Channel],
    message: Message,
    key: UUID,
    about: UUID | None,
    policy: str | None,
    held: datetime | None,
    *,
    even_off: bool = False,
) -> int | None:
    """How many deliveries are on their way; None: too many wait."""
    if await _is_full(tx):
        return None
    rows, made = [], 0
    for channel in named:
        for place in places(channel.kind, channel.target, channel.settings):
            row = _row(tx, uuid5(key, f"{channel.id}|{place}"), channel.kind, place, message, held or tx.now)
            row |= {"channel_id": channel.id, "policy": policy, "about": about}
            if channel.is_enabled or even_off:
                made += 1
            else:  # said in the log, where people look who were not told
                row |= {"state": DeliveryState.GIVEN_UP, "next_at": None, "ended_at": tx.now, "last_error": OFF}
            rows.append(row)
    if rows:
        await tx.execute(insert(deliveries).values(rows).on_conflict_do_nothing())
    return made


async def _is_full(tx: Tx) -> bool:
    return int(await tx.scalar(_WAITING, {"tenant": tx.principal.tenant_id, "most": MOST_WAITING})) >= MOST_WAITING


def _row(
    tx: Tx, delivery_id: UUID, kind: ChannelKind, target: str, message: Message, at: datetime
) -> dict[str, object]:
    return {
        "tenant_id": tx.principal.tenant_id,
        "id": delivery_id,
        "kind": kind.value,
        "channel_id": None,
        "policy": None,
        "target": target,
        "message": message.written(),
        "about": None,
        "state": DeliveryState.WAITING.value,
        "attempts": 0,
        "next_at": at,
        "last_error": None,
        "created_at": tx.now,
        "first_at": at,
        "ended_at": None,
    }


def _select() -> Select[Any]:
    return select(
        *(column for column in deliveries.c if column.name not in ("secret", "message")),
        deliveries.c.message["kind"].astext.label("what"),
        deliveries.c.message["title"].astext.label("title"),
        channels_table.c.name.label("channel_name"),
        channels_table.c.is_enabled.label("channel_is_enabled"),
    ).join_from(
        deliveries,
        channels_table,
        (channels_table.c.tenant_id == deliveries.c.tenant_id) & (channels_table.c.id == deliveries.c.channel_id),
        isouter=True,
    )


def _seen(tx: Tx) -> ColumnElement[bool]:
    """What whoever asks may know of: who was invited or lost a second factor only those who may see people."""
    mine = _of(tx)
    return mine if tx.principal.may("users:read") else mine & deliveries.c.message["kind"].astext.not_in(PERSONAL)


def _of(tx: Tx) -> ColumnElement[bool]:
    return deliveries.c.tenant_id == tx.principal.tenant_id


def _delivery(row: RowMapping) -> Delivery:
    state = DeliveryState(row["state"])
    return Delivery(
        id=row["id"],
        kind=ChannelKind(row["kind"]),
        channel_id=row["channel_id"],
        channel_name=row["channel_name"],
        policy=row["policy"],
        target=row["target"],
        what=row["what"],
        title=row["title"],
        about=row["about"],
        state=state,
        attempts=row["attempts"],
        next_at=row["next_at"] if state is not DeliveryState.SENDING else None,
        last_error=row["last_error"],
        created_at=row["created_at"],
        ended_at=row["ended_at"],
        can_retry=state is DeliveryState.GIVEN_UP and bool(row["channel_is_enabled"]),
    )
