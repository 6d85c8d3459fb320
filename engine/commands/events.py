"""What happens to commands, as the journal tells it."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from engine.store.emit import Event


@dataclass(frozen=True, slots=True)
class CommandChanged(Event):
    """A command has moved; ``status`` is where it stands now."""

    kind: ClassVar[str] = "command.changed"
    command: UUID
    device: UUID
    status: str


@dataclass(frozen=True, slots=True)
class CommandAnsweredLate(Event):
    """A device said something of a command that was over already."""

    kind: ClassVar[str] = "command.answered_late"
    command: UUID
    device: UUID
