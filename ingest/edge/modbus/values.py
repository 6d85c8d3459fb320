"""Registers to values and back: integers, floats, strings and bits, in any order of words and bytes."""

import math
import struct
from collections.abc import Mapping, Sequence

from ingest.edge.modbus.address import Address
from ingest.edge.points import Raw
from ingest.edge.single import shortest

_FORMATS: Mapping[str, str] = {
    "int16": ">h",
    "uint16": ">H",
    "int32": ">i",
    "uint32": ">I",
    "int64": ">q",
    "uint64": ">Q",
    "float32": ">f",
    "float64": ">d",
}


class Unreadable(Exception):
    """The registers hold no value of the point's type; the message says what they hold."""


def decode(address: Address, registers: Sequence[int]) -> Raw:
    """The value in the registers of an address. Raises Unreadable."""
    data = _bytes(address, registers)
    if address.bit is not None:
        return bool(int.from_bytes(data, "big") >> address.bit & 1)
    if address.type == "bool":
        return any(data)
    if address.type == "string":
        return _text(data)
    value: int | float = struct.unpack(_FORMATS[address.type], data)[0]
    if not math.isfinite(value):
        raise Unreadable(f"The registers hold {value}, with which machines mostly say that there is no value.")
    return shortest(value) if address.type == "float32" else value


def encode(address: Address, raw: Raw) -> list[int]:
    """The registers that hold a value. Raises ValueError when it does not fit."""
    if address.type == "bool":
        data = struct.pack(">H", int(bool(raw)))
    elif address.type == "string":
        data = str(raw).encode()
        if len(data) > 2 * address.count:
            raise ValueError(f"The text takes {len(data)} bytes; there is room for {2 * address.count}.")
        data = data.ljust(2 * address.count, b"\0")
    else:
        try:
            data = struct.pack(_FORMATS[address.type], raw)
        except (struct.error, OverflowError):
            raise ValueError(f"{raw!r} does not fit into {address.type}.") from None
    words = [data[n : n + 2] for n in range(0, len(data), 2)]
    if address.words == "little" and address.type != "string":
        words.reverse()
    return [int.from_bytes(word, address.bytes) for word in words]


def _bytes(address: Address, registers: Sequence[int]) -> bytes:
    words = [register.to_bytes(2, address.bytes) for register in registers]
    if address.words == "little" and address.type != "string":
        words.reverse()
    return b"".join(words)


def _text(data: bytes) -> str:
    text = data.split(b"\0", 1)[0].rstrip(b" ")
    try:
        found = text.decode()
    except UnicodeDecodeError:
        found = text.decode("latin-1")
    if not found.isprintable():
        raise Unreadable(f"The registers hold {text[:20]!r}, which is no text; look at `bytes` and `length`.")
    return found
