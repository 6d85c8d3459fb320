"""What a rule remembers about one device, what may happen to it, and what it then does.

All times are integers: milliseconds since 1970-01-01 UTC. *Event time* is the reading's own, *server time* is
ours. A state is small (one entry per metric the rule reads) and goes to JSON and back unchanged.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

from datalogic_py import DataHandle

from engine.rules.model import Scalar
from engine.rules.values import all_plain


class Phase(StrEnum):
    """Where a rule stands for one device."""

    OK = "ok"
    PENDING = "pending"
    FIRING = "firing"
    CLEARING = "clearing"


class Known(NamedTuple):
    """The newest value of one metric (None: not one a rule can compare), its event time and its message's seq."""

    value: Scalar | None
    at: int
    seq: int


SHADOW = " shadow"
"""How the ``condition`` ends of a state that a rule came to while it only watched."""

_OFF = " off "
"""What stands in the ``condition`` before how often the rule had been switched off, if ever."""


def marked(condition: str, *, times_off: int, is_shadow: bool) -> str:
    """A condition's hash as states have it: of a rule that was off so often, and that only watches or acts."""
    return condition + (f"{_OFF}{times_off}" if times_off else "") + (SHADOW if is_shadow else "")


def times_off(condition: str) -> str:
    """How often a rule had been switched off when it had this ``condition``, as it is written there; '' for never."""
    return condition.removesuffix(SHADOW).partition(_OFF)[2]


NOTHING_KNOWN: Mapping[str, Known] = MappingProxyType({})


class RuleState(NamedTuple):
    """What one rule remembers about one device; ``RuleState()`` is where every device begins.

    ``since``: event time at which the phase began (None in OK). ``episode``: number of the last alert, 0 before the
    first; it only rises. ``quiet_from``: event time at which the last alert ended. ``lag``: server time minus event
    time when the wait was last looked at. ``due_at``: server time at which a Tick is wanted, None for never.
    ``condition``: the condition_hash this state belongs to. ``looked``: event time of the last look that no message
    caused (for a schedule: server time). ``raised``: when the last alerts were raised, where that is limited.
    ``led_by``: the rules whose doing is being followed up here (``circles``). ``clock_since``: server time at which the
    tenant's clock became another, where a schedule was not looked at since. ``muted``: the last episode that was too
    much for anything but its alert: there is nothing to undo when it is over.
    """

    phase: Phase = Phase.OK
    since: int | None = None
    episode: int = 0
    quiet_from: int | None = None
    lag: int = 0
    due_at: int | None = None
    condition: str = ""
    looked: int | None = None
    raised: tuple[int, ...] = ()
    led_by: tuple[str, ...] = ()
    clock_since: int | None = None
    muted: int = 0
    known: Mapping[str, Known] = NOTHING_KNOWN

    def knowing(self, known: Mapping[str, Known]) -> "RuleState":
        """The same state with other known values (``_replace`` takes three times as long)."""
        return RuleState(*self[:-1], known)

    @property
    def is_raised(self) -> bool:
        """Whether an alert of this rule is open for this device."""
        return self.phase in (Phase.FIRING, Phase.CLEARING)

    @property
    def is_shadow(self) -> bool:
        """Whether the rule only watched when it came to this: what is open then was noted, and nothing was done."""
        return self.condition.endswith(SHADOW)

    def to_json(self) -> dict[str, Any]:
        """The state as small JSON; what is as in the beginning is left out."""
        fields: dict[str, Any] = {
            name: value for name, value, fresh in zip(self._fields, self, _FRESH, strict=True) if value != fresh
        }
        if self.known:
            fields["known"] = {metric: list(known) for metric, known in self.known.items()}
        return fields

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "RuleState":
        """The state that ``to_json`` wrote, here or in another version: of fields it does not know it takes none."""
        known = {metric: Known(*entry) for metric, entry in stored.get("known", {}).items()}
        lists = {name: tuple(stored.get(name, ())) for name in ("raised", "led_by")}
        plain = {name: stored[name] for name in cls._fields if name in stored}
        return cls(**{**plain, **lists, "phase": Phase(stored.get("phase", Phase.OK)), "known": known})


_FRESH = RuleState()


class Reading:
    """One accepted message of one device: event time, sequence number, and its values by metric key, made plain.

    ``sent`` are the values as they came. ``news`` are the values as a rule remembers them; all rules share them, and
    the evaluator's ``handle``.
    """

    __slots__ = ("_handle", "_news", "at", "sent", "seq", "values")

    def __init__(self, at: int, seq: int, values: Mapping[str, object]) -> None:
        self.at = at
        self.seq = seq
        self.sent = values
        self.values = all_plain(values)
        self._handle: DataHandle | None = None
        self._news: dict[str, Known] | None = None

    @property
    def news(self) -> dict[str, Known]:
        """The values as rules remember them, made once."""
        if self._news is None:
            self._news = {metric: Known(value, self.at, self.seq) for metric, value in self.values.items()}
        return self._news

    @property
    def handle(self) -> DataHandle:
        """The values as the evaluator wants them, made once and shared by all rules that need no others."""
        if self._handle is None:
            self._handle = DataHandle(self.values)
        return self._handle

    def is_newer(self, latest: Mapping[str, Sequence[Any]]) -> bool:
        """Whether each of its values is newer than that of ``latest`` (by metric: value, event time in ms)."""
        at = self.at
        for metric in self.values:
            known = latest.get(metric)
            if known is not None and known[1] >= at:
                return False
        return True

    def __repr__(self) -> str:
        return f"Reading({self.at}, {self.seq}, {self.values})"


class Tick(NamedTuple):
    """Time has passed. Wanted at ``due_at``, harmless at any other time."""


class Noticed(NamedTuple):
    """Something else about the device has changed (presence, attributes, groups), or it has told an event of a type."""

    type: str | None = None


class EndReason(StrEnum):
    """Why an alert ended."""

    CLEARED = "cleared"
    RULE_CHANGED = "rule_changed"
    RULE_STOPPED = "rule_stopped"
    RULE_OFF = "rule_off"
    RULE_DELETED = "rule_deleted"


class Raise(NamedTuple):
    """The alert ``episode`` begins at event time ``at``; its condition has been true since ``since``.

    ``seen`` are the newest values of the rule's metrics, ``why`` is the explained condition (``explain``).
    """

    episode: int
    at: int
    since: int
    seen: Mapping[str, Known]
    why: Mapping[str, Any]


class Clear(NamedTuple):
    """The alert ``episode`` ends at ``at`` (event time; server time if its rule was edited or stopped).

    ``since`` is when the phase it ends began: for a cleared alert, when it began to be right again.
    """

    episode: int
    at: int
    since: int
    seen: Mapping[str, Known]
    reason: EndReason


Event: TypeAlias = Reading | Tick | Noticed
Action: TypeAlias = Raise | Clear
