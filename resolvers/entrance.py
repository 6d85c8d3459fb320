"""Coming in and going out by form: signing in, accepting an invitation, signing out. It makes cookies, nothing else."""

import logging
from urllib.parse import parse_qs, urlencode

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from engine.errors import EngineError
from engine.store.pool import Store
from engine.tenants import doorway, errors, invitations, sessions
from engine.tenants.model import LoggedIn, Offer
from engine.tenants.second_factor import Vault
from resolvers.auth import COOKIE, Origins, set_cookie
from resolvers.errors import refused
from resolvers.http import BodyTooLarge, problem_response, read_body
from resolvers.plain_page import Field, page
from schema.errors import BadInput, Refusal

log = logging.getLogger(__name__)

_FOREIGN = Refusal(403, "FOREIGN_ORIGIN", "Signing in and out works from this site's own pages only.", {})
_TOO_LONG = Refusal(413, "BODY_TOO_LARGE", "That is too long for a sign-in.", {})
_SESSION_S = int(sessions.LIFE.total_seconds())
_STATUS = {"BAD_CREDENTIALS": 401, "SECOND_FACTOR_NEEDED": 401, "CODE_WRONG": 401, "TOO_MANY_TRIES": 429}
_CODE = Field("code", "Code", "text", "one-time-code")


class Entrance:
    """``POST /auth/login`` and its ``second`` step, ``/auth/accept`` for whoever was invited; ``POST /auth/switch`` to
    another tenant of one's own, ``POST /auth/logout``.
    """

    def __init__(self, store: Store, origins: Origins, vault: Vault) -> None:
        self._store = store
        self._origins = origins
        self._vault = vault

    def routes(self) -> list[Route]:
        """The routes."""
        return [
            Route("/auth/login", self.login, methods=["POST"]),
            Route("/auth/second", self.second, methods=["POST"]),
            Route("/auth/switch", self.switch, methods=["POST"]),
            Route("/auth/logout", self.logout, methods=["POST"]),
            Route("/auth/accept", self.offer, methods=["GET"]),
            Route("/auth/accept", self.accept, methods=["POST"]),
        ]

    async def login(self, request: Request) -> Response:
        """Open a session: 303 to ``next`` with the cookie, or 303 back to the form with an error's name.

        Who has a second factor may send its ``code`` at once, or gets a form that asks for it. Who accepts JSON gets
        204 with the cookie, or a problem document; SECOND_FACTOR_NEEDED has a ``challenge`` for ``/auth/second``.
        """
        if self._origins.is_foreign(request.headers):
            return problem_response(_FOREIGN)
        given: dict[str, str] = {}
        try:
            given = await _fields(request)
            session = await doorway.login(
                self._store,
                given.get("email", ""),
                given.get("password", ""),
                code=given.get("code", ""),
                vault=self._vault,
                address=_address(request),
                agent=request.headers.get("user-agent", ""),
                tenant_key=given.get("tenant") or None,
            )
        except BodyTooLarge:
            return problem_response(_TOO_LONG)
        except errors.SecondFactorNeeded as error:
            if wants_json(request):
                return problem_response(_refusal(error))
            return _code_form(str(error.details["challenge"]), given.get("next", ""))
        except EngineError as error:
            return _failed(request, error)
        return self._opened(request, session, given.get("next", ""))

    async def second(self, request: Request) -> Response:
        """The second step of signing in (``challenge``, ``code``): as after ``login``; a wrong code asks again."""
        if self._origins.is_foreign(request.headers):
            return problem_response(_FOREIGN)
        given: dict[str, str] = {}
        try:
            given = await _fields(request)
            session = await doorway.second_step(
                self._store,
                given.get("challenge", ""),
                given.get("code", ""),
                vault=self._vault,
                address=_address(request),
                agent=request.headers.get("user-agent", ""),
            )
        except BodyTooLarge:
            return problem_response(_TOO_LONG)
        except (errors.CodeWrong, errors.SecondFactorNeeded) as error:
            if wants_json(request):
                return problem_response(_refusal(error))
            return _code_form(given.get("challenge", ""), given.get("next", ""), _refusal(error))
        except EngineError as error:
            return _failed(request, error)
        return self._opened(request, session, given.get("next", ""))

    async def switch(self, request: Request) -> Response:
        """Leave this session for one in another ``tenant`` (its key) of the same person's: as after ``login``."""
        if not self._origins.is_same(request.headers):
            return problem_response(_FOREIGN)
        try:
            given = await _fields(request)
            session = await doorway.switch(
                self._store,
                request.cookies.get(COOKIE, ""),
                given.get("tenant", ""),
                address=_address(request),
                agent=request.headers.get("user-agent", ""),
            )
        except BodyTooLarge:
            return problem_response(_TOO_LONG)
        except EngineError as error:
            return _failed(request, error)
        return self._opened(request, session, given.get("next", ""))

    async def logout(self, request: Request) -> Response:
        """End the session and forget the cookie."""
        if not self._origins.is_same(request.headers):
            return problem_response(_FOREIGN)
        if secret := request.cookies.get(COOKIE):
            await doorway.logout(self._store, secret)
        return _see_other("/sign-in", set_cookie("", is_secure=self._origins.is_secure, max_age_s=0))

    async def offer(self, request: Request) -> Response:
        """What an invitation's link leads to: a form; who accepts JSON gets what is offered."""
        return await self._offer(request, request.query_params.get("token", ""))

    async def accept(self, request: Request) -> Response:
        """Accept an invitation: 303 to the console.

        Takes ``token``, ``password``, the ``name`` of somebody new, and the ``code`` of a second factor. Who accepts
        JSON gets 204 with the cookie, or a problem document; others the form again.
        """
        if self._origins.is_foreign(request.headers):
            return problem_response(_FOREIGN)
        given: dict[str, str] = {}
        try:
            given = await _fields(request)
            session = await invitations.accept(
                self._store,
                given.get("token", ""),
                password=given.get("password", ""),
                name=given.get("name", ""),
                code=given.get("code", ""),
                vault=self._vault,
                address=_address(request),
                agent=request.headers.get("user-agent", ""),
            )
        except BodyTooLarge:
            return problem_response(_TOO_LONG)
        except EngineError as error:
            if wants_json(request):
                return problem_response(_refusal(error))
            return await self._offer(request, given.get("token", ""), _refusal(error))
        log.info("invitation.accepted", extra={"tenant": str(session.membership.tenant_id)})
        return self._opened(request, session, "/")

    async def _offer(self, request: Request, token: str, problem: Refusal | None = None) -> Response:
        try:
            offer = await invitations.look(self._store, token)
        except EngineError as error:
            if wants_json(request):
                return problem_response(refused(error))
            return page("Invitation", refused(error).message, status=refused(error).status)
        if wants_json(request):
            said = {"tenant": offer.tenant_name, "email": offer.email, "role": offer.role, "isKnown": offer.is_known}
            said |= {"needsCode": offer.needs_code}
            return JSONResponse(said, headers={"Cache-Control": "no-store"})
        return _form(offer, token, problem)

    def _opened(self, request: Request, session: LoggedIn, next_: str) -> Response:
        log.info("session.opened", extra={"tenant": str(session.membership.tenant_id)})
        cookie = set_cookie(session.secret, is_secure=self._origins.is_secure, max_age_s=_SESSION_S)
        if wants_json(request):
            return Response(status_code=204, headers={"Set-Cookie": cookie})
        return _see_other(safe_path(next_), cookie)


