"""Reading untrusted JSON piece by piece: collects every problem with its place instead of stopping at the first."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TypeGuard, TypeVar
from uuid import UUID

from engine.rules.errors import Problem
from engine.rules.model import Duration, Scalar

MAX_PROBLEMS = 50
MAX_EXACT = 2**53
"""Integers beyond this are not exact as IEEE doubles, so comparing with them would lie."""

SECOND_MS = 1_000
UNITS_MS = {"s": SECOND_MS, "m": 60 * SECOND_MS, "h": 3_600 * SECOND_MS, "d": 86_400 * SECOND_MS}
_T = TypeVar("_T")
_UNCLEAN = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff]")
_LINES = str.maketrans("\n\t", "  ")
_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_DURATION = re.compile(r"([0-9]{1,6})([smhd])")


class Findings:
    """The problems found so far, bounded: a hostile document cannot make the answer long."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    @property
    def is_full(self) -> bool:
        """Whether no more problems are kept."""
        return len(self.problems) >= MAX_PROBLEMS

    def add(self, path: str, message: str, suggestion: str | None = None) -> None:
        """Note one problem at ``path``."""
        if not self.is_full:
            self.problems.append(Problem(path, message, suggestion))

    def fields(
        self, node: object, path: str, required: Iterable[str], optional: Iterable[str] | None = ()
    ) -> dict[str, object] | None:
        """``node`` as an object with exactly these fields (``optional`` None: and any); None where it is not one."""
        if not isinstance(node, dict):
            self.add(path, f"This must be an object, not {shown(node)}.")
            return None
        required = tuple(required)
        if optional is not None:
            known = (*required, *optional)
            for key in node:
                if self.is_full:
                    break  # what is not told needs no suggestion: these are dear, and a hostile object has many fields
                if key not in known:
                    self.add(f"{path}.{clip(str(key))}", "There is no such field here.", closest(str(key), known))
        for key in required:
            if key not in node:
                self.add(f"{path}.{key}", "This field is missing.")
        return node

    def text(self, node: object, path: str, most: int, *, blank: bool = False, prose: bool = False) -> str | None:
        """``node`` as a text of at most ``most`` characters without control characters.

        ``blank`` allows an empty one, ``prose`` an empty one and one of several lines.
        """
        if not isinstance(node, str):
            self.add(path, f"This must be a text, not {shown(node)}.")
        elif len(node) > most:
            self.add(path, f"This text is too long: {len(node)} characters, at most {most}.")
        elif not (blank or prose or node.strip()):
            self.add(path, "This text is empty.")
        elif not is_clean(node.translate(_LINES) if prose else node):
            self.add(path, "This text has control or broken characters.", "Type it again without them.")
        else:
            return node
        return None

    def choice(self, node: object, path: str, choices: Sequence[str]) -> str | None:
        """``node`` as one of ``choices``."""
        if isinstance(node, str) and node in choices:
            return node
        message = f"This must be one of {', '.join(choices)}, not {shown(node)}."
        self.add(path, message, closest(node, choices) if isinstance(node, str) else None)
        return None

    def duration(
        self, node: object, path: str, least_ms: int, most: str, shorter: str | None = "Leave it out to act at once."
    ) -> Duration | None:
        """``node`` as a duration such as ``90s``, ``10m``, ``2h`` or ``1d`` from ``least_ms`` to ``most``."""
        match = _DURATION.fullmatch(node) if isinstance(node, str) else None
        if match is None:
            self.add(path, f"This must be a duration such as “90s”, “10m”, “2h” or “1d”, not {shown(node)}.")
            return None
        duration = Duration(match[0], int(match[1]) * UNITS_MS[match[2]])
        if duration.ms < least_ms:
            self.add(path, f"This is too short: at least {least_ms // SECOND_MS}s.", shorter)
        elif duration.ms > int(most[:-1]) * UNITS_MS[most[-1]]:
            self.add(path, f"This is too long: at most {most}.")
        else:
            return duration
        return None

    def list_of(self, node: object, path: str, most: int, what: str) -> list[object] | None:
        """``node`` as a list of 1 to ``most``; a longer one is not read at all, so that reading stays cheap."""
        if not isinstance(node, list):
            self.add(path, f"This must be a list, not {shown(node)}.")
        elif not node:
            self.add(path, "This list is empty.")
        elif len(node) > most:
            self.add(path, f"This list has {len(node)} {what}, at most {most} are allowed.")
        else:
            return node
        return None

    def each(
        self, node: object, path: str, most: int, what: str, read: Callable[[object, str], _T | None]
    ) -> tuple[_T, ...] | None:
        """``node`` as a list of 1 to ``most`` different parts as ``read`` understands them."""
        parts = self.list_of(node, path, most, what)
        if parts is None:
            return None
        known = tuple(found for at, part in enumerate(parts) if (found := read(part, f"{path}[{at}]")) is not None)
        if len(set(known)) < len(known):
            self.add(path, f"The same is there twice among the {what}.", "Name each once.")
        return known

    def uuid(self, node: object, path: str, what: str) -> str | None:
        """``node`` as the canonical text of a UUID, the id of a ``what``."""
        try:
            found = str(UUID(node)) if isinstance(node, str) else None
        except ValueError:
            found = None
        if found is None or found != node:
            suggestion = None if found is None else f"Write it as “{found}”."
            self.add(path, f"This must be a {what}'s id (a UUID), not {shown(node)}.", suggestion)
            return None
        return found

    def key(self, node: object, path: str, what: str) -> str | None:
        """``node`` as a key: letters, digits, ``.``, ``_`` and ``-``, at most 64."""
        if isinstance(node, str) and _KEY.fullmatch(node):
            return node
        self.add(path, f"This must be the key of {what}, not {shown(node)}.")
        return None

    def whole(self, node: object, path: str, least: int, most: int) -> int | None:
        """``node`` as a whole number from ``least`` to ``most``."""
        if isinstance(node, int) and not isinstance(node, bool) and least <= node <= most:
            return node
        self.add(path, f"This must be a whole number from {least} to {most}, not {shown(node)}.")
        return None

    def ranged(self, node: object, path: str, least: float, most: float) -> float | None:
        """``node`` as a number from ``least`` to ``most``."""
        found = self.number(node, path)
        if found is not None and not least <= found <= most:
            self.add(path, f"This must be a number from {least:g} to {most:g}, not {found}.")
            return None
        return found

    def scalar(self, node: object, path: str) -> Scalar | None:
        """``node`` as a number, a yes/no or a text that a metric can be compared with."""
        if isinstance(node, str):
            return self.text(node, path, 256, blank=True)
        if isinstance(node, bool):
            return node
        return self.number(node, path)

    def number(self, node: object, path: str) -> int | float | None:
        """``node`` as a finite number that a double holds exactly."""
        if not is_number(node):
            self.add(path, f"This must be a number, not {shown(node)}.")
        elif isinstance(node, int) and abs(node) > MAX_EXACT:
            self.add(path, f"This whole number is too large to be compared exactly (at most {MAX_EXACT}).")
        elif not math.isfinite(node):
            self.add(path, "This must be a finite number.")
        else:
            return node
        return None


