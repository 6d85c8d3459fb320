"""The statements of an ingest transaction, as role ingest, and how a batch becomes their parameters."""

import base64
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import orjson
from psycopg import AsyncConnection, AsyncCursor
from psycopg.pq.abc import PGresult

from engine.clock import from_ms
from ingest import arrays, decode
from ingest.adapters.base import Verdict
from ingest.batch import Batch, Parcel, Row
from ingest.errors import Rejection
from ingest.rejected import InboxRow

Connection = AsyncConnection[tuple[Any, ...]]

# The tenants that row-level security lets through: those whose devices this batch's connections proved to be.
ENTER = "SELECT set_config('app.tenants', %s, true)"
KNOWS_PARTS = "SELECT set_config('app.knows_parts', 'on', true)"

# The join drops devices that are unknown or no longer active; the policy refuses foreign tenants' rows.
STORE = """
INSERT INTO telemetry (tenant_id, device_id, time, seq, received_at, values, source, quality)
SELECT d.tenant_id, d.id, r.time, r.seq, r.received_at, r.values, r.source, r.quality
FROM unnest(%b, %b, %b, %b, %b, %b, %b, %b::jsonb[])
     AS r (tenant_id, device_id, time, seq, received_at, values, source, quality)
CROSS JOIN LATERAL (
    SELECT d.tenant_id, d.id, d.status FROM devices d
    WHERE d.tenant_id = r.tenant_id AND d.id = r.device_id OFFSET 0
) d
WHERE d.status IN ('provisioned', 'active')
ON CONFLICT DO NOTHING
RETURNING device_id, time, seq
"""

# What was there before: the same values of the same quality make a duplicate, others a conflict. A duplicate is also
# the same message of which the profile left out something then and not now, or now and not then (ADR 79): `whole` and
# `said` are what came, and a negative source says that of what is there something was left out. The bounds let
# partitions be skipped.
# OFFSET 0 makes it one look-up a row also where telemetry is a view, through which no join would pass (ADR 50).
COMPARE = """
SELECT r.n, (t.values = r.values AND t.quality IS NOT DISTINCT FROM r.quality)
            OR (t.values = r.whole AND t.quality IS NOT DISTINCT FROM r.said)
            OR (t.source < 0 AND t.values = (
                    SELECT coalesce(jsonb_object_agg(w.key, w.value), '{}') FROM jsonb_each(r.whole) w
                    WHERE t.values ? w.key
                ))
FROM unnest(%b, %b, %b, %b, %b, %b::jsonb[], %b, %b::jsonb[]) WITH ORDINALITY
     AS r (tenant_id, device_id, time, seq, values, quality, whole, said, n)
CROSS JOIN LATERAL (
    SELECT t.values, t.quality, t.source FROM telemetry t
    WHERE t.tenant_id = r.tenant_id AND t.device_id = r.device_id AND t.time = r.time AND t.seq = r.seq
      AND t.time BETWEEN %b AND %b OFFSET 0
) t
"""

REJECT = "SELECT app.reject(%b)"

# All of it in one statement, which is one transaction. It must be done step by step when a device takes no readings
# (TG409) or a key is there already (unique_violation: of the unique keys it writes only telemetry's can be taken).
AT_ONCE = "SELECT app.ingest(%s, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b)"
NOT_ALL_NEW = ("TG409", "23505")

APPEND = "SELECT count(*) FROM app.append(%b, %b, %b)"

LOCK_HEADS = "SELECT 1 FROM journal_head WHERE tenant_id = ANY (%b) ORDER BY tenant_id FOR UPDATE"

# json keeps its text, and the batch's id stands first in it.
FIND_BATCH = """
SELECT EXISTS (SELECT FROM journal WHERE tenant_id = %s AND at > now() - interval '10 minutes'
               AND kind IN ('telemetry', 'command.answered', 'device.event') AND starts_with(body::text, %s))
"""