def _form(offer: Offer, token: str, problem: Refusal | None) -> Response:
    if offer.is_known:
        words = f"You have an account as {offer.email}. Enter its password to join."
        fields = [Field("password", "Password", "password", "current-password"), *([_CODE] * offer.needs_code)]
    else:
        words = f"Choose a name and a password of 12 characters or more for {offer.email}."
        fields = [Field("name", "Name", "text", "name"), Field("password", "Password", "password", "new-password")]
    return page(
        f"Join {offer.tenant_name}",
        words,
        action="/auth/accept",
        fields=fields,
        hidden={"token": token, "username": offer.email},
        button="Join",
        problem=problem.message if problem else "",
        status=problem.status if problem else 200,
    )


def _code_form(challenge: str, next_: str, problem: Refusal | None = None) -> Response:
    return page(
        "One more step",
        "Enter the code that your authenticator app shows, or one of your recovery codes.",
        action="/auth/second",
        fields=[_CODE],
        hidden={"challenge": challenge, "next": next_},
        button="Sign in",
        problem=problem.message if problem else "",
        status=problem.status if problem else 200,
    )


async def _fields(request: Request) -> dict[str, str]:
    """The form's or the JSON object's texts."""
    body = await read_body(request, 16 * 1024)
    try:
        if request.headers.get("content-type", "").startswith("application/json"):
            given = orjson.loads(body)
            if not isinstance(given, dict):
                raise BadInput("Send a JSON object.")
            return {key: value for key, value in given.items() if isinstance(value, str)}
        return {key: values[-1] for key, values in parse_qs(body.decode(), max_num_fields=20).items()}
    except ValueError:
        raise BadInput("Send a form or a JSON object.") from None


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _failed(request: Request, error: EngineError) -> Response:
    if wants_json(request):
        return problem_response(_refusal(error))
    return _see_other("/sign-in?" + urlencode({"error": refused(error).slug}))


def _refusal(error: EngineError) -> Refusal:
    refusal = refused(error)
    return Refusal(_STATUS.get(refusal.code, refusal.status), refusal.code, refusal.message, refusal.details)


def wants_json(request: Request) -> bool:
    """Whether a program asks, not a browser's page."""
    accept = request.headers.get("accept", "")
    return "application/json" in accept and "text/html" not in accept


def safe_path(path: str) -> str:
    """A path on this site; anything that could lead a browser elsewhere becomes the front page."""
    is_local = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if is_local else "/"


def _see_other(path: str, cookie: str | None = None) -> Response:
    headers = {"Location": path, "Cache-Control": "no-store"}
    if cookie:
        headers["Set-Cookie"] = cookie
    return Response(status_code=303, headers=headers)
