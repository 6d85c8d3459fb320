"""A whole platform of its own in a temporary folder, on free ports, gone when the bench is done."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import make_url

from engine.settings import variable
from infra.bench import processes
from infra.bench.clock import Clock
from infra.bench.host import DATABASE_BY, FAILPOINT_FILE, WITHOUT_WEB
from infra.bench.processes import Usage
from infra.bench.proxy import Proxy
from infra.bench.small_disk import SmallDisk
from infra.local.claims import PORTS
from infra.local.embedded import postgres_of, valkey_of
from infra.local.errors import SetupProblem
from infra.local.ground import dying_with_parent
from infra.local.ports import free_port

READY_WITHIN_S = 120.0
STOP_WITHIN_S = 40.0
UNBOUNDED = {
    "quota_messages_per_s": 1_000_000,
    "quota_values_per_s": 10_000_000,
    "quota_device_messages_per_s": 100_000,
}
"""A bench measures the platform, not a quota."""


class Rig:
    """Postgres, Valkey, ingest, workers, tick and, if wanted, web under the real supervisor; a context manager.

    With ``has_road`` the processes reach Postgres by `road`, which can be closed; with ``has_small_disk`` Postgres'
    data lies on `disk`, which can be filled; with ``has_clock`` all have the time of day from `clock`.
    """

    def __init__(
        self,
        *,
        with_web: bool,
        workers: int = 1,
        settings: Mapping[str, object] = UNBOUNDED,
        has_road: bool = False,
        has_small_disk: bool = False,
        has_clock: bool = False,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tidegate-bench-"))
        self.disk = SmallDisk(self.folder / "postgres") if has_small_disk else None
        self.clock = Clock(self.folder) if has_clock else None
        self._has_road = has_road
        self.road: Proxy | None = None
        self.postgres = postgres_of(self.folder)
        self.valkey = valkey_of(self.folder)
        self.ports = _ports()
        self._with_web = with_web
        self._workers = workers
        self._settings = settings
        self._host: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    @property
    def log_file(self) -> Path:
        """What the processes say."""
        return self.folder / "host.log"

    def pids(self) -> dict[str, int]:
        """The living processes by name; `postgres` is the postmaster."""
        assert self._host is not None
        return processes.named(self._host.pid)

    def backends(self) -> list[int]:
        """The processes that serve Postgres' clients and its background work."""
        return processes.children(self.pids().get("postgres", 0))

    def usages(self) -> dict[str, Usage]:
        """What each process has used since its start."""
        return {name: processes.usage(pid) for name, pid in self.pids().items()}

    def arm(self, failpoint: str) -> None:
        """The next start of ingest gets this fail-point."""
        file = self.folder / FAILPOINT_FILE
        unfinished = file.with_suffix(".new")
        unfinished.write_text(failpoint)
        unfinished.rename(file)

    def _start(self) -> None:
        if self.disk is not None:
            self.disk.mount()
        self.postgres.prepare()
        self.valkey.prepare()
        told = {variable(name): str(port) for name, port in self.ports.items()}
        told |= {
            variable("data_dir"): str(self.folder),
            variable("workers"): str(self._workers),
            variable("log_level"): "WARNING",
            variable("web_spare"): "0",  # loading it takes seconds of CPU, in the midst of what is measured
            WITHOUT_WEB: "" if self._with_web else "1",
        }
        told |= {variable(name): str(value) for name, value in self._settings.items()}
        if self._has_road:
            self.road = Proxy(int(make_url(self.postgres.url("owner")).port or 0)).__enter__()
            told[DATABASE_BY] = str(self.road.port)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
        self._host = subprocess.Popen(
            dying_with_parent([sys.executable, "-m", "infra.bench.host"], "TERM"),
            env=kept | told | dict(self.clock.environment if self.clock else {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._await_ready(self._host)

    def _await_ready(self, host: "subprocess.Popen[str]") -> None:
        assert host.stdout is not None
        assert host.stderr is not None
        watch = threading.Timer(READY_WITHIN_S, host.terminate)
        watch.start()
        line = host.stdout.readline()
        watch.cancel()
        if line.strip() != "ready":
            host.terminate()
            said = host.communicate(timeout=STOP_WITHIN_S)[1].strip().splitlines()[-1:] or [self.log_tail(1)]
            raise SetupProblem(f"The bench's platform did not start: {said[0]}")

    def log_tail(self, lines: int = 20) -> str:
        """The last lines the processes said."""
        text = self.log_file.read_text(errors="replace") if self.log_file.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _remove(self) -> None:
        if self._host is not None and self._host.poll() is None:
            self._host.send_signal(signal.SIGTERM)
            try:
                self._host.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._host.kill()  # its children die with it
                self._host.wait(10)
        deadline = time.monotonic() + 10
        while self.postgres.is_running() and time.monotonic() < deadline:
            time.sleep(0.1)
        if self.road is not None:
            self.road.__exit__(None, None, None)
        if self.disk is not None:
            self.disk.unmount()
        self.postgres.remove()
        self.valkey.remove()
        shutil.rmtree(self.folder, ignore_errors=True)


def _ports() -> dict[str, int]:
    ports: dict[str, int] = {}
    for name in PORTS:
        while (port := free_port()) in ports.values():
            continue
        ports[name] = port
    return ports
