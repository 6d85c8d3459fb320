"""Groups of devices: static ones hold their members, dynamic ones whatever their filter finds at the moment."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, delete, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.engine import RowMapping

from engine import ids, pages
from engine.devices import errors, events, filter, tables
from engine.devices.filter import Filter, Group
from engine.devices.model import DeviceStatus, checked_key, checked_name
from engine.pages import Page
from engine.store.tx import Tx

devices, profiles = tables.devices, tables.profiles
groups, members = tables.device_groups, tables.device_group_members

MAX_GROUPS = 500
MAX_AT_ONCE = 1_000


async def get(tx: Tx, group_id: UUID) -> Group:
    """The group with this id; raises GroupNotFound."""
    return _group(await _found(tx, _mine(tx).where(groups.c.id == group_id)))


async def by_ids(tx: Tx, group_ids: Collection[UUID]) -> list[Group]:
    """Those of ``group_ids`` that exist."""
    return [_group(row) for row in await tx.rows(_mine(tx).where(groups.c.id.in_(group_ids)))]


async def page(tx: Tx, *, first: int = 50, after: str | None = None) -> Page[Group]:
    """Groups in the order of their keys."""
    size = pages.page_size(first)
    query = _mine(tx)
    if after is not None:
        query = query.where(groups.c.key > pages.decode(after))
    rows = await tx.rows(query.order_by(groups.c.key).limit(size + 1))
    return pages.cut([_group(row) for row in rows], size, lambda group: group.key)


async def counts(tx: Tx, found: Sequence[Group]) -> dict[UUID, int]:
    """How many devices each group holds, decommissioned ones left out: one pass over members, one over devices."""
    dynamic = [group for group in found if group.filter is not None]
    return {group.id: 0 for group in found} | await _members(tx, found) | await _found_by(tx, dynamic)


async def _members(tx: Tx, static: Sequence[Group]) -> dict[UUID, int]:
    if all(group.filter is not None for group in static):
        return {}
    is_member = and_(devices.c.tenant_id == members.c.tenant_id, devices.c.id == members.c.device_id)
    rows = await tx.rows(
        select(members.c.group_id, func.count().label("n"))
        .join(devices, is_member)
        .where(
            members.c.tenant_id == tx.principal.tenant_id,
            members.c.group_id.in_([group.id for group in static]),
            devices.c.status != DeviceStatus.DECOMMISSIONED,
        )
        .group_by(members.c.group_id)
    )
    return {row["group_id"]: row["n"] for row in rows}


async def _found_by(tx: Tx, dynamic: Sequence[Group]) -> dict[UUID, int]:
    """One pass over the devices for all filters; a label that several ask for is taken out of its JSON once a device.

    OFFSET 0 keeps the planner from doing that again in each of them.
    """
    if not dynamic:
        return {}
    names = sorted({name for group in dynamic if group.filter for name, _ in group.filter.labels})
    labels = {name: devices.c.labels[name].astext.label(f"label_{n}") for n, name in enumerate(names)}
    inside = (
        select(devices.c.profile_id, devices.c.key, tables.status.label("status"), *labels.values())
        .where(devices.c.tenant_id == tx.principal.tenant_id, devices.c.status != DeviceStatus.DECOMMISSIONED)
        .offset(0)
        .subquery()
    )
    shown = _Shown(
        {name: inside.c[column.name] for name, column in labels.items()},
        inside.c.profile_id,
        inside.c.status,
        inside.c.key,
    )
    columns = [
        func.count().filter(_fits(tx, group.filter, shown)).label(group.id.hex) for group in dynamic if group.filter
    ]
    row = await tx.one(select(*columns).select_from(inside))
    assert row is not None
    return {group.id: row[group.id.hex] for group in dynamic}


async def of_devices(tx: Tx, device_ids: Sequence[UUID]) -> dict[UUID, list[Group]]:
    """Which groups hold each of these devices at the moment, by key: three reads, whatever the number of either.

    The filters are compared here: a tenant's five hundred for a page of devices would be more parameters than a
    statement takes.
    """
    rows = await tx.rows(_mine(tx).order_by(groups.c.key))
    if not rows:
        return {}
    every = [_group(row) for row in rows]
    mine = members.c.tenant_id == tx.principal.tenant_id
    query = select(members.c.group_id, members.c.device_id).where(mine, members.c.device_id.in_(device_ids))
    inside = {(row["group_id"], row["device_id"]) for row in await tx.rows(query)}
    return {
        row["id"]: [
            group
            for group in every
            if (
                (group.id, row["id"]) in inside
                if group.filter is None
                else group.filter.fits(row["key"], row["profile"], row["status"], row["labels"])
            )
        ]
        for row in await tx.rows(_compared(tx, device_ids))
    }


def _compared(tx: Tx, device_ids: Sequence[UUID]) -> Select[tuple[object, ...]]:
    """What filters ask of these devices."""
    its_profile = and_(profiles.c.tenant_id == devices.c.tenant_id, profiles.c.id == devices.c.profile_id)
    return (
        select(
            devices.c.id,
            devices.c.key,
            tables.status.label("status"),
            devices.c.labels,
            profiles.c.key.label("profile"),
        )
        .join(profiles, its_profile)
        .where(devices.c.tenant_id == tx.principal.tenant_id, devices.c.id.in_(device_ids))
    )


async def members_among(tx: Tx, group_id: UUID, device_ids: Sequence[UUID]) -> list[UUID]:
    """Those of ``device_ids`` that are in the group; none where there is no such group (any more)."""
    row = await tx.one(_mine(tx).where(groups.c.id == group_id))
    if row is None:
        return []
    mine = devices.c.tenant_id == tx.principal.tenant_id
    inside = select(devices.c.id).where(mine, devices.c.id.in_(device_ids), holds(tx, _group(row)))
    return [found["id"] for found in await tx.rows(inside)]


def holds(tx: Tx, group: Group) -> ColumnElement[bool]:
    """What is true of the devices in ``group``."""
    if group.filter is None:
        of_group = and_(members.c.tenant_id == tx.principal.tenant_id, members.c.group_id == group.id)
        return devices.c.id.in_(select(members.c.device_id).where(of_group))
    labels = {name: devices.c.labels[name].astext for name, _ in group.filter.labels}
    return _fits(tx, group.filter, _Shown(labels, devices.c.profile_id, tables.status, devices.c.key))


@dataclass(frozen=True, slots=True)
class _Shown:
    """Where a filter looks: a device's labels by name, and its other parts."""

    labels: Mapping[str, ColumnElement[str]]
    profile_id: ColumnElement[UUID]
    status: ColumnElement[str]
    key: ColumnElement[str]


