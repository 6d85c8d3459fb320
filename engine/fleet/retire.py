"""The end of a device's service: its credentials die, offers of it are withdrawn, its data stays or goes."""

from uuid import UUID

from engine.devices import erase as erasing
from engine.devices import service as devices
from engine.devices.model import Device
from engine.fleet import transfer
from engine.store.tx import Tx


async def decommission(tx: Tx, device_id: UUID, *, erase: bool = False) -> Device:
    """End a device's life; its connection is cut. With ``erase`` all that it has sent goes too, before long.

    Raises DeviceNotFound, DeviceStuck, and with ``erase`` Forbidden for who has not the right to that.
    """
    ended = await devices.decommission(tx, device_id)
    await transfer.withdraw_all(tx, device_id)
    if not erase:
        return ended
    await erasing.request(tx, device_id)
    return await devices.get(tx, device_id)
