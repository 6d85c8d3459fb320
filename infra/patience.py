"""How long a client of our web servers may take to say what it wants, and how much of that we keep in memory.

uvicorn's parser waits for ever and takes headers without end: a few thousand connections that drip a byte now and then
would use up every file we may open (Slowloris), one that never ends its headers all memory (OWASP API4:2023).
"""

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class PatientHttp(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, with deadlines for headers and body and a bound for headers."""

    HEADERS_WITHIN_S = 10.0
    """From the connection, or the first byte of a further request, to the end of the headers."""
    BODY_WITHIN_S = 60.0
    """From there to the end of the body, also when the answer is already out."""
    MAX_HEADER_BYTES = 65_536

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._has_headers = False
        self._unread = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """A client came."""
        super().connection_made(transport)
        self._within(self.HEADERS_WITHIN_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """It left."""
        self._within(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; too many bytes without an end of the headers end the connection."""
        if not self._has_headers:
            self._unread += len(data)
        super().data_received(data)
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
        """Its headers are there."""
        self._has_headers, self._unread = True, 0
        self._within(self.BODY_WITHIN_S)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """It is whole; what follows begins another."""
        self._within(None)
        super().on_message_complete()
        self._has_headers = False

    def handle_websocket_upgrade(self) -> None:
        """The connection is a WebSocket's from here on."""
        self._within(None)
        super().handle_websocket_upgrade()

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
            self.transport.close()

    def _refuse(self, status: HTTPStatus) -> None:
        if self.transport.is_closing():
            return
        line = f"HTTP/1.1 {status.value} {status.phrase}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        self.transport.write(line.encode())
        self.transport.close()


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
