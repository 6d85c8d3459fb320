"""What a tenant gains whose journal is shared: the same backlog drained by one reader, and by two in two processes.

Each reader is a process of its own, as workers are (run as ``python -m infra.bench.sharing URL TENANT NUMBER``).
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from engine.drain import Drain
from engine.journal import readers
from engine.store.pool import Store
from engine.tenancy import system
from infra.bench import processes
from infra.local.postgres import Postgres
from infra.serve import collect_garbage_seldom


@dataclass(frozen=True, slots=True)
class Shared:
    """A backlog of so many ``events`` drained by so many ``readers``: CPU of an event, and the time that all took."""

    readers: int
    events: int
    worker_us: float
    postgres_us: float
    wall_s: float
    slowest_cpu_s: float
    """What the reader that used most CPU used of it."""

    @property
    def a_second(self) -> float:
        """Events of the tenant a second, on this machine and with what else it did."""
        return self.events / self.wall_s


def said(shared: Shared) -> str:
    """In words."""
    of = "one reader" if shared.readers == 1 else f"{shared.readers} readers"
    cpu = f"workers {shared.worker_us:.1f} us an event, Postgres {shared.postgres_us:.1f}"
    return f"one tenant by {of}: {shared.a_second:,.0f} events/s; {cpu}; busiest reader {shared.slowest_cpu_s:.2f} s"


async def share(postgres: Postgres, tenant_id: UUID, count: int) -> None:
    """Let so many readers share the tenant's journal, of which nothing is left to be read."""
    store = Store(postgres.url("worker"), size=1)
    try:
        async with store.as_tenant(system(tenant_id)) as tx:
            await readers.change(tx, count)
    finally:
        await store.close()


def drained(postgres: Postgres, tenant_id: UUID, count: int, events: int, write: Callable[[], None]) -> Shared:
    """Start a process for each reader, ``write`` the backlog, let all begin at once, and wait until nothing is left."""
    command = [sys.executable, "-m", "infra.bench.sharing", postgres.url("worker"), str(tenant_id)]
    started = [
        subprocess.Popen([*command, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for number in range(count)
    ]
    for each in started:
        assert each.stdout is not None
        each.stdout.readline()
    write()
    server, began = processes.usage(processes.named(os.getpid())["postgres"]).cpu_s, time.monotonic()
    for each in started:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    said = [json.loads(each.communicate()[0]) for each in started]
    wall = time.monotonic() - began
    served = processes.usage(processes.named(os.getpid())["postgres"]).cpu_s - server
    used = [each["cpu_s"] for each in said]
    scale = 1e6 / events
    return Shared(count, events, sum(used) * scale, served * scale, wall, max(used))


async def _drain(database_url: str, tenant_id: UUID, number: int) -> float:
    """CPU seconds that this process takes until its reader has nothing left; begins when a line comes in."""
    store = Store(database_url, size=1)
    try:
        drain = Drain(store)
        await drain.turn(tenant_id, float("inf"), number)  # rules are compiled, nothing of a device is known yet
        print("ready", flush=True)
        sys.stdin.readline()
        began = time.process_time()
        while (await drain.turn(tenant_id, float("inf"), number))[0]:
            continue
        return time.process_time() - began
    finally:
        await store.close()


if __name__ == "__main__":
    collect_garbage_seldom()
    used_s = asyncio.run(_drain(sys.argv[1], UUID(sys.argv[2]), int(sys.argv[3])))
    print(json.dumps({"cpu_s": used_s}))
