"""How much a statement reads of a fleet that was just registered, as PostgreSQL itself says when it has run it."""

from collections.abc import Collection, Iterator
from typing import Any, LiteralString
from uuid import UUID

import psycopg

from engine import ids


def register(connection: psycopg.Connection[Any], tenant_id: UUID, number: int) -> list[UUID]:
    """So many devices d1, d2, … of one profile at once, which Postgres has not counted yet; d1 is their gateway."""
    made, profile = [ids.uuid7() for _ in range(number)], ids.uuid7()
    connection.execute(
        "INSERT INTO profiles (tenant_id, id, key, name, metrics) VALUES (%s, %s, 'one', 'One', '[]')",
        [tenant_id, profile],
    )
    connection.execute(
        "INSERT INTO devices (tenant_id, id, key, name, profile_id, status, labels) "
        """SELECT %s, u.id, 'd' || u.n, 'd', %s, 'active', '{"gateway": "d1"}' """
        "FROM unnest(%s::uuid[]) WITH ORDINALITY AS u (id, n)",
        [tenant_id, profile, made],
    )
    return made


def watch(connection: psycopg.Connection[Any], tenants: list[UUID]) -> None:
    """All devices of these tenants are connected and have told something, and a rule has raised an alert for each."""
    for told in (
        "INSERT INTO rules (tenant_id, id, name, severity, document, is_enabled) "
        "SELECT id, id, 'Hot', 'info', '{}', true FROM tenants WHERE id = ANY (%s)",
        "INSERT INTO presence (tenant_id, device_id, session_epoch, is_online, since) "
        "SELECT tenant_id, id, 1, true, now() FROM devices WHERE tenant_id = ANY (%s)",
        "INSERT INTO latest (tenant_id, device_id, values, received_at) "
        "SELECT tenant_id, id, '{}', now() FROM devices WHERE tenant_id = ANY (%s)",
        "INSERT INTO rule_state (tenant_id, rule_id, device_id, state) "
        "SELECT tenant_id, tenant_id, id, '{}' FROM devices WHERE tenant_id = ANY (%s)",
        "INSERT INTO alerts (tenant_id, id, rule_id, rule_version, device_id, episode, severity, status, reason, why, "
        "raised_at, version) SELECT tenant_id, id, tenant_id, 1, id, 1, 'info', 'active', 'hot', '{}', now(), 1 "
        "FROM devices WHERE tenant_id = ANY (%s)",
    ):
        connection.execute(told, [tenants])  # type: ignore[arg-type]  # a constant all the same


def count_others(connection: psycopg.Connection[Any], tenants: int = 20, each: int = 50) -> None:
    """So many tenants with so many devices each, which Postgres has counted: it expects nothing of any other tenant."""
    others = [ids.uuid7() for _ in range(tenants)]
    connection.execute(
        "INSERT INTO tenants (id, key, name) "
        "SELECT u.id, 'x' || right(u.id::text, 12), 'X' FROM unnest(%s::uuid[]) AS u (id)",
        [others],
    )
    for other in others:
        register(connection, other, each)
    watch(connection, others)
    connection.execute("ANALYZE devices, profiles, presence, latest, rule_state, alerts")


def most_read(
    connection: psycopg.Connection[Any], statement: LiteralString, *given: object, of: Collection[str] = ()
) -> float:
    """The most rows that one scan of a table (of these) has read, whether they were wanted or not; 0 without any."""
    row = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", given).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return max(_read(row[0][0]["Plan"], of), default=0)


def _read(node: dict[str, Any], of: Collection[str]) -> Iterator[float]:
    table = node.get("Relation Name")
    if table is not None and (not of or table in of):
        yield node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
    for below in node.get("Plans", ()):
        yield from _read(below, of)
