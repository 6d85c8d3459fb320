"""The web process as it runs: the gateway outside, the console inside, one port, and no way in from other sites."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator

import httpx
import pytest
import websockets

from infra.local.postgres import Postgres
from tests.support.patience import PATIENCE_S
from tests.support.process import free_port

pytestmark = [pytest.mark.engines, pytest.mark.browser]  # the console's build is made for the browser's tests


@pytest.fixture(scope="module")
async def address(postgres: Postgres) -> AsyncIterator[str]:
    """A web process on a free port, ready."""
    address = f"127.0.0.1:{free_port()}"
    env = {**os.environ, "TIDEGATE_DATABASE_URL": postgres.url("app"), "TIDEGATE_HTTP_PORT": address.partition(":")[2]}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "infra.cli", "serve", "web", env=env)
    try:
        async with httpx.AsyncClient(timeout=PATIENCE_S, trust_env=False) as client:
            for _ in range(1_200):
                try:
                    if (await client.get(f"http://{address}/health/ready")).status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)
            else:
                pytest.fail("the web process did not become ready")
        yield address
    finally:
        process.terminate()
        await process.wait()


async def _event_socket(address: str, origin: str, **headers: str) -> int:
    """The status of the console's event socket, opened by a page of ``origin``."""
    url = f"ws://{address}/_event/?EIO=4&transport=websocket"
    try:
        async with websockets.connect(
            url, origin=websockets.Origin(origin), additional_headers=headers, proxy=None, open_timeout=PATIENCE_S
        ):
            return 101
    except websockets.InvalidStatus as refused:
        return refused.response.status_code


async def test_console_and_contract_share_one_port(address: str) -> None:
    async with httpx.AsyncClient(base_url=f"http://{address}", timeout=PATIENCE_S, trust_env=False) as client:
        page = await client.get("/sign-in", follow_redirects=True)
        assert page.headers["content-type"].startswith("text/html")
        assert page.headers["x-frame-options"] == "DENY"
        assert (await client.get("/graphql", params={"query": "{ __typename }"})).json()["data"] == {
            "__typename": "Query"
        }
        assert (await client.get("/api/v1/nowhere")).json()["code"] == "NO_SUCH_PATH"


async def test_no_other_site_may_read_answers_or_open_the_consoles_socket(address: str) -> None:
    async with httpx.AsyncClient(base_url=f"http://{address}", timeout=PATIENCE_S, trust_env=False) as client:
        for path in ("/graphql?query={__typename}", "/api/v1/me"):
            answer = await client.get(path, headers={"Origin": "https://evil.example"})
            assert "access-control-allow-origin" not in answer.headers
            assert "access-control-allow-credentials" not in answer.headers
    assert await _event_socket(address, f"http://{address}") == 101, "our own page, and Reflex's lifespan has run"
    assert await _event_socket(address, "https://evil.example") >= 400
    assert await _event_socket(address, "https://evil.example", Cookie="tidegate_session=tgs_x") == 403
