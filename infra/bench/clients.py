"""Devices for load and fault tests: MQTT 5.0 clients, lean enough that two thousand of them fit beside what they load.

Every message is kept until its PUBACK and sent again, with DUP, after a reconnect. What the schedule wants while a
client may send no more waits in its backlog; a message's time counts from when it was due, not from when there was
room for it, so that a slow server cannot slow its own measurement down.
"""

import asyncio
import random
import ssl
import struct
import time
from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from infra.bench.readings import Signal
from ingest.adapters.mqtt.encode import encode
from ingest.adapters.mqtt.packets import V5, Connect, Subscribe, Subscription

CONNACK, PUBACK, SUBACK, DISCONNECT = 0x20, 0x40, 0x90, 0xE0
DUP = 0x08
KEEP_ALIVE_S = 1_000
CONNECT_AT_ONCE = 100
now = time.monotonic


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a client logs in as."""

    tenant: str
    key: str
    token: str


@dataclass
class Tally:
    """What happened to the messages of one run. Times are seconds."""

    sent: int = 0
    acked: int = 0
    latencies: "array[float]" = field(default_factory=lambda: array("d"))
    last_ack: float = 0.0


@dataclass(slots=True)
class Pending:
    """A message that has no PUBACK yet."""

    n: int
    frame: bytes
    due: float
    sent: float


class Fleet:
    """All clients, and what they found out together."""

    def __init__(
        self,
        port: int,
        identities: Sequence[Identity],
        signal: Signal,
        *,
        in_flight: int = 1,
        watched: int = 0,
        seed: int = 1,
        most_waiting: int = 0,
        is_tls: bool = False,
        has_downlink: bool = False,
    ) -> None:
        """``most_waiting``: what is due while a device already has so many waiting it drops; 0 for a device that keeps
        all. ``is_tls``: the connections are TLS. ``has_downlink``: each subscribes to what is sent to it.
        """
        self.port = port
        self.signal = signal
        self.in_flight = in_flight
        self.most_waiting = most_waiting
        self.tls = _trusting_anybody() if is_tls else None
        self.has_downlink = has_downlink
        self.dropped = 0
        """Messages that were due while their device had no more room."""
        self.random = random.Random(seed)  # noqa: S311  # spreads reconnects, guards nothing
        self.tally = Tally()
        self.is_stopping = False
        self.acked_sent = 0.0
        """The newest time of sending that an acknowledged message has."""
        self.acked_total = 0
        self.resent = 0
        self.reconnects = 0
        self.refused: list[tuple[int, int, int]] = []
        """(device, message, MQTT reason code) of each PUBACK that said no."""
        self.due_of: dict[int, list[float]] = {device: [] for device in range(watched)}
        """When each message of a watched device was due."""
        self.clients = [Client(self, number, identity) for number, identity in enumerate(identities)]
        self._waiting: set[asyncio.Task[None]] = set()

    async def connect(self, timeout_s: float = 60.0) -> None:
        """Connect all clients, some at a time; raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            for first in range(0, len(self.clients), CONNECT_AT_ONCE):
                chunk = self.clients[first : first + CONNECT_AT_ONCE]
                for client in chunk:
                    self.reconnect(client, 0.0)
                for client in chunk:
                    await client.connected.wait()

    async def quiet(self, timeout_s: float) -> bool:
        """Wait until every message has its PUBACK; False when that does not happen in time."""
        deadline = now() + timeout_s
        while any(client.pending or client.backlog for client in self.clients):
            if now() > deadline:
                return False
            await asyncio.sleep(0.01)
        return True

    def forget(self) -> int:
        """Drop what is due and could not be sent yet; returns how many messages that were."""
        waiting = sum(len(client.backlog) for client in self.clients)
        for client in self.clients:
            client.backlog.clear()
        return waiting

    async def close(self) -> None:
        """Say goodbye and close every connection."""
        self.is_stopping = True
        for task in list(self._waiting):
            task.cancel()
        await asyncio.gather(*self._waiting, return_exceptions=True)
        for client in self.clients:
            client.close()
        await asyncio.sleep(0.05)

    def reconnect(self, client: "Client", after_s: float) -> None:
        """Connect a client after a pause; it tries until it is connected or the fleet stops."""
        if not self.is_stopping:
            task = asyncio.get_running_loop().create_task(self._connect(client, after_s))
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)

    def pause_s(self) -> float:
        """How long a client that was cut waits before it comes back."""
        return self.random.uniform(0.05, 0.3)

    async def _connect(self, client: "Client", after_s: float) -> None:
        await asyncio.sleep(after_s)
        try:
            await asyncio.get_running_loop().create_connection(lambda: client, "127.0.0.1", self.port, ssl=self.tls)
        except OSError:
            self.reconnect(client, self.pause_s())


