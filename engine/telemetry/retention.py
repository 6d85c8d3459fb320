"""How long readings are kept, and how long their hours and days: a tenant's word, a profile's, the platform's longest.

A device's readings are kept for as many days as its profile says, or else its tenant, and never longer than the
tenant's quota; their hours and days longer, if the tenant does not say otherwise. Partitions fall at the platform's
longest (DESIGN §3.4); what goes before that is deleted in small batches, beside everything else, at whole hours.
"""

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import text

from engine import clock
from engine.quotas import service as quotas
from engine.quotas.model import Quotas
from engine.settings import Settings
from engine.store.pool import Store
from engine.store.tx import Tx
from engine.telemetry import errors
from engine.telemetry.cover import LONGEST_DAYS
from engine.telemetry.model import Retention
from engine.tenancy import Principal

BATCH_ROWS = 5_000
BATCH_DEVICES = 500
BATCHES_AT_MOST = 500

_OWN = text("SELECT days, rollup_days FROM retention WHERE tenant_id = :tenant")
_SET = text(
    "INSERT INTO retention (tenant_id, days, rollup_days, updated_at) VALUES (:tenant, :days, :rollup_days, :now) "
    "ON CONFLICT (tenant_id) DO UPDATE SET days = excluded.days, rollup_days = excluded.rollup_days, "
    "updated_at = excluded.updated_at"
)
_OF_PROFILES = text(
    "SELECT min(retention_days) AS shortest, max(retention_days) AS longest FROM profiles WHERE tenant_id = :tenant"
)
_NOBODY = UUID(int=0)
# Whoever rolls up lets go after a step, of a quarter of a second; who prunes comes every ten minutes, and waits for it.
_MINE = text("SELECT pg_advisory_xact_lock(hashtextextended('rollups:' || :tenant, 0))")
_STANDS = text(
    "SELECT pruned_to >= :hour AS is_over, prune_after, hours_to FROM rollup_progress WHERE tenant_id = :tenant"
)
_MOVE = text(
    "UPDATE rollup_progress SET pruned_to = coalesce(:pruned_to, pruned_to), prune_after = :after "
    "WHERE tenant_id = :tenant"
)
# Each device's oldest are one look into the key of each partition below its boundary. What is in no hour yet waits.
_PRUNE = text(
    """
    WITH looked AS MATERIALIZED (
        SELECT d.id, least(CAST(:made_to AS timestamptz), date_trunc('hour', CAST(:now AS timestamptz) - make_interval(
                   days => least(:most, coalesce(p.retention_days, CAST(:own AS integer), :most))), 'UTC')) AS before
        FROM devices d JOIN profiles p ON p.tenant_id = d.tenant_id AND p.id = d.profile_id
        WHERE d.tenant_id = :tenant AND d.id > :after ORDER BY d.id LIMIT :devices
    ), old AS MATERIALIZED (
        SELECT o.device_id, o.time, o.seq FROM looked CROSS JOIN LATERAL (
            SELECT t.device_id, t.time, t.seq FROM telemetry t
            WHERE t.tenant_id = :tenant AND t.device_id = looked.id AND t.time < looked.before
              AND NOT EXISTS (
                SELECT FROM rollup_repairs r WHERE r.tenant_id = :tenant AND r.device_id = t.device_id
                  AND r.hour = date_trunc('hour', t.time, 'UTC') AND t.time >= :worth
              ) LIMIT :rows
        ) o LIMIT :rows
    ), gone AS (
        DELETE FROM telemetry t USING old
        WHERE t.tenant_id = :tenant AND t.device_id = old.device_id AND t.time = old.time AND t.seq = old.seq
          AND t.time < CAST(:now AS timestamptz) - interval '1 day' RETURNING 1
    )
    SELECT (SELECT count(*) FROM gone) AS gone, (SELECT count(*) FROM looked) AS devices,
           (SELECT id FROM looked ORDER BY id DESC LIMIT 1) AS last
    """
)
_PRUNE_ROLLED = {
    table: text(
        f"DELETE FROM {table} r USING (SELECT device_id, metric, start FROM {table} "  # noqa: S608  ours
        "WHERE tenant_id = :tenant AND start < :before LIMIT :rows) old "
        "WHERE r.tenant_id = :tenant AND r.device_id = old.device_id AND r.metric = old.metric "
        "AND r.start = old.start AND r.start < :before"
    )
    for table in ("rollup_hours", "rollup_days")
}


@cache
def longest_rollup() -> int:
    """The platform's longest of hours and days: a setting of this process."""
    return int(Settings.from_env().rollup_days)


