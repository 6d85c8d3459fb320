"""Looking into the inbox, and asking for what lies there to be replayed or discarded."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.engine import RowMapping

from engine import clock, pages
from engine.inbox import errors
from engine.inbox.model import Group, Rejected, Settled
from engine.journal.model import Entry
from engine.pages import Page
from engine.store.tx import Tx

_GROUP = "CAST(md5(d.profile_id || '/' || {0}.reason || '/' || {0}.about) AS uuid)"
"""A group's id follows from what its messages have in common; so it is the same wherever it is asked for."""
_OF_GROUP = _GROUP.format("r")
_COLUMNS = (
    "r.id, r.device_id, r.received_at, r.reason, r.about, r.message, r.transport, r.topic, r.decoder, r.payload, "
    f"r.payload_size_bytes, r.replay_asked_at IS NOT NULL AS is_waiting, r.replayed_at, {_OF_GROUP} AS group_id, "
    "r.rest_seq IS NOT NULL AS is_partial, coalesce(r.left_out, '{{}}') AS left_out"
)
_JOINED = "JOIN devices d ON d.tenant_id = r.tenant_id AND d.id = r.device_id"
_PAGE = f"""
SELECT {_COLUMNS} FROM rejected r {_JOINED} WHERE r.tenant_id = :tenant{{more}} ORDER BY r.id DESC LIMIT :most
"""  # noqa: S608  only the constants above are put in
_NARROWED = {
    "device": " AND r.device_id = :device",
    "group": f" AND {_OF_GROUP} = :group",
    "after": " AND r.id < :after",
    "id": " AND r.id = :id",
    "ids": " AND r.id = ANY (:ids)",
}
_GROUPS = f"""
SELECT {_GROUP.format("f")} AS id, d.profile_id, f.reason, f.about, CAST(sum(f.count) AS bigint) AS count,
       CAST(sum(f.partial) AS bigint) AS partial,
       CAST(coalesce(sum(k.kept), 0) AS bigint) AS kept, CAST(coalesce(sum(k.waiting), 0) AS bigint) AS waiting,
       CAST(coalesce(sum(k.failed), 0) AS bigint) AS failed,
       count(*) AS devices, (array_agg(f.device_id ORDER BY f.last_at DESC, f.device_id))[1:3] AS device_ids,
       (array_agg(k.newest_id ORDER BY k.newest_id DESC NULLS LAST))[1] AS newest_id,
       (array_agg(f.message ORDER BY f.last_at DESC, f.device_id))[1] AS message,
       min(f.first_at) AS first_at, max(f.last_at) AS last_at
FROM faults f
JOIN devices d ON d.tenant_id = f.tenant_id AND d.id = f.device_id
LEFT JOIN (
    SELECT r.device_id, r.reason, r.about, count(*) AS kept, count(r.replay_asked_at) AS waiting,
           (array_agg(r.id ORDER BY r.id DESC))[1] AS newest_id,
           count(*) FILTER (WHERE r.replayed_at IS NOT NULL AND r.replay_asked_at IS NULL) AS failed
    FROM rejected r WHERE r.tenant_id = :tenant GROUP BY r.device_id, r.reason, r.about
) k ON k.device_id = f.device_id AND k.reason = f.reason AND k.about = f.about
WHERE f.tenant_id = :tenant{{where}}
GROUP BY d.profile_id, f.reason, f.about
{{having}}
ORDER BY max(f.last_at) DESC, 1 DESC LIMIT :most
"""  # noqa: S608  only the constants above are put in
_WHOLE = "octet_length(r.payload) = r.payload_size_bytes"
_ASK = f"""
UPDATE rejected r SET replay_asked_at = :now FROM devices d
WHERE d.tenant_id = r.tenant_id AND d.id = r.device_id AND r.tenant_id = :tenant AND {_WHOLE}{{more}}
"""  # noqa: S608  as above
_DROP = """
WITH gone AS (
    DELETE FROM rejected r USING devices d
    WHERE d.tenant_id = r.tenant_id AND d.id = r.device_id AND r.tenant_id = :tenant{more}
    RETURNING r.device_id, r.reason, r.about, r.received_at, r.rest_seq
)
SELECT device_id, reason, about, date_trunc('hour', received_at, 'UTC') AS hour, count(rest_seq) AS partial,
       count(*) - count(rest_seq) AS n
FROM gone GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""
_FEWER = text(
    "UPDATE faults f SET count = f.count - 1, partial = f.partial - :partial "
    "WHERE f.tenant_id = :tenant AND f.device_id = :device AND f.reason = :reason AND f.about = :about"
)
_NONE_LEFT = text("DELETE FROM faults WHERE tenant_id = :tenant AND device_id = :device AND count <= 0")
_NO_FAULT = text(
    "DELETE FROM faults f USING devices d WHERE d.tenant_id = f.tenant_id AND d.id = f.device_id "  # noqa: S608
    f"AND f.tenant_id = :tenant AND {_GROUP.format('f')} = :group"
)
_MOVE = text(
    """
    INSERT INTO counts AS c
        (tenant_id, device_id, hour, received, stored, duplicates, rejected, refused, not_kept)
    SELECT :tenant, n.device, to_timestamp(n.hour / 1000.0), n.received, n.stored, n.duplicates, n.rejected, n.refused,
           n.not_kept
    FROM json_to_recordset(CAST(:moved AS json)) AS n (device uuid, hour bigint, received bigint, stored bigint,
         duplicates bigint, rejected bigint, refused bigint, not_kept bigint)
    ORDER BY n.device, n.hour
    ON CONFLICT (tenant_id, device_id, hour) DO UPDATE SET
        received = c.received + excluded.received, stored = c.stored + excluded.stored,
        duplicates = c.duplicates + excluded.duplicates, rejected = c.rejected + excluded.rejected,
        refused = c.refused + excluded.refused, not_kept = c.not_kept + excluded.not_kept
    """
)
_COUNTED = ("received", "stored", "duplicates", "rejected", "refused", "not_kept")


async def page(
    tx: Tx,
    *,
    device_id: UUID | None = None,
    group_id: UUID | None = None,
    first: int = 50,
    after: str | None = None,
) -> Page[Rejected]:
    """What was rejected and kept, newest first; of one device or one group."""
    size = pages.page_size(first)
    asked = {"device": device_id, "group": group_id, "after": None if after is None else pages.decode_id(after)}
    rows = await _rows(tx, _PAGE, {name: value for name, value in asked.items() if value is not None}, most=size + 1)
    return pages.cut([_rejected(row) for row in rows], size, lambda item: str(item.id))


async def get(tx: Tx, message_id: UUID) -> Rejected:
    """One message; raises MessageNotFound."""
    rows = await _rows(tx, _PAGE, {"id": message_id}, most=1)
    if not rows:
        raise errors.MessageNotFound
    return _rejected(rows[0])


async def by_ids(tx: Tx, message_ids: Sequence[UUID]) -> dict[UUID, Rejected]:
    """Those of the messages that are there."""
    rows = await _rows(tx, _PAGE, {"ids": list(message_ids)}, most=len(message_ids))
    return {row["id"]: _rejected(row) for row in rows}


async def groups(tx: Tx, *, device_id: UUID | None = None, first: int = 50, after: str | None = None) -> Page[Group]:
    """What went wrong, the last first; of one device its own part of it."""
    size = pages.page_size(first)
    named: dict[str, Any] = {"tenant": tx.principal.tenant_id, "most": size + 1}
    where = having = ""
    if device_id is not None:
        where, named["device"] = " AND f.device_id = :device", device_id
    if after is not None:
        named["at"], named["id"] = pages.decode_moment(after)
        having = f"HAVING (max(f.last_at), {_GROUP.format('f')}) < (:at, :id)"
    rows = await tx.rows(text(_GROUPS.format(where=where, having=having)), named)
    return pages.cut([_group(row) for row in rows], size, lambda each: pages.moment(each.last_at, each.id))


async def group(tx: Tx, group_id: UUID) -> Group:
    """One group; raises GroupNotFound."""
    query = text(_GROUPS.format(where=f" AND {_GROUP.format('f')} = :group", having=""))
    row = await tx.one(query, {"tenant": tx.principal.tenant_id, "most": 1, "group": group_id})
    if row is None:
        raise errors.GroupNotFound
    return _group(row)


async def replay(tx: Tx, message_id: UUID) -> Rejected:
    """Have a message decided again; an ingest process does, within a moment. Asking twice is asking once.

    Raises MessageNotFound, NothingKept.
    """
    if not (await get(tx, message_id)).is_whole:
        raise errors.NothingKept
    await _ask(tx, {"id": message_id})
    tx.audit("inbox_message.replay", "inbox_message", message_id)
    return await get(tx, message_id)


async def replay_group(tx: Tx, group_id: UUID) -> Group:
    """Have all that was kept of a group decided again; raises GroupNotFound, NothingKept."""
    await group(tx, group_id)
    asked = await _ask(tx, {"group": group_id})
    if not asked:
        raise errors.NothingKept
    tx.audit("inbox_group.replay", "inbox_group", group_id, after={"messages": asked})
    return await group(tx, group_id)


async def discard(tx: Tx, message_id: UUID) -> Rejected:
    """Throw a message away; it stays counted as rejected, and from now on as not kept. Raises MessageNotFound.

    Of what was left out of a reading nothing is counted: the reading is stored, and stays.
    """
    message = await get(tx, message_id)
    for row in await _drop(tx, {"id": message_id}):
        named = {"tenant": tx.principal.tenant_id, "device": row["device_id"]}
        await tx.execute(_FEWER, {**named, **{name: row[name] for name in ("reason", "about", "partial")}})
        await tx.execute(_NONE_LEFT, named)
    tx.audit(
        "inbox_message.discard", "inbox_message", message_id, before={"code": message.reason, "about": message.about}
    )
    return message


async def discard_group(tx: Tx, group_id: UUID) -> Group:
    """Throw away all that was kept of a group, and forget it; raises GroupNotFound."""
    found = await group(tx, group_id)
    await _drop(tx, {"group": group_id})
    await tx.execute(_NO_FAULT, {"tenant": tx.principal.tenant_id, "group": group_id})
    said = {"code": found.reason, "about": found.about, "messages": found.count, "kept": found.kept}
    tx.audit("inbox_group.discard", "inbox_group", group_id, before=said)
    return found


async def follow(tx: Tx, entry: Entry) -> None:
    """Move in the counts what has left the inbox: in the hour in which it came.

    What was stored by a replay has just been counted once more, by its row in the journal: that is taken back.
    """
    now_ms = clock.to_ms(clock.hour_of(entry.at))
    changes: list[tuple[str, int, Sequence[int]]] = []
    for moved in entry.body["moved"]:
        stored = moved["counts"][1]
        changes.append((moved["device"], moved["at"] - moved["at"] % 3_600_000, moved["counts"]))
        changes.append((moved["device"], now_ms, (-stored, -stored, 0, 0, 0, 0)))
    summed: dict[tuple[str, int], list[int]] = {}
    for device, hour, counts in changes:
        held = summed.get((device, hour), [0] * len(_COUNTED))
        summed[device, hour] = [a + b for a, b in zip(held, counts, strict=True)]
    rows = [
        {"device": device, "hour": hour, **dict(zip(_COUNTED, counts, strict=True))}
        for (device, hour), counts in summed.items()
        if any(counts)
    ]
    if rows:
        await tx.execute(_MOVE, {"tenant": tx.principal.tenant_id, "moved": orjson.dumps(rows).decode()})


async def _ask(tx: Tx, which: Mapping[str, UUID]) -> int:
    asked = await tx.execute(_narrowed(_ASK, which), {"tenant": tx.principal.tenant_id, "now": tx.now, **which})
    await tx.notify(f"replay:{tx.principal.tenant_id}")
    return int(asked.rowcount)


async def _drop(tx: Tx, which: Mapping[str, UUID]) -> Sequence[RowMapping]:
    """What was dropped, counted by device, fault and hour; the counts hear of it by the journal."""
    dropped = await tx.rows(_narrowed(_DROP, which), {"tenant": tx.principal.tenant_id, **which})
    if dropped:
        moved: list[dict[str, object]] = [
            {"device": str(row["device_id"]), "at": clock.to_ms(row["hour"]), "counts": [0, 0, 0, 0, 0, row["n"]]}
            for row in dropped
            if row["n"]  # what was left out of a reading never counted as rejected
        ]
        if moved:
            tx.emit(Settled(moved))
    return dropped


async def _rows(tx: Tx, query: str, which: Mapping[str, object], *, most: int) -> Sequence[RowMapping]:
    return await tx.rows(_narrowed(query, which), {"tenant": tx.principal.tenant_id, "most": most, **which})


def _narrowed(query: str, which: Mapping[str, object]) -> Any:
    return text(query.format(more="".join(_NARROWED[name] for name in which)))


def _rejected(row: RowMapping) -> Rejected:
    return Rejected(**{**row, "payload": bytes(row["payload"])})


def _group(row: RowMapping) -> Group:
    return Group(**row)
