"""Which of a worker's drains is next: those it is asked for by the queue, and those of readers that stay with it.

A reader stays with the worker that knows its devices, which comes back to it by itself (ADR 81). One turn is taken at a
time, in the order in which they came, whoever asked for it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from uuid import UUID

from engine.errors import Unavailable
from engine.wake import EVERY_S

log = logging.getLogger(__name__)

Turned = tuple[UUID, int]
"""A tenant's id and which of its readers."""
Turn = Callable[[Turned], Awaitable[float | None]]
"""Takes a reader's turn; says in how many seconds it is to come back to it by itself, or None: it does not stay."""


class Turns:
    """A worker's turns, one at a time."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._asked = 0
        self._staying: set[Turned] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def asked(self, reader: Turned, turn: Turn) -> None:
        """The queue asks for the reader: its turn, unless it is come back to anyway."""
        if reader in self._staying:
            return
        self._asked += 1
        try:
            await self._take(reader, turn)
        finally:
            self._asked -= 1

    def end(self) -> None:
        """Come back to none of them."""
        for task in self._tasks:
            task.cancel()

    async def _take(self, reader: Turned, turn: Turn) -> None:
        async with self._lock:
            again_s = await turn(reader)
        if again_s is not None and reader not in self._staying:
            self._staying.add(reader)
            task = asyncio.create_task(self._come_back(reader, turn, again_s))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _come_back(self, reader: Turned, turn: Turn, again_s: float) -> None:
        """Its next turn. Whoever the queue asks for meanwhile has half a second in between.

        What goes wrong is found again by the next wake, or the tick.
        """
        await asyncio.sleep(max(again_s, EVERY_S if self._asked else 0.0))
        self._staying.remove(reader)  # whoever asks from now on may know of more than this turn finds
        try:
            await self._take(reader, turn)
        except Unavailable as away:
            log.warning("worker.unavailable", extra={"reason": away.code})
        except Exception:  # a mistake of ours: it costs this reader a turn, not the worker
            log.exception("worker.turn_failed", extra={"tenant": str(reader[0])})
