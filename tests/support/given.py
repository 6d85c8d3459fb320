"""A PostgreSQL that somebody else runs, for tests: what is made on it is named like ours and dropped at the end."""

import secrets
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from engine.store.roles import DOOR, ROLES, bootstrap_sql, name

_TAKEN = """
SELECT rolname FROM pg_roles WHERE starts_with(rolname, 'tidegate_')
UNION ALL SELECT datname FROM pg_database WHERE datname IN ('tidegate', 'scratch', 'aged') LIMIT 1
"""
_TIMESCALE = "SELECT name FROM pg_available_extensions WHERE name = 'timescaledb'"


class Given:
    """As `infra.local.postgres.Postgres` to whoever asks for a URL; ``superuser_url`` may make roles and databases."""

    def __init__(self, superuser_url: str) -> None:
        self._superuser = conninfo_to_dict(superuser_url)
        self._passwords = {role: secrets.token_hex(16) for role in ROLES}
        self._is_ours = False

    def prepare(self) -> None:
        """Raises RuntimeError on a server that holds a Tidegate: a test would change its passwords and drop it."""
        with psycopg.connect(self.url("superuser", "postgres"), autocommit=True) as connection:
            taken = connection.execute(_TAKEN).fetchone()
        if taken:
            raise RuntimeError(f"The server of TIDEGATE_TEST_DATABASE_URL has {taken[0]}: tests need one without.")
        self._is_ours = True

    def has_timescaledb(self) -> bool:
        """Whether a database there may have the extension."""
        with psycopg.connect(self.url("superuser", "postgres"), autocommit=True) as connection:
            return connection.execute(_TIMESCALE).fetchone() is not None

    def start(self) -> None:
        """It runs already."""

    def bootstrap(self, database: str = "tidegate") -> None:
        """Make the roles and a database, with TimescaleDB where the server has it."""
        with psycopg.connect(self.url("superuser", "postgres"), autocommit=True) as connection:
            for statement in bootstrap_sql(self._passwords):
                connection.execute(statement)
            made = "CREATE DATABASE {} OWNER {} TEMPLATE template0"
            connection.execute(sql.SQL(made).format(sql.Identifier(database), sql.Identifier(name("owner"))))
        with psycopg.connect(self.url("superuser", database), autocommit=True) as connection:
            if self.has_timescaledb():
                connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
            connection.execute(f"REVOKE CONNECT, TEMPORARY ON DATABASE {database} FROM PUBLIC")
            for role in ROLES:
                connection.execute(f"GRANT CONNECT ON DATABASE {database} TO {name(role)}")

    def url(self, role: str, database: str = "tidegate") -> str:
        """The connection URL of a role: owner, app, worker, ingest, or superuser."""
        told = self._superuser
        user, password = name(role), self._passwords.get(role, "")
        if role == "superuser":
            user, password = str(told.get("user", "postgres")), str(told.get("password", ""))
        end = f"?sslmode={told['sslmode']}" if "sslmode" in told else ""
        host = told.get("host", "127.0.0.1")
        return f"postgresql://{quote(user)}:{quote(password)}@{host}:{self.port}/{database}{end}"

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._superuser.get("port") or 5432)

    def remove(self) -> None:
        """Drop what was made, if it was made here."""
        if not self._is_ours:
            return
        with psycopg.connect(self.url("superuser", "postgres"), autocommit=True) as connection:
            owned = "SELECT datname FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba WHERE r.rolname = %s"
            for (database,) in connection.execute(owned, [name("owner")]).fetchall():
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))
            for role in (*map(name, ROLES), DOOR):
                connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))
