"""The supervisor of a bench's platform, as a process: the same plan as `tidegate up`, with two doors for fault tests.

It prints "ready" once and tends the processes until SIGTERM. If the file `failpoint` in the data folder holds a text
when ingest is started, that start (and no later one) gets it as TIDEGATE_FAILPOINT.
"""

import dataclasses
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from sqlalchemy import make_url

from engine.settings import Settings, variable
from infra.local.claims import PORTS
from infra.local.embedded import postgres_of, valkey_of
from infra.local.supervisor import Service, Supervisor
from infra.local.up import Plan
from infra.local.voice import Voice

FAILPOINT_FILE = "failpoint"
FAILPOINT = "TIDEGATE_FAILPOINT"
WITHOUT_WEB = "BENCH_WITHOUT_WEB"
DATABASE_BY = "BENCH_DATABASE_BY"
"""The port by which the platform's processes reach Postgres, if it is not Postgres' own."""


class Armed(Mapping[str, str]):
    """An environment that holds the fail-point when it is read for the first time after the file was written."""

    def __init__(self, environment: Mapping[str, str], file: Path) -> None:
        self._environment = environment
        self._file = file

    def __iter__(self) -> Iterator[str]:
        return iter([*self._environment, FAILPOINT])

    def __getitem__(self, name: str) -> str:
        return self._take() if name == FAILPOINT else self._environment[name]

    def __len__(self) -> int:
        return len(self._environment) + 1

    def _take(self) -> str:
        try:
            wanted = self._file.read_text().strip()
            self._file.unlink()
        except FileNotFoundError:
            return ""
        return wanted


def services(settings: Settings, voice: Voice) -> list[Service]:
    """The services of `tidegate up` for this data folder; the web process only when it is wanted."""
    data_dir = settings.data_dir
    postgres, valkey = postgres_of(data_dir), valkey_of(data_dir)
    ports = {name: int(getattr(settings, name)) for name in PORTS}
    wanted = []
    for planned in Plan(settings, ports, data_dir, postgres, valkey, voice, demo=False).services():
        service = _led(planned)
        if service.name == "ingest":
            armed = Armed(service.env, data_dir / FAILPOINT_FILE)
            wanted.append(dataclasses.replace(service, env=armed))
        elif service.name != "web" or not os.environ.get(WITHOUT_WEB):
            wanted.append(service)
    return wanted


def _led(service: Service) -> Service:
    """The service, by the road to Postgres that it is to take."""
    port, name = os.environ.get(DATABASE_BY), variable("database_url")
    if not port or name not in (service.env or {}):
        return service
    url = make_url(service.env[name]).set(port=int(port))
    return dataclasses.replace(service, env={**service.env, name: url.render_as_string(hide_password=False)})


def main() -> int:
    """Run until SIGTERM."""
    settings = Settings.from_env()
    with (settings.data_dir / "host.log").open("a") as out:
        voice = Voice(out)
        Supervisor(services(settings, voice), voice).run(_say_ready)
    return 0


def _say_ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
