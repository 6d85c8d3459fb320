"""An MQTT client that sends exactly what a test says, right or wrong, and shows every packet that comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from ingest.adapters.mqtt.codec import Decoder
from ingest.adapters.mqtt.encode import encode
from ingest.adapters.mqtt.packets import (
    V311,
    Connack,
    Connect,
    Packet,
    Puback,
    Publish,
    Suback,
    Subscribe,
    Subscription,
    Will,
)
from ingest.adapters.mqtt.properties import NONE
from tests.ingest.adapters.mqtt.memory import House
from tests.support.patience import PATIENCE_S

P = TypeVar("P", bound=Packet)


class RawClient:
    """One TCP connection to a house; `device` is spoken of as `t/acme/d/{device}`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, device: str, level: int) -> None:
        self.reader = reader
        self.writer = writer
        self.device = device
        self.level = level
        self._decoder = Decoder(1024 * 1024, level)
        self.last_id = 0

    @classmethod
    async def dial(cls, house: House, device: str = "pump-7", level: int = V311) -> RawClient:
        """TCP only."""
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        return cls(reader, writer, device, level)

    @classmethod
    async def login(cls, house: House, device: str = "pump-7", level: int = V311, **connect: Any) -> RawClient:
        """TCP, CONNECT and a CONNACK that says yes."""
        client = await cls.dial(house, device, level)
        answer = await client.connect(**connect)
        assert answer is not None
        assert answer.code == 0
        return client

    async def connect(self, **wishes: Any) -> Connack | None:
        """Send a CONNECT and return the CONNACK, None if the server just closes."""
        self.send(self.hello(**wishes))
        answer = await self.receive()
        assert answer is None or isinstance(answer, Connack)
        return answer

    def hello(
        self,
        username: str | None = None,
        password: bytes | None = b"token",
        client_id: str = "tester",
        clean_start: bool = True,
        keep_alive_s: int = 60,
        will: Will | None = None,
        properties: Mapping[int, Any] = NONE,
    ) -> Connect:
        """A CONNECT of this device."""
        name = f"acme/d/{self.device}" if username is None else username
        return Connect(self.level, client_id, clean_start, keep_alive_s, name, password, will, properties)

    def topic(self, tail: str) -> str:
        """A topic of this device."""
        return f"t/acme/d/{self.device}/{tail}"

    def send(self, *packets: Packet) -> None:
        """Write packets, in one piece."""
        self.writer.write(b"".join(encode(packet, self.level) for packet in packets))

    def send_raw(self, data: bytes) -> None:
        """Write bytes."""
        self.writer.write(data)

    def publish(self, payload: bytes = b"{}", qos: int = 1, topic: str | None = None, **options: Any) -> int:
        """Write a PUBLISH to `up/telemetry` (or `topic`) and return its packet id (0 for QoS 0)."""
        packet_id = None
        if qos:
            self.last_id += 1
            packet_id = self.last_id
        self.send(Publish(topic or self.topic("up/telemetry"), payload, qos, packet_id=packet_id, **options))
        return packet_id or 0

    async def subscribe(self, *filters: str, qos: int = 1) -> tuple[int, ...]:
        """Subscribe and return the codes of the SUBACK."""
        wanted = tuple(Subscription(each, qos) for each in filters or (self.topic("down/#"),))
        self.send(Subscribe(900, wanted))
        return (await self.expect(Suback)).codes

    async def receive(self) -> Packet | None:
        """The next packet; None when the server has closed."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                packet = self._decoder.next_packet()
                if packet is not None:
                    return packet
                try:
                    data = await self.reader.read(65_536)
                except ConnectionError:
                    return None
                if not data:
                    return None
                self._decoder.feed(data)

    async def expect(self, kind: type[P]) -> P:
        """The next packet, which is of this kind."""
        packet = await self.receive()
        assert isinstance(packet, kind), f"{kind.__name__} expected, not {packet!r}"
        return packet

    async def pubacks(self, count: int) -> list[int]:
        """The ids of the next PUBACKs, all of which say yes."""
        answers = [await self.expect(Puback) for _ in range(count)]
        assert all(answer.code == 0 for answer in answers)
        return [answer.packet_id for answer in answers]

    async def is_closed(self) -> bool:
        """Wait for the server to close without another packet."""
        return await self.receive() is None

    def hang_up(self) -> None:
        """Close the socket without DISCONNECT."""
        self.writer.transport.abort()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hang_up()
