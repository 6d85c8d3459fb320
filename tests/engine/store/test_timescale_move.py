"""Telemetry that is stored already moves into TimescaleDB while readings come and go, also when the move is killed."""

import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from uuid import UUID

import psycopg
import pytest

import migrations
from engine.store import timescale_move
from engine.store.errors import TimescaleUnusable
from engine.store.pool import Store
from engine.store.timescale_move import Moved
from infra.local.postgres import Postgres
from ingest.adapters.base import Verdict
from tests.support.line import Line, running_line
from tests.support.tenant import Tenant, found_tenant
from tests.support.timescale import Timescale

pytestmark = pytest.mark.engines
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def server() -> Iterator[Timescale]:
    """TimescaleDB in WebAssembly, in whose database telemetry lies in partitions as yet."""
    server = Timescale()
    try:
        server.prepare()
        server.start()
        server.bootstrap()
        migrations.upgrade(server.url("owner"), migrations.head())
        yield server
    finally:
        server.remove()


@pytest.fixture
async def moving(server: Timescale) -> AsyncIterator[Tenant]:
    """A tenant of that server."""
    store = Store(server.url("app"), size=2)
    yield await found_tenant(server, store)  # type: ignore[arg-type]
    await store.close()


def kind(server: Timescale) -> str:
    with psycopg.connect(server.url("owner")) as connection:
        found = connection.execute("SELECT relkind FROM pg_class WHERE oid = 'public.telemetry'::regclass").fetchone()
    assert found is not None
    return str(found[0])


def killed_on_its_way(server: Timescale, days: int) -> list[str]:
    """What the command had said when it was killed, after so many days."""
    command = [sys.executable, "-m", "infra.cli", "migrate", "--to-timescale"]
    env = {**os.environ, "TIDEGATE_DATABASE_URL": server.url("owner")}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(days + 1)]
        process.kill()
    return said


def killed_within_a_day(server: Timescale) -> int:
    """How much of a day was there when a move in steps of one reading was killed in the midst of it."""
    url = server.url("owner")
    command = [sys.executable, "-c", f"from engine.store.timescale_move import move; move({url!r}, print, 1)"]
    under_way = "SELECT copied FROM series.moves WHERE finished_at IS NULL AND copied >= 5"
    with psycopg.connect(url, autocommit=True) as connection:
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None and connection.execute(under_way).fetchone() is None:
                time.sleep(0.01)
            process.kill()
        found = connection.execute(under_way).fetchone()
    assert found is not None, "the day was not cut in two"
    return int(found[0])


def measured(line: Line, tenant: Tenant) -> list[tuple[UUID, int, float]]:
    return [(device, at, values["temperature"]) for device, at, _, values in line.stored(tenant)]


def forget(server: Timescale, tenant: Tenant, at_ms: int) -> None:
    """Delete what was measured then, as retention and erasure do."""
    with psycopg.connect(server.url("worker")) as connection:
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", [str(tenant.id)])
        gone = "DELETE FROM telemetry WHERE tenant_id = %s AND time = to_timestamp(%s)"
        assert connection.execute(gone, [tenant.id, at_ms / 1000]).rowcount == 1


async def test_a_move_that_was_killed_goes_on_and_misses_nothing_that_happened_meanwhile(
    server: Timescale, moving: Tenant
) -> None:
    device = await moving.device()
    midnight = int(time.time() // 86_400) * DAY_MS
    times = [midnight - days * DAY_MS + n * 1000 for days, many in ((89, 30), (88, 30), (1, 100)) for n in range(many)]
    moving.tell([(device.id, at, {"temperature": n}) for n, at in enumerate(times)])
    migrations.upgrade(server.url("owner"))
    assert kind(server) == "p"  # nobody is moved without being asked

    async with running_line(server) as line:  # type: ignore[arg-type]
        before = measured(line, moving)
        said = killed_on_its_way(server, days=3)
        assert said[0].startswith("the database is at")
        assert [words.split(": ")[1].split(" ")[0] for words in said[2:]] == ["30", "30"]

        reached = 60 + killed_within_a_day(server)
        assert reached < len(times) - 10

        # of a day that is moved, and of one that is half moved, on either side of where that was cut
        late = [times[5] + 500, times[61] + 500, times[-1] + 500]
        for at in late:
            assert await line.send(moving, device, {"time": at, "values": {"temperature": 99}}) is Verdict.STORED
        gone = [times[6], times[62], times[-2]]
        for at in gone:
            forget(server, moving, at)
        assert kind(server) == "p"

        told: list[Moved] = []
        assert timescale_move.move(server.url("owner"), told.append, step_rows=7) is not None
        assert len(told) < 93
        assert kind(server) == "v"
        after = [(device.id, at, 99.0) for at in late] + [row for row in before if row[1] not in gone]
        assert measured(line, moving) == sorted(after)

        again = {"time": late[0], "values": {"temperature": 99}}
        assert await line.send(moving, device, again) is Verdict.DUPLICATE
        fresh = {"time": midnight, "values": {"temperature": 1}}
        assert await line.send(moving, device, fresh) is Verdict.STORED
    assert timescale_move.move(server.url("owner"), told.append) is None


def test_without_timescaledb_the_move_says_what_is_missing(postgres: Postgres) -> None:
    with pytest.raises(TimescaleUnusable, match="CREATE EXTENSION timescaledb"):
        timescale_move.move(postgres.url("owner"), print)
