"""Reading the registry: one device, pages and counts of many, who is connected; and holding one to change it."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import orjson
from sqlalchemy import Select, bindparam, func, select, text, update

from engine import pages
from engine.devices import errors, filter, groups, tables
from engine.devices.model import Counts, Device, DeviceStatus, Presence, Profile
from engine.devices.rows import as_device, as_devices, as_presence, as_profile
from engine.pages import Page
from engine.store.tx import Tx
from engine.store.wire import Reading

devices, presence, profiles = tables.devices, tables.presence, tables.profiles

# Made ready once, and not for each of the many questions about devices: that took longer than to be answered.
_BY_ID = Reading(select(devices).where(devices.c.tenant_id == bindparam("tenant"), devices.c.id == bindparam("id")))
_WITH_PROFILE = Reading(  # what one may not see of the profile is empty, and the device is there all the same
    select(devices, *(column.label(f"its_{column.name}") for column in profiles.c))
    .select_from(
        devices.outerjoin(
            profiles, (profiles.c.tenant_id == devices.c.tenant_id) & (profiles.c.id == devices.c.profile_id)
        )
    )
    .where(devices.c.tenant_id == bindparam("tenant"), devices.c.id == bindparam("id"))
)
_ITS = tuple((column.name, f"its_{column.name}") for column in profiles.c)
_BY_IDS = Reading(
    select(devices).where(devices.c.tenant_id == bindparam("tenant"), devices.c.id == func.any(bindparam("ids")))
)
# latest belongs to telemetry, above this package; one scalar of it tells when a device was last heard
_LAST_SEEN = Reading(
    text(
        "SELECT p.device_id, p.is_online, p.since, p.reason, greatest(p.since, l.received_at) AS last_seen_at, "
        "CASE WHEN l.received_at > p.silent_since THEN NULL ELSE p.silent_since END AS silent_since, "
        "p.seen_epoch AS version "
        "FROM presence p LEFT JOIN latest l ON l.tenant_id = p.tenant_id AND l.device_id = p.device_id "
        "WHERE p.tenant_id = :tenant AND p.device_id = ANY (:ids)"
    )
)
_PAGE = Reading(  # of those that nothing else is asked about; columns in one row, see telemetry's newest values
    text(
        "SELECT array_agg(id) AS id, array_agg(key) AS key, array_agg(name) AS name, "
        "array_agg(profile_id) AS profile_id, array_agg(status) AS status, json_agg(labels) AS labels, "
        "array_agg(version) AS version, array_agg(created_at) AS created_at, array_agg(updated_at) AS updated_at, "
        "array_agg(quarantined_at) AS quarantined_at, array_agg(quarantine_reason) AS quarantine_reason, "
        "array_agg(former_key) AS former_key FROM (SELECT * FROM devices WHERE tenant_id = :tenant AND key > :after "
        "AND status <> 'decommissioned' ORDER BY key LIMIT :most) AS page"
    ),
    is_binary=True,
)
# The database says it in its own words, so that whoever is limited to groups has what they see asked with it (ADR 30)
_FOUND = Reading(
    text(
        "SELECT * FROM devices WHERE tenant_id = :tenant AND id IN (SELECT app.devices_found("
        ":words, CAST(:labels AS jsonb), :profile_id, :status, :is_online, :is_silent, :group_id, :after, :most"
        ")) ORDER BY key"
    )
)
_COUNTS = Reading(text("SELECT total, online, silent FROM app.device_counts(:profile_id)"))


async def get(tx: Tx, device_id: UUID) -> Device:
    """The device with this id; raises DeviceNotFound."""
    rows = await tx.read(_BY_ID, {"tenant": tx.principal.tenant_id, "id": device_id})
    if not rows:
        raise errors.DeviceNotFound
    return as_device(rows[0])


async def with_profile(tx: Tx, device_id: UUID) -> tuple[Device, Profile | None]:
    """The device with this id and its profile, if that may be seen, in one question; raises DeviceNotFound."""
    rows = await tx.read(_WITH_PROFILE, {"tenant": tx.principal.tenant_id, "id": device_id})
    if not rows:
        raise errors.DeviceNotFound
    row = rows[0]
    return as_device(row), None if row["its_id"] is None else as_profile({its: row[name] for its, name in _ITS})


async def by_key(tx: Tx, key: str) -> Device | None:
    """The device with this key, or None."""
    row = await tx.one(_mine(tx).where(devices.c.key == key))
    return as_device(row) if row else None


async def by_ids(tx: Tx, device_ids: Sequence[UUID]) -> dict[UUID, Device]:
    """Those of ``device_ids`` that exist."""
    rows = await tx.read(_BY_IDS, {"tenant": tx.principal.tenant_id, "ids": list(device_ids)})
    return {row["id"]: as_device(row) for row in rows}


async def page(
    tx: Tx,
    *,
    search: str | None = None,
    profile_id: UUID | None = None,
    status: DeviceStatus | None = None,
    is_online: bool | None = None,
    is_silent: bool | None = None,
    group_id: UUID | None = None,
    labels: Sequence[str] = (),
    first: int = 50,
    after: str | None = None,
) -> Page[Device]:
    """Devices in the order of their keys. Without a ``status`` decommissioned ones are left out.

    ``labels``: ``site=7`` or ``site``, see filter.labels_asked. Under row-level security no index serves a question to
    them, as none serves a search: devices are read in the order of their keys until a page is full, for a search all.

    Raises GroupNotFound, FilterMalformed, BadCursor, BadPageSize.
    """
    size = pages.page_size(first)
    asked: dict[str, object] = {"tenant": tx.principal.tenant_id, "most": size + 1}
    asked["after"] = pages.decode(after) if after is not None else ""
    if search or profile_id or status or group_id or labels or not is_online is is_silent is None:
        if group_id is not None:
            await groups.get(tx, group_id)
        asked |= {
            "words": _escaped(search) if search else None,
            "labels": orjson.dumps(dict(filter.labels_asked(labels))).decode(),
            "profile_id": profile_id,
            "status": str(status) if status else None,
            "is_online": is_online,
            "is_silent": is_silent,
            "group_id": group_id,
        }
        found = [as_device(row) for row in await tx.read(_FOUND, asked)]
    else:
        (columns,) = await tx.read(_PAGE, asked)
        found = as_devices(columns)
    return pages.cut(found, size, lambda device: device.key)


async def counts(tx: Tx, profile_id: UUID | None = None) -> Counts:
    """How many devices there are, how many of them are connected, and how many silent."""
    (row,) = await tx.read(_COUNTS, {"profile_id": profile_id})
    return Counts(row["total"], row["online"], row["silent"])


async def presence_of(tx: Tx, device_ids: Sequence[UUID]) -> dict[UUID, Presence]:
    """The presence of each device; one that never connected is offline since never."""
    rows = await tx.read(_LAST_SEEN, {"tenant": tx.principal.tenant_id, "ids": list(device_ids)})
    found = {row["device_id"]: as_presence(row) for row in rows}
    return {device_id: found.get(device_id, Presence()) for device_id in device_ids}


async def lock(tx: Tx, device_id: UUID) -> Device:
    """The device, held until COMMIT; raises DeviceNotFound."""
    row = await tx.one(_mine(tx).where(devices.c.id == device_id).with_for_update())
    if row is None:
        raise errors.DeviceNotFound
    return as_device(row)


async def save(tx: Tx, device: Device, values: Mapping[str, object]) -> Device:
    """Store ``values``, the columns that change, as the next version of a locked device."""
    row = await tx.one(
        update(devices)
        .where(devices.c.tenant_id == tx.principal.tenant_id, devices.c.id == device.id)
        .values(**values, version=device.version + 1, updated_at=tx.now)
        .returning(devices)
    )
    assert row is not None
    return as_device(row)


def _mine(tx: Tx) -> Select[tuple[object, ...]]:
    return select(devices).where(devices.c.tenant_id == tx.principal.tenant_id)


def _escaped(text: str) -> str:
    """``text`` in a pattern of LIKE, meaning itself."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
