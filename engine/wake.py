"""Waking whoever has work after a COMMIT: live streams through the bus, workers through Celery.

The journal is the truth and the tick finds whatever nobody was woken for: a lost wake costs time only, so nothing here
blocks or raises.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable
from uuid import UUID

from engine.journal.bus import Bus
from engine.queue import DRAIN, STALE_S, Sender

log = logging.getLogger(__name__)

EVERY_S = 0.5


class Waker:
    """Says "tenant T has news" at once on the bus, and to the workers at most once per tenant in half a second."""

    def __init__(self, bus: Bus, queue: Sender) -> None:
        self._bus = bus
        self._queue = queue
        self._wanted: set[UUID] = set()
        self._has_wanted = asyncio.Event()
        self._said: dict[UUID, float] = {}
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to wake."""
        self._task = asyncio.create_task(self._speak())

    async def close(self) -> None:
        """Stop waking."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def __call__(self, tenant_ids: Iterable[UUID]) -> None:
        """These tenants have news."""
        tenants = list(tenant_ids)
        self._bus.publish(tenants)
        self._wanted.update(tenants)
        self._has_wanted.set()

    async def _speak(self) -> None:
        while True:
            await self._has_wanted.wait()
            self._has_wanted.clear()
            now = time.monotonic()
            ready = [t for t in self._wanted if now - self._said.get(t, 0.0) >= EVERY_S]
            self._wanted.difference_update(ready)
            if ready:
                self._said = {t: at for t, at in self._said.items() if now - at < EVERY_S} | dict.fromkeys(ready, now)
                await asyncio.to_thread(self._send, ready)
            if self._wanted:
                await asyncio.sleep(EVERY_S / 4)
                self._has_wanted.set()

    def _send(self, tenant_ids: list[UUID]) -> None:
        from kombu.exceptions import OperationalError  # comes with Celery, which is imported by the first wake

        try:
            for tenant_id in tenant_ids:
                self._queue.send_task(DRAIN, args=[str(tenant_id)], expires=STALE_S, ignore_result=True, retry=False)
        except (OperationalError, OSError):
            log.warning("wake.unavailable", extra={"tenants": len(tenant_ids)})
