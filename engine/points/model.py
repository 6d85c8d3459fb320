"""What the platform keeps of a gateway's point table: the text that is wanted, and what the edge last said of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

MAX_TEXT_BYTES = 1024 * 1024
"""Some 6,000 points, each on a line of its own."""
MAX_PLAIN_BYTES = 120 * 1024
"""As JSON in one message a text must fit into what a connection may hold back, 256 KiB; a longer one goes packed."""
MAX_PACKED_CHARS = 200 * 1024
MAX_SAID_BYTES = MAX_PACKED_CHARS + 12 * 1024
"""What an edge says, with the table of its own file; it fits into a message, which has at most 256 KiB."""
VERSIONS_KEPT = 20
MAX_PROBLEMS = 20
"""So many of a table's problems are told; the others show once these are put right."""
MAX_WORDS = 300
MAX_PLACE = 120


class PointTableState(StrEnum):
    """How far the wanted table has come."""

    NONE = "none"
    WAITING = "waiting"
    RUNNING = "running"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a table that cannot be used: where, and what to write instead. `line` counts from 1."""

    line: int | None
    place: str
    words: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What the grammar says of a text: how many points it has, or what is wrong with it."""

    points: int
    problems: Sequence[Problem] = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """A gateway's wanted table, `version` 0 while there is none; and what its edge said of itself at `said_at`.

    The edge runs `running_version` (0: the table in its own file) with so many points, and refused `refused_version`
    for `problems`. `is_local`: its file says that it takes no table from here. `file_text` is the table of its file,
    while it runs that and as far as it told it.
    """

    device_id: UUID
    version: int = 0
    text: str = ""
    points: int = 0
    changed_by: str | None = None
    changed_at: datetime | None = None
    said_at: datetime | None = None
    running_version: int | None = None
    running_points: int | None = None
    running_since: datetime | None = None
    refused_version: int | None = None
    problems: Sequence[Problem] = ()
    is_local: bool = False
    file_text: str | None = None

    @property
    def state(self) -> PointTableState:
        """How far the wanted table has come."""
        if self.version == 0:
            return PointTableState.NONE
        if self.is_local or self.refused_version == self.version:
            return PointTableState.REFUSED
        return PointTableState.RUNNING if self.running_version == self.version else PointTableState.WAITING


@dataclass(frozen=True, slots=True)
class Version:
    """A table as it was once wanted; `text` is empty in a list."""

    version: int
    points: int
    changed_by: str | None
    changed_at: datetime
    text: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """What an edge says of its table, on `up/points`; `packed` is that of its own file, while it runs it."""

    running: int
    points: int
    refused: int | None = None
    problems: Sequence[Problem] = ()
    is_local: bool = False
    packed: str | None = None

    @classmethod
    def read(cls, said: object) -> "Said":
        """What `said` (parsed JSON) says. Raises ValueError with a sentence for the edge's author."""
        if not isinstance(said, Mapping):
            raise ValueError('Say {"running": version, "points": how many} of the point table.')
        refused = said.get("refused")
        if refused is not None and not isinstance(refused, Mapping):
            raise ValueError('"refused" is {"version", "problems"}.')
        problems = refused.get("problems", []) if refused else []
        if not isinstance(problems, list) or not all(isinstance(each, Mapping) for each in problems):
            raise ValueError('"problems" is a list of {"line", "place", "words"}.')
        return cls(
            _whole(said, "running"),
            _whole(said, "points"),
            _whole(refused, "version") if refused else None,
            [problem_of(each) for each in problems[:MAX_PROBLEMS]],
            said.get("local") is True,
            _text_or_none(said, "file"),
        )

    def body(self) -> dict[str, object]:
        """As it is sent, and lies in the journal."""
        told: dict[str, object] = {"running": self.running, "points": self.points}
        if self.refused is not None:
            told["refused"] = {"version": self.refused, "problems": [body_of(each) for each in self.problems]}
        told |= {"local": True} if self.is_local else {}
        return told if self.packed is None else {**told, "file": self.packed}


def problem_of(said: Mapping[str, object]) -> Problem:
    """A problem as `body_of` wrote it; whatever else it holds is left out."""
    line = said.get("line")
    is_line = type(line) is int and 0 < line < 10_000_000
    place, words = str(said.get("place") or "")[:MAX_PLACE], str(said.get("words") or "")[:MAX_WORDS]
    return Problem(line if is_line and isinstance(line, int) else None, place, words)


def body_of(problem: Problem) -> dict[str, object]:
    """A problem as JSON has it."""
    return {"line": problem.line, "place": problem.place[:MAX_PLACE], "words": problem.words[:MAX_WORDS]}


def _whole(said: Mapping[object, object], name: str) -> int:
    value = said.get(name)
    if type(value) is not int or not 0 <= value < 2**31:
        raise ValueError(f'"{name}" must be a whole number, 0 or more.')
    return value


def _text_or_none(said: Mapping[object, object], name: str) -> str | None:
    value = said.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f'"{name}" is a text.')
    return value
