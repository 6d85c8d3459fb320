"""A gateway for tests: the real application over the real database, inside this process or behind a real server."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette

from engine.journal.bus import MemoryBus
from engine.settings import Settings
from engine.store.pool import Store
from infra.local.postgres import Postgres
from infra.serve import WEB
from resolvers.gateway import Gate, Gateway
from tests.support.api import Api
from tests.support.tenant import found_tenant


@pytest.fixture(scope="session")
async def gateway(postgres: Postgres, engines_dir: Path) -> AsyncIterator[Gateway]:
    """The gateway, open, on a port that was free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = Settings(database_url=postgres.url("app"), http_port=port, data_dir=engines_dir)
    gateway = Gateway(settings, bus=MemoryBus())
    async with gateway.running():
        while not gateway.changes.is_listening:
            await asyncio.sleep(0.01)
        yield gateway


@pytest.fixture(scope="session")
async def api(gateway: Gateway) -> AsyncIterator[Api]:
    """Asks the gateway inside this process, without sockets."""
    app = Gate(gateway.before(Starlette(routes=gateway.routes())), gateway.origins)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        yield Api(client)


@pytest.fixture(scope="session")
async def token(postgres: Postgres, store: Store) -> str:
    """An owner's token of a tenant that several tests share: for those that change nothing."""
    return await (await found_tenant(postgres, store)).api_token()


@pytest.fixture(scope="session")
async def served(gateway: Gateway) -> AsyncIterator[str]:
    """The gateway behind a real server on a real socket; its address without a scheme."""
    app = Gate(gateway.before(Starlette(routes=gateway.routes())), gateway.origins)
    sockets = {name: WEB[name] for name in ("ws", "ws_per_message_deflate")}
    config = uvicorn.Config(app, port=0, lifespan="off", log_config=None, **sockets)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"127.0.0.1:{port}"
    server.should_exit = True
    await running
