"""What a profile declares beside its metrics: the commands that its devices take, and the settings in their shadow.

Declared data, free of any protocol: nothing here is sent anywhere. Whoever issues a command asks ``check_arguments``
first; whoever writes a shadow knows from the leaves what may be desired.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

MAX_TEXT = 1_000


class ValueType(StrEnum):
    """What kind of value an argument of a command or a leaf of a shadow has."""

    NUMBER = "number"
    BOOLEAN = "boolean"
    STRING = "string"


@dataclass(frozen=True, slots=True)
class Argument:
    """One thing a command is told. ``min`` and ``max`` bound numbers, inclusive, in ``unit``; ``choices`` texts."""

    key: str
    type: ValueType
    label: str = ""
    unit: str | None = None
    min: float | None = None
    max: float | None = None
    choices: tuple[str, ...] = ()
    is_required: bool = True


@dataclass(frozen=True, slots=True)
class Command:
    """Something its devices can be told to do; after ``timeout_s`` without an answer it counts as timed out."""

    key: str
    label: str = ""
    description: str = ""
    arguments: tuple[Argument, ...] = ()
    timeout_s: int = 30


@dataclass(frozen=True, slots=True)
class ShadowLeaf:
    """One value of a device's shadow under a dotted path; devices report it, apps desire it if ``is_writable``."""

    path: str
    type: ValueType
    label: str = ""
    unit: str | None = None
    min: float | None = None
    max: float | None = None
    choices: tuple[str, ...] = ()
    is_writable: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, where, and what to do about it."""

    place: str
    message: str


@dataclass(frozen=True, slots=True)
class Arguments:
    """Arguments as they may be sent, or why they may not: with ``problems`` there are no ``values`` to send."""

    values: Mapping[str, float | bool | str]
    problems: tuple[Problem, ...] = ()


def check_arguments(command: Command, given: Mapping[str, object]) -> Arguments:
    """``given``, by the arguments' keys, against what ``command`` declares; None counts as left out."""
    known = {argument.key: argument for argument in command.arguments}
    problems = [_unknown(key, known) for key in given if key not in known]
    values: dict[str, float | bool | str] = {}
    for key, argument in known.items():
        value = given.get(key)
        if value is None:
            if argument.is_required:
                problems.append(Problem(key, f"“{_called(argument)}” is missing: give {_wanted(argument)}."))
            continue
        message = value_problem(argument, value)
        if message:
            problems.append(Problem(key, f"“{_called(argument)}” {message}"))
        elif isinstance(value, bool | int | float | str):
            values[key] = value
    return Arguments({} if problems else values, tuple(problems))


def value_problem(wanted: Argument | ShadowLeaf, value: object) -> str | None:
    """What is wrong with ``value``, as the rest of a sentence that says what is wanted; None if nothing is."""
    match wanted.type:
        case ValueType.BOOLEAN:
            fits = isinstance(value, bool)
        case ValueType.STRING:
            fits = isinstance(value, str) and len(value) <= MAX_TEXT and "\0" not in value
            fits = fits and (not wanted.choices or value in wanted.choices)
        case _:
            fits = _is_between(value, wanted.min, wanted.max)
    return None if fits else f"cannot be {_shown(value)}: give {_wanted(wanted)}."


def span(low: float | None, high: float | None) -> str:
    """``from 1 to 5``, ``of at least 1``, ``of at most 5``, or nothing."""
    if low is not None and high is not None:
        return f" from {low:.10g} to {high:.10g}"
    if low is not None:
        return f" of at least {low:.10g}"
    return f" of at most {high:.10g}" if high is not None else ""


def _is_between(value: object, low: float | None, high: float | None) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return (low is None or value >= low) and (high is None or value <= high)


def _called(argument: Argument) -> str:
    return argument.label or argument.key


def _wanted(wanted: Argument | ShadowLeaf) -> str:
    if wanted.type is ValueType.BOOLEAN:
        return "true or false"
    if wanted.type is ValueType.STRING:
        one_of = ", ".join(f"“{choice}”" for choice in wanted.choices)
        return f"one of {one_of}" if one_of else f"a text of at most {MAX_TEXT:,} characters"
    unit = f" {wanted.unit}" if wanted.unit else ""
    return f"a number{span(wanted.min, wanted.max)}{unit}"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:.10g}" if abs(value) < 1e300 else "so large a number"
    if isinstance(value, str):
        return f"“{value[:40]}”" if len(value) <= 40 else f"“{value[:40]}…”"
    return "a list or an object"


def _unknown(key: str, known: Mapping[str, Argument]) -> Problem:
    there = ", ".join(f"“{each}”" for each in known) or "none"
    return Problem(key[:64], f"The command has no argument “{key[:64]}”; it takes {there}. Leave it out.")
