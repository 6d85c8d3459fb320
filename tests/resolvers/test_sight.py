"""Streams of whoever is limited to groups: what is theirs at the moment, and cut when their limit changes."""

import asyncio

import psycopg

from engine import clock
from engine.devices import groups
from engine.devices.model import Device
from engine.store.pool import Store
from engine.tenancy import Role
from engine.tenants import members
from engine.tenants import service as tenants
from infra.local.postgres import Postgres
from resolvers.gateway import Gateway
from resolvers.sight import GOOD_FOR_S
from tests.resolvers.test_live import STATUS, TELEMETRY, _following
from tests.support.journal import journal
from tests.support.patience import TOLD_S
from tests.support.people import colleague
from tests.support.sockets import line
from tests.support.tenant import Tenant


def happen(gateway: Gateway, postgres: Postgres, tenant: Tenant, device: Device, value: float) -> None:
    """A device connects and sends a value."""
    tenant.tell([(device.id, clock.now_ms(), {"temperature": value})])
    with psycopg.connect(postgres.url("worker")) as connection:
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", [str(tenant.id)])
        body = {"device": str(device.id), "at": clock.now_ms(), "reason": "connected"}
        journal(connection, tenant.id, "device.connected", body)
    gateway.bus.publish([tenant.id])


async def test_whoever_is_limited_hears_of_their_devices_as_long_as_these_are_in_their_groups(
    served: str, gateway: Gateway, postgres: Postgres, tenant: Tenant, store: Store
) -> None:
    mine, other = await tenant.device("mine"), await tenant.device("other")
    async with store.as_tenant(tenant.principal()) as tx:
        group = await groups.create(tx, key="site-7", name="Site 7")
        await groups.add_devices(tx, group.id, [mine.id])
        scopes = ["telemetry:read", "devices:read"]
        _, secret = await tenants.issue_token(tx, name="t", scopes=scopes, groups=[group.id])

    async with line(served, secret) as live:
        await live.subscribe(TELEMETRY, id_="0", d=[str(mine.id), str(other.id)])
        refused = await live.hear()
        assert refused["type"] == "error"
        assert refused["payload"][0]["extensions"]["code"] == "DEVICE_NOT_FOUND"
        await live.subscribe(STATUS)
        await _following(gateway, tenant)
        happen(gateway, postgres, tenant, other, 1.0)
        happen(gateway, postgres, tenant, mine, 2.0)
        assert (await live.next("deviceStatus"))["deviceId"] == str(mine.id)
        async with store.as_tenant(tenant.principal()) as tx:
            await groups.remove_devices(tx, group.id, [mine.id])
            await groups.add_devices(tx, group.id, [other.id])
        await asyncio.sleep(GOOD_FOR_S + 0.1)  # within two seconds it is so
        happen(gateway, postgres, tenant, mine, 3.0)
        happen(gateway, postgres, tenant, other, 4.0)
        assert (await live.next("deviceStatus"))["deviceId"] == str(other.id)


async def test_a_changed_limit_cuts_a_members_streams(
    served: str, gateway: Gateway, tenant: Tenant, store: Store
) -> None:
    person = await colleague(tenant, Role.OPERATOR)
    async with store.as_tenant(tenant.principal()) as tx:
        group = await groups.create(tx, key="site-7", name="Site 7")
    async with line(served, (await person.sign_in()).secret) as live:
        await live.subscribe(STATUS)
        await _following(gateway, tenant)
        async with store.as_tenant(tenant.principal()) as tx:
            await members.change_role(tx, person.id, Role.OPERATOR, groups=[group.id])
        assert await live.closed(timeout_s=TOLD_S) == 4403


async def test_readings_stop_when_a_device_leaves_and_none_of_it_is_counted(
    served: str, gateway: Gateway, postgres: Postgres, tenant: Tenant, store: Store
) -> None:
    leaving, staying = await tenant.device("leaving"), await tenant.device("staying")
    async with store.as_tenant(tenant.principal()) as tx:
        group = await groups.create(tx, key="site-7", name="Site 7")
        await groups.add_devices(tx, group.id, [leaving.id, staying.id])
        _, secret = await tenants.issue_token(tx, name="t", scopes=["telemetry:read"], groups=[group.id])
    async with line(served, secret) as live:
        await live.subscribe(TELEMETRY, d=[str(leaving.id), str(staying.id)])
        await _following(gateway, tenant)
        happen(gateway, postgres, tenant, leaving, 1.0)
        assert (await live.next("telemetry"))["deviceId"] == str(leaving.id)
        async with store.as_tenant(tenant.principal()) as tx:
            await groups.remove_devices(tx, group.id, [leaving.id])
        await asyncio.sleep(GOOD_FOR_S + 0.1)
        for value in (2.0, 3.0):
            happen(gateway, postgres, tenant, leaving, value)
        happen(gateway, postgres, tenant, staying, 4.0)
        event = await live.next("telemetry")
        assert (event["deviceId"], event["values"], event["skipped"]) == (str(staying.id), {"temperature": 4.0}, 0)
