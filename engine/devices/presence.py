"""Presence: what the journal's session events say about who is connected, newest session wins; and through whom.

A device behind a gateway comes through it. Since when it came through which one is kept beside its presence, as
``[[epoch ms, key of the gateway or null], …]``, the oldest first: so a reading can say which gateway brought it, and
pays nothing for it (ADR 74).
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text

from engine.journal.model import Entry
from engine.store.tx import Tx
from engine.store.wire import Reading

CONNECTED = "device.connected"
KINDS = frozenset({CONNECTED, "device.disconnected"})
KEPT = 20
"""So many changes of its gateway are kept of a device."""

Ways = Sequence[tuple[int, str | None]]
"""Since when (epoch ms) a device came through which gateway; None: by itself."""

# An event of an older session than the one last heard of changes nothing: a take-over's farewell comes late. One that
# was away and still is was heard of no later for that: only why it is away is news. Whoever never came through a
# gateway, nearly all, has nothing there, and keeps it so.
_FOLLOW = text(
    """
    UPDATE presence p SET is_online = u.online, reason = u.reason, seen_epoch = u.epoch,
        since = CASE WHEN u.ways IS NOT NULL OR p.is_online THEN to_timestamp(u.at / 1000.0) ELSE p.since END,
        through = CASE
            WHEN u.ways IS NULL OR p.through IS NULL AND NOT u.is_child THEN p.through
            WHEN CAST(u.ways AS jsonb) -> -1 -> 1 = p.through -> -1 -> 1 AND NOT u.is_change THEN p.through
            ELSE (SELECT jsonb_agg(w.way ORDER BY w.n) FROM (
                SELECT way, n FROM jsonb_array_elements(coalesce(p.through, '[]') || CAST(u.ways AS jsonb))
                    WITH ORDINALITY AS each (way, n) ORDER BY n DESC LIMIT :kept) w)
        END
    FROM unnest(CAST(:ids AS uuid[]), CAST(:online AS boolean[]), CAST(:at AS float8[]), CAST(:reasons AS text[]),
                CAST(:epochs AS bigint[]), CAST(:ways AS text[]), CAST(:children AS boolean[]),
                CAST(:changes AS boolean[])) AS u (id, online, at, reason, epoch, ways, is_child, is_change)
    WHERE p.tenant_id = :tenant AND p.device_id = u.id AND u.epoch >= p.seen_epoch
    """
)
_THROUGH = Reading(text("SELECT through FROM presence WHERE tenant_id = :tenant AND device_id = :device"))


async def follow(tx: Tx, entries: Sequence[Entry]) -> None:
    """Move the presence of every device these entries (of ``KINDS``, in order) speak of."""
    newest: dict[str, Entry] = {}
    ways: dict[str, list[tuple[int, str | None]]] = {}
    for entry in entries:
        device = entry.body["device"]
        if entry.kind == CONNECTED:
            _come(ways.setdefault(device, []), entry.body)
        known = newest.get(device)
        if known is None or entry.body["epoch"] >= known.body["epoch"]:
            newest[device] = entry
    if not newest:
        return
    ids = sorted(newest)
    bodies = [newest[device].body for device in ids]
    came = [ways.get(device) for device in ids]
    columns = {
        "ids": ids,
        "online": [newest[device].kind == CONNECTED for device in ids],
        "at": [float(body["at"]) for body in bodies],
        "reasons": [body.get("reason") for body in bodies],
        "epochs": [body["epoch"] for body in bodies],
        "ways": [orjson.dumps(each).decode() if each else None for each in came],
        "children": [any(gateway is not None for _, gateway in each or ()) for each in came],
        "changes": [each is not None and len(each) > 1 for each in came],
    }
    await tx.execute(_FOLLOW, {"tenant": tx.principal.tenant_id, "kept": KEPT, **columns})


def _come(ways: list[tuple[int, str | None]], body: dict[str, Any]) -> None:
    client = body.get("client") or {}
    gateway = client.get("client_id") if client.get("protocol") == "gateway" else None
    if not ways or ways[-1][1] != gateway:
        ways.append((body["at"], gateway))


async def ways_of(tx: Tx, device_id: UUID) -> Ways:
    """Since when the device came through which gateway, the oldest first; empty where it never came through one."""
    rows = await tx.read(_THROUGH, {"tenant": tx.principal.tenant_id, "device": device_id})
    return [(at, gateway) for row in rows for at, gateway in row["through"] or ()]


def gateways(ways: Ways, received: Iterable[int]) -> list[str | None]:
    """Of readings received at these times (epoch ms), the key of the gateway that brought each; None: none did."""
    times = [at for at, _ in ways]
    brought = [None, *(gateway for _, gateway in ways)]
    return [brought[bisect_right(times, at)] for at in received]
