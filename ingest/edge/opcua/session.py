"""A session with an OPC-UA server: signed, encrypted, kept alive, and taken up again after the connection broke.

A server keeps a session, and what it queues for its subscriptions, for some minutes after the connection is gone. The
next driver of the same connection comes with new keys but the same certificates, and asks for that session first
(Part 4, 6.7): what was queued meanwhile then arrives in order. Only if the server has forgotten it, or is another one
than before, everything is made anew, beginning with whether the server is believed.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from asyncua import Client, ua
from asyncua.client.ua_client import UaClientState
from asyncua.client.ua_session import UaSession
from asyncua.crypto import security_policies
from asyncua.ua.uaerrors import UaError
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ingest.edge.opcua.batches import Batches
from ingest.edge.opcua.certificates import Certificates, host_of
from ingest.edge.opcua.errors import OpcuaError, Refused, Unreachable, words
from ingest.edge.opcua.settings import Address, Settings
from ingest.edge.opcua.subscription import Subscription

log = logging.getLogger(__name__)
# The library tells of every lost connection several times, with tracebacks and its own words; ours go up instead.
logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)

_Answer = TypeVar("_Answer")
_MOST_CHUNK_BYTES = 1024 * 1024
"""A chunk has 64 KiB at most, since we ask for no larger ones."""
_MOST_MESSAGE_BYTES = 32 * 1024 * 1024
_POLICIES: dict[str, type[security_policies.SecurityPolicy]] = {
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
    "Aes128Sha256RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "Aes256Sha256RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
}
_TROUBLE = (UaError, OSError, TimeoutError, ValueError, InvalidSignature, AttributeError, TypeError, KeyError)
"""What the library raises when a server is away, refuses, or talks nonsense."""


@dataclass(slots=True)
class Left:
    """A session that stands at the server while its connection is gone."""

    client: Client
    subscription: Subscription


class Session:
    """One session. `open` once, then ask; `close` gives it back, or leaves it for the next one if the wire is cut."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._certificates = Certificates(folder / "opcua")
        self._client: Client | None = None
        self._guard: asyncio.Task[None] | None = None
        self._namespaces: list[str] | None = None
        self.batches = Batches()
        self.subscription: Subscription | None = None

    @property
    def services(self) -> UaSession:
        """What can be asked of the server. Raises Unreachable when there is no session."""
        if self._client is None or self._client.state is not UaClientState.CONNECTED:
            raise Unreachable(f"There is no connection with {self._settings.url}.")
        return self._client.uaclient.session

    async def open(self, lost: Callable[[str], None]) -> None:
        """Connect, or take up the session that was left. Raises OpcuaError. `lost` hears once when it breaks."""
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                self._certificates.prepare()
                if not await self._resume():
                    await self._begin()
        except _TROUBLE as error:
            await self._drop()
            raise _away(error, self._settings.url) from error
        except BaseException:
            await self._drop()
            raise
        self._guard = asyncio.create_task(self._stand_guard(lost))

    async def close(self) -> None:
        """Give everything back; a session whose wire is cut is left for the next driver. Never raises."""
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.cancel()
            await asyncio.wait([guard])
        client, self._client = self._client, None
        if client is None:
            return
        if client.state is UaClientState.CONNECTED:
            if self.subscription is not None:
                self.subscription.end()
            await _part(client, self._settings.timeout_s)
        else:
            client.disconnect_socket()
            if self.subscription is not None:
                self.subscription.pause()
                self._settings.memory.left = Left(client, self.subscription)

    async def ask(self, request: Coroutine[Any, Any, _Answer]) -> _Answer:
        """The answer to a request. Raises Refused when the server refuses, Unreachable when it is gone."""
        try:
            return await request
        except (OSError, TimeoutError) as error:
            raise Unreachable(f"{self._settings.url}: {words(error)}") from error
        except ua.UaStatusCodeError as error:
            if ua.StatusCode(error.code).name in _ENDED:
                raise Unreachable(f"{self._settings.url}: {words(error)}") from error
            raise Refused(words(error)) from error
        except _TROUBLE as error:
            raise Refused(words(error)) from error

    async def node_of(self, address: Address) -> ua.NodeId:
        """The node of an address in the server's present numbering. Raises Refused or Unreachable."""
        if address.uri is None:
            return address.node
        namespaces = await self.namespaces()
        if address.uri not in namespaces:
            raise Refused(f"The server has no namespace {address.uri!r} now: browse it, correct the point's address.")
        node = address.node
        return ua.NodeId(node.Identifier, namespaces.index(address.uri), node.NodeIdType)

    async def namespaces(self) -> list[str]:
        """The URIs of the server's namespaces, each at its number. Raises Refused or Unreachable."""
        if self._namespaces is None:
            array = ua.NodeId(ua.ObjectIds.Server_NamespaceArray)
            (said,) = await self.ask(self.services.read_attributes([array], ua.AttributeIds.Value))
            value = said.Value.Value if said.Value is not None else None
            self._namespaces = [str(uri) for uri in value] if isinstance(value, list) else []
        return self._namespaces

    async def _resume(self) -> bool:
        left, self._settings.memory.left = self._settings.memory.left, None
        if left is None:
            return False
        client = left.client
        try:
            await client.connect_socket()
        except (OSError, TimeoutError):
            self._settings.memory.left = left  # nobody there: it may stand still at the next try
            raise
        try:
            if self._settings.policy != "none":
                self._believe(client.security_policy.peer_certificate)
            # one that has another key by now may not even answer: leave time to begin anew
            async with asyncio.timeout(self._settings.timeout_s / 3):
                await _open_channel(client)
                client.uaclient.session.rebind_authentication_token()
                await self._log_in(client)
        except (*_TROUBLE, OpcuaError) as error:
            log.info("edge.opcua.session_gone", extra={"url": self._settings.url, "reason": words(error)})
            client.disconnect_socket()
            left.subscription.end()
            return False
        self._client, self.subscription = client, left.subscription
        client.uaclient.ensure_publish_loop()
        return True

    async def _begin(self) -> None:
        settings = self._settings
        client = Client(settings.url, timeout=settings.timeout_s)
        _bound(client)
        client.name = client.description = "Tidegate edge"
        client.application_uri = self._certificates.application_uri
        client.session_timeout = int(settings.session_s * 1000)
        client.secure_channel_timeout = int(settings.channel_s * 1000)
        self._client = client
        await self._secure(client)
        await client.connect_socket()
        await _open_channel(client)
        await client.create_session()
        await self._log_in(client)

    async def _secure(self, client: Client) -> None:
        """The security the table asks for, and never less: a server that offers less is not spoken to."""
        policy_name = self._settings.policy
        if policy_name == "none":
            log.warning("edge.opcua.not_secure", extra={"url": self._settings.url})
            return
        policy = _POLICIES[policy_name]
        mode = ua.MessageSecurityMode.SignAndEncrypt
        endpoints = await client.connect_and_get_server_endpoints()
        for endpoint in endpoints:
            if endpoint.SecurityPolicyUri == policy.URI and endpoint.SecurityMode == mode:
                break
        else:
            offered = sorted({f"{_short(e.SecurityPolicyUri)} {e.SecurityMode.name}" for e in endpoints})
            raise Refused(
                f"The server at {self._settings.url} does not offer {policy_name} SignAndEncrypt, only "
                f"{', '.join(offered) or 'nothing'}. Turn it on at the server; `security: none` in the point table "
                "gives up all protection."
            )
        certificate = self._believe(_first(endpoint.ServerCertificate))
        own = x509.load_der_x509_certificate(self._certificates.own.read_bytes())
        client.security_policy = policy(certificate, own, _key(self._certificates.key.read_bytes()), mode)
        client.uaclient.set_security(client.security_policy)

    def _believe(self, shown: bytes | None) -> x509.Certificate:
        settings = self._settings
        return self._certificates.judge(shown or b"", settings.url, host_of(settings.host))

    async def _log_in(self, client: Client) -> None:
        settings = self._settings
        password = None
        if settings.password_file is not None:
            password = self._content(settings.password_file).decode().rstrip("\r\n")
        if settings.user_certificate is not None and settings.user_key is not None:
            content = self._content(settings.user_certificate)
            load = x509.load_pem_x509_certificate if content.startswith(b"-----") else x509.load_der_x509_certificate
            client.user_certificate = load(content)
            client.user_private_key = _key(self._content(settings.user_key))
        await client.activate_session(settings.user, password, client.user_certificate)

    def _content(self, path: Path) -> bytes:
        try:
            return (self._folder / path).read_bytes()
        except OSError as error:
            raise Refused(f"{self._folder / path} cannot be read ({error.strerror}).") from error

    async def _stand_guard(self, lost: Callable[[str], None]) -> None:
        """Renew the keys in time, and find out when the server is gone though nobody asks it anything."""
        client = self._client
        assert client is not None
        try:
            renew_at = time.monotonic() + client.secure_channel_timeout * 0.75 / 1000
            check_at = time.monotonic() + self._settings.check_s
            async with client.subscribe_state() as changes:
                while True:
                    with contextlib.suppress(TimeoutError):
                        await changes.next_change(min(self._settings.probe_s, max(0.05, renew_at - time.monotonic())))
                    if client.state is not UaClientState.CONNECTED:
                        raise Unreachable("The connection broke.")
                    if time.monotonic() >= renew_at:
                        await client.open_secure_channel(renew=True)
                        client.uaclient.revolve_security_token()
                        renew_at = time.monotonic() + client.secure_channel_timeout * 0.75 / 1000
                    else:
                        await client.nodes.server_state.read_value()
                        if self.subscription is not None and time.monotonic() >= check_at:
                            await self.subscription.check()
                            check_at = time.monotonic() + self._settings.check_s
                        await self._check_subscription(client)
        except (*_TROUBLE, OpcuaError) as error:
            client.disconnect_socket()
            lost(f"{self._settings.url}: {words(error)}".rstrip("."))

    async def _check_subscription(self, client: Client) -> None:
        subscription = self.subscription
        if subscription is not None and (ended := subscription.ended):
            self.subscription = None  # nothing stands at the server that would be worth taking up again
            subscription.end()
            await _part(client, self._settings.timeout_s)
            raise Unreachable(ended)

    async def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.disconnect_socket()


