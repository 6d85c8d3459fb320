"""A rule: a typed document that says when something counts as wrong, for how long, and what follows.

The document is versioned JSON (``"v": 1``); ``engine.rules.document`` reads and writes it. Everything here is immutable
and pure. Durations keep the author's text beside their milliseconds, so that reading and writing is the identity.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

Scalar: TypeAlias = bool | int | float | str
"""What a metric may be compared with. Numbers are IEEE doubles."""

MAX_DEPTH = 8
MAX_LEAVES = 50
SITE = "site"
"""The time zone of the place where a device is: its attribute ``timezone``, else UTC."""


class MetricType(StrEnum):
    """What kind of value a metric carries. An object can only be asked for a place."""

    NUMBER = "number"
    BOOLEAN = "boolean"
    STRING = "string"
    OBJECT = "object"


class Op(StrEnum):
    """How a metric is compared. ``between`` includes both ends; ``outside`` is its exact opposite."""

    EQ = "=="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    BETWEEN = "between"
    OUTSIDE = "outside"
    IN = "in"
    NOT_IN = "not in"


OPPOSITE: dict[Op, Op] = {
    Op.EQ: Op.NE,
    Op.NE: Op.EQ,
    Op.LT: Op.GE,
    Op.GE: Op.LT,
    Op.GT: Op.LE,
    Op.LE: Op.GT,
    Op.BETWEEN: Op.OUTSIDE,
    Op.OUTSIDE: Op.BETWEEN,
    Op.IN: Op.NOT_IN,
    Op.NOT_IN: Op.IN,
}

OPS_OF: dict[MetricType, frozenset[Op]] = {
    MetricType.NUMBER: frozenset(Op),
    MetricType.BOOLEAN: frozenset({Op.EQ, Op.NE}),
    MetricType.STRING: frozenset({Op.EQ, Op.NE, Op.IN, Op.NOT_IN}),
    MetricType.OBJECT: frozenset(),
}


class Severity(StrEnum):
    """How bad it is, from a note to an emergency."""

    INFO = "info"
    MINOR = "minor"
    MAJOR = "major"
    CRITICAL = "critical"


class Mode(StrEnum):
    """What a rule does: nothing, note what it would do (SHADOW), or act."""

    OFF = "off"
    SHADOW = "shadow"
    ON = "on"


class RuleOrder(StrEnum):
    """How rules are listed: as they were made, the newest change first, by name, or what fired last first."""

    MADE = "made"
    CHANGED = "changed"
    NAME = "name"
    FIRED = "fired"


class Fn(StrEnum):
    """What is made of the values of a window. A window without values has a count of 0 and nothing else."""

    AVG = "avg"
    MIN = "min"
    MAX = "max"
    SUM = "sum"
    COUNT = "count"


class Whereabouts(StrEnum):
    """Where a device is, or that it has just crossed the line."""

    INSIDE = "inside"
    OUTSIDE = "outside"
    ENTERED = "entered"
    LEFT = "left"


class MissingDo(StrEnum):
    """What a missing metric does: ``hold`` keeps all as it is; ``ignore`` leaves out what asks for it, as if the author
    had not written that. Where nothing is left, nothing is known."""

    HOLD = "hold"
    FIRE = "fire"
    CLEAR = "clear"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time as the author wrote it (``"10m"``) and in milliseconds."""

    text: str
    ms: int


@dataclass(frozen=True, slots=True)
class Aggregate:
    """``fn`` of the values in the window (t - ``over``, t] of event time, or of the ``last`` values."""

    fn: Fn
    over: Duration | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class Rate:
    """The slope over a window: (last - first) / the time between them, ``per`` so much time."""

    per: Duration
    over: Duration


@dataclass(frozen=True, slots=True)
class Delta:
    """The newest value minus the one at the window's beginning."""

    over: Duration


Derived: TypeAlias = Aggregate | Rate | Delta


@dataclass(frozen=True, slots=True)
class OtherMetric:
    """A metric's newest value, times ``times``, plus ``plus``."""

    metric: str
    plus: float | None = None
    times: float | None = None


@dataclass(frozen=True, slots=True)
class AttributeValue:
    """The value of one of the device's attributes."""

    attribute: str


@dataclass(frozen=True, slots=True)
class Past:
    """A metric's value so long ``ago``."""

    metric: str
    ago: Duration


Operand: TypeAlias = OtherMetric | AttributeValue | Past


@dataclass(frozen=True, slots=True)
class Leaf:
    """One comparison of a metric, or of what ``how`` derives from it.

    ``value`` is a scalar, something else that is read (an operand), a pair (low, high) for between and outside, or a
    tuple of choices for in.
    """

    metric: str
    op: Op
    value: Scalar | tuple[Scalar, ...] | Operand
    unit: str | None = None
    how: Derived | None = None


