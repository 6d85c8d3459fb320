"""The embedded engines of one data folder, and the addresses by which a process reaches them."""

import dataclasses
import time
from pathlib import Path
from typing import Any

from engine.settings import Settings
from infra.local.claims import running_ports
from infra.local.errors import SetupProblem
from infra.local.postgres import Postgres
from infra.local.valkey import Valkey

LEFTOVERS_STOP_WITHIN_S = 15.0


def postgres_of(data_dir: Path) -> Postgres:
    """The PostgreSQL of a data folder (not started)."""
    return Postgres(data_dir.absolute() / "postgres")


def valkey_of(data_dir: Path) -> Valkey:
    """The Valkey of a data folder (not started)."""
    return Valkey(data_dir.absolute() / "valkey")


def wait_for_leftovers(postgres: Postgres) -> None:
    """Wait until the PostgreSQL of an `up` that was killed has gone, so that nobody takes it for the new one."""
    deadline = time.monotonic() + LEFTOVERS_STOP_WITHIN_S
    while postgres.is_running():
        if time.monotonic() > deadline:
            ids = " ".join(map(str, postgres.processes()))
            raise SetupProblem(f"A PostgreSQL from before still works in {postgres.cluster}; end it: kill -QUIT {ids}")
        time.sleep(0.1)


def connected(settings: Settings, role: str) -> Settings:
    """The settings with the addresses filled in that were not set, from the `up` that runs in this folder.

    Raises `SetupProblem` when there is neither an address in the environment nor a running `up`.
    """
    if settings.database_url:
        return settings
    ports = running_ports(settings.data_dir)
    if ports is None:
        raise SetupProblem(
            f"Nothing runs in {settings.data_dir}: start it with tidegate up, or set TIDEGATE_DATABASE_URL."
        )
    found: dict[str, Any] = {**ports, "database_url": postgres_of(settings.data_dir).url(role)}
    if not settings.valkey_url:
        found["valkey_url"] = valkey_of(settings.data_dir).url()
    return dataclasses.replace(settings, **found)
