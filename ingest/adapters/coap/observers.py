"""Devices that observe what waits for them (RFC 7641): a command becomes a notification, one on its way at a time.

To whoever sends down (`ingest.downlink`) such a device is there until it says otherwise: by a RST, by silence, or by
losing its rights. A command counts as sent when its notification was acknowledged, or its last block was fetched.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from aiocoap.numbers.codes import Code

from ingest.adapters.base import Decision
from ingest.adapters.coap.answers import Answer, in_format
from ingest.adapters.coap.blocks import Bodies
from ingest.adapters.http.login import Proof

MOST: Final = 10_000
"""Devices that observe in one process."""
_AT_ONCE: Final = 20
"""Commands of one device that may wait for their notification: as many as the downlink reads at a time."""
_FETCHED_WITHIN_S: Final = 60.0

Notify = Callable[[Answer], asyncio.Future[bool]]
"""Sends a notification to one device; whether it was acknowledged."""
Given = tuple[bytes, asyncio.Future[bool]]


@dataclass(eq=False)
class Observer:
    """A device that observes, by a proof that may end. `accept` is its format, `number` orders its notifications."""

    device: Decision
    proof: Proof
    notify: Notify
    accept: int | None
    number: int = 1
    given: list[Given] = field(default_factory=list)
    under_way: list[Given] = field(default_factory=list)
    is_gone: bool = False

    def settle(self, is_delivered: bool) -> None:
        """What is under way has arrived, or has not."""
        done, self.under_way = self.under_way, []
        for _, answer in done:
            if not answer.done():  # else it was called off meanwhile
                answer.set_result(is_delivered)


class Observers:
    """All observing devices of a process; a `Sender` towards the downlink."""

    is_shared = False

    def __init__(self, bodies: Bodies, most: int = MOST) -> None:
        self._bodies = bodies
        self._most = most
        self._of: dict[UUID, Observer] = {}
        self._under_way: set[asyncio.Task[None]] = set()

    @property
    def is_full(self) -> bool:
        """Whether no more may observe."""
        return len(self._of) >= self._most

    def add(self, device: Decision, proof: Proof, notify: Notify, accept: int | None) -> Observer:
        """A device observes from now on; an older observation of it ends."""
        self.remove(device.device_id)
        observer = self._of[device.device_id] = Observer(device, proof, notify, accept)
        return observer

    def remove(self, device_id: UUID, only: Observer | None = None) -> Observer | None:
        """It observes no more; what it has not acknowledged waits for the next time."""
        observer = self._of.get(device_id)
        if observer is None or (only is not None and observer is not only):
            return None
        del self._of[device_id]
        observer.is_gone = True
        observer.settle(False)
        observer.under_way, observer.given = observer.given, []
        observer.settle(False)
        return observer

    def observing(self, device_id: UUID | None = None, tenant_id: UUID | None = None) -> list[Observer]:
        """That of a device, those of a tenant, or all."""
        if device_id is not None:
            return [observer for observer in (self._of.get(device_id),) if observer is not None]
        return [observer for observer in self._of.values() if tenant_id in (None, observer.device.tenant_id)]

    # ── for the downlink ────────────────────────────────────────────────────────────────────────────────────────────

    def sessions(self) -> Iterator[Decision]:
        """Who observes."""
        return iter([observer.device for observer in self._of.values()])

    def session(self, device_id: UUID) -> Decision | None:
        """The device, if it observes."""
        observer = self._of.get(device_id)
        return None if observer is None else observer.device

    def listens(self, device_id: UUID, topic_tail: str) -> bool:
        """Whether the device would take this."""
        return device_id in self._of and topic_tail.startswith("down/cmd/")

    def send(self, device_id: UUID, topic_tail: str, payload: bytes, qos: int = 1) -> asyncio.Future[bool]:
        """Notify the device of this, with whatever else is sent in the same turn of the loop."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bool] = loop.create_future()
        observer = self._of.get(device_id)
        if observer is None or len(observer.given) >= _AT_ONCE:
            answer.set_result(False)
            return answer
        if not observer.given and not observer.under_way:
            loop.call_soon(self._notify, observer)
        observer.given.append((payload, answer))
        return answer

    def _notify(self, observer: Observer) -> None:
        """Send what is there, unless something is under way or nothing is left to send."""
        if observer.is_gone or observer.under_way:
            return
        observer.under_way = [given for given in observer.given if not given[1].done()]
        observer.given = []
        if not observer.under_way:
            return
        if observer.device.expires_at is not None and observer.device.expires_at <= time.time():
            self.remove(observer.device.device_id, observer)
            return
        task = asyncio.get_running_loop().create_task(self._deliver(observer))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _deliver(self, observer: Observer) -> None:
        body, media = in_format(listed([payload for payload, _ in observer.under_way]), observer.accept)
        fetched: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def heard(is_fetched: bool) -> None:
            if not fetched.done():
                fetched.set_result(is_fetched)

        observer.number += 1
        first = self._bodies.first(observer.device.device_id, body, media, heard)
        is_delivered = await observer.notify(first._replace(observe=observer.number))
        if not is_delivered:  # nobody is there any more
            self.remove(observer.device.device_id, observer)
            return
        if not fetched.done():
            await asyncio.wait([fetched], timeout=_FETCHED_WITHIN_S)
            self._bodies.drop(observer.device.device_id)
        observer.settle(fetched.done() and fetched.result())
        self._notify(observer)


def listed(commands: list[bytes]) -> bytes:
    """Commands as HTTP answers with them."""
    return b'{"commands":[' + b",".join(commands) + b"]}"


def nothing(accept: int | None) -> Answer:
    """That nothing waits."""
    return Answer(Code.CONTENT, *in_format(listed([]), accept))
