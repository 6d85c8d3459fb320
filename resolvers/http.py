"""GraphQL over HTTP: one operation a request, answered as JSON, after the GraphQL-over-HTTP specification."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
from graphql import OperationType
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from engine.errors import EngineError
from resolvers.auth import Caller, bearer, cookie
from resolvers.context import RequestContext
from resolvers.errors import problem, refused, retry_after
from resolvers.execution import Answer, Prepared, Refused, checked_variables
from resolvers.front import Front
from resolvers.limits import MAX_BODY_BYTES, MAX_LONG_BODY_BYTES
from resolvers.sse import HEADERS, Streamed
from schema.errors import BadInput, Refusal, Unauthenticated

RESPONSE_TYPE = "application/graphql-response+json"
_JSON_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class Asked:
    """One operation as a request brings it."""

    query: str
    operation_name: str | None
    variables: Mapping[str, Any] | None


class BodyTooLarge(Exception):
    """A request's body is longer than we read."""


async def read_body(request: Request, limit: int = MAX_BODY_BYTES) -> bytes:
    """The request's body; raises BodyTooLarge as soon as it is longer than ``limit`` bytes, BadInput at a break."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise BodyTooLarge
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > limit:
                raise BodyTooLarge
            parts.append(part)
    except ClientDisconnect:  # nobody hears this any more; it is no failure of ours either
        raise BadInput("The request's body broke off.") from None
    return b"".join(parts)


class GraphQLOverHttp:
    """Answers GET (queries, bearer token only) and POST on /graphql."""

    def __init__(self, front: Front) -> None:
        self._front = front

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as an application of its own: what Starlette puts around a function costs a twentieth."""
        response = await self.answer(Request(scope, receive))
        await response(scope, receive, send)

    async def answer(self, request: Request) -> Response:
        """One request, one answer."""
        is_stream = "text/event-stream" in request.headers.get("accept", "").lower()
        media = _JSON_TYPE if is_stream else _answer_type(request)
        if media is None:
            return _error(406, "NOT_ACCEPTABLE", f"Answers are {RESPONSE_TYPE} or {_JSON_TYPE}.", _JSON_TYPE)
        try:
            caller = await self._caller(request)
            asked = await _asked(request, MAX_LONG_BODY_BYTES if caller else MAX_BODY_BYTES)
        except BodyTooLarge:
            said = f"An operation has at most {MAX_BODY_BYTES} bytes, a body {MAX_LONG_BODY_BYTES}."
            return _error(413, "BODY_TOO_LARGE", said, media)
        except _Unsupported as error:
            return _error(415, "UNSUPPORTED_MEDIA_TYPE", str(error), media)
        except EngineError as error:
            refusal = refused(error)
            later = {"Retry-After": "5"} if refusal.status == 503 else None
            return _error(refusal.status, refusal.code, refusal.message, media, later)
        context = RequestContext(self._front.services, caller.principal if caller else None)
        try:
            prepared = self._front.operations.prepare(asked.query)
            operation = prepared.operation(asked.operation_name)
            if request.method == "GET" and operation.operation is not OperationType.QUERY:
                return _error(405, "METHOD_NOT_ALLOWED", "GET answers queries only.", media, {"Allow": "POST"})
            if is_stream and operation.operation is OperationType.SUBSCRIPTION:
                return await self._stream(prepared, asked, context, request)
            answer = await self._front.operations.run(prepared, asked.operation_name, asked.variables, context)
        except Refused as error:
            answer = error.answer()
            said = answer["errors"][0]["extensions"]
            if said["status"] == 429:
                return _json(answer, 429, media, retry_after(429, said.get("details", {})))
            if is_stream:
                return _as_event(answer)
            return _json(answer, 400 if media == RESPONSE_TYPE else 200, media)
        return _as_event(answer) if is_stream else _json(answer, 200, media)

    async def _stream(self, prepared: Prepared, asked: Asked, context: RequestContext, request: Request) -> Streamed:
        """A subscription as server-sent events, in graphql-sse's distinct connections mode."""
        stream = await self._front.operations.stream(prepared, asked.operation_name, asked.variables, context)
        secret = self._secret(request)
        caller = await self._caller(request)
        assert secret is not None
        assert caller is not None
        watch = partial(self._front.watches.watch, secret, caller)
        return Streamed(stream, lambda _event, answer: _NEXT % answer, _COMPLETE, watch)

    def _secret(self, request: Request) -> str | None:
        """A bearer token; on POST from one of our own pages also the session's cookie."""
        secret = bearer(request.headers)
        if secret is None and request.method == "POST":
            secret = cookie(request, self._front.origins)
        return secret

    async def _caller(self, request: Request) -> Caller | None:
        """Who asks. A secret that is no good raises Unauthenticated; no secret at all is nobody."""
        secret = self._secret(request)
        if secret is None:
            return None
        caller = await self._front.authenticator.caller(secret)
        if caller is None:
            raise Unauthenticated
        return caller.at(request)


