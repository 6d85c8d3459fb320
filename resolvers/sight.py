"""Which devices somebody limited to groups sees at this moment, for streams: the database answers, not a copy of it."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar
from uuid import UUID

from engine.devices import service as devices
from engine.store.pool import Store
from engine.tenancy import Principal

E = TypeVar("E")

GOOD_FOR_S = 1.0
"""How long an answer is believed: a device that leaves the groups is no longer heard of after that."""


class Sight:
    """What one subscriber sees. Asked once a second for each device that something happened to, many at once."""

    def __init__(self, store: Store, principal: Principal) -> None:
        self._store = store
        self._principal = principal
        self._seen: dict[UUID, bool] = {}
        self._since = 0.0
        self._looking: asyncio.Task[Mapping[UUID, bool]] | None = None

    async def only(self, events: Sequence[E], device_of: Callable[[E], UUID]) -> Sequence[E]:
        """Those of ``events`` whose device they see. Raises StoreUnavailable."""
        if time.monotonic() - self._since > GOOD_FOR_S:
            self._seen.clear()
            self._since = time.monotonic()
        unknown = {device_of(event) for event in events} - self._seen.keys()
        if unknown:
            # a reader who leaves in the middle must not take the transaction with them
            self._looking = asyncio.create_task(self._look(unknown))
            self._seen.update(await asyncio.shield(self._looking))
        return [event for event in events if self._seen[device_of(event)]]

    async def _look(self, device_ids: Collection[UUID]) -> Mapping[UUID, bool]:
        async with self._store.as_tenant(self._principal, read_only=True) as tx:
            found = await devices.by_ids(tx, list(device_ids))
        return {device_id: device_id in found for device_id in device_ids}
