"""The webhooks themselves: a shared secret at the door, JSON in, the broker's own words out."""

import base64
import binascii
import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ingest.adapters.authorize import aws, emqx, vernemq
from ingest.adapters.authorize.admitted import Admitted, Checker
from ingest.adapters.base import Refused

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 512 * 1024
"""VerneMQ sends the message's payload along unless told not to (`no_payload = on`)."""

Answer = Callable[[Request, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


def routes(authorizer: Checker, secret: str, aws_arn: str = "") -> list[BaseRoute]:
    """The routes under ``/authorize``; none when no secret is set, AWS's only where its account is named."""
    if not secret:
        return []
    hooks = Hooks(Admitted(authorizer), secret, aws_arn)
    more = [Route("/authorize/aws", hooks.answering(hooks.aws), methods=["POST"])] if aws_arn else []
    return [
        *more,
        Route("/authorize/emqx/authn", hooks.answering(hooks.emqx_login), methods=["POST"]),
        Route("/authorize/emqx/authz", hooks.answering(hooks.emqx_topic), methods=["POST"]),
        Route("/authorize/vernemq", hooks.answering(hooks.vernemq), methods=["POST"]),
    ]


class Hooks:
    """What is behind the routes."""

    def __init__(self, admitted: Admitted, secret: str, aws_arn: str = "") -> None:
        self._admitted = admitted
        self._aws_arn = aws_arn
        self._secret = secret.encode()

    def answering(self, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        """The endpoint of one question: 401 without the secret, 400 or 413 for what is no question, else 200."""

        async def endpoint(request: Request) -> Response:
            if not self._knows(request.headers.get("authorization", "")):
                words = "Send the shared secret of TIDEGATE_AUTHORIZE_SECRET as Bearer token or Basic password."
                return _json({"error": words}, 401, {"WWW-Authenticate": "Bearer"})
            body = await _read(request)
            if body is None:
                return _json({"error": f"A question has at most {MAX_BODY_BYTES} bytes."}, 413)
            try:
                asked = orjson.loads(body)
            except orjson.JSONDecodeError:
                asked = None
            if not isinstance(asked, dict):
                return _json({"error": "A question is a JSON object."}, 400)
            return _json(await answer(request, asked))

        return endpoint

    async def emqx_login(self, _request: Request, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """EMQX asks about a CONNECT."""
        try:
            login = emqx.login(asked)
            device = await self._admitted.authorize(login.client_id, login.username, login.secret, login.certificate)
        except (Refused, ValueError) as refusal:
            log.info("authorize.refused", extra={"broker": "emqx", "why": _why(refusal)})
            return emqx.DENY
        return emqx.admitted(device)

    async def aws(self, _request: Request, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """AWS IoT Core's custom authorizer asks about a connection, or whether one may go on."""
        try:
            login = aws.login(asked)
            device = await self._admitted.authorize(login.client_id, login.username, login.secret, login.certificate)
            return aws.admitted(device, self._aws_arn)
        except aws.TooShort:
            log.info("authorize.refused", extra={"broker": "aws", "why": "ends within five minutes"})
        except (Refused, ValueError) as refusal:
            log.info("authorize.refused", extra={"broker": "aws", "why": _why(refusal)})
        return aws.DENY

    async def emqx_topic(self, _request: Request, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """EMQX asks about one PUBLISH or SUBSCRIBE of a client that is in."""
        wish = emqx.wish(asked)
        return emqx.verdict(wish is not None and await self._admitted.may(*wish))

    async def vernemq(self, request: Request, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """VerneMQ asks; which question it is, a header says."""
        hook = request.headers.get("vernemq-hook", "")
        username = vernemq.text(asked, "username")
        if hook in vernemq.REGISTER:
            return await self._register(asked, username)
        if hook in vernemq.PUBLISH:
            is_allowed = await self._admitted.may(username, "publish", vernemq.text(asked, "topic"))
            return vernemq.OK if is_allowed else vernemq.NOT_ALLOWED
        if hook in vernemq.SUBSCRIBE:
            wanted = vernemq.filters(asked)
            allowed = [await self._admitted.may(username, "subscribe", topic) for topic, _ in wanted]
            return vernemq.subscribed(hook, wanted, allowed)
        return vernemq.NEXT

    async def _register(self, asked: Mapping[str, Any], username: str) -> Mapping[str, Any]:
        secret = vernemq.text(asked, "password").encode()
        try:
            await self._admitted.authorize(vernemq.text(asked, "client_id"), username, secret)
        except Refused as refusal:
            log.info("authorize.refused", extra={"broker": "vernemq", "why": refusal.reason})
            return vernemq.NOT_ALLOWED
        return vernemq.OK

    def _knows(self, authorization: str) -> bool:
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() == "basic":  # all that VerneMQ can send: http://any:SECRET@host/…
            try:
                given = base64.b64decode(given, validate=True).decode().partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                return False
        elif scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(given.encode(), self._secret)


async def _read(request: Request) -> bytes | None:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            return None
        parts.append(part)
    return b"".join(parts)


def _why(refusal: Refused | ValueError) -> str:
    return refusal.reason if isinstance(refusal, Refused) else "malformed"


def _json(answer: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(answer), status, dict(headers or {}), "application/json")
