"""What a point table says of an OPC-UA server and of its nodes, as far as it can be told without its library."""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from engine.points.document import Fields, Wrong
from engine.points.table import Access, Type

Policy = Literal["Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss", "none"]
POLICIES: tuple[Policy, ...] = ("Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss", "none")

NODE = "such as ns=2;s=Line1.Temperature or nsu=http://plant.example/;s=Line1.Temperature"
_NODE = re.compile(r"((ns=\d+|nsu=[^;]+);)?(i=\d+|[sgb]=.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Server:
    """One server, and how to come to it: always signed and encrypted, unless the table says `security: none`.

    Secrets are named by their files.
    """

    url: str
    host: str
    policy: Policy
    user: str | None
    password_file: str | None
    user_certificate: str | None
    user_key: str | None
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Place:
    """A node's address as it is written, and of a method perhaps that of its object."""

    node: str
    object: str | None


def parse_connection(fields: Fields, protocol: str) -> Server:
    """The fields of a connection with an OPC-UA server. Raises Wrong."""
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
    return Server(url, host.lower(), policy, user, password_file, certificate, key, timeout_s)


def parse_address(fields: Fields, type_: Type, access: Access) -> Place:
    """The fields of a point: `node`, and of a method perhaps the `object` it belongs to. Raises Wrong."""
    node = _node(fields, "node")
    if access != "command" and fields.has("object"):
        raise Wrong(fields.place_of("object"), "`object` belongs to methods (access: command); leave it out.")
    return Place(node, _node(fields, "object") if access == "command" and fields.has("object") else None)


def no_node(fields: Fields, name: str, text: str) -> Wrong:
    """What is said of a text that is no node's address."""
    return Wrong(fields.place_of(name), f"`{name}` is {text!r}; write {NODE}.")


def _node(fields: Fields, name: str) -> str:
    text = fields.text(name, hint=NODE)
    if not _NODE.fullmatch(text):
        raise no_node(fields, name, text)
    return text


def _file(fields: Fields, name: str) -> str | None:
    return fields.text(name, "", hint="a path, relative to the folder in which the edge keeps its own files") or None
