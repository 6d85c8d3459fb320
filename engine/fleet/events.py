"""What happens to a fleet, as the journal tells it."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from engine.store.emit import Event


@dataclass(frozen=True, slots=True)
class DeviceArrived(Event):
    """A device came from another tenant."""

    kind: ClassVar[str] = "device.arrived"
    device: UUID


@dataclass(frozen=True, slots=True)
class FleetAudited(Event):
    """An audit of the fleet was made."""

    kind: ClassVar[str] = "fleet.audited"
    audit: UUID
