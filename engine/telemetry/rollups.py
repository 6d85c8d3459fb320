"""Hours and days of every metric: made when they are over, and made again where something came late (ADR 55).

An hour is closed by moving ``readers.closed_to`` under the drain's lease (of all its readers, where there are several),
before it is read: what was committed until then is seen when it is read, and what is committed after is drained after,
by somebody who knows that it came late and notes its hour. A note is taken away before the hour is read again. So
nothing is lost whatever happens at once, and whoever ingests does nothing for it.

Readings never change: there are more of them, or retention has taken them away. So an hour that is made again counts
only where it has grown; it survives its readings.
"""

import logging
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text

from engine import clock
from engine.errors import Unavailable
from engine.store.pool import Store
from engine.store.tx import Tx
from engine.telemetry.cover import DAY, HOUR
from engine.tenancy import system

log = logging.getLogger(__name__)

CLOSES_AFTER = timedelta(minutes=5)
"""How long after its end an hour waits for what is on its way; the door `tenants_all` says the same."""
AHEAD = timedelta(minutes=10)
"""How far a device's clock may be ahead: by so much a reading may have been received before its hour began."""
LONGEST = timedelta(days=90)
TURN_S = 1.0
REPAIRS_AT_ONCE = 500
REPAIR_S = 0.2

_HOUR_MS = 3_600_000
_NOBODY = UUID(int=0)

_MINE = text("SELECT pg_try_advisory_xact_lock(hashtextextended('rollups:' || :tenant, 0))")
# As far as the drain has read, so that what it reads next is not all late.
_CLOSE = text(
    """
    UPDATE readers r SET closed_to = c.to FROM (
        SELECT min(CASE WHEN b.pos < h.pos THEN least(CAST(:over AS timestamptz), date_trunc('hour', b.at, 'UTC'))
                   ELSE CAST(:over AS timestamptz) END) AS to
        FROM readers b JOIN journal_head h USING (tenant_id) WHERE b.tenant_id = :tenant
    ) c
    WHERE r.tenant_id = :tenant AND (r.closed_to IS NULL OR r.closed_to < c.to)
    """
)
_OLDEST_DAY = """(
    SELECT min(day) FROM generate_series(CAST(:first AS timestamptz), CAST(:now AS timestamptz), interval '1 day') day
    WHERE EXISTS (
        SELECT FROM telemetry t WHERE t.tenant_id = :tenant AND t.time >= day AND t.time < day + interval '1 day'
    )
)"""
_BEGIN = text(
    f"""
    INSERT INTO rollup_progress (tenant_id, hours_to, days_to)
    SELECT :tenant, coalesce(day, :to), coalesce(day, date_trunc('day', CAST(:to AS timestamptz), 'UTC'))
    FROM {_OLDEST_DAY} AS oldest (day)
    ON CONFLICT DO NOTHING
    """  # noqa: S608  ours
)
_STANDS = text(
    "SELECT r.closed_to, p.hours_to, p.days_to, p.device_after FROM readers r "
    "LEFT JOIN rollup_progress p ON p.tenant_id = r.tenant_id WHERE r.tenant_id = :tenant AND r.reader = 'drain'"
)
_IS_EMPTY = text(
    "SELECT NOT EXISTS (SELECT FROM telemetry t WHERE t.tenant_id = :tenant AND t.time >= :start AND t.time < :end)"
)
_MOVE = text(
    "UPDATE rollup_progress SET hours_to = :hours_to, days_to = :days_to, device_after = :after "
    "WHERE tenant_id = :tenant"
)

