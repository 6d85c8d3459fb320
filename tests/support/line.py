"""The ingest pipeline of one process without its sockets: devices send, the database keeps, the test asks."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, LiteralString
from uuid import UUID

import orjson
import psycopg

from engine.devices.model import Device
from infra.local.postgres import Postgres
from ingest.adapters.base import Decision, Message, Verdict
from ingest.database import Database
from ingest.directory import Directory
from ingest.uplink import Pipeline
from ingest.writer import Writer
from tests.support.behind import change
from tests.support.patience import PATIENCE_S
from tests.support.tenant import Tenant


class Line:
    """Writer, directory and pipeline over a real database; `woken` collects whom the writer woke."""

    def __init__(self, postgres: Postgres, *, port: int | None = None, timeout_s: float = 20, **writer: Any) -> None:
        """`port`: where the writer finds the database, if not at its own port (a `Proxy`)."""
        self.postgres = postgres
        self.woken: list[UUID] = []
        url = postgres.url("ingest")
        self.database = Database(url.replace(f":{postgres.port}/", f":{port or postgres.port}/"), timeout_s=timeout_s)
        self.directory = Directory(Database(postgres.url("ingest"), timeout_s=20))
        self.writer = Writer(self.database, self.woken.extend, **writer)
        self.pipeline = Pipeline(self.directory, self.writer)

    def send(
        self,
        tenant: Tenant,
        device: Device,
        payload: object,
        *,
        topic: str = "up/telemetry",
        at: float | None = None,
        packet_id: int | None = None,
        dup: bool = False,
    ) -> "asyncio.Future[Verdict]":
        """A device's message; the future is its verdict."""
        raw = payload if isinstance(payload, bytes) else orjson.dumps(payload)
        received_at = time.time() if at is None else at
        message = Message(decision(tenant, device), topic, raw, 1, received_at, dup, packet_id)
        told: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self.pipeline.submit(message, told.set_result)
        return told

    def look(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What lies in the database, seen by its superuser."""
        with psycopg.connect(self.postgres.url("superuser")) as connection:
            return connection.execute(query, parameters).fetchall()

    async def change(self, statement: LiteralString, *parameters: object) -> None:
        """Change the database behind everybody's back, as its superuser."""
        await change(self.postgres, statement, *parameters)

    def stored(self, tenant: Tenant) -> list[tuple[Any, ...]]:
        """Device, epoch ms, seq and values of every telemetry row of a tenant, in order."""
        with psycopg.connect(self.postgres.url("superuser")) as connection:
            connection.execute("SELECT set_config('app.tenant_id', %s, true)", [str(tenant.id)])  # for a view's sake
            return connection.execute(
                "SELECT device_id, (extract(epoch FROM time) * 1000)::bigint, seq, values FROM telemetry"
                " WHERE tenant_id = %s ORDER BY device_id, time, seq",
                [tenant.id],
            ).fetchall()

    def inbox(self, tenant: Tenant) -> list[tuple[Any, ...]]:
        """Device, reason, message and payload of every rejected row of a tenant, oldest first."""
        return self.look(
            "SELECT device_id, reason, message, payload FROM rejected WHERE tenant_id = %s ORDER BY id", tenant.id
        )

    def journal(self, tenant: Tenant) -> list[tuple[str, Any]]:
        """Kind and body of every journal row of a tenant, in order."""
        return self.look("SELECT kind, body FROM journal WHERE tenant_id = %s ORDER BY pos", tenant.id)

    def counts(self, tenant: Tenant) -> dict[str, list[int]]:
        """Each device's counts, summed over the journal as the drain sums them."""
        summed: dict[str, list[int]] = {}
        for kind, body in self.journal(tenant):
            if kind != "telemetry":
                continue
            for device, numbers in (*((row[0], _STORED) for row in body["r"]), *body["n"].items()):
                summed[device] = [a + b for a, b in zip(summed.get(device, [0] * 6), numbers, strict=True)]
        return summed


_STORED = [1, 1, 0, 0, 0, 0]


def decision(tenant: Tenant, device: Device, epoch: int = 1) -> Decision:
    """Who a device's connection proved to be."""
    return Decision(tenant.id, tenant.key, device.id, device.key, epoch)


@asynccontextmanager
async def running_line(postgres: Postgres, *, port: int | None = None, **writer: Any) -> AsyncIterator[Line]:
    """A line whose writer runs until the block ends; what waits is written then."""
    line = Line(postgres, port=port, **writer)
    task = asyncio.create_task(line.writer.run())
    try:
        yield line
    finally:
        line.writer.close()
        try:
            await asyncio.wait_for(task, PATIENCE_S)
        finally:
            await line.directory.close()
            await line.database.drop()
