"""Which devices there are in a BACnet network and what they have, as a proposed point table: never without end."""

import asyncio
import contextlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bacpypes3.basetypes import ErrorType, PropertyIdentifier
from bacpypes3.pdu import Address as Station
from bacpypes3.primitivedata import ObjectIdentifier

from ingest.edge.bacnet.settings import MAX_INSTANCE, PRESENT_VALUE
from ingest.edge.bacnet.stack import Stack
from ingest.edge.bacnet.units import unit_of
from ingest.edge.bacnet.values import access_of, raw_of, type_of
from ingest.edge.bacnet.words import TOO_LARGE, BacnetError, Refused, Silent
from ingest.edge.driver import Away, Cut, Failed, Proposal, Turn
from ingest.edge.points import Raw
from ingest.edge.usable import Unusable

_FOR_S = 45.0
_NUMBER, _MOST = 500, 2_000
_LATE = f"it took {_FOR_S:.0f} s already; ask for less at a time (`low` and `high`, or `hosts`)"
_DEVICES = 100
_HOSTS = 50
_AT_ONCE = 10
_NUMBERS = 20
"""Objects whose properties are read at once, and numbers of objects."""
_NAME = PropertyIdentifier("object-name")
_LIST = PropertyIdentifier("object-list")
_UNITS = PropertyIdentifier("units")
_DESCRIPTION = PropertyIdentifier("description")
_ASKED = (_NAME, _DESCRIPTION, _UNITS, PRESENT_VALUE)

_Found = dict[tuple[ObjectIdentifier, PropertyIdentifier], Any]


async def discover(stack: Stack, wanted: Mapping[str, Any], turn: Turn) -> Sequence[Proposal]:
    """Proposed points of the devices numbered `low` to `high`, or at `hosts`; at most `most`, and what time allows.

    Raises Failed when `wanted` is not understood, Cut when not all was looked at, Away, or Silent when nobody answers.
    """
    low, high, hosts, most = _wanted(wanted)
    ends_at = time.monotonic() + _FOR_S
    devices = sorted(dict(await _devices(stack, low, high, hosts)).items())
    if not devices:
        raise Silent("No device answered; check `interface`, or name their `hosts`.")
    proposals: list[Proposal] = []
    missed: list[str] = []
    for place, (device, (station, host)) in enumerate(devices):
        look = _Look(stack, turn, device, station, host, ends_at)
        try:
            if why := _over(place, len(proposals), most, ends_at):
                missed.append(f"device {device} and those after it: {why}")
                break
            proposals += await look.points(most - len(proposals))
        except BacnetError as error:  # it answered who it is, and not what it has
            look.missed = str(error)
        except Away as error:
            if not proposals:
                raise
            missed.append(f"device {device} and those after it: {error}")
            break
        if look.missed:
            missed.append(f"device {device}: {look.missed}")
    if missed:
        words = "; ".join(each.rstrip(".") for each in missed)
        raise Cut(f"Not all was looked at: {words}. What was found stands.", proposals)
    return proposals


def _over(place: int, found: int, most: int, ends_at: float) -> str:
    """Why no further device is looked at; '' while there is no reason."""
    if place >= _DEVICES:
        return f"{_DEVICES} devices are enough at a time; ask for others by `low` and `high`, or `hosts`"
    if found >= most:
        return f"{found} points are found already; ask for more of them (`most`, up to {_MOST})"
    return _LATE if time.monotonic() >= ends_at else ""


def _wanted(wanted: Mapping[str, Any]) -> tuple[int, int, Sequence[str], int]:
    unknown = set(wanted) - {"low", "high", "hosts", "most"}
    if unknown:
        raise Failed(f"Nothing is known by the name {sorted(unknown)[0]!r}; there are: high, hosts, low, most.")
    low, high = wanted.get("low", 0), wanted.get("high", MAX_INSTANCE)
    if type(low) is not int or type(high) is not int or not 0 <= low <= high <= MAX_INSTANCE:
        raise Failed(f"`low` and `high` are numbers of devices, from 0 to {MAX_INSTANCE}.")
    most = wanted.get("most", _NUMBER)
    if type(most) is not int or not 1 <= most <= _MOST:
        raise Failed(f"`most` is a whole number from 1 to {_MOST}.")
    hosts = wanted.get("hosts", [])
    if not isinstance(hosts, list) or len(hosts) > _HOSTS or not all(_is_host(host) for host in hosts):
        raise Failed(f"`hosts` is a list of at most {_HOSTS} addresses such as 192.168.10.30 or 192.168.10.30:47809.")
    return low, high, hosts, most


def _is_host(host: object) -> bool:
    return isinstance(host, str) and re.fullmatch(r"\d{1,3}(\.\d{1,3}){3}(:\d{1,5})?", host) is not None


async def _devices(
    stack: Stack, low: int, high: int, hosts: Sequence[str]
) -> Sequence[tuple[int, tuple[Station, str | None]]]:
    if not hosts:
        return [(number, (station, None)) for number, station in await stack.who_is(low, high)]
    try:
        stations = [(host, Station(host)) for host in hosts]
    except ValueError:
        raise Failed("`hosts` has an address that is none.") from None
    answers = await asyncio.gather(*(stack.who_is(low, high, station) for _, station in stations))
    return [
        (number, (station, host))
        for (host, station), answer in zip(stations, answers, strict=True)
        for number, _ in answer
    ]


