"""What would mend a finding of the linter, as edits of the document that anybody can apply: one press of a button."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from engine.rules.conditions import MAX_WINDOW, leaf_json
from engine.rules.findings import UNITS_MS
from engine.rules.model import Leaf

_LONGEST_MS = int(MAX_WINDOW[:-1]) * UNITS_MS[MAX_WINDOW[-1]]


class EditKind(StrEnum):
    """What an edit does at its place."""

    SET = "set"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit of a document: ``value`` is put at ``path`` (a JSON path), or what is there is taken out."""

    kind: EditKind
    path: str
    value: Any = field(default=None, hash=False)


@dataclass(frozen=True, slots=True)
class Mend:
    """The one obvious way to mend a finding: ``words`` say what it does, ``edits`` do it, in this order."""

    words: str
    edits: tuple[Edit, ...]


def put(path: str, value: Any, words: str) -> Mend:
    """Set one place."""
    return Mend(words, (Edit(EditKind.SET, path, value),))


def take_out(path: str, words: str) -> Mend:
    """Take one place out."""
    return Mend(words, (Edit(EditKind.REMOVE, path),))


def lasting(path: str, length_ms: int, words: str) -> Mend | None:
    """Let a window or a wait at ``path`` be ``length_ms`` long; None if none may be that long."""
    if length_ms > _LONGEST_MS:
        return None
    unit = next(each for each in reversed(UNITS_MS) if length_ms % UNITS_MS[each] == 0)
    return put(path, f"{length_ms // UNITS_MS[unit]}{unit}", words)


def comparing(leaf: Leaf, op: str, value: float) -> Mapping[str, Any]:
    """The document of the comparison ``leaf`` with another operator and limit."""
    return {**leaf_json(leaf), "op": op, "value": value}
