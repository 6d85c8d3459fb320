"""What two texts of a point table have different, in words that name connections, devices and points; pure."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from engine.points import document
from engine.points.document import Wrong

MAX_CHANGES = 200
"""So many are told."""


class ChangeKind(StrEnum):
    """What became of a part of a table."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Change:
    """A connection, device or point of which something is different."""

    kind: ChangeKind
    name: str
    words: str


def changes(before: str, after: str) -> list[Change]:
    """All of them, in the table's order, what was taken out last. Comments and spelling count for nothing."""
    old, new = _parts(before), _parts(after)
    found = [
        Change(ChangeKind.CHANGED, name, _different(old[name], said))
        if name in old
        else Change(ChangeKind.ADDED, name, _spelled(said))
        for name, said in new.items()
        if old.get(name) != said
    ]
    return [
        *found,
        *(Change(ChangeKind.REMOVED, name, _spelled(said)) for name, said in old.items() if name not in new),
    ]


def _parts(text: str) -> dict[str, dict[str, Any]]:
    """Connections, devices and points by name, each with its fields; nested ones by their path."""
    try:
        root = document.read(text, "the table", lambda _: None).plain()  # an edge may still run it
    except Wrong:
        return {}
    return {name: dict(_fields(said)) for name, said in _named(root)}


def _named(root: Any) -> Iterator[tuple[str, Any]]:
    for name, connection in _mapping(_mapping(root).get("connections")).items():
        yield f"connection {name}", connection
    for key, device in _mapping(_mapping(root).get("devices")).items():
        own = _mapping(device)
        yield f"device {key}", {name: value for name, value in own.items() if name != "points"}
        points = own.get("points")
        for point in points if isinstance(points, list) else ():
            said = dict(_mapping(point))
            yield f"{key}/{said.pop('metric', '?')}", said


def _fields(said: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in _mapping(said).items():
        if isinstance(value, dict):
            yield from _fields(value, f"{path}{name} ")
        else:
            yield f"{path}{name}", value


def _different(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    said = [f"{name}: {_value(old.get(name))} → {_value(new.get(name))}" for name in new if old.get(name) != new[name]]
    return "; ".join([*said, *(f"{name}: {_value(old[name])} → left out" for name in old if name not in new)])


def _spelled(said: Mapping[str, Any]) -> str:
    return "; ".join(f"{name}: {_value(value)}" for name, value in said.items())


def _value(value: Any) -> str:
    return "not said" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, dict) else {}