class _Look:
    """At one device, until `ends_at`. `missed`: why not all of it was looked at, '' when it was."""

    def __init__(
        self, stack: Stack, turn: Turn, device: int, station: Station, host: str | None, ends_at: float
    ) -> None:
        self._stack, self._turn, self._station, self._ends_at = stack, turn, station, ends_at
        self._device, self._host = device, host
        self._itself = ObjectIdentifier(("device", device))
        self.missed = ""

    async def points(self, most: int) -> Sequence[Proposal]:
        """Proposed points, of as many objects as there was time for. Raises Refused or Silent, or Away."""
        listed = await self._objects(most)
        found = await self._read([(self._itself, (_NAME,))])
        objects = [each for each in listed if type_of(each[0]) is not None]
        if len(objects) > most:
            self.missed = f"it has {len(objects) - most} points more; ask for more of them (`most`, up to {_MOST})"
        read: list[ObjectIdentifier] = []
        try:
            for first in range(0, min(len(objects), most), _AT_ONCE):
                if time.monotonic() >= self._ends_at:
                    self.missed = _LATE
                    break
                batch = objects[first : min(first + _AT_ONCE, most)]
                found |= await self._read([(each, _ASKED) for each in batch])
                read += batch
        except (BacnetError, Away) as error:
            self.missed = str(error)
        name = _slug(_shown(found.get((self._itself, _NAME))) or f"device-{self._device}", "-", 40)
        place = {"device": self._device} | ({"host": self._host} if self._host is not None else {})
        taken: set[str] = set()
        return [_proposal(name, place, object_, found, taken) for object_ in read]

    async def _objects(self, most: int) -> Sequence[ObjectIdentifier]:
        try:
            return list(await self._one(self._itself, _LIST))
        except Refused:  # too long for one answer: number by number, in half of the time that is left
            length = int(await self._one(self._itself, _LIST, 0))
        until = (time.monotonic() + self._ends_at) / 2
        numbers = range(1, min(length, 2 * most, _MOST) + 1)
        if length > len(numbers):
            self.missed = f"only {len(numbers)} of its {length} objects were asked for"
        objects: list[ObjectIdentifier] = []
        for first in range(0, len(numbers), _NUMBERS):
            if time.monotonic() >= until:
                self.missed = _LATE
                break
            objects += await self._numbered(numbers[first : first + _NUMBERS])
        return objects

    async def _numbered(self, numbers: Sequence[int]) -> Sequence[ObjectIdentifier]:
        try:
            said = await self._many([(self._itself, [f"{_LIST}[{number}]" for number in numbers])])
            return [value for _, _, _, value in said if isinstance(value, ObjectIdentifier)]
        except Refused:
            return [await self._one(self._itself, _LIST, number) for number in numbers]

    async def _read(self, wanted: Sequence[tuple[ObjectIdentifier, Sequence[PropertyIdentifier]]]) -> _Found:
        try:
            return {(object_, property_): value for object_, property_, _, value in await self._many(wanted)}
        except Refused as error:
            if error.reason in TOO_LARGE and len(wanted) > 1:
                half = len(wanted) // 2
                return await self._read(wanted[:half]) | await self._read(wanted[half:])
        found: _Found = {}
        for object_, property_ in _each(wanted):
            with contextlib.suppress(Refused):  # not every object has a unit, or a description
                found[object_, property_] = await self._one(object_, property_)
        return found

    async def _one(self, object_: ObjectIdentifier, property_: PropertyIdentifier, index: int | None = None) -> Any:
        async with self._turn():
            return await self._stack.read(self._station, object_, property_, index)

    async def _many(
        self, wanted: Sequence[tuple[ObjectIdentifier, Sequence[Any]]]
    ) -> Sequence[tuple[ObjectIdentifier, PropertyIdentifier, int | None, Any]]:
        async with self._turn():
            return await self._stack.read_many(self._station, wanted)


def _proposal(
    device: str, place: Mapping[str, Any], object_: ObjectIdentifier, found: _Found, taken: set[str]
) -> Proposal:
    address = {**place, "object": f"{object_[0]},{object_[1]}"}
    own = _shown(found.get((object_, _NAME)))
    metric = _slug(own or f"{object_[0]}-{object_[1]}", "_", 60)
    if metric in taken:
        metric = f"{metric[:40]}_{object_[0]}_{object_[1]}"
    taken.add(metric)
    unit = found.get((object_, _UNITS))
    return Proposal(
        device,
        metric,
        address,
        type_of(object_[0]) or "auto",
        access_of(object_[0]),
        None if isinstance(unit, ErrorType) else unit_of(unit),
        _present(found.get((object_, PRESENT_VALUE))),
        " · ".join(words for words in (own, _shown(found.get((object_, _DESCRIPTION)))) if words),
    )


def _each(
    wanted: Sequence[tuple[ObjectIdentifier, Sequence[PropertyIdentifier]]],
) -> Iterator[tuple[ObjectIdentifier, PropertyIdentifier]]:
    for object_, properties in wanted:
        for property_ in properties:
            yield object_, property_


def _present(value: object) -> Raw | None:
    try:
        return None if isinstance(value, ErrorType) else raw_of(value)
    except Unusable:
        return None


def _shown(value: object) -> str:
    return "" if value is None or isinstance(value, ErrorType) else str(value)[:100].strip()


def _slug(text: str, gap: str, most: int) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", gap, text).strip(gap)[:most] or "device"
