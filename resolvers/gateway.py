"""The gateway: GraphQL by HTTP and WebSocket, sign-in, health, and the guard at the gate that knows our Host names."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

from starlette.datastructures import Headers
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.certificates.vault import LocalVault
from engine.errors import EngineError
from engine.identity_providers.discovery import Discovery
from engine.journal.bus import Bus, MemoryBus, ValkeyBus
from engine.notifications.mail import Mail
from engine.outbound.fetch import Outbound
from engine.provisioning import contexts, relay
from engine.queue import LateCelery
from engine.quotas.model import Quotas
from engine.quotas.shares import Shares
from engine.settings import Settings
from engine.store.pool import Store
from engine.wake import Waker
from resolvers.arrivals import Arrivals
from resolvers.assembly import schema
from resolvers.auth import Authenticator, Origins
from resolvers.budgets import Budgets
from resolvers.changes import Changes
from resolvers.context import Services
from resolvers.entrance import Entrance
from resolvers.execution import Operations
from resolvers.export import openapi
from resolvers.front import Front
from resolvers.http import GraphQLOverHttp
from resolvers.live import Live
from resolvers.oidc import VouchedEntrance
from resolvers.rest import Mirror
from resolvers.sockets import GraphQLOverWebSocket
from resolvers.watch import Watches
from resolvers.well_known import WellKnown

log = logging.getLogger(__name__)

POOL = 20


class Gateway:
    """Everything one web process serves of ours, and what it must open and close for that."""

    def __init__(self, settings: Settings, *, bus: Bus | None = None) -> None:
        self.bus = bus or (ValkeyBus(settings.valkey_url) if settings.valkey_url else MemoryBus())
        self.origins = Origins(settings)
        self._well_known = WellKnown(settings)
        self._waker = Waker(self.bus, LateCelery(settings.valkey_url)) if settings.valkey_url else None
        self.store = Store(settings.database_url, size=POOL, wake=self._waker or self.bus.publish)
        self.changes = Changes(settings.database_url)
        shares = Shares(settings.valkey_url) if settings.valkey_url else None
        self.budgets = Budgets(self.store, self.changes, Quotas.of(settings), shares)
        live = Live(self.store, self.bus)
        discovery = Discovery(Outbound(may_loop_back=settings.outbound_loopback))
        sends_mail = Mail.of(settings) is not None
        vaults = LocalVault.of(settings), contexts.vault_of(settings)
        self.services = Services(self.store, live, *vaults, self.budgets, discovery, sends_mail)
        self._vouched = VouchedEntrance(self.services, self.origins, settings.origin)
        relayed = relay.secret_of(settings)
        self.arrivals = Arrivals(self.store, self.services.vault, self.changes, settings.jwt_audience, relayed)
        authenticator = Authenticator(self.store, self.changes)
        watches = Watches(authenticator, self.changes)
        self.front = Front(Operations(schema()), self.services, authenticator, self.origins, watches)

    def routes(self) -> list[BaseRoute]:
        """Our routes; whoever mounts the console puts it behind them."""
        mirror = self.mirror()
        return [
            Route("/graphql", GraphQLOverHttp(self.front), methods=["GET", "POST"]),
            WebSocketRoute("/graphql", GraphQLOverWebSocket(self.front)),
            mirror.mount(),
            Route("/openapi.json", mirror.document, methods=["GET"]),
            *Entrance(self.store, self.origins, self.services.vault).routes(),
            *self._vouched.routes(),
            *self.arrivals.routes(),
            *self._well_known.routes(),
            Route("/health/live", self.live, methods=["GET"]),
            Route("/health/ready", self.ready, methods=["GET"]),
        ]

    def before(self, app: ASGIApp) -> ASGIApp:
        """``app``, which has our routes, with a way past them for what is asked most."""
        return Straight(app, GraphQLOverHttp(self.front), GraphQLOverWebSocket(self.front))

    def mirror(self) -> Mirror:
        """The REST mirror."""
        return Mirror(self.front, cache(openapi))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The bus and the listener for changes, open. The database may come later: /health/ready tells."""
        await self.bus.open()
        await self.changes.open()
        if self._waker:
            await self._waker.open()
        counting = asyncio.create_task(self.budgets.run())
        try:
            yield
        finally:
            counting.cancel()
            await asyncio.gather(counting, return_exceptions=True)
            await self.budgets.close()
            if self._waker:
                await self._waker.close()
            await self.changes.close()
            await self.arrivals.close()
            await self.bus.close()
            await self.store.close()

    async def live(self, _request: Request) -> Response:
        """Whether the process answers."""
        return JSONResponse({"status": "ok"})

    async def ready(self, _request: Request) -> Response:
        """Whether the process can serve: the database answers and we hear of changes."""
        try:
            await self.store.ping()
        except EngineError:
            return JSONResponse({"status": "waiting for the database"}, 503, {"Retry-After": "1"})
        if not self.changes.is_listening:
            return JSONResponse({"status": "waiting for the database's notifications"}, 503, {"Retry-After": "1"})
        return JSONResponse({"status": "ok"})


class Straight:
    """Hands operations to GraphQL at once: the way through Starlette's routes is a tenth of a short one over HTTP.

    A socket's messages each would go that way.

    What its routes would refuse goes there, and so it is refused as before.
    """

    def __init__(self, app: ASGIApp, operations: ASGIApp, sockets: ASGIApp) -> None:
        self._app = app
        self._operations = ServerErrorMiddleware(operations)
        self._sockets = sockets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on."""
        await self._way(scope)(scope, receive, send)

    def _way(self, scope: Scope) -> ASGIApp:
        if scope["type"] == "lifespan" or scope["path"] != "/graphql":
            return self._app
        if scope["type"] == "websocket":
            return self._sockets
        return self._operations if scope["method"] in _OPERATES else self._app


class Gate:
    """Refuses requests for Host names that are not ours (a foreign name may be DNS rebinding), and hardens answers."""

    def __init__(self, app: ASGIApp, origins: Origins) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the Host header of everything but the health checks, which balancers send to a bare address."""
        if scope["type"] == "lifespan" or scope["path"] in _HEALTH:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._origins.knows_host(hosts[0]):
            await self._refuse(scope, receive, send)
            return
        if scope["type"] == "websocket" and "cookie" in headers and self._origins.is_foreign(headers):
            await self._refuse(scope, receive, send)  # no CORS protects a socket: another site's page, our visitor
            return
        await self._app(scope, receive, self._hardened(send) if scope["type"] == "http" else send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        words = "This name is not ours. Set TIDEGATE_PUBLIC_URL or TIDEGATE_ALLOWED_HOSTS to answer to it.\n"
        await PlainTextResponse(words, 421)(scope, receive, send)

    def _hardened(self, send: Send) -> Send:
        hardening = (*_HARDENING, *([_HTTPS_ONLY] * self._origins.is_secure))

        async def send_hardened(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *hardening]
            await send(message)

        return send_hardened


_OPERATES = frozenset({"GET", "POST"})
_HEALTH = frozenset({"/health/live", "/health/ready"})
_HARDENING = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"content-security-policy", b"frame-ancestors 'none'; base-uri 'self'; object-src 'none'"),
)
_HTTPS_ONLY = (b"strict-transport-security", b"max-age=31536000")
