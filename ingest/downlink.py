"""What waits for a device is sent down by the process that holds its connection.

A command waits as a row (``engine.commands``). This process hears of a new one by NOTIFY, and reads what waits when a
device subscribes. What a device has confirmed is told to the journal, by the writer; the drain moves the command on. A
crash between the two sends it again: delivery is at least once, the command's id tells a repeat. What is called off or
has expired before it is written to the connection is not sent.

A device that asks, or is behind a broker, may be met by several processes at once: whoever sends to it has first noted
in the command's row that it does, and until when nobody else shall (ADR 85).

A gateway's point table (``engine.points``) is no command but a state that is wanted: it is sent to an edge that listens
and says that it runs another one, once a session, the newest only.
"""

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import orjson

from engine.commands.told import SENT
from engine.points.model import MAX_PLAIN_BYTES
from engine.points.packed import pack
from ingest import arrays, statements
from ingest.adapters.base import Decision
from ingest.changes import Conflated
from ingest.database import Database
from schema.wire.payloads import command_payload

# OFFSET 0, and the tenant outside: what waits is looked up by its device, whatever the planner knows of the table. Of
# commands that were just issued to a whole fleet it would read all that the tenant has for each device.
WAITING = """
SELECT c.tenant_id, c.device_id, c.id, c.command, c.arguments, c.expires_at,
       extract(epoch FROM c.handed_until - now())::float8
FROM unnest(%b, %b) AS wanted (tenant_id, device_id)
CROSS JOIN LATERAL (
    SELECT * FROM (
        SELECT c.tenant_id, c.device_id, c.id, c.command, c.arguments, c.requested_at, c.expires_at, c.handed_until
        FROM commands c WHERE c.device_id = wanted.device_id AND c.status = 'queued' AND c.expires_at > now() OFFSET 0
    ) c
    WHERE c.tenant_id = wanted.tenant_id
    ORDER BY c.requested_at, c.id LIMIT 20
) c
"""
# Whoever comes second, or meets the drain, gets nothing and waits for nobody: so no two wait for each other.
HAND_OUT = """
UPDATE commands c SET handed_until = now() + make_interval(secs => %s)
FROM unnest(%b, %b, %b) AS wanted (tenant_id, device_id, id)
CROSS JOIN LATERAL (
    SELECT c.tenant_id, c.device_id, c.id FROM commands c
    WHERE c.device_id = wanted.device_id AND c.id = wanted.id AND c.status = 'queued'
      AND (c.handed_until IS NULL OR c.handed_until <= now())
    FOR UPDATE SKIP LOCKED
) free
WHERE c.device_id = free.device_id AND c.id = free.id AND free.tenant_id = wanted.tenant_id
RETURNING c.id, c.handed_until
"""
# Only what this process has: its time may be over, and another have it.
GIVE_BACK = """
WITH free AS (
    UPDATE commands c SET handed_until = NULL
    FROM unnest(%b, %b, %b, %b) AS given (tenant_id, device_id, id, handed_until)
    CROSS JOIN LATERAL (
        SELECT c.tenant_id, c.device_id, c.id FROM commands c
        WHERE c.device_id = given.device_id AND c.id = given.id AND c.status = 'queued'
          AND c.handed_until = given.handed_until
        FOR UPDATE SKIP LOCKED
    ) mine
    WHERE c.device_id = mine.device_id AND c.id = mine.id AND mine.tenant_id = given.tenant_id
    RETURNING c.device_id
)
SELECT pg_notify('tidegate_changed', 'command:' || device_id) FROM (SELECT DISTINCT device_id FROM free) f
"""
TABLES = """
SELECT p.tenant_id, p.device_id, p.version, p.text FROM unnest(%b, %b) AS wanted (tenant_id, device_id)
JOIN point_tables p ON p.tenant_id = wanted.tenant_id AND p.device_id = wanted.device_id
WHERE p.version > 0 AND NOT p.is_local
  AND p.version IS DISTINCT FROM p.running_version AND p.version IS DISTINCT FROM p.refused_version
"""
POINTS = "down/points"
AT_ONCE = 20
"""Commands read for one device at a time, in the order in which they were issued: as many as the statement says."""
LOOK_AGAIN_S = 1.0
"""By then the drain has moved on what was sent, and the next ones come first."""
NOT_NOW_S = 15.0
"""A device that listens but took a command not now (it reads too slowly, or said no) is asked again after so long."""
HANDED_FOR_S = NOT_NOW_S
"""So long nobody else sends what one process sends: should that die, nobody knows what has arrived."""
REMEMBERED = 50_000
"""Commands known to have arrived, whose rows the drain may not have moved on yet."""