async def at_once(
    connection: Connection,
    tenants: Iterable[UUID],
    rows: Sequence[Row],
    inbox: Sequence[InboxRow],
    entries: Sequence[tuple[UUID, str, bytes]],
) -> None:
    """The whole transaction in one call, committed when it returns; raises errors with a SQLSTATE of NOT_ALL_NEW."""
    parameters = (_set_of(tenants), *_columns(rows), _inbox(inbox), *_entries(entries))
    await connection.execute(AT_ONCE, parameters, binary=True, prepare=True)


async def enter(connection: Connection, tenants: Iterable[UUID]) -> None:
    """Begin a transaction that sees these tenants; the set ends with it."""
    await connection.execute("BEGIN")
    await connection.execute(ENTER, [_set_of(tenants)])


async def enter_inbox(connection: Connection, tenants: Iterable[UUID]) -> None:
    """As `enter`, and sees what was left out of stored readings, which is hidden from whoever knows nothing of it."""
    await enter(connection, tenants)
    await connection.execute(KNOWS_PARTS)


async def store(connection: Connection, rows: Sequence[Row]) -> AsyncCursor[tuple[Any, ...]]:
    """Insert the rows; the cursor's result holds the keys of those that were new (`fates`)."""
    return await connection.execute(STORE, _columns(rows), binary=True, prepare=True)


async def fates(connection: Connection, batch: Batch, result: PGresult) -> dict[int, Verdict]:
    """What became of the rows that were not stored, by their `id`: duplicate, conflict (REJECTED), or no device."""
    new = _keys(result)
    missing = [*(row for row in batch.rows if _key(row) not in new), *batch.variants]
    told = {id(row): Verdict.NOT_AUTHORISED for row in missing}
    left = {row: found for parcel in batch.parcels for row, found in (parcel.left or {}).items()}
    times_ms = [row.time_ms for row in missing]
    cursor = await connection.execute(
        COMPARE,
        (
            arrays.uuids([row.device.tenant_wire for row in missing]),
            arrays.uuids([row.device.device_wire for row in missing]),
            arrays.timestamps([at_ms * 1000 for at_ms in times_ms]),
            arrays.bigints([row.seq for row in missing]),
            arrays.jsonbs([row.canonical for row in missing]),
            _qualities([row.quality for row in missing]),
            arrays.jsonbs([left[id(row)].whole if id(row) in left else row.canonical for row in missing]),
            _qualities([left[id(row)].said if id(row) in left else row.quality for row in missing]),
            from_ms(min(times_ms)),
            from_ms(max(times_ms)),
        ),
        binary=True,
        prepare=True,
    )
    for n, is_same in await cursor.fetchall():
        row = missing[n - 1]
        # Without an explicit seq the key is the hash of what was sent: the same key is the same reading.
        told[id(row)] = Verdict.DUPLICATE if is_same or row.seq < 0 else Verdict.REJECTED
    return told


async def reject(connection: Connection, rows: Sequence[InboxRow]) -> None:
    """Put rows into the inbox."""
    await connection.execute(REJECT, [_inbox(rows)])


async def count_faults(connection: Connection, found: Sequence[tuple[Parcel, Rejection, bool]]) -> None:
    """Count what was rejected, and whether the rest of it is stored, and keep nothing of it."""
    told = _faults([(parcel, why.reason, why.about, why.message, is_partial) for parcel, why, is_partial in found])
    if told:
        await connection.execute(REJECT, [arrays.Json(orjson.dumps({"kept": [], "faults": told}))])


async def append(connection: Connection, entries: Sequence[tuple[UUID, str, bytes]]) -> None:
    """Write journal rows, last before COMMIT."""
    await connection.execute(APPEND, _entries(entries), binary=True, prepare=True)


async def was_committed(connection: Connection, tenant_id: UUID, batch_id: str) -> bool:
    """Whether the journal of a tenant holds this batch; waits for whoever holds the tenant's head."""
    await connection.execute(LOCK_HEADS, [arrays.uuids([arrays.wire(tenant_id.bytes)])])
    cursor = await connection.execute(FIND_BATCH, [tenant_id, f'{{"b":"{batch_id}"'])
    found = await cursor.fetchone()
    return bool(found and found[0])


