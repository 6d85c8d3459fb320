"""What a point table says of a BACnet network, and of the properties of its devices' objects::

connections:
  building: {protocol: bacnet, interface: 192.168.10.5/24}
devices:
  ahu-1:
    connection: building
    address: {device: 1201}            # and `host`, where it cannot be found by asking around
    points:
      - {metric: supply_temperature, address: {object: "analog-input,3"}, unit: degC}
      - {metric: setpoint, address: {object: "analog-value,1", priority: 10}, access: read-write}
      - {metric: valve, address: {object: "analog-output,1"}, access: command}
"""

import ipaddress
from dataclasses import dataclass

from bacpypes3.basetypes import PropertyIdentifier
from bacpypes3.primitivedata import ObjectIdentifier

from ingest.edge.document import Fields, Wrong
from ingest.edge.points import Access, Type

MAX_INSTANCE = 4_194_302
PRESENT_VALUE = PropertyIdentifier("present-value")
_LOWEST_PRIORITY = 16
_OWN_INSTANCE = 4_194_001


@dataclass(frozen=True, slots=True, eq=False)
class Settings:
    """The edge's own place in a building's network."""

    interface: str
    """Its own address with the mask, 192.168.10.5/24: broadcasts go to that network."""
    port: int
    instance: int
    """Its own device number, since devices ask who asks them."""
    timeout_s: float
    renew_s: float = 60.0
    """How often a device is asked anew to tell of changes; each asking lasts five times as long."""

    @property
    def has_broadcast(self) -> bool:
        """Whether devices can be looked for in the interface's network."""
        return ipaddress.ip_interface(self.interface).network.num_addresses > 2


@dataclass(frozen=True, slots=True)
class Address:
    """A property of an object of a device."""

    device: int
    host: str | None
    object_id: ObjectIdentifier
    property_id: PropertyIdentifier
    index: int | None
    priority: int

    @property
    def is_present_value(self) -> bool:
        """Whether it is what COV tells of."""
        return bool(self.property_id == PRESENT_VALUE) and self.index is None


def parse_connection(fields: Fields, protocol: str) -> Settings:
    """The fields of a connection with a BACnet/IP network."""
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
    return Settings(interface, port, instance, fields.seconds("timeout", 3.0, low=0.1, high=30))


def parse_address(fields: Fields, type_: Type, access: Access) -> Address:
    """The fields of a point: `device` (and `host`, if it cannot be found by asking around), `object`, `property`."""
    device = fields.integer("device", low=0, high=MAX_INSTANCE)
    host = fields.text("host", "", hint="192.168.10.30 or 192.168.10.30:47809") or None
    if host is not None and not _is_host(host):
        raise Wrong(fields.place_of("host"), f"`host` is {host!r}; write 192.168.10.30 or 192.168.10.30:47809.")
    object_ = _object(fields)
    property_ = _property(fields)
    index = fields.integer("index", low=0, high=100_000) if fields.has("index") else None
    priority = fields.integer("priority", _LOWEST_PRIORITY, low=1, high=16)
    if fields.has("priority") and access == "read":
        raise Wrong(fields.place_of("priority"), "`priority` is for writing; leave it out, or make the point writable.")
    return Address(device, host, object_, property_, index, priority)


def _object(fields: Fields) -> ObjectIdentifier:
    hint = "an object such as analog-input,3"
    text = fields.text("object", pattern=r"[a-z-]+[,:] ?\d{1,7}", hint=hint)
    kind, number = text.replace(":", ",").split(",")
    try:
        if int(number) > MAX_INSTANCE:
            raise ValueError
        return ObjectIdentifier((kind, int(number)))
    except (ValueError, TypeError):
        raise Wrong(fields.place_of("object"), f"`object` is {text!r}; write {hint}.") from None


def _property(fields: Fields) -> PropertyIdentifier:
    text = fields.text("property", "present-value")
    try:
        return PropertyIdentifier(text)
    except (ValueError, TypeError):
        raise Wrong(fields.place_of("property"), f"`property` is {text!r}; write one such as present-value.") from None


def _is_host(text: str) -> bool:
    name, _, port = text.partition(":")
    try:
        ipaddress.IPv4Address(name)
        return not port or 0 < int(port) < 65_536
    except ValueError:
        return False
