"""Tenants and the people in them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from engine.tenancy import Role, scopes_of

MAX_GROUPS = 50
"""How many groups of devices a grant may be limited to."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """A customer of the platform; its key is in every topic of its devices and never changes.

    ``time_zone`` (an IANA name) is that of its devices, where one does not say otherwise.
    """

    id: UUID
    key: str
    name: str
    created_at: datetime
    time_zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Hosted:
    """A tenant as the platform's operator sees it: that it exists, and nothing of what is in it."""

    id: UUID
    key: str
    name: str
    created_at: datetime
    suspended_at: datetime | None
    suspended_reason: str | None
    has_owner: bool


@dataclass(frozen=True, slots=True)
class User:
    """A person; the same one in every tenant they are a member of."""

    id: UUID
    email: str
    name: str


@dataclass(frozen=True, slots=True)
class Member:
    """A person's part in the current tenant; ``custom`` is the tenant's own role, where ``role`` says so.

    ``groups``: the only groups whose devices they see, None for all devices.
    """

    user: User
    role: Role
    since: datetime
    custom: "CustomRole | None" = None
    has_second_factor: bool = False
    groups: frozenset[UUID] | None = None

    @property
    def scopes(self) -> frozenset[str]:
        """What their role lets them do; of that, whoever is limited to groups has what concerns devices."""
        return scopes_of(self.role, self.custom.scopes if self.custom else None)


@dataclass(frozen=True, slots=True)
class CustomRole:
    """A role that a tenant made for itself: a name for a set of scopes."""

    id: UUID
    name: str
    scopes: frozenset[str]
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """A person signed in somewhere: with what, from where, and when they were last seen there."""

    id: UUID
    user_id: UUID
    agent: str
    address: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    is_current: bool


class InvitationStatus(StrEnum):
    """How far an invitation has come."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Invitation:
    """Somebody asked to join the current tenant; the secret is in the link, which is shown once."""

    id: UUID
    email: str
    role: Role
    role_id: UUID | None
    invited_by: str
    created_at: datetime
    expires_at: datetime
    status: InvitationStatus
    groups: frozenset[UUID] | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """What an invitation says to the person who holds it."""

    tenant_name: str
    email: str
    role: Role
    is_known: bool
    needs_code: bool


@dataclass(frozen=True, slots=True)
class Membership:
    """A tenant somebody may sign in to, and as what."""

    tenant_id: UUID
    tenant_key: str
    tenant_name: str
    role: Role
    role_name: str | None = None
    scopes: frozenset[str] = frozenset()
    is_suspended: bool = False
    groups: frozenset[UUID] | None = None


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A program's right to act for a tenant; the secret is shown once, when it is made."""

    id: UUID
    name: str
    prefix: str
    scopes: frozenset[str]
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    groups: frozenset[UUID] | None = None


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A fresh session: ``secret`` goes into the cookie and is kept nowhere else."""

    secret: str
    session_id: UUID
    user: User
    membership: Membership
    expires_at: datetime
