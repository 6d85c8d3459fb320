"""The web process: the gateway outside, the console inside as its last route."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, chdir
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from engine.settings import Settings
from resolvers.gateway import Gate, Gateway
from resolvers.metrics import Measured

UI = Path(__file__).parent.parent / "ui"


def create_app(settings: Settings) -> ASGIApp:
    """Everything on one port. The console is mounted only where it has been built."""
    gateway = Gateway(settings)
    routes: list[BaseRoute] = gateway.routes()
    console = _console() if (UI / ".web" / "build" / "client").is_dir() else None
    routes.append(Mount("/", console) if console else Route("/", _no_console))

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as running:
            await running.enter_async_context(gateway.running())
            if console is not None:
                await running.enter_async_context(console.router.lifespan_context(console))
            yield

    return Measured(Gate(gateway.before(Starlette(routes=routes, lifespan=lifespan)), gateway.origins))


def _console() -> Starlette:
    """The console's application, served from its build without bun or Node (LAB.md, "Reflex console")."""
    os.environ.update(
        {
            "__REFLEX_SKIP_COMPILE": "true",
            "__REFLEX_MOUNT_FRONTEND_COMPILED_APP": "true",
            "REFLEX_ENV_MODE": "prod",
            "REFLEX_BACKEND_ONLY": "true",
            "REFLEX_WEB_WORKDIR": str((UI / ".web").resolve()),
            "REFLEX_TELEMETRY_ENABLED": "false",
            "REFLEX_CHECK_LATEST_VERSION": "false",
        }
    )
    if str(UI) not in sys.path:
        sys.path.insert(0, str(UI))  # Reflex imports the console's rxconfig.py by that bare name
    with chdir(UI):  # Reflex reads rxconfig.py from the working directory, once, and falls back to open CORS without it
        from ui.app import app

        application: object = app()
    if not isinstance(application, Starlette):
        raise RuntimeError(
            "This version of Reflex no longer gives a Starlette application: its lifespan would not run."
        )
    return application


async def _no_console(_request: Request) -> Response:
    words = "The console has not been built. Run `make up`, or use /graphql.\n"
    return PlainTextResponse(words, 503)
