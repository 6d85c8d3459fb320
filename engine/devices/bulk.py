"""Many devices at once: a table is compared with the registry line by line, then carried out in a few statements.

Repeating it does no harm: a line is new, already there, different from what is there, or wrong. Lines that are wrong
are left out and said; the others are carried out, so that the mended table can simply be sent again.
"""

import asyncio
import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from itertools import islice
from uuid import UUID

import orjson
from sqlalchemy import text

from engine import clock, ids
from engine.devices import errors, events, filter, service, sheet
from engine.devices.filter import Filter
from engine.devices.model import Device, DeviceStatus
from engine.devices.rows import as_device
from engine.devices.sheet import Flaw, Imported, Line, Outcome, Row
from engine.quotas import service as quotas
from engine.store.tx import Tx
from engine.tenants import service as tenants


@dataclass(frozen=True, slots=True)
class _Known:
    """What the table's words mean in this tenant."""

    profiles: Mapping[str, UUID]
    groups: Mapping[str, UUID]
    dynamic: frozenset[str]
    devices: Mapping[str, Device]
    members: frozenset[tuple[UUID, UUID]]
    put: frozenset[UUID]
    within: tuple[Filter, ...] | None
    """Of whoever is limited to groups: one of these must find a device, unless it was put into a group. None: all."""
    called: Mapping[str, str] = field(default_factory=dict)
    """The profiles' keys by what somebody may have meant them by: key or name, in small letters."""
    suggested: dict[str, str] = field(default_factory=dict)
    """What was said of misspelt profiles so far: a table has the same one on many lines."""


OUTSIDE = (
    "This device would lie outside your groups: what is new must be found by the filter of one. "
    "Ask somebody who sees all devices to add it to a group that is picked by hand."
)
_MOST_SUGGESTED = 20
_MOST_LOOKED_AT = 500
_PROFILES = text("SELECT key, id, name FROM profiles WHERE tenant_id = :tenant ORDER BY key")
_GROUPS = text("SELECT key, id, filter FROM device_groups WHERE tenant_id = :tenant")
_DEVICES = "SELECT * FROM devices WHERE tenant_id = :tenant AND key = ANY (CAST(:keys AS text[]))"
_MEMBERS = text(
    "SELECT group_id, device_id FROM device_group_members "
    "WHERE tenant_id = :tenant AND device_id = ANY (CAST(:devices AS uuid[]))"
)
_INSERT = text(
    "INSERT INTO devices (tenant_id, id, key, name, profile_id, status, labels, created_at, updated_at) "
    "SELECT :tenant, u.id, u.key, u.name, u.profile, 'provisioned', CAST(u.labels AS jsonb), :now, :now "
    "FROM unnest(CAST(:ids AS uuid[]), CAST(:keys AS text[]), CAST(:names AS text[]), CAST(:profiles AS uuid[]), "
    "CAST(:labels AS text[])) AS u (id, key, name, profile, labels) "
    "ON CONFLICT (tenant_id, key) DO NOTHING RETURNING id"
)
_UPDATE = text(
    "UPDATE devices d SET name = u.name, profile_id = u.profile, labels = CAST(u.labels AS jsonb), "
    "version = d.version + 1, updated_at = :now "
    "FROM unnest(CAST(:ids AS uuid[]), CAST(:names AS text[]), CAST(:profiles AS uuid[]), CAST(:labels AS text[])) "
    "AS u (id, name, profile, labels) WHERE d.tenant_id = :tenant AND d.id = u.id"
)
_PRESENCE = text(
    "INSERT INTO presence (tenant_id, device_id) SELECT :tenant, u.id FROM unnest(CAST(:ids AS uuid[])) AS u (id) "
    "ON CONFLICT DO NOTHING"
)
_TOKENS = text(
    "INSERT INTO credentials (tenant_id, id, device_id, kind, secret_sha256, created_at) "
    "SELECT :tenant, u.id, u.device, 'token', u.secret, :now "
    "FROM unnest(CAST(:ids AS uuid[]), CAST(:devices AS uuid[]), CAST(:secrets AS bytea[])) AS u (id, device, secret)"
)
_JOIN = text(
    "INSERT INTO device_group_members (tenant_id, group_id, device_id, added_at) SELECT :tenant, u.g, u.d, :now "
    "FROM unnest(CAST(:groups AS uuid[]), CAST(:devices AS uuid[])) AS u (g, d) ON CONFLICT DO NOTHING"
)
_TELL = text("SELECT pg_notify('tidegate_changed', 'device:' || u.id) FROM unnest(CAST(:ids AS uuid[])) AS u (id)")


