"""Quarantine: a device that something is wrong with is shut out, with a reason, until somebody vouches for it again.

Suspension is for a device that is well and not wanted for the time being; resuming gives it back what it had. Whoever
releases a device from quarantine decides whether its old credentials are still to be trusted; by default they are not.
"""

from uuid import UUID

from engine.devices import errors, events, service
from engine.devices.model import Credential, Device, DeviceStatus
from engine.store.tx import Tx

MAX_REASON = 500


async def quarantine(tx: Tx, device_id: UUID, reason: str) -> Device:
    """Shut a device out for ``reason``; its live connection is cut.

    In the database it is suspended, so that every process that lets devices in refuses it. Raises DeviceNotFound,
    DeviceStuck, ReasonMalformed.
    """
    said = checked_reason(reason)
    device = await service.lock(tx, device_id)
    device.become(DeviceStatus.QUARANTINED)
    values = {"status": DeviceStatus.SUSPENDED, "quarantined_at": tx.now, "quarantine_reason": said}
    held = await service.save(tx, device, values)
    tx.emit(events.DeviceQuarantined(device_id))
    tx.audit("device.quarantine", "device", device_id, before=device, after=held)
    await tx.notify(f"device:{device_id}")
    return held


async def release(tx: Tx, device_id: UUID, *, renew: bool = True) -> tuple[Device, tuple[Credential, str] | None]:
    """Let a device out of quarantine. With ``renew`` its old credentials die and it gets a new token, shown once.

    Raises DeviceNotFound, DeviceStuck.
    """
    device = await service.lock(tx, device_id)
    if device.status is not DeviceStatus.QUARANTINED:
        raise errors.DeviceStuck(f"A device that is {device.status} is not in quarantine.")
    status = device.become(await service.in_service(tx, device_id)).status
    free = await service.save(tx, device, {"status": status, "quarantined_at": None, "quarantine_reason": None})
    tx.emit(events.DeviceReleased(device_id))
    tx.audit("device.release", "device", device_id, before=device, after=free)
    issued = None
    if renew:
        await service.revoke_all(tx, device_id)
        issued = await service.issue_token(tx, device_id)
    await tx.notify(f"device:{device_id}")
    return free, issued


def checked_reason(reason: str) -> str:
    """``reason`` without blanks around it; raises ReasonMalformed."""
    said = reason.strip()
    if not 1 <= len(said) <= MAX_REASON or "\0" in said:
        raise errors.ReasonMalformed
    return said
