"""A certificate authority, a certificate it signed, and the list of those it took back."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from engine.devices.model import Credential

MAX_DAYS = 398
"""The longest a device's certificate is valid: what browsers grant servers (CA/Browser Forum, 2020)."""

AUTHORITY_DAYS = 3_650
CLOCK_SKEW = timedelta(minutes=5)
"""How far back a certificate begins, for devices whose clock is behind."""

REVOCATIONS_FRESH = timedelta(days=7)
"""When whoever keeps a revocation list shall fetch the next one at the latest."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A tenant's certificate authority: what everybody may see of it. ``certificate`` is PEM."""

    id: UUID
    certificate: str
    subject: str
    fingerprint: str
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Signed:
    """A fresh certificate (PEM), the credential that it is, and the authority's certificate (PEM)."""

    credential: Credential
    certificate: str
    authority: str


@dataclass(frozen=True, slots=True)
class Revoked:
    """One certificate taken back before its end."""

    serial: int
    at: datetime


@dataclass(frozen=True, slots=True)
class RevocationList:
    """A certificate revocation list (RFC 5280) as PEM."""

    pem: str
    issuer: str
    issued_at: datetime
    next_update_at: datetime
    revoked: int
