"""What happens to point tables, as the journal tells it."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from engine.store.emit import Event

SAID = "points.said"
"""The journal's kind of what an edge says of its point table, on `up/points`."""


@dataclass(frozen=True, slots=True)
class PointTableChanged(Event):
    """A gateway is wanted to run another point table."""

    kind: ClassVar[str] = "points.changed"
    device: UUID
    version: int
