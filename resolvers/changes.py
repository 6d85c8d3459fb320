"""Hears from the database that a session, token or device has changed, and tells whoever must act on it."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

import psycopg

log = logging.getLogger(__name__)

CHANNEL = "tidegate_changed"
_RETRY_S = 1.0
_KEEP_ALIVE: dict[str, Any] = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}

Heard = Callable[[str], None]


class Changes:
    """Listens on PostgreSQL's ``tidegate_changed`` channel, for as long as the process lives.

    ``on_change`` callbacks get what changed (``session:{id}``, ``token:{id}``, ``device:{id}``, ``tenant:{id}``).
    After a lost connection nobody knows what was missed: they get an empty string, which means "check everything
    yourself".
    """

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._heard: set[Heard] = set()
        self._task: asyncio.Task[None] | None = None
        self.is_listening = False

    def on_change(self, heard: Heard) -> Callable[[], None]:
        """Call ``heard`` on every change until the returned function is called."""
        self._heard.add(heard)
        return lambda: self._heard.discard(heard)

    async def open(self) -> None:
        """Begin to listen."""
        self._task = asyncio.create_task(self._keep_listening())

    async def close(self) -> None:
        """Stop listening."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _keep_listening(self) -> None:
        while True:
            try:
                await self._listen()
            except (psycopg.Error, OSError) as error:
                log.warning("changes.lost", extra={"reason": type(error).__name__})
            self.is_listening = False
            self._tell("")
            await asyncio.sleep(_RETRY_S)

    async def _listen(self) -> None:
        connection = await psycopg.AsyncConnection.connect(self._url, autocommit=True, connect_timeout=5, **_KEEP_ALIVE)
        async with connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            self.is_listening = True
            self._tell("")
            async for notification in connection.notifies():
                self._tell(notification.payload)

    def _tell(self, what: str) -> None:
        for heard in list(self._heard):
            heard(what)
