"""What happens to rules, as the journal tells it."""

from dataclasses import dataclass, field
from typing import ClassVar
from uuid import UUID

from engine.store.emit import Event


@dataclass(frozen=True, slots=True)
class RuleChanged(Event):
    """A rule was created, edited, switched or deleted."""

    kind: ClassVar[str] = "rule.changed"
    rule: UUID


@dataclass(frozen=True, slots=True)
class RuleReached(Event):
    """A rule that is to be looked at for all its devices has come as far as ``after``; the rest is still to be done.

    ``by``: the rules that led to it. ``since`` (ms), ``zone``: when the tenant's clock became this one, if that did.
    """

    kind: ClassVar[str] = "rule.reached"
    rule: UUID
    after: UUID | None
    by: list[str] = field(default_factory=list)
    since: int | None = None
    zone: str | None = None
