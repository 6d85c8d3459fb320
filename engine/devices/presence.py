"""Presence: what the journal's session events say about who is connected, newest session wins."""

from collections.abc import Sequence

from sqlalchemy import text

from engine.journal.model import Entry
from engine.store.tx import Tx

KINDS = frozenset({"device.connected", "device.disconnected"})

# An event of an older session than the one last heard of changes nothing: a take-over's farewell comes late.
_FOLLOW = text(
    "UPDATE presence p SET is_online = u.online, since = to_timestamp(u.at / 1000.0), reason = u.reason, "
    "seen_epoch = u.epoch FROM unnest(CAST(:ids AS uuid[]), CAST(:online AS boolean[]), CAST(:at AS float8[]), "
    "CAST(:reasons AS text[]), CAST(:epochs AS bigint[])) AS u (id, online, at, reason, epoch) "
    "WHERE p.tenant_id = :tenant AND p.device_id = u.id AND u.epoch >= p.seen_epoch"
)


async def follow(tx: Tx, entries: Sequence[Entry]) -> None:
    """Move the presence of every device these entries (of ``KINDS``, in order) speak of."""
    newest: dict[str, Entry] = {}
    for entry in entries:
        known = newest.get(entry.body["device"])
        if known is None or entry.body["epoch"] >= known.body["epoch"]:
            newest[entry.body["device"]] = entry
    if not newest:
        return
    bodies = [entry.body for _, entry in sorted(newest.items())]
    columns = {
        "ids": sorted(newest),
        "online": [entry.kind == "device.connected" for _, entry in sorted(newest.items())],
        "at": [float(body["at"]) for body in bodies],
        "reasons": [body.get("reason") for body in bodies],
        "epochs": [body["epoch"] for body in bodies],
    }
    await tx.execute(_FOLLOW, {"tenant": tx.principal.tenant_id, **columns})
