"""The journal: whatever others react to or watch, in the order in which it was committed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a tenant's journal. ``pos`` has no gaps and follows the order of commits."""

    pos: int
    at: datetime
    kind: str
    body: Any
