"""A YAML or JSON document whose every value knows where it stands, so that an error can name the line and the remedy.

A file is read with its line numbers; what came by the API has none, and is named by its path in the document.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml

MAX_BYTES = 1024 * 1024
MAX_NODES = 200_000
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|min|m|h)?")
_SECONDS = {"ms": 0.001, "s": 1.0, None: 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}
_TEXT, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"
_JSON_NUMBER = re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d+")
_NUMBER = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
_MISREAD = re.compile(r"[-+]?(0[0-9_]+|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)")
"""Numbers that YAML 1.1 takes for others than people do: 010 for eight, 1:30 for ninety."""
_MOST_BITS = 1_100
"""No number of a machine has more; Python will not even show those of many thousand digits."""
_MOST_SHOWN = 80
_MOST_DEPTH = 100

Chosen = TypeVar("Chosen", bound=str)
Misread = Callable[["Wrong"], object]
"""Told of each number that YAML takes for another one than people do, where it shall be read as YAML has it."""


class Wrong(Exception):
    """Something in the document cannot be used; the message names the place, what is wrong and the remedy."""

    def __init__(self, place: str, words: str) -> None:
        super().__init__(f"{place}: {words}")
        self.place = place
        self.words = words


@dataclass(frozen=True, slots=True)
class Node:
    """A value and its place. A mapping holds nodes by name, a list holds nodes, anything else is what JSON has."""

    value: Any
    place: str

    def fields(self) -> Fields:
        """This node's members; Wrong unless it is a mapping."""
        if not isinstance(self.value, dict):
            raise Wrong(self.place, f"{_shown(self.value)} stands where `name: value` pairs belong.")
        return Fields(self.value, self.place)

    def plain(self) -> Any:
        """The value without places, as json.loads would give it."""
        if isinstance(self.value, dict):
            return {name: node.plain() for name, node in self.value.items()}
        return [node.plain() for node in self.value] if isinstance(self.value, list) else self.value


