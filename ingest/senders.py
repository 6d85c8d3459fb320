"""The ways down to a device as one: the session it holds, what it observes, and the question it has asked."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Protocol
from uuid import UUID

from ingest.adapters.base import Decision


class Way(Protocol):
    """One way down. `is_shared`: other processes may have the same one to the same devices."""

    is_shared: bool

    def sessions(self) -> Iterable[Decision]: ...

    def session(self, device_id: UUID) -> Decision | None: ...

    def listens(self, device_id: UUID, topic_tail: str) -> bool: ...

    def send(self, device_id: UUID, topic_tail: str, payload: bytes, qos: int = 1) -> asyncio.Future[bool]: ...


class Senders:
    """A `Sender`; where a device could be reached in more than one way, the one that was named first is taken."""

    def __init__(self, *ways: Way, looked: Callable[[UUID], None]) -> None:
        """`looked` hears of whom it was looked after: a question that does not wait is then answered."""
        self._ways = ways
        self.looked = looked

    def sessions(self) -> Iterator[Decision]:
        """Who can be reached."""
        return chain.from_iterable(way.sessions() for way in self._ways)

    def session(self, device_id: UUID) -> Decision | None:
        """The device, if it can be reached."""
        return next((found for way in self._ways if (found := way.session(device_id)) is not None), None)

    def listens(self, device_id: UUID, topic_tail: str) -> bool:
        """Whether the device would take this now."""
        return any(way.listens(device_id, topic_tail) for way in self._ways)

    def is_shared(self, device_id: UUID, topic_tail: str) -> bool:
        """Whether the way that would be taken now is one that other processes may have as well."""
        return self._way(device_id, topic_tail).is_shared

    def send(self, device_id: UUID, topic_tail: str, payload: bytes, qos: int = 1) -> asyncio.Future[bool]:
        """Send to a device that listens."""
        return self._way(device_id, topic_tail).send(device_id, topic_tail, payload, qos)

    def _way(self, device_id: UUID, topic_tail: str) -> Way:
        return next((way for way in self._ways if way.listens(device_id, topic_tail)), self._ways[-1])