# The devices that may have something in the hour; one that was never drained yet is noted when it is.
_HEARD = """
    SELECT device_id FROM latest
    WHERE tenant_id = :tenant AND device_id > :after AND received_at >= :heard ORDER BY device_id LIMIT :most
"""
_SOME = "SELECT unnest(CAST(:devices AS uuid[])) AS device_id"
# One walk down the key for each device; the first and the last value are looked up then, which takes less than to sort
# all of them. Numbers are added as they are written, so that no order of adding makes a difference.
_HOUR_OF = """
    SELECT :tenant, d.device_id, g.metric, CAST(:start AS timestamptz), g.n, g.numbers, g.low, g.high, g.total,
           f.value, l.value
    FROM {devices} d
    CROSS JOIN LATERAL (
        SELECT metric, count(*) AS n, count(number) AS numbers, min(number) AS low, max(number) AS high,
               sum(number) AS total, min(time) AS first_at, max(time) AS last_at
        FROM (
            SELECT t.time, v.key AS metric,
                   CASE jsonb_typeof(v.value) WHEN 'number' THEN CAST(v.value AS numeric) END AS number
            FROM telemetry t CROSS JOIN LATERAL jsonb_each(t.values) v
            WHERE t.tenant_id = :tenant AND t.device_id = d.device_id AND t.time >= :start AND t.time < :end
        ) measured GROUP BY metric
    ) g
    CROSS JOIN LATERAL (
        SELECT t.values -> g.metric AS value FROM telemetry t
        WHERE t.tenant_id = :tenant AND t.device_id = d.device_id AND t.time = g.first_at
          AND t.time >= :start AND t.time < :end AND t.values ? g.metric ORDER BY t.seq LIMIT 1
    ) f
    CROSS JOIN LATERAL (
        SELECT t.values -> g.metric AS value FROM telemetry t
        WHERE t.tenant_id = :tenant AND t.device_id = d.device_id AND t.time = g.last_at
          AND t.time >= :start AND t.time < :end AND t.values ? g.metric ORDER BY t.seq DESC LIMIT 1
    ) l
"""
_DAY_OF = """
    SELECT :tenant, h.device_id, h.metric, CAST(:start AS timestamptz), CAST(sum(h.n) AS bigint),
           CAST(sum(h.numbers) AS bigint), min(h.low), max(h.high), sum(h.total),
           (array_agg(h.first ORDER BY h.start))[1], (array_agg(h.last ORDER BY h.start DESC))[1]
    FROM {devices} d
    JOIN rollup_hours h ON h.tenant_id = :tenant AND h.device_id = d.device_id
    WHERE h.start >= :start AND h.start < :end
    GROUP BY h.device_id, h.metric
"""
_KEEP = """
    INSERT INTO {table} AS k (tenant_id, device_id, metric, start, n, numbers, low, high, total, first, last)
    {rows}
    ON CONFLICT (tenant_id, device_id, metric, start) DO UPDATE
    SET n = excluded.n, numbers = excluded.numbers, low = excluded.low, high = excluded.high, total = excluded.total,
        first = excluded.first, last = excluded.last
    WHERE excluded.n > k.n
"""


def _next(table: str, rows: str) -> str:
    """Makes the bucket of the next devices and says which were taken."""
    made = _KEEP.format(table=table, rows=rows.format(devices="picked"))
    return (
        f"WITH picked AS MATERIALIZED ({_HEARD}), made AS ({made} RETURNING 1) "  # noqa: S608  ours
        "SELECT count(*) AS devices, (SELECT device_id FROM picked ORDER BY device_id DESC LIMIT 1) AS last FROM picked"
    )


def _again(table: str, rows: str) -> str:
    return _KEEP.format(table=table, rows=rows.format(devices=f"({_SOME})"))


_NEXT_OF_HOUR = text(_next("rollup_hours", _HOUR_OF))
_NEXT_OF_DAY = text(_next("rollup_days", _DAY_OF))
_HOUR_AGAIN = text(_again("rollup_hours", _HOUR_OF))
_DAY_AGAIN = text(_again("rollup_days", _DAY_OF))
_NOTE = text(
    """
    INSERT INTO rollup_repairs (tenant_id, device_id, hour, noted_at)
    SELECT :tenant, r.device, to_timestamp(r.hour), :now
    FROM json_to_recordset(CAST(:late AS json)) AS r (device uuid, hour bigint)
    ON CONFLICT DO NOTHING
    """
)
# Taken away first: whatever is drained from now on waits for this transaction, and then notes the hour anew.
_TAKE = text(
    """
    DELETE FROM rollup_repairs r USING (
        SELECT device_id, hour FROM rollup_repairs WHERE tenant_id = :tenant
        ORDER BY device_id, hour LIMIT :most FOR UPDATE SKIP LOCKED
    ) n
    WHERE r.tenant_id = :tenant AND r.device_id = n.device_id AND r.hour = n.hour
    RETURNING r.device_id, r.hour
    """
)

_WAITS = text(
    "SELECT greatest(0, extract(epoch FROM :over - p.hours_to)) AS lag_s, "
    "(SELECT count(*) FROM rollup_repairs r WHERE r.tenant_id = :tenant) AS repairs "
    "FROM rollup_progress p WHERE p.tenant_id = :tenant"
)


@dataclass(frozen=True, slots=True)
class Stands:
    """How far a tenant's hours are closed and made, and its days; ``device_after``: whose turn was last."""

    closed_to: datetime
    hours_to: datetime
    days_to: datetime
    device_after: UUID | None

    @property
    def has_day(self) -> bool:
        """Whether all hours of the next day are made."""
        return self.days_to + DAY <= self.hours_to

    @property
    def has_more(self) -> bool:
        """Whether there is a day or an hour to be made."""
        return self.has_day or self.hours_to < self.closed_to


