"""The real engines under the supervisor: killed they come back, and none of them outlives a killed supervisor."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from infra.local.postgres import Postgres
from infra.local.valkey import Valkey

pytestmark = pytest.mark.engines
BOUND_S = 80.0

OWNER = """
import signal
from pathlib import Path
from infra.local.postgres import Postgres
from infra.local.supervisor import Service, Supervisor
from infra.local.valkey import Valkey
from infra.local.voice import Voice
folder = Path({folder!r})
postgres, valkey = Postgres(folder / "postgres", settings={settings!r}), Valkey(folder / "valkey")
services = [
    Service(
        "postgres",
        postgres.command,
        postgres.is_ready,
        may_start=postgres.clear_orphans,
        stop_signal=signal.SIGINT,
    ),
    Service("valkey", valkey.command, valkey.is_ready),
]
for engine in (postgres, valkey):
    engine.prepare()
Supervisor(services, Voice()).run(lambda: (folder / "all").touch())
"""
SMALL = {"shared_buffers": "16MB", "max_wal_size": "64MB", "fsync": "off"}


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BOUND_S
    while not holds():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[tuple[Postgres, Valkey]]:
    """Prepared, to be looked at from outside."""
    postgres, valkey = Postgres(tmp_path / "postgres", settings=SMALL), Valkey(tmp_path / "valkey")
    postgres.prepare()
    valkey.prepare()
    yield postgres, valkey
    until(lambda: not postgres.is_running())
    postgres.remove()
    valkey.remove()


@pytest.fixture
def owner(engines: tuple[Postgres, Valkey], tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A supervisor of both engines in a process of its own."""
    source = OWNER.format(folder=str(tmp_path), settings=SMALL)
    with subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.DEVNULL) as process:
        try:
            until((tmp_path / "all").exists)
            yield process
        finally:
            process.kill()


def test_no_process_of_an_engine_outlives_its_killed_supervisor(
    engines: tuple[Postgres, Valkey], owner: "subprocess.Popen[bytes]"
) -> None:
    postgres, valkey = engines
    connection = psycopg.connect(postgres.url("superuser", "postgres"), autocommit=True)  # its backend: a grandchild
    assert connection.execute("SELECT 1").fetchone() == (1,)
    assert len(postgres.processes()) > 3
    owner.kill()
    owner.wait()
    until(lambda: not postgres.processes() and not valkey.is_ready())
    connection.close()


def test_killed_engines_are_started_again_and_answer(
    engines: tuple[Postgres, Valkey], owner: "subprocess.Popen[bytes]"
) -> None:
    postgres, valkey = engines
    postmaster = int((postgres.cluster / "postmaster.pid").read_text().split()[0])
    with contextlib.closing(psycopg.connect(postgres.url("superuser", "postgres"))) as connection:
        os.kill(connection.info.backend_pid, signal.SIGSTOP)  # one that would not leave by itself
        os.kill(postmaster, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{postmaster}").exists() and postgres.is_ready())
    children = Path(f"/proc/{owner.pid}/task/{owner.pid}/children").read_text().split()
    server = next(int(pid) for pid in children if "valkey" in Path(f"/proc/{pid}/comm").read_text())
    os.kill(server, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{server}").exists() and valkey.is_ready())
    owner.send_signal(signal.SIGTERM)
    assert owner.wait(BOUND_S) == 0
    assert not postgres.is_running()
    assert not valkey.is_ready()
