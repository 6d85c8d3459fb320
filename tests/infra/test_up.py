"""`tidegate up` as a newcomer runs it: ready by itself, mended by itself, stopped cleanly."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.publish
import pytest

from engine.settings import Settings, variable
from infra.bench import processes
from infra.local import claims
from infra.local.embedded import postgres_of, valkey_of
from infra.local.ground import uproot
from infra.local.up import Plan
from infra.local.voice import Voice
from tests.support.process import free_port

pytestmark = [pytest.mark.engines, pytest.mark.timeout(600)]
BOUND_S = 240.0


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + BOUND_S
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@dataclass
class Up:
    """A running `tidegate up` and what it has said."""

    process: "subprocess.Popen[str]"
    environ: dict[str, str]
    lines: list[str] = field(default_factory=list)

    def said(self, text: str) -> bool:
        return any(text in line for line in self.lines)

    @property
    def url(self) -> str:
        return next(found[1] for line in self.lines if (found := re.search(r"ready after .*?(http://\S+)", line)))

    def child(self, command: str) -> int | None:
        """The process number of the child whose command line ends so, if it lives."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in children:
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode()
            except OSError:
                continue
            if words.endswith(command) and not words.startswith("setpriv"):
                return int(pid)
        return None

    @property
    def web(self) -> list[int]:
        """The process that has loaded what the web needs, and its spare if there is one."""
        found = processes.named(self.process.pid)
        return [found[name] for name in ("web", "web2") if name in found]

    @property
    def serving(self) -> list[int]:
        """Who answers for the web now, if anybody."""
        return processes.children(self.web[0]) if self.web else []

    def answers(self, path: str) -> bool:
        try:
            with urllib.request.urlopen(self.url + path, timeout=60) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    @property
    def demo(self) -> dict[str, Any]:
        """What the seed wrote for the newcomer."""
        content: dict[str, Any] = json.loads((Path(self.environ["TIDEGATE_DATA_DIR"]) / "demo.json").read_text())
        return content

    def get(self, path: str) -> Any:
        """A REST answer, read with the newcomer's token."""
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {self.demo['api_token']}"})
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Another command in the same folder."""
        return subprocess.run(
            [sys.executable, "-m", "infra.cli", *arguments],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=BOUND_S,
            check=False,
        )


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Everything with the demo running in a folder of its own, on free ports."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
    environ["TIDEGATE_DATA_DIR"] = str(tmp_path_factory.mktemp("up") / "data")
    for name in claims.PORTS:
        environ[variable(name)] = str(free_port())
    process = subprocess.Popen(
        [sys.executable, "-m", "infra.cli", "up", "--demo"], env=environ, stdout=-1, stderr=subprocess.STDOUT, text=True
    )
    running = Up(process, environ)
    threading.Thread(target=_collect, args=(process, running.lines), daemon=True).start()
    try:
        until(lambda: running.said("ready after") or process.poll() is not None, "not ready in time")
        assert process.poll() is None, "\n".join(running.lines)
        yield running
    finally:
        process.terminate()
        process.wait(BOUND_S)
        for name in ("postgres", "valkey"):
            uproot(Path(environ["TIDEGATE_DATA_DIR"]) / name)


def _collect(process: "subprocess.Popen[str]", lines: list[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line.rstrip())


def test_everything_answers_once_up_says_that_it_is_ready(up: Up) -> None:
    assert up.answers("/health/ready")
    assert up.answers("/")
    assert {up.child(f"serve {name}") is not None for name in ("ingest", "worker", "tick")} == {True}
    assert len(up.serving) == 1
    until(lambda: up.child("simulate") is not None, "nothing is simulated")


def test_a_newcomer_is_told_the_password_once_and_the_file_that_keeps_it_is_private(up: Up) -> None:
    file = Path(up.environ["TIDEGATE_DATA_DIR"]) / "demo.json"
    assert sum(up.demo["password"] in line for line in up.lines) == 1
    assert file.stat().st_mode & 0o077 == 0


def test_simulated_values_arrive_by_themselves(up: Up) -> None:
    key = "cold-room-1"
    device = next(item for item in up.get("/api/v1/devices?first=50")["items"] if item["key"] == key)
    until(lambda: bool(up.get(f"/api/v1/devices/{device['id']}/latest")), "no value of the simulator arrived")


def test_values_of_the_simulated_machines_arrive_through_the_edge(up: Up) -> None:
    found = {item["key"]: item["id"] for item in up.get("/api/v1/devices?first=50")["items"]}
    for key, metrics in (("cooler-1", ("temperature", "door_open")), ("boiler-feed", ("pressure", "speed"))):
        path = f"/api/v1/devices/{found[key]}/latest"
        until(
            lambda path=path, metrics=metrics: all(m in json.dumps(up.get(path)) for m in metrics), f"nothing of {key}"
        )  # type: ignore[misc]


def test_a_newcomers_first_message_is_acknowledged_and_can_be_read_back(up: Up) -> None:
    device = up.demo["device"]
    paho.mqtt.publish.single(
        f"t/{device['username']}/up/telemetry",
        json.dumps({"values": {"temperature": 4.25}}),
        qos=1,
        hostname="127.0.0.1",
        port=int(up.environ["TIDEGATE_MQTT_PORT"]),
        auth={"username": device["username"], "password": device["token"]},
    )
    path = f"/api/v1/devices/{device['id']}/latest"
    until(lambda: "4.25" in json.dumps(up.get(path)), "the first message did not arrive")


def test_doctor_finds_a_running_installation_well(up: Up) -> None:
    done = up.run("doctor")
    assert done.returncode == 0, done.stdout
    assert f"runs as process {up.process.pid}" in done.stdout
    assert done.stdout.count("taken by us") == len(claims.PORTS)


def test_further_ingest_processes_share_the_devices_ports_and_are_known_apart(up: Up) -> None:
    folder = Path(up.environ["TIDEGATE_DATA_DIR"])
    settings = Settings(data_dir=folder, ingest_processes=3, broker_url="mqtt://broker.example")
    ports = {name: free_port() for name in claims.PORTS}
    plan = Plan(settings, ports, folder, postgres_of(folder), valkey_of(folder), Voice(), demo=False)
    ingests = [service for service in plan.services() if service.name.startswith("ingest")]
    assert [service.name for service in ingests] == ["ingest", "ingest2", "ingest3"]

    def told(name: str) -> list[str | None]:
        return [service.env.get(variable(name)) for service in ingests]

    assert told("mqtt_port") == [str(ports["mqtt_port"])] * 3
    assert told("ingest_processes") == ["3"] * 3
    assert len({*told("metrics_port")}) == len({*told("broker_client_id")}) == 3


def test_a_second_up_in_the_same_folder_is_refused(up: Up) -> None:
    done = up.run("up")
    assert done.returncode == 1
    assert f"already runs here as process {up.process.pid}" in done.stderr


@pytest.mark.parametrize("name", ["ingest", "worker", "tick"])
def test_a_killed_process_comes_back_by_itself(up: Up, name: str) -> None:
    before = up.child(f"serve {name}")
    assert before is not None
    os.kill(before, signal.SIGKILL)
    until(lambda: up.child(f"serve {name}") not in (None, before), f"{name} did not come back")


def test_whoever_serves_the_web_is_killed_its_parent_makes_another(up: Up) -> None:
    (parent, *_), (before,) = up.web, up.serving
    os.kill(before, signal.SIGKILL)
    until(lambda: up.serving not in ([], [before]), "nobody serves the web")
    until(lambda: up.answers("/health/ready"), "the web process does not answer")
    assert up.web[0] == parent


def test_when_that_parent_is_killed_its_spare_takes_over(up: Up) -> None:
    until(lambda: len(up.web) == 2, "no spare is loaded")
    (parent, spare), (before,) = up.web, up.serving
    os.kill(parent, signal.SIGKILL)
    until(lambda: up.web[:1] == [spare] and up.serving not in ([], [before]), "the spare does not take over")
    until(lambda: up.answers("/health/ready"), "the web process does not answer")
    assert up.answers("/"), "the console is not there"
    assert not processes.is_alive(before)


def test_what_up_writes_for_other_commands_is_private(up: Up) -> None:
    state = Path(up.environ["TIDEGATE_DATA_DIR"]) / "up.json"
    assert state.stat().st_mode & 0o077 == 0
    assert json.loads(state.read_text())["pid"] == up.process.pid


def test_sigterm_stops_everything_and_leaves_nothing(up: Up) -> None:
    children = Path(f"/proc/{up.process.pid}/task/{up.process.pid}/children").read_text().split()
    up.process.terminate()
    assert up.process.wait(BOUND_S) == 0
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), "a child is left")
    until(lambda: up.said("stopped"), "the end was not said")
    assert up.run("doctor").stdout.count("does not run in this folder") == 1
