"""The channels of a tenant: making, changing, switching off and removing the ways to reach people."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.sql import ColumnElement

from engine import ids
from engine.notifications import errors
from engine.notifications.contacts import Contact
from engine.notifications.model import Channel, ChannelKind, DeliveryState, reachable
from engine.notifications.policies import listed as all_policies
from engine.notifications.tables import channels, deliveries
from engine.store.tx import Tx
from engine.tenants.second_factor import Vault

MOST = 100
BY_HAND = "Switched off by hand."
GONE = "The channel was removed."


async def listed(tx: Tx) -> list[Channel]:
    """The tenant's channels by name."""
    return [_channel(row) for row in await tx.rows(select(channels).where(_of(tx)).order_by(channels.c.name))]


async def get(tx: Tx, channel_id: UUID) -> Channel:
    """One channel; raises ChannelNotFound."""
    row = await tx.one(select(channels).where(_the(tx, channel_id)))
    if row is None:
        raise errors.ChannelNotFound
    return _channel(row)


async def by_ids(tx: Tx, channel_ids: Sequence[UUID]) -> list[Channel]:
    """Those of these channels that there are, by name."""
    query = select(channels).where(_of(tx), channels.c.id.in_(channel_ids)).order_by(channels.c.name)
    return [_channel(row) for row in await tx.rows(query)]


async def create(tx: Tx, vault: Vault, *, name: str, contact: Contact) -> Channel:
    """A new channel. Raises ChannelMalformed, ChannelNameTaken, TooManyChannels, VaultSealed."""
    if not contact.secrets and contact.kind is not ChannelKind.EMAIL:
        raise errors.ChannelMalformed("A new channel has no key to keep: give the bot's token, or the account's key.")
    clean = await _free_name(tx, name)
    if int(await tx.scalar(select(func.count()).select_from(channels).where(_of(tx)))) >= MOST:
        raise errors.TooManyChannels
    channel_id = ids.uuid7()
    values = {
        "tenant_id": tx.principal.tenant_id,
        "id": channel_id,
        "name": clean,
        "is_enabled": True,
        "failures": 0,
        "version": 1,
        "created_at": tx.now,
        "updated_at": tx.now,
        "kind": contact.kind.value,
        **_leads(contact),
        "secret": await _sealed(tx, vault, channel_id, contact),
    }
    row = await tx.one(insert(channels).values(values).returning(channels))
    assert row is not None
    channel = _channel(row)
    tx.audit("channel.create", "channel", channel.id, after=channel.shown())
    return channel


async def change(
    tx: Tx,
    vault: Vault,
    channel_id: UUID,
    *,
    name: str | None = None,
    contact: Contact | None = None,
    is_enabled: bool | None = None,
    expected_version: int | None = None,
) -> Channel:
    """Change what is given; a channel stays of its kind, and keeps its secrets where ``contact`` has none.

    Switched off, what waits for it is given up.

    Raises ChannelNotFound, Stale, ChannelMalformed, ChannelNameTaken, VaultSealed.
    """
    row = await tx.one(select(channels).where(_the(tx, channel_id)).with_for_update())
    if row is None:
        raise errors.ChannelNotFound
    before = _channel(row)
    if expected_version not in (None, before.version):
        raise errors.Stale
    values: dict[str, Any] = {"version": before.version + 1, "updated_at": tx.now}
    if name is not None:
        values["name"] = await _free_name(tx, name, before)
    if contact is not None:
        if contact.kind is not before.kind:
            raise errors.ChannelMalformed(f"This channel is of the kind {before.kind}, and stays so: make another one.")
        if not contact.secrets and contact.settings.get("provider") != before.settings.get("provider"):
            raise errors.ChannelMalformed("Another carrier has another key: give that too.")
        values |= _leads(contact)
        if contact.secrets:
            values["secret"] = await _sealed(tx, vault, channel_id, contact)
    if is_enabled is not None:
        values |= {"is_enabled": is_enabled, "disabled_reason": None if is_enabled else BY_HAND}
    if contact is not None or is_enabled:
        values |= {"failures": 0, "failing_since": None, "last_error": None}
    if is_enabled is False:
        await give_up(tx, channel_id, BY_HAND)
    changed = await tx.one(update(channels).where(_the(tx, channel_id)).values(values).returning(channels))
    assert changed is not None
    after = _channel(changed)
    tx.audit("channel.change", "channel", channel_id, before=before.shown(), after=after.shown())
    return after


