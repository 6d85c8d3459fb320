"""While the database stands still nothing more is taken than the bound says, and afterwards everything is stored."""

import time
from dataclasses import dataclass, field

import orjson

from engine.devices.model import Device
from infra.local.postgres import Postgres
from ingest.adapters.base import Decision
from ingest.adapters.mqtt.endpoint import MqttEndpoint
from tests.ingest.adapters.mqtt.memory import House, MemoryAuthorizer, MemoryPresence, MemoryUplink, turns, until
from tests.ingest.adapters.mqtt.raw_client import RawClient
from tests.support.line import decision, running_line
from tests.support.proxy import proxy_to
from tests.support.tenant import Tenant

EACH, BOUND = 400, 150


@dataclass
class Known(MemoryAuthorizer):
    """Lets the devices of a real tenant in by their keys."""

    tenant: Tenant | None = None
    devices: dict[str, Device] = field(default_factory=dict)

    async def authorize(
        self, client_id: str, username: str, secret: bytes, certificate: bytes | None = None
    ) -> Decision:
        assert self.tenant is not None
        return decision(self.tenant, self.devices[username.rpartition("/")[2]])


async def test_a_database_that_stands_still_pauses_the_devices_and_loses_nothing(
    postgres: Postgres, tenant: Tenant
) -> None:
    devices = [await tenant.device(f"pump-{number}") for number in range(4)]
    authorizer = Known(tenant=tenant, devices={device.key: device for device in devices})
    at = int(time.time() * 1000) - EACH
    async with (
        proxy_to(postgres.port) as proxy,
        running_line(postgres, port=proxy.port, max_waiting=BOUND, patience_s=120) as line,
    ):
        endpoint = MqttEndpoint(authorizer, line.pipeline, MemoryPresence())
        await endpoint.start("127.0.0.1", 0)
        house = House(endpoint, authorizer, MemoryUplink(), MemoryPresence(), [], [])
        clients = [await RawClient.login(house, device.key) for device in devices]
        for client in clients:  # every device is known before the database stands still
            client.publish(b'{"temperature": 1}', topic=f"t/{tenant.key}/d/{client.device}/up/telemetry")
            assert await client.pubacks(1) == [1]
        proxy.fall_silent()
        for client in clients:
            for number in range(EACH):
                reading = {"time": at + number, "seq": number, "values": {"temperature": number % 50}}
                client.publish(orjson.dumps(reading), topic=f"t/{tenant.key}/d/{client.device}/up/telemetry")
        await until(lambda: line.pipeline.is_full)
        for _ in range(20):
            await turns()
            assert line.writer.waiting == endpoint.undecided == BOUND
        proxy.speak_again()
        for client in clients:
            assert await client.pubacks(EACH) == list(range(2, EACH + 2))
            client.hang_up()
        assert endpoint.undecided == line.writer.waiting == 0
        await endpoint.stop()
        kept = [(device, seq) for device, time_ms, seq, _ in line.stored(tenant) if time_ms - at == seq]
        assert sorted(kept) == sorted((device.id, seq) for device in devices for seq in range(EACH))
