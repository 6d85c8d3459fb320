"""A process of the platform as production runs it, started on free ports and ended by its own number."""

import asyncio
import copy
import itertools
import os
import random
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from engine.settings import Settings
from infra.local.ports import is_free
from tests.support.patience import PATIENCE_S

_PORTS = 4_000
_turns = itertools.count(random.SystemRandom().randrange(_PORTS))


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody has at the moment, and that nobody is given before its server has begun.

    It is below those that the system gives to whoever wants any, in a block of this process of the tests, and none is
    given twice in a row.
    """
    first = 10_000 + _PORTS * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 5)
    return next(port for turn in _turns if is_free(port := first + turn % _PORTS))


class IngestProcess:
    """`tidegate serve ingest`; it may be started again after its death, on the same ports."""

    def __init__(
        self, database_url: str, log: Path, valkey_url: str = "", gateway_url: str = "", broker_url: str = ""
    ) -> None:
        self.mqtt_port, self.mqtts_port, self.internal_port = free_port(), free_port(), free_port()
        self.mqtt_ws_port, self.mqtt_wss_port = free_port(), free_port()
        self.http_port, self.https_port = free_port(), free_port()
        self.coap_port = free_port()
        self.data_dir = log.parent
        self.log = log
        self._environment = {
            **os.environ,
            "TIDEGATE_DATABASE_URL": database_url,
            "TIDEGATE_VALKEY_URL": valkey_url,
            "TIDEGATE_MQTT_PORT": str(self.mqtt_port),
            "TIDEGATE_MQTTS_PORT": str(self.mqtts_port),
            "TIDEGATE_MQTT_WS_PORT": str(self.mqtt_ws_port),
            "TIDEGATE_MQTT_WSS_PORT": str(self.mqtt_wss_port),
            "TIDEGATE_COAP_PORT": str(self.coap_port),
            "TIDEGATE_INGEST_HTTP_PORT": str(self.http_port),
            "TIDEGATE_INGEST_HTTPS_PORT": str(self.https_port),
            "TIDEGATE_GATEWAY_URL": gateway_url,
            "TIDEGATE_BROKER_URL": broker_url,
            "TIDEGATE_DATA_DIR": str(self.data_dir),
            "TIDEGATE_METRICS_PORT": str(self.internal_port),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def twin(self, log: Path) -> "IngestProcess":
        """Another on the same ports of devices; both must be made before either starts."""
        self._environment["TIDEGATE_INGEST_PROCESSES"] = "2"
        made = copy.copy(self)
        made.log, made.internal_port = log, free_port()
        made._environment = {**self._environment, "TIDEGATE_METRICS_PORT": str(made.internal_port)}
        return made

    @property
    def settings(self) -> Settings:
        """What it is told, for who runs it without a process of its own."""
        return Settings.from_env(self._environment)

    async def start(self, failpoint: str = "") -> None:
        """Start and wait until it takes devices; `failpoint` arms ingest.failpoints in it."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "infra.cli", "serve", "ingest"],
                env={**self._environment, "TIDEGATE_FAILPOINT": failpoint},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + 2 * PATIENCE_S
        while await asyncio.to_thread(self.get, "/health/ready") != 200:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            await asyncio.sleep(0.05)

    def get(self, path: str) -> int:
        """The status of a GET on the internal port; 0 when nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.internal_port}{path}", timeout=PATIENCE_S) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def text(self, path: str) -> str:
        """The body of a GET on the internal port."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.internal_port}{path}", timeout=PATIENCE_S) as response:
            return str(response.read().decode())

    async def ended(self, timeout_s: float = PATIENCE_S) -> int:
        """Wait for its end; the return code."""
        assert self.process is not None
        return await asyncio.to_thread(self.process.wait, timeout_s)

    async def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the return code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        return await self.ended()


@asynccontextmanager
async def ingest_process(
    database_url: str, log: Path, valkey_url: str = "", gateway_url: str = ""
) -> AsyncIterator[IngestProcess]:
    """A started ingest process, stopped when the block ends."""
    async with running(IngestProcess(database_url, log, valkey_url, gateway_url)) as process:
        yield process


@asynccontextmanager
async def running(process: IngestProcess) -> AsyncIterator[IngestProcess]:
    """The process, started; stopped when the block ends."""
    await process.start()
    try:
        yield process
    finally:
        if process.process is not None and process.process.poll() is None:
            process.process.kill()
            process.process.wait(PATIENCE_S)