def _fits(tx: Tx, wanted: Filter, shown: _Shown) -> ColumnElement[bool]:
    asked: list[ColumnElement[bool]] = [shown.labels[name].in_(values) for name, values in wanted.labels]
    if wanted.profiles:
        mine = profiles.c.tenant_id == tx.principal.tenant_id
        asked.append(shown.profile_id.in_(select(profiles.c.id).where(mine, profiles.c.key.in_(wanted.profiles))))
    if wanted.statuses:
        asked.append(shown.status.in_(wanted.statuses))
    if wanted.key_prefixes:
        asked.append(or_(*(shown.key.startswith(prefix, autoescape=True) for prefix in wanted.key_prefixes)))
    return and_(literal(True), *asked)


async def create(tx: Tx, *, key: str, name: str, filter_: object = None) -> Group:
    """A new group: static without a filter, dynamic with one.

    Raises KeyMalformed, NameMalformed, FilterMalformed, GroupKeyTaken, TooManyGroups.
    """
    wanted = None if filter_ is None else filter.parse(filter_)
    if await tx.scalar(select(func.count()).select_from(_mine(tx).subquery())) >= MAX_GROUPS:
        raise errors.TooManyGroups
    row = await tx.one(
        upsert(groups)
        .values(
            tenant_id=tx.principal.tenant_id,
            id=ids.uuid7(),
            key=checked_key(key),
            name=checked_name(name),
            filter=None if wanted is None else wanted.document(),
            version=1,
            created_at=tx.now,
            updated_at=tx.now,
        )
        .on_conflict_do_nothing(index_elements=["tenant_id", "key"])
        .returning(groups)
    )
    if row is None:
        raise errors.GroupKeyTaken
    created = _group(row)
    tx.emit(events.GroupChanged(created.id))
    tx.audit("group.create", "group", created.id, after=created)
    return created


