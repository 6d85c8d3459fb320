"""What happens to a tenant itself, as the journal tells it."""

from dataclasses import dataclass
from typing import ClassVar

from engine.store.emit import Event


@dataclass(frozen=True, slots=True)
class TimeZoneSet(Event):
    """The tenant's times of day go by another clock."""

    kind: ClassVar[str] = "tenant.time_zone_set"
    time_zone: str
