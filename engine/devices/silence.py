"""Silence: devices whose profile expects reports that have not come for too long, whether they are connected or not.

Nothing is done per message: readings are in ``latest`` anyway, and once in a while the worker compares, for one tenant
in one transaction, when each device was last heard with how often it should be (ADR 0032). A device is silent once
three reports in a row are missing, and no longer with the next one. Time in which nobody looked, or in which the
journal was not drained, counts against no device.
"""

import time
from datetime import timedelta

from sqlalchemy import text

from engine import clock
from engine.devices import events
from engine.store.tx import Tx

MISSED = 3
"""So many reports in a row must be missing: one is lost now and then, two by bad luck."""
GRACE_S = 10
"""And at least so long beyond the interval, for devices that report every second or two."""
AWAY_S = 60.0
"""Whoever looks so late was away: from then on every device has its time anew."""
LOOK_S = (5.0, 60.0)
"""The shortest and longest time between two looks."""
SHARE = 0.02
"""The part of its time that a worker may spend looking at one tenant: a huge fleet is looked at less often."""
AT_ONCE = 2_000

ALLOWED = f"greatest({MISSED} * p.reporting_interval_s, p.reporting_interval_s + {GRACE_S}) * interval '1 second'"

_LEASE = text(
    "SELECT since, due_at FROM silence_watches WHERE tenant_id = :tenant AND due_at <= :now FOR UPDATE SKIP LOCKED"
)
_SHORTEST = text("SELECT min(reporting_interval_s) FROM profiles WHERE tenant_id = :tenant")
_EXPECTED = """
    FROM devices d JOIN profiles p ON p.tenant_id = d.tenant_id AND p.id = d.profile_id
    WHERE d.tenant_id = s.tenant_id AND d.id = s.device_id
      AND d.status IN ('provisioned', 'active') AND p.reporting_interval_s IS NOT NULL
"""
_FORGET = text(f"""
    UPDATE presence s SET watched_from = NULL, silent_since = NULL
    FROM (SELECT s.device_id, s.silent_since FROM presence s
          WHERE s.tenant_id = :tenant AND s.watched_from IS NOT NULL AND NOT EXISTS (SELECT {_EXPECTED})
          ORDER BY s.device_id LIMIT :most FOR UPDATE) was
    WHERE s.tenant_id = :tenant AND s.device_id = was.device_id
    RETURNING s.device_id, s.session_epoch, s.is_online, was.silent_since
""")  # noqa: S608  # constants of this module
_MEET = text(f"""
    UPDATE presence s SET watched_from = :now
    FROM (SELECT s.device_id FROM presence s
          WHERE s.tenant_id = :tenant AND s.watched_from IS NULL AND EXISTS (SELECT {_EXPECTED})
            AND (s.session_epoch > 0
                 OR EXISTS (SELECT FROM latest l WHERE l.tenant_id = s.tenant_id AND l.device_id = s.device_id))
          ORDER BY s.device_id LIMIT :most FOR UPDATE) new
    WHERE s.tenant_id = :tenant AND s.device_id = new.device_id
""")  # noqa: S608  # constants of this module
_HEARD = text("""
    UPDATE presence s SET silent_since = NULL
    FROM (SELECT s.device_id, l.received_at
          FROM presence s JOIN latest l ON l.tenant_id = s.tenant_id AND l.device_id = s.device_id
          WHERE s.tenant_id = :tenant AND s.silent_since IS NOT NULL AND l.received_at > s.silent_since
          ORDER BY s.device_id LIMIT :most FOR UPDATE OF s) heard
    WHERE s.tenant_id = :tenant AND s.device_id = heard.device_id
    RETURNING s.device_id, s.session_epoch, s.is_online, heard.received_at
""")
# What is drained is known; if something is not yet, only the time before it can be judged. Materialised, because a
# limit beside the joins makes PostgreSQL walk three indexes in step: 1.6 s for 100,000 devices instead of 0.45.
_MISS = text(f"""
    WITH overdue AS MATERIALIZED (
          SELECT s.device_id, p.reporting_interval_s, coalesce(l.received_at, s.watched_from) AS heard_at
          FROM profiles p
          JOIN devices d ON d.tenant_id = p.tenant_id AND d.profile_id = p.id
          JOIN presence s ON s.tenant_id = d.tenant_id AND s.device_id = d.id
          LEFT JOIN latest l ON l.tenant_id = d.tenant_id AND l.device_id = d.id
          WHERE p.tenant_id = :tenant AND p.reporting_interval_s IS NOT NULL
            AND d.status IN ('provisioned', 'active') AND s.watched_from IS NOT NULL AND s.silent_since IS NULL
            AND greatest(l.received_at, s.watched_from, :since) + {ALLOWED}
                < (SELECT min(CASE WHEN h.pos > r.pos THEN least(r.at, :now) ELSE :now END)
                   FROM journal_head h JOIN readers r ON r.tenant_id = h.tenant_id
                   WHERE h.tenant_id = :tenant))
    UPDATE presence s SET silent_since = missed.heard_at
    FROM (SELECT o.* FROM overdue o JOIN presence s ON s.tenant_id = :tenant AND s.device_id = o.device_id
          ORDER BY o.device_id LIMIT :most FOR UPDATE OF s) missed
    WHERE s.tenant_id = :tenant AND s.device_id = missed.device_id
    RETURNING s.device_id, s.session_epoch, s.is_online, s.silent_since, missed.reporting_interval_s
""")  # noqa: S608  # constants of this module
_NEXT = text("UPDATE silence_watches SET since = :since, due_at = :due WHERE tenant_id = :tenant")
_END = text("DELETE FROM silence_watches WHERE tenant_id = :tenant")
_ANY = text("SELECT EXISTS (SELECT FROM presence WHERE tenant_id = :tenant AND silent_since IS NOT NULL)")