async def bring_in(
    tx: Tx, table: str, *, profile_id: UUID | None = None, dry_run: bool = True, update: bool = False
) -> Imported:
    """Register the devices of a CSV table (see ``sheet``), up to 10,000; change existing ones only with ``update``.

    ``profile_id`` is the profile of lines that name none. A dry run says what would become of each line and changes
    nothing. For somebody limited to groups, lines outside these are wrong. Raises SheetMalformed, SheetTooLong,
    ProfileNotFound, DeviceQuotaReached, DeviceKeyTaken.
    """
    rows = await asyncio.to_thread(sheet.read, table)  # a long one takes long enough for others to wait
    default = (await service.profile(tx, profile_id)).id if profile_id else None
    known = await _known(tx, rows, lock=not dry_run)
    judged = [_judge(row, known, default, update=update) for row in rows]
    if dry_run:
        return Imported(True, tuple(line for line, _ in judged), None)
    made = [device for line, device in judged if line.outcome is Outcome.NEW and device]
    changed = [device for line, device in judged if line.outcome is Outcome.CHANGED and device]
    await _insert(tx, made)
    await _update(tx, known, changed)
    await _join(tx, known, rows, [device for _, device in judged])
    imported = Imported(False, tuple(line for line, _ in judged), await _tokens(tx, made))
    counts = {str(outcome): imported.count(outcome) for outcome in Outcome}
    tx.audit("device.import", "device", "", after={"lines": len(rows), **counts})
    return imported


async def _known(tx: Tx, rows: Sequence[Row], *, lock: bool) -> _Known:
    named = {"tenant": tx.principal.tenant_id}
    keys = [row.key for row in rows if row.flaw is None]
    found = await tx.rows(text(_DEVICES + (" ORDER BY id FOR UPDATE" if lock else "")), {**named, "keys": keys})
    groups = await tx.rows(_GROUPS, named)
    members = await tx.rows(_MEMBERS, {**named, "devices": [row["id"] for row in found]})
    profiles = await tx.rows(_PROFILES, named)
    return _Known(
        {row["key"]: row["id"] for row in profiles},
        {row["key"]: row["id"] for row in groups},
        frozenset(row["key"] for row in groups if row["filter"] is not None),
        {row["key"]: as_device(row) for row in found},
        frozenset((row["group_id"], row["device_id"]) for row in members),
        frozenset(row["device_id"] for row in members),
        tuple(filter.parse(row["filter"]) for row in groups if row["filter"] is not None)
        if tx.principal.is_limited
        else None,
        {row[part].lower(): row["key"] for part in ("name", "key") for row in profiles},
    )


def _judge(row: Row, known: _Known, default: UUID | None, *, update: bool) -> tuple[Line, Device | None]:
    """What becomes of a line, and the device as it shall be."""
    before = known.devices.get(row.key)
    flaw = row.flaw or _flaw(row, known, default, before)
    if flaw is not None:
        return Line(row.number, row.key, Outcome.WRONG, flaw), None
    wanted = _wanted(row, known, default, before)
    if _is_outside(wanted, known):
        return Line(row.number, row.key, Outcome.WRONG, Flaw("attributes", OUTSIDE)), None
    if before is None:
        return Line(row.number, row.key, Outcome.NEW), wanted
    different = _different(row, known, before, wanted)
    if not different:
        return Line(row.number, row.key, Outcome.SAME), None
    said = Flaw(different[0], f"Differs in {', '.join(different)}.")
    if update:
        return Line(row.number, row.key, Outcome.CHANGED, said), wanted
    return Line(row.number, row.key, Outcome.DIFFERENT, said), None


def _flaw(row: Row, known: _Known, default: UUID | None, before: Device | None) -> Flaw | None:
    if before is not None and before.status is DeviceStatus.DECOMMISSIONED:
        return Flaw(
            "key", "A decommissioned device had this key. To use it again, add the device by itself and say so."
        )
    if row.profile is not None and row.profile not in known.profiles:
        suggestion = _suggestion(row.profile.strip().lower()[:40], known)
        return Flaw("profile", f"There is no profile with the key {row.profile[:40]!r}.{suggestion}")
    if row.profile is None and before is None and default is None:
        return Flaw("profile", "This line names no profile, and none was chosen for all.")
    for group in row.groups:
        if group not in known.groups:
            return Flaw("groups", f"There is no group with the key {group[:40]!r}.")
        if group in known.dynamic:
            return Flaw("groups", f"The group {group} holds what its filter finds; nothing can be put into it.")
    return None


def _suggestion(word: str, known: _Known) -> str:
    """The profile that was probably meant, by key or name; only for a table's first misspelt ones, since it is dear."""
    if word not in known.suggested:
        if len(known.suggested) >= _MOST_SUGGESTED:
            return ""
        exact = [word] if word in known.called else []
        near = exact or get_close_matches(word, islice(known.called, _MOST_LOOKED_AT), n=1)
        known.suggested[word] = f" Did you mean {known.called[near[0]]!r}?" if near else ""
    return known.suggested[word]


