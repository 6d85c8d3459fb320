"""A row of the audit log, what a check of the log finds, and who vouches for it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Entry:
    """One deed: who, what, to what, with what result. ``before`` and ``after`` are JSON, None where nothing is."""

    seq: int
    at: datetime
    actor_kind: str
    actor_id: UUID
    actor_name: str
    action: str
    target_kind: str
    target_id: str
    result: str
    reason: str | None
    before: object
    after: object
    address: str | None


@dataclass(frozen=True, slots=True)
class Fault:
    """The first row at which the log is not what was written: ``seq`` and in words what is wrong with it."""

    seq: int
    what: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What a check found: how many rows and checkpoints hold, and the first fault, None when all is well."""

    rows: int
    checkpoints: int
    fault: Fault | None
