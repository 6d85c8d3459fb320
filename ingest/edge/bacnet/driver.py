"""The driver of one BACnet/IP network: what the edge asks of every protocol, in this one's words.

Changes of value (COV) are subscribed to where a device has it. A subscription is renewed well before it ends, and the
device answers each renewal with the present value: so a device that was off is found out, and watched again.
"""

import asyncio
import contextlib
import time
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from bacpypes3.basetypes import ErrorType, PropertyIdentifier
from bacpypes3.constructeddata import Array
from bacpypes3.pdu import Address as Station
from bacpypes3.primitivedata import ObjectIdentifier, Unsigned

from ingest.edge.bacnet.discovery import discover
from ingest.edge.bacnet.settings import Address, Settings
from ingest.edge.bacnet.stack import Stack, Taken, Values
from ingest.edge.bacnet.values import TYPES, property_value, raw_of, sample
from ingest.edge.bacnet.words import NOT_KNOWN, TOO_LARGE, BacnetError, Refused, Silent, error_words
from ingest.edge.driver import Away, Failed, Lost, Proposal, Sample, Tell, Turn
from ingest.edge.points import Connection, Point, Raw
from ingest.edge.usable import Unusable

_FLAGS = PropertyIdentifier("status-flags")
_RELIABILITY = PropertyIdentifier("reliability")
_AT_ONCE = 20
"""Objects in one ReadPropertyMultiple: what fits an answer of 1,024 bytes."""
_LEAST_PAUSE_S, _MOST_PAUSE_S = 5.0, 60.0
_LIFETIMES = 5

_Wanted = tuple[ObjectIdentifier, PropertyIdentifier, int | None]


