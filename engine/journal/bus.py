"""The bus says one thing only: tenant T has news. What the news is, everybody reads in the journal as that tenant."""

import asyncio
import contextlib
import importlib
import logging
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = logging.getLogger(__name__)

_CHANNEL = "tidegate:news"
_RETRY_S = 0.5


class Bus(Protocol):
    """News travels at most once and may be lost: whoever listens also looks by itself once a second."""

    async def open(self) -> None:
        """Begin to listen and to speak."""

    async def close(self) -> None:
        """Stop."""

    def publish(self, tenant_ids: Iterable[UUID]) -> None:
        """Say that these tenants have news. Never blocks, never raises."""

    def subscribe(self, tenant_id: UUID) -> contextlib.AbstractAsyncContextManager[asyncio.Event]:
        """An event that is set whenever the tenant has news; whoever waits on it clears it."""


class MemoryBus:
    """The bus of one process; also what the others are made of."""

    def __init__(self) -> None:
        self._listeners: dict[UUID, set[asyncio.Event]] = {}

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    def publish(self, tenant_ids: Iterable[UUID]) -> None:
        """Set the event of everybody who listens to one of these tenants."""
        for tenant_id in tenant_ids:
            for listener in self._listeners.get(tenant_id, ()):
                listener.set()

    @contextlib.asynccontextmanager
    async def subscribe(self, tenant_id: UUID) -> AsyncIterator[asyncio.Event]:
        """An event that is set on news of ``tenant_id``."""
        news = asyncio.Event()
        listeners = self._listeners.setdefault(tenant_id, set())
        listeners.add(news)
        try:
            yield news
        finally:
            listeners.discard(news)
            if not listeners:
                self._listeners.pop(tenant_id, None)


class ValkeyBus(MemoryBus):
    """The bus between processes, over one Valkey channel.

    broadcaster's own Redis backend neither reconnects nor bounds its queues, so this speaks to Valkey directly: what is
    pending is a set of tenants (it conflates), and the subscription is renewed after a restart.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self._pending: set[UUID] = set()
        self._has_pending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to listen and to speak, and keep at it while Valkey comes and goes."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop both directions."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def publish(self, tenant_ids: Iterable[UUID]) -> None:
        """Note the tenants; they are said as soon as Valkey takes it."""
        self._pending.update(tenant_ids)
        self._has_pending.set()

    async def _run(self) -> None:
        # a sixth of a second of CPU, which no device that waits to be let in should wait for
        await asyncio.to_thread(importlib.import_module, "redis.asyncio")
        from redis.asyncio import Redis

        async with (
            Redis.from_url(self._url, socket_connect_timeout=2, socket_timeout=None) as valkey,
            asyncio.TaskGroup() as both,
        ):
            both.create_task(self._speak(valkey))
            both.create_task(self._listen(valkey))

    async def _speak(self, valkey: "Redis") -> None:
        from redis.exceptions import RedisError

        while True:
            await self._has_pending.wait()
            self._has_pending.clear()
            said, self._pending = self._pending, set()
            try:
                await valkey.publish(_CHANNEL, b"".join(tenant.bytes for tenant in said))
            except (RedisError, OSError):
                log.warning("bus.unavailable", extra={"tenants": len(said)})
                await asyncio.sleep(_RETRY_S)

    async def _listen(self, valkey: "Redis") -> None:
        from redis.exceptions import RedisError

        while True:
            try:
                async with valkey.pubsub(ignore_subscribe_messages=True) as pubsub:
                    await pubsub.subscribe(_CHANNEL)
                    super().publish(list(self._listeners))  # what was said while nobody listened
                    async for message in pubsub.listen():
                        data: bytes = message["data"]
                        super().publish(UUID(bytes=data[i : i + 16]) for i in range(0, len(data), 16))
            except (RedisError, OSError):
                await asyncio.sleep(_RETRY_S)
