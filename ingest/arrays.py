"""Columns of a batch in Postgres' binary array format, built in bulk: a fraction of a microsecond a value.

psycopg would ask a dumper for every element; here a whole column is a few C calls. The layout is the one that
`array_recv` reads: one dimension, then each element as its length and its bytes.
"""

import struct
from collections.abc import Sequence

from psycopg import AsyncConnection
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

_HEADER = struct.Struct("!iiIii")
_LENGTH = struct.Struct("!i")
_PG_EPOCH_US = 946_684_800_000_000


class Column(bytes):
    """The bytes of one array; the subclass names its type."""


class Uuids(Column):
    """uuid[]"""


class Bigints(Column):
    """bigint[]"""


class Smallints(Column):
    """smallint[]"""


class Timestamps(Column):
    """timestamptz[]"""


class Texts(Column):
    """text[]"""


class Blobs(Column):
    """bytea[]"""


class Jsons(Column):
    """json[]"""


class Jsonbs(Column):
    """jsonb[]"""


class Json(Column):
    """One json document, no array; here because it travels the same way."""


# class → (its oid, the oid of its element), from the catalogue's pg_type.dat
_OIDS: dict[type[Column], tuple[int, int]] = {
    Uuids: (2951, 2950),
    Bigints: (1016, 20),
    Smallints: (1005, 21),
    Timestamps: (1185, 1184),
    Texts: (1009, 25),
    Blobs: (1001, 17),
    Jsons: (199, 114),
    Jsonbs: (3807, 3802),
    Json: (114, 0),
}


def wire(sixteen: bytes) -> bytes:
    """A UUID's bytes as an array element; made once per device and kept."""
    return _LENGTH.pack(16) + sixteen


def uuids(elements: Sequence[bytes]) -> Uuids:
    """uuid[] of elements made by `wire`."""
    return Uuids(_header(Uuids, len(elements)) + b"".join(elements))


def bigints(values: Sequence[int]) -> Bigints:
    """bigint[] of whole numbers of 64 bits."""
    return Bigints(_header(Bigints, len(values)) + _eights(values))


def small(value: int) -> bytes:
    """A smallint as an array element; there are few, made once each."""
    return _LENGTH.pack(2) + value.to_bytes(2, "big", signed=True)


def of_small(element: bytes) -> int:
    """The number that `small` made an element of."""
    return int.from_bytes(element[_LENGTH.size :], "big", signed=True)


def smallints(elements: Sequence[bytes]) -> Smallints:
    """smallint[] of elements made by `small`."""
    return Smallints(_header(Smallints, len(elements)) + b"".join(elements))


def timestamps(values_us: Sequence[int]) -> Timestamps:
    """timestamptz[] of microseconds since 1970."""
    return Timestamps(_header(Timestamps, len(values_us)) + _eights([at - _PG_EPOCH_US for at in values_us]))


def texts(values: Sequence[str]) -> Texts:
    """text[]; no value may hold U+0000."""
    return Texts(_header(Texts, len(values)) + _sized([value.encode() for value in values]))


def blobs(values: Sequence[bytes]) -> Blobs:
    """bytea[]"""
    return Blobs(_header(Blobs, len(values)) + _sized(values))


def jsons(values: Sequence[bytes]) -> Jsons:
    """json[] of documents in UTF-8."""
    return Jsons(_header(Jsons, len(values)) + _sized(values))


def jsonbs(values: Sequence[bytes]) -> Jsonbs:
    """jsonb[] of documents in UTF-8; jsonb's own wire format begins with a version byte."""
    return Jsonbs(_header(Jsonbs, len(values)) + _sized([b"\x01" + value for value in values]))


def jsonbs_or_null(values: Sequence[bytes]) -> Jsonbs:
    """jsonb[] of documents in UTF-8; an empty one is NULL."""
    header = bytearray(_header(Jsonbs, len(values)))
    header[7] = 1  # some element may be NULL
    return Jsonbs(
        bytes(header) + b"".join(_LENGTH.pack(len(v) + 1) + b"\x01" + v if v else _LENGTH.pack(-1) for v in values)
    )


def register(connection: AsyncConnection[object]) -> None:
    """Teach a connection to send these columns as they are."""
    for kind, (array_oid, _) in _OIDS.items():
        connection.adapters.register_dumper(kind, type(f"{kind.__name__}Dumper", (_AsIs,), {"oid": array_oid}))


def timestamp_element(at_us: int) -> bytes:
    """A timestamptz as the server returns it in binary, for comparing keys without decoding."""
    return (at_us - _PG_EPOCH_US).to_bytes(8, "big", signed=True)


class _AsIs(Dumper):
    format = Format.BINARY

    def dump(self, obj: Column) -> Buffer:
        return obj


def _header(kind: type[Column], count: int) -> bytes:
    return _HEADER.pack(1 if count else 0, 0, _OIDS[kind][1], count, 1)[: None if count else 12]


def _eights(values: Sequence[int]) -> bytes:
    """Each value as its length (8) and 8 bytes: packed at once, then spread by strided copies."""
    count = len(values)
    packed = struct.pack(f"!{count}q", *values)
    spread = bytearray(12 * count)
    spread[3::12] = b"\x08" * count
    for byte in range(8):
        spread[4 + byte :: 12] = packed[byte::8]
    return bytes(spread)


def _sized(values: Sequence[bytes]) -> bytes:
    pack = _LENGTH.pack
    return b"".join([part for value in values for part in (pack(len(value)), value)])
