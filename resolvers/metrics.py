"""What a web process counts for its operators, of all tenants together; scraped from /metrics on its internal port."""

import time
from functools import cache

from prometheus_client import Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUESTS = Counter("tidegate_web_requests", "HTTP requests answered.", ["face", "method", "status"])
SECONDS = Histogram(
    "tidegate_web_request_seconds",
    "From a request to the beginning of its answer.",
    ["face"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
STREAMS = Gauge("tidegate_web_streams", "Live streams and sockets that are open.", ["face"])
REFUSALS = Counter("tidegate_web_refusals", "Errors in answers, by their code.", ["code"])

_FACES = (("/graphql", "graphql"), ("/api/", "rest"), ("/auth/", "auth"), ("/health/", "health"))
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def face(path: str) -> str:
    """Which part of us a path belongs to; whatever is none of the contract's is the console's."""
    return next((name for prefix, name in _FACES if path.startswith(prefix)), "console")


class Measured:
    """Counts and times what passes; labels take few values, whatever a caller sends."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on."""
        if scope["type"] == "websocket":
            with STREAMS.labels(face(scope["path"])).track_inprogress():
                await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await _Request(scope, send).run(self._app, receive)
        else:
            await self._app(scope, receive, send)


class _Request:
    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._face = face(scope["path"])
        self._began = time.perf_counter()
        self._status = 0
        self._is_stream = False

    async def run(self, app: ASGIApp, receive: Receive) -> None:
        try:
            await app(self._scope, receive, self._pass)
        finally:
            if self._is_stream:
                STREAMS.labels(self._face).dec()
            if not self._status:  # it broke, or the caller left, before there was an answer
                self._count(500)

    async def _pass(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._count(message["status"])
            self._is_stream = any(
                value.startswith(b"text/event-stream") and name.lower() == b"content-type"
                for name, value in message.get("headers", ())
            )
            if self._is_stream:
                STREAMS.labels(self._face).inc()
        await self._send(message)

    def _count(self, status: int) -> None:
        self._status = status
        method = self._scope["method"] if self._scope["method"] in _METHODS else "other"
        requests, seconds = _counters(self._face, method, status // 100)
        requests.inc()
        seconds.observe(time.perf_counter() - self._began)


@cache
def _counters(face: str, method: str, hundreds: int) -> tuple[Counter, Histogram]:
    """Those of these labels, which are few: looking them up takes longer than to count."""
    return REQUESTS.labels(face, method, f"{hundreds}xx"), SECONDS.labels(face)
