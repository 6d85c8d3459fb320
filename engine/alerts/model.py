"""An alert: a rule has found something wrong with a device, and somebody should know."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha1
from uuid import NAMESPACE_URL, UUID


class AlertStatus(StrEnum):
    """Where an alert stands."""

    ACTIVE = "active"
    ACKNOWLEDGED = "acknowledged"
    CLEARED = "cleared"


@dataclass(frozen=True, slots=True)
class Alert:
    """One episode of a rule on a device. ``why``: the condition with the values seen and each part's verdict."""

    id: UUID
    rule_id: UUID
    rule_version: int
    device_id: UUID
    episode: int
    severity: str
    status: AlertStatus
    reason: str
    why: Mapping[str, object]
    raised_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    note: str | None
    cleared_at: datetime | None
    cleared_reason: str | None
    version: int
    assigned_to: UUID | None = None
    assigned_name: str | None = None
    snoozed_until: datetime | None = None
    silenced_until: datetime | None = None


class Happening(StrEnum):
    """What is written into an alert's history beside its being raised and cleared."""

    ACKNOWLEDGED = "acknowledged"
    ASSIGNED = "assigned"
    COMMENTED = "commented"
    SNOOZED = "snoozed"
    WOKEN = "woken"
    SILENCED = "silenced"
    TOLD = "told"
    NOT_TOLD = "not_told"


@dataclass(frozen=True, slots=True)
class AlertNote:
    """One entry of an alert's history: what happened, by whom (a person, a token, ``system``), with which words."""

    id: UUID
    alert_id: UUID
    at: datetime
    kind: Happening
    by: str
    text: str | None


@dataclass(frozen=True, slots=True)
class Silence:
    """A time in which alerts are raised but nobody is told: a maintenance window.

    It is about a rule, a device or a group of devices, or any two of them; about everything if none is named.
    """

    id: UUID
    reason: str
    rule_id: UUID | None
    device_id: UUID | None
    group_id: UUID | None
    from_at: datetime
    until_at: datetime
    created_by: str
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class AlertGroup:
    """Open alerts of one rule together: how many, the worst severity, since when, the newest."""

    rule_id: UUID
    open: int
    unacknowledged: int
    severity: str
    oldest_at: datetime
    newest_at: datetime


def episode_id(tenant_id: UUID, rule_id: object, version: int, device_id: object, episode: int) -> UUID:
    """The id of the alert of an episode of a rule on a device."""
    return UUID(_episode_id(tenant_id, rule_id, version, device_id, episode))


def _episode_id(tenant_id: object, rule_id: object, version: int, device_id: object, episode: int) -> str:
    """A UUID of version 5 (RFC 9562, 5.5) as a text; to make a `UUID` of it takes six times as long."""
    told = f"tidegate:alert:{tenant_id}/{rule_id}/{version}/{device_id}/{episode}"
    hashed = sha1(_NAMESPACE + told.encode(), usedforsecurity=False).hexdigest()
    variant = _VARIANTS[int(hashed[16], 16) & 3]
    return f"{hashed[:8]}-{hashed[8:12]}-5{hashed[13:16]}-{variant}{hashed[17:20]}-{hashed[20:32]}"


_NAMESPACE, _VARIANTS = NAMESPACE_URL.bytes, "89ab"


@dataclass(frozen=True, slots=True)
class Raised:
    """An alert about to be raised, or raised already: its id follows from what it is about. Ids are texts here.

    ``hushed``: why its rule tells nobody of it, in words; '' when it does.
    """

    rule_id: str
    rule_version: int
    device_id: str
    episode: int
    severity: str
    reason: str
    why: Mapping[str, object]
    raised_at: datetime
    hushed: str = ""

    def id(self, tenant_id: UUID) -> UUID:
        """The same episode always has the same id, however often it is told."""
        return episode_id(tenant_id, self.rule_id, self.rule_version, self.device_id, self.episode)

    def key(self, tenant_id: str) -> str:
        """Its id as a text."""
        return _episode_id(tenant_id, self.rule_id, self.rule_version, self.device_id, self.episode)


@dataclass(frozen=True, slots=True)
class Cleared:
    """The end of the episode of a rule on a device."""

    rule_id: str
    device_id: str
    episode: int
    cleared_at: datetime
    reason: str
