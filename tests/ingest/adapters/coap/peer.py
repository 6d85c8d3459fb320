"""A device that sends datagrams, one by one, and an endpoint with everything behind it in memory."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from aiocoap import Message, oscore
from aiocoap.message import Direction
from aiocoap.numbers.codes import Code
from aiocoap.numbers.types import ACK, CON, RST

from engine.provisioning.contexts import KID_BYTES, SECRET_BYTES
from ingest.adapters.base import Refused
from ingest.adapters.coap.endpoint import CoapEndpoint
from ingest.adapters.coap.exchanges import Limits
from ingest.adapters.coap.keeper import Found
from ingest.adapters.http.login import Proof
from ingest.adapters.http.polls import Polls
from tests.ingest.adapters.http.memory import MemoryIdentifier
from tests.ingest.adapters.mqtt.memory import MemoryUplink
from tests.support.patience import PATIENCE_S

HOME = ("ingest", "v1", "pump-7")


class Peer(asyncio.DatagramProtocol):
    """Sends what it is told, and keeps what it hears; it acknowledges nothing by itself."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[Message] = asyncio.Queue()
        self.sizes: list[int] = []
        self._mid = 0
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.sizes.append(len(data))
        self.heard.put_nowait(Message.decode(data, None))

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there any more."""

    def send(self, data: bytes) -> None:
        """Send a datagram."""
        self.transport.sendto(data)

    def request(
        self,
        path: str = "telemetry",
        payload: bytes = b'{"t":1}',
        *,
        code: Any = Code.POST,
        token: str | None = "pump-7",
        kind: Any = CON,
        mark: bytes = b"\x01",
        **options: Any,
    ) -> bytes:
        """A request with a message id of its own; `mark` is its CoAP token, `token` the device's."""
        message = Message(code=code, payload=payload, **{"uri_path": (*HOME, *path.split("/")), **options})
        if token is not None:
            message.opt.uri_query = (f"token={token}",)
        self._mid += 1
        message.mtype, message.mid, message.token = kind, self._mid, mark
        return bytes(message.encode())

    def acknowledge(self, message: Message) -> None:
        """Say that a message has come."""
        self.send(bytes([0x60, 0]) + message.mid.to_bytes(2))

    def refuse(self, message: Message) -> None:
        """Say that nobody here knows of this."""
        self.send(bytes([0x70, 0]) + message.mid.to_bytes(2))

    async def hear(self) -> Message:
        """The next datagram."""
        return await asyncio.wait_for(self.heard.get(), PATIENCE_S)

    async def ask(self, data: bytes) -> Message:
        """Send, and hear what is answered."""
        self.send(data)
        return await self.hear()

    async def told(self, data: bytes) -> Message:
        """Send, and hear the answer itself, though it was promised first and comes in a message of its own."""
        mark = data[4 : 4 + (data[0] & 15)]
        answer = await self.ask(data)
        while answer.code is Code.EMPTY or answer.token != mark:
            answer = await self.hear()
        if answer.mtype is CON:
            self.acknowledge(answer)
        return answer

    async def post(self, path: str = "telemetry", payload: bytes = b'{"t":1}', **options: Any) -> Message:
        """Send a request, and hear its answer."""
        return await self.ask(self.request(path, payload, **options))

    async def hears_nothing(self, wait_s: float = 0.15) -> bool:
        """Whether nothing comes for a while."""
        await asyncio.sleep(wait_s)
        return self.heard.empty()


