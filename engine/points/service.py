"""Point tables: say which one a gateway's edge shall run, and hear what became of it."""

from collections.abc import Mapping
from hashlib import sha256
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, and_, delete, insert, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.engine import RowMapping

from engine import clock
from engine.commands.errors import DeviceOutOfService
from engine.devices import service as devices
from engine.devices.model import DeviceStatus
from engine.points import errors, events
from engine.points.model import (
    MAX_PACKED_CHARS,
    MAX_PLAIN_BYTES,
    MAX_TEXT_BYTES,
    VERSIONS_KEPT,
    Checked,
    Kept,
    Said,
    Version,
    body_of,
    problem_of,
)
from engine.points.packed import pack, unpack
from engine.points.tables import point_table_versions, point_tables
from engine.store.tx import Tx

_SAID = text(
    """
    INSERT INTO point_tables AS p (tenant_id, device_id, said_at, running_version, running_points, running_since,
                                   refused_version, problems, is_local, file_text)
    SELECT d.tenant_id, d.id, :at, :running, :points, :at, :refused, CAST(:problems AS jsonb), :local, :file
    FROM devices d WHERE d.tenant_id = :tenant AND d.id = :device
    ON CONFLICT (tenant_id, device_id) DO UPDATE SET
        said_at = :at, running_points = :points, refused_version = :refused, problems = CAST(:problems AS jsonb),
        is_local = :local, file_text = :file, running_version = :running,
        running_since = CASE WHEN p.running_version = :running THEN p.running_since ELSE :at END
    RETURNING p.version, p.running_version, p.refused_version, p.is_local
    """
)


async def get(tx: Tx, device_id: UUID) -> Kept:
    """A gateway's table as it is wanted and as it is; raises DeviceNotFound."""
    await devices.get(tx, device_id)
    row = await _row(tx, device_id)
    return Kept(device_id) if row is None else _kept(row)


async def want(tx: Tx, device_id: UUID, written: str, checked: Checked, version: int, *, deed: str = "change") -> Kept:
    """Let a gateway's edge run this table, of which ``checked`` is what check.checked said.

    It is sent when the edge is connected, the newest one only. ``version`` is the one it was made from, 0 for none,
    and is kept beside those before it. ``deed``: what the audit log calls this, "change" or "revert".
    Raises DeviceNotFound, DeviceOutOfService, PointTableInvalid, PointTableStale, PointTableTooLarge.
    """
    check_size(written)
    if checked.problems:
        raise errors.PointTableInvalid(
            " ".join(f"{f'Line {each.line}: ' if each.line else ''}{each.words}" for each in checked.problems[:3]),
            problems=[
                {"path": f"line {each.line}" if each.line else "", "message": each.words} for each in checked.problems
            ],
        )
    device = await devices.lock(tx, device_id)
    if device.status is DeviceStatus.DECOMMISSIONED:
        raise DeviceOutOfService("This device takes no point table: it is decommissioned.")
    before = await _row(tx, device_id)
    if (before["version"] if before else 0) != version:
        raise errors.PointTableStale
    values = {
        "version": version + 1,
        "text": written,
        "points": checked.points,
        "changed_by": tx.principal.name,
        "changed_at": tx.now,
    }
    key = {"tenant_id": tx.principal.tenant_id, "device_id": device_id}
    stored = await tx.one(
        upsert(point_tables)
        .values(**key, **values, problems=[], is_local=False)
        .on_conflict_do_update(index_elements=list(key), set_=values)
        .returning(point_tables)
    )
    assert stored is not None
    if before is not None and version:
        await _keep(tx, before)
    tx.emit(events.PointTableChanged(device_id, version + 1))
    tx.audit(f"point_table.{deed}", "device", device_id, before=_told(before), after=_told(stored))
    await tx.notify(f"command:{device_id}")  # whoever holds its connection looks what waits for it
    return _kept(stored)


def check_size(written: str) -> None:
    """Raises PointTableTooLarge."""
    size = len(written.encode())
    if size > MAX_TEXT_BYTES or (size > MAX_PLAIN_BYTES and len(pack(written)) > MAX_PACKED_CHARS):
        raise errors.PointTableTooLarge


