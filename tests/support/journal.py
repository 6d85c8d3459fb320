"""Readings written as ingest writes them, for tests that begin at the journal."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import orjson
import psycopg

from engine import clock
from infra.local.postgres import Postgres

Told = tuple[UUID, int, Mapping[str, object]]
"""(device id, event time in ms, values)"""


def tell(
    postgres: Postgres,
    tenant_id: UUID,
    readings: Sequence[Told],
    received_ms: int | None = None,
    *,
    doubted: Mapping[str, Mapping[str, str]] | None = None,
) -> None:
    """One ingest transaction: store the readings and append their journal row, as the ingest role.

    `doubted` is the quality of some, by their place, for whoever follows the journal.
    """
    received = received_ms or clock.now_ms()
    rows = [(str(device), at, seq, received, dict(values)) for seq, (device, at, values) in enumerate(readings)]
    with psycopg.connect(postgres.url("ingest")) as connection:
        connection.execute("SELECT set_config('app.tenants', %s, true)", ("{" + str(tenant_id) + "}",))
        for device, at, seq, _, values in rows:
            connection.execute(
                "INSERT INTO telemetry (tenant_id, device_id, time, seq, received_at, values) "
                "VALUES (%s, %s, %s, %s, %s, %s::jsonb)",
                (tenant_id, device, clock.from_ms(at), seq, clock.from_ms(received), orjson.dumps(values).decode()),
            )
        journal(connection, tenant_id, "telemetry", {"r": rows, "n": {}} | ({"q": doubted} if doubted else {}))


def journal(connection: psycopg.Connection, tenant_id: UUID, kind: str, body: object) -> None:
    """Append one row to the tenant's journal in the transaction of ``connection``."""
    connection.execute(
        "SELECT app.append(%s::uuid[], %s::text[], %s::json[])",
        ([tenant_id], [kind], [orjson.dumps(body).decode()]),
    )
