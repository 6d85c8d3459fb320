"""The least that `tidegate bench ingest` can be held against: a message stored and acknowledged, and nothing else.

An endpoint for CONNECT, SUBSCRIBE, PINGREQ and PUBLISH with QoS 1; one writer, one statement a transaction under
row-level security, PUBACK after COMMIT, newest values once a second. It has no types, rules, journal, counts, quotas or
inbox, believes whoever connects, and dies of whatever it did not expect. Its transactions are as far apart as ours.

Its first line of stdin is `{"database_url": …, "devices": {client id: [tenant, device]}}`; it answers with its port and
runs until stdin ends.
"""

import asyncio
import json
import sys
import time
from typing import cast
from uuid import UUID

import orjson
import uvloop

from infra.serve import allow_many_connections, collect_garbage_seldom
from ingest import arrays
from ingest.adapters.mqtt.decode import decode
from ingest.adapters.mqtt.packets import V5, Connect
from ingest.database import connect
from ingest.statements import Connection
from ingest.writer import pause_s

PACE_S = 0.02
ENOUGH_ROWS = 1_000
LATEST_EVERY_S = 1.0
CONNACK, PUBACK, SUBACK, PINGRESP = b"\x20\x03\0\0\0", b"\x40\x02", b"\x90\x04", b"\xd0\0"

SCHEMA = """
CREATE SCHEMA bare;
CREATE TABLE bare.devices (tenant_id uuid, id uuid, status text NOT NULL, PRIMARY KEY (tenant_id, id));
CREATE TABLE bare.telemetry (
    tenant_id uuid, device_id uuid, time timestamptz, "values" jsonb NOT NULL, PRIMARY KEY (tenant_id, device_id, time)
);
CREATE TABLE bare.latest (
    tenant_id uuid, device_id uuid, "values" jsonb NOT NULL, PRIMARY KEY (tenant_id, device_id)
) WITH (fillfactor = 70);
CREATE FUNCTION bare.tenants() RETURNS text LANGUAGE sql STABLE AS $$ SELECT current_setting('bare.tenants', true) $$;
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['devices', 'telemetry', 'latest'] LOOP
        EXECUTE format('ALTER TABLE bare.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE bare.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY theirs ON bare.%I '
                       'USING (tenant_id = ANY ((SELECT bare.tenants()::uuid[])::uuid[]))', name);
    END LOOP;
END $$;
CREATE FUNCTION bare.store(p_tenants text, p_tenant uuid[], p_device uuid[], p_time timestamptz[], p_values jsonb[])
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = bare, pg_temp AS $$
BEGIN
    PERFORM set_config('bare.tenants', p_tenants, true);
    INSERT INTO telemetry SELECT d.tenant_id, d.id, r.time, r.values
    FROM unnest(p_tenant, p_device, p_time, p_values) AS r (tenant_id, device_id, time, "values")
    CROSS JOIN LATERAL (
        SELECT d.tenant_id, d.id, d.status FROM devices d
        WHERE d.tenant_id = r.tenant_id AND d.id = r.device_id OFFSET 0  -- one look-up a row, as ours
    ) d
    WHERE d.status = 'active';
END $$;
CREATE FUNCTION bare.keep(p_tenants text, p_tenant uuid[], p_device uuid[], p_values jsonb[])
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = bare, pg_temp AS $$
BEGIN
    PERFORM set_config('bare.tenants', p_tenants, true);
    INSERT INTO latest SELECT * FROM unnest(p_tenant, p_device, p_values)
    ON CONFLICT (tenant_id, device_id) DO UPDATE SET "values" = excluded."values";
END $$;
GRANT USAGE ON SCHEMA bare TO tidegate_ingest;
"""

STORE = "SELECT bare.store(%s, %b, %b, %b, %b)"
KEEP = "SELECT bare.keep(%s, %b, %b, %b)"

Row = tuple["Bare", bytes, int, bytes]
"""Whose it is, its packet id, its time in epoch ms, its values as JSON."""