def part(found: Mapping[str, object], path: str, key: str, read: Callable[[object, str], _T]) -> _T | None:
    """The field ``key`` of ``found`` as ``read`` understands it; None if it is not there."""
    return read(found[key], f"{path}.{key}") if key in found else None


def is_number(node: object) -> TypeGuard[int | float]:
    """Whether ``node`` is a JSON number; True and False are not."""
    return isinstance(node, int | float) and not isinstance(node, bool)


def is_clean(text: str) -> bool:
    """Whether ``text`` can be stored and shown: no control characters (Postgres takes no NUL), no lone surrogates."""
    return _UNCLEAN.search(text) is None


def closest(word: str, words: Iterable[str]) -> str | None:
    """A "Did you mean …?" for the nearest of ``words``, None if nothing is near."""
    asked = _pairs(word[:100])
    near = max(words, key=lambda known: _likeness(asked, known), default=None)
    return f"Did you mean “{near}”?" if near is not None and _likeness(asked, near) >= 0.5 else None


def _likeness(asked: frozenset[str], known: str) -> float:
    """How many pairs of letters two words share, from 0 to 1 (Dice's coefficient): cheap, so that many can be asked."""
    pairs = _pairs(known[:100])
    return 2 * len(asked & pairs) / (len(asked) + len(pairs))


@lru_cache(maxsize=4_096)
def _pairs(word: str) -> frozenset[str]:
    padded = f" {word.lower()} "
    return frozenset(map("".join, pairwise(padded)))


def shown(node: object) -> str:
    """A short, safe way to name any JSON value in a message."""
    match node:
        case None:
            return "nothing (null)"
        case bool():
            return "true" if node else "false"
        case str():
            return f"“{clip(node)}”"
        case int() if abs(node) > MAX_EXACT:
            return "a very large number"
        case int() | float():
            return f"the number {node}"
        case list():
            return "a list"
        case dict():
            return "an object"
    return "something that is not JSON"


def clip(text: str, most: int = 40) -> str:
    """``text`` cut to ``most`` characters, with what cannot be shown replaced."""
    clean = "".join(char if is_clean(char) else "�" for char in text[:most])
    return clean + "…" if len(text) > most else clean
