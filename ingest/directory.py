"""The devices this process has heard from, each with its profile compiled; read once, read anew after a change."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import psycopg

from ingest import arrays, statements
from ingest.adapters.base import Decision, Verdict
from ingest.batch import Known
from ingest.database import Database
from ingest.normaliser import ANYTHING, Shape, compile_shape

log = logging.getLogger(__name__)

# OFFSET 0: each device is looked up by its own key, whatever the planner knows of the table. Of a fleet that was just
# registered, and not yet counted, it would read for each device all those that have the same profile.
FIND = """
SELECT d.id, p.id, p.version, p.metrics, p.is_strict,
       least(coalesce(q.storage_days, %b), coalesce(p.retention_days, r.days, 90))
FROM unnest(%b, %b) AS wanted (tenant_id, id)
CROSS JOIN LATERAL (
    SELECT d.tenant_id, d.id, d.profile_id FROM devices d
    WHERE d.tenant_id = wanted.tenant_id AND d.id = wanted.id OFFSET 0
) d
JOIN profiles p ON p.tenant_id = d.tenant_id AND p.id = d.profile_id
LEFT JOIN quotas q ON q.tenant_id = d.tenant_id
LEFT JOIN retention r ON r.tenant_id = d.tenant_id
"""

Heard = Callable[[Known | Verdict], None]
"""Called once with the device, or with NOT_AUTHORISED (there is none) or UNAVAILABLE (the database is away)."""

_AT_ONCE = 500
_RETRY_S = 0.25


class Directory:
    """Finds devices by their id. A device is one object for the life of the process; only its shape is replaced."""

    def __init__(self, database: Database, *, patience_s: float = 8.0, storage_days: int = 90) -> None:
        self._database = database
        self._storage_days = storage_days
        self._patience_s = patience_s
        self._fresh: dict[int, Known] = {}
        self._stale: dict[int, Known] = {}
        self._profile_of: dict[int, UUID] = {}
        self._shapes: dict[UUID, tuple[tuple[int, int], Shape]] = {}
        self._waiting: dict[int, tuple[Decision, list[Heard]]] = {}
        self._loading: asyncio.Task[None] | None = None
        self._changes = 0

    def find(self, device: Decision) -> Known | None:
        """The device, if what is known of it is fresh; else `ask`."""
        return self._fresh.get(device.device_id.int)

    def ask(self, device: Decision, heard: Heard) -> None:
        """Look the device up; `heard` is called on the loop, in the order of asking."""
        self._waiting.setdefault(device.device_id.int, (device, []))[1].append(heard)
        if self._loading is None or self._loading.done():
            self._loading = asyncio.create_task(self._load())

    def changed(self, what: str) -> None:
        """A NOTIFY came: `device:{id}`, `profile:{id}`, or what a tenant keeps (`quota:`, `retention:`) is new."""
        kind, _, text = what.partition(":")
        if kind not in ("device", "profile", "quota", "retention"):
            return
        self._changes += 1
        changed = UUID(text)
        if kind == "device":
            self._forget(changed.int)
            return
        if kind != "profile":
            for key in [key for key, known in self._fresh.items() if known.tenant_id == changed]:
                self._forget(key)
            return
        self._shapes.pop(changed, None)
        for device in [device for device, profile in self._profile_of.items() if profile == changed]:
            self._forget(device)

    def forget_all(self) -> None:
        """Changes may have been missed: every device is read anew when it next speaks."""
        self._changes += 1
        self._shapes.clear()
        self._stale |= self._fresh
        self._fresh.clear()

    def tenants(self) -> set[UUID]:
        """Whose devices have been heard of here."""
        return {known.tenant_id for known in (*self._fresh.values(), *self._stale.values())}

    async def close(self) -> None:
        """Stop looking up; whoever waits is told UNAVAILABLE."""
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.gather(self._loading, return_exceptions=True)
        for device, _ in list(self._waiting.values()):
            self._answer(device, Verdict.UNAVAILABLE)
        await self._database.drop()

    def _forget(self, device: int) -> None:
        if device in self._fresh:
            self._stale[device] = self._fresh.pop(device)

    async def _load(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._patience_s
        while self._waiting:
            asked = [device for device, _ in list(self._waiting.values())[:_AT_ONCE]]
            changes = self._changes
            try:
                found = await self._read(asked)
            except (psycopg.Error, OSError, TimeoutError) as error:
                log.warning("ingest.directory_unavailable", extra={"error": type(error).__name__})
                await self._database.drop()
                if loop.time() > until:
                    for device in asked:
                        self._answer(device, Verdict.UNAVAILABLE)
                await asyncio.sleep(_RETRY_S)
                continue
            if changes != self._changes and loop.time() < until:
                continue  # what was read may be older than the change that was just told
            until = loop.time() + self._patience_s
            for device in asked:
                self._answer(device, found.get(device.device_id.int, Verdict.NOT_AUTHORISED))

    def _answer(self, device: Decision, answer: Known | Verdict) -> None:
        if isinstance(answer, Known):
            self._fresh[device.device_id.int] = answer
        for heard in self._waiting.pop(device.device_id.int)[1]:
            heard(answer)

    async def _read(self, asked: Sequence[Decision]) -> dict[int, Known]:
        wanted = (
            self._storage_days,
            arrays.uuids([arrays.wire(device.tenant_id.bytes) for device in asked]),
            arrays.uuids([arrays.wire(device.device_id.bytes) for device in asked]),
        )
        async with self._database.transaction() as connection:
            await statements.enter(connection, {device.tenant_id for device in asked})
            rows = await (await connection.execute(FIND, wanted, binary=True)).fetchall()
            await connection.execute("COMMIT")
        tenant_of = {device.device_id: device.tenant_id for device in asked}
        return {row[0].int: self._know(tenant_of[row[0]], row) for row in rows}

    def _know(self, tenant_id: UUID, row: tuple[Any, ...]) -> Known:
        device_id, profile_id, version, metrics, is_strict, kept_days = row
        held = self._shapes.get(profile_id)
        if held is None or held[0] != (version, kept_days):
            shape = compiled(profile_id, metrics, is_strict, kept_days)
            held = self._shapes[profile_id] = ((version, kept_days), shape)
        key = device_id.int
        known = self._stale.pop(key, None) or self._fresh.get(key) or Known(tenant_id, device_id, held[1])
        known.shape = held[1]
        self._profile_of[key] = profile_id
        return known


def compiled(profile_id: UUID, metrics: Any, is_strict: bool, kept_days: int = 90) -> Shape:
    """A profile's shape."""
    try:
        return compile_shape(metrics, is_strict, kept_days)
    except (KeyError, TypeError):
        # One tenant's unreadable profile must not stop the others' devices: its own are taken as they send.
        log.exception("ingest.profile_unreadable", extra={"profile": str(profile_id)})
        return ANYTHING
