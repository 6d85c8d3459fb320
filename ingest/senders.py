"""The ways down to a device as one: the session it holds, what it observes, and the question it has asked."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Protocol
from uuid import UUID

from ingest.adapters.base import Decision


class Way(Protocol):
    """One way down."""

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

    def send(self, device_id: UUID, topic_tail: str, payload: bytes, qos: int = 1) -> asyncio.Future[bool]:
        """Send to a device that listens."""
        listening = (way for way in self._ways if way.listens(device_id, topic_tail))
        return next(listening, self._ways[-1]).send(device_id, topic_tail, payload, qos)
