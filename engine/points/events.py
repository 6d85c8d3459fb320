"""What happens to point tables, as the journal tells it."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from engine.store.emit import Event


@dataclass(frozen=True, slots=True)
class PointTableChanged(Event):
    """A gateway is wanted to run another point table."""

    kind: ClassVar[str] = "points.changed"
    device: UUID
    version: int
