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

from engine.points import bacnet
from engine.points.bacnet import MAX_INSTANCE
from ingest.edge.document import Fields
from ingest.edge.points import Access, Type

__all__ = ["MAX_INSTANCE", "PRESENT_VALUE", "Address", "Settings", "parse_address", "parse_connection"]

PRESENT_VALUE = PropertyIdentifier("present-value")


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
    said = bacnet.parse_connection(fields, protocol)
    return Settings(said.interface, said.port, said.instance, said.timeout_s)


def parse_address(fields: Fields, type_: Type, access: Access) -> Address:
    """The fields of a point: `device` (and `host`, if it cannot be found by asking around), `object`, `property`."""
    said = bacnet.parse_address(fields, type_, access)
    try:
        object_ = ObjectIdentifier((said.kind, said.number))
    except (ValueError, TypeError):
        raise bacnet.no_object(fields) from None
    try:
        property_ = PropertyIdentifier(said.property)
    except (ValueError, TypeError):
        raise bacnet.no_property(fields) from None
    return Address(said.device, said.host, object_, property_, said.index, said.priority)
