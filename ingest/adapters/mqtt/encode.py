"""The bytes of one control packet; a value MQTT cannot carry raises `ValueError`."""

from __future__ import annotations

from functools import singledispatch

from ingest.adapters.mqtt import fields, properties
from ingest.adapters.mqtt.packets import (
    V5,
    Auth,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    Will,
)
from ingest.adapters.mqtt.properties import Kind, Properties


def encode(packet: Packet, level: int) -> bytes:
    """The packet as it goes over the wire at this protocol level (4 or 5; a CONNECT says its own)."""
    header, body = _body(packet, level)
    return bytes((header,)) + fields.varint(len(body)) + body


def _properties(found: Properties, level: int, kind: Kind) -> bytes:
    if level == V5:
        return properties.write(found, kind)
    if found:
        raise ValueError("MQTT 3.1.1 has no properties")
    return b""


def _u16(value: int) -> bytes:
    if not 0 <= value <= 0xFFFF:
        raise ValueError(f"{value} does not fit into two bytes")
    return value.to_bytes(2, "big")


def _packet_id(value: int | None) -> bytes:
    if not value:
        raise ValueError("a packet identifier is a number above 0")
    return _u16(value)


@singledispatch
def _body(packet: Packet, level: int) -> tuple[int, bytes]:
    raise TypeError(f"{packet!r} is no MQTT packet")


@_body.register
def _(packet: Connect, level: int) -> tuple[int, bytes]:
    will, level = packet.will, packet.level
    flags = packet.clean_start << 1 | (packet.username is not None) << 7 | (packet.password is not None) << 6
    if will is not None:
        flags |= 4 | will.qos << 3 | will.retain << 5
    body = fields.text("MQTT") + bytes((level, flags)) + _u16(packet.keep_alive_s)
    body += _properties(packet.properties, level, Kind.CONNECT) + fields.text(packet.client_id)
    body += _will(will, level) if will is not None else b""
    body += fields.text(packet.username) if packet.username is not None else b""
    body += fields.binary(packet.password) if packet.password is not None else b""
    return 0x10, body


def _will(will: Will, level: int) -> bytes:
    return _properties(will.properties, level, Kind.WILL) + fields.text(will.topic) + fields.binary(will.payload)


@_body.register
def _(packet: Connack, level: int) -> tuple[int, bytes]:
    found = _properties(packet.properties, level, Kind.CONNACK)
    return 0x20, bytes((packet.session_present, packet.code)) + found


@_body.register
def _(packet: Publish, level: int) -> tuple[int, bytes]:
    header = 0x30 | packet.dup << 3 | packet.qos << 1 | packet.retain
    packet_id = _packet_id(packet.packet_id) if packet.qos else b""
    found = _properties(packet.properties, level, Kind.PUBLISH)
    return header, b"".join((fields.text(packet.topic), packet_id, found, packet.payload))


def _code(code: int, found: Properties, level: int, kind: Kind) -> bytes:
    """5.0's reason code and properties, as short as they may be."""
    if level != V5 or not (code or found):
        return b""
    return bytes((code,)) + (properties.write(found, kind) if found else b"")


@_body.register
def _(packet: Puback, level: int) -> tuple[int, bytes]:
    return 0x40, _packet_id(packet.packet_id) + _code(packet.code, packet.properties, level, Kind.PUBACK)


@_body.register
def _(packet: Pubrec, level: int) -> tuple[int, bytes]:
    return 0x50, _packet_id(packet.packet_id) + _code(packet.code, packet.properties, level, Kind.PUBREC)


@_body.register
def _(packet: Pubrel, level: int) -> tuple[int, bytes]:
    return 0x62, _packet_id(packet.packet_id) + _code(packet.code, packet.properties, level, Kind.PUBREL)


@_body.register
def _(packet: Pubcomp, level: int) -> tuple[int, bytes]:
    return 0x70, _packet_id(packet.packet_id) + _code(packet.code, packet.properties, level, Kind.PUBCOMP)


@_body.register
def _(packet: Subscribe, level: int) -> tuple[int, bytes]:
    body = _packet_id(packet.packet_id) + _properties(packet.properties, level, Kind.SUBSCRIBE)
    return 0x82, body + b"".join(map(_subscription, packet.subscriptions))


def _subscription(wanted: Subscription) -> bytes:
    options = wanted.qos | wanted.no_local << 2 | wanted.retain_as_published << 3 | wanted.retain_handling << 4
    return fields.text(wanted.filter) + bytes((options,))


@_body.register
def _(packet: Suback, level: int) -> tuple[int, bytes]:
    found = _properties(packet.properties, level, Kind.SUBACK)
    return 0x90, _packet_id(packet.packet_id) + found + bytes(packet.codes)


@_body.register
def _(packet: Unsubscribe, level: int) -> tuple[int, bytes]:
    found = _properties(packet.properties, level, Kind.UNSUBSCRIBE)
    return 0xA2, _packet_id(packet.packet_id) + found + b"".join(map(fields.text, packet.filters))


@_body.register
def _(packet: Unsuback, level: int) -> tuple[int, bytes]:
    found = _properties(packet.properties, level, Kind.UNSUBACK)
    return 0xB0, _packet_id(packet.packet_id) + found + bytes(packet.codes)


@_body.register
def _(packet: Pingreq, level: int) -> tuple[int, bytes]:
    return 0xC0, b""


@_body.register
def _(packet: Pingresp, level: int) -> tuple[int, bytes]:
    return 0xD0, b""


@_body.register
def _(packet: Disconnect, level: int) -> tuple[int, bytes]:
    return 0xE0, _code(packet.code, packet.properties, level, Kind.DISCONNECT)


@_body.register
def _(packet: Auth, level: int) -> tuple[int, bytes]:
    return 0xF0, _code(packet.code, packet.properties, level, Kind.AUTH)
