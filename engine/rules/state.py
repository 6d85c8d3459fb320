"""What a rule remembers about one device, what may happen to it, and what it then does.

All times are integers: milliseconds since 1970-01-01 UTC. The event time is the reading's own; the server's time comes in as
``now``. A state is small (one entry per metric the rule reads) and goes to JSON and back unchanged.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple, TypeAlias

from datalogic_py import DataHandle

from engine.rules.model import Scalar


class Phase(str, Enum):
    """Where a rule stands for one device."""

    OK = "ok"
    PENDING = "pending"
    FIRING = "firing"
    CLEARING = "clearing"


class Known(NamedTuple):
    """The newest value of one metric: the value (None: not one the rule can use), its time in ms, its message's seq."""

    value: Scalar | None
    at: int
    seq: int


class RuleState(NamedTuple):
    """What a rule remembers about one device.

    ``since``: event time at which the phase began (None in OK). ``episode``: number of the last alert, 0 before the first.
    ``quiet_from``: event time at which the last alert ended. ``due_at``: server time at which a Tick is wanted, None for never.
    """

    phase: Phase = Phase.OK
    since: int | None = None
    episode: int = 0
    quiet_from: int | None = None
    due_at: int | None = None
    known: Mapping[str, Known] = {}
    condition: str = ""

    def to_json(self) -> dict[str, Any]: ...

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "RuleState": ...


class Reading:
    """One accepted message of one device: event time in ms, sequence number and the values by metric key."""

    at: int
    seq: int
    values: Mapping[str, object]

    @property
    def handle(self) -> DataHandle: ...


class Tick:
    """Time has passed: ``due_at`` has come and no reading decided before."""


class Raise(NamedTuple):
    """The alert of ``episode`` begins at ``at``; ``since`` is when the condition became true, ``why`` the explained condition."""

    episode: int
    at: int
    since: int
    seen: Mapping[str, Known]
    why: Mapping[str, Any]


class Clear(NamedTuple):
    """The alert of ``episode`` ends at ``at``; ``reason`` is ``cleared``, ``rule_changed`` or ``rule_stopped``."""

    episode: int
    at: int
    seen: Mapping[str, Known]
    reason: str


Event: TypeAlias = Reading | Tick
Action: TypeAlias = Raise | Clear
