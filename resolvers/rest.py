"""The REST mirror: every route executes its stored GraphQL document, and nothing is written twice."""

import functools
import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, Router
from starlette.types import Receive, Scope, Send

from engine.errors import EngineError
from engine.tenants.repeats import Answer, Repeatable
from resolvers import requests
from resolvers.auth import Caller, bearer
from resolvers.context import RequestContext
from resolvers.errors import refused, retry_after
from resolvers.execution import Prepared, Refused
from resolvers.front import Front
from resolvers.http import BodyTooLarge, problem_response
from resolvers.routes import PREFIX, Restful, locations, routes
from resolvers.sse import Streamed
from schema.directives import Method
from schema.errors import BadInput, Refusal, Unauthenticated

_STALE = frozenset({"VERSION_STALE", "RULE_CHANGED"})
_KEPT_HEADERS = ("location", "etag", "content-type")


class Mirror:
    """All routes under ``/api/v1``."""

    def __init__(self, front: Front, openapi: Callable[[], bytes]) -> None:
        self._front = front
        self._openapi = openapi
        self._restful = routes(front.operations.graphql)
        self._locations = locations(self._restful)

    def mount(self) -> Mount:
        """The mirror as one mount. A document is parsed and validated when its route is first asked for: all of them at
        the start took as long as a fifth of it, and a web process that was killed is to answer again soon."""
        by_path: dict[str, dict[str, Callable[[Request], Awaitable[Response]]]] = {}
        for route in self._restful:
            by_path.setdefault(route.path, {})[route.method.value] = self._endpoint(route)
        served = [Route(path, _Resource(methods)) for path, methods in by_path.items()]
        served.append(Route("/openapi.json", self.document, methods=["GET"]))
        mount = Mount(PREFIX, Router(served, redirect_slashes=False, default=_nowhere))
        # Starlette's own pattern stops at a line break, and such a path would be answered by somebody else.
        mount.path_regex = re.compile(mount.path_regex.pattern, re.DOTALL)
        return mount

    async def document(self, _request: Request) -> Response:
        """The OpenAPI document."""
        return Response(self._openapi(), media_type="application/json")

    def _endpoint(self, route: Restful) -> Callable[[Request], Awaitable[Response]]:
        prepared = functools.cache(functools.partial(self._front.operations.prepare, route.document))

        async def answer(request: Request) -> Response:
            try:
                return await self._answer(route, prepared(), request)
            except Refused as error:
                return _refuse(_refused(error))
            except BodyTooLarge:
                return problem_response(Refusal(413, "BODY_TOO_LARGE", "The body is too long.", {}))
            except requests.NotJson as error:
                return problem_response(Refusal(415, error.code, error.message, {}))
            except EngineError as error:
                return _refuse(refused(error))

        return answer

    async def _answer(self, route: Restful, prepared: Prepared, request: Request) -> Response:
        caller, secret = await self._caller(request)
        body = await requests.body_of(route, request)
        given = await requests.variables(route, request, body)
        if "if-match" in request.headers and not route.takes_if_match:
            raise BadInput("If-Match is not supported here.")
        context = RequestContext(self._front.services, caller.principal)
        given |= {variable: all(map(context.may, needs)) for variable, needs in route.withheld.items()}
        if route.is_stream:
            return await self._stream(route, prepared, given, context, secret, caller)
        key = requests.idempotency_key(request) if route.kind == "mutation" and route.method is Method.POST else None
        if key is None:
            return await self._run(route, prepared, given, context, request)
        digest = hashlib.sha256(f"{request.method} {request.url.path}\n".encode() + body).digest()
        return await self._once(route, prepared, given, context, request, Repeatable(key, digest))

    async def _caller(self, request: Request) -> tuple[Caller, str]:
        secret = bearer(request.headers)
        caller = await self._front.authenticator.caller(secret) if secret else None
        if secret is None or caller is None:
            raise Unauthenticated
        return caller.at(request), secret

    async def _run(
        self, route: Restful, prepared: Prepared, given: Mapping[str, Any], context: RequestContext, request: Request
    ) -> Response:
        answer = await self._front.operations.run(prepared, None, given, context)
        if errors := answer.get("errors"):
            return _refuse(_from_error(errors[0], "if-match" in request.headers))
        shown = answer["data"]
        for name in route.fields:
            shown = shown[name]
        return self._shown(route, shown, request)

    async def _once(
        self,
        route: Restful,
        prepared: Prepared,
        given: Mapping[str, Any],
        context: RequestContext,
        request: Request,
        repeatable: Repeatable,
    ) -> Response:
        """Carry the request out unless it was carried out before under this key; then answer as before."""
        before = await repeatable.find(await context.tx())
        await context.close()
        if before is not None:
            return _repeated(before)
        context.claim = repeatable.claim
        response = await self._run(route, prepared, given, context, request)
        if response.status_code == 409 and context.was_claimed_before:
            async with self._front.services.store.as_tenant(context.principal, read_only=True) as tx:
                before = await repeatable.find(tx)  # another request with this key was faster
            return _repeated(before) if before else response
        if response.status_code < 400:
            kept = {name: value for name, value in response.headers.items() if name in _KEPT_HEADERS}
            body = None if route.shows_secret else bytes(response.body)
            async with self._front.services.store.as_tenant(context.principal) as tx:
                await repeatable.keep(tx, Answer(response.status_code, kept, body))
        return response

    def _shown(self, route: Restful, shown: Any, request: Request) -> Response:
        body: bytes = orjson.dumps(shown)
        headers = {"Cache-Control": "no-store" if route.shows_secret else "private, no-cache"}
        if route.status == 201 and (location := self._location(route, shown)):
            headers["Location"] = location
        if route.is_tagged:
            version = f"v{shown['version']}." if route.has_version else ""
            headers["ETag"] = f'"{version}{hashlib.sha256(body).hexdigest()[:12]}"'
            if request.method == "GET" and _matches(request.headers.get("if-none-match"), headers["ETag"]):
                return Response(status_code=304, headers=headers)
        if route.is_page and shown["pageInfo"]["hasNextPage"]:
            headers["Link"] = _next_link(request, shown["pageInfo"]["endCursor"])
        return Response(body, route.status, headers, "application/json")

    def _location(self, route: Restful, shown: Mapping[str, Any]) -> str | None:
        assert route.type is not None
        made = [(route.type.name, shown)]
        made += [(str(f.type).rstrip("!"), shown[name]) for name, f in route.type.fields.items() if name in shown]
        for type_name, thing in made:
            if type_name in self._locations and isinstance(thing, dict):
                return PREFIX + self._locations[type_name].replace("{id}", thing["id"])
        return None

    async def _stream(
        self,
        route: Restful,
        prepared: Prepared,
        given: Mapping[str, Any],
        context: RequestContext,
        secret: str,
        caller: Caller,
    ) -> Response:
        stream = await self._front.operations.stream(prepared, None, given, context)
        head = f'{{"data":{{"{route.fields[0]}":'.encode()

        def encode(event: Any, answer: bytes) -> bytes:
            if not answer.startswith(head) or not answer.endswith(b"}}"):
                raise RuntimeError("an event could not be answered")
            cursor: str = event.cursor
            return b"id: " + cursor.encode() + b"\ndata: " + answer[len(head) : -2] + b"\n\n"

        return Streamed(stream, encode, b"", functools.partial(self._front.watches.watch, secret, caller))


