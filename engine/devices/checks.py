"""What may describe a device or a profile, checked before it is stored; a problem names its place and its remedy."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import TypeAlias

from engine.devices import errors
from engine.devices.declared import Argument, Command, Problem, ShadowLeaf
from engine.devices.model import Metric

MAX_RETENTION_DAYS = 90
MAX_INTERVAL_S = 30 * 86_400
MAX_TIMEOUT_S = 86_400
MAX_METRICS, MAX_COMMANDS, MAX_ARGUMENTS, MAX_LEAVES, MAX_CHOICES, MAX_DEPTH = 200, 100, 20, 200, 50, 5
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")

Described: TypeAlias = Metric | Argument | ShadowLeaf


def checked_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """``labels`` as they are stored; raises LabelsMalformed."""
    pairs = dict(labels)
    if len(pairs) > 20 or not all(
        isinstance(v, str) and 1 <= len(k) <= 40 and len(v) <= 120 and "\0" not in k + v for k, v in pairs.items()
    ):
        raise errors.LabelsMalformed
    return pairs


def checked_interval(seconds: int | None) -> int | None:
    """A reporting interval as it is stored, in seconds; 0 and None: none is expected. Raises IntervalMalformed."""
    if not seconds:
        return None
    if not 1 <= seconds <= MAX_INTERVAL_S:
        raise errors.IntervalMalformed
    return seconds


def checked_retention(days: int | None) -> int | None:
    """For how many days readings are kept, as it is stored; 0 and None: as the tenant says. Raises DaysMalformed."""
    if not days:
        return None
    if not 1 <= days <= MAX_RETENTION_DAYS:
        raise errors.DaysMalformed
    return days


def checked_metrics(metrics: Sequence[Metric]) -> list[dict[str, object]]:
    """``metrics`` as they are stored; raises MetricsMalformed, which names the first that is wrong."""
    if len(metrics) > MAX_METRICS:
        raise errors.MetricsMalformed
    seen: set[str] = set()
    for metric in metrics:
        if metric.key in seen:
            raise errors.MetricsMalformed(f"The metric {metric.key!r} is there twice. Remove one.", metric=metric.key)
        seen.add(metric.key)
        for problem in _metric_problems(metric):
            raise errors.MetricsMalformed(problem, metric=metric.key)
    return [_stored(metric) for metric in metrics]


def checked_commands(commands: Sequence[Command]) -> list[dict[str, object]]:
    """``commands`` as they are stored; raises CommandsMalformed with every problem."""
    problems = list(_many(len(commands), MAX_COMMANDS, "commands"))
    problems += _twice("command", (command.key for command in commands))
    for command in commands:
        problems += _command_problems(command)
    if problems:
        raise errors.CommandsMalformed(_said(problems), problems=_listed(problems))
    return [{**_stored(command), "arguments": [_stored(each) for each in command.arguments]} for command in commands]


def checked_shadow(leaves: Sequence[ShadowLeaf]) -> list[dict[str, object]]:
    """The ``leaves`` of a shadow as they are stored; raises ShadowMalformed with every problem."""
    problems = list(_many(len(leaves), MAX_LEAVES, "settings"))
    problems += _twice("setting", (leaf.path for leaf in leaves))
    branches = {branch for leaf in leaves for branch in _branches(leaf.path)}
    for leaf in leaves:
        place = _place("setting", leaf.path)
        parts = leaf.path.split(".")
        if len(parts) > MAX_DEPTH or len(leaf.path) > 120 or not all(WORD.fullmatch(part) for part in parts):
            said = f"A path is up to {MAX_DEPTH} names joined by dots, each beginning with a letter. Rename it."
            problems.append(Problem(place, said))
        if leaf.path in branches:
            problems.append(
                Problem(place, "Other settings lie below it, so it cannot have a value. Rename one of them.")
            )
        problems += _value_problems(place, leaf)
    if problems:
        raise errors.ShadowMalformed(_said(problems), problems=_listed(problems))
    return [_stored(leaf) for leaf in leaves]


def _command_problems(command: Command) -> Iterator[Problem]:
    place = _place("command", command.key)
    if not WORD.fullmatch(command.key):
        yield Problem(place, _BAD_KEY)
    yield from _texts(place, {"label": (command.label, 120), "description": (command.description, 500)})
    if not 1 <= command.timeout_s <= MAX_TIMEOUT_S:
        yield Problem(
            place, f"It times out after 1 to {MAX_TIMEOUT_S:,} seconds; {command.timeout_s} is not one of them."
        )
    yield from _many(len(command.arguments), MAX_ARGUMENTS, f"arguments of {place}")
    yield from _twice(f"{place}, argument", (argument.key for argument in command.arguments))
    for argument in command.arguments:
        where = _place(f"{place}, argument", argument.key)
        if not WORD.fullmatch(argument.key):
            yield Problem(where, _BAD_KEY)
        yield from _value_problems(where, argument)


def _metric_problems(metric: Metric) -> Iterator[str]:
    if not 1 <= len(metric.key) <= 64 or "\0" in metric.key:
        yield f"The metric {metric.key[:64]!r} has no good name: 1 to 64 characters, as the device sends it."
    for problem in _value_problems(f"The metric {metric.key!r}", metric):
        yield f"{problem.place}: {problem.message}"


def _value_problems(place: str, value: Described) -> Iterator[Problem]:
    """What is wrong with how a value is described, whatever it belongs to."""
    yield from _texts(place, {"label": (value.label, 120), "unit": (value.unit or "", 120)})
    bounds = [bound for bound in (value.min, value.max) if bound is not None]
    is_number = value.type == "number"
    if any(not math.isfinite(bound) for bound in bounds):
        yield Problem(place, "Its lowest and highest have to be finite numbers.")
    elif bounds and not is_number:
        yield Problem(place, f"Only numbers have a lowest and a highest, and it is a {value.type}. Remove them.")
    elif len(bounds) == 2 and bounds[0] >= bounds[1]:
        yield Problem(place, f"Its lowest, {bounds[0]:.10g}, is not below its highest, {bounds[1]:.10g}. Swap them.")
    if not isinstance(value, Metric):
        yield from _choice_problems(place, value)


def _choice_problems(place: str, value: Argument | ShadowLeaf) -> Iterator[Problem]:
    if value.choices and value.type != "string":
        yield Problem(place, f"Only texts are chosen from a list, and it is a {value.type}. Remove the choices.")
    if len(value.choices) > MAX_CHOICES or len(set(value.choices)) < len(value.choices):
        yield Problem(place, f"It has more than {MAX_CHOICES} choices, or one of them twice. Remove some.")
    if any(not 1 <= len(choice) <= 120 or "\0" in choice for choice in value.choices):
        yield Problem(place, "A choice has 1 to 120 characters. Shorten it, or fill it in.")


def _texts(place: str, texts: Mapping[str, tuple[str, int]]) -> Iterator[Problem]:
    for name, (text, most) in texts.items():
        if len(text) > most or "\0" in text:
            yield Problem(place, f"Its {name} has more than {most} characters, or a zero byte. Shorten it.")


def _many(count: int, most: int, what: str) -> Iterator[Problem]:
    if count > most:
        yield Problem(what, f"There are {count}; at most {most} are kept. Remove some.")


def _twice(what: str, keys: Iterable[str]) -> Iterator[Problem]:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            yield Problem(_place(what, key), "It is there twice. Rename or remove one.")
        seen.add(key)


def _branches(path: str) -> Iterator[str]:
    parts = path.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts)))


def _place(what: str, key: str) -> str:
    return f"{what} “{key[:64]}”"


_BAD_KEY = "It cannot be called so: begin with a letter, then letters, digits, _ or - (at most 64). Rename it."


def _said(problems: Sequence[Problem]) -> str:
    first = f"{problems[0].place}: {problems[0].message}"
    more = len(problems) - 1
    said = first[:1].upper() + first[1:]
    return f"{said} ({more} more like this.)" if more else said


def _listed(problems: Sequence[Problem]) -> list[dict[str, str]]:
    return [{"place": problem.place, "message": problem.message} for problem in problems]


def _stored(thing: Described | Command) -> dict[str, object]:
    """The fields of ``thing`` for JSON; what is empty is left out, except what is false or has to be there."""
    said = {field.name: getattr(thing, field.name) for field in fields(thing)}
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in said.items()}
    return {name: _text(value) for name, value in plain.items() if value not in (None, "", [])}


def _text(value: object) -> object:
    return str(value) if isinstance(value, str) else value
