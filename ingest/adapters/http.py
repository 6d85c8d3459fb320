"""What devices reach by HTTP: today the doorway for newcomers, ``/ingest/v1/provision`` and ``…/claim``.

Nothing is decided here. Who comes over TLS may show a claim certificate instead of a provisioning key.
"""

from typing import Protocol

import orjson
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from engine.provisioning.model import Visitor
from ingest.adapters.base import Reply
from schema.wire import relay

_NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Relay(Protocol):
    """Passes on what a newcomer says."""

    async def pass_on(self, path: str, visitor: Visitor, said: bytes) -> Reply:
        """The answer to what was posted to ``path``. Does not raise."""
        ...


def http_app(doorway: Relay) -> Starlette:
    """The devices' own web application."""

    async def introduce(request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return _problem(400, "BAD_INPUT", "Send a JSON object as application/json.")
        said = await _read(request)
        if said is None:
            return _problem(413, "BODY_TOO_LARGE", "An introduction has at most 32 KiB.")
        visitor = Visitor(request.client.host if request.client else "", certificate=_certificate(request))
        reply = await doorway.pass_on(request.url.path, visitor, said)
        later = {} if reply.again_in_s is None else {"Retry-After": str(reply.again_in_s)}
        media = "application/json" if reply.status < 400 else "application/problem+json"
        return Response(reply.body, reply.status, _NO_STORE | later, media)

    paths = (relay.PROVISION, relay.CLAIM)
    return Starlette(routes=[Route(path, introduce, methods=["POST"]) for path in paths])


def _certificate(request: Request) -> bytes:
    """The one that TLS has verified (DER); nothing where none was shown, or the server does not tell."""
    shown = request.scope.get("extensions", {}).get("tls", {}).get("client_cert_der")
    return shown if isinstance(shown, bytes) else b""


async def _read(request: Request) -> bytes | None:
    """The body; None when it is longer than an introduction."""
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > relay.MAX_BODY_BYTES:
                return None
            parts.append(part)
    except ClientDisconnect:  # nobody hears the answer
        return b""
    return b"".join(parts)


def _problem(status: int, code: str, words: str) -> Response:
    """A refusal in the form that the contract has for all of them (RFC 9457)."""
    slug = code.lower().replace("_", "-")
    title = code.replace("_", " ").capitalize()
    said = {"type": f"/problems/{slug}", "title": title, "status": status, "detail": words, "code": code}
    return Response(orjson.dumps(said), status, _NO_STORE, "application/problem+json")
