"""The drain: everything that follows from a tenant's journal, in its order, each effect exactly once by one COMMIT.

One transaction takes the tenant's reader row (that is the lease: another worker skips), reads on from where it stood,
folds readings into the latest values and counts, moves presence, runs the rules, and stores all of it together with the
new position. Whatever is killed in between, the next drain begins at the old position with nothing half done.
"""

import logging
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from engine import clock
from engine.devices import presence
from engine.devices import service as devices
from engine.journal import read
from engine.journal.model import Entry
from engine.rules.reaction import Reaction
from engine.rules.service import Compiled
from engine.rules.state import Reading
from engine.store.pool import Store
from engine.store.tx import Tx
from engine.telemetry import fold
from engine.tenancy import system

log = logging.getLogger(__name__)

READER = "drain"
ENTRIES_AT_ONCE = 64
READINGS_AT_ONCE = 2_000
SPEND_S = 0.2

_LEASE = text("SELECT pos FROM readers WHERE tenant_id = :tenant AND reader = :reader FOR UPDATE SKIP LOCKED")
_MOVE = text("UPDATE readers SET pos = :pos, at = :at WHERE tenant_id = :tenant AND reader = :reader")
_PROFILES = text(
    "SELECT d.id, p.key FROM devices d JOIN profiles p ON p.tenant_id = d.tenant_id AND p.id = d.profile_id "
    "WHERE d.tenant_id = :tenant AND d.id = ANY (:ids)"
)
_DUE_DEVICES = text("SELECT DISTINCT device_id FROM rule_state WHERE tenant_id = :tenant AND due_at <= :now LIMIT 2000")


class Drain:
    """One worker's drain; keeps nothing but compiled rules, which it can lose at any time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._compiled = Compiled()

    async def run(self, tenant_id: UUID) -> int:
        """Drain one tenant until nothing is left; returns how many journal entries were taken."""
        taken = 0
        while True:
            async with self._store.as_tenant(system(tenant_id)) as tx:
                entries, is_more = await self._once(tx)
            taken += entries
            if not is_more:
                return taken

    async def _once(self, tx: Tx) -> tuple[int, bool]:
        """One transaction's worth; says whether there is more to do."""
        mine = {"tenant": tx.principal.tenant_id, "reader": READER}
        position = await tx.scalar(_LEASE, mine)
        if position is None:
            return 0, False
        entries = await _take(tx, position)
        ticked = await self._react(tx, entries)
        if entries:
            await tx.execute(_MOVE, {**mine, "pos": entries[-1].pos, "at": entries[-1].at})
        is_more = bool(entries) and (entries[-1].pos < await read.head(tx) or bool(tx.events))
        return len(entries), is_more or ticked >= 2_000

    async def _react(self, tx: Tx, entries: Sequence[Entry]) -> int:
        batch = _Batch(entries)
        due = await tx.rows(_DUE_DEVICES, {"tenant": tx.principal.tenant_id, "now": tx.now})
        touched = batch.devices | {row["device_id"] for row in due}
        newest = await fold.load(tx, touched)
        profiles = await _profiles(tx, touched)
        reaction = Reaction(await self._compiled.of(tx), newest)
        await reaction.load(tx, sorted(batch.devices))
        for entry in entries:
            await _follow(tx, entry, reaction, newest, profiles)
        ticked = await reaction.tick(tx) if due else 0
        await fold.save(tx, newest)
        await fold.count(tx, entries[-1].at if entries else tx.now, batch.counted)
        await presence.follow(tx, batch.presence)
        await reaction.save(tx)
        return ticked


class _Batch:
    """What a run of entries is about."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        telemetry = [entry.body for entry in entries if entry.kind == "telemetry"]
        self.devices = {UUID(reading[0]) for body in telemetry for reading in body["r"]}
        self.counted = [body["n"] for body in telemetry]
        self.presence = [entry for entry in entries if entry.kind in presence.KINDS]


async def _take(tx: Tx, position: int) -> list[Entry]:
    """The next entries, up to about two thousand readings."""
    began, taken, readings = time.monotonic(), [], 0
    for entry in await read.tail(tx, position, ENTRIES_AT_ONCE):
        taken.append(entry)
        readings += len(entry.body["r"]) if entry.kind == "telemetry" else 1
        if readings >= READINGS_AT_ONCE or time.monotonic() - began > SPEND_S:
            break
    return taken


async def _follow(tx: Tx, entry: Entry, reaction: Reaction, newest: fold.Newest, profiles: dict[UUID, str]) -> None:
    """What one entry leads to, in the journal's order."""
    body: dict[str, Any] = entry.body
    match entry.kind:
        case "telemetry":
            for device, at_ms, seq, received_ms, values in body["r"]:
                device_id = UUID(device)
                received: datetime = clock.from_ms(received_ms)
                reaction.read(profiles.get(device_id), device_id, Reading(at_ms, seq, values), received)
                newest.learn(device_id, at_ms, received_ms, values)
        case "rule.changed":
            await reaction.rule_changed(tx, UUID(body["rule"]), profiles.get)
        case "device.decommissioned":
            await reaction.device_gone(tx, UUID(body["device"]))
        case "device.connected":
            await devices.activate(tx, [UUID(body["device"])])


async def _profiles(tx: Tx, device_ids: set[UUID]) -> dict[UUID, str]:
    """The profile's key of each device."""
    rows = await tx.rows(_PROFILES, {"tenant": tx.principal.tenant_id, "ids": list(device_ids)})
    return {row["id"]: row["key"] for row in rows}
