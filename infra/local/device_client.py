"""A device's side of MQTT 3.1.1 in a few lines, on the platform's own codec: log in, publish, subscribe, listen."""

import asyncio
import contextlib
import itertools
import ssl
from collections.abc import Callable
from typing import Any

from ingest.adapters.mqtt.codec import Decoder
from ingest.adapters.mqtt.encode import encode
from ingest.adapters.mqtt.packets import (
    V311,
    Connack,
    Connect,
    Disconnect,
    Pingreq,
    Puback,
    Publish,
    Suback,
    Subscribe,
    Subscription,
)
from ingest.adapters.mqtt.reasons import ProtocolError

_MAX_PACKET_BYTES = 256 * 1024
_ANSWER_S = 15.0
_UNAVAILABLE = 3
_NOT_GRANTED = 0x80


class Refused(Exception):
    """The server does not accept this login, now or later (MQTT 3.1.1, table 3.1)."""

    def __init__(self, code: int) -> None:
        super().__init__(f"login refused with code {code}")
        self.code = code


class DeviceClient:
    """One connection. Every method raises OSError (which ConnectionError and TimeoutError are) when it is gone."""

    def __init__(
        self,
        host: str,
        port: int,
        username: str,
        token: str,
        *,
        keep_alive_s: int = 60,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """``tls``: how to speak it, with the certificate that stands for a token if there is none."""
        self._where = host, port
        self._tls = tls
        self._username = username
        self._token = token
        self._keep_alive_s = keep_alive_s
        self._packet_ids = itertools.cycle(range(1, 65_536))
        self._awaited: dict[int, asyncio.Future[None]] = {}
        self._heard: Callable[[str, bytes], None] = lambda topic, payload: None
        self._tasks: list[asyncio.Task[Any]] = []
        self._writer: asyncio.StreamWriter | None = None

    async def connect(self) -> None:
        """Log in; raises Refused or OSError."""
        async with asyncio.timeout(_ANSWER_S):
            reader, self._writer = await asyncio.open_connection(*self._where, ssl=self._tls)
            decoder = Decoder(_MAX_PACKET_BYTES, V311)
            login = Connect(
                V311,
                self._username.replace("/", "-"),
                keep_alive_s=self._keep_alive_s,
                username=self._username,
                password=self._token.encode(),
            )
            self._writer.write(encode(login, V311))
            answer = await _next(reader, decoder)
        if not isinstance(answer, Connack) or answer.code == _UNAVAILABLE:
            raise ConnectionRefusedError("the server takes no logins at the moment")
        if answer.code != 0:
            raise Refused(answer.code)
        self._tasks = [asyncio.create_task(self._hear(reader, decoder)), asyncio.create_task(self._ping())]

    @property
    def is_connected(self) -> bool:
        """Whether the connection stands, as far as is known here."""
        return self._writer is not None and not self._writer.is_closing()

    async def ended(self) -> None:
        """Wait until the server has ended the connection."""
        await asyncio.wait(self._tasks[:1])

    async def publish(self, topic: str, payload: bytes) -> None:
        """Send with QoS 1 and wait for the PUBACK: the platform has committed it."""
        packet_id = next(self._packet_ids)
        await self._until_answered(packet_id, encode(Publish(topic, payload, qos=1, packet_id=packet_id), V311))

    async def subscribe(self, topic_filter: str, heard: Callable[[str, bytes], None]) -> None:
        """Listen with QoS 1: `heard(topic, payload)` for each message, which is confirmed once it has returned."""
        self._heard = heard
        packet_id = next(self._packet_ids)
        asked = Subscribe(packet_id, (Subscription(topic_filter, qos=1),))
        await self._until_answered(packet_id, encode(asked, V311))

    async def _until_answered(self, packet_id: int, packet: bytes) -> None:
        acknowledged = self._awaited[packet_id] = asyncio.get_running_loop().create_future()
        try:
            self._write(packet)
            async with asyncio.timeout(_ANSWER_S):  # wait_for may swallow a cancellation (Python 3.11)
                await acknowledged
        finally:
            del self._awaited[packet_id]

    async def close(self) -> None:
        """Say goodbye and close."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._writer is not None:
            if not self._writer.is_closing():
                self._writer.write(encode(Disconnect(), V311))
            self._writer.close()
            self._writer = None

    def _write(self, data: bytes) -> None:
        if self._writer is None or not self.is_connected:
            raise ConnectionResetError("the connection is closed")
        self._writer.write(data)

    async def _hear(self, reader: asyncio.StreamReader, decoder: Decoder) -> None:
        try:
            while True:
                self._take(await _next(reader, decoder))
        except OSError as error:
            for awaited in self._awaited.values():
                if not awaited.done():
                    awaited.set_exception(ConnectionResetError(str(error)))
            if self._writer is not None:
                self._writer.close()

    def _take(self, packet: object) -> None:
        """What the server sent: a receipt, or a message, for which it gets one."""
        if isinstance(packet, Publish):
            self._heard(packet.topic, bytes(packet.payload))
            if packet.packet_id is not None:
                self._write(encode(Puback(packet.packet_id), V311))
        elif isinstance(packet, Puback | Suback):
            awaited = self._awaited.get(packet.packet_id)
            if awaited is not None and not awaited.done():
                if isinstance(packet, Suback) and packet.codes[0] >= _NOT_GRANTED:
                    awaited.set_exception(ConnectionRefusedError("the server does not let it listen"))
                else:
                    awaited.set_result(None)

    async def _ping(self) -> None:
        while self.is_connected:
            await asyncio.sleep(self._keep_alive_s * 0.7)
            with contextlib.suppress(ConnectionResetError):  # whoever publishes next hears of it
                self._write(encode(Pingreq(), V311))


async def _next(reader: asyncio.StreamReader, decoder: Decoder) -> object:
    packet = decoder.next_packet()
    while packet is None:
        data = await reader.read(65_536)
        if not data:
            raise ConnectionResetError("the server closed the connection")
        decoder.feed(data)
        try:
            packet = decoder.next_packet()
        except ProtocolError as error:
            raise ConnectionResetError(f"the server does not speak MQTT: {error}") from None
    return packet
