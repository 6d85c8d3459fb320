"""One real web process on a free port, for the benches of what only it and the engines do."""

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.settings import variable
from infra.local.errors import SetupProblem
from infra.local.ground import dying_with_parent
from infra.local.ports import free_port
from infra.local.postgres import Postgres

READY_WITHIN_S = 240.0


@dataclass(frozen=True, slots=True)
class Web:
    """A web process that answers: its id, and the port it listens on."""

    pid: int
    port: int


@contextmanager
def served(postgres: Postgres, folder: Path, valkey_url: str = "") -> Iterator[Web]:
    """A web process of this database; without a Valkey it looks for news by itself."""
    port = free_port()
    told = {"database_url": postgres.url("app"), "http_port": port, "data_dir": folder, "metrics_port": free_port()}
    told |= {"log_level": "WARNING", "quota_api_cost_per_min": 1_000_000_000, "quota_subscriptions": 100_000}
    told |= {"valkey_url": valkey_url} if valkey_url else {}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
    argv = dying_with_parent([sys.executable, "-m", "infra.cli", "serve", "web"])
    environment = kept | {variable(name): str(value) for name, value in told.items()}
    web = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await(port, web)
        yield Web(web.pid, port)
    finally:
        web.terminate()
        web.wait(20)


def _await(port: int, web: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + READY_WITHIN_S
    while web.poll() is None and time.monotonic() < until:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.1)
    raise SetupProblem("The bench's web process did not start.")
