"""MQTT's control packets as plain values: what a decoder yields and an encoder takes."""

from __future__ import annotations

from dataclasses import dataclass

from ingest.adapters.mqtt.properties import NONE, Properties

V311 = 4
"""The protocol level of MQTT 3.1.1."""
V5 = 5
"""The protocol level of MQTT 5.0."""


@dataclass(slots=True)
class Will:
    """What the server shall publish when the client is gone without a DISCONNECT."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Properties = NONE


@dataclass(slots=True)
class Connect:
    """The client's first packet. `level` is 4 (3.1.1) or 5 (5.0)."""

    level: int
    client_id: str
    clean_start: bool = True
    keep_alive_s: int = 0
    username: str | None = None
    password: bytes | None = None
    will: Will | None = None
    properties: Properties = NONE


@dataclass(slots=True)
class Connack:
    """The server's answer: `code` is a 3.1.1 return code or a 5.0 reason."""

    session_present: bool
    code: int
    properties: Properties = NONE


@dataclass(slots=True)
class Publish:
    """A message; `packet_id` only with QoS above 0."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    dup: bool = False
    packet_id: int | None = None
    properties: Properties = NONE


@dataclass(slots=True)
class Puback:
    """The receipt of a QoS 1 message."""

    packet_id: int
    code: int = 0
    properties: Properties = NONE


@dataclass(slots=True)
class Pubrec:
    """QoS 2, second packet."""

    packet_id: int
    code: int = 0
    properties: Properties = NONE


@dataclass(slots=True)
class Pubrel:
    """QoS 2, third packet."""

    packet_id: int
    code: int = 0
    properties: Properties = NONE


@dataclass(slots=True)
class Pubcomp:
    """QoS 2, fourth packet."""

    packet_id: int
    code: int = 0
    properties: Properties = NONE


@dataclass(slots=True)
class Subscription:
    """One filter of a SUBSCRIBE with its options (all but `qos` are 5.0's)."""

    filter: str
    qos: int = 0
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0


@dataclass(slots=True)
class Subscribe:
    """The client asks for topics."""

    packet_id: int
    subscriptions: tuple[Subscription, ...]
    properties: Properties = NONE


@dataclass(slots=True)
class Suback:
    """One code for each filter: the granted QoS, or 0x80 and above."""

    packet_id: int
    codes: tuple[int, ...]
    properties: Properties = NONE


@dataclass(slots=True)
class Unsubscribe:
    """The client wants topics no more."""

    packet_id: int
    filters: tuple[str, ...]
    properties: Properties = NONE


@dataclass(slots=True)
class Unsuback:
    """One code for each filter in 5.0, none in 3.1.1."""

    packet_id: int
    codes: tuple[int, ...] = ()
    properties: Properties = NONE


@dataclass(slots=True)
class Pingreq:
    """The client is there."""


@dataclass(slots=True)
class Pingresp:
    """So is the server."""


@dataclass(slots=True)
class Disconnect:
    """The orderly end; in 3.1.1 only the client sends it."""

    code: int = 0
    properties: Properties = NONE


@dataclass(slots=True)
class Auth:
    """A step of 5.0's enhanced authentication, which we do not offer."""

    code: int = 0
    properties: Properties = NONE


Packet = (
    Connect
    | Connack
    | Publish
    | Puback
    | Pubrec
    | Pubrel
    | Pubcomp
    | Subscribe
    | Suback
    | Unsubscribe
    | Unsuback
    | Pingreq
    | Pingresp
    | Disconnect
    | Auth
)
