"""Hears from the database which device or profile changed, so that nothing stale is trusted and the revoked are cut."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
from psycopg import AsyncConnection

from ingest.database import connect

log = logging.getLogger(__name__)

CHANNEL = "tidegate_changed"
_RETRY_S = 0.5
_QUIET_S = 10.0


class Changes:
    """LISTENs. `changed(what)` for each note; `missed()` whenever listening begins: what came before is unknown."""

    def __init__(self, url: str, changed: Callable[[str], None], missed: Callable[[], None]) -> None:
        self._url = url
        self._changed = changed
        self._missed = missed

    async def run(self) -> None:
        """Listen until cancelled, again after every loss."""
        while True:
            try:
                connection = await connect(self._url, 5.0)
                try:
                    await self._listen(connection)
                finally:
                    await connection.close()
            except (psycopg.Error, OSError) as error:
                log.warning("ingest.changes_lost", extra={"error": type(error).__name__})
                await asyncio.sleep(_RETRY_S)

    async def _listen(self, connection: AsyncConnection[Any]) -> None:
        await connection.execute(f"LISTEN {CHANNEL}")
        self._missed()
        while True:
            async for note in connection.notifies(timeout=_QUIET_S):
                self._changed(note.payload)
            await connection.execute("SELECT 1")  # a connection that died in silence is found here


class Conflated:
    """Runs one piece of work at a time over all keys told meanwhile; used to check sessions again after changes."""

    def __init__(self, work: Callable[[set[str]], Awaitable[None]]) -> None:
        self._work = work
        self._keys: set[str] = set()
        self._has_keys = asyncio.Event()

    def tell(self, key: str) -> None:
        """This key wants work."""
        self._keys.add(key)
        self._has_keys.set()

    async def run(self) -> None:
        """Work until cancelled; what fails is tried again."""
        while True:
            await self._has_keys.wait()
            self._has_keys.clear()
            keys, self._keys = self._keys, set()
            try:
                await self._work(keys)
            except (psycopg.Error, OSError) as error:
                log.warning("ingest.check_failed", extra={"error": type(error).__name__})
                self._keys |= keys
                self._has_keys.set()
                await asyncio.sleep(_RETRY_S)