Row = tuple[UUID, UUID, UUID, str, Any, Any, float | None]


class Sender(Protocol):
    """Whatever holds connections: the MQTT endpoint, and beside it what devices ask for over HTTP."""

    def sessions(self) -> Iterable[Decision]: ...

    def session(self, device_id: UUID) -> Decision | None: ...

    def listens(self, device_id: UUID, topic_tail: str) -> bool: ...

    def is_shared(self, device_id: UUID, topic_tail: str) -> bool:
        """Whether other processes may have the same way down to this device."""

    def send(self, device_id: UUID, topic_tail: str, payload: bytes, qos: int = 1) -> asyncio.Future[bool]: ...

    def looked(self, device_id: UUID) -> None:
        """Whatever waits for the device has just been sent."""


class Downlink:
    """Sends what waits. ``tell`` of a device that has something waiting; ``run`` until cancelled."""

    def __init__(self, database: Database, sender: Sender, record: Callable[[UUID, str, bytes], None]) -> None:
        self._database = database
        self._sender = sender
        self._record = record
        self._told = Conflated(self._look)
        self._on_its_way: dict[UUID, tuple[UUID, asyncio.Future[bool]]] = {}
        self._again: dict[UUID, asyncio.TimerHandle] = {}
        self._arrived: OrderedDict[UUID, None] = OrderedDict()
        self._given_back: dict[UUID, tuple[UUID, UUID, datetime]] = {}
        """Commands that were handed out and have not arrived, for whoever meets the device next."""
        self._tables: OrderedDict[UUID, tuple[int, int]] = OrderedDict()
        """By device: the session in which it was sent a point table, and that one's version."""

    def tell(self, device_id: UUID) -> None:
        """Something may wait for this device; nothing happens if it is not connected here."""
        if self._sender.session(device_id) is not None:
            self._told.tell(str(device_id))

    def tell_all(self) -> None:
        """News may have been missed: look for everybody who is connected here."""
        for session in self._sender.sessions():
            self._told.tell(str(session.device_id))

    async def run(self) -> None:
        """Send until cancelled."""
        await self._told.run()

    async def close(self) -> None:
        """Give the connection back, and look for nobody again."""
        for timer in self._again.values():
            timer.cancel()
        await self._database.drop()

    async def _look(self, devices: set[str]) -> None:
        """Read and send what waits for these devices; raises psycopg.Error or OSError, and is then asked again."""
        if self._given_back:
            await self._give_back()
        sessions = [session for text in devices if (session := self._sender.session(UUID(text))) is not None]
        if not sessions:
            return
        wanted = _ids(sessions)
        async with self._database.transaction() as connection:
            await statements.enter(connection, {session.tenant_id for session in sessions})
            rows = await (await connection.execute(WAITING, wanted, binary=True)).fetchall()
            handed = await self._hand_out(connection, rows)
            edges = [session for session in sessions if self._sender.listens(session.device_id, POINTS)]
            tables = await (await connection.execute(TABLES, _ids(edges), binary=True)).fetchall() if edges else []
            await connection.execute("COMMIT")
        found = Counter(row[1] for row in rows)
        more = {device_id for device_id, count in found.items() if count == AT_ONCE}  # may wait behind these
        self._call_off({session.device_id for session in sessions} - more, {row[2] for row in rows})
        held: set[UUID] = set()
        for row in rows:
            self._send(row, handed.get(row[2]), held)
        for _, device_id, version, text in tables:
            self._send_table(device_id, version, text)
        for session in sessions:
            self._sender.looked(session.device_id)
        for device_id in more:
            self._look_again(device_id, LOOK_AGAIN_S)

    async def _hand_out(self, connection: statements.Connection, rows: Sequence[Row]) -> dict[UUID, datetime]:
        """Note of what other processes might send as well that this one does, and until when nobody else shall."""
        shared: list[Row] = []
        held: set[UUID] = set()
        for row in rows:
            if row[1] not in held and not self._is_known(row[2]):
                if (row[6] or 0) > 0:
                    held.add(row[1])  # others send this one, and what comes after it
                elif self._is_shared(row[1], _topic(row)):
                    shared.append(row)
        if not shared:
            return {}
        wanted = _wires(row[0] for row in shared), _wires(row[1] for row in shared), _wires(row[2] for row in shared)
        cursor = await connection.execute(HAND_OUT, (HANDED_FOR_S, *wanted), binary=True)
        return dict(await cursor.fetchall())

    async def _give_back(self) -> None:
        """Let others have what was handed out here and has not arrived, and tell them."""
        back = dict(self._given_back)
        tenants, devices, untils = zip(*back.values(), strict=True)
        async with self._database.transaction() as connection:
            await statements.enter(connection, set(tenants))
            untils_us = arrays.timestamps([round(until.timestamp() * 1e6) for until in untils])
            await connection.execute(GIVE_BACK, (_wires(tenants), _wires(devices), _wires(back), untils_us))
            await connection.execute("COMMIT")
        for command_id in back:
            del self._given_back[command_id]

    def _is_known(self, command_id: UUID) -> bool:
        """Whether this process is sending it, or has."""
        return command_id in self._on_its_way or command_id in self._arrived

    def _is_shared(self, device_id: UUID, topic: str) -> bool:
        return self._sender.listens(device_id, topic) and self._sender.is_shared(device_id, topic)

    def _call_off(self, devices: set[UUID], waiting: set[UUID]) -> None:
        """What these devices shall not have any more, and was not written to their connections yet, is not."""
        for command_id, (device_id, answer) in self._on_its_way.items():
            if device_id in devices and command_id not in waiting:
                answer.cancel()

    def _look_again(self, device_id: UUID, after_s: float) -> None:
        """One timer a device, the earliest: looks must not become more and more."""
        loop = asyncio.get_running_loop()
        known = self._again.get(device_id)
        if known is not None:
            if known.when() <= loop.time() + after_s:
                return
            known.cancel()
        self._again[device_id] = loop.call_later(after_s, self._tell_again, device_id)

    def _tell_again(self, device_id: UUID) -> None:
        del self._again[device_id]
        self.tell(device_id)

    def _send(self, row: Row, handed: datetime | None, held: set[UUID]) -> None:
        """Send one, unless somebody else does, or has one of this device that comes before it (`held`)."""
        tenant_id, device_id, command_id, command, arguments, expires_at, left_s = row
        if self._is_known(command_id):
            return
        topic = _topic(row)
        is_anothers = handed is None and ((left_s or 0) > 0 or self._is_shared(device_id, topic))
        if is_anothers or device_id in held or not self._sender.listens(device_id, topic):
            held.add(device_id)
            if handed is not None:
                self._hand_back(row, handed)
            if is_anothers:
                self._look_again(device_id, LOOK_AGAIN_S)
            return  # else it waits for the device's next subscription
        payload = orjson.dumps(command_payload(str(command_id), command, arguments, expires_at))
        answer = self._sender.send(device_id, topic, payload)
        self._on_its_way[command_id] = device_id, answer

        def heard(delivered: asyncio.Future[bool]) -> None:
            del self._on_its_way[command_id]
            if delivered.cancelled():
                return
            if not delivered.result():
                if self._sender.listens(device_id, topic):
                    self._look_again(device_id, NOT_NOW_S)
                elif handed is not None:
                    self._hand_back(row, handed)
                return
            self._arrived[command_id] = None
            if len(self._arrived) > REMEMBERED:
                self._arrived.popitem(last=False)
            body: Mapping[str, object] = {
                "command": str(command_id),
                "device": str(device_id),
                "at": int(time.time() * 1000),
            }
            self._record(tenant_id, SENT, orjson.dumps(body))

        answer.add_done_callback(heard)

    def _hand_back(self, row: Row, handed: datetime) -> None:
        self._given_back[row[2]] = row[0], row[1], handed
        self._told.tell(str(row[1]))

    def _send_table(self, device_id: UUID, version: int, text: str) -> None:
        session = self._sender.session(device_id)
        if session is None or self._tables.get(device_id) == (session.session_epoch, version):
            return
        sent = session.session_epoch, version
        self._tables[device_id] = sent
        self._tables.move_to_end(device_id)
        if len(self._tables) > REMEMBERED:
            self._tables.popitem(last=False)
        is_long = len(text.encode()) > MAX_PLAIN_BYTES
        said = {"version": version, **({"packed": pack(text)} if is_long else {"text": text})}
        answer = self._sender.send(device_id, POINTS, orjson.dumps(said))

        def heard(delivered: asyncio.Future[bool]) -> None:
            if delivered.cancelled() or not delivered.result():
                if self._tables.get(device_id) == sent:
                    del self._tables[device_id]
                if self._sender.listens(device_id, POINTS):
                    self._look_again(device_id, NOT_NOW_S)

        answer.add_done_callback(heard)


def _topic(row: Row) -> str:
    return f"down/cmd/{row[2]}"


def _ids(sessions: Sequence[Decision]) -> tuple[arrays.Uuids, arrays.Uuids]:
    """Tenants and devices, as a statement takes them."""
    return _wires(session.tenant_id for session in sessions), _wires(session.device_id for session in sessions)


def _wires(ids: Iterable[UUID]) -> arrays.Uuids:
    return arrays.uuids([arrays.wire(each.bytes) for each in ids])
