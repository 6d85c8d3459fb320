"""What trying a rule tells: what it would have done, how it stands and why, its tests, drafts, versions and notes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from engine.rules.state import Phase


@dataclass(frozen=True, slots=True)
class Episode:
    """One time that the rule would have fired for a device. Times in ms of event time; ``cleared_at`` None: still on.

    ``why`` is the condition with the values seen and each part's verdict.
    """

    device_id: str
    episode: int
    raised_at: int
    reason: str
    why: Mapping[str, Any]
    cleared_at: int | None = None
    cleared_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Backtest:
    """What a rule would have done. ``messages`` and ``devices`` were played; ``is_complete``: there were no more.

    It would have fired ``total`` times on ``fired_devices``; the first of them are kept as ``episodes``. ``nearest``:
    some of the devices with data, those first that came nearest to firing.
    """

    start: datetime
    end: datetime
    messages: int
    devices: int
    devices_in_scope: int
    is_complete: bool
    episodes: tuple[Episode, ...]
    total: int
    fired_devices: int
    nearest: tuple[str, ...] = ()

    @property
    def per_day(self) -> float:
        """How often a day it would have fired, over all of its devices as far as they were played."""
        share = self.devices / self.devices_in_scope if self.devices_in_scope else 1
        days = (self.end - self.start) / timedelta(days=1)
        return round(self.total / days / (share or 1), 2)


@dataclass(frozen=True, slots=True)
class Look:
    """How a rule stands for a device at a moment: the condition's verdict (None: unknown), why as sentence and tree."""

    at: datetime
    phase: Phase
    verdict: bool | None
    sentence: str
    why: Mapping[str, Any]
    did: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TestResult:
    """Whether a test that is kept with a rule holds, and what happened instead where it does not."""

    name: str
    passed: bool
    said: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A document on its way: a new rule, or the next version of ``rule_id``."""

    id: UUID
    rule_id: UUID | None
    document: Mapping[str, Any]
    version: int
    saved_by: str
    saved_at: datetime

    @property
    def name(self) -> str:
        """What it is called so far."""
        name = self.document.get("name")
        return name[:120] if isinstance(name, str) and name.strip() else "Untitled"


@dataclass(frozen=True, slots=True)
class Version:
    """A rule as it was from one change to the next; ``changes`` says in sentences what was changed then."""

    rule_id: UUID
    version: int
    document: Mapping[str, Any]
    changes: tuple[str, ...]
    created_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Firing:
    """One time that a rule fired without an alert. ``would``: what it would have done; none where it did it."""

    id: UUID
    rule_id: UUID
    rule_version: int
    device_id: UUID
    episode: int
    fired_at: datetime
    reason: str
    why: Any
    would: tuple[str, ...]
    cleared_at: datetime | None
    cleared_reason: str | None


@dataclass(frozen=True, slots=True)
class NonFiring:
    """One look at which a rule did not fire: at what moment of event time, why as sentence and tree.

    ``phase`` is ok or, where only its wait was not over, pending. ``is_near``: all it asks for but one thing was so.
    """

    id: UUID
    rule_id: UUID
    rule_version: int
    device_id: UUID
    looked_at: datetime
    at: datetime
    phase: Phase
    verdict: bool | None
    is_near: bool
    reason: str
    why: Any
