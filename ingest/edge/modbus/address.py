"""Where a value lies in a Modbus machine: unit, table, first register or bit, and the order of its words and bytes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from ingest.edge.document import Fields, Wrong
from ingest.edge.points import Access, Type

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


def parse(fields: Fields, type_: Type, access: Access) -> Address:
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
