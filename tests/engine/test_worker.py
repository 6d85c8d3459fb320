"""The worker as it runs in production: Celery processes on a real Valkey, woken, not woken, and killed."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from engine import clock, worker
from engine import drain as drains
from engine.journal.bus import ValkeyBus
from engine.queue import celery_app
from engine.store.pool import Store
from engine.telemetry import service as telemetry
from engine.turns import Turns
from engine.wake import Waker
from infra.local.postgres import Postgres
from infra.local.valkey import Valkey
from tests.support.tenant import Tenant, found_tenant

WAIT_S = 180.0


class Processes:
    """Child processes by role, each started with the platform's own command."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, role: str) -> None:
        """Run ``tidegate serve {role}``."""
        self._running[role] = subprocess.Popen(
            [sys.executable, "-m", "infra.cli", "serve", role], env=self._environment, start_new_session=True
        )

    def kill(self, role: str) -> None:
        """kill -9, by pid."""
        process = self._running.pop(role)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(WAIT_S)

    def stop(self) -> None:
        """Stop all of them."""
        for role in list(self._running):
            self.kill(role)


@pytest.fixture
async def processes(postgres: Postgres, valkey: Valkey) -> AsyncIterator[Processes]:
    """Nothing runs yet; whatever is started is stopped."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "TIDEGATE_DATABASE_URL": postgres.url("worker"),
            "TIDEGATE_VALKEY_URL": valkey.url(),
            "TIDEGATE_DATA_DIR": str(Path(folder)),
        }
        started = Processes(environment)
        yield started
        started.stop()


async def _latest(store: Store, tenant: Tenant, device_id: UUID) -> object:
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        samples = (await telemetry.latest(tx, [device_id]))[device_id]
    return samples[0].value if samples else None


async def _becomes(store: Store, tenant: Tenant, device_id: UUID, value: object) -> None:
    async with asyncio.timeout(WAIT_S):
        while await _latest(store, tenant, device_id) != value:
            await asyncio.sleep(0.05)


async def test_a_worker_that_is_woken_drains_and_one_that_was_killed_goes_on(
    tenant: Tenant, store: Store, valkey: Valkey, processes: Processes
) -> None:
    room = await tenant.device()
    processes.start("worker")
    bus = ValkeyBus(valkey.url())
    waker = Waker(bus, celery_app(valkey.url()))
    await bus.open()
    await waker.open()
    try:
        async with asyncio.timeout(WAIT_S):
            for value in (1.0, 2.0):
                tenant.tell([(room.id, clock.now_ms(), {"temperature": value})])
                while await _latest(store, tenant, room.id) != value:
                    waker([tenant.id])
                    await asyncio.sleep(0.3)
                processes.kill("worker")
                processes.start("worker")
    finally:
        await waker.close()
        await bus.close()


async def test_what_nobody_was_woken_for_is_found_by_the_tick(
    tenant: Tenant, store: Store, processes: Processes
) -> None:
    room = await tenant.device()
    tenant.tell([(room.id, clock.now_ms(), {"temperature": 3.0})])
    processes.start("worker")
    processes.start("tick")
    await _becomes(store, tenant, room.id, 3.0)


async def test_a_tenant_with_a_long_backlog_keeps_another_waiting_for_one_turn_only(
    tenant: Tenant, postgres: Postgres, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drains, "READINGS_AT_ONCE", 1)  # so that each entry is a transaction, and each turn one
    monkeypatch.setattr(worker, "TURN_S", 0.0)
    waiting: deque[str] = deque()
    monkeypatch.setattr(worker.app, "send_task", lambda name, args, expires: waiting.append(args[0]))
    calm, loop = await found_tenant(postgres, tenant.store), object.__new__(worker.Loop)
    loop._drain, loop._turns = drains.Drain(worker_store), Turns()
    busy_room, calm_room = await tenant.device(), await calm.device()
    for each in (tenant, calm):  # what was told of the devices themselves is out of the way
        await loop._drain.run(each.id)
    for n in range(5):
        tenant.tell([(busy_room.id, clock.now_ms() + n, {"temperature": float(n)})])
    calm.tell([(calm_room.id, clock.now_ms(), {"temperature": 7.0})])
    waiting += [str(tenant.id), str(calm.id)]
    served = []
    while waiting:
        served.append(UUID(waiting.popleft()))
        await loop.drain(served[-1])
        if len(served) == 2:
            assert await _latest(calm.store, calm, calm_room.id) == 7.0
            assert await _latest(tenant.store, tenant, busy_room.id) == 0.0
    assert served[:3] == [tenant.id, calm.id, tenant.id]
    assert served.count(calm.id) == 1
    assert await _latest(tenant.store, tenant, busy_room.id) == 4.0


async def test_the_bus_tells_who_listens_and_survives_a_restart_of_valkey(tenant: Tenant, valkey: Valkey) -> None:
    speaker, listener = ValkeyBus(valkey.url()), ValkeyBus(valkey.url())
    await speaker.open()
    await listener.open()
    try:
        async with listener.subscribe(tenant.id) as news, asyncio.timeout(WAIT_S):
            for restart in (False, True):
                if restart:
                    valkey.stop()
                    speaker.publish([tenant.id])
                    valkey.start()
                news.clear()
                while not news.is_set():
                    speaker.publish([tenant.id])
                    await asyncio.sleep(0.2)
    finally:
        await speaker.close()
        await listener.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("work", "hangs_s", "ends"),
    [("asyncio.sleep(0, 'well')", 60, (0, "well")), ("asyncio.sleep(60)", 1, (1, ""))],
)
def test_a_task_that_hangs_ends_its_process(work: str, hangs_s: int, ends: tuple[int, str], tmp_path: Path) -> None:
    source = f"import asyncio; from engine import worker; worker.HANGS_S = {hangs_s}; print(worker.loop().run({work}))"
    nowhere = {
        "TIDEGATE_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
        "TIDEGATE_VALKEY_URL": "redis://127.0.0.1:1/0",
        "TIDEGATE_DATA_DIR": str(tmp_path),
    }
    ended = subprocess.run(
        [sys.executable, "-c", source], env=os.environ | nowhere, capture_output=True, text=True, timeout=WAIT_S
    )
    assert (ended.returncode, ended.stdout.strip()) == ends
    assert ("worker.hangs" in ended.stderr) == bool(ended.returncode)
