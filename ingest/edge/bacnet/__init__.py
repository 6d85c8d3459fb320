"""Building automation over BACnet/IP: watched by COV where the device has it, polled where it has not."""

from pathlib import Path

from ingest.edge.bacnet.driver import BacnetDriver
from ingest.edge.bacnet.settings import parse_address, parse_connection
from ingest.edge.driver import Driver
from ingest.edge.points import Connection

__all__ = ["driver", "parse_address", "parse_connection"]


def driver(connection: Connection, folder: Path) -> Driver:
    """A driver for the devices that are reached through one network interface."""
    return BacnetDriver(connection)
