"""HTTP byte by byte, for what no well-behaved client would send."""

import asyncio
from dataclasses import dataclass

from tests.support.patience import PATIENCE_S


@dataclass(frozen=True)
class Answer:
    """What came back: status 0 when the connection was closed without a word."""

    status: int
    head: str
    body: str


@dataclass(frozen=True)
class Wire:
    """A server's port."""

    port: int

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def say(self, *parts: bytes, pause_s: float = 0.0, within_s: float = PATIENCE_S) -> Answer:
        """Send the parts, with pauses between them, and read until the server closes or has answered."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**20)
        try:
            async with asyncio.timeout(within_s):
                said = asyncio.create_task(_said(writer, parts, pause_s))
                try:
                    return await _heard(reader)
                finally:
                    said.cancel()
                    await asyncio.gather(said, return_exceptions=True)
        finally:
            writer.close()

    async def get(self, target: str, *headers: str) -> Answer:
        """A GET for exactly this target, with these header lines besides Host."""
        lines = [f"GET {target} HTTP/1.1", f"Host: {self.host}", "Connection: close", *headers, "", ""]
        return await self.say("\r\n".join(lines).encode("latin-1"))

    async def post(self, target: str, body: bytes, *headers: str) -> Answer:
        """A POST of exactly this body."""
        lines = [f"POST {target} HTTP/1.1", f"Host: {self.host}", "Connection: close", f"Content-Length: {len(body)}"]
        return await self.say("\r\n".join([*lines, *headers, "", ""]).encode("latin-1") + body)


async def _said(writer: asyncio.StreamWriter, parts: tuple[bytes, ...], pause_s: float) -> None:
    for part in parts:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(pause_s)


async def _heard(reader: asyncio.StreamReader) -> Answer:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, ConnectionResetError):
        return Answer(0, "", "")
    length = next((int(line[15:]) for line in head.lower().split("\r\n") if line.startswith("content-length:")), None)
    try:
        body = await (reader.read() if length is None else reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionResetError):
        body = b""
    return Answer(int(head.split(" ", 2)[1]), head, body.decode(errors="replace"))