class Endpoint:
    """What waits, and the one writer that takes all of it at once."""

    def __init__(self, connection: Connection, devices: dict[str, list[str]]) -> None:
        self.devices = {
            client_id: (arrays.wire(UUID(tenant).bytes), arrays.wire(UUID(device).bytes))
            for client_id, (tenant, device) in devices.items()
        }
        self.rows: list[Row] = []
        self.news = asyncio.Event()
        self._connection = connection
        self._tenants = "{" + ",".join({tenant for tenant, _ in devices.values()}) + "}"
        self._latest: dict[Bare, bytes] = {}
        self._kept_at = 0.0

    async def write(self) -> None:
        """Store what has come, acknowledge it, and wait a little for more."""
        while True:
            await self.news.wait()
            self.news.clear()
            began = time.monotonic()
            rows, self.rows = self.rows, []
            await self._store(rows)
            acknowledge(rows)
            if began - self._kept_at > LATEST_EVERY_S:
                self._kept_at = began
                await self._keep()
            left_s = began + pause_s(PACE_S, len(rows)) - time.monotonic()
            if left_s > 0 and len(self.rows) < ENOUGH_ROWS:
                await asyncio.sleep(left_s)

    async def _store(self, rows: list[Row]) -> None:
        columns = (
            arrays.uuids([row[0].tenant for row in rows]),
            arrays.uuids([row[0].device for row in rows]),
            arrays.timestamps([row[2] * 1000 for row in rows]),
            arrays.jsonbs([row[3] for row in rows]),
        )
        await self._connection.execute(STORE, (self._tenants, *columns), binary=True, prepare=True)
        self._latest.update([(row[0], row[3]) for row in rows])

    async def _keep(self) -> None:
        latest, self._latest = self._latest, {}
        columns = (
            arrays.uuids([device.tenant for device in latest]),
            arrays.uuids([device.device for device in latest]),
            arrays.jsonbs(list(latest.values())),
        )
        await self._connection.execute(KEEP, (self._tenants, *columns), binary=True, prepare=True)


def acknowledge(rows: list[Row]) -> None:
    """Write each connection's PUBACKs at once."""
    answers: dict[Bare, bytes] = {}
    for device, packet_id, _, _ in rows:
        answers[device] = answers.get(device, b"") + PUBACK + packet_id
    for device, answer in answers.items():
        device.transport.write(answer)


class Bare(asyncio.Protocol):
    """One device's connection."""

    __slots__ = ("device", "endpoint", "rest", "tenant", "transport")
    transport: asyncio.Transport
    tenant: bytes
    device: bytes

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Who it is says the CONNECT."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Take every packet that is there as a whole."""
        if self.rest:
            data = self.rest + data
        at, end = 0, len(data)
        while end - at >= 2:
            length, begin = data[at + 1], at + 2
            if length > 0x7F:
                if end - at < 3:
                    break
                length, begin = (length & 0x7F) | data[at + 2] << 7, at + 3
            after = begin + length
            if after > end:
                break
            if data[at] == 0x32:
                self._publish(data, begin, after)
            else:
                self._take(data[at], data[begin:after])
            at = after
        self.rest = data[at:]

    def _publish(self, data: bytes, begin: int, end: int) -> None:
        packet_id = begin + 2 + (data[begin] << 8 | data[begin + 1])
        reading = orjson.loads(data[packet_id + 3 : end])  # behind it the properties, of which there are none
        endpoint = self.endpoint
        if not endpoint.rows:
            endpoint.news.set()
        row = (self, data[packet_id : packet_id + 2], reading["time"], orjson.dumps(reading["values"]))
        endpoint.rows.append(row)

    def _take(self, header: int, body: bytes) -> None:
        kind = header >> 4
        if kind == 1:
            self.tenant, self.device = self.endpoint.devices[cast(Connect, decode(header, body, V5)).client_id]
            self.transport.write(CONNACK)
        elif kind == 8:
            self.transport.write(SUBACK + body[:2] + b"\0\1")
        elif kind == 12:
            self.transport.write(PINGRESP)


async def _main() -> None:
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=64 * 1024 * 1024)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    order = json.loads(await lines.readline())
    endpoint = Endpoint(await connect(order["database_url"], 60), order["devices"])
    writing = asyncio.create_task(endpoint.write())
    server = await loop.create_server(lambda: Bare(endpoint), "127.0.0.1", 0, backlog=4096)
    collect_garbage_seldom()
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    until = asyncio.create_task(lines.read())
    await asyncio.wait([writing, until], return_when=asyncio.FIRST_COMPLETED)
    if writing.done():
        writing.result()


if __name__ == "__main__":
    allow_many_connections()
    uvloop.run(_main())
