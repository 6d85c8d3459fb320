"""CoAP's messages on one UDP socket: repeats, acknowledgements, answers that come later (RFC 7252, section 4).

The codec is aiocoap's; its own message layer keeps every answer to every peer for four minutes without a bound, so this
one is ours. What was answered is kept, within bounds, for whoever repeats a request; of who proved nothing, nothing is
kept. What is no CoAP is answered with a RST at most.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from aiocoap import Message
from aiocoap.numbers.codes import Code
from aiocoap.numbers.types import ACK, CON, NON, RST

from ingest.adapters.coap.answers import BUSY, FAILED, Answer, shorter
from schema.wire.coap import EXCHANGE_LIFETIME_S

log = logging.getLogger(__name__)

Address = tuple[Any, ...]
"""Host, port, and what else the system has for a peer."""

AMPLIFICATION: Final = 3
"""Whoever has proved nothing is answered with at most so many times what they sent: the address may be another's."""
_HEAD_BYTES: Final = 20
"""Of an answer beside its words: header, token, Max-Age."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one process; the times are RFC 7252's."""

    remembered: int = 65_536
    at_once: int = 4_000
    unacknowledged: int = 10_000
    ack_within_s: float = 1.0
    """By then a request that is not answered yet is acknowledged, so that it is not repeated."""
    timeout_s: float = 2.0
    random_factor: float = 1.5
    retransmits: int = 4


class Reply(NamedTuple):
    """What a request is answered with. `is_proven`: whoever asked is known, so this may be long and is remembered."""

    message: Message
    is_proven: bool
    sent: Callable[[], None] = lambda: None


Serve = Callable[[Message, Address, int], Awaitable[Reply]]
"""Answers a request that came from an address in a datagram of so many bytes."""


@dataclass(slots=True)
class _Exchange:
    """A request, and what its repeat is answered with: None until there is something."""

    until: float
    again: bytes | None = None
    is_done: bool = False


class _Sent:
    """A confirmable message of ours that has no acknowledgement yet."""

    __slots__ = ("acknowledged", "data", "timer", "tries", "wait_s")

    def __init__(self, data: bytes, wait_s: float) -> None:
        self.data = data
        self.wait_s = wait_s
        self.tries = 0
        self.timer: asyncio.TimerHandle | None = None
        self.acknowledged: asyncio.Future[bool] = asyncio.get_running_loop().create_future()


