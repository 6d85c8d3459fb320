"""What lies in the inbox is decided again when somebody asks for it: each message once, in one transaction (ADR 51).

A row of the inbox waits for its replay as a command waits for its device (ADR 36): people only mark it. Whichever
ingest process hears of it takes it, decides it by the same decoder and the profile as it stands now, stores it, takes
it out of the inbox, moves it in the counts and tells the journal, all by one COMMIT. Whoever is killed leaves it as it
was; who comes second finds it gone. What is refused again stays, with the reason that it has now.

Of what was left out of a reading (ADR 79) only that is decided again: it becomes a row of its own beside the one that
is stored, of the same time, and counts as nothing that came.

What a gateway said for a child that was not there then is the child's, once there is one that names the gateway: it is
stored as the child's, or lies in its inbox from now on (ADR 56).
"""

import asyncio
import itertools
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
import psycopg

from ingest import decode, statements, uplink
from ingest.adapters.base import Decision, Message, Verdict
from ingest.batch import RECEIVED, STORED, Batch, Known, Outcome, Parcel, Rest, Sent
from ingest.changes import Conflated
from ingest.children import PREFIX
from ingest.database import Database, Trouble, trouble
from ingest.directory import compiled
from ingest.errors import LeftOut, Rejection
from ingest.normaliser import check_clock
from ingest.rejected import rest_of, row
from ingest.trim import SETTLED, trim
from schema.wire import topics
from schema.wire.payloads import Reason

log = logging.getLogger(__name__)

AT_ONCE = 500
LOOK_AGAIN_S = 30.0
TRIM_EVERY = 20
"""Looks between two trims of the inbox: ten minutes."""
NOT_JSON = frozenset({Reason.NOT_CBOR, Reason.NOT_SENML})
"""What an adapter could not read and kept as it came: the decoder knows JSON alone."""

KEPT = "least(coalesce(q.storage_days, %s), coalesce(p.retention_days, k.days, 90))"
WAITING = f"""
SELECT r.id, r.device_id, r.reason, r.about, r.message, r.transport, r.topic, r.payload, r.payload_size_bytes,
       r.is_part, (extract(epoch FROM r.received_at) * 1000000)::bigint,
       (extract(epoch FROM r.rest_time) * 1000)::bigint, r.rest_seq, r.left_out, p.id, p.metrics, p.is_strict, {KEPT}
FROM rejected r
JOIN devices d ON d.tenant_id = r.tenant_id AND d.id = r.device_id
JOIN profiles p ON p.tenant_id = d.tenant_id AND p.id = d.profile_id
LEFT JOIN quotas q ON q.tenant_id = r.tenant_id
LEFT JOIN retention k ON k.tenant_id = r.tenant_id
WHERE r.tenant_id = %s AND r.replay_asked_at IS NOT NULL
ORDER BY r.id LIMIT %s FOR UPDATE OF r SKIP LOCKED
"""  # noqa: S608  ours
# As `children.FIND`: the label decides. A gateway that is out of service speaks for nobody.
CHILDREN = f"""
SELECT g.id, c.key, c.id, p.id, p.metrics, p.is_strict, {KEPT}
FROM unnest(%s::uuid[], %s::text[]) AS w (gateway, child)
JOIN devices g ON g.tenant_id = %s AND g.id = w.gateway AND g.status IN ('provisioned', 'active')
JOIN devices c ON c.tenant_id = g.tenant_id AND c.key = w.child AND c.labels ->> 'gateway' = g.key AND c.id <> g.id
JOIN profiles p ON p.tenant_id = c.tenant_id AND p.id = c.profile_id
LEFT JOIN quotas q ON q.tenant_id = c.tenant_id
LEFT JOIN retention k ON k.tenant_id = c.tenant_id
WHERE c.status IN ('provisioned', 'active')
"""  # noqa: S608  ours
FORGOTTEN = "SELECT DISTINCT tenant_id FROM rejected WHERE replay_asked_at IS NOT NULL"
GONE = "DELETE FROM rejected WHERE tenant_id = %s AND id = ANY (%s)"
STAYS = """
UPDATE rejected r SET reason = n.reason, about = n.about, message = n.message, decoder = %s,
    device_id = n.device, topic = n.topic, left_out = coalesce(n.left_out, r.left_out), replayed_at = now(),
    replay_asked_at = NULL
FROM json_to_recordset(%s)
     AS n (id uuid, device uuid, topic text, reason text, about text, message text, left_out text[])
WHERE r.tenant_id = %s AND r.id = n.id
"""
FEWER = """
UPDATE faults f SET count = f.count - n.count, partial = f.partial - n.partial
FROM json_to_recordset(%s) AS n (device uuid, reason text, about text, count bigint, partial bigint)
WHERE f.tenant_id = %s AND f.device_id = n.device AND f.reason = n.reason AND f.about = n.about
"""
NONE_LEFT = "DELETE FROM faults WHERE tenant_id = %s AND device_id = ANY (%s) AND count <= 0"


