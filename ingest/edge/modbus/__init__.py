"""Modbus TCP and RTU: machines that are tables of registers and coils, of which nothing says what they mean."""

from pathlib import Path

from ingest.edge.document import Fields
from ingest.edge.driver import Driver
from ingest.edge.modbus import address, link
from ingest.edge.modbus.driver import ModbusDriver
from ingest.edge.points import Access, Connection, Type


def parse_connection(fields: Fields, protocol: str) -> object:
    """A `Link`: `host` and `port`, or the serial `device` with its settings, and what the machines can take."""
    return link.parse(fields, protocol)


def parse_address(fields: Fields, type_: Type, access: Access) -> object:
    """An `Address`: `{unit: 1, holding: 100}`, and for more than a register how its words lie."""
    return address.parse(fields, type_, access)


def driver(connection: Connection, folder: Path) -> Driver:
    """The driver of one line or one host."""
    return ModbusDriver(connection)