@dataclass(frozen=True, slots=True)
class AttributeLeaf:
    """A comparison of one of the device's attributes; unknown if it has none of that name and type."""

    attribute: str
    op: Op
    value: Scalar | tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Changed:
    """The newest value differs from another one in the window."""

    metric: str
    over: Duration


@dataclass(frozen=True, slots=True)
class Stuck:
    """The value has not moved by more than ``within`` (None: not at all) for so long."""

    metric: str
    held_for: Duration
    within: float | None = None


@dataclass(frozen=True, slots=True)
class Tagged:
    """The device bears this tag."""

    tag: str


@dataclass(frozen=True, slots=True)
class InGroup:
    """The device is in this group (a UUID text)."""

    group: str


@dataclass(frozen=True, slots=True)
class OfProfile:
    """The device is of this profile."""

    profile: str


@dataclass(frozen=True, slots=True)
class TimeOfDay:
    """A local time: on these ``days`` (1 Monday to 7 Sunday; None: all), from ``start`` until before ``end``.

    Times are "HH:MM" ("24:00" is an end); None is the day's beginning or end. Where the end is not after the start it
    runs over midnight, and ``days`` are those on which it starts. ``tz`` is "site" (None too) or a name such as
    "Europe/Berlin".
    """

    days: tuple[int, ...] | None = None
    start: str | None = None
    end: str | None = None
    tz: str | None = None

    @property
    def minutes(self) -> tuple[int, int]:
        """Start and end in minutes of the local day; the end may be at or before the start (over midnight)."""
        return minute_of(self.start or "00:00"), minute_of(self.end or "24:00")


@dataclass(frozen=True, slots=True)
class Circle:
    """All places at most ``radius_m`` metres from a point (degrees, WGS 84)."""

    lat: float
    lon: float
    radius_m: float


