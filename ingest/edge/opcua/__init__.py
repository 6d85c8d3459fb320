"""Machines that speak OPC-UA: watched by subscriptions, over connections that are signed and encrypted."""

from pathlib import Path

from ingest.edge.driver import Driver
from ingest.edge.opcua.driver import OpcuaDriver
from ingest.edge.opcua.settings import parse_address, parse_connection
from ingest.edge.points import Connection

__all__ = ["driver", "parse_address", "parse_connection"]


def driver(connection: Connection, folder: Path) -> Driver:
    """A driver for one server."""
    return OpcuaDriver(connection, folder)
