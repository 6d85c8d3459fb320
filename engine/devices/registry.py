"""Reading the registry: one device, pages and counts of many, who is connected; and holding one to change it."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, FromClause, Select, and_, bindparam, column, func, select, table, text, update

from engine import pages
from engine.devices import errors, filter, groups, tables
from engine.devices.model import Counts, Device, DeviceStatus, Presence
from engine.devices.rows import as_device, as_presence
from engine.pages import Page
from engine.store.tx import Tx
from engine.store.wire import Reading

devices, presence = tables.devices, tables.presence

# Made ready once, and not for each of the many questions about devices: that took longer than to be answered.
_BY_ID = Reading(select(devices).where(devices.c.tenant_id == bindparam("tenant"), devices.c.id == bindparam("id")))
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
_PAGE = Reading(  # of those that nothing else is asked about
    select(devices)
    .where(devices.c.tenant_id == bindparam("tenant"), devices.c.key > bindparam("after"))
    .where(devices.c.status != DeviceStatus.DECOMMISSIONED)
    .order_by(devices.c.key)
    .limit(bindparam("most"))
)
# of whoever is limited to groups: what belongs to the devices is not asked one by one whether it is seen (ADR 30)
_COUNTS_WITHIN = text("SELECT total, online, silent FROM app.device_counts(CAST(:profile AS uuid))")
NEAR, NEAR_BY_PRESENCE = 5_000, 1_000
"""Of whoever is limited to groups it is asked device by device what is theirs, and of its presence once more: so many
devices are looked at first, in the order of their keys, since a page is often full with them."""
_latest = table("latest", column("tenant_id"), column("device_id"), column("received_at"))


async def get(tx: Tx, device_id: UUID) -> Device:
    """The device with this id; raises DeviceNotFound."""
    rows = await tx.read(_BY_ID, {"tenant": tx.principal.tenant_id, "id": device_id})
    if not rows:
        raise errors.DeviceNotFound
    return as_device(rows[0])


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
    them, as none serves a search: they are read in the order of the keys until a page is full.

    Raises GroupNotFound, FilterMalformed, BadCursor, BadPageSize.
    """
    size = pages.page_size(first)
    begins = pages.decode(after) if after is not None else ""
    if not (search or profile_id or status or group_id or labels) and is_online is is_silent is None:
        found = await tx.read(_PAGE, {"tenant": tx.principal.tenant_id, "after": begins, "most": size + 1})
        return pages.cut([as_device(row) for row in found], size, lambda device: device.key)
    query = _mine(tx).where(_chosen(profile_id, status))
    if after is not None:
        query = query.where(devices.c.key > begins)
    asked = [*_labelled(devices, labels), *_worded(devices, search)]
    if tx.principal.is_limited and (asked or is_online is not None) and group_id is None and is_silent is None:
        near = await tx.rows(_near(tx, query, search, labels, is_online).limit(size + 1))
        if len(near) > size:
            return pages.cut([as_device(row) for row in near], size, lambda device: device.key)
    query = query.where(*asked)
    if group_id is not None:
        query = query.where(groups.holds(tx, await groups.get(tx, group_id)))
    if is_online is not None:
        query = query.where(devices.c.id.in_(_online(tx)) if is_online else devices.c.id.not_in(_online(tx)))
    if is_silent is not None:
        silent = select(func.app.silent().column_valued("id")) if tx.principal.is_limited else _silent(tx)
        query = query.where(devices.c.id.in_(silent) if is_silent else devices.c.id.not_in(silent))
    read = tx.rows if is_online is is_silent is None else tx.rows_of_many
    rows = await read(query.order_by(devices.c.key).limit(size + 1))
    return pages.cut([as_device(row) for row in rows], size, lambda device: device.key)


async def counts(tx: Tx, profile_id: UUID | None = None) -> Counts:
    """How many devices there are, how many of them are connected, and how many silent."""
    if tx.principal.is_limited:
        found = await tx.one(_COUNTS_WITHIN, {"profile": profile_id})
        assert found is not None
        return Counts(found["total"], found["online"], found["silent"])
    where = and_(devices.c.tenant_id == tx.principal.tenant_id, _chosen(profile_id, None))
    total = select(func.count()).select_from(devices).where(where)
    online = total.where(devices.c.id.in_(_online(tx))).scalar_subquery().label("online")
    silent = total.where(devices.c.id.in_(_silent(tx))).scalar_subquery().label("silent")
    (row,) = await tx.rows_of_many(select(total.scalar_subquery().label("total"), online, silent))
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


def _near(
    tx: Tx, query: Select[tuple[object, ...]], search: str | None, labels: Sequence[str], is_online: bool | None
) -> Select[tuple[object, ...]]:
    """Those that are asked for among the first devices of ``query``, read no further than to the end of a page."""
    most = NEAR if is_online is None else NEAR_BY_PRESENCE
    first = query.order_by(devices.c.key).limit(most).subquery("first")
    found = select(first).where(*_labelled(first, labels), *_worded(first, search)).order_by(first.c.key)
    if is_online is None:
        return found
    its_own = and_(presence.c.tenant_id == tx.principal.tenant_id, presence.c.device_id == first.c.id)
    # a scalar, so that the planner looks it up for each device and does not read the whole fleet's presence
    stands = func.coalesce(select(presence.c.is_online).where(its_own).scalar_subquery(), False)
    return found.where(stands.is_(is_online))


def _online(tx: Tx) -> Select[tuple[UUID]]:
    return select(presence.c.device_id).where(presence.c.tenant_id == tx.principal.tenant_id, presence.c.is_online)


def _silent(tx: Tx) -> Select[tuple[UUID]]:
    return select(presence.c.device_id).where(presence.c.tenant_id == tx.principal.tenant_id, _unheard())


def _unheard() -> ColumnElement[bool]:
    """Found silent, and not heard since: of a reading that came later the next look will say the same."""
    heard = select(_latest.c.device_id).where(
        _latest.c.tenant_id == presence.c.tenant_id,
        _latest.c.device_id == presence.c.device_id,
        _latest.c.received_at > presence.c.silent_since,
    )
    return and_(presence.c.silent_since.is_not(None), ~heard.exists())


def _chosen(profile_id: UUID | None, status: DeviceStatus | None) -> ColumnElement[bool]:
    wanted = [tables.status == status if status else devices.c.status != DeviceStatus.DECOMMISSIONED]
    if profile_id is not None:
        wanted.append(devices.c.profile_id == profile_id)
    return and_(*wanted)


def _worded(of: FromClause, search: str | None) -> list[ColumnElement[bool]]:
    return [of.c.words.contains(func.lower(_escaped(search)), escape="\\")] if search else []


def _labelled(of: FromClause, labels: Sequence[str]) -> list[ColumnElement[bool]]:
    found = []
    for name, values in filter.labels_asked(labels):
        value = of.c.labels[name].astext
        found.append(value.in_(values) if values else value.is_not(None))
    return found


def _escaped(text: str) -> str:
    """``text`` in a pattern of LIKE, meaning itself."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
