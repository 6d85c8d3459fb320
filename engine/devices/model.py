"""A device: its identity, its profile, its life, and the moves that life allows."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from engine.devices.declared import Command, ShadowLeaf
from engine.devices.errors import DeviceStuck, KeyMalformed, NameMalformed

KEY = re.compile(r"[A-Za-z0-9_-]{1,40}")


class DeviceStatus(StrEnum):
    """Where a device stands in its life."""

    PROVISIONED = "provisioned"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    QUARANTINED = "quarantined"
    DECOMMISSIONED = "decommissioned"


LIFE: Mapping[DeviceStatus, frozenset[DeviceStatus]] = {
    DeviceStatus.PROVISIONED: frozenset(
        {DeviceStatus.ACTIVE, DeviceStatus.SUSPENDED, DeviceStatus.QUARANTINED, DeviceStatus.DECOMMISSIONED}
    ),
    DeviceStatus.ACTIVE: frozenset({DeviceStatus.SUSPENDED, DeviceStatus.QUARANTINED, DeviceStatus.DECOMMISSIONED}),
    DeviceStatus.SUSPENDED: frozenset(
        {DeviceStatus.PROVISIONED, DeviceStatus.ACTIVE, DeviceStatus.QUARANTINED, DeviceStatus.DECOMMISSIONED}
    ),
    DeviceStatus.QUARANTINED: frozenset({DeviceStatus.PROVISIONED, DeviceStatus.ACTIVE, DeviceStatus.DECOMMISSIONED}),
    DeviceStatus.DECOMMISSIONED: frozenset(),
}


class MetricType(StrEnum):
    """What kind of value a metric has."""

    NUMBER = "number"
    BOOLEAN = "boolean"
    STRING = "string"
    OBJECT = "object"


@dataclass(frozen=True, slots=True)
class Metric:
    """One thing a device measures. ``min`` and ``max`` bound numbers, inclusive, in ``unit``."""

    key: str
    type: MetricType
    label: str = ""
    unit: str | None = None
    min: float | None = None
    max: float | None = None


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a profile says of its devices. A strict one rejects metrics that it does not name.

    ``reporting_interval_s`` is how often a device is expected to send readings; None: nothing is expected.
    ``retention_days`` is for how long readings are kept; None: as long as the tenant's others.
    """

    name: str
    metrics: tuple[Metric, ...]
    is_strict: bool = False
    reporting_interval_s: int | None = None
    commands: tuple[Command, ...] = ()
    shadow: tuple[ShadowLeaf, ...] = ()
    retention_days: int | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind of device under a key that never changes, and what is declared of it; see Declaration."""

    id: UUID
    key: str
    name: str
    metrics: tuple[Metric, ...]
    is_strict: bool
    version: int
    created_at: datetime
    updated_at: datetime
    reporting_interval_s: int | None = None
    commands: tuple[Command, ...] = ()
    shadow: tuple[ShadowLeaf, ...] = ()
    retention_days: int | None = None


@dataclass(frozen=True, slots=True)
class ProfileVersion:
    """What a profile said from one change to the next, who made that change, and what it changed, in sentences."""

    profile_id: UUID
    version: int
    declared: Declaration
    changed_by: str
    changed_at: datetime
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Device:
    """A thing that sends readings, registered with a tenant under a key that never changes while it is in service.

    ``former_key`` is what a decommissioned device was called before another was registered under its key.
    """

    id: UUID
    key: str
    name: str
    profile_id: UUID
    status: DeviceStatus
    labels: Mapping[str, str]
    version: int
    created_at: datetime
    updated_at: datetime
    quarantine_reason: str | None = None
    former_key: str | None = None

    def become(self, status: DeviceStatus) -> "Device":
        """This device in another state of its life; raises DeviceStuck where life does not allow that move."""
        if status not in LIFE[self.status]:
            raise DeviceStuck(f"A device that is {self.status} cannot become {status}.")
        return replace(self, status=status)


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether a device is connected, since when, and how it left (``client``, ``keep_alive``, ``take_over`` …).

    ``silent_since``: since when reports that its profile expects have not come, once that is too long, whether it is
    connected or not; None while they come, or none are expected. ``version``: the number of the session that the rest
    speaks of, 0 before the first; what is told of one with a lower number comes late.
    """

    is_online: bool = False
    since: datetime | None = None
    reason: str | None = None
    last_seen_at: datetime | None = None
    silent_since: datetime | None = None
    version: int = 0


@dataclass(frozen=True, slots=True)
class Credential:
    """What a device may log in with: a ``token``, whose secret is shown once, an ``x509`` certificate, by ``jwt``, or
    an ``oscore`` context.

    ``fingerprint`` is the SHA-256 of the certificate or public key (DER) in hex; the others have none to show.
    """

    id: UUID
    device_id: UUID
    kind: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """How many devices a tenant has, decommissioned ones left out."""

    total: int
    online: int
    silent: int

    @property
    def offline(self) -> int:
        """Those not connected now."""
        return self.total - self.online


@dataclass(frozen=True, slots=True)
class Erasure:
    """How far the erasure of a device's data is; ``erased`` counts rows by what they were.

    ``expected`` is how many readings the device had stored when it was asked for, as far as they were counted then.
    """

    device_id: UUID
    requested_by: str
    requested_at: datetime
    expected: int
    erased: Mapping[str, int]
    finished_at: datetime | None

    @property
    def status(self) -> str:
        """``waiting``, ``running`` or ``finished``."""
        if self.finished_at is not None:
            return "finished"
        return "running" if self.erased else "waiting"


def checked_name(name: str) -> str:
    """``name`` without blanks around it, if it may be shown to people; raises NameMalformed."""
    clean = name.strip()
    if not 1 <= len(clean) <= 120 or "\0" in clean:
        raise NameMalformed
    return clean


def checked_key(key: str) -> str:
    """``key`` if it may name a device or profile; raises KeyMalformed."""
    if not KEY.fullmatch(key):
        raise KeyMalformed
    return key
