"""Passes on what newcomers say of themselves to the web process, which alone may make devices (ADR 33).

This process faces all devices and has no right to make any. It vouches for two things that only it has seen: the
address somebody came from, and the certificate that its TLS has verified.
"""

import asyncio
import base64
import http.client
import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import orjson

from engine.certificates.keyfile import KeyUnreadable
from engine.provisioning.model import Visitor
from ingest.adapters.base import RefusalReason, Refused, Reply
from schema.wire import relay

log = logging.getLogger(__name__)

TIMEOUT_S = 10.0
_AT_ONCE = 8
_MOST_WAITING = 200
_MAX_ANSWER_BYTES = 256 * 1024


class Introductions:
    """The `Doorway` of a process: a few requests at a time, a bounded number that waits, threads of its own."""

    def __init__(self, url: str, secret: Callable[[], str]) -> None:
        """``url`` of the web process, without a path; ``secret`` gives the relay secret, or raises KeyUnreadable."""
        self._where = urlsplit(url)
        self._secret = secret
        self._threads = ThreadPoolExecutor(_AT_ONCE, "introductions")
        self._waiting = 0

    async def greet(self, visitor: Visitor) -> str:
        """The key of the tenant whose way in this is. Raises Refused: bad_credentials, throttled, unavailable."""
        reply = await self.pass_on(relay.GREET, visitor, b"{}")
        if reply.status == 200:
            return str(orjson.loads(reply.body)["tenant"])
        reasons: dict[int, RefusalReason] = {400: "bad_credentials", 403: "bad_credentials", 429: "throttled"}
        raise Refused(reasons.get(reply.status, "unavailable"))

    async def introduce(self, visitor: Visitor, said: bytes) -> Reply:
        """What becomes of a newcomer; 503 when the web process is away."""
        return await self.pass_on(relay.PROVISION, visitor, said)

    async def pass_on(self, path: str, visitor: Visitor, said: bytes) -> Reply:
        """One request and its answer."""
        if self._waiting >= _MOST_WAITING:
            return _AWAY
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, path, visitor, said)
        except (OSError, http.client.HTTPException, KeyUnreadable) as error:
            log.warning("ingest.introduction_unavailable", extra={"error": type(error).__name__})
            return _AWAY
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Wait for nobody."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _ask(self, path: str, visitor: Visitor, said: bytes) -> Reply:
        kind = http.client.HTTPSConnection if self._where.scheme == "https" else http.client.HTTPConnection
        assert self._where.hostname is not None
        connection = kind(self._where.hostname, self._where.port, timeout=TIMEOUT_S)
        try:
            connection.request("POST", path, said, self._headers(visitor))
            answer = connection.getresponse()
            body = answer.read(_MAX_ANSWER_BYTES + 1)
        finally:
            connection.close()
        if len(body) > _MAX_ANSWER_BYTES or answer.status in (401, 404, 421):
            # it does not know us, or is no web process of ours: nothing that a newcomer could mend
            log.error("ingest.introduction_refused", extra={"status": answer.status})
            return _AWAY
        later = answer.headers.get("Retry-After", "")
        return Reply(answer.status, body, int(later) if later.isdecimal() else None)

    def _headers(self, visitor: Visitor) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            relay.SECRET: self._secret(),
            relay.ADDRESS: visitor.address,
        }
        if visitor.key:
            headers[relay.KEY] = visitor.key
        if visitor.certificate:
            headers[relay.CERTIFICATE] = base64.b64encode(visitor.certificate).decode()
        return headers


_AWAY = Reply(
    503,
    json.dumps(
        {
            "type": "/problems/unavailable",
            "title": "Unavailable",
            "status": 503,
            "detail": "New devices cannot be let in at the moment; try again soon.",
            "code": "UNAVAILABLE",
        }
    ).encode(),
    5,
)