class Fields:
    """The members of a mapping, taken one by one; `done` finds those that nobody knows.

    Every method raises Wrong with the member's place. A member that is left out, or null, has its `default`; without a
    default it must be there.
    """

    def __init__(self, members: Mapping[str, Node], place: str) -> None:
        self.place = place
        self._members = members
        self._known: list[str] = []

    def over(self, shared: Fields) -> Fields:
        """These members, completed by others'."""
        return Fields({**shared._members, **self._members}, self.place)

    def node(self, name: str) -> Node | None:
        """A member as it is, None when it is left out."""
        self._known.append(name)
        found = self._members.get(name)
        return None if found is None or found.value is None else found

    def has(self, name: str) -> bool:
        """Whether the member is there."""
        return self._members.get(name) is not None and self._members[name].value is not None

    def place_of(self, name: str) -> str:
        """Where a member stands, or where it is missing."""
        return self._members[name].place if name in self._members else self.place

    def text(self, name: str, default: str | None = None, *, pattern: str = "", hint: str = "") -> str:
        """A string; of this `pattern` as a whole (`hint` says it in words)."""
        node = self._needed(name, default, hint)
        if node is None:
            return default or ""
        if not isinstance(node.value, str):
            quotes = "" if isinstance(node.value, dict | list) else " In quotes, if that is the text."
            raise Wrong(node.place, f"`{name}` is {_shown(node.value)}; write a text{_in_words(hint)}.{quotes}")
        if pattern and not re.fullmatch(pattern, node.value):
            raise Wrong(node.place, f"`{name}` is {_shown(node.value)}; write {hint or pattern}.")
        return node.value

    def integer(self, name: str, default: int | None = None, *, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        node = self._needed(name, default, f"a whole number from {low} to {high}")
        if node is None:
            return default or 0
        if type(node.value) is not int or not low <= node.value <= high:
            raise Wrong(node.place, f"`{name}` is {_shown(node.value)}; write a whole number from {low} to {high}.")
        return int(node.value)

    def number(self, name: str, default: float | None = None) -> float:
        """A number that is finite."""
        node = self._needed(name, default, "a number")
        if node is None:
            return default or 0.0
        if type(node.value) not in (int, float) or abs(node.value) > 1e300 or node.value != node.value:
            raise Wrong(node.place, f"`{name}` is {_shown(node.value)}; write a number.")
        return float(node.value)

    def flag(self, name: str, default: bool) -> bool:
        """true or false."""
        node = self.node(name)
        if node is None:
            return default
        if type(node.value) is not bool:
            raise Wrong(node.place, f"`{name}` is {_shown(node.value)}; write true or false.")
        return node.value

    def choice(self, name: str, choices: Sequence[Chosen], default: Chosen | None = None) -> Chosen:
        """One of some words."""
        node = self._needed(name, default, f"one of {', '.join(choices)}")
        if node is None:
            return default or choices[0]
        for choice in choices:
            if node.value == choice:
                return choice
        raise Wrong(node.place, f"`{name}` is {_shown(node.value)}; write one of {', '.join(choices)}.")

    def seconds(self, name: str, default: float | None = None, *, low: float, high: float) -> float:
        """A duration such as `500 ms`, `5 s`, `2 min`, `1 h`, or a number of seconds."""
        hint = f"a time from {low:g} s to {high:g} s, such as 500 ms, 5 s or 2 min"
        node = self._needed(name, default, hint)
        if node is None:
            return default or 0.0
        match = _DURATION.fullmatch(str(node.value).strip()) if type(node.value) in (int, float, str) else None
        seconds = float(match[1]) * _SECONDS[match[2]] if match else -1.0
        if not low <= seconds <= high:
            raise Wrong(node.place, f"`{name}` is {_shown(node.value)}; write {hint}.")
        return seconds

    def items(self, name: str) -> Iterator[Node]:
        """The nodes of a list, none when it is left out."""
        node = self.node(name)
        if node is not None and not isinstance(node.value, list):
            raise Wrong(node.place, f"`{name}` is {_shown(node.value)}; write a list, each item after a dash.")
        yield from node.value if node is not None else ()

    def members(self, name: str) -> Iterator[tuple[str, Node]]:
        """The named nodes of a mapping, none when it is left out."""
        node = self.node(name)
        if node is not None:
            node.fields()
            yield from node.value.items()

    def done(self) -> None:
        """Wrong when there is a member that nobody asked for: most likely it is misspelt."""
        for name, node in self._members.items():
            if name not in self._known:
                known = ", ".join(sorted(self._known))
                raise Wrong(node.place, f"Nothing is known by the name `{name}` here; there are: {known}.")

    def _needed(self, name: str, default: object, hint: str) -> Node | None:
        node = self.node(name)
        if node is None and default is None:
            raise Wrong(self.place, f"`{name}` is missing; add it{_in_words(hint)}.")
        return node


def read(text: str, source: str, misread: Misread | None = None) -> Node:
    """A YAML (or JSON) text as nodes; `source` names the file in errors. Wrong when it is none.

    Without `misread`, a number that YAML takes for another one than people do is wrong, too.
    """
    if len(text) > MAX_BYTES:
        raise Wrong(source, f"The file is larger than {MAX_BYTES // 1024} KiB; split it between several edges.")
    loader = None
    try:
        _check_depth(text, source)
        loader = yaml.CSafeLoader(text)
        root = loader.get_single_node()
        if root is None:
            raise Wrong(source, "The file is empty.")
        return _Reader(loader, source, misread).node(root, "")
    except yaml.reader.ReaderError as error:
        line = text.encode().count(b"\n", 0, error.position) + 1
        raise Wrong(f"{source}, line {line}", f"The character U+{error.character:04X} cannot stand here.") from None
    except yaml.MarkedYAMLError as error:
        last = text.rstrip().count("\n") + 1  # what is missing at the end is missed on the line behind it
        line = min(error.problem_mark.line + 1, last) if error.problem_mark else 1
        raise Wrong(
            f"{source}, line {line}", f"This is no YAML: {error.problem}.{_remedy(error.problem, text, line)}"
        ) from None
    except yaml.YAMLError as error:
        raise Wrong(source, f"This is no YAML: {error}.") from None
    except RecursionError:
        raise Wrong(source, "The values are nested too deep.") from None
    finally:
        if loader is not None:
            loader.dispose()


def _remedy(problem: object, text: str, line: int) -> str:
    """What people mostly did, where YAML cannot go on."""
    lines = text.splitlines()
    stands = lines[line - 1] if line <= len(lines) else ""
    if "\t" in stands[: len(stands) - len(stands.lstrip())]:
        return " A tab stands before it; indent with spaces."
    if not re.search("expected|mapping values", str(problem)):
        return ""
    return " What belongs together begins in the same column, and has a colon and a space behind its name."


def _check_depth(text: str, source: str) -> None:
    """Raises Wrong: libyaml puts nodes together by calling itself, and a process that is nested too deep is killed."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MOST_DEPTH:
                raise Wrong(source, "The values are nested too deep.")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def of(value: object, source: str) -> Node:
    """What json.loads gave, as nodes; each one's place is its path."""
    if isinstance(value, Mapping):
        return Node({str(name): of(member, f"{source}.{name}") for name, member in value.items()}, source)
    if isinstance(value, list | tuple):
        return Node([of(item, f"{source}[{n}]") for n, item in enumerate(value)], source)
    return Node(value, source)


class _Reader:
    """Turns YAML's nodes into ours; bounded, since one anchor may stand for very many nodes."""

    def __init__(self, loader: yaml.CSafeLoader, source: str, misread: Misread | None) -> None:
        self._construct: Callable[[yaml.Node], Any] = loader.construct_object
        self._source = source
        self._misread = misread
        self._left = MAX_NODES

    def node(self, found: yaml.Node, path: str) -> Node:
        place = f"{self._source}, line {found.start_mark.line + 1}" + (f" ({path})" if path else "")
        self._left -= 1
        if self._left < 0:
            raise Wrong(place, f"The document has more than {MAX_NODES} values; split it.")
        if isinstance(found, yaml.MappingNode):
            return Node(self._members(found, path, place), place)
        if isinstance(found, yaml.SequenceNode):
            return Node([self.node(item, f"{path}[{n}]") for n, item in enumerate(found.value)], place)
        assert isinstance(found, yaml.ScalarNode)
        return Node(self._scalar(found, place), place)

    def _scalar(self, found: yaml.ScalarNode, place: str) -> Any:
        """A value as YAML means it; and what JSON calls a number, which YAML 1.1 takes for a text, is one."""
        if found.tag == _TEXT and not found.style and _JSON_NUMBER.fullmatch(found.value):
            return float(found.value)
        try:
            value = self._construct(found)
        except (ValueError, KeyError, OverflowError, AttributeError):  # 2020-13-45, !!int x, a number of 5,000 digits
            raise Wrong(place, f"`{found.value[:_MOST_SHOWN]}` cannot be read; put a text into quotes.") from None
        if isinstance(value, int) and value.bit_length() > _MOST_BITS:
            raise Wrong(place, f"`{found.value[:_MOST_SHOWN]}` is larger than any number that a machine has.")
        if found.tag in _NUMBER and not found.style and _MISREAD.fullmatch(found.value):
            self._told_of_misread(found.value, value, place)
        return value

    def _told_of_misread(self, said: str, value: Any, place: str) -> None:
        words = f"`{said[:_MOST_SHOWN]}` is {_shown(value)} in YAML, another number than it seems"
        wrong = Wrong(place, f"{words}; write it without zeros before it, or colons. A text goes into quotes.")
        if self._misread is None:
            raise wrong
        self._misread(wrong)

    def _members(self, found: yaml.MappingNode, path: str, place: str) -> dict[str, Node]:
        members: dict[str, Node] = {}
        for key, value in found.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            if not name or name in members:
                words = f"The name `{name}` stands here twice; keep one." if name else "A name is a text."
                raise Wrong(f"{self._source}, line {key.start_mark.line + 1}", words)
            if key.tag == _MERGE:
                words = "`<<` is not understood; write out what these have in common."
                raise Wrong(f"{self._source}, line {key.start_mark.line + 1}", words)
            members[name] = self.node(value, f"{path}.{name}" if path else name)
        return members


def _in_words(hint: str) -> str:
    return f": {hint}" if hint else ""


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    shown = "true" if value is True else "false" if value is False else repr(value)
    if not isinstance(value, bool | int | float | str):  # a date, which YAML makes of what looks like one
        shown = str(value)
    return shown if len(shown) <= _MOST_SHOWN else shown[:_MOST_SHOWN] + "…"
