"""Modbus TCP and RTU: machines that are tables of registers and coils, of which nothing says what they mean."""

from pathlib import Path

from engine.points.modbus import parse_address, parse_connection
from ingest.edge.driver import Driver
from ingest.edge.modbus.driver import ModbusDriver
from ingest.edge.points import Connection

__all__ = ["driver", "parse_address", "parse_connection"]


def driver(connection: Connection, folder: Path) -> Driver:
    """The driver of one line or one host."""
    return ModbusDriver(connection)
