"""What one version of a profile changed, in sentences for people."""

from collections.abc import Iterator, Sequence
from dataclasses import fields

from engine.devices.declared import Argument, Command, ShadowLeaf, span
from engine.devices.model import Declaration, Metric

Named = Metric | Command | Argument | ShadowLeaf

_WORDS = {
    "type": "kind",
    "label": "shown name",
    "min": "lowest",
    "max": "highest",
    "is_required": "needed",
    "is_writable": "may be set",
    "timeout_s": "seconds to wait for an answer",
}
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def changes(before: Declaration | None, after: Declaration) -> tuple[str, ...]:
    """Each change from ``before`` to ``after`` as a sentence; the first version only says that it began."""
    if before is None:
        return ("The profile was made.",)
    return tuple(_changes(before, after))


def every(seconds: int) -> str:
    """An interval as people say it: ``every 15 minutes``, ``every 90 seconds``."""
    length, name = next((length, name) for length, name in _UNITS if seconds % length == 0)
    count = seconds // length
    return f"every {name}" if count == 1 else f"every {count:,} {name}s"


def _changes(before: Declaration, after: Declaration) -> Iterator[str]:
    if before.name != after.name:
        yield f"Renamed from “{before.name}” to “{after.name}”."
    if before.is_strict != after.is_strict:
        fate = "turned away" if after.is_strict else "stored as they come"
        yield f"Values that are not named are {fate} from here on."
    if before.reporting_interval_s != after.reporting_interval_s:
        yield _interval(before.reporting_interval_s, after.reporting_interval_s)
    if before.retention_days != after.retention_days:
        yield _kept(after.retention_days)
    yield from _things("value", before.metrics, after.metrics)
    yield from _things("command", before.commands, after.commands)
    was = {command.key: command for command in before.commands}
    for command in after.commands:
        if command.key in was:
            of = f" of the command “{command.key}”"
            yield from _things("argument", was[command.key].arguments, command.arguments, of)
    yield from _things("setting", before.shadow, after.shadow)


def _interval(before: int | None, after: int | None) -> str:
    if after is None:
        return "Devices are no longer expected to report at any interval."
    said = f"Devices are expected to report {every(after)}"
    return f"{said}, no longer {every(before)}." if before else f"{said}."


def _kept(days: int | None) -> str:
    if days is None:
        return "Readings are kept as long as the organisation's others."
    return f"Readings are kept for {days:,} {'day' if days == 1 else 'days'}."


def _things(kind: str, before: Sequence[Named], after: Sequence[Named], of: str = "") -> Iterator[str]:
    was, now = ({_name(thing): thing for thing in things} for things in (before, after))
    for name in was:
        if name not in now:
            yield f"Removed the {kind} “{name}”{of}."
    for name, thing in now.items():
        if name not in was:
            yield f"Added the {kind} “{name}”{of}{_described(thing)}."
        elif said := _differences(was[name], thing):
            yield f"Changed the {kind} “{name}”{of}: {'; '.join(said)}."
    if [name for name in was if name in now] != [name for name in now if name in was]:
        yield f"Put the {kind}s{of} into another order."


def _differences(before: Named, after: Named) -> list[str]:
    said = []
    for field in fields(after):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if old != new and field.name != "arguments":
            said.append(f"{_WORDS.get(field.name, field.name)} {_shown(new)}, was {_shown(old)}")
    return said


def _described(thing: Named) -> str:
    if isinstance(thing, Command):
        return ""
    unit = f" in {thing.unit}" if thing.unit else ""
    return f", a {thing.type}{span(thing.min, thing.max)}{unit}"


def _name(thing: Named) -> str:
    return thing.path if isinstance(thing, ShadowLeaf) else thing.key


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,.10g}"
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    return f"“{value}”" if value else "none"
