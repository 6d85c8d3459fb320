"""Reading back what rules know of devices: about the devices themselves, and the past that telemetry holds of them.

A window is memory that telemetry can rebuild (ADR 35): what was drained is read, and what is stored but still to be
drained is left out, in the same statement and so of one moment. What is read at once is counted before it is read.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias
from uuid import UUID

import orjson
from sqlalchemy import text

from engine.devices import groups
from engine.rules.facts import About, Facts, Point
from engine.rules.ruleset import RuleSet
from engine.rules.windows import LOOKBACK_MS, MOST_POINTS, TENANT_POINTS
from engine.store.tx import Tx
from engine.telemetry.fold import Newest

ROWS_AT_ONCE = 50_000
"""How many points one statement may bring back: some 25 MB while they are read."""
Pair: TypeAlias = tuple[str, str]
"""(device id, metric)."""

# OFFSET 0, and the tenant in the list: each device by its own key, whatever the planner knows of a fleet that was just
# registered, as in `engine.drain`.
_ABOUT = text(
    """
    SELECT CAST(w.id AS text) AS id, d.name, d.key, p.key AS profile, d.labels, c.is_online, c.seen_epoch,
           CAST(extract(epoch FROM l.received_at) * 1000 AS bigint) AS received
    FROM (SELECT CAST(:tenant AS uuid) AS tenant_id, unnest(CAST(:ids AS uuid[])) AS id) w
    CROSS JOIN LATERAL (SELECT * FROM devices d WHERE d.tenant_id = w.tenant_id AND d.id = w.id OFFSET 0) d
    JOIN profiles p ON p.tenant_id = d.tenant_id AND p.id = d.profile_id
    LEFT JOIN LATERAL (SELECT * FROM presence c WHERE c.tenant_id = w.tenant_id AND c.device_id = w.id OFFSET 0) c
        ON true
    LEFT JOIN LATERAL (SELECT * FROM latest l WHERE l.tenant_id = w.tenant_id AND l.device_id = w.id OFFSET 0) l
        ON true
    """
)
_PAST_OF = """
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
         FROM {since}
         ORDER BY n.time DESC, n.seq DESC
         LIMIT {most})
        UNION ALL
        (SELECT CAST(round(extract(epoch FROM o.time) * 1000) AS bigint), o.seq, o.values -> w.metric
         FROM {before}
         ORDER BY o.time DESC, o.seq DESC
         LIMIT {last})
    ) t
    WHERE NOT EXISTS (SELECT FROM pending p WHERE p.device = w.device AND p.at = t.at AND p.seq = t.seq)
    """
_BESIDES = "(SELECT least(count(*), :most) FROM pending p WHERE p.device = w.device)"
_MOST, _LAST = f":most + {_BESIDES}", f"least(w.last, :most) + {_BESIDES}"
# "Later than" is after the greatest seq of that moment; "not later", before the next microsecond.
_END_OF = "CAST(9223372036854775807 AS bigint)"
_PAST_BY = {
    False: {
        "since": "telemetry n WHERE n.tenant_id = :tenant AND n.device_id = w.device AND n.time > w.since "
        "AND n.values ? w.metric",
        "before": "telemetry o WHERE o.tenant_id = :tenant AND o.device_id = w.device AND o.time <= w.since "
        "AND o.time > w.floor AND o.values ? w.metric",
    },
    True: {
        "since": f"app.readings(w.device, w.since, {_END_OF}, 'infinity', ARRAY[w.metric], true, {_MOST}) n",
        "before": f"app.readings(w.device, w.floor, {_END_OF}, w.since + interval '1 microsecond', ARRAY[w.metric], "
        f"true, {_LAST}) o",
    },
}
_PAST = {
    asks_readings: text(_PAST_OF.format(**sources, most=_MOST, last=_LAST))
    for asks_readings, sources in _PAST_BY.items()
}


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
    """What these devices have sent as far as rules look back: at most TENANT_POINTS points, the newest of each metric.

    All are asked for a fair share of one statement first, which is enough for short windows. Those that have more are
    read again, a few at a time, each for its share of what the others left.
    """
    needs = facts.windows.needs
    found: dict[str, list[Point]] = {device: [] for device in devices}
    since = {
        (device, metric): newest.of(device)[metric][1] - needs[metric].over_ms
        for device in devices
        for metric in needs.keys() & newest.of(device).keys()
    }
    read: dict[Pair, list[Point]] = {}
    wanted, share = sorted(since), min(MOST_POINTS, ROWS_AT_ONCE // max(1, len(since)))
    while wanted:
        share = max(1, share)
        at_once = max(1, ROWS_AT_ONCE // share)
        for begin in range(0, len(wanted), at_once):
            asked = [
                {"device": device, "metric": metric, "since": since[device, metric], "last": needs[metric].last}
                for device, metric in wanted[begin : begin + at_once]
            ]
            read |= await _read(tx, asked, share, position)
        cut = [pair for pair in wanted if len(read.get(pair, ())) >= share]
        left = TENANT_POINTS - sum(len(points) for pair, points in read.items()) + share * len(cut)
        more = min(MOST_POINTS, left // max(1, len(cut)))
        # Half as much again is not worth another look; so there are few rounds.
        wanted, share = (cut, more) if more >= share * 2 else ([], share)
    for (device, _), points in read.items():
        found[device] += points
    return found


async def _read(tx: Tx, wanted: Sequence[Mapping[str, Any]], most: int, position: int) -> dict[Pair, list[Point]]:
    """The ``most`` newest points of each that is wanted, in one statement."""
    asked = {"tenant": tx.principal.tenant_id, "position": position, "ids": sorted({w["device"] for w in wanted})}
    bounds = {"lookback": LOOKBACK_MS, "most": most}
    rows = await tx.rows(_PAST[tx.asks_readings], {**asked, **bounds, "wanted": orjson.dumps(wanted).decode()})
    read: dict[Pair, list[Point]] = {(w["device"], w["metric"]): [] for w in wanted}
    for row in rows:
        read[row["device"], row["metric"]].append((row["metric"], row["at"], row["seq"], row["value"]))
    for points in read.values():
        if len(points) > most:
            points.sort(key=lambda point: point[1:3])
            del points[:-most]
    return read