class MemoryContexts:
    """What a database would keep of contexts; several endpoints may share it, as processes share one."""

    def __init__(self) -> None:
        self.found: dict[bytes, Found] = {}
        self.struck: set[tuple[bytes, int]] = set()
        self.is_away = False
        self.asked: list[bytes] = []
        self._next = 0

    def issue(self, device: str = "pump-7") -> Found:
        """A context for the device `acme/d/{device}`."""
        kid, master = os.urandom(KID_BYTES), os.urandom(SECRET_BYTES)
        proof = Proof(f"acme/d/{device}", device.encode(), None)
        self.found[kid] = Found(uuid4(), uuid4(), kid, master, proof)
        return self.found[kid]

    async def find(self, kid: bytes) -> Found | None:
        self.asked.append(kid)
        return self.found.get(kid)

    async def strike(self, found: Found, number: int) -> bool:
        if self.is_away:
            raise Refused("unavailable")
        is_new = (found.kid, number) not in self.struck
        self.struck.add((found.kid, number))
        return is_new

    async def reserve(self, found: Found) -> range:
        if self.is_away:
            raise Refused("unavailable")
        self._next += 2
        return range(self._next - 2, self._next)


class Secured(oscore.CanProtect, oscore.CanUnprotect, oscore.SecurityContextUtils):
    """The device's side of a context, in memory; `sender_sequence_number` is its next number."""

    echo_recovery = None
    id_context = None
    alg_aead = oscore.algorithms[oscore.DEFAULT_ALGORITHM]
    hashfun = oscore.hashfunctions[oscore.DEFAULT_HASHFUNCTION]

    def __init__(self, kid: bytes, master: bytes) -> None:
        self.sender_id, self.recipient_id, self.sender_sequence_number = kid, b"\x00", 0
        self.derive_keys(b"", master)
        self.recipient_replay_window = oscore.ReplayWindow(32, lambda: None)
        self.recipient_replay_window.initialize_empty()

    def post_seqnoincrease(self) -> None:
        """Nothing outlives a test."""

    def wrapped(self, data: bytes) -> tuple[bytes, Any]:
        """A datagram, protected, and by what its answer is known."""
        plain = Message.decode(data, None)
        plain.direction = Direction.OUTGOING
        outer, identifiers = self.protect(plain)
        outer.mtype, outer.mid, outer.token = plain.mtype, plain.mid, plain.token
        return bytes(outer.encode()), identifiers

    def unwrapped(self, answer: Message, identifiers: Any) -> Message:
        """What is in a protected answer."""
        return self.unprotect(answer, identifiers)[0]


@dataclass
class House:
    """A running endpoint, what is behind it, and whom it had looked after."""

    endpoint: CoapEndpoint
    uplink: MemoryUplink
    identifier: MemoryIdentifier
    polls: Polls
    port: int
    contexts: MemoryContexts
    refused: list[tuple[str, str]] = field(default_factory=list)
    asked: list[UUID] = field(default_factory=list)


@asynccontextmanager
async def open_house(
    *, takes_tokens: bool = True, contexts: MemoryContexts | None = None, **limits: Any
) -> AsyncIterator[House]:
    """An endpoint on a port of its own; whoever asks what waits is told that it was looked for."""
    uplink, identifier = MemoryUplink(), MemoryIdentifier()
    contexts = contexts or MemoryContexts()
    refused: list[tuple[str, str]] = []
    asked: list[UUID] = []
    loop = asyncio.get_running_loop()
    polls = Polls(lambda device_id: loop.call_soon(polls.looked, device_id) and None)
    endpoint = CoapEndpoint(
        identifier,
        uplink,
        polls,
        refused=lambda device, why: refused.append((device.device, why)),
        ask=asked.append,
        contexts=contexts,
        takes_tokens=takes_tokens,
        limits=Limits(**{"ack_within_s": PATIENCE_S, **limits}),  # a busy machine promises nothing unless it is to
    )
    port = await endpoint.start("127.0.0.1", 0)
    house = House(endpoint, uplink, identifier, polls, port, contexts, refused, asked)
    try:
        yield house
    finally:
        await endpoint.stop()


@asynccontextmanager
async def peer(port: int) -> AsyncIterator[Peer]:
    """A device's socket."""
    loop = asyncio.get_running_loop()
    transport, made = await loop.create_datagram_endpoint(Peer, remote_addr=("127.0.0.1", port))
    try:
        yield made
    finally:
        transport.close()


__all__ = ["ACK", "CON", "RST", "House", "MemoryContexts", "Peer", "Secured", "open_house", "peer"]
