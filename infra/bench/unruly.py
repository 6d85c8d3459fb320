"""A road between a broker and whoever consumes from it, on which messages come twice and in another order.

Of what the broker publishes with QoS 1, every third message comes again at once with DUP, as after a break, and every
fifth is overtaken by the one behind it. What the consumer acknowledges is noted by what the message says it is; an
acknowledgement of what only this road has repeated goes no further.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, NamedTuple

from infra.bench.roads import End, Roads

REPEATED_EVERY = 3
SWAPPED_EVERY = 5
HELD_S = 0.05
"""So long a message waits to be overtaken, and no longer."""
_CHUNK = 64 * 1024
_PUBLISH, _PUBACK, _SUBACK = 0x30, 0x40, 0x90
_DUP, _QOS_1 = 0x08, 0x02


class Published(NamedTuple):
    """A PUBLISH of MQTT 5."""

    topic: str
    packet_id: int
    payload: bytes


class Unruly(Roads):
    """The roads to the broker at `target`.

    `name` says what a message is. Of what it says ``acknowledged`` tells what the consumer has acknowledged.
    """

    def __init__(self, target: int, name: Callable[[str, bytes], Any]) -> None:
        super().__init__(target)
        self.name = name
        self.acknowledged: set[Any] = set()
        self.repeated = 0
        self.swapped = 0
        self.subscribed_at: list[float] = []
        """The moments (monotonic) at which a subscription stood anew."""
        self.flows_at: list[float] = []
        """Of each connection on which something was acknowledged, the moment of the first time."""
        self._count = 0

    def next_count(self) -> int:
        """How many messages have passed on all roads, with this one."""
        self._count += 1
        return self._count

    def _ways(self, here: End, there: End) -> Iterator[Coroutine[Any, Any, None]]:
        road = _Road(self, here[1], there[1])
        yield road.drive(here[0], road.up)
        yield road.drive(there[0], road.down)


class _Road:
    """One connection, both ways."""

    def __init__(self, all_: Unruly, consumer: asyncio.StreamWriter, broker: asyncio.StreamWriter) -> None:
        self._all = all_
        self._consumer = consumer
        self._broker = broker
        self._names: dict[int, Any] = {}
        self._owed: Counter[int] = Counter()
        self._held: list[bytes] = []
        self._flows = False

    async def drive(self, source: asyncio.StreamReader, pass_on: Callable[[bytes], None]) -> None:
        """Until one side hangs up: then the other hears of it."""
        rest = b""
        try:
            while data := await source.read(_CHUNK):
                rest += data
                for packet in (found := list(_packets(rest))):
                    pass_on(packet)
                rest = rest[sum(map(len, found)) :]
                await asyncio.gather(self._consumer.drain(), self._broker.drain())
        except OSError:
            pass
        finally:
            self._consumer.close()
            self._broker.close()

    def up(self, packet: bytes) -> None:
        """From the consumer to the broker."""
        if packet[0] & 0xF0 == _PUBACK and not self._is_acknowledged(int.from_bytes(packet[2:4], "big")):
            return
        self._broker.write(packet)

    def _is_acknowledged(self, packet_id: int) -> bool:
        """Note it; False for the acknowledgement of a repetition."""
        if not self._flows:
            self._flows = True
            self._all.flows_at.append(time.monotonic())
        if packet_id in self._names:
            self._all.acknowledged.add(self._names.pop(packet_id))
            return True
        self._owed[packet_id] -= 1
        return self._owed[packet_id] < 0

    def down(self, packet: bytes) -> None:
        """From the broker to the consumer."""
        if packet[0] & 0xF0 == _SUBACK:
            self._all.subscribed_at.append(time.monotonic())
        if packet[0] & 0xF0 != _PUBLISH or not packet[0] & _QOS_1:
            self._consumer.write(packet)
            return
        published = read(packet)
        self._names[published.packet_id] = self._all.name(published.topic, published.payload)
        count = self._all.next_count()
        if self._held:
            self._all.swapped += 1
            self._pass(packet, count)
            self._let_go()
        elif count % SWAPPED_EVERY == 0:
            self._held.append(packet)
            asyncio.get_running_loop().call_later(HELD_S, self._let_go)
        else:
            self._pass(packet, count)

    def _let_go(self) -> None:
        for packet in self._held:
            self._consumer.write(packet)
        self._held.clear()

    def _pass(self, packet: bytes, count: int) -> None:
        self._consumer.write(packet)
        if count % REPEATED_EVERY == 0:
            self._all.repeated += 1
            self._owed[read(packet).packet_id] += 1
            self._consumer.write(bytes((packet[0] | _DUP,)) + packet[1:])


def read(packet: bytes) -> Published:
    """Take a PUBLISH with QoS 1 apart."""
    _, at = _length(packet)
    size = int.from_bytes(packet[at : at + 2], "big")
    topic, at = packet[at + 2 : at + 2 + size].decode(), at + 2 + size
    packet_id, at = int.from_bytes(packet[at : at + 2], "big"), at + 2
    properties, begin = _varint(packet, at)
    return Published(topic, packet_id, packet[begin + properties :])


def _packets(data: bytes) -> Iterator[bytes]:
    """Every whole packet at the beginning of what has come."""
    while len(data) >= 2:
        try:
            length, begin = _length(data)
        except IndexError:
            return
        if len(data) < begin + length:
            return
        yield data[: begin + length]
        data = data[begin + length :]


def _length(packet: bytes) -> tuple[int, int]:
    """How long the rest is, and where it begins. Raises IndexError when that has not come yet."""
    return _varint(packet, 1)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not data[at - 1] & 0x80:
            return value, at
