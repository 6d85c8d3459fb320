"""A plant with an OPC-UA server: some machines, users, and what a test does to them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asyncua import Server, ua, uamethod
from asyncua.crypto import cert_gen
from asyncua.crypto.permission_rules import User, UserRole
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

URI = "urn:plant:machines"
APPLICATION = "urn:plant:server"
SECURE = [ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt]
OPEN = [ua.SecurityPolicyType.NoSecurity]
DEGREES = ua.EUInformation(
    NamespaceUri="http://www.opcfoundation.org/UA/units/un/cefact",
    UnitId=4408652,
    DisplayName=ua.LocalizedText("°C"),
)


class Users:
    """Knows `operator` with the password `secret`, and whoever comes without a name if `is_open`."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.is_open = is_open

    def get_user(
        self, iserver: Any, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> User | None:
        if username is None:
            return User(role=UserRole.User) if self.is_open else None
        return User(role=UserRole.User, name=username) if (username, password) == ("operator", "secret") else None


class Bearers:
    """Knows who shows this certificate."""

    def __init__(self, der: bytes) -> None:
        self._der = der

    def get_user(
        self, iserver: Any, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> User | None:
        return User(role=UserRole.User) if certificate == self._der else None


class Identity:
    """A server's certificate and key; made once, since making keys takes long."""

    def __init__(self, key: RSAPrivateKey, certificate: x509.Certificate) -> None:
        self.key, self.certificate = key, certificate

    @classmethod
    def make(cls) -> "Identity":
        key = cert_gen.generate_private_key()
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(APPLICATION), x509.DNSName("localhost")]
        return cls(
            key,
            cert_gen.generate_self_signed_app_certificate(
                key, "Plant", {}, names, [ExtendedKeyUsageOID.SERVER_AUTH], days=30
            ),
        )

    @classmethod
    def of(cls, running: "OpcuaPlant") -> "Identity":
        """The one of a plant that runs."""
        return cls(running.server.iserver.private_key, running.server.iserver.certificate)

    @property
    def der(self) -> bytes:
        """The certificate as it is given out."""
        return self.certificate.public_bytes(Encoding.DER)


class OpcuaPlant:
    """A running server; its nodes are `nodes["temperature"]` and so on."""

    def __init__(self, server: Server, port: int, index: int) -> None:
        self.server, self.port, self._index = server, port, index
        self.nodes: dict[str, Any] = {}
        self._kinds: dict[str, ua.VariantType] = {}
        self.called: list[tuple[Any, ...]] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"opc.tcp://127.0.0.1:{self.port}/plant"

    async def tell(self, name: str, value: object, at: datetime | None = None, status: int = 0) -> None:
        """A node has a new value, by the machine's own clock."""
        node = self.nodes[name]
        said = ua.DataValue(
            ua.Variant(value, self._kinds[name]),
            StatusCode=ua.StatusCode(status),
            SourceTimestamp=at or datetime.now(UTC),
            ServerTimestamp=datetime.now(UTC),
        )
        await self.server.write_attribute_value(node.nodeid, said)

    def cut(self) -> None:
        """Every connection breaks."""
        for transport in list(self.server.iserver.asyncio_transports):
            transport.abort()

    async def restart(self, down: Callable[[], Awaitable[None]] | None = None) -> None:
        """The server stops, forgets everything, and comes again at the same port; `down` happens in between."""
        server = self.server.bserver
        assert server is not None
        self.cut()
        await server.stop()
        await self.forget()
        if down is not None:
            await down()
        server.port = self.port
        await server.start()

    async def forget(self) -> None:
        """Every session is over, as if it had expired."""
        for session in list(self.server.iserver._external_sessions.values()):
            await session.close_session(True)

    async def add(self, name: str, value: object, kind: ua.VariantType) -> None:
        """One more machine's value."""
        line = self.nodes["line"]
        node = await line.add_variable(ua.NodeId(name.title(), self._index), name.title(), value, kind)
        await node.set_writable()
        self.nodes[name], self._kinds[name] = node, kind

    async def build(self) -> None:
        """Line1 with its machines."""
        objects = self.server.nodes.objects
        self.nodes["line"] = await objects.add_object(ua.NodeId("Line1", self._index), "Line1")
        await self.add("temperature", 21.5, ua.VariantType.Double)
        await self.nodes["temperature"].add_property(
            ua.NodeId("Temperature.Units", self._index), ua.QualifiedName("EngineeringUnits", 0), DEGREES
        )
        await self.add("pressure", 0.1, ua.VariantType.Float)
        await self.add("count", 7, ua.VariantType.Int16)
        await self.add("running", True, ua.VariantType.Boolean)
        await self.add("state", "idle", ua.VariantType.String)
        await self.add("profile", [1.0, 2.0], ua.VariantType.Double)
        await self.nodes["state"].set_read_only()

        @uamethod
        def start(_: object, rpm: float, reverse: bool) -> tuple[bool, str]:
            self.called.append((rpm, reverse))
            if rpm > 3000:
                raise ua.uaerrors.BadOutOfRange
            return True, f"{rpm:g} rpm"

        arguments = [_argument("rpm", ua.ObjectIds.Double), _argument("reverse", ua.ObjectIds.Boolean)]
        results = [_argument("accepted", ua.ObjectIds.Boolean), _argument("words", ua.ObjectIds.String)]
        self.nodes["start"] = await self.nodes["line"].add_method(
            ua.NodeId("Start", self._index), "Start", start, arguments, results
        )


@asynccontextmanager
async def plant(
    identity: Identity,
    *,
    port: int = 0,
    policies: list[ua.SecurityPolicyType] | None = None,
    users: Users | None = None,
) -> AsyncIterator[OpcuaPlant]:
    """A plant whose server runs meanwhile."""
    server = Server(user_manager=users or Users())  # type: ignore[arg-type]
    await server.init()
    await server.set_application_uri(APPLICATION)
    server.disable_clock()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/plant")
    server.set_security_policy(policies or SECURE)
    server.iserver.certificate, server.iserver.private_key = identity.certificate, identity.key
    running = OpcuaPlant(server, port, await server.register_namespace(URI))
    await running.build()
    await server.start()
    assert server.bserver is not None
    running.port = server.bserver.port
    try:
        yield running
    finally:
        running.cut()
        await asyncio.wait_for(server.stop(), 20)


def _argument(name: str, kind: int) -> ua.Argument:
    return ua.Argument(Name=name, DataType=ua.NodeId(kind), ValueRank=-1)


def trusted_by(folder: Path, identity: Identity) -> None:
    """A person has moved the plant's certificate to the trusted ones."""
    trusted = folder / "opcua" / "trusted"
    trusted.mkdir(parents=True, exist_ok=True)
    (trusted / "plant.der").write_bytes(identity.der)
