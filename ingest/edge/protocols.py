"""The protocols an edge speaks: each is a module that is imported when a point table names it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from pathlib import Path

    from ingest.edge.document import Fields
    from ingest.edge.driver import Driver
    from ingest.edge.points import Access, Connection, Type

MODULES: Mapping[str, str] = {
    "modbus-tcp": "ingest.edge.modbus",
    "modbus-rtu": "ingest.edge.modbus",
    "opcua": "ingest.edge.opcua",
    "bacnet": "ingest.edge.bacnet",
}
"""A protocol's name in a point table → its module, which has the three functions of `Module`."""


class Module(Protocol):
    """What a protocol's module offers at its top level."""

    def parse_connection(self, fields: Fields, protocol: str) -> object:
        """The protocol's own fields of a connection, as an object of its own. Raises document.Wrong.

        Take each field by `fields.text("host")`, `fields.integer("port", 502, low=1, high=65535)` and so on: they say
        where it stands and what to write. Unknown fields are found by the caller (`fields.done()`), and `protocol` is
        taken already. Secrets are never in the table: name a file (`password_file`), read it when the driver opens.
        """
        ...

    def parse_address(self, fields: Fields, type_: Type, access: Access) -> object:
        """The protocol's own fields of a point, as an object of its own; checked together with type and access.

        `fields` holds what the device says of all of its points, overridden by the point. Raise
        `Wrong(fields.place_of("register"), "…what is wrong; what to write instead.")` for what cannot be.
        """
        ...

    def driver(self, connection: Connection, folder: Path) -> Driver:
        """A driver for one connection, not yet open; it does no I/O.

        `folder` is the edge's own, the same for all drivers, for what must outlast a restart: OPC-UA keeps its
        certificate and the servers it trusts in `folder / "opcua"`.
        """
        ...


def get(name: str) -> Module:
    """The module of a protocol in `MODULES`."""
    return cast(Module, importlib.import_module(MODULES[name]))