_NEXT = b"event: next\ndata: %b\n\n"
_COMPLETE = b"event: complete\ndata:\n\n"


def _as_event(answer: Answer) -> Response:
    """The one answer of a query or mutation to a caller who accepts events only."""
    return Response(_NEXT % orjson.dumps(answer) + _COMPLETE, media_type="text/event-stream", headers=HEADERS)


class _Unsupported(Exception):
    pass


async def _asked(request: Request, limit: int) -> Asked:
    if request.method == "GET":
        return _asked_of(_from_query(request))
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != _JSON_TYPE:
        raise _Unsupported(f"Send the operation as {_JSON_TYPE}.")
    try:
        body = orjson.loads(await read_body(request, limit))
    except orjson.JSONDecodeError:
        raise BadInput("The request's body is not valid JSON.") from None
    return _asked_of(body)


def _from_query(request: Request) -> dict[str, Any]:
    given: dict[str, Any] = dict(request.query_params)
    for name in ("variables", "extensions"):
        if given.get(name):
            try:
                given[name] = orjson.loads(given[name])
            except orjson.JSONDecodeError:
                raise BadInput(f"`{name}` is not valid JSON.") from None
    return given


def _asked_of(body: object) -> Asked:
    if not isinstance(body, dict):
        raise BadInput("The request's body must be one object with `query` in it.")
    query, name, extensions = body.get("query"), body.get("operationName"), body.get("extensions")
    if not isinstance(query, str) or not query:
        raise BadInput("`query` must be the text of a GraphQL operation.")
    if len(query) > MAX_BODY_BYTES:
        raise BodyTooLarge
    if name is not None and not isinstance(name, str):
        raise BadInput("`operationName` must be text.")
    if extensions is not None and not isinstance(extensions, dict):
        raise BadInput("`extensions` must be an object.")
    return Asked(query, name or None, checked_variables(body.get("variables")))


def _answer_type(request: Request) -> str | None:
    """The media type to answer with; None when the caller takes neither."""
    accept = request.headers.get("accept", "*/*").lower()
    if RESPONSE_TYPE in accept:
        return RESPONSE_TYPE
    wildcards = ("*/*", "application/*", _JSON_TYPE)
    return _JSON_TYPE if not accept or any(kind in accept for kind in wildcards) else None


def _error(status: int, code: str, message: str, media: str, headers: Mapping[str, str] | None = None) -> Response:
    refusal = Refusal(status, code, message, {})
    return _json({"errors": [{"message": message, "extensions": refusal.extensions()}]}, status, media, headers)


def _json(answer: Answer, status: int, media: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(answer), status, dict(headers or {}), f"{media}; charset=utf-8")


def problem_response(refusal: Refusal, headers: Mapping[str, str] | None = None) -> Response:
    """A refusal as ``application/problem+json``."""
    body = orjson.dumps(problem(refusal))
    return Response(body, refusal.status, dict(headers or {}), "application/problem+json")
