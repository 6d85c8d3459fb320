"""A suspended tenant's devices: cut on every process within two seconds, let in by none, back once it is resumed."""

import asyncio
from pathlib import Path

import pytest

from engine.store.pool import Store
from engine.tenants import platform
from infra.local.device_client import DeviceClient, Refused
from infra.local.postgres import Postgres
from tests.support.line import Line
from tests.support.patience import TOLD_S
from tests.support.people import found_operator
from tests.support.process import IngestProcess, ingest_process
from tests.support.tenant import Tenant


async def _connected(process: IngestProcess, tenant: Tenant) -> tuple[DeviceClient, tuple[str, str]]:
    device = await tenant.device()
    login = f"{tenant.key}/d/{device.key}", await tenant.device_token(device)
    client = DeviceClient("127.0.0.1", process.mqtt_port, *login)
    await client.connect()
    return client, login


async def _gone(client: DeviceClient) -> None:
    while client.is_connected:
        await asyncio.sleep(0.02)


async def test_devices_on_two_processes_are_cut_and_refused_and_come_back(
    postgres: Postgres, store: Store, tenant: Tenant, neighbour: Tenant, tmp_path: Path
) -> None:
    operator, journal = await found_operator(postgres, store), Line(postgres)
    logs = [tmp_path / name / "ingest.log" for name in ("one", "two")]
    for log in logs:
        log.parent.mkdir()
    async with (
        ingest_process(postgres.url("ingest"), logs[0]) as one,
        ingest_process(postgres.url("ingest"), logs[1]) as two,
    ):
        here, login = await _connected(one, tenant)
        there, _ = await _connected(two, tenant)
        bystander, _ = await _connected(one, neighbour)
        async with store.as_tenant(operator.principal) as tx:
            await platform.suspend(tx, tenant.id, reason="unpaid")
        async with asyncio.timeout(TOLD_S):
            await asyncio.gather(_gone(here), _gone(there))
        again = DeviceClient("127.0.0.1", two.mqtt_port, *login)
        with pytest.raises(Refused):
            await again.connect()
        await again.close()
        assert bystander.is_connected
        async with store.as_tenant(operator.principal) as tx:
            await platform.resume(tx, tenant.id)
        back = DeviceClient("127.0.0.1", two.mqtt_port, *login)
        await back.connect()
        await back.publish(f"t/{login[0]}/up/telemetry", b'{"temperature": 4}')
        for client in (here, there, back, bystander):
            await client.close()
    assert [values for *_, values in journal.stored(tenant)] == [{"temperature": 4}]
    reasons = [body["reason"] for kind, body in journal.journal(tenant) if kind == "device.disconnected"]
    assert reasons.count("suspended") == 2
