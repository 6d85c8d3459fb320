"""When a message came first, by the Idempotency-Key its device gave it: a repeat of it gets the same time (ADR 47).

A reading that names no time is stamped with it, so a repeat has the key of the first one and is stored once, whichever
process it reaches and whatever died between. The row that keeps the time is written before the reading and not waited
for on disk: the reading's own COMMIT comes later in the same log, and waits for both.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

import psycopg

from engine.clock import now_ms
from ingest import arrays, statements
from ingest.adapters.base import Decision, Unkeyed
from ingest.database import Database

log = logging.getLogger(__name__)

# In one order for everybody: two processes that are asked of the same keys must not wait for each other.
CLAIM = """
INSERT INTO idempotency AS known (tenant_id, principal_id, key, request_sha256, created_at)
SELECT * FROM unnest(%b, %b, %b, %b, %b) AS u (tenant_id, device_id, key, said, at) ORDER BY tenant_id, device_id, key
ON CONFLICT (tenant_id, principal_id, key) DO UPDATE
SET request_sha256 = excluded.request_sha256, created_at = excluded.created_at
WHERE known.created_at < excluded.created_at - interval '24 hours'
"""
# Each by itself: a plan made while the table was small would read all of a tenant's keys to join them.
FIND = """
SELECT asked.n, known.request_sha256, known.created_at
FROM unnest(%b, %b, %b) WITH ORDINALITY AS asked (tenant_id, device_id, key, n)
CROSS JOIN LATERAL (
    SELECT request_sha256, created_at FROM idempotency
    WHERE tenant_id = asked.tenant_id AND principal_id = asked.device_id AND key = asked.key LIMIT 1
) known
"""
NOT_ON_DISK_YET = "SET LOCAL synchronous_commit TO off"

PER_HOUR = 3_600
"""Keys of one device and hour in this process: what is kept for a day stays bounded."""
_AT_ONCE = 200


class _Asked(NamedTuple):
    device: Decision
    key: str
    said: bytes
    at_ms: int
    answer: "asyncio.Future[int]"


class FirstReceipts:
    """Asks the database, many keys in one question."""

    def __init__(self, database: Database, per_hour: int = PER_HOUR) -> None:
        self._database = database
        self._per_hour = per_hour
        self._hour = 0
        self._used: Counter[UUID] = Counter()
        self._asked: list[_Asked] = []
        self._asking: asyncio.Task[None] | None = None

    async def first_ms(self, device: Decision, key: str, said: bytes) -> int:
        """When this device used this key first, in epoch ms: now, if it never did. `said` is what it says with it.

        Raises Unkeyed: the key stands for something else, there were too many, or the database is away.
        """
        at_ms = now_ms()
        hour = at_ms // 3_600_000
        if hour != self._hour:
            self._hour, self._used = hour, Counter()
        self._used[device.device_id] += 1
        if self._used[device.device_id] > self._per_hour:
            raise Unkeyed("too_many")
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._asked.append(_Asked(device, key, sha256(said).digest(), at_ms, answer))
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._answer_all())
        return await answer

    async def close(self) -> None:
        """Stop asking; who waits is told so."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        _refuse(self._asked)
        await self._database.drop()

    async def _answer_all(self) -> None:
        while self._asked:
            herd, self._asked = self._asked[:_AT_ONCE], self._asked[_AT_ONCE:]
            try:
                await self._ask(herd)
            except (psycopg.Error, OSError, TimeoutError) as error:
                log.warning("ingest.keys_unavailable", extra={"error": type(error).__name__, "keys": len(herd)})
                await self._database.drop()
                _refuse(herd)
            except asyncio.CancelledError:
                _refuse(herd)
                raise

    async def _ask(self, herd: Sequence[_Asked]) -> None:
        first = {(asked.device.device_id, asked.key): asked for asked in reversed(herd)}
        names = _names(list(first.values()))
        claims = (
            arrays.blobs([asked.said for asked in first.values()]),
            arrays.timestamps([asked.at_ms * 1000 for asked in first.values()]),
        )
        async with self._database.transaction() as connection:
            await statements.enter(connection, {asked.device.tenant_id for asked in herd})
            await connection.execute(NOT_ON_DISK_YET)
            await connection.execute(CLAIM, (*names, *claims), binary=True)
            rows = await (await connection.execute(FIND, _names(herd), binary=True)).fetchall()
            await connection.execute("COMMIT")
        for n, said, at in rows:
            asked = herd[n - 1]
            if asked.answer.done():  # its client has gone
                continue
            if bytes(said) == asked.said:
                asked.answer.set_result(round(at.timestamp() * 1000))  # it is whole milliseconds
            else:
                asked.answer.set_exception(Unkeyed("reused"))


def _names(herd: Sequence[_Asked]) -> tuple[arrays.Column, ...]:
    return (
        arrays.uuids([arrays.wire(asked.device.tenant_id.bytes) for asked in herd]),
        arrays.uuids([arrays.wire(asked.device.device_id.bytes) for asked in herd]),
        arrays.texts([asked.key for asked in herd]),
    )


def _refuse(herd: Sequence[_Asked]) -> None:
    for asked in herd:
        if not asked.answer.done():
            asked.answer.set_exception(Unkeyed("unavailable"))
