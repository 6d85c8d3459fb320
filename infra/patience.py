"""How long a client of our web servers may take to speak and to listen, and how much of either we keep in memory.

uvicorn's parser waits for ever and takes headers without end: a few thousand connections that drip a byte now and then
would use up every file we may open (Slowloris), one that never ends its headers all memory (OWASP API4:2023). So would
one that sends requests and reads no answer: uvicorn keeps all that came in, and waits for ever to write.

A connection on which nothing is asked uvicorn closes after 5 s, when httpx, and many a client, still takes it for good:
a question that is on its way just then is lost, and nobody but who asked can know whether it may be asked again.
"""

import asyncio
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle


class _Crowded(Exception):
    """More requests than may wait on one connection: the parser stops here."""


class Joined:
    """A connection as an answer sees it: its headers wait for the body that follows at once, and leave with it.

    Written by themselves they are a message of the network's, for which the client wakes up and finds no answer yet.
    What follows later, as a stream's first event, they do not wait for: the loop's next turn sends them.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: bytes | None = None
        self._turn: asyncio.Handle | None = None

    def write(self, data: bytes) -> None:
        """The first waits, the second goes with it; what comes after goes by itself."""
        if self._turn is None:
            self._held, self._turn = data, self._loop.call_soon(self._flush)
        elif self._held is None:
            self._transport.write(data)
        else:
            self._turn.cancel()
            held, self._held = self._held, None
            self._transport.write(held + data)

    def close(self) -> None:
        """Send what waits, and close."""
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._transport.is_closing()

    def _flush(self) -> None:
        held, self._held = self._held, None
        if held is not None and not self._transport.is_closing():
            self._transport.write(held)


class PatientHttp(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, with deadlines for headers, body and answer and bounds for headers and waiting requests."""

    HEADERS_WITHIN_S = 10.0
    """From the connection, or the first byte of a further request, to the end of the headers."""
    BODY_WITHIN_S = 60.0
    """From there to the end of the body, also when the answer is already out."""
    READ_WITHIN_S = 10.0
    """If the client takes nothing of an answer for so long it is gone; one that waits for an answer waits."""
    IDLE_S = 75.0
    """So long a connection is kept on which nothing is asked: more than the 60 s of balancers and the 5 s of the
    console's own client, so that it is they who close it.
    """
    MAX_HEADER_BYTES = 65_536
    MAX_WAITING = 8
    """Requests on one connection beside the one that is being answered (pipelining)."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.timeout_keep_alive = self.IDLE_S  # type: ignore[assignment]  # any number: it goes to `call_later`
        self._deadline: asyncio.TimerHandle | None = None
        self._unheard: asyncio.TimerHandle | None = None
        self._running: RequestResponseCycle | None = None
        self._has_headers = False
        self._unread = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """A client came."""
        super().connection_made(transport)
        self._within(self.HEADERS_WITHIN_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """It left: who still answers it hears so, which uvicorn tells only the last request."""
        self._within(None)
        self._hear(None)
        self.pipeline.clear()
        if self._running is not None:
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; too many bytes without an end of the headers end the connection."""
        if not self._has_headers:
            self._unread += len(data)
        self._parse(data)
        if self._has_headers or not self._unread:
            return
        if self._unread > self.MAX_HEADER_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif self._deadline is None:  # empty lines between two requests begin none
            self._within(self.HEADERS_WITHIN_S)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._has_headers = False
        self._within(self.HEADERS_WITHIN_S)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its headers are there; too many requests that wait end the connection."""
        if self._is_offer:
            return
        self._has_headers, self._unread = True, 0
        self._within(self.BODY_WITHIN_S)
        super().on_headers_complete()
        if self.cycle is not None:
            self.cycle.transport = Joined(self.transport, self.loop)  # type: ignore[assignment]  # all it asks of one
        if self.expect_100_continue and self.cycle is not None:
            # who is refused before it sent its body may send it or not: what follows could be taken for it
            self.cycle.keep_alive = False
        if len(self.pipeline) > self.MAX_WAITING:
            self.transport.abort()
            raise _Crowded

    def on_message_complete(self) -> None:
        """It is whole; what follows begins another."""
        if self._is_offer:
            return
        self._within(None)
        super().on_message_complete()
        self._has_headers = False

    def handle_websocket_upgrade(self) -> None:
        """The connection is a WebSocket's from here on."""
        self._within(None)
        self._hear(None)
        super().handle_websocket_upgrade()

    def on_response_complete(self) -> None:
        """An answer is out; one that is the last must still be read."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._hear(self.READ_WITHIN_S)

    def timeout_keep_alive_handler(self) -> None:
        """Nothing came for long."""
        self._close()

    def send_400_response(self, msg: str) -> None:
        """What came is no request, or was one too many, to which nothing is said."""
        if not self.transport.is_closing():
            super().send_400_response(msg)
            self._hear(self.READ_WITHIN_S)

    def pause_writing(self) -> None:
        """More is to be written than the client takes."""
        super().pause_writing()
        self._hear(self.READ_WITHIN_S)

    def resume_writing(self) -> None:
        """It has taken it, or nearly: the rest of the last answer must be read too."""
        self._hear(self.READ_WITHIN_S if self.transport.is_closing() else None)
        super().resume_writing()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _parse(self, data: bytes) -> None:
        """As uvicorn does, but a request that only offers another protocol keeps its body: Java's client offers HTTP/2
        with whatever it sends without TLS, and the parser takes what follows its headers for that other protocol's.
        """
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.logger.warning("Invalid HTTP request received.")
            self.send_400_response("Invalid HTTP request received.")
        except httptools.HttpParserUpgrade as offered:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            elif self._is_offer:
                self._parse(self._without_offer() + data[offered.args[0] :])

    @property
    def _is_offer(self) -> bool:
        """The request would go on in another protocol, which it need not (RFC 9110, section 7.8)."""
        is_for_both = self.parser.get_method() != b"CONNECT" and not self._should_upgrade()
        return bool(self.parser.should_upgrade()) and is_for_both

    def _without_offer(self) -> bytes:
        """The head of the request that was just read, as one that offers nothing."""
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def _hear(self, seconds: float | None) -> None:
        if self._unheard is not None:
            self._unheard.cancel()
        left = 0 if seconds is None else self.transport.get_write_buffer_size()
        self._unheard = None if seconds is None else self.loop.call_later(seconds, self._look, left)

    def _look(self, before: int) -> None:
        if self.transport.get_write_buffer_size() < before:  # slow, but it reads
            self._hear(self.READ_WITHIN_S)
        else:
            self.transport.abort()

    def _close(self) -> None:
        self.transport.close()
        self._hear(self.READ_WITHIN_S)

    def _within(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        if self._has_headers:  # the application, if it still reads, sees that the client is gone
            self.transport.abort()
        elif self._unread:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self._close()

    def _refuse(self, status: HTTPStatus) -> None:
        if self.transport.is_closing():
            return
        line = f"HTTP/1.1 {status.value} {status.phrase}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        self.transport.write(line.encode())
        self._close()


class DevicesHttp(PatientHttp):
    """The same for devices, which say little and may show a certificate: it goes into the request's scope.

    uvicorn hands no client certificate on. ASGI's TLS extension would have it as PEM; this is its DER.
    """

    BODY_WITHIN_S = 20.0
    MAX_HEADER_BYTES = 16_384

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        tls = self.transport.get_extra_info("ssl_object")
        shown = tls.getpeercert(binary_form=True) if tls is not None else None
        self.scope["extensions"] = {"tls": {"client_cert_der": shown}}
