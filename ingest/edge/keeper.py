"""The spool from the loop: its disk is waited for in a thread of its own, in the order of asking."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ingest.edge.report import Message
from ingest.edge.spool import Entry, Spool

_TOGETHER_S = 0.1
"""What is put, and what was sent, is written at most so often: one wait for the disk serves all of it."""


class Keeper:
    """`put` and `sent` from the loop, without waiting; `flush` waits until all of it is on the disk."""

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self.news = asyncio.Event()
        """Set when there is something new to send."""
        self._thread = ThreadPoolExecutor(1, "spool")
        self._waiting: list[Message] = []
        self._sent: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None

    def put(self, messages: Sequence[Message]) -> None:
        """Keep these until the platform has them."""
        if messages:
            self._waiting += messages
            self._soon()

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
            messages, self._waiting = self._waiting, []  # not before: whatever became of the other, they are here
            if messages:
                await self._do(self.spool.put, messages)
                self.news.set()
            if self._sent and self.spool.is_failing:
                break  # with the next write

    async def close(self) -> None:
        """Write what waits, and end the thread."""
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
        return asyncio.get_running_loop().run_in_executor(self._thread, work, *given)
