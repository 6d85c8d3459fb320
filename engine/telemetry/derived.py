"""Readings that rules derive: stored and told in the drain's transaction like a device's own, each once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

import orjson
from sqlalchemy import text

from engine import clock
from engine.store.emit import Event
from engine.store.tx import Tx

# A key that is there already is the same derived reading: its seq follows from what it was derived by.
_STORE = text(
    """
    INSERT INTO telemetry (tenant_id, device_id, time, seq, received_at, values)
    SELECT :tenant, r.device, to_timestamp(r.at / 1000.0), r.seq, :now, r.values
    FROM json_to_recordset(CAST(:readings AS json)) AS r (device uuid, at bigint, seq bigint, values jsonb)
    ON CONFLICT DO NOTHING
    RETURNING CAST(device_id AS text) AS device, CAST(round(extract(epoch FROM time) * 1000) AS bigint) AS at, seq
    """
)


@dataclass(frozen=True, slots=True)
class Derived:
    """One derived reading. ``by``: the rules that led to it."""

    device_id: str
    at_ms: int
    seq: int
    values: Mapping[str, object]
    by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DerivedStored(Event):
    """Readings were stored, as ingest tells it, and which rules had led to them (``by``)."""

    kind: ClassVar[str] = "telemetry"
    r: list[list[object]]
    n: dict[str, list[int]]
    by: list[str]


def seq_of(told: UUID) -> int:
    """The seq of what was derived by this: a negative number from 62 bits of its id, as of a message without seq."""
    return -(told.int >> 66) - 1


async def store(tx: Tx, readings: Sequence[Derived]) -> None:
    """Store what is not stored yet and tell the journal; rules see it with the next drain."""
    if not readings:
        return
    rows = [{"device": r.device_id, "at": r.at_ms, "seq": r.seq, "values": r.values} for r in readings]
    told = orjson.dumps(rows).decode()
    stored = {
        (row["device"], row["at"], row["seq"])
        for row in await tx.rows(_STORE, {"tenant": tx.principal.tenant_id, "now": tx.now, "readings": told})
    }
    received = clock.to_ms(tx.now)
    for by in sorted({reading.by for reading in readings}):
        fresh: list[list[object]] = [
            [r.device_id, r.at_ms, r.seq, received, r.values]
            for r in readings
            if r.by == by and (r.device_id, r.at_ms, r.seq) in stored
        ]
        if fresh:
            tx.emit(DerivedStored(fresh, {}, list(by)))