class BacnetDriver:
    """The devices behind one interface; see `ingest.edge.driver.Driver` for what each method promises."""

    def __init__(self, connection: Connection) -> None:
        assert isinstance(connection.settings, Settings)
        self._settings = connection.settings
        self._stack = Stack(connection.settings)
        self._stations: dict[tuple[int, str | None], Station] = {}
        self._silent: dict[int, tuple[float, float]] = {}
        self._reads_singly: set[int] = set()
        self._watched: dict[Point, tuple[Station, int]] = {}
        self._tell: Tell | None = None
        self._renewal: asyncio.Task[None] | None = None

    async def open(self, lost: Lost) -> None:
        try:
            await self._stack.open()
        except Taken as error:
            self._stack.close()
            raise Away(str(error).rstrip(".")) from error

    async def close(self) -> None:
        renewal, self._renewal, self._tell = self._renewal, None, None
        try:
            if renewal is not None:
                renewal.cancel()
                await asyncio.wait([renewal])
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.timeout_s):
                    await self._unsubscribe()
        finally:
            self._stack.close()
        await asyncio.sleep(0)  # the socket is closed at the loop's next turn

    async def watch(self, points: Sequence[Point], tell: Tell) -> Collection[Point]:
        self._tell = tell
        for point in points:
            address = _address(point)
            if not address.is_present_value or str(address.object_id[0]) not in TYPES:
                continue
            try:
                station = await self._station(address)
                process = await self._subscribe(point, station, None)
            except BacnetError:
                continue  # it is polled instead, and says then what is wrong
            self._watched[point] = station, process
        if self._watched:
            self._renewal = asyncio.create_task(self._renew())
        return list(self._watched)

    async def read(self, points: Sequence[Point]) -> Sequence[Sample]:
        samples: list[Sample] = []
        by_device: dict[tuple[int, str | None], list[Point]] = {}
        for point in points:
            address = _address(point)
            by_device.setdefault((address.device, address.host), []).append(point)
        for asked in by_device.values():
            try:
                station = await self._station(_address(asked[0]))
                found: list[Sample] = []
                for first in range(0, len(asked), _AT_ONCE):
                    found += await self._read(station, asked[first : first + _AT_ONCE])
                samples += found
            except BacnetError as error:
                self._note(_address(asked[0]), error)
                words = _words(_address(asked[0]), error)
                samples += [Sample(point, error=words, quality="bad") for point in asked]
        return samples

    async def write(self, point: Point, raw: Raw) -> None:
        address = _address(point)
        await self._write(point, raw, address.priority)

    async def call(self, point: Point, arguments: Mapping[str, Any]) -> Any:
        """Command a value at a priority, or give it back (`value: null`); what the object's value is then."""
        address = _address(point)
        unknown = set(arguments) - {"value", "priority"}
        if unknown or "value" not in arguments:
            raise Failed(f"{point.name} takes `value` (null gives back what was commanded) and `priority` (1 to 16).")
        priority = arguments.get("priority", address.priority)
        if type(priority) is not int or not 1 <= priority <= 16:
            raise Failed(f"{point.name}: `priority` is a whole number from 1 to 16.")
        await self._write(point, arguments["value"], priority)
        try:
            station = await self._station(address)
            present = await self._stack.read(station, address.object_id, address.property_id, address.index)
            return {"present": raw_of(present)}
        except (BacnetError, Unusable):
            return {"present": None}

    async def discover(self, wanted: Mapping[str, Any], turn: Turn) -> Sequence[Proposal]:
        try:
            return await discover(self._stack, wanted, turn)
        except BacnetError as error:
            raise Failed(str(error)) from error

    async def _write(self, point: Point, value: object, priority: int) -> None:
        address = _address(point)
        try:
            property_type = self._stack.property_type(address.object_id, address.property_id)
            if property_type is None:
                raise Refused("The standard knows no such property of this object; correct the point's address.")
            if issubclass(property_type, Array) and address.index is not None:
                property_type = getattr(property_type, "_subtype", Unsigned) if address.index else Unsigned
            said = property_value(value, property_type)
            station = await self._station(address)
            at = priority if address.is_present_value else None
            await self._stack.write(station, address.object_id, address.property_id, said, address.index, at)
        except BacnetError as error:
            self._note(address, error)
            raise Failed(f"{point.name}: {_words(address, error)}") from error

    async def _station(self, address: Address) -> Station:
        """Where a device is: as the table says, or as the device itself answers. Raises Silent."""
        until, _ = self._silent.get(address.device, (0.0, 0.0))
        if (left_s := until - time.monotonic()) > 0:
            raise Silent(f"It does not answer; it is asked again in {left_s:.0f} s.")
        known = self._stations.get((address.device, address.host))
        if known is None:
            if address.host is not None:
                known = Station(address.host)
            else:
                found = [s for number, s in await self._stack.who_is(address.device, address.device)]
                if not found:
                    error = Silent("Nobody in the network answers to this number; name its `host`, or check both.")
                    self._note(address, error)
                    raise error
                known = found[0]
            self._stations[address.device, address.host] = known
        return known

    async def _read(self, station: Station, points: Sequence[Point]) -> list[Sample]:
        device = _address(points[0]).device
        if device not in self._reads_singly:
            try:
                said = await self._read_together(station, points)
                self._silent.pop(device, None)
                return said
            except Refused as error:
                if error.reason in NOT_KNOWN:
                    self._reads_singly.add(device)
                elif len(points) > 1:  # too long an answer, or one that nobody can decode
                    half = len(points) // 2
                    return [*await self._read(station, points[:half]), *await self._read(station, points[half:])]
                elif error.reason not in TOO_LARGE and error.reason:
                    return [Sample(points[0], error=str(error), quality="bad")]
        return [await self._read_one(station, point) for point in points]

    async def _read_together(self, station: Station, points: Sequence[Point]) -> list[Sample]:
        wanted: list[tuple[ObjectIdentifier, Sequence[Any]]] = []
        for point in points:
            address = _address(point)
            property_ = str(address.property_id) if address.index is None else f"{address.property_id}[{address.index}]"
            beside = [_FLAGS, _RELIABILITY] if address.is_present_value else []
            wanted.append((address.object_id, [property_, *beside]))
        found: dict[_Wanted, Any] = {}
        for object_, property_, index, value in await self._stack.read_many(station, wanted):
            found[object_, property_, index] = value
        return [_sample(point, found) for point in points]

    async def _read_one(self, station: Station, point: Point) -> Sample:
        address = _address(point)
        found: dict[_Wanted, Any] = {}
        for property_, index in ((address.property_id, address.index), (_FLAGS, None), (_RELIABILITY, None)):
            if found and not address.is_present_value:
                break
            try:
                found[address.object_id, property_, index] = await self._stack.read(
                    station, address.object_id, property_, index
                )
            except Refused as error:
                if not found:
                    return Sample(point, error=str(error), quality="bad")
        self._silent.pop(address.device, None)
        return _sample(point, found)

    async def _subscribe(self, point: Point, station: Station, process: int | None) -> int:
        address = _address(point)
        lifetime_s = max(1, round(self._settings.renew_s * _LIFETIMES))
        try:
            number = await self._stack.subscribe(
                station, address.object_id, lifetime_s, partial(self._changed, point), process
            )
        except BacnetError as error:
            self._note(address, error)
            raise
        self._silent.pop(address.device, None)
        return number

    async def _unsubscribe(self) -> None:
        watched, self._watched = self._watched, {}
        for point, (station, process) in watched.items():
            address = _address(point)
            if address.device not in self._silent:
                try:
                    await self._stack.unsubscribe(station, address.object_id, process)
                except BacnetError as error:
                    self._note(address, error)  # it forgets us by itself when the subscription ends

    def _changed(self, point: Point, values: Values) -> None:
        if self._tell is not None and "present-value" in values:
            self._tell(sample(point, values["present-value"], values.get("status-flags"), values.get("reliability")))

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._settings.renew_s)
            for point, (before, process) in list(self._watched.items()):
                try:
                    station = await self._station(_address(point))
                    if station != before:  # it came again with another address
                        self._stack.forget(before, process)
                        self._watched[point] = station, process
                    await self._subscribe(point, station, process)
                except BacnetError as error:
                    if self._tell is not None:
                        self._tell(Sample(point, error=_words(_address(point), error), quality="bad"))

    def _note(self, address: Address, error: BacnetError) -> None:
        """A device that did not answer is left alone for a while, ever longer, so that the others are read in time."""
        until, pause_s = self._silent.get(address.device, (0.0, 0.0))
        if isinstance(error, Silent) and until <= time.monotonic():
            pause_s = min(_MOST_PAUSE_S, max(_LEAST_PAUSE_S, 2 * pause_s))
            self._silent[address.device] = time.monotonic() + pause_s, pause_s
            self._stations.pop((address.device, address.host), None)  # it may have another address when it comes again


def _sample(point: Point, found: Mapping[_Wanted, Any]) -> Sample:
    address = _address(point)
    value = found.get((address.object_id, address.property_id, address.index))
    if isinstance(value, ErrorType):
        return Sample(point, error=error_words(value.errorCode), quality="bad")
    if not address.is_present_value:
        return sample(point, value)
    flags, reliability = (found.get((address.object_id, beside, None)) for beside in (_FLAGS, _RELIABILITY))
    is_known = not isinstance(reliability, ErrorType)
    return sample(point, value, None if isinstance(flags, ErrorType) else flags, reliability if is_known else None)


def _words(address: Address, error: BacnetError) -> str:
    return f"Device {address.device}: {error}"


def _address(point: Point) -> Address:
    assert isinstance(point.address, Address)
    return point.address
