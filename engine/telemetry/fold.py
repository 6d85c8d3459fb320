"""Folding new readings into what is kept beside them: each device's latest values and the hourly counts."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from operator import itemgetter
from typing import Any

import orjson
from sqlalchemy import text

from engine import clock, ids
from engine.store.tx import Tx
from engine.store.wire import Reading

Latest = dict[str, list[Any]]
"""By metric: [value, event time in ms]."""
Doubts = dict[str, list[Any]]
"""By metric: ["uncertain" or "bad", event time in ms, why there is none]; the last of what is bad, where it was told.

One that is older than the value says nothing of it."""
MAX_REASON_CHARS = 200

COUNTED = ("received", "stored", "duplicates", "rejected", "refused", "not_kept")

_LOAD = Reading(
    text(
        "SELECT CAST(device_id AS text) AS device_id, values, quality FROM latest "
        "WHERE tenant_id = :tenant AND device_id = ANY (CAST(:ids AS uuid[]))"
    )
)
# Each column is one text: an array per column costs the driver ten times as much, one document of all rows the server
# two to three microseconds a row. No JSON that orjson writes has a line break in it.
_SAVE = text(
    """
    INSERT INTO latest (tenant_id, device_id, values, quality, received_at)
    SELECT :tenant, n.id, n.values, n.quality, to_timestamp(n.received / CAST(1000 AS float8))
    FROM unnest(
        CAST(:ids AS uuid[]), CAST(string_to_array(:values, chr(10)) AS jsonb[]),
        CAST(string_to_array(:quality, chr(10), 'null') AS jsonb[]), CAST(:received AS bigint[])
    ) AS n (id, values, quality, received)
    ON CONFLICT (tenant_id, device_id) DO UPDATE
    SET values = excluded.values, quality = excluded.quality,
        received_at = greatest(latest.received_at, excluded.received_at)
    """
)
_COUNT = text(
    """
    INSERT INTO counts AS c
        (tenant_id, device_id, hour, received, stored, duplicates, rejected, refused, not_kept)
    SELECT :tenant, n.device, :hour, n.received, n.stored, n.duplicates, n.rejected, n.refused, n.not_kept
    FROM unnest(
        CAST(:ids AS uuid[]), CAST(:received AS bigint[]), CAST(:stored AS bigint[]), CAST(:duplicates AS bigint[]),
        CAST(:rejected AS bigint[]), CAST(:refused AS bigint[]), CAST(:not_kept AS bigint[])
    ) AS n (device, received, stored, duplicates, rejected, refused, not_kept)
    ON CONFLICT (tenant_id, device_id, hour) DO UPDATE SET
        received = c.received + excluded.received, stored = c.stored + excluded.stored,
        duplicates = c.duplicates + excluded.duplicates, rejected = c.rejected + excluded.rejected,
        refused = c.refused + excluded.refused, not_kept = c.not_kept + excluded.not_kept
    """
)


class Newest:
    """The latest values of some devices (ids as texts) while readings are folded in; each metric by its own time."""

    def __init__(self, before: Mapping[str, Latest]) -> None:
        self._values: dict[str, Latest] = dict(before)
        self._doubts: dict[str, Doubts] = {}  # of nearly no device
        self._received: dict[str, int] = {}

    def recall(self, before: Mapping[str, Latest], doubts: Mapping[str, Doubts]) -> None:
        """Take in what was stored of devices met for the first time."""
        self._values.update(before)
        self._doubts.update(doubts)

    def of(self, device_id: str) -> Latest:
        """What is known of a device so far; to be read only."""
        return self._values.get(device_id, _NOTHING)

    def learn(
        self,
        device_id: str,
        at_ms: int,
        received_ms: int,
        values: Mapping[str, object],
        marks: Mapping[str, str] | None = None,
    ) -> None:
        """Take in one reading; late values never overwrite newer ones. ``marks``: the quality of what is not good."""
        known = self._values.get(device_id)
        if known is None:
            known = self._values[device_id] = {}
        for metric, value in values.items():
            old = known.get(metric)
            if old is None or at_ms >= old[1]:
                known[metric] = [value, at_ms]
        if received_ms > self._received.get(device_id, 0):
            self._received[device_id] = received_ms
        if marks or device_id in self._doubts:
            self._judge(device_id, at_ms, values, marks or {})

    def _judge(self, device_id: str, at_ms: int, values: Mapping[str, object], marks: Mapping[str, str]) -> None:
        """A value without a mark is good and ends the doubt before it; one that is bad leaves the last standing."""
        doubts, known = self._doubts.setdefault(device_id, {}), self._values[device_id]
        for metric in [each for each in values if each in doubts and at_ms >= doubts[each][1]]:
            del doubts[metric]
        for metric, mark in marks.items():
            if all(at_ms >= said[metric][1] for said in (known, doubts) if metric in said):
                before = doubts.get(metric, _NONE_SAID)
                doubts[metric] = [mark, at_ms, *(before[2:] if before[0] == mark else ())]
        if not doubts:
            del self._doubts[device_id]

    def explain(self, device_id: str, metric: str, reason: str) -> None:
        """Why a metric is bad, once that was learnt; of others nothing is to be explained."""
        doubt = self._doubts.get(device_id, {}).get(metric)
        if doubt is not None and doubt[0] == "bad":
            doubt[2:] = [reason[:MAX_REASON_CHARS]]
            self._received.setdefault(device_id, 0)

    def changed(self) -> list[dict[str, Any]]:
        """What is to be saved, in the order of device ids; asked again, only what has changed since."""
        values, received, doubts = self._values, self._received, self._doubts.get
        self._received = {}
        return [
            {"id": device, "values": values[device], "quality": doubts(device), "received": received[device]}
            for device in sorted(received)
        ]


_NOTHING: Latest = {}
_NONE_SAID: list[Any] = [None, 0]


async def load(tx: Tx, newest: Newest, device_ids: Iterable[str]) -> None:
    """Let ``newest`` know what is known of these devices."""
    rows = await tx.read(_LOAD, {"tenant": tx.principal.tenant_id, "ids": ids.array(device_ids)})
    newest.recall(
        {row["device_id"]: row["values"] for row in rows},
        {row["device_id"]: row["quality"] for row in rows if row["quality"] is not None},
    )


async def save(tx: Tx, newest: Newest) -> None:
    """Keep what was learnt."""
    if changed := newest.changed():
        doubts = [each["quality"] for each in changed]
        columns = {
            "ids": ids.array(each["id"] for each in changed),
            "values": _lines(each["values"] for each in changed),
            "quality": _lines(doubts) if any(doubts) else None,
            "received": _numbers(each["received"] for each in changed),
        }
        await tx.execute(_SAVE, {"tenant": tx.principal.tenant_id, **columns})


async def count(tx: Tx, at: datetime, told: Iterable[Mapping[str, Any]]) -> None:
    """Add to the hourly counts what ingest's journal rows say: each reading in ``r`` was received and stored, ``n``
    holds the numbers of what was not, by device, in the order of ``COUNTED``.
    """
    stored: Counter[str] = Counter()
    sums: dict[str, list[int]] = {}
    for body in told:
        stored.update(map(_DEVICE, body["r"]))
        for device_id, numbers in body["n"].items():
            held = sums.get(device_id, _NONE)
            sums[device_id] = [a + b for a, b in zip(held, numbers, strict=True)]
    for device_id, n in stored.items():
        received, already, *others = sums.get(device_id, _NONE)
        sums[device_id] = [received + n, already + n, *others]
    if not sums:
        return
    devices = sorted(sums)
    columns = zip(*[sums[device_id] for device_id in devices], strict=True)
    counted = {name: _numbers(column) for name, column in zip(COUNTED, columns, strict=True)}
    whose = {"tenant": tx.principal.tenant_id, "hour": clock.hour_of(at), "ids": ids.array(devices)}
    await tx.execute(_COUNT, {**whose, **counted})


def _lines(documents: Iterable[object]) -> str:
    # Decoded one by one: many short texts kept as orjson made them take malloc ten times as long.
    return "\n".join([orjson.dumps(document).decode() for document in documents])


def _numbers(numbers: Iterable[int]) -> str:
    return ids.array(map(str, numbers))


_DEVICE = itemgetter(0)
_NONE = (0,) * len(COUNTED)
