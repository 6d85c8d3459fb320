"""What came before: so that its repeat on the wire is the same reading, or the same event, and not a second one.

MQTT marks a repeat (DUP) and keeps its packet id over a reconnect. A reading that names no time is stamped at receipt;
its marked repeat gets the first stamp, hence the same key. This memory is one process's, for the last messages of a
while (DESIGN D2): a device that cannot live with that sends a time. Readings with a time are told apart by their key in
the database. Events have none there: those that were stored a while ago are remembered here, with a time or without.
"""

from collections import OrderedDict
from hashlib import blake2b
from typing import NamedTuple

from ingest.adapters.base import Message

KEPT = 50_000
KEPT_US = 600 * 1_000_000


class Repeats:
    """Remembers when messages without a time were received, by device, packet id and content."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._received_us: OrderedDict[tuple[int, int, bytes], int] = OrderedDict()

    def first_us(self, message: Message, received_us: int) -> int:
        """When this message came first: `received_us`, unless it is the marked repeat of one that is remembered."""
        if not message.dup or message.packet_id is None:
            return received_us
        first_us = self._received_us.get(_key(message, message.packet_id), received_us)
        return first_us if received_us - first_us <= KEPT_US else received_us

    def remember(self, message: Message, first_us: int) -> None:
        """Note when a message without a time came first."""
        if message.packet_id is None:
            return
        key = _key(message, message.packet_id)
        self._received_us[key] = first_us
        self._received_us.move_to_end(key)
        if len(self._received_us) > self._kept:
            self._received_us.popitem(last=False)


def _key(message: Message, packet_id: int) -> tuple[int, int, bytes]:
    return message.device.device_id.int, packet_id, blake2b(message.payload, digest_size=16).digest()


Key = tuple[int, int | None, bytes]


class Told:
    """Remembers which events were stored: by device and content, and by packet id where they name no time."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._stored_us: OrderedDict[Key, int] = OrderedDict()

    def once(self, message: Message, *, has_time: bool) -> "Once | None":
        """What tells whether this event came before; None where nothing could."""
        if not has_time and message.packet_id is None:
            return None
        said = blake2b(message.topic.encode() + b"\0" + message.payload, digest_size=16).digest()
        key = (message.device.device_id.int, None if has_time else message.packet_id, said)
        return Once(self, key, int(message.received_at * 1e6), has_time or message.dup)

    def has(self, key: Key, now_us: int) -> bool:
        """Whether it was stored within the last while."""
        stored_us = self._stored_us.get(key)
        return stored_us is not None and now_us - stored_us <= KEPT_US

    def remember(self, key: Key, now_us: int) -> None:
        """It is stored."""
        self._stored_us[key] = now_us
        self._stored_us.move_to_end(key)
        if len(self._stored_us) > self._kept:
            self._stored_us.popitem(last=False)


class Once(NamedTuple):
    """An event on its way. ``may_repeat``: it names its time, or is marked as a repeat; else it happened anew."""

    told: Told
    key: Key
    received_us: int
    may_repeat: bool

    @property
    def is_repeat(self) -> bool:
        """Whether the same event is stored."""
        return self.may_repeat and self.told.has(self.key, self.received_us)

    def remember(self) -> None:
        """It is stored."""
        self.told.remember(self.key, self.received_us)
