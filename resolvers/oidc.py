"""Signing in by a tenant's identity provider: off to the provider, and back with its answer. It makes cookies only."""

import logging
from urllib.parse import quote, urlencode
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from engine.errors import EngineError
from engine.identity_providers import errors, sign_in
from engine.identity_providers.model import CALLBACK_PATH, sign_in_path
from engine.tenants import sessions
from engine.tenants.passwords import throttle
from resolvers.auth import Origins, set_cookie
from resolvers.context import Services
from resolvers.entrance import safe_path, wants_json
from resolvers.errors import refused
from resolvers.http import problem_response
from resolvers.plain_page import page

log = logging.getLogger(__name__)

TICKET = "tidegate_oidc"
_SESSION_S = int(sessions.LIFE.total_seconds())
_SAID = ("state", "code", "error", "iss")


class VouchedEntrance:
    """``GET /auth/oidc/start/{tenant key}[/{provider}]`` sends to a provider, ``GET /auth/oidc/callback`` takes back.

    Neither looks at where a request comes from: beginning changes nothing, and the answer counts only in the browser
    that has the ticket of its beginning.
    """

    def __init__(self, services: Services, origins: Origins, origin: str) -> None:
        self._services = services
        self._origins = origins
        self._callback = f"{origin}{CALLBACK_PATH}"

    def routes(self) -> list[Route]:
        """The routes."""
        return [
            Route("/auth/oidc/start", self.choose, methods=["GET"]),
            Route("/auth/oidc/start/{tenant}", self.choose, methods=["GET"]),
            Route("/auth/oidc/start/{tenant}/{provider}", self.start, methods=["GET"]),
            Route(CALLBACK_PATH, self.callback, methods=["GET"]),
        ]

    async def choose(self, request: Request) -> Response:
        """The ways into a tenant, named in the path or as ``tenant``: 303 to the only one, or links to choose from.

        Who accepts JSON gets ``{"providers": [{"name", "path"}]}``. An unknown key is answered as a tenant without any.
        """
        key = request.path_params.get("tenant") or request.query_params.get("tenant", "").strip().lower()
        try:
            found = await sign_in.offered(self._services.store, key)
            after = _after(request)
            ways = {provider.name: sign_in_path(key, provider.id) + after for provider in found}
            if wants_json(request):
                said = [{"name": each.name, "path": sign_in_path(key, each.id)} for each in found]
                return JSONResponse({"providers": said}, headers=_UNKEPT)
            if not found:
                raise errors.ProviderNotFound(
                    "No organisation of this name signs in by an identity provider. Look at the name again, or sign in "
                    "by password."
                )
        except EngineError as error:
            return _failed(request, error)
        if len(found) == 1:
            return RedirectResponse(next(iter(ways.values())), 303, _UNKEPT)
        return page("Sign in", "Choose how.", links={_button(name): to for name, to in ways.items()})

    async def start(self, request: Request) -> Response:
        """303 to the provider, with a ticket in a cookie; ``next`` is where to go in the end."""
        try:
            begun = await sign_in.begin(
                self._services.store,
                self._services.vault,
                self._services.discovery,
                tenant_key=request.path_params["tenant"],
                provider_id=_id(request.path_params["provider"]),
                callback=self._callback,
                next_=request.query_params.get("next", ""),
            )
        except EngineError as error:
            return _failed(request, error)
        response = RedirectResponse(begun.address, 303, _UNKEPT)
        response.headers.append("Set-Cookie", self._ticket(begun.ticket, sign_in.TICKET_S))
        return response

    async def callback(self, request: Request) -> Response:
        """Back from the provider: 303 into the console with a session's cookie, or a page that says what was wrong."""
        who = f"oidc|{request.client.host if request.client else ''}"
        given = request.query_params
        try:
            throttle.check(who)
            session, next_ = await sign_in.finish(
                self._services.store,
                self._services.vault,
                self._services.discovery,
                ticket=request.cookies.get(TICKET, ""),
                said={name: given.getlist(name)[0] for name in _SAID if len(given.getlist(name)) == 1},
                callback=self._callback,
                address=request.client.host if request.client else "",
                agent=request.headers.get("user-agent", ""),
            )
        except EngineError as error:
            if not isinstance(error, errors.SignInOver):  # which any site could have its visitors cause
                throttle.failed(who)
            response = _failed(request, error)
        else:
            log.info("session.opened", extra={"tenant": str(session.membership.tenant_id), "by": "identity provider"})
            response = RedirectResponse(safe_path(next_), 303, _UNKEPT)
            cookie = set_cookie(session.secret, is_secure=self._origins.is_secure, max_age_s=_SESSION_S)
            response.headers.append("Set-Cookie", cookie)
        response.headers.append("Set-Cookie", self._ticket("", 0))
        return response

    def _ticket(self, ticket: str, max_age_s: int) -> str:
        """Lax: it must come along when the provider sends the browser back to us."""
        parts = (f"{TICKET}={ticket}", f"Max-Age={max_age_s}", f"Path={CALLBACK_PATH}", "HttpOnly", "SameSite=Lax")
        return "; ".join((*parts, *(["Secure"] * self._origins.is_secure)))


_UNKEPT = {"Cache-Control": "no-store"}


def _button(name: str) -> str:
    """What the link says; a name that already begins so is not doubled."""
    return name if name.lower().startswith("sign in") else f"Sign in with {name}"


def _after(request: Request) -> str:
    wanted = request.query_params.get("next")
    return "?" + urlencode({"next": wanted}, quote_via=quote) if wanted else ""


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise errors.ProviderNotFound from None


def _failed(request: Request, error: EngineError) -> Response:
    refusal = refused(error)
    if wants_json(request):
        return problem_response(refusal)
    links = {"Back to signing in": "/sign-in"}
    return page("You are not signed in", refusal.message, status=refusal.status, links=links)
