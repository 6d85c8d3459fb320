"""How much of what devices post may be in memory before the pipeline has it: counted as it comes, not as announced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from ingest.adapters.base import Decision

MAX_BYTES: Final = 64 * 1024 * 1024
"""Together; half of it for the devices of one tenant."""
MAX_MESSAGES: Final = 16
"""Of one device at one time: who holds back its bodies takes no more of the process than this."""


class Full(Exception):
    """There is no room for more now."""


class Held:
    """What one message takes."""

    __slots__ = ("_room", "_tenant_id", "size")

    def __init__(self, room: Room, tenant_id: UUID) -> None:
        self._room = room
        self._tenant_id = tenant_id
        self.size = 0

    def take(self, count: int) -> None:
        """So many bytes more have come, or were unpacked. Raises Full."""
        self.size += count
        self._room.count(self._tenant_id, count)


class Room:
    """The room of a process."""

    def __init__(self, max_bytes: int = MAX_BYTES, max_messages: int = MAX_MESSAGES) -> None:
        self._max_bytes = max_bytes
        self._max_messages = max_messages
        self._bytes = 0
        self._of_tenant: Counter[UUID] = Counter()
        self._of_device: Counter[UUID] = Counter()

    @contextmanager
    def held(self, device: Decision) -> Iterator[Held]:
        """Room for one message while the block runs. Raises Full."""
        if self._of_device[device.device_id] >= self._max_messages:
            raise Full
        self._of_device[device.device_id] += 1
        held = Held(self, device.tenant_id)
        try:
            yield held
        finally:
            self._bytes -= held.size
            _less(self._of_tenant, device.tenant_id, held.size)
            _less(self._of_device, device.device_id, 1)

    def count(self, tenant_id: UUID, count: int) -> None:
        """So many bytes are a tenant's. Raises Full."""
        self._bytes += count
        self._of_tenant[tenant_id] += count
        if self._bytes > self._max_bytes or self._of_tenant[tenant_id] > self._max_bytes // 2:
            raise Full


def _less(counter: Counter[UUID], of: UUID, count: int) -> None:
    counter[of] -= count
    if counter[of] <= 0:
        del counter[of]