_ENDED = {
    "BadSessionIdInvalid",
    "BadSessionClosed",
    "BadSessionNotActivated",
    "BadSecureChannelClosed",
    "BadSecureChannelIdInvalid",
    "BadConnectionClosed",
    "BadServerHalted",
    "BadShutdown",
    "BadTimeout",
}
"""Refusals that mean that the session or the connection is gone."""


def _bound(client: Client) -> None:
    """Hang up on a server that promises a message without end: the library would collect it."""
    make = client.uaclient._make_protocol

    def bounded() -> Any:
        protocol = make()
        receive = protocol.data_received

        def received(data: bytes) -> None:
            receive(data)
            waiting = len(protocol.receive_buffer or b"")
            if waiting > _MOST_CHUNK_BYTES or protocol._connection._incoming_size > _MOST_MESSAGE_BYTES:
                protocol.disconnect_socket()

        protocol.data_received = received
        return protocol

    client.uaclient._make_protocol = bounded


async def _open_channel(client: Client) -> None:
    await client.send_hello()
    await client.open_secure_channel()


async def _part(client: Client, timeout_s: float) -> None:
    with contextlib.suppress(*_TROUBLE):
        async with asyncio.timeout(timeout_s):
            await client.disconnect()
    client.disconnect_socket()


def _away(error: BaseException, url: str) -> OpcuaError:
    if isinstance(error, InvalidSignature):
        return Refused(f"{url}: The server could not prove that the certificate it shows is its own.")
    if isinstance(error, ua.UaStatusCodeError):
        return Refused(f"{url}: {words(error)}")
    return Unreachable(f"{url}: {words(error)}")


def _first(chain: bytes | None) -> bytes:
    """The server's own certificate, of a chain of several one after another (DER: a tag, 0x82, two bytes of length)."""
    if not chain or len(chain) < 4:
        return b""
    return chain[: int.from_bytes(chain[2:4], "big") + 4]


def _short(uri: str | None) -> str:
    return (uri or "?").rsplit("#", 1)[-1][:60]


def _key(content: bytes) -> RSAPrivateKey:
    key = load_pem_private_key(content, None)
    if not isinstance(key, RSAPrivateKey):
        raise Refused("OPC-UA wants RSA keys; this one is of another kind.")
    return key
