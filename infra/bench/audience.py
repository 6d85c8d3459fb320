"""The process that holds many subscribers: a socket each, and while something comes nothing is done but to keep it.

Its first line on stdin is the order (`Order`); the further ones are commands, each answered by a line on stdout:

    {"do": "subscribe"}                   → {"open": 2000, "seconds": 1.9}
    {"do": "count"}                       → how many subscribers have heard something, and how many messages came
    {"do": "forget"}                      drops what was heard → {"forgot": 2000}
    {"do": "tell"}                        → each message as [subscriber, device, number, monotonic time of arrival], …

What a message says is read only when it is told: a frame that arrives costs a look at its length and a place in a list.
"""

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import orjson
import uvloop

from infra.serve import allow_many_connections

QUERY = (
    'subscription ($ids: [ID!]!) { telemetry(deviceIds: $ids, metrics: ["count", "temperature"]) '
    "{ cursor deviceId time values skipped } }"
)
AT_ONCE = 100
"""So many subscribers come in together: more would wait in the listener's queue and be refused there."""
OPEN_WITHIN_S = 60.0
TEXT, CLOSE, PING = 0x81, 0x88, 0x89
"""First bytes of whole WebSocket frames (RFC 6455, section 5.2)."""


@dataclass(frozen=True, slots=True)
class Order:
    """Who listens: each subscriber's devices, by WebSocket or as server-sent events."""

    port: int
    token: str
    devices: list[list[str]]
    is_sse: bool = False

    def text(self) -> str:
        """As one line of JSON."""
        return json.dumps(asdict(self))


class Subscriber(asyncio.Protocol):
    """One connection; `heard` is what came, with the time."""

    def __init__(self, order: Order, number: int) -> None:
        payload = {"query": QUERY, "variables": {"ids": order.devices[number]}}
        self._asked = orjson.dumps(payload)
        self._order = order
        self._rest = b""
        self.heard: list[tuple[float, bytes]] = []
        self.ended = ""
        self.is_open = asyncio.get_running_loop().create_future()
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(self._hello())

    def data_received(self, data: bytes) -> None:
        at = time.monotonic()
        self._rest = self._rest + data if self._rest else data
        if not self.is_open.done():
            self._greet()
        else:
            self._hear(at)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = self.ended or f"the connection was lost: {exc}"
        if not self.is_open.done():
            self.is_open.set_exception(ConnectionError(self.ended))

    def leave(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _hello(self) -> bytes:
        raise NotImplementedError

    def _greet(self) -> None:
        """Read on until the subscription was asked for."""
        raise NotImplementedError

    def _hear(self, at: float) -> None:
        """Keep what came whole."""
        raise NotImplementedError

    def _head(self) -> bytes | None:
        """The answer's head, once it is whole; what follows is left."""
        head, end, rest = self._rest.partition(b"\r\n\r\n")
        if not end:
            return None
        self._rest = rest
        return head


class BySocket(Subscriber):
    """graphql-transport-ws over a WebSocket (RFC 6455)."""

    def __init__(self, order: Order, number: int) -> None:
        super().__init__(order, number)
        self._is_upgraded = False

    def _hello(self) -> bytes:
        return (
            f"GET /graphql HTTP/1.1\r\nHost: 127.0.0.1:{self._order.port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
        ).encode()

    def _greet(self) -> None:
        if not self._is_upgraded:
            head = self._head()
            if head is None:
                return
            if b" 101 " not in head.partition(b"\r\n")[0]:
                self.ended = head.decode(errors="replace")
                return self.leave()
            self._is_upgraded = True
            payload = {"authorization": f"Bearer {self._order.token}"}
            self._say(0x81, orjson.dumps({"type": "connection_init", "payload": payload}))
        for first, said in self._frames():
            if first == TEXT and orjson.loads(said)["type"] == "connection_ack":
                self._say(TEXT, b'{"id":"1","type":"subscribe","payload":' + self._asked + b"}")
                self.is_open.set_result(None)
            elif first == CLOSE:
                self.ended = said[2:].decode(errors="replace")
                self.leave()

    def _hear(self, at: float) -> None:
        for first, said in self._frames():
            if first == TEXT:
                self.heard.append((at, said))
            elif first == PING:
                self._say(0x8A, said)
            elif first == CLOSE:
                self.ended = said[2:].decode(errors="replace")

    def _frames(self) -> list[tuple[int, bytes]]:
        """The first byte and the payload of each frame that is here whole; a server's are not masked."""
        data, place, found = self._rest, 0, []
        while len(data) >= place + 2:
            length, begin = data[place + 1], place + 2
            if length >= 126:
                wide = 2 if length == 126 else 8
                begin += wide
                length = int.from_bytes(data[place + 2 : begin]) if len(data) >= begin else len(data)
            if len(data) < begin + length:
                break
            found.append((data[place], data[begin : begin + length]))
            place = begin + length
        self._rest = data[place:]
        return found

    def _say(self, first: int, said: bytes) -> None:
        """A client's frame is masked, here with zeros, which change nothing."""
        size = len(said)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2)
        self._transport.write(bytes([first]) + length + bytes(4) + said)


