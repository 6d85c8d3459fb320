"""The registry of devices: provision, find, change, decommission, and the tokens they log in with."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    Uuid,
    and_,
    bindparam,
    column,
    func,
    insert,
    select,
    table,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from engine import ids, pages
from engine.devices import errors, events, groups, tables
from engine.devices.checks import checked_labels
from engine.devices.model import (
    Counts,
    Credential,
    Device,
    DeviceStatus,
    Presence,
    checked_key,
    checked_name,
)
from engine.devices.profiles import profile as profile
from engine.devices.profiles import profile_by_key as profile_by_key
from engine.devices.profiles import profile_change as profile_change
from engine.devices.profiles import profile_create as profile_create
from engine.devices.profiles import profile_page as profile_page
from engine.devices.profiles import profiles_by_ids as profiles_by_ids
from engine.devices.rows import as_credential, as_device
from engine.pages import Page
from engine.quotas import service as quotas
from engine.store.tx import Tx

devices, credentials, presence = tables.devices, tables.credentials, tables.presence

# Built once, and not for each of the many questions about single devices: that took longer than to be answered.
_BY_ID = select(devices).where(devices.c.tenant_id == bindparam("tenant"), devices.c.id == bindparam("id"))
_BY_IDS = select(devices).where(
    devices.c.tenant_id == bindparam("tenant"), devices.c.id == func.any(bindparam("ids", type_=ARRAY(Uuid)))
)
# latest belongs to telemetry, above this package; one scalar of it tells when a device was last heard
_LAST_SEEN = text(
    "SELECT p.device_id, p.is_online, p.since, p.reason, greatest(p.since, l.received_at) AS last_seen_at, "
    "CASE WHEN l.received_at > p.silent_since THEN NULL ELSE p.silent_since END AS silent_since "
    "FROM presence p LEFT JOIN latest l ON l.tenant_id = p.tenant_id AND l.device_id = p.device_id "
    "WHERE p.tenant_id = :tenant AND p.device_id = ANY (:ids)"
)


_latest = table("latest", column("tenant_id"), column("device_id"), column("received_at"))


async def get(tx: Tx, device_id: UUID) -> Device:
    """The device with this id; raises DeviceNotFound."""
    row = await tx.one(_BY_ID, {"tenant": tx.principal.tenant_id, "id": device_id})
    if row is None:
        raise errors.DeviceNotFound
    return as_device(row)


async def by_key(tx: Tx, key: str) -> Device | None:
    """The device with this key, or None."""
    row = await tx.one(_mine(tx).where(devices.c.key == key))
    return as_device(row) if row else None


async def by_ids(tx: Tx, device_ids: Sequence[UUID]) -> dict[UUID, Device]:
    """Those of ``device_ids`` that exist."""
    rows = await tx.rows(_BY_IDS, {"tenant": tx.principal.tenant_id, "ids": device_ids})
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
    first: int = 50,
    after: str | None = None,
) -> Page[Device]:
    """Devices in the order of their keys. Without a ``status`` decommissioned ones are left out.

    Raises GroupNotFound, BadCursor, BadPageSize.
    """
    size = pages.page_size(first)
    query = _mine(tx).where(_chosen(search, profile_id, status))
    if group_id is not None:
        query = query.where(groups.holds(tx, await groups.get(tx, group_id)))
    if is_online is not None:
        query = query.where(devices.c.id.in_(_online(tx)) if is_online else devices.c.id.not_in(_online(tx)))
    if is_silent is not None:
        query = query.where(devices.c.id.in_(_silent(tx)) if is_silent else devices.c.id.not_in(_silent(tx)))
    if after is not None:
        query = query.where(devices.c.key > pages.decode(after))
    read = tx.rows if is_online is is_silent is None else tx.rows_of_many
    rows = await read(query.order_by(devices.c.key).limit(size + 1))
    return pages.cut([as_device(row) for row in rows], size, lambda device: device.key)


async def counts(tx: Tx, profile_id: UUID | None = None) -> Counts:
    """How many devices there are, how many of them are connected, and how many silent."""
    where = and_(devices.c.tenant_id == tx.principal.tenant_id, _chosen(None, profile_id, None))
    total = select(func.count()).select_from(devices).where(where)
    online = total.where(devices.c.id.in_(_online(tx))).scalar_subquery().label("online")
    silent = total.where(devices.c.id.in_(_silent(tx))).scalar_subquery().label("silent")
    (row,) = await tx.rows_of_many(select(total.scalar_subquery().label("total"), online, silent))
    return Counts(row["total"], row["online"], row["silent"])


async def provision(
    tx: Tx,
    *,
    key: str,
    name: str,
    profile_id: UUID,
    labels: Mapping[str, str] | None = None,
    replaces: UUID | None = None,
) -> Device:
    """Register a device. A decommissioned one's key is used again only if ``replaces`` names that device.

    Raises KeyMalformed, NameMalformed, LabelsMalformed, ProfileNotFound, DeviceKeyTaken, KeyNotGivenUp,
    DeviceQuotaReached.
    """
    await profile(tx, profile_id)
    if replaces is not None:
        await _give_up_key(tx, replaces, checked_key(key))
    await quotas.take_devices(tx)
    row = await tx.one(
        upsert(devices)
        .values(
            tenant_id=tx.principal.tenant_id,
            id=ids.uuid7(),
            key=checked_key(key),
            name=checked_name(name),
            profile_id=profile_id,
            status=DeviceStatus.PROVISIONED,
            labels=checked_labels(labels or {}),
            version=1,
            created_at=tx.now,
            updated_at=tx.now,
        )
        .on_conflict_do_nothing(index_elements=["tenant_id", "key"])
        .returning(devices)
    )
    if row is None:
        raise await _taken(tx, key)
    device = as_device(row)
    await tx.execute(
        insert(presence).values(
            tenant_id=tx.principal.tenant_id, device_id=device.id, session_epoch=0, seen_epoch=0, is_online=False
        )
    )
    tx.emit(events.DeviceProvisioned(device.id))
    tx.audit("device.provision", "device", device.id, after=device)
    return device


async def change(
    tx: Tx,
    device_id: UUID,
    *,
    name: str | None = None,
    labels: Mapping[str, str] | None = None,
    profile_id: UUID | None = None,
    expected_version: int | None = None,
) -> Device:
    """Change what is given and leave the rest.

    Raises DeviceNotFound, DeviceStuck, VersionStale and what ``provision`` raises.
    """
    device = await lock(tx, device_id)
    if expected_version is not None and device.version != expected_version:
        raise errors.VersionStale
    if device.status is DeviceStatus.DECOMMISSIONED:
        raise errors.DeviceStuck("A decommissioned device cannot be changed.")
    if profile_id is not None:
        await profile(tx, profile_id)
    values: dict[str, object] = {}
    if name is not None:
        values["name"] = checked_name(name)
    if labels is not None:
        values["labels"] = checked_labels(labels)
    if profile_id is not None:
        values["profile_id"] = profile_id
    changed = await save(tx, device, values)
    tx.emit(events.DeviceChanged(device.id))
    tx.audit("device.change", "device", device.id, before=device, after=changed)
    await tx.notify(f"device:{device.id}")
    return changed


async def activate(tx: Tx, device_ids: Sequence[UUID]) -> None:
    """Devices that connected for the first time begin their active life."""
    await tx.execute(
        update(devices)
        .where(
            devices.c.tenant_id == tx.principal.tenant_id,
            devices.c.id.in_(device_ids),
            devices.c.status == DeviceStatus.PROVISIONED,
        )
        .values(status=DeviceStatus.ACTIVE, version=devices.c.version + 1, updated_at=tx.now)
    )


async def suspend(tx: Tx, device_id: UUID) -> Device:
    """Shut a device out for the time being: its live connection is cut, its credentials wait, its history stays.

    Raises DeviceNotFound, and DeviceStuck for one that is suspended or decommissioned already.
    """
    device = await lock(tx, device_id)
    suspended = await save(tx, device, {"status": device.become(DeviceStatus.SUSPENDED).status})
    tx.emit(events.DeviceSuspended(device_id))
    tx.audit("device.suspend", "device", device_id, before=device, after=suspended)
    await tx.notify(f"device:{device_id}")
    return suspended


async def resume(tx: Tx, device_id: UUID) -> Device:
    """Let a suspended device in again, with the credentials it had. Raises DeviceNotFound, DeviceStuck."""
    device = await lock(tx, device_id)
    if device.status is not DeviceStatus.SUSPENDED:
        raise errors.DeviceStuck(f"A device that is {device.status} is not suspended.")
    resumed = await save(tx, device, {"status": device.become(await in_service(tx, device_id)).status})
    tx.emit(events.DeviceResumed(device_id))
    tx.audit("device.resume", "device", device_id, before=device, after=resumed)
    await tx.notify(f"device:{device_id}")
    return resumed


async def in_service(tx: Tx, device_id: UUID) -> DeviceStatus:
    """Where a device stands when it is let in again: active if it ever connected."""
    query = select(presence.c.session_epoch).where(
        presence.c.tenant_id == tx.principal.tenant_id, presence.c.device_id == device_id
    )
    return DeviceStatus.ACTIVE if await tx.scalar(query) else DeviceStatus.PROVISIONED


async def decommission(tx: Tx, device_id: UUID) -> Device:
    """End a device's life and revoke its credentials; its live connection is cut. Its data stays."""
    device = (await lock(tx, device_id)).become(DeviceStatus.DECOMMISSIONED)
    ended = await save(tx, device, {"status": device.status})
    await revoke_all(tx, device_id)
    tx.emit(events.DeviceDecommissioned(device_id))
    tx.audit("device.decommission", "device", device_id, after=ended)
    await tx.notify(f"device:{device_id}")
    return ended


