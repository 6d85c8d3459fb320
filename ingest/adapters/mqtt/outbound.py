"""Messages on their way down to one device: packet ids, the ones in flight, the few that wait for a place."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from ingest.adapters.mqtt.encode import encode
from ingest.adapters.mqtt.packets import Publish


class Outbound:
    """Sends QoS 0 and 1 messages; each one's future becomes True once delivered, False once it cannot be.

    Delivered means written for QoS 0 and acknowledged by the device for QoS 1.
    """

    __slots__ = ("_in_flight", "_last_id", "_level", "_max_bytes", "_places", "_waiting", "_waiting_max", "_write")

    def __init__(
        self, write: Callable[[bytes], None], level: int, places: int, waiting_max: int, max_bytes: int
    ) -> None:
        self._write = write
        self._level = level
        self._places = places
        self._waiting_max = waiting_max
        self._max_bytes = max_bytes
        self._last_id = 0
        self._in_flight: dict[int, asyncio.Future[bool]] = {}
        self._waiting: deque[tuple[Publish, asyncio.Future[bool]]] = deque()

    def send(self, topic: str, payload: bytes, qos: int, answer: asyncio.Future[bool]) -> bool:
        """Send as soon as a place is free; False (and the answer too) if the queue is full or the message too long."""
        packet = Publish(topic, payload, qos, packet_id=1 if qos else None)
        if len(payload) + len(topic) * 4 + 16 > self._max_bytes or len(self._waiting) >= self._waiting_max:
            _settle(answer, False)
            return False
        if qos == 0:
            self._write(encode(packet, self._level))
            _settle(answer, True)
            return True
        self._waiting.append((packet, answer))
        self._fill()
        return True

    def acknowledge(self, packet_id: int, code: int) -> bool:
        """The device's PUBACK; False if nothing with this id is in flight. A code of 0x80 and above is a no."""
        answer = self._in_flight.pop(packet_id, None)
        if answer is None:
            return False
        _settle(answer, code < 0x80)
        self._fill()
        return True

    def end(self) -> None:
        """The connection is over: nothing more is delivered."""
        for answer in self._in_flight.values():
            _settle(answer, False)
        for _, answer in self._waiting:
            _settle(answer, False)
        self._in_flight.clear()
        self._waiting.clear()

    def _fill(self) -> None:
        while self._waiting and len(self._in_flight) < self._places:
            packet, answer = self._waiting.popleft()
            if answer.done():  # whoever sent it gave up before it was written
                continue
            packet.packet_id = self._next_id()
            self._in_flight[packet.packet_id] = answer
            self._write(encode(packet, self._level))

    def _next_id(self) -> int:
        while True:
            self._last_id = self._last_id % 0xFFFF + 1
            if self._last_id not in self._in_flight:
                return self._last_id


def _settle(answer: asyncio.Future[bool], value: bool) -> None:
    if not answer.done():
        answer.set_result(value)
