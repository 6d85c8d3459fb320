"""One complete control packet from its bytes; whatever the bytes are, nothing but `ProtocolError` is raised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ingest.adapters.mqtt import properties
from ingest.adapters.mqtt.fields import Fields
from ingest.adapters.mqtt.packets import (
    V5,
    V311,
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
from ingest.adapters.mqtt.properties import NONE, Kind, Properties, Property
from ingest.adapters.mqtt.reasons import ProtocolError, Reason, broken, malformed

# Fixed header flags (table 2-2): all but PUBLISH have one allowed value.
_FLAGS: Final = {Kind.PUBREL: 2, Kind.SUBSCRIBE: 2, Kind.UNSUBSCRIBE: 2}


def decode(header: int, body: bytes, level: int) -> Packet:
    """The packet with this first byte and this body (what follows the remaining length).

    `level` (4 or 5) is the connection's protocol level; a CONNECT says its own.
    """
    kind_number = header >> 4
    if kind_number == Kind.PUBLISH:
        return _publish(header, Fields(body), level)
    reader = _READERS.get(kind_number)
    if reader is None:
        raise malformed("packet type 0 does not exist")
    if header & 0x0F != _FLAGS.get(Kind(kind_number), 0):
        raise malformed(f"the header flags of a {Kind(kind_number).name} are wrong")
    source = Fields(body)
    packet = reader(source, level)
    source.finish()
    return packet


def check_topic(topic: str, has_alias: bool = False) -> None:
    """Refuse an empty topic name (unless an alias stands for it) and one with wildcards."""
    if not topic and not has_alias:
        raise ProtocolError(Reason.TOPIC_NAME_INVALID, "a PUBLISH needs a topic")
    if "#" in topic or "+" in topic:
        raise ProtocolError(Reason.TOPIC_NAME_INVALID, "a topic to publish to must not hold + or #")


def _properties(source: Fields, level: int, kind: Kind) -> Properties:
    return properties.read(source, kind) if level == V5 else NONE


def _publish(header: int, source: Fields, level: int) -> Publish:
    qos, dup = header >> 1 & 3, bool(header & 8)
    if qos == 3:
        raise malformed("QoS 3 does not exist")
    if dup and qos == 0:
        raise malformed("a PUBLISH with QoS 0 must not be marked as repeated")
    topic = source.text()
    packet_id = source.packet_id() if qos else None
    found = _properties(source, level, Kind.PUBLISH)
    check_topic(topic, Property.TOPIC_ALIAS in found)
    return Publish(topic, source.rest(), qos, bool(header & 1), dup, packet_id, found)


def _connect(source: Fields, _: int) -> Connect:
    name, level = source.text(), source.u8()
    if name not in ("MQTT", "MQIsdp"):
        raise malformed("this is not MQTT")
    if name != "MQTT" or level not in (V311, V5):
        raise ProtocolError(Reason.UNSUPPORTED_PROTOCOL_VERSION, "MQTT 3.1.1 and 5.0 are spoken here")
    flags = source.u8()
    if flags & 1:
        raise malformed("the reserved flag of a CONNECT is set")
    keep_alive_s = source.u16()
    found = _properties(source, level, Kind.CONNECT)
    client_id = source.text()
    will = _will(source, flags, level)
    username = source.text() if flags & 0x80 else None
    password = source.binary() if flags & 0x40 else None
    if username is None and password is not None and level == V311:
        raise malformed("MQTT 3.1.1 allows no password without a username")
    return Connect(level, client_id, bool(flags & 2), keep_alive_s, username, password, will, found)


def _will(source: Fields, flags: int, level: int) -> Will | None:
    qos = flags >> 3 & 3
    if not flags & 4:
        if flags & 0x38:
            raise malformed("a CONNECT without a will has flags of one")
        return None
    if qos == 3:
        raise malformed("QoS 3 does not exist")
    found = _properties(source, level, Kind.WILL)
    topic = source.text()
    check_topic(topic)
    return Will(topic, source.binary(), qos, bool(flags & 0x20), found)


def _connack(source: Fields, level: int) -> Connack:
    flags = source.u8()
    if flags > 1:
        raise malformed("a reserved flag of a CONNACK is set")
    return Connack(bool(flags), source.u8(), _properties(source, level, Kind.CONNACK))


def _acknowledgement(make: Callable[[int, int, Properties], Packet], kind: Kind) -> Callable[[Fields, int], Packet]:
    def read(source: Fields, level: int) -> Packet:
        packet_id = source.packet_id()
        code, found = _code(source, level, kind)
        return make(packet_id, code, found)

    return read


def _code(source: Fields, level: int, kind: Kind) -> tuple[int, Properties]:
    """5.0's optional reason code with its optional properties."""
    if level != V5 or source.is_at_end:
        return 0, NONE
    code = source.u8()
    return code, NONE if source.is_at_end else properties.read(source, kind)


