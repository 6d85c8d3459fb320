"""However a device's time ends, its live connection ends with it, and what it had lets it in no more."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from engine.certificates.vault import LocalVault
from engine.devices import quarantine
from engine.fleet import retire, transfer
from engine.store.pool import Store
from infra.local.device_client import DeviceClient, Refused
from infra.local.postgres import Postgres
from tests.support.patience import TOLD_S
from tests.support.process import IngestProcess, ingest_process
from tests.support.tenant import Tenant


class Talker:
    """A device on a live connection."""

    def __init__(self, process: IngestProcess, name: str, token: str) -> None:
        self._name = name
        self.client = DeviceClient("127.0.0.1", process.mqtt_port, name, token)

    async def say(self, temperature: float) -> None:
        """Send one reading and wait for its acknowledgement."""
        payload = orjson.dumps({"temperature": temperature})
        await self.client.publish(f"t/{self._name}/up/telemetry", payload)

    async def is_cut(self) -> None:
        """Wait for the end of the connection, at once when told."""
        await _until(lambda: not self.client.is_connected)


async def test_quarantine_erasure_and_transfer_cut_the_live_connection(
    postgres: Postgres, tenant: Tenant, neighbour: Tenant, store: Store, worker_store: Store, tmp_path: Path
) -> None:
    vault = LocalVault(tmp_path / "vault.key")
    devices = {name: await tenant.device(name) for name in ("held", "erased", "given")}
    async with ingest_process(postgres.url("ingest"), tmp_path / "ingest.log") as process:
        talkers = {}
        for name, device in devices.items():
            talkers[name] = Talker(process, f"{tenant.key}/d/{name}", await tenant.device_token(device))
            await talkers[name].client.connect()
            await talkers[name].say(1)
        async with store.as_tenant(tenant.principal()) as tx:
            await quarantine.quarantine(tx, devices["held"].id, "It sends nonsense.")
        await talkers["held"].is_cut()
        async with store.as_tenant(tenant.principal()) as tx:
            await retire.decommission(tx, devices["erased"].id, erase=True)
        await talkers["erased"].is_cut()
        async with store.as_tenant(tenant.principal()) as tx:
            _, code = await transfer.offer(tx, vault, devices["given"].id)
        async with store.as_tenant(neighbour.principal()) as tx:
            arrival = await transfer.accept(tx, vault, code)
        await talkers["given"].say(2)  # until the transfer is settled nothing is lost
        await transfer.settle(worker_store, neighbour.id)
        await talkers["given"].is_cut()
        for talker in talkers.values():
            await talker.client.close()
            with pytest.raises(Refused):
                await talker.client.connect()
        async with store.as_tenant(tenant.principal()) as tx:
            _, issued = await quarantine.release(tx, devices["held"].id)
        assert issued is not None
        back = (
            Talker(process, f"{tenant.key}/d/held", issued[1]),
            Talker(process, f"{neighbour.key}/d/given", arrival.token),
        )
        for talker in back:
            await talker.client.connect()
            await talker.say(3)
            await talker.client.close()


async def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + TOLD_S
    while not condition():
        assert time.monotonic() < end, f"not within {TOLD_S} s"
        await asyncio.sleep(0.02)
