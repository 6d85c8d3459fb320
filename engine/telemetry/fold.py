"""Folding new readings into what is kept beside them: each device's latest values and the hourly counts."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text

from engine import clock
from engine.store.tx import Tx

Latest = dict[str, list[Any]]
"""By metric: [value, event time in ms]."""

HOUR_MS = 3_600_000
COUNTED = ("received", "stored", "duplicates", "rejected", "refused", "not_kept")

_LOAD = text("SELECT device_id, values FROM latest WHERE tenant_id = :tenant AND device_id = ANY (:ids)")
_SAVE = text(
    "INSERT INTO latest (tenant_id, device_id, values, received_at) "
    "SELECT :tenant, u.id, u.document::jsonb, to_timestamp(u.at / 1000.0) FROM unnest("
    "CAST(:ids AS uuid[]), CAST(:documents AS text[]), CAST(:received AS bigint[])) AS u (id, document, at) "
    "ON CONFLICT (tenant_id, device_id) DO UPDATE SET values = excluded.values, "
    "received_at = greatest(latest.received_at, excluded.received_at)"
)
_COUNT = text(
    """
    INSERT INTO counts AS c
        (tenant_id, device_id, hour, received, stored, duplicates, rejected, refused, not_kept)
    SELECT :tenant, u.* FROM unnest(
        CAST(:ids AS uuid[]), CAST(:hours AS timestamptz[]), CAST(:received AS bigint[]), CAST(:stored AS bigint[]),
        CAST(:duplicates AS bigint[]), CAST(:rejected AS bigint[]), CAST(:refused AS bigint[]),
        CAST(:not_kept AS bigint[])
    ) AS u ORDER BY 2, 3
    ON CONFLICT (tenant_id, device_id, hour) DO UPDATE SET
        received = c.received + excluded.received, stored = c.stored + excluded.stored,
        duplicates = c.duplicates + excluded.duplicates, rejected = c.rejected + excluded.rejected,
        refused = c.refused + excluded.refused, not_kept = c.not_kept + excluded.not_kept
    """
)


class Newest:
    """The latest values of some devices while readings are folded in; each metric by its own newest time."""

    def __init__(self, before: Mapping[UUID, Latest]) -> None:
        self._values: dict[UUID, Latest] = dict(before)
        self._received: dict[UUID, int] = {}

    def of(self, device_id: UUID) -> Latest:
        """What is known of a device so far."""
        return self._values.get(device_id, {})

    def learn(self, device_id: UUID, at_ms: int, received_ms: int, values: Mapping[str, object]) -> None:
        """Take in one reading; late values never overwrite newer ones."""
        known = self._values.setdefault(device_id, {})
        for metric, value in values.items():
            old = known.get(metric)
            if old is None or at_ms >= old[1]:
                known[metric] = [value, at_ms]
        if received_ms > self._received.get(device_id, 0):
            self._received[device_id] = received_ms

    def changed(self) -> tuple[Sequence[UUID], Sequence[str], Sequence[int]]:
        """Columns of what is to be saved: device ids in order, JSON documents, receipt times in ms."""
        touched = sorted(self._received)
        documents = [orjson.dumps(self._values[device_id]).decode() for device_id in touched]
        return touched, documents, [self._received[device_id] for device_id in touched]


async def load(tx: Tx, device_ids: Iterable[UUID]) -> Newest:
    """What is known of these devices."""
    rows = await tx.rows(_LOAD, {"tenant": tx.principal.tenant_id, "ids": list(device_ids)})
    return Newest({row["device_id"]: row["values"] for row in rows})


async def save(tx: Tx, newest: Newest) -> None:
    """Keep what was learnt, in the order of device ids."""
    device_ids, documents, received = newest.changed()
    if device_ids:
        asked = {"ids": device_ids, "documents": documents, "received": received}
        await tx.execute(_SAVE, {"tenant": tx.principal.tenant_id, **asked})


async def count(tx: Tx, at: datetime, numbers: Iterable[Mapping[str, Sequence[int]]]) -> None:
    """Add to the hourly counts what ingest has said of each device: its numbers in the order of ``COUNTED``."""
    sums: dict[str, list[int]] = {}
    for said in numbers:
        for device_id, counted in said.items():
            held = sums.setdefault(device_id, [0] * len(COUNTED))
            for place, number in enumerate(counted):
                held[place] += number
    if not sums:
        return
    hour = clock.from_ms(clock.to_ms(at) // HOUR_MS * HOUR_MS)
    columns = {name: [held[place] for held in sums.values()] for place, name in enumerate(COUNTED)}
    ids = [UUID(device_id) for device_id in sums]
    await tx.execute(_COUNT, {"tenant": tx.principal.tenant_id, "ids": ids, "hours": [hour] * len(ids), **columns})
