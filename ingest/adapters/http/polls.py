"""Devices that ask over HTTP what waits for them: each GET is held until there is something, one a device.

To whoever sends down (`ingest.downlink`) such a device is there while its question waits. What it is sent counts as
delivered once it is written to a connection that is still open, which is all that such a device can confirm (ADR 36).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal
from uuid import UUID

from ingest.adapters.base import Decision

MOST = 10_000
"""Questions that wait in one process."""

End = Literal["commands", "nothing", "newer", "changed", "stopped"]
"""Why a question waits no longer: there is something, or nothing and it was not to wait; a newer one came; the device
may have lost its rights; the process ends."""


class Poll:
    """One question that waits. `given` are the payloads to answer with, each with whom to tell of their delivery."""

    def __init__(self, device: Decision) -> None:
        self.device = device
        self.ended: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self.given: list[tuple[bytes, asyncio.Future[bool]]] = []
        self._is_looked_for = False
        self._is_patient = True

    def looked(self) -> None:
        """What waited for the device was given."""
        self._is_looked_for = True
        if not self._is_patient:
            self.hurry()

    def hurry(self) -> None:
        """Wait only until it is known whether there is something."""
        self._is_patient = False
        if self._is_looked_for and not self.given:
            self.end("nothing")

    def end(self, why: End) -> None:
        """Wait no longer; the first reason counts."""
        if not self.ended.done():
            self.ended.set_result(why)

    def settle(self, is_delivered: bool) -> None:
        """What was given has been written to the device, or has not."""
        for _, answer in self.given:
            if not answer.done():  # else it was called off meanwhile
                answer.set_result(is_delivered)


class Polls:
    """All questions of a process; a `Sender` towards the downlink. `ask` has it look what waits for a device."""

    is_shared = True
    """A device may ask again, and ask any process."""

    def __init__(self, ask: Callable[[UUID], None], most: int = MOST) -> None:
        self._ask = ask
        self._most = most
        self._waiting: dict[UUID, Poll] = {}

    @property
    def is_full(self) -> bool:
        """Whether no more may wait."""
        return len(self._waiting) >= self._most

    @contextmanager
    def waiting(self, device: Decision) -> Iterator[Poll]:
        """A question waits while the block runs; an older one of the device ends."""
        older = self._waiting.get(device.device_id)
        if older is not None:
            older.end("newer")
        poll = self._waiting[device.device_id] = Poll(device)
        self._ask(device.device_id)
        try:
            yield poll
        finally:
            if self._waiting.get(device.device_id) is poll:
                del self._waiting[device.device_id]
            poll.settle(False)

    def end(self, why: End, device_id: UUID | None = None, tenant_id: UUID | None = None) -> None:
        """End the question of a device, those of a tenant, or all."""
        if device_id is not None:
            found = [poll for poll in (self._waiting.get(device_id),) if poll is not None]
        else:
            found = [poll for poll in self._waiting.values() if tenant_id in (None, poll.device.tenant_id)]
        for poll in found:
            poll.end(why)

    # ── for the downlink ────────────────────────────────────────────────────────────────────────────────────────────

    def sessions(self) -> list[Decision]:
        """Whose questions wait."""
        return [poll.device for poll in self._waiting.values()]

    def session(self, device_id: UUID) -> Decision | None:
        """The device, if a question of its waits."""
        poll = self._waiting.get(device_id)
        return None if poll is None else poll.device

    def listens(self, device_id: UUID, topic_tail: str) -> bool:
        """Whether the device asks for this: commands, so far."""
        poll = self._waiting.get(device_id)
        return poll is not None and not poll.ended.done() and topic_tail.startswith("down/cmd/")

    def send(self, device_id: UUID, topic_tail: str, payload: bytes, qos: int = 1) -> asyncio.Future[bool]:
        """Answer the device's question with this, and with whatever else is sent in the same turn of the loop."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bool] = loop.create_future()
        poll = self._waiting.get(device_id)
        if poll is None or poll.ended.done():
            answer.set_result(False)
            return answer
        if not poll.given:
            loop.call_soon(poll.end, "commands")
        poll.given.append((payload, answer))
        return answer

    def looked(self, device_id: UUID) -> None:
        """Whatever waits for the device was sent just now."""
        poll = self._waiting.get(device_id)
        if poll is not None:
            poll.looked()