async def change(
    tx: Tx, group_id: UUID, *, name: str | None = None, filter_: object = None, expected_version: int | None = None
) -> Group:
    """Change what is given. Raises GroupNotFound, VersionStale, GroupStatic, NameMalformed, FilterMalformed."""
    before = await _locked(tx, group_id)
    if expected_version is not None and before.version != expected_version:
        raise errors.VersionStale
    values: dict[str, object] = {}
    if name is not None:
        values["name"] = checked_name(name)
    if filter_ is not None:
        if before.filter is None:
            raise errors.GroupStatic
        values["filter"] = filter.parse(filter_).document()
    after = await _save(tx, before, values)
    tx.audit("group.change", "group", group_id, before=before, after=after)
    return after


async def remove(tx: Tx, group_id: UUID) -> Group:
    """Delete a group; its devices stay. Raises GroupNotFound."""
    gone = await _locked(tx, group_id)
    await tx.execute(delete(groups).where(groups.c.tenant_id == tx.principal.tenant_id, groups.c.id == group_id))
    tx.emit(events.GroupChanged(group_id))
    tx.audit("group.delete", "group", group_id, before=gone)
    return gone


async def add_devices(tx: Tx, group_id: UUID, device_ids: Sequence[UUID]) -> Group:
    """Put devices into a static group; those inside already stay so.

    Raises GroupNotFound, GroupDynamic, DeviceNotFound.
    """
    group = await _static(tx, group_id)
    wanted = sorted(set(device_ids))
    query = select(devices.c.id).where(devices.c.tenant_id == tx.principal.tenant_id, devices.c.id.in_(wanted))
    if len(await tx.rows(query)) != len(wanted):
        raise errors.DeviceNotFound
    if wanted:
        rows = [
            {"tenant_id": tx.principal.tenant_id, "group_id": group_id, "device_id": each, "added_at": tx.now}
            for each in wanted
        ]
        await tx.execute(upsert(members).values(rows).on_conflict_do_nothing())
    after = await _save(tx, group, {})
    tx.audit("group.add", "group", group_id, after={"devices": [str(each) for each in wanted]})
    return after


async def remove_devices(tx: Tx, group_id: UUID, device_ids: Sequence[UUID]) -> Group:
    """Take devices out of a static group; those not inside are passed over. Raises GroupNotFound, GroupDynamic."""
    group = await _static(tx, group_id)
    await tx.execute(
        delete(members).where(
            members.c.tenant_id == tx.principal.tenant_id,
            members.c.group_id == group_id,
            members.c.device_id.in_(device_ids),
        )
    )
    after = await _save(tx, group, {})
    tx.audit("group.remove", "group", group_id, after={"devices": sorted(str(each) for each in device_ids)})
    return after


async def _static(tx: Tx, group_id: UUID) -> Group:
    group = await _locked(tx, group_id)
    if group.filter is not None:
        raise errors.GroupDynamic
    return group


async def _locked(tx: Tx, group_id: UUID) -> Group:
    return _group(await _found(tx, _mine(tx).where(groups.c.id == group_id).with_for_update()))


async def _found(tx: Tx, query: Select[tuple[object, ...]]) -> RowMapping:
    row = await tx.one(query)
    if row is None:
        raise errors.GroupNotFound
    return row


async def _save(tx: Tx, group: Group, values: dict[str, object]) -> Group:
    where = and_(groups.c.tenant_id == tx.principal.tenant_id, groups.c.id == group.id)
    changing = update(groups).where(where).values(**values, version=group.version + 1, updated_at=tx.now)
    row = await tx.one(changing.returning(groups))
    assert row is not None
    tx.emit(events.GroupChanged(group.id))
    return _group(row)


def _mine(tx: Tx) -> Select[tuple[object, ...]]:
    return select(groups).where(groups.c.tenant_id == tx.principal.tenant_id)


def _group(row: RowMapping) -> Group:
    wanted = None if row["filter"] is None else filter.parse(row["filter"])
    return Group(row["id"], row["key"], row["name"], wanted, row["version"], row["created_at"], row["updated_at"])