@dataclass(slots=True)
class Again:
    """One row of the inbox, its message on the way, and what is to become of it.

    `fault` tells whose row it is: its parcel may be of that device's child. `rest`: only what was left out of a reading
    is decided, the others are stored.
    """

    id: UUID
    fault: tuple[UUID, str, str]
    message: str
    parcel: Parcel
    rest: Rest | None = None
    stored: int = 0
    duplicates: int = 0
    rejections: list[Rejection] = field(default_factory=list)
    left: list[tuple[LeftOut, Sent]] = field(default_factory=list)
    """What was left out of what was stored now."""

    @property
    def is_over(self) -> bool:
        """Whether it leaves the inbox."""
        if self.rest is not None and self.left:
            return False
        return bool(self.stored or self.duplicates or self.parcel.note)

    @property
    def is_childs(self) -> bool:
        """Whether it is another device's than the one in whose inbox it lies."""
        return self.parcel.device.device_id != self.fault[0]


class Replay:
    """``tell`` of a tenant in whose inbox something waits; ``run`` until cancelled, then ``close``."""

    def __init__(
        self,
        database: Database,
        tenants: Callable[[], Iterable[UUID]],
        wake: Callable[[Iterable[UUID]], None],
        storage_days: int = 90,
    ) -> None:
        """``tenants``: those looked after every while, should nobody have told of something that waits.

        ``storage_days``: how long readings are kept of a tenant whose quota says nothing else.
        """
        self._database = database
        self._storage_days = storage_days
        self._tenants = tenants
        self._wake = wake
        self._told = Conflated(self._work)
        self._lock = asyncio.Lock()

    def tell(self, tenant_id: UUID) -> None:
        """Something may wait there."""
        self._told.tell(str(tenant_id))

    async def run(self) -> None:
        """Decide until cancelled."""
        await asyncio.gather(self._told.run(), self._look())

    async def _look(self) -> None:
        for turn in itertools.count(1):
            await asyncio.sleep(LOOK_AGAIN_S)
            tenants = set(self._tenants())
            try:
                if turn % TRIM_EVERY == 0:
                    async with self._lock:
                        await trim(self._database, tenants)
                async with self._lock, self._database.transaction(rollback=True) as connection:
                    await statements.enter_inbox(connection, tenants)
                    for (tenant_id,) in await (await connection.execute(FORGOTTEN)).fetchall():
                        self.tell(tenant_id)
            except (psycopg.Error, OSError) as error:
                log.warning("ingest.replay_unseen", extra={"error": type(error).__name__})

    async def close(self) -> None:
        """Give the connection back."""
        await self._database.drop()

    async def _work(self, tenants: set[str]) -> None:
        for text in tenants:
            try:
                await self._decide_all(UUID(text))
            except (psycopg.Error, OSError):
                raise  # it is tried again
            except Exception:  # a mistake of ours: devices must not be cut off for it
                log.exception("ingest.replay_failed", extra={"tenant": text})

    async def _decide_all(self, tenant_id: UUID) -> None:
        most = AT_ONCE
        while True:
            try:
                count = await self._once(tenant_id, most)
            except psycopg.Error as error:
                if trouble(error) not in (Trouble.DATA, Trouble.PARTITION):
                    raise
                if most == 1:
                    await self._once(tenant_id, most, is_unstorable=True)
                most = 1  # one of them cannot be stored: the others can
                continue
            if not count:
                return

    async def _children(
        self, connection: statements.Connection, tenant_id: UUID, found: Sequence[tuple[Any, ...]]
    ) -> "Children":
        """Those for whom a gateway has spoken and may speak now."""
        asked = {(row[1], named[0]) for row in found if (named := _named(row[6]))}
        if not asked:
            return {}
        gateways, keys = [gateway for gateway, _ in asked], [key for _, key in asked]
        rows = await connection.execute(CHILDREN, [self._storage_days, gateways, keys, tenant_id])
        return {
            (gateway, key): Known(tenant_id, device_id, compiled(profile, *told))
            for gateway, key, device_id, profile, *told in await rows.fetchall()
        }

    async def _once(self, tenant_id: UUID, most: int, *, is_unstorable: bool = False) -> int:
        """Decide the oldest that wait; how many there were. Raising (psycopg.Error, OSError) it changed nothing."""
        async with self._lock, self._database.transaction() as connection:
            await statements.enter_inbox(connection, {tenant_id})
            found = await (await connection.execute(WAITING, [self._storage_days, tenant_id, most])).fetchall()
            if not found:
                await connection.execute("ROLLBACK")
                return 0
            waiting = _decoded(tenant_id, found, await self._children(connection, tenant_id, found))
            if is_unstorable:
                for each in waiting:
                    each.parcel.readings.clear()
                    each.parcel.rejections[:] = [
                        (Rejection(Reason.UNSTORABLE, "The database refused this reading."), b"")
                    ]
            outcome = await _store(connection, Batch([each.parcel for each in waiting], [], {}))
            _settle(waiting, outcome)
            await _empty(connection, tenant_id, waiting)
            await statements.append(connection, [*outcome.journal(), *_told(tenant_id, waiting)])
            await connection.execute("COMMIT")
        self._wake({tenant_id})
        over = sum(each.is_over for each in waiting)
        log.info("ingest.replayed", extra={"tenant": str(tenant_id), "over": over, "stays": len(waiting) - over})
        return len(waiting)


