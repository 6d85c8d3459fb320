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


class MetricType(StrEnum):
    """What kind of value a metric carries."""

    NUMBER = "number"
    BOOLEAN = "boolean"
    STRING = "string"


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
}


class Severity(StrEnum):
    """How bad it is, from a note to an emergency."""

    INFO = "info"
    MINOR = "minor"
    MAJOR = "major"
    CRITICAL = "critical"


class Then(StrEnum):
    """What a rule does when it fires."""

    ALERT = "alert"


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time as the author wrote it (``"10m"``) and in milliseconds."""

    text: str
    ms: int


@dataclass(frozen=True, slots=True)
class Leaf:
    """One comparison. ``value`` is a scalar; a pair (low, high) for between and outside; a tuple of choices for in."""

    metric: str
    op: Op
    value: Scalar | tuple[Scalar, ...]
    unit: str | None = None


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


Condition: TypeAlias = All | AnyOf | Not | Leaf


@dataclass(frozen=True, slots=True)
class Scope:
    """Which devices a rule watches: those of one profile (None: any), narrowed to ``devices`` (UUID texts) if given."""

    profile: str | None
    devices: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Clearing:
    """When an alert ends by itself; a condition of its own makes hysteresis."""

    when: Condition
    held_for: Duration | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """``cooldown``: quiet time after an alert ends. ``max_lateness``: older readings are history and move nothing."""

    cooldown: Duration | None = None
    max_lateness: Duration | None = None


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

    @property
    def conditions(self) -> tuple[tuple[str, Condition], ...]:
        """The conditions with their JSON paths: ``when``, and ``clear.when`` if there is one."""
        fires = ("$.when", self.when)
        return (fires,) if self.clear is None else (fires, ("$.clear.when", self.clear.when))


def leaves(condition: Condition, path: str = "$") -> Iterator[tuple[str, Leaf]]:
    """Every comparison in ``condition``, in reading order, each with its JSON path below ``path``."""
    match condition:
        case Leaf():
            yield path, condition
        case Not(of=part):
            yield from leaves(part, f"{path}.not")
        case All(of=parts) | AnyOf(of=parts):
            word = "all" if isinstance(condition, All) else "any"
            for place, part in enumerate(parts):
                yield from leaves(part, f"{path}.{word}[{place}]")