async def versions(tx: Tx, device_id: UUID) -> list[Version]:
    """The versions of a gateway's table, the newest first and without their texts; raises DeviceNotFound."""
    kept = await get(tx, device_id)
    if kept.version == 0:
        return []
    former = select(*(point_table_versions.c[name] for name in ("version", "points", "changed_by", "changed_at")))
    rows = await tx.rows(former.where(_of(tx, device_id)).order_by(point_table_versions.c.version.desc()))
    return [_current(kept, ""), *(Version(**row) for row in rows)]


async def version(tx: Tx, device_id: UUID, number: int) -> Version:
    """One version with its text; raises DeviceNotFound, PointTableVersionNotFound."""
    kept = await get(tx, device_id)
    if kept.version == number > 0:
        return _current(kept, kept.text)
    columns = (point_table_versions.c[name] for name in ("version", "points", "changed_by", "changed_at", "text"))
    row = await tx.one(select(*columns).where(_of(tx, device_id), point_table_versions.c.version == number))
    if row is None:
        raise errors.PointTableVersionNotFound
    return Version(**row)


def _current(kept: Kept, written: str) -> Version:
    assert kept.changed_at is not None
    return Version(kept.version, kept.points, kept.changed_by, kept.changed_at, written)


def _of(tx: Tx, device_id: UUID) -> ColumnElement[bool]:
    c = point_table_versions.c
    return and_(c.tenant_id == tx.principal.tenant_id, c.device_id == device_id)


async def _keep(tx: Tx, replaced: RowMapping) -> None:
    """The last versions are kept, this one among them."""
    names = ("tenant_id", "device_id", "version", "text", "points", "changed_by", "changed_at")
    await tx.execute(insert(point_table_versions).values({name: replaced[name] for name in names}))
    oldest = replaced["version"] - VERSIONS_KEPT + 1
    too_old = point_table_versions.c.version <= oldest
    await tx.execute(delete(point_table_versions).where(_of(tx, replaced["device_id"]), too_old))


async def follow(tx: Tx, body: Mapping[str, object]) -> None:
    """Note what an edge said of its table; one that runs another than is wanted is sent that. Raises ValueError."""
    said, device_id = Said.read(body), UUID(str(body["device"]))
    at = body["at"]
    if not isinstance(at, int):
        raise ValueError("An edge says when.")
    row = await tx.one(
        _SAID,
        {
            "tenant": tx.principal.tenant_id,
            "device": device_id,
            "at": clock.from_ms(at),
            "running": said.running,
            "points": said.points,
            "refused": said.refused,
            "problems": orjson.dumps([body_of(each) for each in said.problems]).decode(),
            "local": said.is_local,
            "file": unpack(said.packed) if said.packed else None,
        },
    )
    if row is None or row["is_local"] or row["version"] in (0, row["running_version"], row["refused_version"]):
        return
    await tx.notify(f"command:{device_id}")


async def _row(tx: Tx, device_id: UUID) -> RowMapping | None:
    mine = and_(point_tables.c.tenant_id == tx.principal.tenant_id, point_tables.c.device_id == device_id)
    return await tx.one(select(point_tables).where(mine))


def _told(row: RowMapping | None) -> dict[str, object] | None:
    """What the audit log says of a table: its text may be long, and stands in the table itself."""
    if row is None or not row["version"]:
        return None
    digest = sha256(row["text"].encode()).hexdigest()
    return {"version": row["version"], "points": row["points"], "sha256": digest}


def _kept(row: RowMapping) -> Kept:
    return Kept(
        device_id=row["device_id"],
        version=row["version"],
        text=row["text"],
        points=row["points"],
        changed_by=row["changed_by"],
        changed_at=row["changed_at"],
        said_at=row["said_at"],
        running_version=row["running_version"],
        running_points=row["running_points"],
        running_since=row["running_since"],
        refused_version=row["refused_version"],
        problems=[problem_of(each) for each in row["problems"]],
        is_local=row["is_local"],
        file_text=row["file_text"],
    )