def _decoded(tenant_id: UUID, found: Sequence[tuple[Any, ...]], children: "Children") -> list[Again]:
    """Each row as a message that has just come, judged by the profile as it is now."""
    shapes: dict[UUID, Any] = {}
    devices: dict[UUID, Known] = {}
    waiting = []
    for id_, device_id, reason, about, words, transport, topic, payload, size, is_part, at_us, *more in found:
        rest_ms, rest_seq, left_out, profile, *told = more
        if profile not in shapes:
            shapes[profile] = compiled(profile, *told)
        device = devices.setdefault(device_id, Known(tenant_id, device_id, shapes[profile]))
        if (named := _named(topic)) is not None and (child := children.get((device_id, named[0]))) is not None:
            device, topic = child, named[1]
        parcel = Parcel(device, _nobody, at_us, topic, transport, size)
        rest = None if rest_seq is None else Rest(rest_ms, rest_seq, left_out)
        again = Again(id_, (device_id, reason, about), words, parcel, rest)
        _decide(again, bytes(payload), size, is_part=is_part)
        waiting.append(again)
    return waiting


Children = Mapping[tuple[UUID, str], Known]
"""By the gateway's id and the child's key."""


def _named(topic: str) -> tuple[str, str] | None:
    """Whose a gateway's message is and where it would have said it itself; None when it is its own, or nobody's.

    So is a status: what was reached then says nothing of now.
    """
    child, _, rest = topic.removeprefix(PREFIX).partition("/")
    if not topic.startswith(PREFIX) or topics.parse_tail(topic) is None or rest == "status":
        return None
    return child, f"up/{rest}"


