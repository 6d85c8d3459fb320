"""The console under test: its states beside a scripted gateway, and the real thing in Chromium.

The running platform and the browser end with the last test in this package that one process has next to one another:
at rest they still want a seventh of a core.
"""

import os

# Before reflex is imported: these tests build nothing, so importing a page must not link files into the folder.
os.environ.setdefault("REFLEX_BACKEND_ONLY", "true")

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, async_playwright

from engine.settings import variable
from infra.local import claims
from infra.local.ground import uproot
from tests.support.outside import Post, post_office
from tests.support.process import free_port
from tests.ui.support import Console, Gateway, Visit
from ui import client

READY_S = 300.0


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever uses the running console needs the engines and a browser."""
    for item in items:
        if "console" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.engines)
            item.add_marker(pytest.mark.browser)


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Gateway:
    """A gateway that answers from a script, in place of the network."""
    scripted = Gateway()
    monkeypatch.setattr(client, "_http", scripted.http())
    return scripted


@pytest.fixture
def visit(gateway: Gateway) -> Visit:
    """Opens a page's state as a signed-in visitor."""
    return Visit()


@pytest.fixture(scope="package")
def post() -> Iterator[Post]:
    """The mail server that the running console sends by."""
    with post_office() as made:
        yield made


@pytest.fixture(scope="package")
def console(post: Post) -> Iterator[Console]:
    """The whole platform with the demo tenant, as `make up` runs it, in a folder of its own on free ports."""
    folder = Path(tempfile.mkdtemp(prefix="tidegate-console-"))
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("TIDEGATE_", "REFLEX_"))}
    environ["TIDEGATE_DATA_DIR"] = str(folder / "data")
    for name in claims.PORTS:  # every server's: a default one may be another test's, or move aside too late
        environ[variable(name)] = str(free_port())
    environ[variable("smtp_url")] = f"smtp://127.0.0.1:{post.port}"
    environ[variable("mail_from")] = "Tidegate <tide@gate.example>"
    environ[variable("web_spare")] = "0"  # nothing is killed here, and loading it takes seconds
    environ[variable("outbound_loopback")] = "1"  # the endpoints of webhooks are on this machine
    log = (folder / "up.log").open("w+")
    process = subprocess.Popen(
        [sys.executable, "-m", "infra.cli", "up", "--demo"], env=environ, stdout=log, stderr=subprocess.STDOUT
    )
    try:
        yield _ready(process, folder, int(environ["TIDEGATE_MQTT_PORT"]), post)
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()  # its children die with it
            process.wait(10)
        for name in ("postgres", "valkey"):  # for root these are links to folders outside
            uproot(folder / "data" / name)
        shutil.rmtree(folder, ignore_errors=True)


def _ready(process: "subprocess.Popen[bytes]", folder: Path, mqtt_port: int, post: Post) -> Console:
    log = folder / "up.log"
    for _ in range(int(READY_S / 0.1)):
        if "ready after" in log.read_text() or process.poll() is not None:
            break
        time.sleep(0.1)
    assert "ready after" in log.read_text(), log.read_text()[-4000:]
    demo: dict[str, Any] = json.loads((folder / "data" / "demo.json").read_text())
    keys = (demo["email"], demo["password"], demo["api_token"], demo["device"])
    return Console(demo["url"], *keys, mqtt_port, folder / "data", post)


@pytest.fixture(scope="package")
async def chromium() -> AsyncIterator[Browser]:
    """One browser for all tests; if there is one, one without windows: they cost each visitor 0.7 s of CPU."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium-headless-shell") or shutil.which("chromium") or "/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        await browser.close()