class Client(asyncio.Protocol):
    """One device on its connection, and on the next one after that breaks."""

    def __init__(self, fleet: Fleet, number: int, identity: Identity) -> None:
        self.number = number
        self.count = 0
        """The number of the next message: as many have been made."""
        self.pending: dict[int, Pending] = {}
        self.backlog: deque[float] = deque()
        self.connected = asyncio.Event()
        self._fleet = fleet
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._packet_id = 0
        self._time_ms = 0
        self._connect = encode(_connect(identity), V5)
        self._subscribe = encode(_subscribe(identity), V5) if fleet.has_downlink else b""
        topic = f"t/{identity.tenant}/d/{identity.key}/up/telemetry".encode()
        self._topic = struct.pack("!H", len(topic)) + topic

    # ── what the schedule wants ─────────────────────────────────────────────────────────────────────────────────────

    def wanted(self, due: float, burst: int = 1) -> None:
        """`burst` messages are due at this moment: they are sent, or wait in the backlog."""
        if most := self._fleet.most_waiting:
            room = max(0, most - len(self.backlog))
            self._fleet.dropped += max(0, burst - room)
            burst = min(burst, room)
        self.backlog.extend([due] * burst)
        self._send()

    def _send(self) -> None:
        if not self.connected.is_set() or self._transport is None:
            return
        frames = []
        while self.backlog and len(self.pending) < self._fleet.in_flight:
            frames.append(self._make(self.backlog.popleft()))
        if frames:
            self._transport.write(frames[0] if len(frames) == 1 else b"".join(frames))

    def _make(self, due: float) -> bytes:
        fleet = self._fleet
        n, self.count = self.count, self.count + 1
        self._time_ms = fleet.signal.next_ms(self._time_ms)
        self._packet_id = self._packet_id % 65_535 + 1
        payload = fleet.signal.payload(self.number, n, self._time_ms)
        body = self._topic + self._packet_id.to_bytes(2, "big") + b"\0" + payload
        frame = b"\x32" + _varint(len(body)) + body
        self.pending[self._packet_id] = Pending(n, frame, due, now())
        if self.number in fleet.due_of:
            fleet.due_of[self.number].append(due)
        fleet.tally.sent += 1
        return frame

    # ── what comes back ─────────────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self._rest = b""
        self._transport.write(self._connect)

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        while end - at >= 2:
            length, begin = data[at + 1], at + 2
            if length & 0x80:  # longer than 127 bytes: a CONNACK or DISCONNECT with many words
                if end - at < 3:
                    break
                length, begin = (length & 0x7F) | data[at + 2] << 7, at + 3
            if end < begin + length:
                break
            if data[at] == PUBACK:
                self._acked(data[begin] << 8 | data[begin + 1], data[begin + 2] if length > 2 else 0)
            else:
                self._heard(data[at], data[begin : begin + length])
            at = begin + length
        self._rest = data[at:]
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self.connected.clear()
        self._fleet.reconnects += 1
        self._fleet.reconnect(self, self._fleet.pause_s())

    def close(self) -> None:
        """Say goodbye in an orderly way."""
        if self._transport is not None:
            self._transport.write(b"\xe0\x00")
            self._transport.close()

    def _heard(self, kind: int, body: bytes) -> None:
        if self._transport is None:
            return
        if kind == CONNACK and body[1] == 0 and self._subscribe:
            self._transport.write(self._subscribe)
        elif (kind == CONNACK and body[1] == 0) or kind == SUBACK:
            self.connected.set()
            self._repeat(self._transport)
        elif kind in (CONNACK, DISCONNECT):
            self._transport.close()

    def _repeat(self, transport: asyncio.Transport) -> None:
        """Send again, in order and byte for byte but for DUP, what has no PUBACK."""
        again = now()
        for pending in self.pending.values():
            pending.sent = again
            transport.write(bytes((pending.frame[0] | DUP,)) + pending.frame[1:])
        self._fleet.resent += len(self.pending)

    def _acked(self, packet_id: int, code: int) -> None:
        pending = self.pending.pop(packet_id, None)
        if pending is None:
            return
        fleet = self._fleet
        tally = fleet.tally
        if code >= 0x80:
            fleet.refused.append((self.number, pending.n, code))
            return
        at = now()
        tally.acked += 1
        tally.latencies.append(at - pending.due)
        tally.last_ack = at
        fleet.acked_total += 1
        if pending.sent > fleet.acked_sent:
            fleet.acked_sent = pending.sent


def _connect(identity: Identity) -> Connect:
    return Connect(
        client_id=identity.key,
        level=V5,
        clean_start=True,
        keep_alive_s=KEEP_ALIVE_S,
        username=f"{identity.tenant}/d/{identity.key}",
        password=identity.token.encode(),
    )


def _subscribe(identity: Identity) -> Subscribe:
    return Subscribe(packet_id=65_535, subscriptions=(Subscription(f"t/{identity.tenant}/d/{identity.key}/down/#", 1),))


def _trusting_anybody() -> ssl.SSLContext:
    """A bench measures what TLS costs the endpoint; whose certificate it shows is not asked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _varint(length: int) -> bytes:
    if length < 128:
        return bytes((length,))
    return bytes((length & 0x7F | 0x80, length >> 7))  # payloads here stay below 16 KiB