class _Resource:
    """All methods of one path, as an application, so that a method it does not know is a problem like any other."""

    def __init__(self, methods: Mapping[str, Callable[[Request], Awaitable[Response]]]) -> None:
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        endpoint = self._methods.get("GET" if request.method == "HEAD" else request.method)
        response = await endpoint(request) if endpoint else self._not_allowed()
        await response(scope, receive, send)

    def _not_allowed(self) -> Response:
        allowed = ", ".join(sorted(self._methods))
        refusal = Refusal(405, "METHOD_NOT_ALLOWED", f"Here you can {allowed}.", {})
        return problem_response(refusal, {"Allow": allowed})


async def _nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    refusal = Refusal(404, "NO_SUCH_PATH", "There is nothing at this path; see /api/v1/openapi.json.", {})
    await problem_response(refusal)(scope, receive, send)


def _refused(error: Refused) -> Refusal:
    return refused(error.errors[0])


def _from_error(error: Mapping[str, Any], was_bound: bool) -> Refusal:
    """A GraphQL error as the mirror tells it; a stale version is 412 where the caller asked by If-Match."""
    said = error["extensions"]
    status = 412 if was_bound and said["code"] in _STALE else said["status"]
    return Refusal(status, said["code"], error["message"], said.get("details", {}))


def _refuse(refusal: Refusal) -> Response:
    headers = retry_after(refusal.status, refusal.details)
    if refusal.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="tidegate"'
    return problem_response(refusal, headers)


def _repeated(before: Answer) -> Response:
    if before.body is None:
        said = "This was done before. Its secret was shown once and cannot be shown again; issue another one."
        place = {"Location": before.headers["location"]} if "location" in before.headers else {}
        return problem_response(Refusal(409, "IDEMPOTENCY_SECRET_SPENT", said, {}), place)
    return Response(before.body, before.status, {**before.headers, "Idempotency-Replayed": "true"})


def _matches(header: str | None, etag: str) -> bool:
    if header is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in tags or etag in tags


def _next_link(request: Request, cursor: str) -> str:
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "after"]
    return f'<{request.url.path}?{urlencode([*query, ("after", cursor)])}>; rel="next"'