async def revoke_all(tx: Tx, device_id: UUID) -> None:
    """Make every credential of a device worthless; whoever calls this tells the other processes."""
    await tx.execute(
        update(credentials)
        .where(
            credentials.c.tenant_id == tx.principal.tenant_id,
            credentials.c.device_id == device_id,
            credentials.c.revoked_at.is_(None),
        )
        .values(revoked_at=tx.now)
    )


async def issue_token(tx: Tx, device_id: UUID, expires_at: datetime | None = None) -> tuple[Credential, str]:
    """A new token for a device, and the secret, which is not kept. Raises DeviceNotFound, DeviceStuck, ExpiryPast."""
    device = await lock(tx, device_id)
    _may_log_in(device)
    if expires_at is not None and expires_at <= tx.now:
        raise errors.ExpiryPast
    secret = ids.token("tgd")
    return await _enter(tx, device.id, "token", ids.fingerprint(secret), expires_at), secret


async def for_certificate(tx: Tx, device_id: UUID) -> Device:
    """The device, held until COMMIT, if it may have a certificate. Raises DeviceNotFound, DeviceStuck."""
    device = await lock(tx, device_id)
    _may_log_in(device)
    return device


async def enter_certificate(tx: Tx, device: Device, fingerprint: bytes, expires_at: datetime) -> Credential:
    """Let ``device`` log in with the certificate of this SHA-256, beside whatever else it has."""
    return await _enter(tx, device.id, "x509", fingerprint, expires_at)


