"""When a message without a time came first: so that its repeat on the wire is the same reading, not a second one.

MQTT marks a repeat (DUP) and keeps its packet id over a reconnect. A reading that names no time is stamped at receipt;
its marked repeat gets the first stamp, hence the same key. This memory is one process's, for the last messages of a
while (DESIGN D2): a device that cannot live with that sends a time.
"""

from collections import OrderedDict
from hashlib import blake2b

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
