"""Whose turn it is to play rules: of a tenant one at a time, of all few, so that who asks for much waits alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from engine.errors import Unavailable


class Turns:
    """The places of one process: ``at_once`` play, ``waiting`` more wait, of a tenant one and ``waiting_of_one``."""

    def __init__(self, busy: type[Unavailable], *, at_once: int, waiting: int = 0, waiting_of_one: int = 0) -> None:
        self._busy = busy
        self._at_once = at_once
        self._waiting = waiting
        self._waiting_of_one = waiting_of_one
        self._playing: set[UUID] = set()
        self._queue: list[tuple[UUID, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def one(self, tenant_id: UUID) -> AsyncIterator[None]:
        """One turn of a tenant. Raises what ``busy`` says when too many wait already."""
        await self._begin(tenant_id)
        try:
            yield
        finally:
            self._end(tenant_id)

    async def _begin(self, tenant_id: UUID) -> None:
        if tenant_id not in self._playing and len(self._playing) < self._at_once:
            self._playing.add(tenant_id)
            return
        of_one = sum(waits == tenant_id for waits, _ in self._queue)
        if len(self._queue) >= self._waiting or of_one >= self._waiting_of_one:
            raise self._busy
        turn = asyncio.get_running_loop().create_future()
        self._queue.append((tenant_id, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._queue.remove((tenant_id, turn))
            else:  # it came while its asker was already leaving
                self._end(tenant_id)
            raise

    def _end(self, tenant_id: UUID) -> None:
        """Give the place to whoever has waited longest and may play."""
        self._playing.discard(tenant_id)
        for waits, turn in self._queue:
            if waits not in self._playing and not turn.done():
                self._queue.remove((waits, turn))
                self._playing.add(waits)
                turn.set_result(None)
                return
