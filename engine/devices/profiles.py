"""Profiles: what a kind of device measures, how often, and what it can be told; each change is kept as a version."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import Select, and_, bindparam, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.engine import RowMapping

from engine import ids, pages
from engine.devices import errors, events, tables
from engine.devices.changes import changes
from engine.devices.checks import (
    checked_commands,
    checked_interval,
    checked_metrics,
    checked_retention,
    checked_shadow,
)
from engine.devices.declared import Command, ShadowLeaf
from engine.devices.model import Metric, Profile, ProfileVersion, checked_key, checked_name
from engine.devices.rows import as_declaration, as_profile
from engine.pages import Page
from engine.store.tx import Tx
from engine.store.wire import Reading

profiles, versions = tables.profiles, tables.profile_versions

_BY_IDS = Reading(  # what devices are asked about asks for it
    select(profiles).where(profiles.c.tenant_id == bindparam("tenant"), profiles.c.id == func.any(bindparam("ids")))
)

# Whatever may make a report expected sooner is looked at soon; silence.look decides what comes of it.
_WATCH = text(
    "INSERT INTO silence_watches (tenant_id, since, due_at) VALUES (:tenant, :now, :now) "
    "ON CONFLICT (tenant_id) DO UPDATE SET due_at = least(silence_watches.due_at, excluded.due_at)"
)


async def profile(tx: Tx, profile_id: UUID) -> Profile:
    """The profile with this id; raises ProfileNotFound."""
    row = await tx.one(_mine(tx).where(profiles.c.id == profile_id))
    if row is None:
        raise errors.ProfileNotFound
    return as_profile(row)


async def profile_by_key(tx: Tx, key: str) -> Profile | None:
    """The profile with this key, or None."""
    row = await tx.one(_mine(tx).where(profiles.c.key == key))
    return as_profile(row) if row else None


async def profiles_by_ids(tx: Tx, profile_ids: Sequence[UUID]) -> dict[UUID, Profile]:
    """Those of ``profile_ids`` that exist."""
    rows = await tx.read(_BY_IDS, {"tenant": tx.principal.tenant_id, "ids": list(profile_ids)})
    return {row["id"]: as_profile(row) for row in rows}


async def profile_page(tx: Tx, *, first: int = 50, after: str | None = None) -> Page[Profile]:
    """Profiles in the order of their keys."""
    size = pages.page_size(first)
    query = _mine(tx)
    if after is not None:
        query = query.where(profiles.c.key > pages.decode(after))
    rows = await tx.rows(query.order_by(profiles.c.key).limit(size + 1))
    return pages.cut([as_profile(row) for row in rows], size, lambda profile: profile.key)


async def profile_create(
    tx: Tx,
    *,
    key: str,
    name: str,
    metrics: Sequence[Metric],
    is_strict: bool = False,
    reporting_interval_s: int | None = None,
    commands: Sequence[Command] = (),
    shadow: Sequence[ShadowLeaf] = (),
    retention_days: int | None = None,
) -> Profile:
    """Describe a kind of device.

    Raises KeyMalformed, NameMalformed, MetricsMalformed, IntervalMalformed, CommandsMalformed, ShadowMalformed,
    DaysMalformed, ProfileKeyTaken.
    """
    declared = {
        "name": checked_name(name),
        "metrics": checked_metrics(metrics),
        "is_strict": is_strict,
        "reporting_interval_s": checked_interval(reporting_interval_s),
        "commands": checked_commands(commands),
        "shadow": checked_shadow(shadow),
        "retention_days": checked_retention(retention_days),
    }
    stamps = {"version": 1, "created_at": tx.now, "updated_at": tx.now}
    row = await tx.one(
        upsert(profiles)
        .values(tenant_id=tx.principal.tenant_id, id=ids.uuid7(), key=checked_key(key), **declared, **stamps)
        .on_conflict_do_nothing(index_elements=["tenant_id", "key"])
        .returning(profiles)
    )
    if row is None:
        raise errors.ProfileKeyTaken
    created = as_profile(row)
    await _keep(tx, created.id, 1, declared)
    tx.emit(events.ProfileChanged(created.id))
    tx.audit("profile.create", "profile", created.id, after=created)
    return created


async def profile_change(
    tx: Tx,
    profile_id: UUID,
    *,
    name: str | None = None,
    metrics: Sequence[Metric] | None = None,
    is_strict: bool | None = None,
    reporting_interval_s: int | None = None,
    commands: Sequence[Command] | None = None,
    shadow: Sequence[ShadowLeaf] | None = None,
    retention_days: int | None = None,
    expected_version: int | None = None,
) -> Profile:
    """Change what is given, 0 seconds meaning that no reports are expected, 0 days that the tenant says what is kept.

    Readings already stored stay as they are, but for those that are not kept any longer.
    What changes nothing makes no version. Raises ProfileNotFound, VersionStale and what ``profile_create`` raises.
    """
    row = await tx.one(_mine(tx).where(profiles.c.id == profile_id).with_for_update())
    if row is None:
        raise errors.ProfileNotFound
    if expected_version is not None and row["version"] != expected_version:
        raise errors.VersionStale
    before = {part: row[part] for part in _PARTS}
    given: dict[str, object] = {}
    if name is not None:
        given["name"] = checked_name(name)
    if metrics is not None:
        given["metrics"] = checked_metrics(metrics)
    if is_strict is not None:
        given["is_strict"] = is_strict
    if reporting_interval_s is not None:
        given["reporting_interval_s"] = checked_interval(reporting_interval_s)
    if commands is not None:
        given["commands"] = checked_commands(commands)
    if shadow is not None:
        given["shadow"] = checked_shadow(shadow)
    if retention_days is not None:
        given["retention_days"] = checked_retention(retention_days)
    if {**before, **given} == before:
        return as_profile(row)
    where = and_(profiles.c.tenant_id == tx.principal.tenant_id, profiles.c.id == profile_id)
    values = {**given, "version": row["version"] + 1, "updated_at": tx.now}
    changed = await tx.one(update(profiles).where(where).values(**values).returning(profiles))
    assert changed is not None
    await _keep(tx, profile_id, changed["version"], {**before, **given})
    tx.emit(events.ProfileChanged(profile_id))
    await tx.notify(f"profile:{profile_id}")
    after = as_profile(changed)
    tx.audit("profile.change", "profile", profile_id, before=as_profile(row), after=after)
    return after


async def version_page(tx: Tx, profile_id: UUID, *, first: int = 50, after: str | None = None) -> Page[ProfileVersion]:
    """A profile's versions, newest first. Raises ProfileNotFound, BadCursor, BadPageSize."""
    await profile(tx, profile_id)
    size = pages.page_size(first)
    query = _versions(tx, profile_id)
    if after is not None:
        query = query.where(versions.c.version < _number(pages.decode(after)))
    rows = await tx.rows(query.order_by(versions.c.version.desc()).limit(size + 2))  # the last one's predecessor too
    found = [_version(row, rows[place + 1] if place + 1 < len(rows) else None) for place, row in enumerate(rows)]
    return pages.cut(found[: size + 1], size, lambda kept: str(kept.version))


