"""Plays a tenant's rules over its whole journal by the reference: a part of the devices in each of several processes.

No rule looks at two devices, so what must come of some devices' readings follows from these alone. All processes see
the database as it was at one moment.
"""

import asyncio
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID
from zlib import crc32

import orjson
import psycopg
from psycopg.sql import SQL
from psycopg.types.json import set_json_loads

from engine.notifications import channels
from engine.notifications.model import Channel
from engine.rules.compile import CompiledRule
from engine.rules.moves import PATIENCE_MS
from engine.rules.service import Compiled
from engine.store.pool import Store
from engine.tenancy import system
from infra.bench.reference import Expected, Reference
from infra.bench.telling import Progress, nobody
from infra.bench.tenant import PROFILE

TIMERS_LATE_MS = 10_000
"""A timer that has been due for less may not have been asked yet. One may be asked PATIENCE_MS early: a message that
came so much sooner after its event than those before does not move it."""
MANY_MESSAGES = 200_000
"""Fewer are played by this process itself, before another one has begun."""
MOST_PROCESSES = 4

_JOURNAL = "SELECT pos, kind, body FROM journal WHERE tenant_id = %s ORDER BY pos"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What there `must` be by now, and what there `may` be if every timer was asked to the millisecond."""

    must: Expected
    may: Expected

    def add(self, other: "Bounds") -> None:
        """Take in what follows for other devices."""
        self.must.add(other.must)
        self.may.add(other.may)


@dataclass(frozen=True, slots=True)
class Part:
    """One of `of` parts of a tenant's devices, played until `now_ms` on the snapshot; the URLs are of these roles."""

    superuser: str
    worker: str
    tenant_id: UUID
    snapshot: str
    now_ms: int
    number: int = 0
    of: int = 1

    def has(self, device: str) -> bool:
        """Whether a device is among them."""
        return self.of == 1 or crc32(device.encode()) % self.of == self.number


@contextmanager
def playing(part: Part, messages: int) -> Iterator[Sequence["Future[Bounds]"]]:
    """Begin to play the whole, of which `part` is the only part, divided if there is much; `together` waits for it."""
    count = min(os.cpu_count() or 1, MOST_PROCESSES) if messages >= MANY_MESSAGES else 1
    if count == 1:
        future = Future[Bounds]()
        future.set_result(play(part))
        yield [future]
        return
    with ProcessPoolExecutor(count, multiprocessing.get_context("spawn")) as processes:
        yield [processes.submit(play, replace(part, number=number, of=count)) for number in range(count)]


def together(futures: Sequence["Future[Bounds]"]) -> Bounds:
    """What follows for all devices."""
    bounds = Bounds(Expected(), Expected())
    for future in futures:
        bounds.add(future.result())
    return bounds


def play(part: Part) -> Bounds:
    """What must and may have come of the readings of these devices."""
    rules, known = asyncio.run(rules_of(part.worker, part.tenant_id))
    reference = Reference(part.tenant_id, rules, known)
    with psycopg.connect(part.superuser) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute(SQL("SET TRANSACTION SNAPSHOT {}").format(part.snapshot))
        for _, kind, body in journal(connection, part.tenant_id, Progress(nobody, "")):
            if kind == "telemetry":
                reference.follow(told for told in body["r"] if part.has(told[0]))
    reference.elapse(part.now_ms - TIMERS_LATE_MS)
    must = reference.expected.copy()
    reference.elapse(part.now_ms + PATIENCE_MS)
    return Bounds(must, reference.expected)


def journal(connection: "psycopg.Connection[Any]", tenant_id: UUID, progress: Progress) -> Iterator[tuple[Any, ...]]:
    """Position, kind and body of every entry, in order."""
    with connection.cursor(name="journal") as cursor:
        cursor.itersize = 500
        set_json_loads(orjson.loads, cursor)
        cursor.execute(_JOURNAL, [tenant_id])
        for done, row in enumerate(cursor):
            yield row
            progress.reach(done)


async def rules_of(worker: str, tenant_id: UUID) -> tuple[list[CompiledRule], list[Channel]]:
    """The tenant's compiled rules that watch the bench's devices, and the channels that they may name."""
    store = Store(worker, size=1)
    try:
        async with store.as_tenant(system(tenant_id), read_only=True) as tx:
            rules = [rule for rule in await Compiled().of(tx) if rule.profile in (None, PROFILE)]
            return rules, await channels.listed(tx)
    finally:
        await store.close()
