"""These tests attack a real gateway behind the real server, with its own options."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.applications import Starlette

from infra.serve import WEB
from resolvers.gateway import Gate, Gateway
from resolvers.metrics import Measured
from tests.security.raw import Wire
from tests.support.gateway import api, gateway, token

__all__ = ["api", "gateway", "token"]


@pytest.fixture(scope="session")
async def wire(gateway: Gateway) -> AsyncIterator[Wire]:
    """The gateway as the web process serves it, byte by byte."""
    app = Measured(Gate(Starlette(routes=gateway.routes()), gateway.origins))
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", **WEB))
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield Wire(server.servers[0].sockets[0].getsockname()[1])
    server.should_exit = True
    await running
