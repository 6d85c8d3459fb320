"""What a fleet's keeper sees: devices on their way to another tenant, and what an audit finds."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from engine.devices.model import Credential, Device
from engine.fleet.checks import Severity


class TransferStatus(StrEnum):
    """Where the offer of a device to another tenant stands."""

    OFFERED = "offered"
    ACCEPTED = "accepted"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Transfer:
    """The offer of a device to another tenant, as the giver sees it. ``to_tenant``: only that one may accept."""

    id: UUID
    device_id: UUID
    to_tenant: str | None
    offered_by: str
    offered_at: datetime
    expires_at: datetime
    accepted_at: datetime | None
    withdrawn_at: datetime | None
    status: TransferStatus


@dataclass(frozen=True, slots=True)
class Arrival:
    """A device that came from another tenant: a new one here, with a first token that is shown once."""

    device: Device
    credential: Credential
    token: str
    is_new_profile: bool


MOVES = (
    "The device's key, unless another is chosen, its name and its labels.",
    "Its profile: the receiver's own of the same key, or a copy of what it measures.",
)
STAYS = (
    "Its id: with the receiver it is a new device with a new id and a new token.",
    "Its history: readings, newest values, alerts, counts and rejected messages stay with the giver.",
    "Its credentials: all of them die with the giver, and its connection is cut; configure it with the new token.",
    "Its groups, and the rules that watch it: rules follow profiles and groups of their own tenant.",
    "The audit log: each tenant keeps its own.",
)
"""What an answer about a transfer says of it, word for word."""


class FindingStatus(StrEnum):
    """Where a finding stands."""

    OPEN = "open"
    SUPPRESSED = "suppressed"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be: what, with which device, since when, and what to do about it.

    ``subject`` tells it from the others of its kind: mostly the device's id. ``facts`` are what was seen.
    """

    id: UUID
    kind: str
    severity: Severity
    title: str
    wrong: str
    mend: str
    device_id: UUID | None
    subject: str
    facts: Mapping[str, object]
    status: FindingStatus
    first_seen_at: datetime
    last_seen_at: datetime
    resolved_at: datetime | None
    suppressed_reason: str | None
    suppressed_by: str | None
    suppressed_until: datetime | None


@dataclass(frozen=True, slots=True)
class Figure:
    """How many one check found."""

    kind: str
    severity: Severity
    title: str
    found: int


@dataclass(frozen=True, slots=True)
class Audit:
    """One audit: when, why (``asked`` or ``daily``), of how many devices, and what each check found."""

    id: UUID
    started_at: datetime
    finished_at: datetime
    trigger: str
    devices: int
    figures: tuple[Figure, ...]
