"""What a message costs on the bare path (`bare.py`): a Postgres of its own, the same generator, the same rate.

A machine is now fast, now slow; how much more the platform takes than the bare path, one after the other in the same
run, is the figure that can be compared. It counts only if the bare path did its work: what it acknowledged lies there.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from engine import ids
from infra.bench import processes
from infra.bench.bare import SCHEMA
from infra.bench.clients import Identity
from infra.bench.database import server
from infra.bench.generator import Order
from infra.bench.judge import Sent
from infra.bench.players import Players
from infra.bench.readings import Signal
from infra.local.errors import SetupProblem
from infra.local.ground import dying_with_parent
from infra.local.postgres import Postgres

TENANT = UUID(int=1)
_DEVICES = "INSERT INTO bare.devices SELECT %s, id, 'active' FROM unnest(%s::uuid[]) AS id"
_STORED = """
SELECT device_id, array_agg(("values" -> 'count')::bigint) FROM bare.telemetry GROUP BY device_id
"""


@dataclass(frozen=True, slots=True)
class Floor:
    """`cpu_us` is CPU microseconds a message by process; `lost` was acknowledged and does not lie there."""

    load: dict[str, Any]
    cpu_us: dict[str, float]
    stored: int
    lost: int

    @property
    def us_a_message(self) -> float:
        """CPU of both processes."""
        return sum(self.cpu_us.values())


def measure(
    signal: Signal, connections: int, in_flight: int, pace: dict[str, Any], warm_up_s: float, seconds: float
) -> Floor:
    """Play the same devices at this pace (`rate`, `burst`) to the bare path, and look for what it acknowledged."""
    made = [ids.uuid7() for _ in range(connections)]
    with server() as (postgres, folder):
        _prepare(postgres, made)
        with _endpoint(postgres, made) as (endpoint, port):
            identities = [Identity("bare", f"device-{number}", "") for number in range(connections)]
            order = Order(port, identities, signal, in_flight, 0, str(folder / "progress"), seed=1)
            with Players(order) as players:
                players.ask(do="connect")
                players.ask(do="run", **pace, seconds=warm_up_s)
                watched = {"bare": endpoint, "postgres": _postmaster(postgres)}
                before = {name: processes.usage(pid).cpu_s for name, pid in watched.items()}
                load = players.ask(do="run", **pace, seconds=seconds, timeout_s=seconds + 180)
                used = {name: processes.usage(pid).cpu_s - before[name] for name, pid in watched.items()}
                sent, _ = players.finish()
        stored, lost = _found(postgres, made, sent)
    return Floor(load, {name: s * 1e6 / max(load["acked"], 1) for name, s in used.items()}, stored, lost)


def _prepare(postgres: Postgres, made: list[UUID]) -> None:
    with psycopg.connect(postgres.url("owner")) as connection:
        connection.execute(SCHEMA)
        _enter(connection)
        connection.execute(_DEVICES, [TENANT, made])


@contextmanager
def _endpoint(postgres: Postgres, made: list[UUID]) -> Iterator[tuple[int, int]]:
    """The process and the port of the bare endpoint."""
    devices = {f"device-{number}": [str(TENANT), str(device)] for number, device in enumerate(made)}
    with subprocess.Popen(
        dying_with_parent([sys.executable, "-m", "infra.bench.bare"]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"database_url": postgres.url("ingest"), "devices": devices}) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise SetupProblem("The bare endpoint did not start.")
        try:
            yield process.pid, int(line)
        finally:
            process.stdin.close()


def _postmaster(postgres: Postgres) -> int:
    """The one of Postgres' processes that has the others below it."""
    return next(pid for pid in postgres.processes() if processes.children(pid))


def _found(postgres: Postgres, made: list[UUID], sent: Sent) -> tuple[int, int]:
    with psycopg.connect(postgres.url("owner")) as connection:
        _enter(connection)
        stored = {device: set(numbers) for device, numbers in connection.execute(_STORED)}
    lost = sum(len(sent.acked(n) - stored.get(device, set())) for n, device in enumerate(made))
    return sum(map(len, stored.values())), lost


def _enter(connection: psycopg.Connection[Any]) -> None:
    connection.execute("SELECT set_config('bare.tenants', %s, false)", [f"{{{TENANT}}}"])
