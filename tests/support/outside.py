"""What lies outside the platform: a mail server and a web server on this machine that keep what they are told."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller

from tests.support.process import free_port


@dataclass
class Post:
    """A mail server's memory; ``refuse`` answers some recipients with a code, ``refuse_all`` every message."""

    port: int
    letters: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    refuse: dict[str, str] = field(default_factory=dict)
    refuse_all: str = ""

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        if self.refuse_all:
            return self.refuse_all
        letter = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(letter, EmailMessage)
        self.letters.append(letter)
        self.recipients.append(list(envelope.rcpt_tos))
        return "250 Kept"


@contextmanager
def post_office() -> Iterator[Post]:
    """A mail server (aiosmtpd) on a free port of this machine."""
    post = Post(free_port())
    controller = Controller(post, hostname="127.0.0.1", port=post.port)
    controller.start()
    try:
        yield post
    finally:
        controller.stop()


@dataclass
class Call:
    """One HTTP request as it came in; header names in lower case."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Endpoint:
    """A web server's memory; ``answer`` and ``says`` are status and body it answers with, after ``wait_s`` and once
    ``may_answer``.
    """

    port: int
    calls: list[Call] = field(default_factory=list)
    answer: Callable[[Call], int] = lambda _call: 204
    wait_s: float = 0.0
    says: bytes = b""
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}/hook?token=a-secret-of-theirs"


@asynccontextmanager
async def endpoint() -> AsyncIterator[Endpoint]:
    """A web server on a free port of this machine."""
    made = Endpoint(0)
    made.may_answer.set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            call = Call(line, headers, body)
            made.calls.append(call)
            await asyncio.sleep(made.wait_s)
            await made.may_answer.wait()
            status = made.answer(call)
            where = f"Location: http://127.0.0.1:{made.port}/elsewhere\r\n" if 300 <= status < 400 else ""
            writer.write(
                f"HTTP/1.1 {status} X\r\n{where}Content-Length: {len(made.says)}\r\nConnection: close\r\n\r\n".encode()
            )
            writer.write(made.says)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
