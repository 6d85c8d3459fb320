"""What happens to devices, as the journal tells it."""

from dataclasses import dataclass, field
from typing import ClassVar
from uuid import UUID

from engine.store.emit import Event


@dataclass(frozen=True, slots=True)
class DeviceProvisioned(Event):
    """A device was registered."""

    kind: ClassVar[str] = "device.provisioned"
    device: UUID


@dataclass(frozen=True, slots=True)
class DeviceChanged(Event):
    """A device's name, labels or profile changed; ``by``: the rules that led to it, if it was rules."""

    kind: ClassVar[str] = "device.changed"
    device: UUID
    by: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DeviceSuspended(Event):
    """A device was shut out for the time being."""

    kind: ClassVar[str] = "device.suspended"
    device: UUID


@dataclass(frozen=True, slots=True)
class DeviceResumed(Event):
    """A suspended device may come in again."""

    kind: ClassVar[str] = "device.resumed"
    device: UUID


@dataclass(frozen=True, slots=True)
class DeviceQuarantined(Event):
    """A device was shut out because something is wrong with it."""

    kind: ClassVar[str] = "device.quarantined"
    device: UUID


@dataclass(frozen=True, slots=True)
class DeviceReleased(Event):
    """A device was let out of quarantine."""

    kind: ClassVar[str] = "device.released"
    device: UUID


@dataclass(frozen=True, slots=True)
class DeviceErased(Event):
    """What a decommissioned device had sent was erased."""

    kind: ClassVar[str] = "device.erased"
    device: UUID


@dataclass(frozen=True, slots=True)
class DeviceDecommissioned(Event):
    """A device's life ended."""

    kind: ClassVar[str] = "device.decommissioned"
    device: UUID


@dataclass(frozen=True, slots=True)
class DeviceSilent(Event):
    """Reports that a device's profile expects have not come for too long; instants in ms, ``epoch`` its session's."""

    kind: ClassVar[str] = "device.silent"
    device: UUID
    at: int
    epoch: int
    is_online: bool
    reason: str
    since: int
    interval_s: int


@dataclass(frozen=True, slots=True)
class DeviceReporting(Event):
    """A silent device was ``heard`` again, or nothing is expected of it any more (``not_expected``)."""

    kind: ClassVar[str] = "device.reporting"
    device: UUID
    at: int
    epoch: int
    is_online: bool
    reason: str


@dataclass(frozen=True, slots=True)
class GroupChanged(Event):
    """A group was made, changed or deleted, or its members were."""

    kind: ClassVar[str] = "group.changed"
    group: UUID


@dataclass(frozen=True, slots=True)
class ProfileChanged(Event):
    """A profile's name or metrics changed."""

    kind: ClassVar[str] = "profile.changed"
    profile: UUID
