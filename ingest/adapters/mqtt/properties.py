"""The properties of MQTT 5.0: which exist, of what type, in which packets, and their bytes."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from ingest.adapters.mqtt import fields
from ingest.adapters.mqtt.fields import Fields
from ingest.adapters.mqtt.reasons import broken, malformed

Properties = Mapping[int, Any]
"""Property → value; a property that may repeat holds a tuple of its values, user properties pairs of text."""


class _Nothing(Mapping[int, Any]):
    """No properties, shared by every packet without any (hashable, so that it may be a dataclass's default)."""

    __slots__ = ()

    def __getitem__(self, key: int) -> Any:
        raise KeyError(key)

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __hash__(self) -> int:
        return 0


NONE: Final[Properties] = _Nothing()


class Kind(enum.IntEnum):
    """The control packet types (section 2.1.2), and WILL for the properties inside a CONNECT's will."""

    WILL = 0
    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14
    AUTH = 15


class Property(enum.IntEnum):
    """Property identifiers (section 2.2.2.2)."""

    PAYLOAD_FORMAT_INDICATOR = 1
    MESSAGE_EXPIRY_INTERVAL = 2
    CONTENT_TYPE = 3
    RESPONSE_TOPIC = 8
    CORRELATION_DATA = 9
    SUBSCRIPTION_IDENTIFIER = 11
    SESSION_EXPIRY_INTERVAL = 17
    ASSIGNED_CLIENT_IDENTIFIER = 18
    SERVER_KEEP_ALIVE = 19
    AUTHENTICATION_METHOD = 21
    AUTHENTICATION_DATA = 22
    REQUEST_PROBLEM_INFORMATION = 23
    WILL_DELAY_INTERVAL = 24
    REQUEST_RESPONSE_INFORMATION = 25
    RESPONSE_INFORMATION = 26
    SERVER_REFERENCE = 28
    REASON_STRING = 31
    RECEIVE_MAXIMUM = 33
    TOPIC_ALIAS_MAXIMUM = 34
    TOPIC_ALIAS = 35
    MAXIMUM_QOS = 36
    RETAIN_AVAILABLE = 37
    USER_PROPERTY = 38
    MAXIMUM_PACKET_SIZE = 39
    WILDCARD_SUBSCRIPTION_AVAILABLE = 40
    SUBSCRIPTION_IDENTIFIERS_AVAILABLE = 41
    SHARED_SUBSCRIPTION_AVAILABLE = 42


def _read_flag(source: Fields) -> int:
    value = source.u8()
    if value > 1:
        raise broken("a property that is 0 or 1 has another value")
    return value


def _read_above_zero(read: Callable[[Fields], int]) -> Callable[[Fields], int]:
    def checked(source: Fields) -> int:
        value = read(source)
        if value == 0:
            raise broken("a property that must not be 0 is 0")
        return value

    return checked


def _read_pair(source: Fields) -> tuple[str, str]:
    return source.text(), source.text()


_Type = tuple[Callable[[Fields], Any], Callable[[Any], bytes]]
_FLAG: _Type = (_read_flag, lambda value: bytes((value,)))
_U16: _Type = (Fields.u16, lambda value: value.to_bytes(2, "big"))
_U32: _Type = (Fields.u32, lambda value: value.to_bytes(4, "big"))
_U16_ABOVE_ZERO: _Type = (_read_above_zero(Fields.u16), _U16[1])
_U32_ABOVE_ZERO: _Type = (_read_above_zero(Fields.u32), _U32[1])
_VARINT_ABOVE_ZERO: _Type = (_read_above_zero(Fields.varint), fields.varint)
_TEXT: _Type = (Fields.text, fields.text)
_BINARY: _Type = (Fields.binary, fields.binary)
_PAIR: _Type = (_read_pair, lambda pair: fields.text(pair[0]) + fields.text(pair[1]))

_ACKS = {Kind.PUBACK, Kind.PUBREC, Kind.PUBREL, Kind.PUBCOMP, Kind.SUBACK, Kind.UNSUBACK}
_P = Property
# Table 2-4 of MQTT 5.0.
TABLE: Final[Mapping[int, tuple[_Type, frozenset[Kind]]]] = {
    _P.PAYLOAD_FORMAT_INDICATOR: (_FLAG, frozenset({Kind.PUBLISH, Kind.WILL})),
    _P.MESSAGE_EXPIRY_INTERVAL: (_U32, frozenset({Kind.PUBLISH, Kind.WILL})),
    _P.CONTENT_TYPE: (_TEXT, frozenset({Kind.PUBLISH, Kind.WILL})),
    _P.RESPONSE_TOPIC: (_TEXT, frozenset({Kind.PUBLISH, Kind.WILL})),
    _P.CORRELATION_DATA: (_BINARY, frozenset({Kind.PUBLISH, Kind.WILL})),
    _P.SUBSCRIPTION_IDENTIFIER: (_VARINT_ABOVE_ZERO, frozenset({Kind.PUBLISH, Kind.SUBSCRIBE})),
    _P.SESSION_EXPIRY_INTERVAL: (_U32, frozenset({Kind.CONNECT, Kind.CONNACK, Kind.DISCONNECT})),
    _P.ASSIGNED_CLIENT_IDENTIFIER: (_TEXT, frozenset({Kind.CONNACK})),
    _P.SERVER_KEEP_ALIVE: (_U16, frozenset({Kind.CONNACK})),
    _P.AUTHENTICATION_METHOD: (_TEXT, frozenset({Kind.CONNECT, Kind.CONNACK, Kind.AUTH})),
    _P.AUTHENTICATION_DATA: (_BINARY, frozenset({Kind.CONNECT, Kind.CONNACK, Kind.AUTH})),
    _P.REQUEST_PROBLEM_INFORMATION: (_FLAG, frozenset({Kind.CONNECT})),
    _P.WILL_DELAY_INTERVAL: (_U32, frozenset({Kind.WILL})),
    _P.REQUEST_RESPONSE_INFORMATION: (_FLAG, frozenset({Kind.CONNECT})),
    _P.RESPONSE_INFORMATION: (_TEXT, frozenset({Kind.CONNACK})),
    _P.SERVER_REFERENCE: (_TEXT, frozenset({Kind.CONNACK, Kind.DISCONNECT})),
    _P.REASON_STRING: (_TEXT, frozenset({Kind.CONNACK, Kind.DISCONNECT, Kind.AUTH} | _ACKS)),
    _P.RECEIVE_MAXIMUM: (_U16_ABOVE_ZERO, frozenset({Kind.CONNECT, Kind.CONNACK})),
    _P.TOPIC_ALIAS_MAXIMUM: (_U16, frozenset({Kind.CONNECT, Kind.CONNACK})),
    _P.TOPIC_ALIAS: (_U16, frozenset({Kind.PUBLISH})),
    _P.MAXIMUM_QOS: (_FLAG, frozenset({Kind.CONNACK})),
    _P.RETAIN_AVAILABLE: (_FLAG, frozenset({Kind.CONNACK})),
    _P.USER_PROPERTY: (_PAIR, frozenset(Kind) - {Kind.PINGREQ, Kind.PINGRESP}),
    _P.MAXIMUM_PACKET_SIZE: (_U32_ABOVE_ZERO, frozenset({Kind.CONNECT, Kind.CONNACK})),
    _P.WILDCARD_SUBSCRIPTION_AVAILABLE: (_FLAG, frozenset({Kind.CONNACK})),
    _P.SUBSCRIPTION_IDENTIFIERS_AVAILABLE: (_FLAG, frozenset({Kind.CONNACK})),
    _P.SHARED_SUBSCRIPTION_AVAILABLE: (_FLAG, frozenset({Kind.CONNACK})),
}


def repeats(identifier: int, kind: Kind) -> bool:
    """A property that may appear more than once in this kind of packet."""
    return identifier == _P.USER_PROPERTY or (identifier == _P.SUBSCRIPTION_IDENTIFIER and kind is Kind.PUBLISH)


def read(source: Fields, kind: Kind) -> Properties:
    """The properties at the cursor, their length before them, as they are allowed in this kind of packet."""
    length = source.varint()
    if length == 0:
        return NONE
    block = source.part(length)
    found: dict[int, Any] = {}
    many: dict[int, list[Any]] = {}
    while not block.is_at_end:
        identifier = block.varint()
        entry = TABLE.get(identifier)
        if entry is None or kind not in entry[1]:
            raise malformed(f"property {identifier} does not belong into a {kind.name}")
        value = entry[0][0](block)
        if repeats(identifier, kind):
            many.setdefault(identifier, []).append(value)
        elif identifier in found:
            raise broken(f"property {Property(identifier).name} comes twice")
        else:
            found[identifier] = value
    found.update((identifier, tuple(values)) for identifier, values in many.items())
    return found


def write(properties: Properties, kind: Kind) -> bytes:
    """The bytes of these properties with their length before them; `ValueError` where one does not belong."""
    if not properties:
        return b"\0"
    block = bytearray()
    for identifier, value in properties.items():
        (_, encode), kinds = TABLE[identifier]
        if kind not in kinds:
            raise ValueError(f"property {identifier} does not belong into a {kind.name}")
        for each in value if repeats(identifier, kind) else (value,):
            block.append(identifier)  # every identifier is below 128: one byte
            block += encode(each)
    return fields.varint(len(block)) + bytes(block)


def explained(words: str) -> Properties:
    """A reason string."""
    return {Property.REASON_STRING: words}