async def version(tx: Tx, profile_id: UUID, number: int) -> ProfileVersion:
    """What a profile said in one version, and what that changed. Raises ProfileVersionNotFound."""
    query = _versions(tx, profile_id).where(versions.c.version <= number)
    rows = await tx.rows(query.order_by(versions.c.version.desc()).limit(2))
    if not rows or rows[0]["version"] != number:
        raise errors.ProfileVersionNotFound
    return _version(rows[0], rows[1] if len(rows) > 1 else None)


_PARTS = ("name", "metrics", "is_strict", "reporting_interval_s", "commands", "shadow", "retention_days")


async def _keep(tx: Tx, profile_id: UUID, number: int, declared: Mapping[str, object]) -> None:
    """Keep what was declared as a version, and let silence be watched by it if reports are expected."""
    await tx.execute(
        insert(versions).values(
            tenant_id=tx.principal.tenant_id,
            profile_id=profile_id,
            version=number,
            declared=declared,
            changed_by=tx.principal.name or tx.principal.kind,
            changed_at=tx.now,
        )
    )
    if declared["reporting_interval_s"] is not None:
        await tx.execute(_WATCH, {"tenant": tx.principal.tenant_id, "now": tx.now})


def _version(row: RowMapping, before: RowMapping | None) -> ProfileVersion:
    declared = as_declaration(row["declared"])
    return ProfileVersion(
        profile_id=row["profile_id"],
        version=row["version"],
        declared=declared,
        changed_by=row["changed_by"],
        changed_at=row["changed_at"],
        changes=changes(as_declaration(before["declared"]) if before else None, declared),
    )


def _mine(tx: Tx) -> Select[tuple[object, ...]]:
    return select(profiles).where(profiles.c.tenant_id == tx.principal.tenant_id)


def _versions(tx: Tx, profile_id: UUID) -> Select[tuple[object, ...]]:
    return select(versions).where(versions.c.tenant_id == tx.principal.tenant_id, versions.c.profile_id == profile_id)


def _number(cursor: str) -> int:
    try:
        return min(int(cursor), 2_147_483_647)
    except ValueError:
        raise pages.BadCursor from None
