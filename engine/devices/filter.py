"""Which devices a dynamic group holds: a small typed document, checked here and evaluated by the database.

``{"labels": {"site": ["7", "8"]}, "profile": "cold-room", "status": "active", "keyPrefix": "pump-"}``: what is named
must all hold; of several values of one thing, any.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from engine.devices.errors import FilterMalformed
from engine.devices.model import KEY, DeviceStatus

WORDS = ("labels", "profile", "status", "keyPrefix")
MAX_LABELS = 10
MAX_VALUES = 20
_STATUSES = tuple(str(status) for status in DeviceStatus if status is not DeviceStatus.DECOMMISSIONED)


@dataclass(frozen=True, slots=True)
class Filter:
    """A checked filter; an empty part asks for nothing."""

    labels: tuple[tuple[str, tuple[str, ...]], ...] = ()
    profiles: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    key_prefixes: tuple[str, ...] = ()

    def document(self) -> dict[str, object]:
        """The filter as it is kept and shown: every value in a list."""
        parts: dict[str, object] = {
            "labels": {name: list(values) for name, values in self.labels},
            "profile": list(self.profiles),
            "status": list(self.statuses),
            "keyPrefix": list(self.key_prefixes),
        }
        return {word: part for word, part in parts.items() if part}

    def fits(self, key: str, profile: str, status: str, labels: Mapping[str, str]) -> bool:
        """Whether it finds a device of this key, profile (its key), status and labels, as the database would."""
        return (
            all(labels.get(name) in values for name, values in self.labels)
            and (not self.profiles or profile in self.profiles)
            and (not self.statuses or status in self.statuses)
            and (not self.key_prefixes or key.startswith(self.key_prefixes))
        )


@dataclass(frozen=True, slots=True)
class Group:
    """Devices that belong together: static (its members) without a ``filter``, dynamic (what it finds) with one."""

    id: UUID
    key: str
    name: str
    filter: Filter | None
    version: int
    created_at: datetime
    updated_at: datetime


_NAME = re.compile(r"(?:\\[\\=]|[^=])*", re.DOTALL)
"""Of a label as it is asked for; what follows begins with ``=`` or is nothing."""


def parse(document: object) -> Filter:
    """The filter a document describes; raises FilterMalformed, whose message says what is wrong where."""
    if not isinstance(document, Mapping):
        raise FilterMalformed(f"A filter is an object with some of {', '.join(WORDS)}.")
    for word in document:
        if word not in WORDS:
            raise FilterMalformed(f"A filter knows {', '.join(WORDS)}; {str(word)[:40]!r} is none of them.")
    found = Filter(
        _labels(document.get("labels", {})),
        _values("profile", document.get("profile", []), _is_key),
        _values("status", document.get("status", []), _STATUSES.__contains__),
        _values("keyPrefix", document.get("keyPrefix", []), _is_key),
    )
    if found == Filter():
        raise FilterMalformed("A filter that asks for nothing would hold every device; name something.")
    return found


def labels_asked(texts: Sequence[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Labels as a list of devices is asked for them: ``site=7`` for a value, ``site`` for any; no values mean any.

    The first ``=`` ends the name; one that belongs to it is written ``\\=``, and a backslash may be doubled there.
    As in a group's filter all that is named must hold, and of several values of one label any. Raises FilterMalformed.
    """
    wanted: dict[str, list[str]] = {}
    anything = set()
    for text in texts:
        written = _NAME.match(text)
        assert written is not None  # some beginning, if none, is a name
        _, sign, value = text[written.end() :].partition("=")
        name = re.sub(r"\\([\\=])", r"\1", written[0])
        wanted.setdefault(name, []).append(value)
        if not sign:
            anything.add(name)
    checked = _labels(wanted)
    return tuple((name, () if name in anything else values) for name, values in checked)


def _labels(part: object) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(part, Mapping) or len(part) > MAX_LABELS:
        raise FilterMalformed(
            f"labels is an object of at most {MAX_LABELS} labels, each with a text or a list of texts."
        )
    if not all(isinstance(name, str) and _is_short(name, 40) and name for name in part):
        raise FilterMalformed("A label has a name of 1 to 40 characters.")
    wanted = tuple(
        (name, _values(f"labels.{name}", part[name], lambda text: _is_short(text, 120))) for name in sorted(part)
    )
    for name, values in wanted:
        if not values:
            raise FilterMalformed(f"labels.{name} names no value.")
    return wanted


def _values(where: str, part: object, is_good: Callable[[str], bool]) -> tuple[str, ...]:
    """One text or a list of texts as a sorted tuple."""
    values = [part] if isinstance(part, str) else part
    if not isinstance(values, list) or len(values) > MAX_VALUES or not all(isinstance(each, str) for each in values):
        raise FilterMalformed(f"{where} is a text or a list of at most {MAX_VALUES} texts.")
    for each in values:
        if not is_good(each):
            raise FilterMalformed(f"{where} cannot be {each[:40]!r}{_allowed(where)}.")
    return tuple(sorted(set(values)))


def _allowed(where: str) -> str:
    return f"; it is one of {', '.join(_STATUSES)}" if where == "status" else ""


def _is_key(text: str) -> bool:
    return KEY.fullmatch(text) is not None


def _is_short(text: str, longest: int) -> bool:
    return len(text) <= longest and "\0" not in text