async def look(tx: Tx) -> bool:
    """Who has fallen silent, who is heard again, if it is time to look; says whether there is more to do at once.

    Each change is an event of the journal, in the transaction that stores it.
    """
    tenant, began = {"tenant": tx.principal.tenant_id}, time.monotonic()
    watch = await tx.one(_LEASE, {**tenant, "now": tx.now})
    if watch is None:
        return False
    was_away = (tx.now - watch["due_at"]).total_seconds() > AWAY_S
    since = tx.now if was_away else watch["since"]
    shortest = await tx.scalar(_SHORTEST, tenant)
    most = {**tenant, "most": AT_ONCE}
    moved = [await _forget(tx, most), await _heard(tx, most)]
    moved.append((await tx.execute(_MEET, {**most, "now": tx.now})).rowcount)
    moved.append(await _miss(tx, {**most, "now": tx.now, "since": since}))
    has_more = max(moved) >= AT_ONCE
    if shortest is None and not has_more:
        await tx.execute(_END, tenant)
        return False
    low, high = LOOK_S
    is_any = await tx.scalar(_ANY, tenant)
    pause = low if is_any else min(high, max(low, (shortest or 0) / 2))
    pause = 0.0 if has_more else max(pause, (time.monotonic() - began) / SHARE)
    await tx.execute(_NEXT, {**tenant, "since": since, "due": tx.now + timedelta(seconds=pause)})
    return has_more


async def _forget(tx: Tx, most: dict[str, object]) -> int:
    """Devices of which nothing is expected any more: suspended, ended, or of a profile without an interval."""
    rows = await tx.rows(_FORGET, most)
    for row in rows:
        if row["silent_since"] is not None:
            at = clock.to_ms(tx.now)
            tx.emit(
                events.DeviceReporting(row["device_id"], at, row["session_epoch"], row["is_online"], "not_expected")
            )
    return len(rows)


async def _heard(tx: Tx, most: dict[str, object]) -> int:
    rows = await tx.rows(_HEARD, most)
    for row in rows:
        at = clock.to_ms(row["received_at"])
        tx.emit(events.DeviceReporting(row["device_id"], at, row["session_epoch"], row["is_online"], "heard"))
    return len(rows)


async def _miss(tx: Tx, wanted: dict[str, object]) -> int:
    rows = await tx.rows(_MISS, wanted)
    for row in rows:
        tx.emit(
            events.DeviceSilent(
                row["device_id"],
                clock.to_ms(tx.now),
                row["session_epoch"],
                row["is_online"],
                "silent",
                clock.to_ms(row["silent_since"]),
                row["reporting_interval_s"],
            )
        )
    return len(rows)
