"""A certificate authority, a certificate it signed, and the list of those it took back."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from engine.devices.model import Credential

MAX_DAYS = 398
"""The longest a device's certificate is valid: what browsers grant servers (CA/Browser Forum, 2020)."""

AUTHORITY_DAYS = 3_650
CLOCK_SKEW = timedelta(minutes=5)
"""How far back a certificate begins, for devices whose clock is behind."""

REVOCATIONS_FRESH = timedelta(days=7)
"""When whoever keeps a revocation list shall fetch the next one at the latest."""

MOST_MADE, MADE_WITHIN = 10, timedelta(days=30)
"""So many authorities a tenant makes within so long: every process that speaks TLS keeps all that are believed."""


class AuthorityState(StrEnum):
    """Where an authority stands: it signs, or what it signed is still good, or nothing of it counts any more."""

    CURRENT = "current"
    RETIRING = "retiring"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Authority:
    """A tenant's certificate authority: what everybody may see of it. ``certificate`` is PEM, ``name`` its CN."""

    id: UUID
    name: str
    certificate: str
    subject: str
    fingerprint: str
    created_at: datetime
    expires_at: datetime
    superseded_at: datetime | None = None
    retired_at: datetime | None = None

    @property
    def state(self) -> AuthorityState:
        """Where it stands."""
        if self.retired_at is not None:
            return AuthorityState.RETIRED
        return AuthorityState.CURRENT if self.superseded_at is None else AuthorityState.RETIRING


@dataclass(frozen=True, slots=True)
class Reliance:
    """What relies on an authority: certificates that still count, and the devices whose they are.

    ``stranded`` of these devices have nothing else to sign in with. ``last_ends_at``: when the last certificate ends.
    """

    certificates: int = 0
    devices: int = 0
    stranded: int = 0
    last_ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Signed:
    """A fresh certificate (PEM), the credential that it is, and the authority's certificate (PEM).

    ``is_shortened``: it was asked for longer than its authority lasts, and ends with it.
    """

    credential: Credential
    certificate: str
    authority: str
    is_shortened: bool = False


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