def _is_outside(wanted: Device, known: _Known) -> bool:
    """Whether somebody limited to groups would not see this device; the database would refuse the whole table."""
    if known.within is None or wanted.id in known.put:
        return False
    profile = next((key for key, profile_id in known.profiles.items() if profile_id == wanted.profile_id), "")
    return not any(each.fits(wanted.key, profile, wanted.status, wanted.labels) for each in known.within)


def _wanted(row: Row, known: _Known, default: UUID | None, before: Device | None) -> Device:
    """The device as the line describes it; what the line does not speak of stays as it is."""
    profile_id = known.profiles[row.profile] if row.profile else default
    if before is not None:
        return replace(
            before,
            name=row.name or before.name,
            profile_id=known.profiles[row.profile] if row.profile else before.profile_id,
            labels=before.labels if row.labels is None else row.labels,
        )
    assert profile_id is not None
    now = clock.now()
    return Device(
        ids.uuid7(),
        row.key,
        row.name or row.key,
        profile_id,
        DeviceStatus.PROVISIONED,
        row.labels or {},
        1,
        now,
        now,
    )


def _different(row: Row, known: _Known, before: Device, wanted: Device) -> list[str]:
    missing = [group for group in row.groups if (known.groups[group], before.id) not in known.members]
    found = {
        "name": before.name != wanted.name,
        "profile": before.profile_id != wanted.profile_id,
        "attributes": dict(before.labels) != dict(wanted.labels),
        "groups": bool(missing),
    }
    return [column for column, differs in found.items() if differs]


async def _insert(tx: Tx, made: Sequence[Device]) -> None:
    if not made:
        return
    await quotas.take_devices(tx, len(made))
    columns = {**_columns(made), "keys": [device.key for device in made]}
    inserted = await tx.rows(_INSERT, {"tenant": tx.principal.tenant_id, "now": tx.now, **columns})
    if len(inserted) != len(made):
        held = [device.key for device in made if device.id not in {row["id"] for row in inserted}]
        raise errors.DeviceKeyTaken(f"Taken by devices you do not see, or at this moment: {', '.join(held[:20])}.")
    await tx.execute(_PRESENCE, {"tenant": tx.principal.tenant_id, "ids": columns["ids"]})
    for device in made:
        tx.emit(events.DeviceProvisioned(device.id))
        tx.audit("device.provision", "device", device.id, after=device)


async def _update(tx: Tx, known: _Known, changed: Sequence[Device]) -> None:
    if not changed:
        return
    columns = _columns(changed)
    await tx.execute(_UPDATE, {"tenant": tx.principal.tenant_id, "now": tx.now, **columns})
    for device in changed:
        tx.emit(events.DeviceChanged(device.id))
        after = replace(device, version=device.version + 1, updated_at=tx.now)
        tx.audit("device.change", "device", device.id, before=known.devices[device.key], after=after)
    await tx.execute(_TELL, {"ids": columns["ids"]})


async def _join(tx: Tx, known: _Known, rows: Sequence[Row], devices: Iterable[Device | None]) -> None:
    """Put new and changed devices into the groups their lines name; nobody is taken out of one."""
    joining = [
        (known.groups[group], device.id)
        for row, device in zip(rows, devices, strict=True)
        if device
        for group in row.groups
    ]
    if not joining:
        return
    columns = {"groups": [group for group, _ in joining], "devices": [device for _, device in joining]}
    await tx.execute(_JOIN, {"tenant": tx.principal.tenant_id, "now": tx.now, **columns})
    for group_id in sorted(set(columns["groups"])):
        tx.emit(events.GroupChanged(group_id))


async def _tokens(tx: Tx, made: Sequence[Device]) -> str | None:
    """A token for each new device, as CSV to download; only their sha256 is kept."""
    if not made:
        return None
    secrets = [ids.token("tgd") for _ in made]
    columns = {
        "ids": [ids.uuid7() for _ in made],
        "devices": [device.id for device in made],
        "secrets": [ids.fingerprint(secret) for secret in secrets],
    }
    await tx.execute(_TOKENS, {"tenant": tx.principal.tenant_id, "now": tx.now, **columns})
    tenant = (await tenants.current(tx)).key
    written = io.StringIO()
    sheet_ = csv.writer(written)
    sheet_.writerow(("key", "username", "token"))
    sheet_.writerows((d.key, f"{tenant}/d/{d.key}", secret) for d, secret in zip(made, secrets, strict=True))
    return written.getvalue()


def _columns(devices: Sequence[Device]) -> dict[str, list[object]]:
    return {
        "ids": [device.id for device in devices],
        "names": [device.name for device in devices],
        "profiles": [device.profile_id for device in devices],
        "labels": [orjson.dumps(device.labels).decode() for device in devices],
    }
