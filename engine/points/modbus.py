"""What a point table says of Modbus machines: how to reach them, what they can take, and where a value lies."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from engine.points.document import Fields, Wrong
from engine.points.table import Access, Type

Table = Literal["coil", "discrete", "holding", "input"]
Order = Literal["big", "little"]

TABLES: tuple[Table, ...] = get_args(Table)
BITS: frozenset[Table] = frozenset({"coil", "discrete"})
WRITABLE: frozenset[Table] = frozenset({"coil", "holding"})
REGISTERS: Mapping[str, int] = {
    **dict.fromkeys(("int16", "uint16", "bool"), 1),
    **dict.fromkeys(("int32", "uint32", "float32"), 2),
    **dict.fromkeys(("int64", "uint64", "float64"), 4),
}
"""How many registers a type takes; a string says it by `length`."""
MOST_REGISTERS = 125
MOST_BITS = 2_000
"""What one read may ask for (Modbus application protocol 1.1b3, sections 6.1 to 6.4)."""


@dataclass(frozen=True, slots=True)
class Link:
    """Where the machines are. `host` and `port`, or `device` (a serial line) and its `baud_rate`, `parity` and so on.

    `max_read` and `max_gap` bound how many registers are read at once, and how many that nobody wants lie between two
    that are. `framing` is "rtu" for serial frames over TCP, as simple converters have them.
    """

    host: str = ""
    port: int = 0
    device: str = ""
    baud_rate: int = 0
    parity: str = "N"
    stop_bits: int = 1
    framing: str = "socket"
    timeout_s: float = 3.0
    max_read: int = MOST_REGISTERS
    max_gap: int = 10

    def __str__(self) -> str:
        return self.device or f"{self.host}:{self.port}"


def parse_connection(fields: Fields, protocol: str) -> Link:
    """A connection's own fields. Raises Wrong."""
    timeout_s = fields.seconds("timeout", 3.0, low=0.05, high=60)
    max_read = fields.integer("max_read", MOST_REGISTERS, low=1, high=MOST_REGISTERS)
    max_gap = fields.integer("max_gap", 10, low=0, high=MOST_REGISTERS)
    if protocol == "modbus-tcp":
        host = fields.text("host", hint="a name or an address, such as 192.168.10.20")
        if not host.strip():
            raise Wrong(fields.place_of("host"), "`host` is empty; write a name or an address.")
        port = fields.integer("port", 502, low=1, high=65_535)
        framing = fields.choice("framing", ("socket", "rtu"), "socket")
        return Link(host, port, framing=framing, timeout_s=timeout_s, max_read=max_read, max_gap=max_gap)
    return Link(
        device=fields.text("device", hint="a serial line, such as /dev/ttyUSB0"),
        baud_rate=fields.integer("baud_rate", 19_200, low=300, high=4_000_000),
        parity=fields.choice("parity", ("E", "O", "N"), "E"),  # even is what the standard asks for
        stop_bits=fields.integer("stop_bits", 1, low=1, high=2),
        framing="rtu",
        timeout_s=timeout_s,
        max_read=max_read,
        max_gap=max_gap,
    )


@dataclass(frozen=True, slots=True)
class Address:
    """`start` counts from 0, as on the wire (40101 in a manual is `holding: 100`); `count` is in registers or bits.

    `bit` picks one of a register, 0 is the lowest. "big" `words`: the first register is the most significant.
    """

    unit: int
    table: Table
    start: int
    count: int
    type: Type
    bit: int | None = None
    words: Order = "big"
    bytes: Order = "big"


def parse_address(fields: Fields, type_: Type, access: Access) -> Address:
    """A point's own fields. Raises Wrong."""
    given = [table for table in TABLES if fields.has(table)]
    if len(given) != 1:
        words = "Say where the value is by one of coil, discrete, holding and input, such as {holding: 100}."
        raise Wrong(fields.place, words)
    table = given[0]
    unit = fields.integer("unit", 1, low=0, high=255)
    start = fields.integer(table, low=0, high=65_535)
    if access == "command":
        raise Wrong(fields.place, "Modbus has nothing to call; write to a coil or a register: access: write.")
    if access != "read" and table not in WRITABLE:
        raise Wrong(fields.place, f"A {table} can only be read; write {'coil' if table in BITS else 'holding'}.")
    address = _bit(fields, unit, table, start, type_) if table in BITS else _register(fields, unit, table, start, type_)
    if start + address.count > 65_536:
        raise Wrong(fields.place_of(table), f"The value would end behind address 65535; it takes {address.count}.")
    return address


def _bit(fields: Fields, unit: int, table: Table, start: int, type_: Type) -> Address:
    if type_ not in ("auto", "bool"):
        raise Wrong(fields.place, f"A {table} is a bool, not {type_}; leave out `type`, or write bool.")
    return Address(unit, table, start, 1, "bool")


def _register(fields: Fields, unit: int, table: Table, start: int, type_: Type) -> Address:
    bit = fields.integer("bit", low=0, high=15) if fields.has("bit") else None
    if bit is not None:
        if type_ not in ("auto", "bool"):
            raise Wrong(fields.place_of("bit"), f"A bit is a bool, not {type_}; leave out `type`, or `bit`.")
        return Address(unit, table, start, 1, "bool", bit, bytes=fields.choice("bytes", ("big", "little"), "big"))
    if type_ == "auto":
        raise Wrong(
            fields.place, f"A register does not say what it is: write `type`, such as int16, in {table} {start}."
        )
    length = fields.integer("length", low=1, high=124) if type_ == "string" else REGISTERS[type_]
    words: Order = fields.choice("words", ("big", "little"), "big")
    return Address(unit, table, start, length, type_, None, words, fields.choice("bytes", ("big", "little"), "big"))