async def of(tx: Tx, base: Quotas | None = None) -> Retention:
    """What is in force. Hours are never kept for a shorter time than readings are."""
    most, rollup_most = (await quotas.of(tx, base)).storage_days, longest_rollup()
    row = await tx.one(_OWN, {"tenant": tx.principal.tenant_id})
    own, rollup_own = (row["days"], row["rollup_days"]) if row else (None, None)
    days = min(most, own or most)
    return Retention(days, max(days, min(rollup_most, rollup_own or rollup_most)), own, rollup_own, most, rollup_most)


async def change(tx: Tx, *, days: int | None = None, rollup_days: int | None = None) -> Retention:
    """Keep readings and their hours for so long from now on; None: as before, 0: as long as may be.

    Raises RetentionMalformed.
    """
    before = await of(tx)
    if not 0 <= (days or 0) <= quotas.MAX_STORAGE_DAYS or not 0 <= (rollup_days or 0) <= LONGEST_DAYS:
        raise errors.RetentionMalformed
    days = before.own if days is None else days or None
    rollup_days = before.rollup_own if rollup_days is None else rollup_days or None
    if (before.own, before.rollup_own) == (days, rollup_days):
        return before
    said = {"days": days, "rollup_days": rollup_days}
    await tx.execute(_SET, {"tenant": tx.principal.tenant_id, "now": tx.now, **said})
    was = {"days": before.own, "rollup_days": before.rollup_own}
    tx.audit("retention.set", "tenant", tx.principal.tenant_id, before=was, after=said)
    await tx.notify(f"retention:{tx.principal.tenant_id}")
    return await of(tx)


async def prune(store: Store, principal: Principal, base: Quotas) -> int:
    """Delete what a tenant no longer keeps, at most BATCHES_AT_MOST batches of it; returns how many readings went.

    Whoever was looked through in this hour is not again: what is kept ends at whole hours. A reading whose hour is not
    made yet stays until it is, however old, unless its hour would be too old to be kept as well.
    """
    deleted = 0
    for _ in range(BATCHES_AT_MOST):
        async with store.as_tenant(principal) as tx:
            await tx.execute(_MINE, {"tenant": str(principal.tenant_id)})
            gone, has_more = await _step(tx, base)
        deleted += gone
        if not has_more:
            break
    return deleted


async def _step(tx: Tx, base: Quotas) -> tuple[int, bool]:
    """One batch: of readings, and when all devices were looked at, of hours and days."""
    named: dict[str, Any] = {"tenant": tx.principal.tenant_id}
    hour = clock.hour_of(tx.now)
    stands = await tx.one(_STANDS, {**named, "hour": hour})
    if stands is not None and stands["is_over"]:
        return 0, False
    kept = await of(tx, base)
    of_profiles = await tx.one(_OF_PROFILES, named)
    assert of_profiles is not None, "an aggregate"
    if min(kept.days, of_profiles["shortest"] or kept.days) < quotas.MAX_STORAGE_DAYS:
        asked = {
            "now": tx.now,
            "most": kept.most,
            "own": kept.own,
            "after": (stands and stands["prune_after"]) or _NOBODY,
        }
        asked |= {"devices": BATCH_DEVICES, "rows": BATCH_ROWS}
        asked["worth"] = hour - timedelta(days=longest_rollup())
        asked["made_to"] = max(asked["worth"], stands["hours_to"]) if stands is not None else asked["worth"]
        found = await tx.one(_PRUNE, {**named, **asked})
        assert found is not None, "it counts"
        if found["gone"] == BATCH_ROWS:
            return BATCH_ROWS, True
        if found["devices"] == BATCH_DEVICES:
            await tx.execute(_MOVE, {**named, "pruned_to": None, "after": found["last"]})
            return int(found["gone"]), stands is not None
        gone = int(found["gone"])
    else:
        gone = 0
    longest = max(kept.rollup_days, min(kept.most, of_profiles["longest"] or 0))
    has_more = await _prune_rolled(tx, (tx.now - timedelta(days=longest)).astimezone(UTC))
    if not has_more:
        await tx.execute(_MOVE, {**named, "pruned_to": hour, "after": None})
    return gone, has_more


async def _prune_rolled(tx: Tx, before: datetime) -> bool:
    """A batch of hours and days of before the day that this time is in; says whether there may be more."""
    day = clock.hour_of(before).replace(hour=0)
    asked = {"tenant": tx.principal.tenant_id, "before": day, "rows": BATCH_ROWS}
    return any([(await tx.execute(each, asked)).rowcount == BATCH_ROWS for each in _PRUNE_ROLLED.values()])
