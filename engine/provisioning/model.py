"""Ways in for new devices, what a device says to come in, and what it is answered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from engine.devices.model import Credential, Device

OWNERSHIP_LASTS = timedelta(hours=1)
"""How long an ownership token is good, once: as AWS IoT's fleet provisioning has it."""

TICKET_LASTS = timedelta(days=7)
"""How long somebody has to approve a device, and then the device to fetch what it was approved for."""

MAX_OPEN = 1_000
"""Most enrolments of a tenant that wait for something."""

MAX_PROVISIONERS = 200
ASK_AGAIN_S = 30
"""When a device that waits shall ask again."""


class Way(StrEnum):
    """By what a device comes in: a provisioning key, a claim certificate, or an authority that signed its own."""

    KEY = "key"
    CLAIM = "claim"
    AUTHORITY = "authority"


class Mode(StrEnum):
    """Whom a way is for: it creates new devices, or lets in those registered beforehand only."""

    CREATE = "create"
    PREREGISTERED = "preregistered"


class Proof(StrEnum):
    """By what the device will log in: a token, a certificate for its CSR, its public key, or its own certificate."""

    TOKEN = "token"  # noqa: S105  the name of a kind
    CSR = "csr"
    KEY = "key"
    CERTIFICATE = "certificate"


class EnrolmentStatus(StrEnum):
    """Where an enrolment stands: CLAIMED holds an ownership token, ASKED nobody has looked at yet."""

    CLAIMED = "claimed"
    ASKED = "asked"
    PENDING = "pending"
    APPROVED = "approved"
    REFUSED = "refused"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Provisioner:
    """A way in. ``uses`` of ``max_uses`` (None: any number) are spent; ``certificate`` is a claim's or authority's."""

    id: UUID
    kind: Way
    name: str
    mode: Mode
    profile_id: UUID | None
    group_ids: tuple[UUID, ...]
    needs_approval: bool
    rule: Mapping[str, Any] | None
    max_uses: int | None
    uses: int
    certificate: str | None
    created_by: str
    version: int
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def is_open(self, now: datetime) -> bool:
        """Whether a device may come in by it now."""
        is_used_up = self.max_uses is not None and self.uses >= self.max_uses
        return self.revoked_at is None and not is_used_up and (self.expires_at is None or self.expires_at > now)


@dataclass(frozen=True, slots=True)
class Terms:
    """What whoever makes a way in decides about it."""

    name: str
    mode: Mode = Mode.CREATE
    profile_id: UUID | None = None
    group_ids: tuple[UUID, ...] = ()
    needs_approval: bool = False
    rule: object = None
    max_uses: int | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Enrolment:
    """One device that asked to come in, and what became of it."""

    id: UUID
    provisioner_id: UUID
    status: EnrolmentStatus
    proof: Proof
    device_key: str | None
    name: str | None
    labels: Mapping[str, str]
    profile_id: UUID | None
    group_ids: tuple[UUID, ...]
    reason: str | None
    device_id: UUID | None
    address: str
    asked_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    decided_by: str | None


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a device says of itself. ``csr`` or ``public_key`` (PEM or JWK), or neither: it will get a token."""

    device: str = ""
    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    csr: str = ""
    public_key: str = ""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who stands at the doorway: from where, and what the connection itself has shown, if anything.

    ``key`` is a provisioning key; ``certificate`` (DER) one whose chain and key TLS has verified.
    """

    address: str
    key: str = ""
    certificate: bytes = b""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a good claim is answered with."""

    ownership_token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """The device waits for approval and asks again with ``ticket``."""

    ticket: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Admitted:
    """The device is in. ``token`` or ``certificate`` and ``authority`` (PEM), or neither: it logs in with its key."""

    tenant: str
    device: Device
    credential: Credential
    token: str | None = None
    certificate: str | None = None
    authority: str | None = None

    @property
    def username(self) -> str:
        """The name it logs in with."""
        return f"{self.tenant}/d/{self.device.key}"


@dataclass(frozen=True, slots=True)
class ContextIssued:
    """A new context of OSCORE (RFC 8613): its Master Secret, the device's Sender ID and its Recipient ID, ours."""

    credential: Credential
    master_secret: bytes
    sender_id: bytes
    recipient_id: bytes
