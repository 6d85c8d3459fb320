"""One client's TCP connection: bytes to packets, when to read and when not, its deadlines and its end."""

from __future__ import annotations

import asyncio
import enum
import logging
import socket
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Final, cast

from ingest.adapters.base import Decision, GoneReason, Refused
from ingest.adapters.mqtt import login
from ingest.adapters.mqtt.codec import Decoder
from ingest.adapters.mqtt.encode import encode
from ingest.adapters.mqtt.packets import (
    V5,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Puback,
    Publish,
    Pubrel,
    Subscribe,
    Unsubscribe,
)
from ingest.adapters.mqtt.properties import NONE, explained
from ingest.adapters.mqtt.reasons import ConnectReturn, ProtocolError, Reason, broken
from ingest.adapters.mqtt.session import Session
from ingest.adapters.mqtt.visit import Visit
from schema.wire.topics import parse_newcomer

if TYPE_CHECKING:
    from ingest.adapters.mqtt.endpoint import MqttEndpoint

log = logging.getLogger(__name__)

_PINGRESP: Final = b"\xd0\x00"


class _State(enum.IntEnum):
    NEW = 0
    LOGIN = 1
    OPEN = 2
    CLOSED = 3


class Connection(asyncio.Protocol):
    """From accept to close. Reading stops while any of the reasons to hold is set, and goes on by itself after."""

    LOGIN: Final = 1
    WINDOW: Final = 2
    UPLINK: Final = 4
    CHOKED: Final = 8
    END: Final = 16
    QUOTA: Final = 32
    TURN: Final = 64

    __slots__ = (
        "_budget",
        "_closes_at",
        "_decoder",
        "_holds",
        "_last_seen",
        "_pending_close",
        "_postponed",
        "_spent_at",
        "_state",
        "_task",
        "_transport",
        "endpoint",
        "opened_at",
        "session",
        "tick",
        "visit",
    )

    def __init__(self, endpoint: MqttEndpoint) -> None:
        self.endpoint = endpoint
        self.session: Session | None = None
        self.visit: Visit | None = None
        self.tick = 0
        self.opened_at = self._last_seen = self._spent_at = endpoint.loop.time()
        self._budget = endpoint.limits.control_burst
        self._closes_at: float | None = None  # when to abort (closed) or to close (choked, quota)
        self._pending_close: GoneReason = "slow"
        self._decoder = Decoder(endpoint.limits.connect_packet_bytes)
        self._holds = 0
        self._postponed: Publish | None = None
        self._state = _State.NEW
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None

    @property
    def level(self) -> int:
        """The protocol level: 4 or 5."""
        return self._decoder.level

    @property
    def is_closed(self) -> bool:
        """Nothing is read or written any more."""
        return self._state is _State.CLOSED

    @property
    def is_logging_in(self) -> bool:
        """The CONNECT has come and is being examined."""
        return self._state is _State.LOGIN

    @property
    def is_choked(self) -> bool:
        """The peer does not take what was written."""
        return bool(self._holds & self.CHOKED)

    @property
    def address(self) -> str:
        """The peer's address, without its port."""
        peer = self._transport.get_extra_info("peername") if self._transport is not None else None
        return str(peer[0]) if peer else ""

    # ── asyncio's calls ─────────────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP (and TLS) is up; the CONNECT has `connect_timeout_s` to come."""
        self._transport = cast(asyncio.Transport, transport)
        tcp = transport.get_extra_info("socket")
        if tcp is not None and tcp.family in (socket.AF_INET, socket.AF_INET6):
            tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.endpoint.came(self):
            self.endpoint.wheel.put(self, self.opened_at + self.endpoint.limits.connect_timeout_s)

    def data_received(self, data: bytes) -> None:
        """Bytes arrived: decode and act, as far as there is room."""
        if self._state is _State.CLOSED:
            return
        self._decoder.feed(data)
        if not self._holds:
            self._pump()
        elif self._transport is not None and self._decoder.buffered_bytes > self._decoder.max_packet_bytes:
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        """The peer reads slower than we write: read nothing more from it, and not for ever."""
        self.hold(self.CHOKED)
        self._close_at(self.endpoint.loop.time() + self.endpoint.limits.slow_reader_s, "slow")

    def resume_writing(self) -> None:
        """The peer has read."""
        if self._pending_close == "slow" and self._state is not _State.CLOSED:
            self._closes_at = None
        self.release(self.CHOKED)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone, by the peer or after our own `close`."""
        self._end("network")
        self.endpoint.wheel.drop(self)
        self.endpoint.gone(self)
        self._transport = None

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def hold(self, why: int) -> None:
        """Stop reading for this reason."""
        if self._state is _State.CLOSED:
            return
        if not self._holds and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
        self._holds |= why

    def release(self, why: int) -> None:
        """This reason is gone; without any other, what waits is decoded and reading goes on."""
        if not self._holds & why or self._state is _State.CLOSED:
            return
        self._holds &= ~why
        if self._holds or self._transport is None or self._transport.is_closing():
            return
        self._last_seen = self.endpoint.loop.time()
        self._transport.resume_reading()
        postponed, self._postponed = self._postponed, None
        self._pump(postponed)

    def postpone(self, packet: Publish) -> None:
        """The uplink is full already: this one comes first when it is this connection's turn."""
        self._postponed = packet
        self.endpoint.wait_for_uplink(self)

    def _pump(self, packet: Packet | None = None) -> None:
        next_packet = self._decoder.next_packet
        try:
            if packet is None and (packet := next_packet()) is None:
                return
            self._last_seen = self.endpoint.loop.time()
            while packet is not None:
                session = self.session
                if session is not None and type(packet) is Publish:
                    session.publish(packet)
                else:
                    self._take(packet)
                packet = None if self._holds else next_packet()
        except ProtocolError as error:
            self._fail(error)
        except Exception:
            log.exception("mqtt.connection_failed")  # our fault, but it shall cost no other connection
            self.close("protocol_error", Reason.UNSPECIFIED_ERROR)

    def _take(self, packet: Packet) -> None:
        session = self.session
        match packet:
            case Connect() if self._state is _State.NEW:
                self._connect(packet)
            case _ if self._state is _State.NEW:
                raise broken("The first packet is a CONNECT.")
            case Pingreq():
                self.spend(1)
                self.write(_PINGRESP)
            case Disconnect():
                self._end("client" if packet.code != Reason.DISCONNECT_WITH_WILL else "network")
                self._hang_up()
            case _ if session is None:
                if self.visit is not None:
                    self.visit.take(packet)
            case Puback():
                session.delivered(packet)
            case Pubrel():
                session.release(packet)
            case Subscribe():
                session.subscribe(packet)
            case Unsubscribe():
                session.unsubscribe(packet)
            case _:
                raise broken(f"A client must not send {type(packet).__name__.upper()} here.")

    def spend(self, cost: float) -> None:
        """Pay for a packet that is no message; who has nothing left floods us and is closed."""
        limits = self.endpoint.limits
        now = self.endpoint.loop.time()
        refill = (now - self._spent_at) * limits.control_per_s
        self._budget = min(self._budget + refill, limits.control_burst) - cost
        self._spent_at = now
        if self._budget < 0:
            raise ProtocolError(Reason.MESSAGE_RATE_TOO_HIGH, "Too many small packets a second.")

    # ── logging in ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _connect(self, packet: Connect) -> None:
        self.endpoint.spoke(self)
        refusal = login.examine(packet, has_certificate=self._certificate() is not None)
        if refusal is not None:
            self.refuse(refusal, "protocol" if packet.username is not None else "bad_credentials")
            return
        self._state = _State.LOGIN
        doorway, tenant = self.endpoint.doorway, parse_newcomer(packet.username or "")
        if doorway is not None and tenant is not None:
            certificate = b"" if packet.password else self._certificate() or b""
            self.work(Visit(self, doorway, tenant, packet, certificate).begin(packet))
        else:
            self.work(self._log_in(packet))

    def work(self, what: Coroutine[None, None, None]) -> None:
        """Do something that takes its time; what the client sends meanwhile waits, until LOGIN is released."""
        self._holds |= self.LOGIN  # but we read on, to see the client leave
        self._task = self.endpoint.loop.create_task(what)

    def worked(self) -> None:
        """It is done, unless what it has led to is at work already."""
        if self._task is asyncio.current_task():
            self._task = None

    def _certificate(self) -> bytes | None:
        """The client's certificate (DER), if it showed one: TLS has verified its chain, its time and its key."""
        tls = self._transport.get_extra_info("ssl_object") if self._transport is not None else None
        shown: bytes | None = tls.getpeercert(binary_form=True) if tls is not None else None
        return shown

    async def _log_in(self, packet: Connect) -> None:
        try:
            device = await self.endpoint.authorizer.authorize(
                packet.client_id, packet.username or "", packet.password or b"", self._certificate()
            )
        except Refused as refused:
            self.refuse(login.REFUSALS[refused.reason], refused.reason)
        except Exception:
            log.exception("mqtt.login_failed")
            self.refuse(login.REFUSALS["unavailable"], "unavailable")
        else:
            if self._state is _State.LOGIN:
                self._open(packet, device)
        finally:
            self.worked()

    def _open(self, packet: Connect, device: Decision) -> None:
        endpoint = self.endpoint
        terms = login.agree(packet, endpoint.limits, device.device)
        session = Session(self, device, terms, packet.will)
        if not session.may_leave_will():
            self.refuse(login.WRONG_WILL, "protocol")
            return
        if not endpoint.enter(session):
            self.refuse(login.REFUSALS["unavailable"], "unavailable")
            return
        self.session, self._state = session, _State.OPEN
        self._decoder.max_packet_bytes = endpoint.limits.max_packet_bytes
        self.write(encode(Connack(False, 0, login.granted(packet, terms, endpoint.limits)), self.level))
        endpoint.entered(self, session)
        endpoint.wheel.put(self, self._deadline(endpoint.loop.time()))
        self.release(self.LOGIN)

    def receive(self, visit: Visit, packet: Connect) -> None:
        """Let a newcomer in, who may introduce itself and do nothing else."""
        if self._state is not _State.LOGIN:
            return
        limits = self.endpoint.limits
        self.visit, self._state = visit, _State.OPEN
        self._decoder.max_packet_bytes = limits.visit_bytes
        self.write(encode(Connack(False, 0, login.granted(packet, visit.terms, limits, is_visit=True)), self.level))
        self.endpoint.wheel.put(self, self._deadline(self.endpoint.loop.time()))
        self.release(self.LOGIN)

    def refuse(self, refusal: login.Refusal, kind: str) -> None:
        """Say no to a login and hang up."""
        if self._state is _State.CLOSED:
            return
        self.endpoint.counters.logins_refused[kind] += 1
        answer = refusal.connack(self.level)
        if answer is not None:
            self.write(encode(answer, self.level))
        self._end("protocol_error")
        self._hang_up()

    # ── writing and ending ──────────────────────────────────────────────────────────────────────────────────────────

    def write(self, data: bytes) -> None:
        """Write, unless the peer has left too much unread already: then it is closed as slow."""
        transport = self._transport
        if transport is None or not data or self._state is _State.CLOSED:
            return
        transport.write(data)
        if self._holds & self.CHOKED and transport.get_write_buffer_size() > self.endpoint.limits.outbound_bytes:
            self.close("slow")

    def close(self, reason: GoneReason, code: Reason | None = None, words: str = "") -> None:
        """End the session at once and hang up; in 5.0 the client is told `code` and `words` if there is a code."""
        if self._state is _State.CLOSED:
            return
        party = self.session or self.visit
        if code is not None and self.level == V5 and party is not None:
            wants = party.terms.wants_reasons and words
            self.write(encode(Disconnect(code, explained(words) if wants else NONE), V5))
        self._end(reason)
        if reason == "slow":
            self.abort()
        else:
            self._hang_up()

    def abort(self) -> None:
        """Hang up without a word."""
        self._end("network")
        if self._transport is not None:
            self._transport.abort()

    def pause_and_close(self, reason: GoneReason) -> None:
        """Stop reading now and close after `quota_pause_s`, so that a client that comes back at once is slowed."""
        self.hold(self.END)
        self._close_at(self.endpoint.loop.time() + self.endpoint.limits.quota_pause_s, reason)

    def _fail(self, error: ProtocolError) -> None:
        log.debug("mqtt.protocol_error", extra={"reason": int(error.reason), "words": error.words})
        if self._state is _State.NEW and error.reason is Reason.UNSUPPORTED_PROTOCOL_VERSION:
            self.write(encode(Connack(False, ConnectReturn.UNACCEPTABLE_PROTOCOL_VERSION), self.level))
        self.close("protocol_error", error.reason, error.words)

    def _end(self, reason: GoneReason) -> None:
        """The session is over, whatever the socket does from here."""
        if self._state is _State.CLOSED:
            return
        self._state = _State.CLOSED
        self._holds |= self.END
        if self._task is not None and self._task is not asyncio.current_task(self.endpoint.loop):
            self._task.cancel()
        self.endpoint.left(self, reason)

    def _hang_up(self) -> None:
        """Say that nothing more comes and wait for the client to close, reading on and listening no more.

        Closing while bytes of the client lie unread would reset the connection, and our last words would be lost.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        try:
            if transport.can_write_eof():
                transport.write_eof()
                transport.resume_reading()
            else:
                transport.close()  # TLS has no half-closed connection
        except OSError:  # the client was faster
            transport.abort()
            return
        self._close_at(self.endpoint.loop.time() + self.endpoint.limits.close_timeout_s, "slow")

    # ── time ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _close_at(self, when: float, reason: GoneReason) -> None:
        self._closes_at, self._pending_close = when, reason
        self.endpoint.wheel.put(self, when)

    def _deadline(self, now: float) -> float:
        limits = self.endpoint.limits
        session = self.session
        if session is None:
            return self.opened_at + (limits.connect_timeout_s if self.visit is None else limits.visit_s)
        seen = now if self._holds else self._last_seen  # whom we do not read cannot be heard
        deadline = seen + 1.5 * session.terms.keep_alive_s
        return min(deadline, self.endpoint.expiry(session.device))

    def on_tick(self, now: float) -> float | None:
        """What the wheel calls: close what is due, else say when to look again."""
        if self._closes_at is not None:
            if now < self._closes_at:
                return self._closes_at
            self._end_overdue()
            return None
        if self._state is _State.CLOSED:
            return None
        deadline = self._deadline(now)
        if now < deadline:
            return deadline
        if self.session is None:
            self.close("keep_alive", Reason.MAXIMUM_CONNECT_TIME)
        elif now >= self.endpoint.expiry(self.session.device):
            self.close("expired", Reason.MAXIMUM_CONNECT_TIME, "The credential has expired; connect with a new one.")
        else:
            self.close("keep_alive", Reason.KEEP_ALIVE_TIMEOUT)
        return self._closes_at

    def _end_overdue(self) -> None:
        if self._state is _State.CLOSED and self._transport is not None:
            self._transport.abort()  # closed long ago, and the peer takes not even the last bytes
        else:
            self.close(self._pending_close)