def _set_of(tenants: Iterable[UUID]) -> str:
    return "{" + ",".join(map(str, tenants)) + "}"


def _columns(rows: Sequence[Row]) -> tuple[arrays.Column | None, ...]:
    columns: Sequence[Sequence[Any]] = tuple(zip(*rows, strict=True)) or ((),) * len(Row._fields)
    devices, times_ms, seqs, received_us, canonicals, qualities, sources, _ = columns
    return (
        arrays.uuids([device.tenant_wire for device in devices]),
        arrays.uuids([device.device_wire for device in devices]),
        arrays.timestamps([at_ms * 1000 for at_ms in times_ms]),
        arrays.bigints(seqs),
        arrays.timestamps(received_us),
        arrays.jsonbs(canonicals),
        arrays.smallints(sources),
        _qualities(qualities),
    )


def _qualities(found: Sequence[bytes]) -> arrays.Jsonbs | None:
    """NULL, which is as many NULLs as there are rows, where all is good."""
    return arrays.jsonbs_or_null(found) if any(found) else None


def _entries(entries: Sequence[tuple[UUID, str, bytes]]) -> tuple[arrays.Column, ...]:
    return (
        arrays.uuids([arrays.wire(tenant.bytes) for tenant, _, _ in entries]),
        arrays.texts([kind for _, kind, _ in entries]),
        arrays.jsons([body for _, _, body in entries]),
    )


def _inbox(rows: Sequence[InboxRow]) -> arrays.Json | None:
    """The argument of app.reject: NULL for no row, else what is kept, and how many there were of each fault."""
    if not rows:
        return None
    faults = _faults([(row.parcel, row.reason, row.about, row.message, row.rest is not None) for row in rows])
    kept = [_kept(row) for row in rows if row.payload is not None]
    return arrays.Json(orjson.dumps({"kept": kept, "faults": faults}))


def _faults(found: Iterable[tuple[Parcel, str, str, str, bool]]) -> list[dict[str, Any]]:
    """How many there are of each fault, of how many the rest is stored, from when to when, and the newest's words."""
    faults: dict[tuple[bytes, str, str], dict[str, Any]] = {}
    for parcel, reason, about, message, is_partial in found:
        device, at_us = parcel.device, parcel.received_us
        fault = faults.setdefault(
            (device.device_wire, reason, about),
            {
                **{"tenant_id": device.tenant_id, "device_id": device.device_id, "reason": reason, "about": about},
                **{"count": 0, "partial": 0, "first_us": at_us, "last_us": at_us},
            },
        )
        fault["count"] += 1
        fault["partial"] += is_partial
        fault["message"] = message
        fault["first_us"], fault["last_us"] = min(fault["first_us"], at_us), max(fault["last_us"], at_us)
    return list(faults.values())


def _kept(row: InboxRow) -> dict[str, Any]:
    return {
        "tenant_id": row.parcel.device.tenant_id,
        "id": row.id,
        "device_id": row.parcel.device.device_id,
        "received_us": row.parcel.received_us,
        "reason": row.reason,
        "about": row.about,
        "message": row.message,
        "transport": row.parcel.transport,
        "topic": row.parcel.topic,
        "decoder": decode.VERSION,
        "is_part": row.is_part,
        "rest_ms": None if row.rest is None else row.rest.time_ms,
        "rest_seq": None if row.rest is None else row.rest.seq,
        "left_out": None if row.rest is None else row.rest.metrics,
        "payload": base64.b64encode(row.payload or b"").decode(),
        "size_bytes": row.size_bytes,
        "sha256": base64.b64encode(row.sha256).decode(),
    }


def _keys(result: PGresult) -> frozenset[tuple[bytes | None, ...]]:
    value = result.get_value
    return frozenset((value(n, 0), value(n, 1), value(n, 2)) for n in range(result.ntuples))


def _key(row: Row) -> tuple[bytes, bytes, bytes]:
    return (
        row.device.device_wire[4:],
        arrays.timestamp_element(row.time_ms * 1000),
        row.seq.to_bytes(8, "big", signed=True),
    )
