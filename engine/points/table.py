"""The point table: which values of which machines are read, written and called, the same for every protocol.

One YAML document (or the same as JSON)::

    connections:
      cold-room-plc:
        protocol: modbus-tcp           # the rest are this protocol's own fields
        host: 192.168.10.20
    devices:
      freezer-1:                       # the device's key on the platform, a child of this gateway
        connection: cold-room-plc
        address: {unit: 1}             # what all addresses of the device share
        every: 5 s                     # what all points of the device share, unless they say otherwise
        points:
          - metric: temperature
            address: {holding: 100}    # this protocol's own fields
            type: int16
            scale: 0.1
            unit: degC
            deadband: 0.2
          - {metric: setpoint, address: {holding: 101}, type: int16, scale: 0.1, access: read-write}

A device's profile knows nothing of it: the address lives here, beside the machine. The value that goes up is
`raw * scale + offset`; a written one goes the other way.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from engine.devices.model import KEY
from engine.points.document import Fields, Node, Wrong

Type = Literal["auto", "bool", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "string"]
"""What a raw value is. "auto": as the machine itself says, for protocols in which values have a type."""

Access = Literal["read", "read-write", "write", "command"]
"""What may be done: "command" is a method or the like, which is called and has no value."""

Raw = bool | int | float | str

MAX_POINTS = 20_000
MAX_METRIC_KEY_CHARS = 64
PROTOCOLS = ("modbus-tcp", "modbus-rtu", "opcua", "bacnet")
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_WHOLE: Mapping[str, tuple[int, int]] = {
    **{f"int{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (16, 32, 64)},
    **{f"uint{bits}": (0, 2**bits - 1) for bits in (16, 32, 64)},
}
_NUMBERS = frozenset({*_WHOLE, "float32", "float64", "auto"})


class Unwritable(Exception):
    """A value cannot be written to a point; the message says why, to whoever asked for it."""


@dataclass(frozen=True, slots=True)
class Report:
    """When a value goes up: looked at every `every_s`, sent each time or only when it has changed.

    Changed means by more than `deadband` (in the metric's unit, 0 for any change) since what was last sent, or between
    value and error. `at_least_s`: sent by then though nothing changed, None for never.
    """

    every_s: float = 10.0
    on_change: bool = False
    deadband: float = 0.0
    at_least_s: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """One value of a machine. `address` is whatever the protocol's `parse_address` made of its fields."""

    device: str
    metric: str
    connection: str
    address: object
    type: Type
    unit: str | None
    scale: float
    offset: float
    access: Access
    report: Report
    place: str
    """Where it stands in the file, for messages."""

    @property
    def name(self) -> str:
        """What people call it: `freezer-1/temperature`."""
        return f"{self.device}/{self.metric}"

    @property
    def is_read(self) -> bool:
        """Whether its value goes up."""
        return self.access in ("read", "read-write")

    @property
    def is_written(self) -> bool:
        """Whether a value may be written to it."""
        return self.access in ("write", "read-write")

    def value_of(self, raw: Raw) -> Raw:
        """What goes up for what the machine said."""
        if isinstance(raw, bool | str) or (self.scale == 1.0 and self.offset == 0.0):
            return raw
        value = raw * self.scale + self.offset
        # 215 * 0.1 is 21.5 and not 21.500000000000004; fifteen digits are what a double surely holds
        return float(f"{value:.15g}")

    def raw_of(self, value: object) -> Raw:
        """What the machine gets for a value in the metric's unit. Raises Unwritable."""
        if self.type == "bool" or (self.type == "auto" and isinstance(value, bool)):
            if not isinstance(value, bool):
                raise Unwritable(f"{self.name} takes true or false, not {value!r}.")
            return value
        if self.type == "string" or (self.type == "auto" and isinstance(value, str)):
            if not isinstance(value, str):
                raise Unwritable(f"{self.name} takes a text, not {value!r}.")
            return value
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise Unwritable(f"{self.name} takes a number, not {value!r}.")
        return self._raw_number(value)

    def _raw_number(self, value: float) -> Raw:
        raw = value if self.scale == 1.0 and self.offset == 0.0 else (value - self.offset) / self.scale
        if not math.isfinite(raw):
            raise Unwritable(f"{self.name}: {value!r} by its scale is too large for a number.")
        limits = _WHOLE.get(self.type)
        if limits is None:
            return raw
        whole = round(raw)
        if abs(raw - whole) > 1e-6 and self.scale == 1.0:
            raise Unwritable(f"{self.name} takes whole numbers, not {value!r}.")
        if not limits[0] <= whole <= limits[1]:
            low, high = sorted(self.value_of(limit) for limit in limits)
            raise Unwritable(f"{self.name} takes {low} to {high} ({self.type}), not {value!r}.")
        return whole


@dataclass(frozen=True, slots=True, eq=False)
class Connection:
    """One way to machines: a protocol, and whatever its `parse_connection` made of its fields."""

    name: str
    protocol: str
    settings: object


@dataclass(frozen=True, slots=True)
class PointTable:
    """All that an edge reads and writes."""

    connections: Mapping[str, Connection]
    points: Sequence[Point]

    def of(self, connection: str) -> list[Point]:
        """The points behind one connection, in the file's order."""
        return [point for point in self.points if point.connection == connection]

    def find(self, device: str, metric: str) -> Point | None:
        """A device's point of a metric."""
        return next((p for p in self.points if p.device == device and p.metric == metric), None)

    @property
    def devices(self) -> Sequence[str]:
        """The keys of the devices, in the file's order."""
        return list(dict.fromkeys(point.device for point in self.points))


class TableWrong(Exception):
    """A point table cannot be used: `problems` is everything that is wrong with it, each with its place and remedy."""

    def __init__(self, problems: Sequence[Wrong]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class Grammar(Protocol):
    """What a protocol's own fields may say; each function raises Wrong and takes every field that it knows."""

    def parse_connection(self, fields: Fields, protocol: str) -> object:
        """The fields of a connection, but for `protocol`."""
        ...

    def parse_address(self, fields: Fields, type_: Type, access: Access) -> object:
        """The fields of a point's address."""
        ...


Grammars = Callable[[str], Grammar]
"""The grammar of one of `PROTOCOLS`."""


def parse(root: Node, grammars: Grammars, *, beside: Sequence[str] = ()) -> PointTable:
    """The table in a document's root; members that are neither the table's nor `beside` it are an error.

    Raises TableWrong.
    """
    problems: list[Wrong] = []
    try:
        fields = root.fields()
        for name in beside:
            fields.node(name)
        connections = dict(_connections(fields, grammars, problems))
        points = [
            point
            for device, node in _devices(fields, problems)
            for point in _points(device, node, connections, grammars, problems)
        ]
        fields.done()
    except Wrong as wrong:
        raise TableWrong([*problems, wrong]) from None
    _check_names(points, problems)
    if len(points) > MAX_POINTS:
        problems.append(Wrong(root.place, f"There are {len(points)} points; {MAX_POINTS} are the most for one edge."))
    if problems:
        raise TableWrong(problems)
    return PointTable(connections, points)


def one(device: str, connection: Connection, item: Node, grammars: Grammars) -> Point:
    """A single point, as it would stand in the list of its device's. Raises Wrong."""
    return _point(device, connection, grammars, None, Report(), item)


def _connections(fields: Fields, grammars: Grammars, problems: list[Wrong]) -> Iterator[tuple[str, Connection]]:
    for name, node in fields.members("connections"):
        try:
            if not _WORD.fullmatch(name):
                raise Wrong(node.place, f"A connection's name has letters, digits and _ . - only, not `{name}`.")
            own = node.fields()
            protocol = own.choice("protocol", PROTOCOLS)
            settings = grammars(protocol).parse_connection(own, protocol)
            own.done()
            yield name, Connection(name, protocol, settings)
        except Wrong as wrong:
            problems.append(wrong)


def _devices(fields: Fields, problems: list[Wrong]) -> Iterator[tuple[str, Node]]:
    for key, node in fields.members("devices"):
        if KEY.fullmatch(key):
            yield key, node
        else:
            problems.append(Wrong(node.place, f"`{key}` is no device's key: 1 to 40 letters, digits, _ and - are."))


def _points(
    device: str, node: Node, connections: Mapping[str, Connection], grammars: Grammars, problems: list[Wrong]
) -> Iterator[Point]:
    try:
        fields = node.fields()
        connection = connections.get(name := fields.text("connection", hint="the name of a connection"))
        if connection is None:
            if fields.has("connection") and not problems:  # else it is most likely one that could not be read
                known = ", ".join(connections) or "none"
                raise Wrong(fields.place_of("connection"), f"There is no connection `{name}`; there are: {known}.")
            return
        shared_address = fields.node("address")
        report = _report(fields, Report())
        items = list(fields.items("points"))
        fields.done()
    except Wrong as wrong:
        problems.append(wrong)
        return
    for item in items:
        try:
            yield _point(device, connection, grammars, shared_address, report, item)
        except Wrong as wrong:
            problems.append(wrong)


def _point(
    device: str, connection: Connection, grammars: Grammars, shared: Node | None, report: Report, item: Node
) -> Point:
    fields = item.fields()
    metric = fields.text("metric", hint="the name under which it goes up")
    if not 0 < len(metric) <= MAX_METRIC_KEY_CHARS or not metric.isprintable():
        raise Wrong(fields.place_of("metric"), f"A metric has 1 to {MAX_METRIC_KEY_CHARS} printable characters.")
    grammar = grammars(connection.protocol)
    type_ = fields.choice("type", get_args(Type), "auto")
    access: Access = fields.choice("access", get_args(Access), "read")
    address_fields = _address(fields, shared)
    address = grammar.parse_address(address_fields, type_, access)
    address_fields.done()
    scale, offset = fields.number("scale", 1.0), fields.number("offset", 0.0)
    if scale == 0:
        raise Wrong(fields.place_of("scale"), "A scale of 0 would make every value the same; leave it out for 1.")
    if (scale, offset) != (1.0, 0.0) and type_ not in _NUMBERS:
        raise Wrong(item.place, f"A {type_} is no number; leave out `scale` and `offset`.")
    unit = fields.text("unit", "") or None
    own = _report(fields, report)
    fields.done()
    return Point(device, metric, connection.name, address, type_, unit, scale, offset, access, own, item.place)


def _address(fields: Fields, shared: Node | None) -> Fields:
    """The point's address, completed by what its device says of all of them."""
    if not fields.has("address") and shared is None:
        raise Wrong(fields.place, "`address` is missing; say where the value is, in this protocol's fields.")
    own = fields.node("address") or Node({}, fields.place)
    return own.fields() if shared is None else own.fields().over(shared.fields())


def _report(fields: Fields, default: Report) -> Report:
    every_s = fields.seconds("every", default.every_s, low=0.05, high=86_400)
    deadband = fields.number("deadband", default.deadband)
    if deadband < 0:
        raise Wrong(fields.place_of("deadband"), "A deadband is 0 or more, in the metric's unit.")
    on_change = fields.flag("on_change", default.on_change or deadband > 0)
    at_least_s = fields.seconds("at_least_every", default.at_least_s or 0.0, low=0, high=7 * 86_400)
    return Report(every_s, on_change, deadband, at_least_s or None)


def _check_names(points: Sequence[Point], problems: list[Wrong]) -> None:
    seen: dict[str, Point] = {}
    for point in points:
        if (first := seen.setdefault(point.name, point)) is not point:
            problems.append(
                Wrong(point.place, f"{point.name} is at {first.place} already; give one of them another metric.")
            )
