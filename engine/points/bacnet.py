"""What a point table says of a BACnet network, as far as it can be told without its library."""

import ipaddress
from dataclasses import dataclass

from engine.points.document import Fields, Wrong
from engine.points.table import Access, Type

MAX_INSTANCE = 4_194_302
_LOWEST_PRIORITY = 16
_OWN_INSTANCE = 4_194_001
_OBJECT = "an object such as analog-input,3"


@dataclass(frozen=True, slots=True)
class Network:
    """The edge's own place in a building's network."""

    interface: str
    port: int
    instance: int
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Place:
    """A property of an object of a device, in the words in which it is written."""

    device: int
    host: str | None
    kind: str
    number: int
    property: str
    index: int | None
    priority: int


def parse_connection(fields: Fields, protocol: str) -> Network:
    """The fields of a connection with a BACnet/IP network. Raises Wrong."""
    hint = "the edge's own address in that network with its mask, such as 192.168.10.5/24"
    interface = fields.text("interface", hint=hint)
    try:
        own = ipaddress.IPv4Interface(interface)
    except ValueError:
        own = None
    if own is None or "/" not in interface or own.ip.is_unspecified:
        raise Wrong(fields.place_of("interface"), f"`interface` is {interface!r}; write {hint}.")
    port = fields.integer("port", 47_808, low=1, high=65_535)
    instance = fields.integer("instance", _OWN_INSTANCE, low=0, high=MAX_INSTANCE)
    return Network(interface, port, instance, fields.seconds("timeout", 3.0, low=0.1, high=30))


def parse_address(fields: Fields, type_: Type, access: Access) -> Place:
    """The fields of a point: `device` (and `host`, if it cannot be found by asking around), `object`, `property`.

    Raises Wrong.
    """
    device = fields.integer("device", low=0, high=MAX_INSTANCE)
    host = fields.text("host", "", hint="192.168.10.30 or 192.168.10.30:47809") or None
    if host is not None and not _is_host(host):
        raise Wrong(fields.place_of("host"), f"`host` is {host!r}; write 192.168.10.30 or 192.168.10.30:47809.")
    text = fields.text("object", pattern=r"[a-z-]+[,:] ?\d{1,7}", hint=_OBJECT)
    kind, number = text.replace(":", ",").split(",")
    if int(number) > MAX_INSTANCE:
        raise no_object(fields)
    property_ = fields.text("property", "present-value")
    index = fields.integer("index", low=0, high=100_000) if fields.has("index") else None
    priority = fields.integer("priority", _LOWEST_PRIORITY, low=1, high=16)
    if fields.has("priority") and access == "read":
        raise Wrong(fields.place_of("priority"), "`priority` is for writing; leave it out, or make the point writable.")
    return Place(device, host, kind, int(number), property_, index, priority)


def no_object(fields: Fields) -> Wrong:
    """What is said of an `object` that there is not."""
    return Wrong(fields.place_of("object"), f"`object` is {fields.text('object')!r}; write {_OBJECT}.")


def no_property(fields: Fields) -> Wrong:
    """What is said of a `property` that there is not."""
    text = fields.text("property")
    return Wrong(fields.place_of("property"), f"`property` is {text!r}; write one such as present-value.")


def _is_host(text: str) -> bool:
    name, _, port = text.partition(":")
    try:
        ipaddress.IPv4Address(name)
        return not port or 0 < int(port) < 65_536
    except ValueError:
        return False
