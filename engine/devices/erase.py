"""The end of a device with its data: asked for in one transaction, carried out by the worker in many small ones.

A device may have sent millions of readings, which no request should wait for and no single transaction should delete.
So the request only leaves a row; the worker deletes batch by batch, each batch and what it has done so far in one
COMMIT, so that a killed worker goes on where it stood. What stays is the device's id and key, so that the key is not
given away silently, and the audit log, which nobody can change (ADR 0024).
"""

from uuid import UUID

from sqlalchemy import Select, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.engine import RowMapping

from engine import pages
from engine.devices import errors, events, service, tables
from engine.devices.model import DeviceStatus, Erasure
from engine.errors import Forbidden
from engine.pages import Page
from engine.store.tx import Tx

erasures = tables.erasures

RIGHT = "devices:erase"
BATCH = 5_000
"""Rows deleted in one transaction at most: some tens of milliseconds, so that nobody waits for it."""

ERASED = {
    "telemetry": "time, seq",
    "rejected": "id",
    "faults": "reason, about",
    "rollup_hours": "metric, start",
    "rollup_days": "metric, start",
    "rollup_repairs": "hour",
    "alerts": "id",
    "commands": "id",
    "point_table_versions": "version",
    "point_tables": "device_id",
    "rule_state": "rule_id",
    "rule_firings": "id",
    "rule_non_firings": "id",
    "latest": "device_id",
    "counts": "hour",
    "fleet_findings": "id",
    "device_group_members": "group_id",
}
"""What goes, and by which columns its rows are told apart beside tenant and device. In this order: the most first.

All of it but the last belongs to domains above this one, which know nothing of erasure.
"""

BEFORE_DRAINED = ("telemetry", "rejected", "faults")
"""What the drain never writes, so that it can go at once."""

KEPT = {
    "silences": "who silenced what, and why; it says nothing of what the device has sent",
    "credentials": "revoked; a certificate's entry in the revocation list depends on it",
    "enrolments": "how it asked to come in, before it was a device; the provisioning queue is kept like the audit log",
    "presence": "one row, when it was last connected; the session epoch must never go back",
    "device_erasures": "the record of the erasure itself",
    "device_transfers": "the record of an offer",
    "transfer_codes": "a spent code must stay spent",
}
"""Tables with a device in them that an erasure leaves alone, and why."""

_EXPECTED = text("SELECT coalesce(sum(stored), 0) FROM counts WHERE tenant_id = :tenant AND device_id = :device")
_NEXT = text(
    "SELECT device_id, erased, drained_to FROM device_erasures WHERE tenant_id = :tenant AND finished_at IS NULL "
    "ORDER BY requested_at LIMIT 1 FOR UPDATE SKIP LOCKED"
)
_HEAD = text("SELECT pos FROM journal_head WHERE tenant_id = :tenant")
# Whoever is making hours of readings that are there still is waited for: what it makes is erased too.
_NO_ROLLUPS = text("SELECT pg_advisory_xact_lock(hashtextextended('rollups:' || :tenant, 0))")
_IS_DRAINED = text("SELECT NOT EXISTS (SELECT FROM readers WHERE tenant_id = :tenant AND pos < :pos)")


async def request(tx: Tx, device_id: UUID) -> Erasure:
    """Ask that everything a decommissioned device has sent be erased; asking again changes nothing.

    Its name and labels, which may speak of people, go at once. It takes a right of its own, since nobody can undo it.
    Raises Forbidden, DeviceNotFound, DeviceStuck.
    """
    if not tx.principal.may(RIGHT):
        raise Forbidden(f"This needs the right {RIGHT}.", scope=RIGHT)
    device = await service.lock(tx, device_id)
    if device.status is not DeviceStatus.DECOMMISSIONED:
        raise errors.DeviceStuck("Decommission the device first: what it goes on sending would come after the erasure.")
    named = {"tenant": tx.principal.tenant_id, "device": device_id}
    row = await tx.one(
        upsert(erasures)
        .values(
            tenant_id=tx.principal.tenant_id,
            device_id=device_id,
            requested_by=tx.principal.name,
            requested_at=tx.now,
            expected=await tx.scalar(_EXPECTED, named),
            erased={},
        )
        .on_conflict_do_nothing()
        .returning(erasures)
    )
    if row is None:
        return await get(tx, device_id)
    await service.save(tx, device, {"name": device.key, "labels": {}})
    tx.audit("device.erase", "device", device_id, after={"expected": row["expected"]})
    return _erasure(row)


