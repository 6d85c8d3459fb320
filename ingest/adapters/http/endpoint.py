"""The devices' own web application: which request is which, who may, and what it is answered with."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs
from uuid import UUID

from ingest.adapters.base import Decision, Identifier, RefusalReason, Refused, Uplink
from ingest.adapters.http import newcomers
from ingest.adapters.http.exchange import Answer, Exchange, Gone, Receive, Scope, Send, problem
from ingest.adapters.http.login import Logins, Proof, shown
from ingest.adapters.http.messages import Keys, Messages
from ingest.adapters.http.polls import End, Poll, Polls
from ingest.adapters.mqtt.login import REFUSALS
from schema.wire import http as wire

log = logging.getLogger(__name__)

LOOK_WITHIN_S: Final = 5.0
"""So long the database may take to say what waits for a device that does not wait any longer itself."""

_CLOSE: Final = ((b"connection", b"close"),)
_STRANGER: Final = problem(
    401,
    "BAD_CREDENTIALS",
    "Send Authorization: Bearer with a device token or JWT, or Basic with {tenant}/d/{device} as the name and either "
    "as the password; or show the device's certificate to the TLS port.",
)._replace(more=((b"www-authenticate", b'Bearer, Basic realm="{tenant}/d/{device}"'),))
_STATUS: Final[dict[RefusalReason, tuple[int, int | None]]] = {
    "revoked": (401, None),
    "jwt_unfit": (401, None),
    "jwt_early": (401, None),
    "jwt_expired": (401, None),
    "suspended": (403, None),
    "pending": (403, 60),
    "turned_away": (403, None),
    "throttled": (429, 60),
    "unavailable": (503, 5),
}
_REFUSED: Final[dict[RefusalReason, Answer]] = {
    "bad_credentials": _STRANGER,
    **{
        reason: problem(status, reason.upper(), REFUSALS[reason].words, again_in_s)
        for reason, (status, again_in_s) in _STATUS.items()
    },
}
_NOT_FOUND: Final = problem(404, "NOT_FOUND", f"Devices use {wire.HOME}{{device}}/telemetry and what is beside it.")
_ANOTHERS: Final = problem(403, "ANOTHER_DEVICE", "These credentials are good, and those of another device.")
_STOPPING: Final = problem(503, "UNAVAILABLE", "This process ends; ask again.", 1)._replace(more=_CLOSE)
_CROWDED: Final = problem(503, "BUSY", "Too many devices wait here at the moment; ask again soon.", 5)
_NOT_READ: Final = problem(503, "UNAVAILABLE", "What waits for the device cannot be read now; ask again soon.", 5)
_WAIT: Final = problem(400, "BAD_INPUT", f"wait is a whole number of seconds from 0 to {wire.MAX_WAIT_S}.")
_FAILED: Final = problem(500, "INTERNAL", "This went wrong on our side.")
_ENDED: Final[dict[End, Answer]] = {
    "nothing": Answer(204),
    "newer": problem(409, "NEWER_QUESTION", "The device has asked again; one question of a device waits at a time."),
    "stopped": _STOPPING,
}


class HttpEndpoint:
    """An ASGI application. `refused(device, why)` counts a message that never reaches the uplink (D3); `ask(device)`
    has what waits for a device sent to its question, through `polls`.
    """

    def __init__(
        self,
        identifier: Identifier,
        uplink: Uplink,
        keys: Keys,
        doorway: newcomers.Relay,
        *,
        refused: Callable[[Decision, str], None],
        ask: Callable[[UUID], None],
    ) -> None:
        self.polls = Polls(ask)
        self._logins = Logins(identifier)
        self._messages = Messages(uplink, keys, refused)
        self._doorway = doorway
        self._refused = refused
        self._is_stopping = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        exchange = Exchange(scope, receive, send)
        try:
            answer = await self._answer(exchange)
        except Gone:
            return
        except Exception:  # a mistake of ours: it must cost this request only
            log.exception("http.request_failed")
            answer = _FAILED
        if answer is not None:
            await exchange.answer(answer)

    def changed(self, device_id: UUID) -> None:
        """Something has changed with a device: who it is, is asked anew."""
        self._logins.forget(device_id)
        self.polls.end("changed", device_id)

    def changed_tenant(self, tenant_id: UUID) -> None:
        """Something has changed with all devices of a tenant."""
        self._logins.forget_tenant(tenant_id)
        self.polls.end("changed", tenant_id=tenant_id)

    def missed(self) -> None:
        """Changes may have been missed."""
        self._logins.forget_all()
        self.polls.end("changed")

    def stop(self) -> None:
        """Take nothing more, let nobody wait; what was taken is answered when it is committed."""
        self._is_stopping = True
        self.polls.end("stopped")

    async def _answer(self, exchange: Exchange) -> Answer | None:
        if exchange.path in newcomers.PATHS:
            return _only(b"POST", exchange) or await newcomers.introduce(self._doorway, exchange)
        key, rest = wire.parse(exchange.path) or ("", "")
        topic = wire.up_tail(rest)
        if topic is None and rest != wire.COMMANDS_PATH:
            return _NOT_FOUND
        if refusal := _only(b"GET" if topic is None else b"POST", exchange):
            return refusal
        if self._is_stopping:
            return _STOPPING
        proof = shown(exchange)
        if proof is None:
            return _STRANGER
        try:
            device = await self._logins.identify(proof, exchange.address)
            if device.device != key:
                self._refused(device, "device")
                return _ANOTHERS
            if topic is not None:
                still = partial(self._logins.identify, proof, exchange.address)
                return await self._messages.take(exchange, device, topic, still)
            return await self._commands(exchange, proof, device)
        except Refused as refused:
            return _REFUSED[refused.reason]

    async def _commands(self, exchange: Exchange, proof: Proof, device: Decision) -> Answer | None:
        """What waits for the device, or will within the time it waits itself. Raises Refused, Gone."""
        wait_s = _wait_s(exchange)
        if wait_s is None:
            return _WAIT
        if self.polls.is_full:
            return _CROWDED
        await exchange.read(0)
        loop = asyncio.get_running_loop()
        ends_at = device.expires_at or float("inf")
        until = loop.time() + min(wait_s, ends_at - time.time())
        left = loop.create_task(exchange.left())
        try:
            while True:
                with self.polls.waiting(device) as poll:
                    why = await _until(poll, left, until - loop.time())
                    if why == "commands":
                        return await _give(exchange, poll)
                if why != "changed":
                    return _NOT_READ if why is None else _ENDED[why]
                device = await self._logins.identify(proof, exchange.address)
        finally:
            left.cancel()


async def _until(poll: Poll, left: asyncio.Task[None], wait_s: float) -> End | None:
    """Why a question waits no longer; None when nobody knows whether there is something. Raises Gone."""
    either: set[asyncio.Future[Any]] = {poll.ended, left}
    for patience_s in (wait_s, LOOK_WITHIN_S):
        await asyncio.wait(either, timeout=max(0, patience_s), return_when=asyncio.FIRST_COMPLETED)
        if left.done():
            raise Gone
        if poll.ended.done():
            return poll.ended.result()
        poll.hurry()
    return None


async def _give(exchange: Exchange, poll: Poll) -> Answer | None:
    """Answer with the commands, and tell that they were."""
    payloads = [payload for payload, answer in poll.given if not answer.done()]
    if not payloads:  # called off at the last moment
        return _ENDED["nothing"]
    await exchange.answer(Answer(200, b'{"commands":[' + b",".join(payloads) + b"]}"))
    poll.settle(True)
    return None


def _wait_s(exchange: Exchange) -> int | None:
    """How long the device would wait, None where it says it unfit."""
    asked = parse_qs(exchange.scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    given = asked.get("wait", [str(wire.WAIT_S)])[-1]
    wait_s = int(given) if given.isdecimal() and len(given) < 4 else wire.MAX_WAIT_S + 1
    return wait_s if wait_s <= wire.MAX_WAIT_S else None


def _only(method: bytes, exchange: Exchange) -> Answer | None:
    if exchange.method.encode() == method:
        return None
    return problem(405, "METHOD_NOT_ALLOWED", f"Use {method.decode()} here.")._replace(more=((b"allow", method),))
