"""What a decommissioned device has sent is erased bit by bit, wholly, and nothing of anybody else's."""

from uuid import UUID

import psycopg
import pytest

from engine import clock
from engine.alerts import service as alerts
from engine.alerts.model import Raised
from engine.devices import erase, errors, service
from engine.devices.erase import ERASED, KEPT
from engine.devices.model import Device, DeviceStatus
from engine.drain import Drain
from engine.errors import Forbidden
from engine.fleet import retire
from engine.rules import service as rules
from engine.store.pool import Store
from engine.tenancy import SCOPES, Role, system
from infra.local.postgres import Postgres
from tests.support.matrix import RULE
from tests.support.tenant import Tenant


async def lived(tenant: Tenant, worker_store: Store, key: str, readings: int = 20) -> Device:
    """A device with readings, latest values, counts, an alert, and a rejected message."""
    device = await tenant.device(key)
    now = clock.now_ms()
    tenant.tell([(device.id, now - n * 1000, {"temperature": 4.0 + n}) for n in range(readings)])
    await Drain(worker_store).run(tenant.id)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        rule = await rules.create(tx, {**RULE, "name": f"rule-{key}"})
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        await alerts.raise_all(tx, [Raised(rule.id, 1, device.id, 1, "minor", "Too warm.", {}, clock.now())])
    return device


def rows_of(postgres: Postgres, tenant_id: UUID, device_id: UUID) -> dict[str, int]:
    """How many rows each table has of this device."""
    with psycopg.connect(postgres.url("worker")) as connection:
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", [str(tenant_id)])
        found = {
            table: connection.execute(f"SELECT count(*) FROM {table} WHERE device_id = %s", [device_id]).fetchone()
            for table in ERASED
        }
    return {table: row[0] for table, row in found.items() if row and row[0]}


async def erase_all(worker_store: Store, tenant: Tenant, batch: int = erase.BATCH) -> int:
    """Work until there is no more to be done at once; how many transactions that took."""
    for turn in range(1, 100):
        async with worker_store.as_tenant(system(tenant.id)) as tx:
            if not await erase.step(tx, batch):
                return turn
    raise AssertionError("no end")


async def test_all_that_a_device_has_sent_goes_and_nothing_else(
    tenant: Tenant, store: Store, worker_store: Store, postgres: Postgres
) -> None:
    gone, other = [await lived(tenant, worker_store, key) for key in ("gone", "other")]
    async with store.as_tenant(tenant.principal()) as tx:
        await service.change(tx, gone.id, name="Kitchen of the Smiths", labels={"owner": "Smith"})
        ended = await retire.decommission(tx, gone.id, erase=True)
        assert (await erase.get(tx, gone.id)).status == "waiting"
    assert (ended.name, dict(ended.labels)) == ("gone", {})
    await Drain(worker_store).run(tenant.id)
    kept = rows_of(postgres, tenant.id, other.id)
    assert {"telemetry", "latest", "counts", "alerts"} <= kept.keys()
    assert await erase_all(worker_store, tenant, batch=7) > 3
    assert rows_of(postgres, tenant.id, gone.id) == {}
    assert rows_of(postgres, tenant.id, other.id) == kept
    async with store.as_tenant(tenant.principal()) as tx:
        done = await erase.get(tx, gone.id)
        assert [each.device_id for each in (await erase.page(tx)).items] == [gone.id]
        assert (await service.by_key(tx, "gone")) is not None
    assert (done.status, done.expected, done.erased["telemetry"], done.erased["alerts"]) == ("finished", 20, 20, 1)


async def test_an_erasure_goes_on_where_it_was_left(tenant: Tenant, store: Store, worker_store: Store) -> None:
    device = await lived(tenant, worker_store, "gone")
    async with store.as_tenant(tenant.principal()) as tx:
        await retire.decommission(tx, device.id, erase=True)
    await Drain(worker_store).run(tenant.id)
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        assert await erase.step(tx, 12)
    with pytest.raises(RuntimeError):  # noqa: PT012  the error is what the block is about
        async with worker_store.as_tenant(system(tenant.id)) as tx:
            await erase.step(tx, 5)
            raise RuntimeError("killed before COMMIT")
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        half = await erase.get(tx, device.id)
    assert (half.status, half.erased) == ("running", {"telemetry": 12})
    await erase_all(worker_store, tenant)
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        assert (await erase.get(tx, device.id)).erased["telemetry"] == 20


async def test_an_erasure_waits_for_what_the_drain_has_still_to_read(
    tenant: Tenant, store: Store, worker_store: Store, postgres: Postgres
) -> None:
    device = await tenant.device("gone")
    tenant.tell([(device.id, clock.now_ms(), {"temperature": 4.0})])
    async with store.as_tenant(tenant.principal()) as tx:
        await retire.decommission(tx, device.id, erase=True)
    await erase_all(worker_store, tenant)
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        assert (await erase.get(tx, device.id)).status == "running"
    await Drain(worker_store).run(tenant.id)
    assert rows_of(postgres, tenant.id, device.id).keys() == {"latest", "counts"}
    await erase_all(worker_store, tenant)
    assert rows_of(postgres, tenant.id, device.id) == {}
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        assert (await erase.get(tx, device.id)).status == "finished"


async def test_only_a_decommissioned_device_is_erased_and_once(tenant: Tenant, store: Store) -> None:
    device = await tenant.device()
    async with store.as_tenant(tenant.principal()) as tx:
        with pytest.raises(errors.DeviceStuck):
            await erase.request(tx, device.id)
        with pytest.raises(errors.ErasureNotFound):
            await erase.get(tx, device.id)
        await retire.decommission(tx, device.id)
        first = await erase.request(tx, device.id)
        assert await erase.request(tx, device.id) == first


async def test_erasing_takes_a_right_of_its_own_and_without_it_the_device_lives_on(
    tenant: Tenant, store: Store
) -> None:
    device = await tenant.device()
    with pytest.raises(Forbidden, match="devices:erase"):
        async with store.as_tenant(tenant.principal(Role.OPERATOR)) as tx:
            await retire.decommission(tx, device.id, erase=True)
    async with store.as_tenant(tenant.principal(Role.OPERATOR)) as tx:
        assert (await service.get(tx, device.id)).status is not DeviceStatus.DECOMMISSIONED
        await retire.decommission(tx, device.id)
    holders = {role for role, scopes in SCOPES.items() if erase.RIGHT in scopes}
    assert holders == {Role.OWNER, Role.ADMIN}


def test_every_table_with_a_device_in_it_is_erased_or_says_why_not(postgres: Postgres) -> None:
    with psycopg.connect(postgres.url("owner")) as connection:
        found = connection.execute(
            "SELECT DISTINCT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
            "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition "
            "AND a.attname = 'device_id' AND NOT a.attisdropped"
        ).fetchall()
    assert {row[0] for row in found} == ERASED.keys() | KEPT.keys()
