"""The database's own users: one for each kind of process, none able to step around row-level security."""

from collections.abc import Mapping

PREFIX = "tidegate_"
ROLES = ("owner", "app", "worker", "ingest")
DOOR = f"{PREFIX}door"


def name(role: str) -> str:
    """The database's name of ``role``, for example ``tidegate_app``."""
    return f"{PREFIX}{role}"


def bootstrap_sql(passwords: Mapping[str, str]) -> list[str]:
    """Statements a superuser runs once per server; safe to repeat, and they renew the passwords.

    ``passwords`` maps each of ``ROLES`` to its password. The owner may hand functions to the door role
    (``SET ROLE``) but inherits nothing from it.
    """
    statements = []
    rights = "NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION"
    for role in ROLES:
        secret = passwords[role].replace("'", "''")
        statements.append(_create(name(role)))
        statements.append(f"ALTER ROLE {name(role)} LOGIN {rights} PASSWORD '{secret}'")
        # What checks a foreign key is planned once a connection, mostly while its table is small, and not anew when
        # ten thousand rows are added: with the cost that a spinning disk has it would read them all each time.
        statements.append(f"ALTER ROLE {name(role)} SET random_page_cost = 1.1")
    statements.append(_create(DOOR))
    statements.append(f"ALTER ROLE {DOOR} NOLOGIN {rights}")
    statements.append(f"GRANT {DOOR} TO {name('owner')} WITH INHERIT FALSE, SET TRUE")
    return statements


def _create(role: str) -> str:
    return (
        f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') "
        f"THEN CREATE ROLE {role}; END IF; END $$"
    )
