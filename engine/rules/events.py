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


@dataclass(frozen=True, slots=True)
class RulesReached(Event):
    """Rules that are to be looked at for all their devices have come so far; the ``rest`` is still to be done.

    Of each ``rule``: the device ``after`` which it goes on; ``by``, the rules that led to it; ``since`` (ms) and
    ``zone``, when the tenant's clock became this one, if that did.
    """

    kind: ClassVar[str] = "rules.reached"
    rest: list[dict[str, object]]