@dataclass(frozen=True, slots=True)
class Polygon:
    """All places within these corners (latitude, longitude in degrees); the last is joined to the first."""

    corners: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the device is by a metric that is an object with ``lat`` and ``lon`` (or latitude, longitude)."""

    metric: str
    is_: Whereabouts
    of: Circle | Polygon


@dataclass(frozen=True, slots=True)
class Silence:
    """No message of the device was accepted for so long (server's clock)."""

    held_for: Duration


@dataclass(frozen=True, slots=True)
class Online:
    """Whether the device is connected."""

    is_online: bool


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """An event of this type has just come; true of that moment only."""

    type: str


@dataclass(frozen=True, slots=True)
class All:
    """True when every part is true."""

    of: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """True when at least one part is true."""

    of: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    """True when its part is false. The opposite of unknown is unknown."""

    of: "Condition"


StateLeaf: TypeAlias = (
    Changed | Stuck | Tagged | InGroup | OfProfile | TimeOfDay | Place | Silence | Online | DeviceEvent
)
"""Leaves that are simply so, not so, or unknown."""
AnyLeaf: TypeAlias = Leaf | AttributeLeaf | StateLeaf
Condition: TypeAlias = All | AnyOf | Not | AnyLeaf


@dataclass(frozen=True, slots=True)
class Scope:
    """Which devices a rule watches: those of one profile (None: any), narrowed by whatever else is given.

    ``devices`` and ``groups`` are UUID texts: one of them; ``tags``: all of them; ``where``: all of them.
    """

    profile: str | None
    devices: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    where: tuple[AttributeLeaf | Tagged, ...] | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """The times at which a condition is looked at: five cron fields, in a time zone (None: the site's)."""

    cron: str
    tz: str | None = None


@dataclass(frozen=True, slots=True)
class Clearing:
    """When an alert ends by itself; a condition of its own makes hysteresis."""

    when: Condition
    held_for: Duration | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """What a metric does whose newest value is older than ``after``. One that never came is not known; ``ignore``
    leaves that out too."""

    after: Duration
    do: MissingDo


@dataclass(frozen=True, slots=True)
class Limits:
    """``cooldown``: quiet time after an alert ends. ``max_lateness``: older readings are history and move nothing.

    ``max_per_hour``: alerts of one device. ``quiet``: a time of day at which nothing is done; its alerts are silent.
    """

    cooldown: Duration | None = None
    max_lateness: Duration | None = None
    max_per_hour: int | None = None
    quiet: TimeOfDay | None = None


@dataclass(frozen=True, slots=True)
class RaiseAlert:
    """An alert is raised, and ends when the rule clears."""


@dataclass(frozen=True, slots=True)
class Notify:
    """People are told as the notification ``policy`` says. ``message`` may hold placeholders."""

    policy: str
    message: str | None = None


@dataclass(frozen=True, slots=True)
class CallWebhook:
    """A webhook ``channel`` (its name or id) is called."""

    channel: str


@dataclass(frozen=True, slots=True)
class SendCommand:
    """A command is sent to the device itself, or to ``device`` (a UUID text). Texts may hold placeholders."""

    command: str
    arguments: tuple[tuple[str, Scalar], ...] | None = None
    device: str | None = None


@dataclass(frozen=True, slots=True)
class SetAttribute:
    """An attribute of the device gets a value. A text may hold placeholders."""

    attribute: str
    value: Scalar


@dataclass(frozen=True, slots=True)
class AddTag:
    """The device gets a tag."""

    tag: str


@dataclass(frozen=True, slots=True)
class RemoveTag:
    """The device loses a tag."""

    tag: str


@dataclass(frozen=True, slots=True)
class WindowValue:
    """What an aggregate makes of a metric's window."""

    metric: str
    how: Aggregate


@dataclass(frozen=True, slots=True)
class DeriveMetric:
    """A metric of the device gets a value of ours."""

    metric: str
    value: float | OtherMetric | WindowValue


Then: TypeAlias = RaiseAlert | Notify | CallWebhook | SendCommand | SetAttribute | AddTag | RemoveTag | DeriveMetric
"""One thing a rule does when it fires, or when it clears."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place on earth, in degrees, as a metric of type object carries it."""

    lat: float
    lon: float


@dataclass(frozen=True, slots=True)
class Given:
    """What the device of a rule's test does so long after its beginning: it connects or goes (``is_online``), sends
    values by metric, tells an event of this type."""

    at: Duration
    values: tuple[tuple[str, Scalar | Position], ...]
    event: str | None = None
    is_online: bool | None = None


@dataclass(frozen=True, slots=True)
class TestDevice:
    """What is known of the device of a rule's test: attributes by key, tags, groups (UUID texts)."""

    attributes: tuple[tuple[str, str], ...] | None = None
    tags: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Stretch:
    """From when to when, both counted from a test's beginning."""

    start: Duration
    end: Duration


@dataclass(frozen=True, slots=True)
class Expected:
    """What a rule's test expects: that an alert is raised or cleared (``is_raise``), and when (None: at any time)."""

    is_raise: bool
    at: Duration | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """A test that is kept with the rule: what is given, and everything that is to happen, in order.

    ``within``: only what stands open in that stretch of time is looked at, and more may follow there.
    """

    name: str
    given: tuple[Given, ...]
    expect: tuple[Expected, ...]
    device: TestDevice | None = None
    within: Stretch | None = None


@dataclass(frozen=True, slots=True)
class RuleDocument:
    """The whole rule as its author wrote it. ``None`` means: the author left it out."""

    name: str
    severity: Severity
    scope: Scope
    when: Condition
    then: tuple[Then, ...]
    description: str | None = None
    held_for: Duration | None = None
    clear: Clearing | None = None
    limits: Limits | None = None
    schedule: Schedule | None = None
    missing: Missing | None = None
    on_clear: tuple[Then, ...] | None = None
    examples: tuple[Example, ...] | None = None

    @property
    def conditions(self) -> tuple[tuple[str, Condition], ...]:
        """The conditions with their JSON paths: ``when``, and ``clear.when`` if there is one."""
        fires = ("$.when", self.when)
        return (fires,) if self.clear is None else (fires, ("$.clear.when", self.clear.when))

    @property
    def actions(self) -> tuple[tuple[str, Then], ...]:
        """What it does, each with its JSON path: on firing, then on clearing."""
        lists = (("$.then", self.then), ("$.on_clear", self.on_clear or ()))
        return tuple((f"{path}[{place}]", then) for path, thens in lists for place, then in enumerate(thens))


def minute_of(clock: str) -> int:
    """A time "HH:MM" in minutes of the day, 0 to 1,440."""
    hour, minute = clock.split(":")
    return int(hour) * 60 + int(minute)


def leaves(condition: Condition, path: str = "$") -> Iterator[tuple[str, AnyLeaf]]:
    """Every leaf of ``condition``, in reading order, each with its JSON path below ``path``."""
    match condition:
        case Not(of=part):
            yield from leaves(part, f"{path}.not")
        case All(of=parts) | AnyOf(of=parts):
            word = "all" if isinstance(condition, All) else "any"
            for place, part in enumerate(parts):
                yield from leaves(part, f"{path}.{word}[{place}]")
        case leaf:
            yield path, leaf
