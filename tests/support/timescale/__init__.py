"""PostgreSQL with TimescaleDB compiled to WebAssembly, run by the Node that comes with Playwright: no server needed."""

import select
import subprocess
from pathlib import Path

import psycopg
from playwright._impl._driver import compute_driver_executable

from engine.store.roles import bootstrap_sql
from infra.local.ground import dying_with_parent
from tests.support.given import Given

HERE = Path(__file__).parent
STARTS_WITHIN_S = 180


class Timescale(Given):
    """One database behind one session, which many connections share by turns (server.mjs)."""

    def __init__(self) -> None:
        super().__init__("")
        self._process: subprocess.Popen[str] | None = None

    def prepare(self) -> None:
        """What it runs was installed by make."""
        if not (HERE / "node_modules").exists():
            raise RuntimeError("The WebAssembly build of TimescaleDB is missing: run make timescale")

    def start(self) -> None:
        """Run it until `remove`, or until this process ends."""
        node, _ = compute_driver_executable()
        argv = dying_with_parent([str(node), str(HERE / "server.mjs")])
        self._process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], STARTS_WITHIN_S)[0]:
            raise RuntimeError("The WebAssembly build of TimescaleDB did not start.")
        self._superuser = {"port": self._process.stdout.readline().strip()}

    def bootstrap(self, database: str = "tidegate") -> None:
        """Make the roles; the one database there is becomes theirs."""
        with psycopg.connect(self.url("superuser"), autocommit=True) as connection:
            for statement in bootstrap_sql(self._passwords):
                connection.execute(statement)
            connection.execute("ALTER DATABASE template1 OWNER TO tidegate_owner")
            connection.execute("ALTER SCHEMA public OWNER TO pg_database_owner")
            connection.execute("REVOKE TEMPORARY ON DATABASE template1 FROM PUBLIC")

    def remove(self) -> None:
        """End it, and with it all that it held."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