async def remove(tx: Tx, channel_id: UUID) -> Channel:
    """Remove a channel that no policy names; the log keeps what it sent. Raises ChannelNotFound, ChannelInUse."""
    # The channel first, then its deliveries: in this order everybody locks them.
    row = await tx.one(select(channels).where(_the(tx, channel_id)).with_for_update())
    if row is None:
        raise errors.ChannelNotFound
    channel = _channel(row)
    if any(channel_id in reachable(policy.steps) for policy in await all_policies(tx)):
        raise errors.ChannelInUse
    await give_up(tx, channel_id, GONE)
    await tx.execute(delete(channels).where(_the(tx, channel_id)))
    tx.audit("channel.delete", "channel", channel_id, before=channel.shown())
    return channel


async def give_up(tx: Tx, channel_id: UUID, words: str) -> int:
    """Give up whatever waits for a channel; how much that was. What is under way just now ends by itself."""
    waits = deliveries.c.next_at.is_not(None) & (deliveries.c.state != DeliveryState.SENDING)
    theirs = (deliveries.c.tenant_id == tx.principal.tenant_id) & (deliveries.c.channel_id == channel_id)
    over = {"state": DeliveryState.GIVEN_UP, "next_at": None, "ended_at": tx.now, "last_error": words}
    return int((await tx.execute(update(deliveries).where(theirs, waits).values(over))).rowcount)


async def secrets(vault: Vault, tenant_id: UUID, channel: Channel) -> dict[str, str]:
    """What was sealed of a channel, for whoever sends. Raises VaultSealed."""
    opened = orjson.loads(await vault.open(channel.secret, _purpose(tenant_id, channel.id)))
    return {str(name): str(value) for name, value in opened.items()}


def _leads(contact: Contact) -> dict[str, Any]:
    return {"target": contact.target, "settings": dict(contact.settings)}


async def _sealed(tx: Tx, vault: Vault, channel_id: UUID, contact: Contact) -> bytes:
    return await vault.seal(orjson.dumps(dict(contact.secrets)), _purpose(tx.principal.tenant_id, channel_id))


async def _free_name(tx: Tx, name: str, mine: Channel | None = None) -> str:
    clean = name.strip()
    if not 1 <= len(clean) <= 60 or not clean.isprintable():
        raise errors.ChannelMalformed("A channel's name has 1 to 60 characters.")
    other = await tx.scalar(select(channels.c.id).where(_of(tx), channels.c.name == clean))
    if other is not None and (mine is None or other != mine.id):
        raise errors.ChannelNameTaken
    return clean


def _purpose(tenant_id: UUID, channel_id: UUID) -> bytes:
    return b"channel 1" + tenant_id.bytes + channel_id.bytes


def _of(tx: Tx) -> ColumnElement[bool]:
    return channels.c.tenant_id == tx.principal.tenant_id


def _the(tx: Tx, channel_id: UUID) -> ColumnElement[bool]:
    return _of(tx) & (channels.c.id == channel_id)


def _channel(row: RowMapping) -> Channel:
    return Channel(
        id=row["id"],
        kind=ChannelKind(row["kind"]),
        name=row["name"],
        target=row["target"],
        settings=row["settings"],
        is_enabled=row["is_enabled"],
        disabled_reason=row["disabled_reason"],
        failures=row["failures"],
        failing_since=row["failing_since"],
        last_error=row["last_error"],
        last_success_at=row["last_success_at"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        secret=bytes(row["secret"]),
    )