async def _enter(tx: Tx, device_id: UUID, kind: str, secret_sha256: bytes, expires_at: datetime | None) -> Credential:
    row = await tx.one(
        insert(credentials)
        .values(
            tenant_id=tx.principal.tenant_id,
            id=ids.uuid7(),
            device_id=device_id,
            kind=kind,
            secret_sha256=secret_sha256,
            created_at=tx.now,
            expires_at=expires_at,
        )
        .returning(credentials)
    )
    assert row is not None
    credential = as_credential(row)
    tx.audit("credential.issue", "device", device_id, after=credential)
    return credential


async def revoke_credential(tx: Tx, credential_id: UUID) -> Credential:
    """Make a credential worthless at once; a connection that used it is cut. Raises CredentialNotFound."""
    row = await tx.one(
        update(credentials)
        .where(credentials.c.tenant_id == tx.principal.tenant_id, credentials.c.id == credential_id)
        .values(revoked_at=func.coalesce(credentials.c.revoked_at, tx.now))
        .returning(credentials)
    )
    if row is None:
        raise errors.CredentialNotFound
    await tx.notify(f"device:{row['device_id']}")
    credential = as_credential(row)
    tx.audit("credential.revoke", "device", credential.device_id, after=credential)
    return credential


async def credentials_of(tx: Tx, device_ids: Sequence[UUID]) -> dict[UUID, list[Credential]]:
    """The credentials of each device, newest first."""
    found: dict[UUID, list[Credential]] = {device_id: [] for device_id in device_ids}
    query = select(credentials).where(
        credentials.c.tenant_id == tx.principal.tenant_id, credentials.c.device_id.in_(device_ids)
    )
    for row in await tx.rows(query.order_by(credentials.c.id.desc())):
        found[row["device_id"]].append(as_credential(row))
    return found


