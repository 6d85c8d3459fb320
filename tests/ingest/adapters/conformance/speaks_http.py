"""A device that speaks HTTP: each reading is a POST, repeated until it is answered with 2xx; commands by long poll."""

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from tests.ingest.adapters.conformance.documents import document
from tests.ingest.adapters.conformance.speaker import Login, Order, Reading, Refused

AGAIN_S = 0.1
_HELD_S = 20
_LATER = frozenset({429, 503})
_NEVER = frozenset({401, 403})


@dataclass
class Line:
    """One connection that is kept open."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, request: bytes) -> tuple[int, Any]:
        """Send a request; its status and the JSON of its answer. Raises OSError or EOFError when nobody answers."""
        self.writer.write(request)
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        size = head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
        body = await self.reader.readexactly(int(size or b"0"))
        return int(head.split(b" ", 2)[1]), orjson.loads(body) if body else None


class HttpSpeaker:
    """A few lines of HTTP/1.1, as small devices have them; a client of others is met in tests/ingest/adapters/http."""

    def __init__(self, login: Login) -> None:
        self._port = login.process.http_port
        self._home = f"/ingest/v1/{login.device.key}"
        self._headers = f"Host: 127.0.0.1\r\nAuthorization: Bearer {login.token}\r\nContent-Type: application/json\r\n"
        self._idle: list[Line] = []
        self._orders: list[Order] = []

    async def connect(self) -> None:
        """Each request proves itself who it is."""

    async def tell(self, reading: Reading) -> None:
        """POST until the answer says that it is stored."""
        await self._post(200, "telemetry", document(reading))

    async def _post(self, expected: int, path: str, body: bytes = b"") -> None:
        while True:
            try:
                status, said = await self._ask("POST", path, body)
            except (OSError, EOFError):
                status, said = 503, None
            if status in _NEVER:
                raise Refused
            if status not in _LATER:
                assert status == expected, said
                return
            await asyncio.sleep(AGAIN_S)

    async def _ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, Any]:
        line = self._idle.pop() if self._idle else Line(*await asyncio.open_connection("127.0.0.1", self._port))
        head = f"{method} {self._home}/{path} HTTP/1.1\r\n{self._headers}Content-Length: {len(body)}\r\n\r\n"
        try:
            answer = await line.ask(head.encode() + body)
        except BaseException:
            line.writer.close()
            raise
        self._idle.append(line)
        return answer

    async def babble(self, payload: bytes) -> None:
        """It hears that nothing was stored."""
        await self._post(422, "telemetry", payload)

    async def order(self) -> Order:
        """Ask, and be held until there is something."""
        while not self._orders:
            status, said = await self._ask("GET", f"commands?wait={_HELD_S}")
            if status == 200:
                self._orders += [Order(UUID(c["id"]), c["command"], c["arguments"]) for c in said["commands"]]
        return self._orders.pop(0)

    async def obey(self, order: Order) -> None:
        """Below the command's own path."""
        await self._post(200, f"commands/{order.id}/ack")
        said = orjson.dumps({"status": "succeeded", "result": 1})
        await self._post(200, f"commands/{order.id}/result", said)

    async def close(self) -> None:
        """Hang up."""
        while self._idle:
            self._idle.pop().writer.close()
