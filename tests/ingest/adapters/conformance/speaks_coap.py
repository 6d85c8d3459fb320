"""A device that speaks CoAP: each reading is a confirmable POST, repeated until it is answered; commands by Observe."""

import asyncio
import itertools
from typing import Any
from uuid import UUID

import orjson
from aiocoap import Message
from aiocoap.numbers.codes import Code
from aiocoap.numbers.types import ACK, CON, RST

from tests.ingest.adapters.conformance.documents import document
from tests.ingest.adapters.conformance.speaker import Login, Order, Reading, Refused

AGAIN_S = 0.5
_LATER = frozenset({Code.TOO_MANY_REQUESTS, Code.SERVICE_UNAVAILABLE})
_NEVER = frozenset({Code.UNAUTHORIZED, Code.FORBIDDEN})
_BLOCK = 6


class CoapSpeaker(asyncio.DatagramProtocol):
    """The little of RFC 7252 that a small device has; clients of others are met in tests/ingest/adapters/coap."""

    def __init__(self, login: Login) -> None:
        self._address = "127.0.0.1", login.process.coap_port
        self._home = ("ingest", "v1", login.device.key)
        self._token = login.token
        self._numbers = itertools.count(1)
        self._answers: dict[bytes, asyncio.Future[Message]] = {}
        self._orders: asyncio.Queue[Order] = asyncio.Queue()
        self._observed: bytes | None = None
        self._transport: Any = None

    async def connect(self) -> None:
        """Open a socket; each request proves itself who it is."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, remote_addr=self._address)

    def error_received(self, exc: Exception) -> None:
        """Nobody is there at the moment."""

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """An answer, or a notification, which is acknowledged."""
        message = Message.decode(data, None)
        if message.mtype is CON:
            self._transport.sendto(bytes([0x60, 0]) + message.mid.to_bytes(2))
        waiting = self._answers.get(message.token)
        if message.mtype is RST or message.code is Code.EMPTY:
            return
        if waiting is not None and not waiting.done():
            waiting.set_result(message)
        elif message.token == self._observed and message.mtype is not ACK:
            self._hear(message)

    def _hear(self, message: Message) -> None:
        for said in orjson.loads(message.payload)["commands"]:
            self._orders.put_nowait(Order(UUID(said["id"]), said["command"], said["arguments"]))

    async def _ask(self, code: Any, path: str, payload: bytes = b"", **options: Any) -> Message:
        """The answer; the same datagram goes again and again until there is one."""
        number = next(self._numbers)
        message = Message(code=code, payload=payload, uri_path=(*self._home, *path.split("/")), **options)
        message.opt.uri_query = (f"token={self._token}",)
        message.mtype, message.mid, message.token = CON, number % 65_536, number.to_bytes(4)
        answer = self._answers[message.token] = asyncio.get_running_loop().create_future()
        if options.get("observe") == 0:
            self._observed = message.token
        data = message.encode()
        try:
            while not answer.done():
                self._transport.sendto(data)
                await asyncio.wait([answer], timeout=AGAIN_S)
            return answer.result()
        finally:
            del self._answers[message.token]

    async def _post(self, expected: Any, path: str, payload: bytes = b"") -> None:
        while True:
            answer = await self._in_blocks(path, payload)
            if answer.code in _NEVER:
                raise Refused
            if answer.code not in _LATER and answer.code is not Code.REQUEST_ENTITY_INCOMPLETE:
                assert answer.code is expected, answer.payload
                return
            await asyncio.sleep(0.1)

    async def _in_blocks(self, path: str, payload: bytes) -> Message:
        parts = [payload[at : at + 1024] for at in range(0, len(payload), 1024)] or [b""]
        for number, part in enumerate(parts):
            more = number + 1 < len(parts)
            block = {"block1": (number, more, _BLOCK)} if len(parts) > 1 else {}
            answer = await self._ask(Code.POST, path, part, **block)
            if more and answer.code is not Code.CONTINUE:
                break
        return answer

    async def tell(self, reading: Reading) -> None:
        """POST until the answer says that it is stored."""
        await self._post(Code.CHANGED, "telemetry", document(reading))

    async def babble(self, payload: bytes) -> None:
        """It hears that nothing was stored."""
        await self._post(Code.UNPROCESSABLE_ENTITY, "telemetry", payload)

    async def order(self) -> Order:
        """Observe, and be notified."""
        while self._observed is None:
            answer = await self._ask(Code.GET, "commands", observe=0)
            assert answer.code is Code.CONTENT, answer.payload
        return await self._orders.get()

    async def obey(self, order: Order) -> None:
        """Below the command's own path."""
        await self._post(Code.CHANGED, f"commands/{order.id}/ack")
        said = orjson.dumps({"status": "succeeded", "result": 1})
        await self._post(Code.CHANGED, f"commands/{order.id}/result", said)

    async def close(self) -> None:
        """Close the socket."""
        if self._transport is not None:
            self._transport.close()
