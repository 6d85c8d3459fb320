"""The spool from the loop: its disk is waited for in a thread of its own, in the order of asking.

A disk that answers nothing (a card that dies, a share that is gone) is waited for as long as it takes. What is read
meanwhile waits in memory, as much as fits there; then the oldest go, and are counted, as in the spool itself.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ingest.edge.report import Message
from ingest.edge.spool import MOST_IN_MEMORY, Entry, Spool

_TOGETHER_S = 0.1
"""What is put, and what was sent, is written at most so often: one wait for the disk serves all of it."""
_STALLED_S = 10.0
"""A disk that has not answered for so long is in trouble, and not only slow."""
_CLOSED_WITHIN_S = 5.0
"""Whoever stops an edge kills it after ten seconds; half of these are for the machines."""


class Keeper:
    """`put` and `sent` from the loop, without waiting; `flush` waits until all of it is on the disk."""

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self.news = asyncio.Event()
        """Set when there is something new to send."""
        self._thread = ThreadPoolExecutor(1, "spool")
        self._waiting: deque[Message] = deque()
        self._handed = 0
        """How many the disk was given, and has not answered for yet."""
        self._lost = 0
        """What went since the disk last answered, for want of room in memory."""
        self._asked = 0
        self._answered_at = 0.0
        self._sent: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None

    def put(self, messages: Sequence[Message]) -> None:
        """Keep these until the platform has them."""
        if not messages:
            return
        self._waiting += messages
        while len(self._waiting) > MOST_IN_MEMORY:
            self._waiting.popleft()
            self._lost += 1
        self._soon()

    @property
    def dropped(self) -> int:
        """What had to go before it could be sent, ever."""
        return self.spool.dropped + self._lost

    @property
    def stalled_s(self) -> float:
        """For how long the disk has not answered; 0 while that is no trouble."""
        waited_s = time.monotonic() - self._answered_at
        return waited_s if self._asked and waited_s > _STALLED_S else 0.0

    def sent(self, id_: int) -> None:
        """The platform has this one."""
        self._sent.append(id_)
        self._soon()

    async def after(self, last: int, most: int) -> Sequence[Entry]:
        """The oldest entries after this id, without those that were sent."""
        found: Sequence[Entry] = await self._do(self.spool.after, last, most)
        return found

    async def begin_command(self, id_: str) -> tuple[bool, bytes | None]:
        """See Spool.begin_command."""
        found: tuple[bool, bytes | None] = await self._do(self.spool.begin_command, id_)
        return found

    async def answer_command(self, id_: str, message: Message) -> None:
        """See Spool.answer_command."""
        await self._do(self.spool.answer_command, id_, *message)
        self.news.set()

    async def flush(self) -> None:
        """Wait until what was put and sent so far is on the disk."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting or self._sent:
            sent, self._sent = self._sent, []
            if sent and not await self._do(self.spool.forget, sent):
                self._sent[:0] = sent
            if self._waiting:
                messages, self._waiting = self._waiting, deque()  # not before: whatever became of the other
                lost, self._lost = self._lost, 0
                self._handed = len(messages)
                await self._do(self.spool.put, messages, lost)
                self._handed = 0
                self.news.set()
            if self._sent and self.spool.is_failing:
                break  # with the next write

    async def close(self) -> int | None:
        """Write what waits, and end the thread; else, of a disk that does not answer, how many were not written.

        Of these nothing was said to anybody: a machine does not forget what was read, and a command's answer goes up
        when it is on the disk. What the platform has, and the disk did not hear of, goes up again, and is stored once.
        """
        closing = asyncio.create_task(self._closed())
        await asyncio.wait([closing], timeout=_CLOSED_WITHIN_S)
        if closing.done():
            closing.result()
            return None
        closing.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)
        return self._handed + len(self._waiting)

    async def _closed(self) -> None:
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)
        await self.flush()
        await self._do(self.spool.close)
        self._thread.shutdown()

    def _soon(self) -> None:
        if self._timer is None and (self._writing is None or self._writing.done()):
            self._timer = asyncio.get_running_loop().call_later(_TOGETHER_S, self._write)

    def _write(self) -> None:
        self._timer = None
        self._writing = asyncio.create_task(self._flushed())

    async def _flushed(self) -> None:
        await self.flush()
        if self._waiting or self._sent:
            self._timer = asyncio.get_running_loop().call_later(1.0, self._write)

    def _do(self, work: Callable[..., Any], *given: Any) -> asyncio.Future[Any]:
        if not self._asked:
            self._answered_at = time.monotonic()
        self._asked += 1
        doing = asyncio.get_running_loop().run_in_executor(self._thread, work, *given)
        doing.add_done_callback(self._answered)
        return doing

    def _answered(self, doing: asyncio.Future[Any]) -> None:
        self._asked -= 1
        self._answered_at = time.monotonic()
