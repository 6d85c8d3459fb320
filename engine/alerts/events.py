"""What happens to alerts, as the journal tells it."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from engine.store.emit import Event


@dataclass(frozen=True, slots=True)
class AlertRaised(Event):
    """A rule fired for a device."""

    kind: ClassVar[str] = "alert.raised"
    alert: UUID | str
    rule: UUID | str
    device: UUID | str


@dataclass(frozen=True, slots=True)
class AlertAcknowledged(Event):
    """Somebody has taken note of an alert."""

    kind: ClassVar[str] = "alert.acknowledged"
    alert: UUID | str
    rule: UUID | str
    device: UUID | str


@dataclass(frozen=True, slots=True)
class AlertCleared(Event):
    """What an alert was about is over."""

    kind: ClassVar[str] = "alert.cleared"
    alert: UUID | str
    rule: UUID | str
    device: UUID | str


@dataclass(frozen=True, slots=True)
class AlertChanged(Event):
    """Somebody was given an alert, said something about it, or has put it off."""

    kind: ClassVar[str] = "alert.changed"
    alert: UUID | str
    rule: UUID | str
    device: UUID | str
