"""Reading back what rules know of devices: about the devices themselves, and the past that telemetry holds of them.

A window is memory that telemetry can rebuild (ADR 35): what was drained is read, and what is stored but still to be
drained is left out, in one statement and so of one moment.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text

from engine.devices import groups
from engine.rules.facts import About, Facts, Point
from engine.rules.ruleset import RuleSet
from engine.rules.windows import LOOKBACK_MS, MOST_POINTS
from engine.store.tx import Tx
from engine.telemetry.fold import Newest

_ABOUT = text(
    """
    SELECT CAST(d.id AS text) AS id, d.name, d.key, p.key AS profile, d.labels, c.is_online, c.seen_epoch,
           CAST(extract(epoch FROM l.received_at) * 1000 AS bigint) AS received
    FROM devices d
    JOIN profiles p ON p.tenant_id = d.tenant_id AND p.id = d.profile_id
    LEFT JOIN presence c ON c.tenant_id = d.tenant_id AND c.device_id = d.id
    LEFT JOIN latest l ON l.tenant_id = d.tenant_id AND l.device_id = d.id
    WHERE d.tenant_id = :tenant AND d.id = ANY (CAST(:ids AS uuid[]))
    """
)
_PAST = text(
    """
    WITH pending AS MATERIALIZED (
        SELECT CAST(r ->> 0 AS uuid) AS device, CAST(r ->> 1 AS bigint) AS at, CAST(r ->> 2 AS bigint) AS seq
        FROM journal j CROSS JOIN LATERAL json_array_elements(j.body -> 'r') AS r
        WHERE j.tenant_id = :tenant AND j.pos > :position AND j.kind = 'telemetry'
          AND r ->> 0 = ANY (CAST(:ids AS text[]))
    ), wanted AS (
        SELECT w.device, w.metric, to_timestamp(w.since / 1000.0) AS since, w.last,
               to_timestamp((w.since - :lookback) / 1000.0) AS floor
        FROM json_to_recordset(CAST(:wanted AS json)) AS w (device uuid, metric text, since bigint, last int)
    )
    SELECT CAST(w.device AS text) AS device, w.metric, t.at, t.seq, t.value
    FROM wanted w CROSS JOIN LATERAL (
        (SELECT CAST(round(extract(epoch FROM n.time) * 1000) AS bigint) AS at, n.seq, n.values -> w.metric AS value
         FROM telemetry n
         WHERE n.tenant_id = :tenant AND n.device_id = w.device AND n.time > w.since AND n.values ? w.metric
         ORDER BY n.time DESC, n.seq DESC LIMIT :most)
        UNION ALL
        (SELECT CAST(round(extract(epoch FROM o.time) * 1000) AS bigint), o.seq, o.values -> w.metric
         FROM telemetry o
         WHERE o.tenant_id = :tenant AND o.device_id = w.device AND o.time <= w.since AND o.time > w.floor
           AND o.values ? w.metric
         ORDER BY o.time DESC, o.seq DESC LIMIT w.last + (SELECT count(*) FROM pending p WHERE p.device = w.device))
    ) t
    WHERE NOT EXISTS (SELECT FROM pending p WHERE p.device = w.device AND p.at = t.at AND p.seq = t.seq)
    """
)


async def remember(tx: Tx, facts: Facts, rules: RuleSet, newest: Newest, devices: Iterable[str], position: int) -> None:
    """Let ``facts`` know of these devices what ``rules`` ask, as of the journal's ``position`` (the last one drained).

    ``newest`` are the devices' latest values by then.
    """
    facts.use(rules.needs)
    known = set(devices)
    if rules.needs:
        strangers = sorted(device for device in known if not facts.windows.knows(device))
        for device, points in (await _past(tx, facts, newest, strangers, position)).items():
            facts.begin(device, points)
    if rules.asks_of_device or rules.hears_silence or rules.of_presence:
        strangers = sorted(device for device in known if not facts.knows(device))
        for device, each in (await about(tx, rules, strangers)).items():
            facts.meet(device, each)


async def about(tx: Tx, rules: RuleSet, devices: Sequence[str]) -> dict[str, About]:
    """What is known of these devices themselves, as far as ``rules`` ask."""
    if not devices:
        return {}
    inside: dict[str, set[str]] = {}
    for group in sorted(rules.groups):
        for device in await groups.members_among(tx, UUID(group), [UUID(device) for device in devices]):
            inside.setdefault(str(device), set()).add(group)
    rows = await tx.rows(_ABOUT, {"tenant": tx.principal.tenant_id, "ids": list(devices)})
    return {
        row["id"]: About(
            row["profile"],
            row["labels"],
            frozenset(inside.get(row["id"], ())),
            row["is_online"],
            row["seen_epoch"] or 0,
            row["name"],
            row["key"],
            row["received"],
        )
        for row in rows
    }


async def _past(tx: Tx, facts: Facts, newest: Newest, devices: Sequence[str], position: int) -> dict[str, list[Point]]:
    found: dict[str, list[Point]] = {device: [] for device in devices}
    wanted: list[dict[str, Any]] = []
    for device in devices:
        latest = newest.of(device)
        for metric in facts.windows.needs.keys() & latest.keys():
            need = facts.windows.needs[metric]
            since = latest[metric][1] - need.over_ms
            wanted.append({"device": device, "metric": metric, "since": since, "last": need.last})
    if wanted:
        asked = {"tenant": tx.principal.tenant_id, "position": position, "ids": sorted({w["device"] for w in wanted})}
        bounds = {"lookback": LOOKBACK_MS, "most": MOST_POINTS}
        rows = await tx.rows(_PAST, {**asked, **bounds, "wanted": orjson.dumps(wanted).decode()})
        for row in rows:
            found[row["device"]].append((row["metric"], row["at"], row["seq"], row["value"]))
    return found