def _decide(again: Again, payload: bytes, size: int, *, is_part: bool) -> None:
    parcel, reason = again.parcel, _reason(again)
    if size > len(payload):
        parcel.rejections.append((Rejection(reason, "Only its beginning was kept, so it cannot be replayed."), payload))
        return
    if parcel.topic.startswith(PREFIX):  # of a child that was found, the topic is its own
        parcel.rejections.append((Rejection(reason, _nobodys(parcel.topic)), payload))
        return
    if reason in NOT_JSON:
        parcel.rejections.append((Rejection(reason, "What was no message then is none now."), payload))
        return
    device = Decision(parcel.device.tenant_id, "", parcel.device.device_id, "", 0)
    message = Message(device, parcel.topic, payload, 1, parcel.received_us / 1e6, transport=parcel.transport)
    try:
        if again.rest is not None:
            item = decode.load(payload)
            uplink.complete(parcel, item, item if is_part else payload, again.rest, is_alone=not is_part)
        elif is_part:
            uplink.read(parcel, decode.load(payload), payload, parcel.received_us // 1000, is_alone=False)
        else:
            uplink.fill(parcel, message, parcel.received_us // 1000)
        for row in parcel.readings:
            # it has grown older in the inbox, and what is kept may be less now
            check_clock(row.time_ms, int(time.time() * 1000), parcel.device.shape.kept_ms)
    except Rejection as rejection:
        parcel.readings.clear()
        parcel.rejections.append((rejection, payload))
    except Exception:  # a mistake of ours: it must cost this message only
        log.exception("ingest.unreadable", extra={"device": parcel.device.device_text})
        parcel.readings.clear()
        parcel.rejections[:] = [(Rejection(Reason.UNSTORABLE, "The message could not be read."), payload)]


def _nobodys(topic: str) -> str:
    if topics.parse_tail(topic) is None:
        return "That is no topic for a device behind a gateway, so it cannot be replayed."
    named = _named(topic)
    if named is None:
        return "Whether a device was reached then says nothing of now, so it is not replayed."
    words = f"No device {named[0]} in service has a label gateway with this gateway's key."
    return f"{words} Register it, and replay this again."


async def _store(connection: statements.Connection, batch: Batch) -> Outcome:
    if batch.rows:
        cursor = await statements.store(connection, batch.rows)
        result = cursor.pgresult
        assert result is not None
        if result.ntuples < len(batch.rows) or batch.variants:
            batch.fates = await statements.fates(connection, batch, result)
    outcome = batch.settle()
    outcome.counts.clear()  # they were counted when they came
    return outcome


def _settle(waiting: Sequence[Again], outcome: Outcome) -> None:
    """What became of each."""
    of = {id(each.parcel): each for each in waiting}
    stored = {id(row) for row in outcome.stored}
    for each in waiting:
        each.stored = sum(id(row) in stored for row in each.parcel.readings)
        if each.rest is not None and each.stored:  # it is part of a reading that was counted when it came
            counts = outcome.counts_of(each.parcel.device)
            counts[RECEIVED] -= each.stored
            counts[STORED] -= each.stored
    for parcel in outcome.duplicates:
        of[id(parcel)].duplicates += 1
    for parcel, rejection, _ in outcome.rejected:
        of[id(parcel)].rejections.append(rejection)
    for parcel, left, sent in outcome.left:
        of[id(parcel)].left.append((left, sent))


async def _empty(connection: statements.Connection, tenant_id: UUID, waiting: Sequence[Again]) -> None:
    """Take out what is over; what stays says why."""
    over = [each for each in waiting if each.is_over]
    stays = {each.id: (each, _why(each)) for each in waiting if not each.is_over}
    await connection.execute(GONE, [tenant_id, [each.id for each in over]])
    said = [
        {
            "id": i,
            "device": each.parcel.device.device_text,
            "topic": each.parcel.topic,
            "reason": why.reason,
            "about": why.about,
            "message": words,
            "left_out": rest_of(why).metrics if isinstance(why, LeftOut) else None,
        }
        for i, (each, (why, words)) in stays.items()
    ]
    await connection.execute(STAYS, [decode.VERSION, orjson.dumps(said).decode(), tenant_id])
    moved = [
        (each, why)
        for each, (why, _) in stays.values()
        if each.is_childs or each.fault[1:] != (str(why.reason), why.about)
    ]
    gone = [*over, *(each for each, _ in moved)]
    fewer, partial = Counter(each.fault for each in gone), Counter(each.fault for each in gone if each.rest is not None)
    told = [
        {"device": fault[0], "reason": fault[1], "about": fault[2], "count": count, "partial": partial[fault]}
        for fault, count in sorted(fewer.items())
    ]
    await connection.execute(FEWER, [orjson.dumps(told).decode(), tenant_id])
    await statements.count_faults(connection, [(each.parcel, why, each.rest is not None) for each, why in moved])
    # What was rejected, and is stored now without some of its metrics: those lie there from now on.
    new = [row(each.parcel, left, left.about, sent) for each in over for left, sent in each.left]
    if new:
        await statements.reject(connection, new)
    await connection.execute(NONE_LEFT, [tenant_id, [each.fault[0] for each in waiting]])


def _why(each: Again) -> tuple[Rejection, str]:
    """Why it stays, and in words; without a rejection its device takes nothing."""
    if each.left:
        return each.left[0][0], each.left[0][0].message
    if each.rejections:
        return each.rejections[0], each.rejections[0].message
    same = Rejection(_reason(each), "", each.fault[2])
    return same, "Its device is suspended or gone, so nothing of it is stored. Resume it, and replay this again."


def _reason(each: Again) -> Reason:
    """The reason that it lies there for; of a version that knew others, none of ours."""
    try:
        return Reason(each.fault[1])
    except ValueError:
        return Reason.UNSTORABLE


def _told(tenant_id: UUID, waiting: Sequence[Again]) -> list[tuple[UUID, str, bytes]]:
    """How the counts of the hours in which they came are to change; what was stored is counted anew by its own row."""
    moved = [
        {"device": str(device), "at": each.parcel.received_us // 1000, "counts": counts}
        for each in waiting
        for device, counts in _moves(each)
    ]
    return [(tenant_id, SETTLED, orjson.dumps({"moved": moved}))] if moved else []


def _moves(each: Again) -> Sequence[tuple[UUID, list[int]]]:
    """Received, stored, duplicates, rejected, refused, not kept: how that changes of each device.

    It counted as one that was rejected, of the device in whose inbox it lay; what was left out counted as nothing.
    """
    if each.rest is not None:
        return []
    if not each.is_over:
        return [(each.fault[0], [-1, 0, 0, -1, 0, 0]), (_owner(each), [1, 0, 0, 1, 0, 0])] if each.is_childs else []
    lost = len(each.rejections)
    became = [each.stored + each.duplicates + lost, each.stored, each.duplicates, lost, 0, lost]
    if each.is_childs:
        return [(each.fault[0], [-1, 0, 0, -1, 0, 0]), (_owner(each), became)]
    return [(_owner(each), [became[0] - 1, *became[1:3], lost - 1, *became[4:]])]


def _owner(each: Again) -> UUID:
    return each.parcel.device.device_id


def _nobody(_: Verdict) -> None:
    """Its device was told long ago."""
