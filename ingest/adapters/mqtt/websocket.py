"""MQTT inside WebSockets (MQTT 5.0, section 6; RFC 6455): a frame is an envelope, the connection within is any other.

Whoever connects shows a device's secret in its CONNECT, which no browser sends by itself as it would a cookie: neither
Origin nor Host is a matter here. Nothing is compressed: a few bytes could unfold to many.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, cast

from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from ingest.adapters.base import GoneReason
from ingest.adapters.mqtt.connection import Connection
from ingest.adapters.mqtt.reasons import ProtocolError

if TYPE_CHECKING:
    from ingest.adapters.mqtt.endpoint import MqttEndpoint

_SUBPROTOCOL: Final = Subprotocol("mqtt")
_PATHS: Final = frozenset({"/mqtt", "/"})
_STRANGERS_READ: Final = 1024
"""Bytes read at once before the login: a flood of the smallest frames is cut before many of them are unwrapped."""
_READ: Final = 8 * 1024
_LEFT_READ: Final = 64 * 1024
"""What comes behind the end is thrown away, the more at once the better."""
_FRAMES_A_TURN: Final = 256
"""After so many in one read the others have their turn, so that tiny frames delay nobody."""
_QUIET: Final = logging.getLogger(f"{__name__}.library")
_QUIET.setLevel(logging.WARNING)  # below it says a line for each connection


class WebSocket(asyncio.BufferedProtocol):
    """Stands between a socket and a `Connection`, and gives it the bytes inside the frames."""

    __slots__ = ("_connection", "_endpoint", "_envelope", "_frames", "_greeting_left", "_read")

    def __init__(self, endpoint: MqttEndpoint) -> None:
        self._endpoint = endpoint
        self._connection = Connection(endpoint)
        self._greeting_left = endpoint.limits.handshake_bytes
        self._frames = ServerProtocol(
            subprotocols=[_SUBPROTOCOL], max_size=endpoint.limits.max_packet_bytes, logger=_QUIET
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP (and TLS) is up; the time for the CONNECT runs, and the handshake is part of it."""
        self._envelope = Envelope(cast(asyncio.Transport, transport), self._frames)
        self._connection.connection_made(self._envelope)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go, and how many at most; new for each read: who is silent holds no memory."""
        size = _READ if self._connection.session is not None else _STRANGERS_READ
        self._read = memoryview(bytearray(_LEFT_READ if self._envelope.is_finished else size))
        return self._read

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes of the handshake, and then of frames."""
        data, self._read = bytes(self._read[:nbytes]), memoryview(b"")
        frames = self._frames
        if self._envelope.is_finished:
            return
        if frames.state is State.CONNECTING:
            self._greeting_left -= len(data)
            if self._greeting_left < 0:
                self._connection.abort()
                return
        frames.receive_data(data)
        self._answer()

    def eof_received(self) -> None:
        """The peer sends no more."""
        if not self._envelope.is_finished:
            self._frames.receive_eof()
            self._answer()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        """The peer reads slower than we write."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """The peer has read."""
        self._connection.resume_writing()

    def _answer(self) -> None:
        frames = self._frames
        events = frames.events_received()
        for event in events:
            if isinstance(event, Request):
                self._greet(event)
            elif isinstance(event, Frame) and not self._take(event):
                break
        if self._connection.session is None:
            self._bound()
        if self._envelope.flush():
            has_left = frames.close_rcvd is not None or isinstance(frames.parser_exc, EOFError)
            reason: GoneReason = "network" if has_left else "protocol_error"
            self._connection.close(reason)
            self._envelope.finish()
        elif len(events) > _FRAMES_A_TURN:
            self._connection.hold(Connection.TURN)
            self._endpoint.loop.call_soon(self._connection.release, Connection.TURN)

    def _bound(self) -> None:
        """Keep of an unfinished frame what a connection without a device may make us keep."""
        limits, kept = self._endpoint.limits, len(self._frames.reader.buffer)
        if kept <= limits.connect_packet_bytes:
            return
        if self._connection.is_logging_in:
            self._envelope.pause_reading()  # as over plain TCP: it may be a message sent right behind the CONNECT
        elif self._connection.visit is None or kept > limits.visit_bytes:
            self._frames.fail(CloseCode.MESSAGE_TOO_BIG, "The frame is too long.")

    def _greet(self, request: Request) -> None:
        if request.path.partition("?")[0] in _PATHS:
            self._frames.send_response(self._frames.accept(request))
        else:
            self._frames.send_response(self._frames.reject(404, "MQTT is spoken at /mqtt.\n"))

    def _take(self, frame: Frame) -> bool:
        """False after a frame that ends the connection: none that follows counts."""
        if frame.opcode is Opcode.TEXT:
            self._frames.fail(CloseCode.UNSUPPORTED_DATA, "MQTT comes in binary frames.")
            return False
        is_data = frame.opcode in (Opcode.BINARY, Opcode.CONT)
        size = len(frame.data) if is_data else 0  # a ping or a close frame, both answered already, or a pong
        try:
            if size == 0:
                self._connection.spend(1)
            elif self._connection.session is None:
                self._connection.spend(1 / size)  # some clients send a packet in pieces, but nobody many of a byte
        except ProtocolError as error:
            self._frames.fail(CloseCode.POLICY_VIOLATION, error.words)
            return False
        if is_data:
            self._connection.data_received(bytes(frame.data))
        return True


class Envelope(asyncio.Transport):
    """What the connection writes to: each write leaves as a binary frame, its last word as a close frame."""

    def __init__(self, transport: asyncio.Transport, frames: ServerProtocol) -> None:
        super().__init__()
        self._transport = transport
        self._frames = frames
        self.is_finished = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Of the socket."""
        return self._transport.get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """One frame, unless a side has closed."""
        if self._frames.state is State.OPEN:
            self._frames.send_binary(data)
            self.flush()

    def flush(self) -> bool:
        """Write what the protocol has to say; True when that was its last word."""
        is_last = False
        for data in self._frames.data_to_send():
            if data:
                self._transport.write(data)
            else:
                is_last = True
        return is_last

    def can_write_eof(self) -> bool:
        """A close frame says what a half-closed socket says, over TLS too."""
        return True

    def write_eof(self) -> None:
        """Say that nothing more comes; the peer's own close frame ends it."""
        is_open = self._frames.state is State.OPEN
        if is_open:
            self._frames.send_close(CloseCode.NORMAL_CLOSURE)
        self.flush()
        if not is_open:
            self.finish()

    def finish(self) -> None:
        """Nothing more is written; the peer closes the socket, or the connection's patience ends."""
        if self.is_finished or self._transport.is_closing():
            return
        self.is_finished = True
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def is_closing(self) -> bool:
        """Of the socket."""
        return self._transport.is_closing()

    def abort(self) -> None:
        """Close the socket without a word."""
        self._transport.abort()

    def pause_reading(self) -> None:
        """Read nothing more from the socket."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def get_write_buffer_size(self) -> int:
        """Bytes that the peer has not taken."""
        return self._transport.get_write_buffer_size()
