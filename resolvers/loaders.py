"""Fetches the things an operation mentions: many keys in one query, each key once per operation."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from engine.errors import NotFound

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Batch(Generic[K, V]):
    """Collects the keys asked for in one turn of the loop and fetches them together.

    ``fetch`` answers the keys it knows; ``absent`` makes the value of the others, or raises what is said instead.
    """

    def __init__(
        self, fetch: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]], absent: Callable[[K], V] | None = None
    ) -> None:
        self._fetch = fetch
        self._absent = absent
        self._ready: dict[K, V] = {}
        self._waiting: dict[K, asyncio.Future[V]] = {}
        self._next: list[K] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def load(self, key: K, /) -> V:
        """The thing under ``key``."""
        if key in self._ready:
            return self._ready[key]
        if key not in self._waiting:
            self._waiting[key] = asyncio.get_running_loop().create_future()
            self._next.append(key)
            if len(self._next) == 1:
                task = asyncio.ensure_future(self._dispatch())
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(self._waiting[key])

    def ready(self, key: K, /) -> V | None:
        """The thing under ``key`` if it was fetched already."""
        return self._ready.get(key)

    async def prime(self, keys: Iterable[K]) -> None:
        """Fetch ``keys`` now, so that later loads need not wait."""
        missing = [key for key in dict.fromkeys(keys) if key not in self._ready]
        if missing:
            self._keep(missing, await self._fetch(missing))

    def put(self, key: K, value: V) -> None:
        """Remember a thing that was fetched on another way."""
        self._ready[key] = value

    def _keep(self, keys: Sequence[K], found: Mapping[K, V]) -> None:
        for key in keys:
            if key in found:
                self._ready[key] = found[key]
            elif self._absent is not None:
                self._ready[key] = self._absent(key)

    async def _dispatch(self) -> None:
        await asyncio.sleep(0)  # siblings that resolve in the same turn join in
        keys, self._next = self._next, []
        waiting = {key: self._waiting.pop(key) for key in keys}
        try:
            self._keep(keys, await self._fetch(keys))
        except Exception as error:
            for future in waiting.values():
                if not future.done():
                    future.set_exception(error)
                    future.exception()  # whoever waited may have been cancelled: then it is nobody's news
            return
        for key, future in waiting.items():
            if future.done():
                continue
            if key in self._ready:
                future.set_result(self._ready[key])
            else:
                future.set_exception(NotFound())
