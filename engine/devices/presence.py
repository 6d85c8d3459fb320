"""Presence: what the journal's session events say about who is connected, newest session wins."""

from collections.abc import Sequence

from sqlalchemy import text

from engine.journal.model import Entry
from engine.store.tx import Tx

CONNECTED = "device.connected"
KINDS = frozenset({CONNECTED, "device.disconnected"})

# An event of an older session than the one last heard of changes nothing: a take-over's farewell comes late. One that
# was away and still is was heard of no later for that: only why it is away is news.
_FOLLOW = text(
    "UPDATE presence p SET is_online = u.online, reason = u.reason, seen_epoch = u.epoch, "
    "since = CASE WHEN u.came OR p.is_online THEN to_timestamp(u.at / 1000.0) ELSE p.since END "
    "FROM unnest(CAST(:ids AS uuid[]), CAST(:online AS boolean[]), CAST(:came AS boolean[]), CAST(:at AS float8[]), "
    "CAST(:reasons AS text[]), CAST(:epochs AS bigint[])) AS u (id, online, came, at, reason, epoch) "
    "WHERE p.tenant_id = :tenant AND p.device_id = u.id AND u.epoch >= p.seen_epoch"
)


async def follow(tx: Tx, entries: Sequence[Entry]) -> None:
    """Move the presence of every device these entries (of ``KINDS``, in order) speak of."""
    newest: dict[str, Entry] = {}
    came: set[str] = set()
    for entry in entries:
        if entry.kind == CONNECTED:
            came.add(entry.body["device"])
        known = newest.get(entry.body["device"])
        if known is None or entry.body["epoch"] >= known.body["epoch"]:
            newest[entry.body["device"]] = entry
    if not newest:
        return
    ids = sorted(newest)
    bodies = [newest[device].body for device in ids]
    columns = {
        "ids": ids,
        "online": [newest[device].kind == CONNECTED for device in ids],
        "came": [device in came for device in ids],
        "at": [float(body["at"]) for body in bodies],
        "reasons": [body.get("reason") for body in bodies],
        "epochs": [body["epoch"] for body in bodies],
    }
    await tx.execute(_FOLLOW, {"tenant": tx.principal.tenant_id, **columns})
