"""Logins that were refused, counted device by device for the audit log: never a row a try (ADR 41).

The first try is told after a few seconds, what follows within ten minutes as one number. Who tries many devices of a
tenant is told of as the tenant's trouble. What a client sent is kept nowhere: neither a secret nor a made-up name.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import orjson

log = logging.getLogger(__name__)

REFUSED = "device.refused"
"""The journal's kind of such a number; ``engine.devices.refusals`` follows it."""

FIRST_S = 5.0
"""So long a first refusal waits for others like it."""
WINDOW_S = 600.0
"""Then so long."""
MOST_OF_ONE = 100
"""So many devices and reasons of one tenant are told apart at a time, in this process."""
MOST = 10_000
"""So many of all tenants; what is more is lost, and the log of this process says so."""

_Key = tuple[UUID, UUID | None, str]
"""The tenant, its device (None: one that it has not, or one of many), and why."""


@dataclass(slots=True)
class _Told:
    count: int
    first_at: float
    last_at: float
    due: float


class Refusals:
    """What was refused and not told yet. ``record`` takes a journal row: tenant, kind, body."""

    def __init__(
        self, record: Callable[[UUID, str, bytes], None], steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._record = record
        self._steady = steady
        self._known: dict[_Key, _Told] = {}
        self._of_tenant: Counter[UUID] = Counter()
        self._sweeping: asyncio.TimerHandle | None = None
        self._untold = 0

    def note(self, tenant_id: UUID, device_id: UUID | None, why: str) -> None:
        """One try that was refused. On the loop; nothing waits for anything."""
        now = time.time()
        key = tenant_id, device_id, why
        told = self._known.get(key)
        if told is None and device_id is not None and self._of_tenant[tenant_id] >= MOST_OF_ONE:
            key = tenant_id, None, "many"
            told = self._known.get(key)
        if told is None:
            if len(self._known) >= MOST:
                self._untold += 1
                return
            told = self._known[key] = _Told(0, now, now, self._steady() + FIRST_S)
            self._of_tenant[tenant_id] += 1
        if not told.count:
            told.first_at = now
        told.count += 1
        told.last_at = now
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(FIRST_S, self.sweep)

    def close(self) -> None:
        """Tell what was not told yet."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        for key, told in self._known.items():
            self._tell(key, told)
        self._known.clear()
        self._of_tenant.clear()
        self._own_up()

    def sweep(self) -> None:
        """Tell what is due; forget what nobody has tried again for a whole window."""
        now = self._steady()
        for key, told in [(key, told) for key, told in self._known.items() if told.due <= now]:
            if told.count:
                self._tell(key, told)
                told.count, told.due = 0, now + WINDOW_S
            else:
                del self._known[key]
                self._of_tenant[key[0]] -= 1
        self._of_tenant = +self._of_tenant
        self._own_up()
        loop = asyncio.get_running_loop()
        self._sweeping = loop.call_later(FIRST_S, self.sweep) if self._known else None

    def _own_up(self) -> None:
        """Say how many are lost: one line in the log, also where they come by the thousand."""
        if self._untold:
            log.warning("ingest.refusals_untold", extra={"count": self._untold})
            self._untold = 0

    def _tell(self, key: _Key, told: _Told) -> None:
        tenant_id, device_id, why = key
        if told.count:
            body = {
                "device": None if device_id is None else str(device_id),
                "why": why,
                "count": told.count,
                "first": int(told.first_at * 1000),
                "last": int(told.last_at * 1000),
            }
            self._record(tenant_id, REFUSED, orjson.dumps(body))