class ByEvents(Subscriber):
    """Server-sent events, in the chunks of HTTP/1.1."""

    def _hello(self) -> bytes:
        return (
            f"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1:{self._order.port}\r\n"
            f"Authorization: Bearer {self._order.token}\r\nAccept: text/event-stream\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(self._asked)}\r\n\r\n"
        ).encode() + self._asked

    def _greet(self) -> None:
        head = self._head()
        if head is None:
            return
        if b" 200 " not in head.partition(b"\r\n")[0]:
            self.ended = (head + self._rest).decode(errors="replace")
            return self.leave()
        self.is_open.set_result(None)

    def _hear(self, at: float) -> None:
        *events, self._rest = self._rest.split(b"\n\n")
        for event in events:
            _, begun, said = event.partition(b"data: ")
            if begun:
                self.heard.append((at, said))


class Audience:
    """All of them."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._subscribers: list[Subscriber] = []

    async def obey(self, command: str) -> dict[str, Any]:
        """Do what was said; the answer."""
        match command:
            case "subscribe":
                return await self.subscribe()
            case "count":
                return self.count()
            case "forget":
                return self.forget()
            case "tell":
                return self.tell()
        raise ValueError(f"{command!r} is no command")

    async def subscribe(self) -> dict[str, Any]:
        """Open every connection; raises ConnectionError where one was refused."""
        began, every = time.monotonic(), range(len(self._order.devices))
        async with asyncio.timeout(OPEN_WITHIN_S):
            for first in every[::AT_ONCE]:
                some = await asyncio.gather(*(self._connect(number) for number in every[first : first + AT_ONCE]))
                self._subscribers += some
                await asyncio.gather(*(each.is_open for each in some))
        return {"open": len(self._subscribers), "seconds": time.monotonic() - began}

    async def _connect(self, number: int) -> Subscriber:
        kind, loop = ByEvents if self._order.is_sse else BySocket, asyncio.get_running_loop()
        _, subscriber = await loop.create_connection(lambda: kind(self._order, number), "127.0.0.1", self._order.port)
        return subscriber

    def count(self) -> dict[str, Any]:
        """How many have heard something, and how many messages."""
        return {
            "subscribers": sum(bool(each.heard) for each in self._subscribers),
            "messages": sum(len(each.heard) for each in self._subscribers),
            "ended": [each.ended for each in self._subscribers if each.ended][:3],
        }

    def forget(self) -> dict[str, Any]:
        """Begin anew."""
        forgot = self.count()["messages"]
        for each in self._subscribers:
            each.heard.clear()
        return {"forgot": forgot}

    def tell(self) -> dict[str, Any]:
        """Everything that came, read at last."""
        arrived, errors, skipped = [], [], 0
        for number, each in enumerate(self._subscribers):
            errors += [each.ended] if each.ended else []
            for at, text in each.heard:
                said = orjson.loads(text)
                event = (
                    (said.get("payload", said).get("data") or {}).get("telemetry") if isinstance(said, dict) else None
                )
                if event is None:
                    errors.append(text.decode())
                    continue
                arrived.append([number, event["deviceId"], event["values"]["count"], at])
                skipped += event["skipped"]
        sizes = [len(text) for each in self._subscribers for _, text in each.heard]
        return {"arrived": arrived, "skipped": skipped, "errors": errors[:3], "bytes": sum(sizes)}

    def leave(self) -> None:
        """End all connections."""
        for each in self._subscribers:
            each.leave()


async def _main() -> None:
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=64 * 1024 * 1024)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    audience = Audience(Order(**json.loads(await lines.readline())))
    try:
        while line := await lines.readline():
            try:
                answer = await audience.obey(json.loads(line)["do"])
            except (OSError, TimeoutError) as error:
                answer = {"problem": str(error) or f"not all were let in within {OPEN_WITHIN_S:g} s"}
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
    finally:
        audience.leave()


if __name__ == "__main__":
    allow_many_connections()
    uvloop.run(_main())