async def get(tx: Tx, device_id: UUID) -> Erasure:
    """How far the erasure of this device's data is. Raises ErasureNotFound."""
    row = await tx.one(_mine(tx).where(erasures.c.device_id == device_id))
    if row is None:
        raise errors.ErasureNotFound
    return _erasure(row)


async def page(tx: Tx, *, first: int = 50, after: str | None = None) -> Page[Erasure]:
    """Erasures in the order of their devices' ids."""
    size = pages.page_size(first)
    query = _mine(tx)
    if after is not None:
        query = query.where(erasures.c.device_id > pages.decode_id(after))
    rows = await tx.rows(query.order_by(erasures.c.device_id).limit(size + 1))
    return pages.cut([_erasure(row) for row in rows], size, lambda erasure: str(erasure.device_id))


async def step(tx: Tx, batch: int = BATCH) -> bool:
    """One transaction's worth of erasing for this tenant; says whether more can be done at once.

    What the device sent just before its end may still lie in the journal, unread: what the drain makes of it (latest
    values, counts, alerts) would come back. So everything but readings waits until the drain has passed that place.
    """
    named = {"tenant": tx.principal.tenant_id}
    row = await tx.one(_NEXT, named)
    if row is None:
        return False
    await tx.execute(_NO_ROLLUPS, {"tenant": str(tx.principal.tenant_id)})
    drained_to = row["drained_to"]
    if drained_to is None:
        drained_to = await tx.scalar(_HEAD, named)
    is_drained = await tx.scalar(_IS_DRAINED, {**named, "pos": drained_to})
    erased = dict(row["erased"])
    room = batch
    for table in ERASED if is_drained else BEFORE_DRAINED:
        gone = await _delete(tx, table, row["device_id"], room)
        erased[table] = erased.get(table, 0) + gone
        room -= gone
        if room <= 0:
            break
    is_finished = bool(is_drained) and room > 0
    await _note(tx, row["device_id"], erased, drained_to, is_finished=is_finished)
    return is_finished or room <= 0


async def _delete(tx: Tx, table: str, device_id: UUID, most: int) -> int:
    """Delete up to ``most`` of the device's rows."""
    key = ERASED[table]
    result = await tx.execute(
        text(
            f"DELETE FROM {table} WHERE tenant_id = :tenant AND device_id = :device AND ({key}) IN "  # noqa: S608  ours
            f"(SELECT {key} FROM {table} WHERE tenant_id = :tenant AND device_id = :device LIMIT :most)"
        ),
        {"tenant": tx.principal.tenant_id, "device": device_id, "most": most},
    )
    return int(result.rowcount)


async def _note(tx: Tx, device_id: UUID, erased: dict[str, int], drained_to: int, *, is_finished: bool) -> None:
    await tx.execute(
        erasures.update()
        .where(erasures.c.tenant_id == tx.principal.tenant_id, erasures.c.device_id == device_id)
        .values(erased=erased, drained_to=drained_to, worked_at=tx.now, finished_at=tx.now if is_finished else None)
    )
    if is_finished:
        tx.emit(events.DeviceErased(device_id))
        tx.audit("device.erased", "device", device_id, after=erased)


def _mine(tx: Tx) -> Select[tuple[object, ...]]:
    return select(erasures).where(erasures.c.tenant_id == tx.principal.tenant_id)


def _erasure(row: RowMapping) -> Erasure:
    return Erasure(
        row["device_id"],
        row["requested_by"],
        row["requested_at"],
        row["expected"],
        row["erased"],
        row["finished_at"],
    )
