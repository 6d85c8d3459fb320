"""`tidegate up`: the whole platform in one folder of one machine, engines included."""

import dataclasses
import http.client
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from socket import gethostname

import psycopg

import migrations
from engine.settings import Settings, variable
from infra.local import claims, console_build, plant_files
from infra.local.embedded import postgres_of, valkey_of, wait_for_leftovers
from infra.local.errors import SetupProblem
from infra.local.ground import dying_with_parent
from infra.local.ports import Held
from infra.local.postgres import Postgres
from infra.local.supervisor import Service, Supervisor
from infra.local.valkey import Valkey
from infra.local.voice import Voice

ALIVE_WITHIN_S = 5.0  # an answer to "are you alive"; a busy machine must not look like a hung process
INGEST_DRAINS_S = 20.0  # it commits and acknowledges what it has taken, which may take 15 s


def up(settings: Settings, environ: Mapping[str, str] = os.environ, *, demo: bool = False) -> int:
    """Start everything, keep it running until Ctrl-C or SIGTERM, stop everything. Raises `SetupProblem`."""
    began = time.monotonic()
    voice = Voice()
    _refuse_foreign_engines(environ)
    data_dir = settings.data_dir.absolute()
    with claims.claimed(data_dir), Held() as held:
        postgres, valkey = postgres_of(data_dir), valkey_of(data_dir)
        for folder in (data_dir, postgres.ground.path):
            claims.check_disk(folder)
        ports = claims.choose_ports(settings, environ, voice.say, held)
        console_build.build(voice)
        _prepare(postgres, valkey, voice)
        plan = Plan(settings, ports, data_dir, postgres, valkey, voice, demo=demo, held=held)
        claims.remember(data_dir, ports, plan.internal)
        try:
            Supervisor(plan.services(), voice).run(
                lambda: voice.say(f"ready after {time.monotonic() - began:.1f} s: {plan.url}   (Ctrl-C stops it)")
            )
        finally:
            claims.forget(data_dir)
    voice.say("stopped")
    return 0


def _refuse_foreign_engines(environ: Mapping[str, str]) -> None:
    for name in (variable("database_url"), variable("valkey_url")):
        if environ.get(name, "").strip():
            raise SetupProblem(
                f"{name} is set, but `tidegate up` runs its own engines: "
                f"unset it, or run the processes one by one with `tidegate serve`."
            )


def _prepare(postgres: Postgres, valkey: Valkey, voice: Voice) -> None:
    is_first = not postgres.cluster.exists()
    with voice.phase("making the database's folder" if is_first else "checking the engines' folders"):
        wait_for_leftovers(postgres)
        postgres.prepare()
        valkey.prepare()


