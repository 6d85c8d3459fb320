"""A graphql-transport-ws client in a few lines, for talking to a real server."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection

from tests.support.patience import PATIENCE_S, TOLD_S


class Line:
    """One socket; answers are read in order."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def say(self, message: object) -> None:
        """Send one message as JSON."""
        await self.connection.send(json.dumps(message))

    async def hear(self, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
        """The next message."""
        message: dict[str, Any] = json.loads(await asyncio.wait_for(self.connection.recv(), timeout_s))
        return message

    async def subscribe(self, query: str, id_: str = "1", **variables: Any) -> None:
        """Begin an operation."""
        await self.say({"type": "subscribe", "id": id_, "payload": {"query": query, "variables": variables}})

    async def next(self, field: str, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
        """The root field of the next event."""
        message = await self.hear(timeout_s)
        assert message["type"] == "next", message
        value: dict[str, Any] = message["payload"]["data"][field]
        return value

    async def closed(self, timeout_s: float = TOLD_S) -> int:
        """The code with which the server closes; whatever it says before is dropped."""

        async def drain() -> None:
            while True:
                await self.connection.recv()

        with suppress(websockets.ConnectionClosed):
            await asyncio.wait_for(drain(), timeout_s)
        code = self.connection.close_code
        assert code is not None
        return code


@asynccontextmanager
async def dialled(address: str, headers: Mapping[str, str] | None = None, **more: Any) -> AsyncIterator[Line]:
    """A socket that has said nothing yet; ``more`` is for the library."""
    async with websockets.connect(
        f"ws://{address}/graphql",
        subprotocols=["graphql-transport-ws"],
        additional_headers=headers or {},
        proxy=None,
        open_timeout=PATIENCE_S,
        **more,
    ) as connection:
        yield Line(connection)


@asynccontextmanager
async def line(address: str, secret: str, **more: Any) -> AsyncIterator[Line]:
    """A socket on which somebody has signed in."""
    async with dialled(address, {"Authorization": f"Bearer {secret}"}, **more) as opened:
        await opened.say({"type": "connection_init"})
        assert (await opened.hear())["type"] == "connection_ack"
        yield opened
