"""The registry of devices: provision, change, suspend, decommission. What reads it, and credentials, lie beside it."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from engine import ids
from engine.devices import errors, events, tables
from engine.devices.checks import checked_labels
from engine.devices.credentials import credentials_of as credentials_of
from engine.devices.credentials import enter_certificate as enter_certificate
from engine.devices.credentials import for_certificate as for_certificate
from engine.devices.credentials import issue_token as issue_token
from engine.devices.credentials import revoke_all as revoke_all
from engine.devices.credentials import revoke_credential as revoke_credential
from engine.devices.model import Device, DeviceStatus, checked_key, checked_name
from engine.devices.profiles import profile as profile
from engine.devices.profiles import profile_by_key as profile_by_key
from engine.devices.profiles import profile_change as profile_change
from engine.devices.profiles import profile_create as profile_create
from engine.devices.profiles import profile_page as profile_page
from engine.devices.profiles import profiles_by_ids as profiles_by_ids
from engine.devices.registry import by_ids as by_ids
from engine.devices.registry import by_key as by_key
from engine.devices.registry import counts as counts
from engine.devices.registry import get as get
from engine.devices.registry import lock as lock
from engine.devices.registry import page as page
from engine.devices.registry import presence_of as presence_of
from engine.devices.registry import save as save
from engine.devices.registry import with_profile as with_profile
from engine.devices.rows import as_device
from engine.quotas import service as quotas
from engine.store.tx import Tx

devices, presence = tables.devices, tables.presence

_ACTIVATE_HEARD = text(
    "UPDATE devices d SET status = 'active', version = d.version + 1, updated_at = :now FROM latest l "
    "WHERE d.tenant_id = :tenant AND d.status = 'provisioned' AND l.tenant_id = d.tenant_id AND l.device_id = d.id"
)


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
    by: Sequence[str] = (),
) -> Device:
    """Change what is given and leave the rest. ``by``: the rules that led to it, if it was rules.

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
    tx.emit(events.DeviceChanged(device.id, list(by)))
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


async def activate_heard(tx: Tx) -> None:
    """Devices that never connected and have sent readings all the same, over HTTP, begin their active life too."""
    await tx.execute(_ACTIVATE_HEARD, {"tenant": tx.principal.tenant_id, "now": tx.now})


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
