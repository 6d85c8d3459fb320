"""What trying a rule tells: what it would have done, how it stands and why, its tests, drafts, versions and notes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from engine.rules.findings import UNITS_MS
from engine.rules.phrases import spelled_ms
from engine.rules.state import Phase

ENOUGH = timedelta(hours=12)
"""From less history than that nobody can say how often a day something comes: a day has a night."""
_MINUTE = timedelta(minutes=1)


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
    some of the devices with data, those first that came nearest to firing. ``history``: how much of the time asked for
    there is a past of, on average over the devices that have any: from the first that is known of one to the end.
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
    history: timedelta = timedelta()

    @property
    def per_day(self) -> float | None:
        """How often a day it would fire, over all devices in scope as those that were played; None: nobody can say."""
        if self.history < ENOUGH:
            return None
        share = self.devices / self.devices_in_scope if self.devices_in_scope else 1
        return round(self.total / (self.history / timedelta(days=1)) / (share or 1), 2)

    @property
    def estimate(self) -> str:
        """How often it would fire, as people say it, and by how much history; or that there is too little."""
        if not self.history:
            return "There is no history of these devices in that time."
        known, often = spelled_ms(max(1, round(self.history / _MINUTE)) * UNITS_MS["m"]), self.per_day
        if often is None:
            fired = f"; it fired {'once' if self.total == 1 else f'{self.total:,} times'} in it" if self.total else ""
            return f"Only {known} of history: too little to say how many a day{fired}."
        if not often:
            return f"By {known} of history."
        if often >= 0.75:
            return f"About {round(often):,} a day, by {known} of history."
        days = round(1 / often)
        return f"About one every {'day' if days == 1 else f'{days:,} days'}, by {known} of history."


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
class Preview:
    """What the action at ``path`` of a document says, sends or sets."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class TestResult:
    """Whether a test that is kept with a rule holds, and what happened instead where it does not."""

    name: str
    passed: bool
    said: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A document on its way: a new rule, or the next version of ``rule_id``, begun on its ``rule_version``."""

    id: UUID
    rule_id: UUID | None
    rule_version: int | None
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

    ``phase`` is ok or, where only its wait was not over, pending. ``is_near``: all it asks for but one thing was
    so, and that almost.
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
