"""What a point table says of an OPC-UA server and of its nodes::

connections:
  press:
    protocol: opcua
    url: opc.tcp://192.168.10.30:4840
    user: operator
    password_file: press-password      # beside the edge's own files
devices:
  press-1:
    connection: press
    points:
      - {metric: temperature, address: {node: "nsu=urn:maker:press;s=Oil.Temperature"}, unit: degC, deadband: 0.2}
      - {metric: setpoint, address: {node: "ns=2;i=1042"}, access: read-write}
      - {metric: start, address: {node: "ns=2;s=Press.Start", object: "ns=2;s=Press"}, access: command}
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from asyncua import ua
from asyncua.ua.uaerrors import UaError

from engine.points import opcua
from engine.points.opcua import Policy
from ingest.edge.document import Fields
from ingest.edge.points import Access, Type

if TYPE_CHECKING:
    from ingest.edge.opcua.session import Left


@dataclass(frozen=True, slots=True, eq=False)
class Settings:
    """One server, and how to come to it: always signed and encrypted, unless the table says `security: none`."""

    url: str
    host: str
    policy: Policy
    user: str | None
    password_file: Path | None
    user_certificate: Path | None
    user_key: Path | None
    timeout_s: float
    session_s: float = 600.0
    """How long the server keeps our session, and what it queues for us, while we cannot reach it."""
    channel_s: float = 3600.0
    """How long one set of keys of the connection serves; it is renewed at three quarters of that."""
    probe_s: float = 5.0
    """How often a silent server is asked whether it is there."""
    check_s: float = 60.0
    """How often it is looked whether the nodes that are watched are there at all."""
    memory: "Memory" = field(default_factory=lambda: Memory())


@dataclass(slots=True)
class Memory:
    """What one driver leaves for the next one of the same connection: the session that stands at the server."""

    left: "Left | None" = None


@dataclass(frozen=True, slots=True)
class Address:
    """A node: by the number of its namespace, or by its URI, which stays when the server numbers them anew."""

    node: ua.NodeId
    uri: str | None
    owner: "Address | None" = None
    """Of a method: the object it belongs to, if it is not the one that has it."""


def parse_connection(fields: Fields, protocol: str) -> Settings:
    """The fields of a connection with an OPC-UA server."""
    said = opcua.parse_connection(fields, protocol)
    password, certificate, key = (
        Path(name) if name else None for name in (said.password_file, said.user_certificate, said.user_key)
    )
    return Settings(said.url, said.host, said.policy, said.user, password, certificate, key, said.timeout_s)


def parse_address(fields: Fields, type_: Type, access: Access) -> Address:
    """The fields of a point: `node`, and of a method perhaps the `object` it belongs to."""
    place = opcua.parse_address(fields, type_, access)
    address = _address(fields, "node", place.node)
    if place.object is None:
        return address
    return Address(address.node, address.uri, _address(fields, "object", place.object))


def _address(fields: Fields, name: str, text: str) -> Address:
    try:
        return address_of(text)
    except (UaError, ValueError, TypeError) as error:
        raise opcua.no_node(fields, name, text) from error


def address_of(text: str) -> Address:
    """A node's address. Raises UaError, ValueError or TypeError."""
    uri = None
    if text.startswith("nsu="):
        uri, text = text[4:].split(";", 1)
    node = ua.NodeId.from_string(text)
    return Address(node, uri)


def text_of(node: ua.NodeId, uri: str | None) -> str:
    """A node's address as a point table has it: by its namespace's URI where that is known."""
    text = str(node.to_string())
    if uri is None or node.NamespaceIndex == 0:
        return text
    return f"nsu={uri};{text.split(';', 1)[1]}"