class Exchanges(asyncio.DatagramProtocol):
    """Hands each request to `serve`, once, and sends its answer; of its own messages it tells whether they arrived."""

    def __init__(self, serve: Serve, limits: Limits = Limits()) -> None:
        self._serve = serve
        self._limits = limits
        self._known: OrderedDict[tuple[Address, bytes], _Exchange] = OrderedDict()
        self._unacknowledged: dict[tuple[Address, int], _Sent] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._mid = random.randrange(65_536)  # noqa: S311  # it hides nothing
        self._transport: asyncio.DatagramTransport | None = None

    # ── asyncio's ───────────────────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: Any) -> None:
        """The socket is open."""
        self._transport = transport

    def error_received(self, exc: Exception) -> None:
        """Somebody's port was closed: of that we hear by what is not acknowledged."""

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """One datagram; whatever is in it, the next one is heard too."""
        try:
            message = _decoded(data)
        except Exception:  # the codec raises what it likes on what is no CoAP
            if len(data) >= 4 and data[0] >> 4 == 0b0100:  # it calls itself confirmable, of version 1
                self._send(_empty(RST, int.from_bytes(data[2:4])), addr)
            return
        if message.mtype in (ACK, RST):
            self._acknowledged((addr, message.mid), is_taken=message.mtype is ACK)
        elif message.code.is_request():
            self._request(message, data, addr)
        elif message.mtype is CON:  # a ping, or an answer to what nobody asked
            self._send(_empty(RST, message.mid), addr)

    # ── what comes in ───────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def busy(self) -> int:
        """Requests that are not answered yet."""
        return len(self._tasks)

    def _request(self, message: Message, data: bytes, address: Address) -> None:
        key = address, blake2b(data, digest_size=16).digest()
        now = time.monotonic()
        known = self._known.get(key)
        if known is not None and now < known.until:
            if known.again is not None and message.mtype is CON:
                self._send(known.again, address)
            return
        if len(self._tasks) >= self._limits.at_once:
            kind = ACK if message.mtype is CON else NON
            self._send(self._enveloped(small(BUSY, len(data)), message, kind), address)
            return
        self._forget_old(now)
        exchange = self._known[key] = _Exchange(now + EXCHANGE_LIFETIME_S)
        task = asyncio.get_running_loop().create_task(self._answer(message, len(data), address, key, exchange))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(
        self, request: Message, size: int, address: Address, key: tuple[Address, bytes], exchange: _Exchange
    ) -> None:
        is_confirmable = request.mtype is CON
        patience: asyncio.TimerHandle | None = None
        if is_confirmable:
            later = self._limits.ack_within_s
            patience = asyncio.get_running_loop().call_later(later, self._promise, request, address, exchange)
        try:
            reply = await self._serve(request, address, size)
        except Exception:  # a mistake of ours: it must cost this request only
            log.exception("coap.request_failed")
            reply = Reply(small(FAILED, size), is_proven=False)
        finally:
            if patience is not None:
                patience.cancel()
        exchange.is_done = True
        if not reply.is_proven:
            self._known.pop(key, None)
        if is_confirmable and exchange.again is None:
            data = self._enveloped(reply.message, request, ACK)
            exchange.again = data
            self._send(data, address)
        elif is_confirmable and reply.is_proven:
            self.confirmed(reply.message, request.token, address)
        else:  # whoever proved nothing is told once: sent again and again, it would be many times what they sent
            self._send(self._enveloped(reply.message, request, NON), address)
        reply.sent()

    def _promise(self, request: Message, address: Address, exchange: _Exchange) -> None:
        """The answer will come in a message of its own."""
        exchange.again = _empty(ACK, request.mid)
        self._send(exchange.again, address)

    def _forget_old(self, now: float) -> None:
        for _ in range(min(8, len(self._known))):
            key, exchange = next(iter(self._known.items()))
            if not exchange.is_done:
                self._known.move_to_end(key)
            elif exchange.until < now or len(self._known) >= self._limits.remembered:
                del self._known[key]
            else:
                return

    # ── what goes out ───────────────────────────────────────────────────────────────────────────────────────────────

    def confirmed(self, message: Message, token: bytes, address: Address) -> asyncio.Future[bool]:
        """Send a message until it is acknowledged; False when it was refused, or nobody says anything."""
        loop = asyncio.get_running_loop()
        message.mtype, message.mid, message.token = CON, self._next_mid(), token
        wait_s = self._limits.timeout_s * random.uniform(1, self._limits.random_factor)  # noqa: S311
        sent = _Sent(message.encode(), wait_s)
        key = address, message.mid
        if key in self._unacknowledged or len(self._unacknowledged) >= self._limits.unacknowledged:
            sent.acknowledged.set_result(False)
            return sent.acknowledged
        self._unacknowledged[key] = sent
        self._send(sent.data, address)
        sent.timer = loop.call_later(wait_s, self._again, key)
        return sent.acknowledged

    def _again(self, key: tuple[Address, int]) -> None:
        sent = self._unacknowledged[key]
        if sent.tries >= self._limits.retransmits:
            self._acknowledged(key, is_taken=False)
            return
        sent.tries += 1
        sent.wait_s *= 2
        self._send(sent.data, key[0])
        sent.timer = asyncio.get_running_loop().call_later(sent.wait_s, self._again, key)

    def _acknowledged(self, key: tuple[Address, int], *, is_taken: bool) -> None:
        sent = self._unacknowledged.pop(key, None)
        if sent is None:
            return
        if sent.timer is not None:
            sent.timer.cancel()
        if not sent.acknowledged.done():
            sent.acknowledged.set_result(is_taken)

    def _enveloped(self, message: Message, request: Message, kind: Any) -> bytes:
        message.mtype, message.token = kind, request.token
        message.mid = request.mid if kind is ACK else self._next_mid()
        return bytes(message.encode())

    def _next_mid(self) -> int:
        self._mid = (self._mid + 1) % 65_536
        return self._mid

    def _send(self, data: bytes, address: Address) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, address)

    # ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def close(self, patience_s: float) -> None:
        """Answer what was taken, then hear nothing more."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=patience_s)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for key in list(self._unacknowledged):
            self._acknowledged(key, is_taken=False)
        if self._transport is not None:
            self._transport.close()


def _decoded(data: bytes) -> Message:
    """A message; raises whatever it likes when this is none."""
    if data[0] & 0x0F > 8:
        raise ValueError("no token is that long")
    message = Message.decode(data, None)
    if message.code is Code.EMPTY and len(data) > 4:
        raise ValueError("an empty message is four bytes long")
    return message


def _empty(kind: Any, mid: int) -> bytes:
    return bytes([0x40 | int(kind) << 4, 0]) + mid.to_bytes(2)


def small(answer: Answer, size: int) -> Message:
    """An answer to whoever proved nothing in a datagram of `size` bytes."""
    return shorter(answer, AMPLIFICATION * size - _HEAD_BYTES).message()