def _subscribe(source: Fields, level: int) -> Subscribe:
    packet_id = source.packet_id()
    found = _properties(source, level, Kind.SUBSCRIBE)
    wanted = []
    while not source.is_at_end:
        wanted.append(_subscription(source.text(), source.u8(), level))
    if not wanted:
        raise broken("a SUBSCRIBE needs a filter")
    return Subscribe(packet_id, tuple(wanted), found)


def _subscription(topic_filter: str, options: int, level: int) -> Subscription:
    qos, retain_handling = options & 3, options >> 4 & 3
    if not topic_filter:
        raise malformed("a topic filter must not be empty")
    if options & (0xC0 if level == V5 else 0xFC):
        raise malformed("reserved subscription options are set")
    if qos == 3 or retain_handling == 3:
        raise broken("QoS 3 and retain handling 3 do not exist")
    return Subscription(topic_filter, qos, bool(options & 4), bool(options & 8), retain_handling)


def _suback(source: Fields, level: int) -> Suback:
    packet_id = source.packet_id()
    found = _properties(source, level, Kind.SUBACK)
    codes = tuple(source.rest())
    if not codes:
        raise malformed("a SUBACK needs a code for each filter")
    return Suback(packet_id, codes, found)


def _unsubscribe(source: Fields, level: int) -> Unsubscribe:
    packet_id = source.packet_id()
    found = _properties(source, level, Kind.UNSUBSCRIBE)
    filters = []
    while not source.is_at_end:
        filters.append(source.text())
    if not filters or not all(filters):
        raise broken("an UNSUBSCRIBE needs a filter, and none may be empty")
    return Unsubscribe(packet_id, tuple(filters), found)


def _unsuback(source: Fields, level: int) -> Unsuback:
    packet_id = source.packet_id()
    if level != V5:
        return Unsuback(packet_id)
    found = properties.read(source, Kind.UNSUBACK)
    codes = tuple(source.rest())
    if not codes:
        raise malformed("an UNSUBACK needs a code for each filter")
    return Unsuback(packet_id, codes, found)


def _disconnect(source: Fields, level: int) -> Disconnect:
    return Disconnect(*_code(source, level, Kind.DISCONNECT))


def _auth(source: Fields, level: int) -> Auth:
    if level != V5:
        raise malformed("AUTH does not exist in MQTT 3.1.1")
    return Auth(*_code(source, level, Kind.AUTH))


_READERS: Final[dict[int, Callable[[Fields, int], Packet]]] = {
    Kind.CONNECT: _connect,
    Kind.CONNACK: _connack,
    Kind.PUBACK: _acknowledgement(Puback, Kind.PUBACK),
    Kind.PUBREC: _acknowledgement(Pubrec, Kind.PUBREC),
    Kind.PUBREL: _acknowledgement(Pubrel, Kind.PUBREL),
    Kind.PUBCOMP: _acknowledgement(Pubcomp, Kind.PUBCOMP),
    Kind.SUBSCRIBE: _subscribe,
    Kind.SUBACK: _suback,
    Kind.UNSUBSCRIBE: _unsubscribe,
    Kind.UNSUBACK: _unsuback,
    Kind.PINGREQ: lambda source, level: Pingreq(),
    Kind.PINGRESP: lambda source, level: Pingresp(),
    Kind.DISCONNECT: _disconnect,
    Kind.AUTH: _auth,
}
