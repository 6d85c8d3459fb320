"""What lies in the inbox: a message with its bytes, and a group of all messages with one fault."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from engine.store.emit import Event


@dataclass(frozen=True, slots=True)
class Rejected:
    """A reading that could not be accepted, as it came (``payload`` holds its first 8 KiB).

    ``about``: what the fault lies in, such as a metric's key; ``decoder``: which version of the decoder refused it;
    ``is_waiting``: somebody has asked for it to be replayed; ``replayed_at``: when that failed last. ``is_partial``:
    the reading is stored but for the metrics ``left_out``.
    """

    id: UUID
    device_id: UUID
    group_id: UUID
    received_at: datetime
    reason: str
    about: str
    message: str
    transport: str
    topic: str
    decoder: int
    payload: bytes
    payload_size_bytes: int
    is_waiting: bool
    replayed_at: datetime | None
    is_partial: bool = False
    left_out: Sequence[str] = ()

    @property
    def is_whole(self) -> bool:
        """Whether all of it was kept."""
        return self.payload_size_bytes == len(self.payload)


@dataclass(frozen=True, slots=True)
class Group:
    """All messages of a profile's devices with one fault: ``count`` came, the bytes of ``kept`` are there.

    ``waiting`` of them are about to be replayed, ``failed`` were replayed and refused again. ``message`` is the newest
    one's, ``newest_id`` that of the newest that is kept; ``device_ids`` are those of the devices that erred last.
    """

    id: UUID
    profile_id: UUID
    reason: str
    about: str
    message: str
    count: int
    kept: int
    waiting: int
    failed: int
    devices: int
    device_ids: Sequence[UUID]
    newest_id: UUID | None
    first_at: datetime
    last_at: datetime
    partial: int = 0
    """Of how many all but what is wrong was stored."""


@dataclass(frozen=True, slots=True)
class Settled(Event):
    """Messages have left the inbox. ``moved``: of a device and the hour in which they came, how its counts change."""

    kind: ClassVar[str] = "inbox.settled"
    moved: list[dict[str, object]]
