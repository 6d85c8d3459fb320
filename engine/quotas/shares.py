"""How much of a tenant's quotas the other processes are using: told and heard once a second through Valkey (ADR 25).

Each process adds what it has used in this second to a counter that all of them share, and reads the counter of the
second before. Nothing waits for it and nothing depends on it: without Valkey each process believes that it is alone,
so a tenant may use its quota once in every process, and never less than it was promised.
"""

import asyncio
import importlib
import logging
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = logging.getLogger(__name__)

EVERY_S = 1.0
_KEPT_S = 10
_AWAY_S = 3.0
"""What was heard is forgotten after so long without news."""

Key = tuple[UUID, str]
"""A tenant and what it uses, for example "messages"."""


class Shares:
    """What the others use. ``tell`` what this process has used since the last ``exchange``, then ask ``others``."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._valkey: Redis | None = None
        self._told: dict[Key, float] = {}
        self._before: dict[Key, float] = {}
        self._others: dict[Key, float] = {}
        self._heard_at = float("-inf")
        self._is_away = False

    def tell(self, used: Mapping[Key, float]) -> None:
        """What this process has used in this second; amounts of one key are added."""
        for key, amount in used.items():
            self._told[key] = self._told.get(key, 0.0) + amount

    def others(self, key: Key) -> float:
        """What all other processes together used of ``key`` in the last full second; 0.0 when nobody knows."""
        return self._others.get(key, 0.0) if time.monotonic() - self._heard_at < _AWAY_S else 0.0

    async def exchange(self) -> bool:
        """Say what was told and hear what others said; False when Valkey is away."""
        if not self._told and not self._before:
            return True
        second = int(time.time())
        told, self._told = self._told, {}
        asked = [*told, *(key for key in self._before if key not in told)]
        valkey = await self._connected()
        from redis.exceptions import RedisError

        try:
            totals = await _say_and_hear(valkey, told, asked, second)
        except (RedisError, OSError, TimeoutError) as error:
            self._before = {}
            if not self._is_away:
                log.warning("quotas.alone", extra={"error": type(error).__name__})
            self._is_away = True
            return False
        self._others = {
            key: max(0.0, float(total or 0.0) - self._before.get(key, 0.0))
            for key, total in zip(asked, totals, strict=True)
        }
        self._before = told
        self._heard_at = time.monotonic()
        self._is_away = False
        return True

    async def close(self) -> None:
        """Hang up."""
        if self._valkey is not None:
            await self._valkey.aclose()

    async def _connected(self) -> "Redis":
        if self._valkey is None:
            # a sixth of a second of CPU, which no device that waits to be let in should wait for
            await asyncio.to_thread(importlib.import_module, "redis.asyncio")
            from redis.asyncio import Redis

            self._valkey = Redis.from_url(self._url, socket_connect_timeout=1, socket_timeout=1)
        return self._valkey


def share(own: float, others: float, limit: float) -> float:
    """The part of a tenant's rate that this process may give out, from what was used a second ago; 0 to 1.

    Everything, unless together they come near the limit: then what is its part of it. Never less than a twentieth, so
    that a process whose devices have just begun to speak is heard.
    """
    total = own + others
    if others <= 0.0 or total < 0.9 * limit:
        return 1.0
    return max(0.05, own / total)


def until_next() -> float:
    """Seconds to the beginning of the next second, when everybody exchanges."""
    return EVERY_S - time.time() % EVERY_S


async def _say_and_hear(valkey: "Redis", told: Mapping[Key, float], asked: Sequence[Key], second: int) -> Sequence[Any]:
    """One round trip: add what was told to this second, read the totals of the second before."""
    async with valkey.pipeline(transaction=False) as pipeline:
        for key, amount in told.items():
            pipeline.incrbyfloat(_name(key, second), amount)
            pipeline.expire(_name(key, second), _KEPT_S)
        for key in asked:
            pipeline.get(_name(key, second - 1))
        answers: Sequence[Any] = await pipeline.execute()
    return answers[2 * len(told) :]


def _name(key: Key, second: int) -> str:
    tenant_id, what = key
    return f"tidegate:quota:{what}:{tenant_id}:{second}"
