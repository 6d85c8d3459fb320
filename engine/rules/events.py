"""What happens to rules, as the journal tells it."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from engine.store.emit import Event


@dataclass(frozen=True, slots=True)
class RuleChanged(Event):
    """A rule was created, edited, switched or deleted."""

    kind: ClassVar[str] = "rule.changed"
    rule: UUID
