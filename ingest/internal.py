"""The internal port of an ingest process, where no device reaches: health and metrics, and what brokers ask."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route


def internal_app(is_ready: Callable[[], bool], more: Sequence[BaseRoute] = ()) -> Starlette:
    """``/health/live`` while the loop runs, ``/health/ready`` while devices may come in, ``/metrics``, and ``more``."""

    async def live(_: Request) -> Response:
        return JSONResponse({"status": "live"})

    async def ready(_: Request) -> Response:
        holds = is_ready()
        return JSONResponse({"status": "ready" if holds else "not ready"}, 200 if holds else 503)

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    own = [Route("/health/live", live), Route("/health/ready", ready), Route("/metrics", metrics)]
    return Starlette(routes=[*own, *more])


class _Server(uvicorn.Server):
    """uvicorn, but signals are the process's own: they first drain the devices."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(
    listening: socket.socket, is_ready: Callable[[], bool], more: Sequence[BaseRoute] = ()
) -> AsyncIterator[None]:
    """Answer on a listening socket while the block runs."""
    server = _Server(
        uvicorn.Config(internal_app(is_ready, more), log_config=None, access_log=False, lifespan="off", ws="none")
    )
    task = asyncio.create_task(server.serve([listening]))
    try:
        yield
    finally:
        server.should_exit = True
        await asyncio.gather(task, return_exceptions=True)
