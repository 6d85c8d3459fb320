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

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from asyncua import ua
from asyncua.ua.uaerrors import UaError

from ingest.edge.document import Fields, Wrong
from ingest.edge.points import Access, Type

if TYPE_CHECKING:
    from ingest.edge.opcua.session import Left

Policy = Literal["Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss", "none"]
POLICIES: tuple[Policy, ...] = ("Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss", "none")

_NODE = "such as ns=2;s=Line1.Temperature or nsu=http://plant.example/;s=Line1.Temperature"


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
    url = fields.text("url", pattern=r"opc\.tcp://[^\s]+", hint="opc.tcp://host:4840")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host:
        raise Wrong(fields.place_of("url"), "`url` names no host and port; write opc.tcp://host:4840.")
    if parts.username is not None:
        raise Wrong(fields.place_of("url"), "`url` holds a user; write `user`, and name the `password_file`.")
    policy = fields.choice("security", POLICIES, "Basic256Sha256")
    user, password_file = fields.text("user", "") or None, _file(fields, "password_file")
    certificate, key = _file(fields, "user_certificate"), _file(fields, "user_key")
    if (user is None) != (password_file is None):
        raise Wrong(fields.place, "`user` and `password_file` belong together; write both or none.")
    if (certificate is None) != (key is None):
        raise Wrong(fields.place, "`user_certificate` and `user_key` belong together; write both or none.")
    if user and certificate:
        raise Wrong(fields.place_of("user"), "One login is enough: a user with a password, or a certificate.")
    if policy == "none" and (user or certificate):
        raise Wrong(
            fields.place_of("security"),
            "Without security a login could be read and used by others; take Basic256Sha256, or no login.",
        )
    timeout_s = fields.seconds("timeout", 10.0, low=1, high=120)
    return Settings(url, host.lower(), policy, user, password_file, certificate, key, timeout_s)


def parse_address(fields: Fields, type_: Type, access: Access) -> Address:
    """The fields of a point: `node`, and of a method perhaps the `object` it belongs to."""
    address = _node(fields, "node")
    if access != "command" and fields.has("object"):
        raise Wrong(fields.place_of("object"), "`object` belongs to methods (access: command); leave it out.")
    if access == "command" and fields.has("object"):
        return Address(address.node, address.uri, _node(fields, "object"))
    return address


def _node(fields: Fields, name: str) -> Address:
    text = fields.text(name, hint=_NODE)
    if not re.match(r"((ns=\d+|nsu=[^;]+);)?[isgb]=", text):
        raise Wrong(fields.place_of(name), f"`{name}` is {text!r}; write {_NODE}.")
    try:
        return address_of(text)
    except (UaError, ValueError, TypeError) as error:
        raise Wrong(fields.place_of(name), f"`{name}` is {text!r}; write {_NODE}.") from error


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


def _file(fields: Fields, name: str) -> Path | None:
    text = fields.text(name, "", hint="a path, relative to the folder in which the edge keeps its own files")
    return Path(text) if text else None