async def presence_of(tx: Tx, device_ids: Sequence[UUID]) -> dict[UUID, Presence]:
    """The presence of each device; one that never connected is offline since never."""
    rows = await tx.rows(_LAST_SEEN, {"tenant": tx.principal.tenant_id, "ids": list(device_ids)})
    found = {
        row["device_id"]: Presence(
            row["is_online"], row["since"], row["reason"], row["last_seen_at"], row["silent_since"]
        )
        for row in rows
    }
    return {device_id: found.get(device_id, Presence()) for device_id in device_ids}


# ── inside ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _mine(tx: Tx) -> Select[tuple[object, ...]]:
    return select(devices).where(devices.c.tenant_id == tx.principal.tenant_id)


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


def _chosen(search: str | None, profile_id: UUID | None, status: DeviceStatus | None) -> ColumnElement[bool]:
    wanted = [tables.status == status if status else devices.c.status != DeviceStatus.DECOMMISSIONED]
    if search:
        wanted.append(devices.c.words.contains(func.lower(_escaped(search)), escape="\\"))
    if profile_id is not None:
        wanted.append(devices.c.profile_id == profile_id)
    return and_(*wanted)


def _escaped(text: str) -> str:
    """``text`` in a pattern of LIKE, meaning itself."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


async def _taken(tx: Tx, key: str) -> errors.DeviceKeyTaken:
    """Why ``key`` is not free, and what to do about it."""
    held = await by_key(tx, key)
    if held is None or held.status is not DeviceStatus.DECOMMISSIONED:
        return errors.DeviceKeyTaken()
    said = "A decommissioned device had this key. To use it again, name that device as the one that is replaced."
    return errors.DeviceKeyTaken(said, replaces=held.id)


async def _give_up_key(tx: Tx, device_id: UUID, key: str) -> None:
    """A decommissioned device leaves its key to a new one and is from then on called by it and eight digits."""
    device = await lock(tx, device_id)
    if device.status is not DeviceStatus.DECOMMISSIONED or device.key != key:
        raise errors.KeyNotGivenUp
    renamed = f"{key[:31]}-{ids.uuid7().hex[-8:]}"
    after = await save(tx, device, {"key": renamed, "former_key": key})
    tx.emit(events.DeviceChanged(device_id))
    tx.audit("device.give_up_key", "device", device_id, before=device, after=after)


def _may_log_in(device: Device) -> None:
    if device.status is DeviceStatus.DECOMMISSIONED:
        raise errors.DeviceStuck("A decommissioned device gets no new credentials.")
    if device.status is DeviceStatus.QUARANTINED:
        raise errors.DeviceStuck("A device in quarantine gets no new credentials before it is released.")


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
