"""Signing in and out by form: a session cookie for the console, and nothing else."""

import logging
from urllib.parse import parse_qs, urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.errors import EngineError
from engine.store.pool import Store
from engine.tenants import doorway, sessions
from resolvers.auth import COOKIE, Origins, set_cookie
from resolvers.errors import refused
from resolvers.http import BodyTooLarge, problem_response, read_body
from schema.errors import BadInput, Refusal

log = logging.getLogger(__name__)

_FOREIGN = Refusal(403, "FOREIGN_ORIGIN", "Signing in and out works from this site's own pages only.", {})
_SESSION_S = int(sessions.LIFE.total_seconds())


class Entrance:
    """``POST /auth/login`` and ``POST /auth/logout``."""

    def __init__(self, store: Store, origins: Origins) -> None:
        self._store = store
        self._origins = origins

    def routes(self) -> list[Route]:
        """The two routes."""
        return [
            Route("/auth/login", self.login, methods=["POST"]),
            Route("/auth/logout", self.logout, methods=["POST"]),
        ]

    async def login(self, request: Request) -> Response:
        """Open a session: 303 to ``next`` with the cookie, or 303 back to the form with an error's name.

        Who accepts JSON gets 204 with the cookie, or a problem document.
        """
        if self._origins.is_foreign(request.headers):
            return problem_response(_FOREIGN)
        try:
            given = await _fields(request)
            session = await doorway.login(
                self._store,
                given.get("email", ""),
                given.get("password", ""),
                address=request.client.host if request.client else "",
                agent=request.headers.get("user-agent", ""),
                tenant_key=given.get("tenant") or None,
            )
        except BodyTooLarge:
            return problem_response(Refusal(413, "BODY_TOO_LARGE", "That is too long for a sign-in.", {}))
        except EngineError as error:
            return _failed(request, error)
        log.info("session.opened", extra={"tenant": str(session.membership.tenant_id)})
        cookie = set_cookie(session.secret, is_secure=self._origins.is_secure, max_age_s=_SESSION_S)
        if _wants_json(request):
            return Response(status_code=204, headers={"Set-Cookie": cookie})
        return _see_other(_safe_path(given.get("next", "")), cookie)

    async def logout(self, request: Request) -> Response:
        """End the session and forget the cookie."""
        if not self._origins.is_same(request.headers):
            return problem_response(_FOREIGN)
        if secret := request.cookies.get(COOKIE):
            await doorway.logout(self._store, secret)
        return _see_other("/sign-in", set_cookie("", is_secure=self._origins.is_secure, max_age_s=0))


async def _fields(request: Request) -> dict[str, str]:
    """The form's or the JSON object's texts."""
    body = await read_body(request, 16 * 1024)
    try:
        if request.headers.get("content-type", "").startswith("application/json"):
            given = orjson.loads(body)
            if not isinstance(given, dict):
                raise BadInput("Send an object with email and password.")
            return {key: value for key, value in given.items() if isinstance(value, str)}
        return {key: values[-1] for key, values in parse_qs(body.decode(), max_num_fields=20).items()}
    except ValueError:
        raise BadInput("Send email and password as a form or as JSON.") from None


def _failed(request: Request, error: EngineError) -> Response:
    refusal = refused(error)
    if _wants_json(request):
        status = {"BAD_CREDENTIALS": 401, "TOO_MANY_TRIES": 429}.get(refusal.code, refusal.status)
        return problem_response(Refusal(status, refusal.code, refusal.message, refusal.details))
    return _see_other("/sign-in?" + urlencode({"error": refusal.slug}))


def _wants_json(request: Request) -> bool:
    accept = request.headers.get("accept", "")
    return "application/json" in accept and "text/html" not in accept


def _safe_path(path: str) -> str:
    """A path on this site; anything that could lead a browser elsewhere becomes the front page."""
    is_local = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if is_local else "/"


def _see_other(path: str, cookie: str | None = None) -> Response:
    headers = {"Location": path, "Cache-Control": "no-store"}
    if cookie:
        headers["Set-Cookie"] = cookie
    return Response(status_code=303, headers=headers)
