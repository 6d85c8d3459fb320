"""Which part of a tenant's journal one of its readers follows: that of its share of the devices (ADR 78).

Each reader reads every entry. What an entry says of a device is for the reader of that device, what it says of all of
them is for every reader, and what it says of none is for the first.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.journal.model import Entry
from engine.journal.sound import is_sound

MOST_READERS = 16
ELSEWHERE = "elsewhere"
"""The kind of an entry, as a reader has it, that is for another one."""
OF_ALL = frozenset({"rule.changed", "group.changed", "tenant.time_zone_set"})
"""Entries after which rules look again at all their devices, each reader at its own."""
# The last byte of an id, which is random in a UUIDv7; `Share.has` goes by the same.
_IS_MINE = "get_byte(uuid_send({device}), 15) % {of} = {number}"


@dataclass(frozen=True, slots=True)
class Share:
    """The devices of reader ``number`` (from 0) of so many; ``ends`` are how their ids end, as texts."""

    number: int
    of: int
    ends: frozenset[str]

    @property
    def is_all(self) -> bool:
        """Whether nobody else reads."""
        return self.of == 1

    def has(self, device_id: str) -> bool:
        """Whether the device with this id (a text, in small letters) is one of them."""
        return device_id[-2:] in self.ends

    def condition(self, device: str) -> str:
        """What SQL says so of the column ``device``; nothing where all are."""
        return "" if self.is_all else f" AND {_IS_MINE.format(device=device, of=self.of, number=self.number)}"

    def cut(self, entry: Entry) -> Entry:
        """What of the entry this reader follows."""
        if self.is_all or entry.kind in OF_ALL:
            return entry
        body = entry.body
        if entry.kind == "telemetry":
            cut = self._cut_readings(body)
            return Entry(entry.pos, entry.at, entry.kind if cut["r"] or cut["n"] else ELSEWHERE, cut)
        if entry.kind in _LISTS and is_sound(entry):
            (name, is_mine) = _LISTS[entry.kind]
            return Entry(entry.pos, entry.at, entry.kind, {name: [each for each in body[name] if is_mine(self, each)]})
        device = body.get("device") if isinstance(body, dict) else None
        is_mine_ = self.has(device.lower()) if isinstance(device, str) else self.number == 0
        return entry if is_mine_ else Entry(entry.pos, entry.at, ELSEWHERE, {})

    def _cut_readings(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Readings and counts of these devices; the quality of what is doubted goes by the reading's new place."""
        ends, readings = self.ends, body["r"]
        cut = {**body, "n": {device: counts for device, counts in body["n"].items() if device[-2:] in ends}}
        if "q" not in body:
            cut["r"] = [reading for reading in readings if reading[0][-2:] in ends]
            return cut
        places = [place for place, reading in enumerate(readings) if reading[0][-2:] in ends]
        marks = [body["q"].get(str(place)) for place in places]
        cut["r"] = [readings[place] for place in places]
        cut["q"] = {str(place): mark for place, mark in enumerate(marks) if mark is not None}
        return cut

    def _is_for(self, told: Mapping[str, Any]) -> bool:
        """Whether the rest of a rule's devices is for this reader: it left it, or fewer or more readers do it anew."""
        whose: Sequence[int] | None = told.get("share")
        return whose is None or whose[1] != self.of or whose[0] == self.number


_LISTS: Mapping[str, Any] = {
    "inbox.settled": ("moved", lambda share, moved: share.has(moved["device"].lower())),
    "rules.reached": ("rest", lambda share, told: share._is_for(told)),
}


@functools.cache
def share(number: int, of: int) -> Share:
    """The share of reader ``number`` of so many."""
    return Share(number, of, frozenset(f"{end:02x}" for end in range(256) if end % of == number))


ALL = share(0, 1)
