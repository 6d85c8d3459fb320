"""A small web server inside the ingest process, beside the devices' own endpoints."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.types import ASGIApp


class _Server(uvicorn.Server):
    """uvicorn, but signals are the process's own: they first drain the devices."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(
    app: ASGIApp, listening: socket.socket, tls: ssl.SSLContext | None = None, http: str = "auto"
) -> AsyncIterator[asyncio.Task[None]]:
    """Answer on a listening socket while the block runs; ``http`` names the class that speaks the protocol.

    Yields what answers: it ends before the block only if it has failed.
    """
    config = uvicorn.Config(
        app, http=http, log_config=None, access_log=False, lifespan="off", ws="none", proxy_headers=False,
        server_header=False, timeout_graceful_shutdown=2,
    )  # fmt: skip
    config.load()
    config.ssl = tls  # ours believes the tenants' authorities, which a file of uvicorn's own options cannot
    server = _Server(config)
    task = asyncio.create_task(server.serve([listening]), name="web server")
    try:
        yield task
    finally:
        server.should_exit = True
        await asyncio.gather(task, return_exceptions=True)
