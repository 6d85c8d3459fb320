"""Every process has its internal port, and on it what it counts."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.settings import SettingError, Settings
from infra import metrics
from infra.local.postgres import Postgres
from infra.local.valkey import Valkey
from tests.support.patience import PATIENCE_S
from tests.support.process import free_port
from tests.support.tenant import Tenant


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield int(listening.getsockname()[1])


def scraped(port: int) -> str:
    """The page of a port; empty when nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_S) as response:
            return str(response.read().decode())
    except OSError:
        return ""


def test_a_port_that_was_not_set_and_is_taken_moves_to_the_next_free_one(taken: int) -> None:
    port = metrics.listen(Settings(metrics_port=taken), {})
    assert port > taken
    assert "process_cpu_seconds_total" in scraped(port)


def test_a_port_that_was_set_and_is_taken_is_refused_by_its_name(taken: int) -> None:
    with pytest.raises(SettingError, match=f"TIDEGATE_METRICS_PORT is {taken}"):
        metrics.listen(Settings(metrics_port=taken), {"TIDEGATE_METRICS_PORT": str(taken)})


def test_an_address_that_is_not_ours_is_refused() -> None:
    with pytest.raises(SettingError, match="nobody can listen there"):
        metrics.listen(Settings(metrics_port=free_port(), internal_host="192.0.2.1"), {})


async def test_worker_tick_and_web_are_measured_and_name_no_tenant(
    postgres: Postgres, valkey: Valkey, tenant: Tenant, tmp_path: Path
) -> None:
    wanted = {
        "worker": ("tidegate_worker_ticks_total", "tidegate_worker_journal_backlog", "tidegate_worker_timers_due"),
        "tick": ("tidegate_tick_sent_total",),
        "web": ("tidegate_web_requests_total", "tidegate_web_request_seconds_bucket"),
    }
    device = await tenant.device()
    tenant.tell([(device.id, int(time.time() * 1000), {"temperature": 4.5})])
    running, ports = [], {}
    try:
        for process in wanted:
            ports[process], http = free_port(), free_port()
            environment = {
                "TIDEGATE_DATABASE_URL": postgres.url("app" if process == "web" else "worker"),
                "TIDEGATE_VALKEY_URL": valkey.url(),
                "TIDEGATE_DATA_DIR": str(tmp_path),
                "TIDEGATE_METRICS_PORT": str(ports[process]),
                "TIDEGATE_HTTP_PORT": str(http),
            }
            command = [sys.executable, "-m", "infra.cli", "serve", process]
            running.append(subprocess.Popen(command, env=os.environ | environment))
        async with asyncio.timeout(60):
            while await _missing(wanted, ports):
                await asyncio.to_thread(_ask, http)
                await asyncio.sleep(0.2)
        for port in ports.values():
            page = await asyncio.to_thread(scraped, port)
            assert tenant.key not in page
            assert str(tenant.id) not in page
    finally:
        for process_ in running:
            process_.send_signal(signal.SIGKILL)
            process_.wait(PATIENCE_S)


async def _missing(wanted: dict[str, tuple[str, ...]], ports: dict[str, int]) -> list[str]:
    """Which figures are not there yet, or still without a value."""
    pages = {process: await asyncio.to_thread(scraped, port) for process, port in ports.items()}
    return [
        name
        for process, names in wanted.items()
        for name in names
        if not any(line.startswith((f"{name} ", f"{name}{{")) for line in pages[process].splitlines())
        or (f"{name} 0.0" in pages[process].splitlines() and name.endswith("_total"))
    ]


def _ask(port: int) -> None:
    with contextlib.suppress(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=PATIENCE_S).close()