class Plan:
    """Which processes run, in which order, and what each is told."""

    def __init__(
        self,
        settings: Settings,
        ports: Mapping[str, int],
        data_dir: Path,
        postgres: Postgres,
        valkey: Valkey,
        voice: Voice,
        *,
        demo: bool,
        held: Held | None = None,
    ) -> None:
        self._settings = settings
        self._ports = ports
        further = ["web", "tick", *_numbered("worker", settings.workers), *_ingests(settings)[1:]]
        self.internal = claims.internal_ports(further, settings, ports, held)
        self._data_dir = data_dir
        self._postgres = postgres
        self._valkey = valkey
        self._voice = voice
        self._demo = demo
        taken = {**ports, **self.internal}
        self._plant_port = claims.internal_ports(["plant"], settings, taken, held)["plant"] if demo else 0
        self.url = settings.public_url or f"http://{_reachable(settings.host)}:{ports['http_port']}"

    def services(self) -> list[Service]:
        """In the order of their starts; the engines hold up what needs them, the platform's own start side by side."""
        platform = [*map(self._ingest, _ingests(self._settings)), *self._workers(), self._tick(), self._web()]
        demo = [self._simulator(), self._edge()] if self._demo else []
        return [self._postgres_service(), self._valkey_service(), *platform, *demo]

    def _postgres_service(self) -> Service:
        return Service(
            "postgres",
            self._postgres.command,
            self._postgres.is_ready,
            on_first_ready=self._make_database,
            may_start=self._postgres.clear_orphans,
            stop_signal=signal.SIGINT,  # PostgreSQL's fast stop
            grace_s=20,
        )

    def _make_database(self) -> None:
        with self._voice.phase("bringing the database up to date"):
            self._postgres.bootstrap()
            migrations.upgrade(self._postgres.url("owner"))
            make_partitions(self._postgres.url("owner"))

    def _valkey_service(self) -> Service:
        return Service("valkey", self._valkey.command, self._valkey.is_ready)

    def _ingest(self, name: str) -> Service:
        """One of those that share the devices' ports, with an internal port of its own."""
        inside = self._inside(self.internal.get(name, self._ports["metrics_port"]))
        service = self._serve(
            name,
            "ingest",
            lambda: answers(f"{inside}/health/ready"),
            f"{inside}/health/live",
            grace_s=INGEST_DRAINS_S,
        )
        if name == "ingest" or not self._settings.broker_url:
            return service
        # a broker knows each by a name of its own, which outlasts restarts
        known = self._settings.broker_client_id or f"tidegate-{gethostname()}-{self._ports['mqtt_port']}"
        own = f"{known}-{name.removeprefix('ingest')}"
        return dataclasses.replace(service, env={**service.env, variable("broker_client_id"): own})

    def _workers(self) -> list[Service]:
        return [
            self._serve(name, "worker", _is_running, f"{self._inside(self.internal[name])}/metrics")
            for name in _numbered("worker", self._settings.workers)
        ]

    def _tick(self) -> Service:
        return self._serve("tick", "", _is_running, f"{self._inside(self.internal['tick'])}/metrics")

    def _web(self) -> Service:
        outside = f"http://{_reachable(self._settings.host)}:{self._ports['http_port']}"
        web = self._serve(
            "web", "app", lambda: answers(f"{outside}/health/ready"), f"{outside}/health/live", stands_by=True
        )
        web = dataclasses.replace(web, has_spare=self._settings.web_spare)
        return dataclasses.replace(web, holds_up_the_next=True, on_first_ready=self._seed) if self._demo else web

    def _seed(self) -> None:
        with self._voice.phase("making the demo tenant, unless it is there"):
            run_to_its_end(["seed"], self._environment(""))
            plant_files.write_edge_file(self._data_dir, self._ports["mqtt_port"], self._plant_port)

    def _inside(self, port: int) -> str:
        return f"http://{_reachable(self._settings.internal_host)}:{port}"

    def _serve(
        self,
        name: str,
        role: str,
        is_ready: Callable[[], bool],
        while_alive: str,
        grace_s: float = 10,
        stands_by: bool = False,
    ) -> Service:
        """One of our own processes; `while_alive` is what it answers for as long as it does not hang."""
        words = [name.rstrip("0123456789"), *["--stand-by"] * stands_by]
        environment = self._environment(role)
        if name in self.internal:
            environment[variable("metrics_port")] = str(self.internal[name])
        return Service(
            name,
            lambda: dying_with_parent([sys.executable, "-m", "infra.cli", "serve", *words]),
            is_ready,
            is_alive=lambda: answers(while_alive, within_s=ALIVE_WITHIN_S),
            env=environment,
            holds_up_the_next=False,
            grace_s=grace_s,
            stands_by=stands_by,
        )

    def _simulator(self) -> Service:
        return Service(
            "simulate",
            lambda: dying_with_parent([sys.executable, "-m", "infra.cli", "simulate"]),
            _is_running,
            env=self._environment(""),
            holds_up_the_next=False,
        )

    def _edge(self) -> Service:
        """The one `tidegate edge` of the demo, beside the simulated machines."""
        file = str(self._data_dir / plant_files.FOLDER / plant_files.FILE)
        return Service(
            "edge",
            lambda: dying_with_parent([sys.executable, "-m", "infra.cli", "edge", file]),
            _is_running,
            env=self._environment(""),
            holds_up_the_next=False,
        )

    def _environment(self, role: str) -> dict[str, str]:
        told = {variable(name): str(port) for name, port in self._ports.items()}
        told[variable("data_dir")] = str(self._data_dir)
        told[variable("valkey_url")] = self._valkey.url()
        told[variable("ingest_processes")] = str(self._settings.ingest_processes)
        if role:
            told[variable("database_url")] = self._postgres.url(role)
        return told


def _numbered(name: str, count: int) -> list[str]:
    return [name, *(f"{name}{number}" for number in range(2, count + 1))]


def _ingests(settings: Settings) -> list[str]:
    return _numbered("ingest", settings.ingest_processes)


def make_partitions(owner_url: str) -> None:
    """Make the partitions that time has reached while nothing ran: ingest needs them before the first tick."""
    with psycopg.connect(owner_url) as connection:
        connection.execute("SELECT app.maintain()")


def _is_running() -> bool:
    """Readiness of a process without a port: that it runs."""
    return True


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104  # compared, not bound


def answers(url: str, within_s: float = 2.0) -> bool:
    """Whether GET answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=within_s) as response:  # noqa: S310  # our own address
            return bool(response.status == 200)
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        return False


def run_to_its_end(arguments: list[str], env: Mapping[str, str]) -> None:
    """Run one of our own commands, which speaks for itself; raises `SetupProblem` when it fails."""
    command = dying_with_parent([sys.executable, "-m", "infra.cli", *arguments])
    if subprocess.run(command, env={**os.environ, **env}, stdin=subprocess.DEVNULL, check=False).returncode != 0:
        raise SetupProblem(f"tidegate {' '.join(arguments)} failed (see above).")
