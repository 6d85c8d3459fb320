"""One HTTP request of a device and its answer, on ASGI alone: a framework's request would cost more than our work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, NamedTuple

import orjson

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_ALWAYS: Final = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
_JSON: Final = b"application/json"
_PROBLEM: Final = b"application/problem+json"


class Gone(Exception):
    """The client left before it had said everything."""


class Answer(NamedTuple):
    """What a request is answered with; `again_in_s` becomes Retry-After."""

    status: int
    body: bytes = b""
    again_in_s: int | None = None
    more: tuple[tuple[bytes, bytes], ...] = ()


def problem(status: int, code: str, words: str, again_in_s: int | None = None, **more: object) -> Answer:
    """A refusal in the form that the contract has for all of them (RFC 9457)."""
    said: Mapping[str, object] = {
        "type": f"/problems/{code.lower().replace('_', '-')}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "detail": words,
        "code": code,
        **more,
    }
    return Answer(status, orjson.dumps(said), again_in_s)


class Exchange:
    """A request as it comes in, and the way back."""

    __slots__ = ("_headers", "_send", "method", "path", "receive", "scope")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self._send = send
        self._headers: list[tuple[bytes, bytes]] = scope["headers"]
        self.method: str = scope["method"]
        self.path: str = scope["path"]

    def header(self, name: bytes) -> bytes:
        """The first header of this name (in lower case), empty when there is none."""
        for each, value in self._headers:
            if each == name:
                return value
        return b""

    @property
    def says_json(self) -> bool:
        """Whether the body is called JSON."""
        return self.header(b"content-type").partition(b";")[0].strip().lower() == _JSON

    @property
    def address(self) -> str:
        """Where the request came from."""
        client = self.scope.get("client")
        return str(client[0]) if client else ""

    @property
    def certificate(self) -> bytes | None:
        """The client's (DER), if it showed one: TLS has verified its chain, its time and its key."""
        shown = self.scope.get("extensions", {}).get("tls", {}).get("client_cert_der")
        return shown if isinstance(shown, bytes) else None

    async def read(self, most: int, came: Callable[[int], None] = lambda _: None) -> bytes | None:
        """The body; None as soon as it has more than `most` bytes. Raises Gone; `came` hears of each part's size."""
        message = await self.receive()
        body: bytes = message.get("body", b"")
        parts, size = [body], len(body)
        came(size)
        while message["type"] == "http.request" and message.get("more_body") and size <= most:
            message = await self.receive()
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            came(len(parts[-1]))
        if message["type"] == "http.disconnect":
            raise Gone
        if size > most:
            return None
        return body if len(parts) == 1 else b"".join(parts)

    async def left(self) -> None:
        """Return when the client has left, once its body was read."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def answer(self, answer: Answer) -> None:
        """Send the answer; a client that has left does not hear it."""
        media = _JSON if answer.status < 400 else _PROBLEM
        headers = [*_ALWAYS, *answer.more]
        if answer.status != 204:
            headers += [(b"content-type", media), (b"content-length", b"%d" % len(answer.body))]
        if answer.again_in_s is not None:
            headers.append((b"retry-after", b"%d" % answer.again_in_s))
        await self._send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": answer.body})