class Pace:
    """How many devices a step takes, so that it lasts about a quarter of a second, whatever they send."""

    def __init__(self, devices: int = 200) -> None:
        self.devices = devices
        self.missed_hours = 0
        """Hours whose readings were gone before their turn came, since somebody asked."""

    def take_missed(self) -> int:
        """How many hours were missed since this was last asked."""
        missed, self.missed_hours = self.missed_hours, 0
        return missed

    def took(self, seconds: float) -> None:
        """Learn from a step."""
        if seconds > 0.5:
            self.devices = max(1, self.devices // 2)
        elif seconds < 0.12:
            self.devices = min(5_000, self.devices * 2)


async def note_late(tx: Tx, told: Iterable[Mapping[str, Any]], closed_to: datetime | None) -> None:
    """Note the hours of readings that came after those were closed; part of the drain's transaction."""
    if closed_to is None:
        return
    closed_ms = clock.to_ms(closed_to)
    late = {(r[0], r[1] // _HOUR_MS) for body in told for r in body["r"] if r[1] < closed_ms}
    await _note(tx, ((device, hour * 3_600) for device, hour in sorted(late)))


async def _note(tx: Tx, hours: Iterable[tuple[str, int]]) -> None:
    """That these are to be made again: devices, and when their hours begin, in seconds; nothing for none."""
    rows = [{"device": device, "hour": began} for device, began in hours]
    if rows:
        await tx.execute(_NOTE, {"tenant": tx.principal.tenant_id, "now": tx.now, "late": orjson.dumps(rows).decode()})


@dataclass(slots=True)
class Turn:
    """What one turn found: whether there is more to do at once, and how it stands with whoever had something to do.

    ``lag_s``: for how long the oldest hour that is not made could have been; ``repairs``: notes that wait;
    ``missed_hours``: those whose readings fell with their partition before their turn came.
    """

    has_more: bool = False
    lag_s: float = 0.0
    repairs: int = 0
    missed_hours: int = 0


async def run(store: Store, paces: dict[UUID, Pace], turn_s: float = TURN_S) -> Turn:
    """One turn through all tenants that have something to close, to make or to repair. Raises Unavailable.

    Each takes a step, then those that have more another; one tenant's trouble is logged and keeps nobody waiting.
    """
    turn, until = Turn(), time.monotonic() + turn_s
    found = [row["tenant_id"] for row in await store.door("tenants_all") if row["has_rollups"]]
    random.shuffle(found)
    waiting = found
    while waiting and not turn.has_more:
        more = []
        for tenant_id in waiting:
            if time.monotonic() > until:
                turn.has_more = True
                break
            if await _step_of(store, tenant_id, paces.setdefault(tenant_id, Pace())):
                more.append(tenant_id)
        waiting = more
    turn.missed_hours = sum(pace.take_missed() for pace in paces.values())
    for tenant_id in paces.keys() - found:
        del paces[tenant_id]
    for tenant_id in found:
        async with store.as_tenant(system(tenant_id), read_only=True) as tx:
            row = await tx.one(_WAITS, {"tenant": tenant_id, "over": clock.hour_of(tx.now - CLOSES_AFTER)})
        if row is not None:
            turn.lag_s = max(turn.lag_s, float(row["lag_s"]))
            turn.repairs += row["repairs"]
    return turn


async def _step_of(store: Store, tenant_id: UUID, pace: Pace) -> bool:
    try:
        return await step(store, tenant_id, pace)
    except Unavailable:
        raise
    except Exception:
        log.exception("telemetry.rollups_failed", extra={"tenant": str(tenant_id)})
        return False


async def step(store: Store, tenant_id: UUID, pace: Pace) -> bool:
    """Close what is over, then repair or make a part of it; says whether there is more to do. Raises Unavailable.

    Each is a short transaction of its own. Workers that do it at the same time take turns.
    """
    async with store.as_tenant(system(tenant_id)) as tx:
        await tx.execute(_CLOSE, {"tenant": tenant_id, "over": clock.hour_of(tx.now - CLOSES_AFTER)})
    async with store.as_tenant(system(tenant_id)) as tx:
        more = await _is_mine(tx) and await _repair(tx)
    began = time.monotonic()
    try:
        async with store.as_tenant(system(tenant_id)) as tx:
            if await _is_mine(tx):
                pace.missed_hours += await _pass_what_is_gone(tx)
                more |= await _make(tx, pace.devices)
    except Unavailable:  # as a statement that took too long is, too
        pace.took(float("inf"))
        raise
    pace.took(time.monotonic() - began)
    return more


async def _is_mine(tx: Tx) -> bool:
    return bool(await tx.scalar(_MINE, {"tenant": str(tx.principal.tenant_id)}))


async def _make(tx: Tx, most: int) -> bool:
    """The next devices of the bucket that is next: a day whose hours are all there, or else an hour."""
    stands = await _stands(tx)
    if stands is None or not stands.has_more:
        return False
    is_day = stands.has_day
    start, length, statement = (stands.days_to, DAY, _NEXT_OF_DAY) if is_day else (stands.hours_to, HOUR, _NEXT_OF_HOUR)
    asked = {"tenant": tx.principal.tenant_id, "start": start, "end": start + length, "heard": start - AHEAD}
    if not is_day and await _skips_a_day(tx, stands):
        return replace(stands, hours_to=start + DAY).has_more
    made = await tx.one(statement, {**asked, "after": stands.device_after or _NOBODY, "most": most})
    assert made is not None, "it counts"
    if made["devices"] == most:
        stands = replace(stands, device_after=made["last"])
    elif is_day:
        stands = replace(stands, days_to=start + DAY, device_after=None)
    else:
        stands = replace(stands, hours_to=start + HOUR, device_after=None)
    moved = {"hours_to": stands.hours_to, "days_to": stands.days_to, "after": stands.device_after}
    await tx.execute(_MOVE, {"tenant": tx.principal.tenant_id, **moved})
    return stands.has_more


async def _pass_what_is_gone(tx: Tx) -> int:
    """Go past hours whose partitions were dropped, the platform's longest being over; how many, which is told."""
    stands = await _stands(tx)
    oldest = clock.hour_of(tx.now - LONGEST).replace(hour=0)
    if stands is None or stands.hours_to >= oldest:
        return 0
    tenant_id, missed = tx.principal.tenant_id, (oldest - stands.hours_to) // HOUR
    moved = {"hours_to": oldest, "days_to": stands.days_to, "after": None}  # days are made of hours, which stay longer
    await tx.execute(_MOVE, {"tenant": tenant_id, **moved})
    said = {"tenant": str(tenant_id), "from": stands.hours_to.isoformat(), "to": oldest.isoformat(), "hours": missed}
    log.error("telemetry.rollups_missed", extra=said)
    return missed


async def _skips_a_day(tx: Tx, stands: Stands) -> bool:
    """Go past a whole day without any reading at once, as there are many when it is all made for the first time."""
    start, tenant_id = stands.hours_to, tx.principal.tenant_id
    if start != start.replace(hour=0) or start + DAY > stands.closed_to or stands.device_after is not None:
        return False
    if not await tx.scalar(_IS_EMPTY, {"tenant": tenant_id, "start": start, "end": start + DAY}):
        return False
    moved = {"hours_to": start + DAY, "days_to": stands.days_to, "after": None}
    await tx.execute(_MOVE, {"tenant": tenant_id, **moved})
    return True


async def _stands(tx: Tx) -> Stands | None:
    """How far everything is; begun at the oldest reading there is. None: nothing was closed yet."""
    named = {"tenant": tx.principal.tenant_id}
    row = await tx.one(_STANDS, named)
    if row is not None and row["hours_to"] is None and row["closed_to"] is not None:
        first = clock.hour_of(tx.now - LONGEST).replace(hour=0)
        await tx.execute(_BEGIN, {**named, "to": row["closed_to"], "first": first, "now": tx.now})
        row = await tx.one(_STANDS, named)
    if row is None or row["closed_to"] is None:
        return None
    closed_to, hours_to, days_to = (row[name].astimezone(UTC) for name in ("closed_to", "hours_to", "days_to"))
    return Stands(closed_to, hours_to, days_to, row["device_after"])


async def _repair(tx: Tx) -> bool:
    """Some of the hours that something came late to, and their days; says whether there may be more."""
    stands = await _stands(tx)
    if stands is None:
        return False
    tenant_id, until = tx.principal.tenant_id, time.monotonic() + REPAIR_S
    taken = await tx.rows(_TAKE, {"tenant": tenant_id, "most": REPAIRS_AT_ONCE})
    devices_of: dict[datetime, list[UUID]] = {}
    for row in taken:
        devices_of.setdefault(row["hour"].astimezone(UTC), []).append(row["device_id"])
    days: dict[datetime, set[UUID]] = {}
    left: list[tuple[str, int]] = []
    for hour, devices in devices_of.items():
        if time.monotonic() > until:
            left += [(str(device), int(hour.timestamp())) for device in devices]
            continue
        await tx.execute(_HOUR_AGAIN, _of(tenant_id, devices, hour, HOUR))
        days.setdefault(hour.replace(hour=0), set()).update(devices)
    for day, changed in days.items():
        if day <= stands.days_to:  # the one that is being made may be half done
            await tx.execute(_DAY_AGAIN, _of(tenant_id, sorted(changed), day, DAY))
    await _note(tx, left)  # all at once: hour by hour it took longer than what was repaired
    return bool(left) or len(taken) == REPAIRS_AT_ONCE


def _of(tenant_id: UUID, devices: Sequence[UUID], start: datetime, length: timedelta) -> dict[str, Any]:
    return {"tenant": tenant_id, "devices": list(devices), "start": start, "end": start + length}
