"""Whose clock a rule goes by: its own time zone, else the device's, else the tenant's, else UTC."""

from typing import Any

import pytest
from sqlalchemy import text

from engine import clock
from engine.devices import service as devices
from engine.drain import Drain
from engine.rules import service as rules
from engine.rules import trial
from engine.store.pool import Store
from engine.tenancy import system
from engine.tenants import errors
from engine.tenants import service as tenants
from tests.engine.rules.test_runtime import document, drained, fired, make
from tests.support.tenant import Tenant


def at_noon(name: str, **zone: str) -> dict[str, Any]:
    trigger = {"schedule": {"cron": "30 12 * * *", **zone}}
    return document({"metric": "temperature", "op": ">", "value": 8}, name=name, trigger=trigger)


def hours_around_now() -> dict[str, Any]:
    now = clock.from_ms(clock.now_ms())
    begin, end = (f"{(now.hour + hours) % 24:02}:00" for hours in (-1, 2))
    return {"time": {"from": begin, "to": end}}


async def due(tenant: Tenant, worker_store: Store, drain: Drain) -> set[tuple[str, str, str]]:
    """When each rule is looked at next for each device, by UTC's clock."""
    await drained(worker_store, tenant, drain)
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        rows = await tx.rows(
            text(
                "SELECT r.name, d.name AS device, to_char(s.due_at AT TIME ZONE 'UTC', 'HH24:MI') AS due "
                "FROM rule_state s JOIN rules r ON r.id = s.rule_id JOIN devices d ON d.id = s.device_id"
            )
        )
    return {(row["name"], row["device"], row["due"]) for row in rows}


async def go_by(tenant: Tenant, zone: str) -> None:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await tenants.set_time_zone(tx, zone)


async def test_a_rules_own_zone_comes_first_then_the_devices_then_the_tenants(
    tenant: Tenant, worker_store: Store
) -> None:
    here, far, odd = [await tenant.device() for _ in range(3)]
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.change(tx, here.id, name="here")
        await devices.change(tx, far.id, name="far", labels={"timezone": "America/Sao_Paulo"})
        await devices.change(tx, odd.id, name="odd", labels={"timezone": "Atlantis"})
    await make(tenant, at_noon("site"), at_noon("own", tz="Asia/Kolkata"))
    drain = Drain(worker_store)
    own = {("own", device, "07:00") for device in ("here", "far", "odd")}
    site_of_far = {("site", "far", "15:30")}
    assert await due(tenant, worker_store, drain) == own | site_of_far | {
        ("site", "here", "12:30"),
        ("site", "odd", "12:30"),
    }
    await go_by(tenant, "Asia/Tokyo")
    in_tokyo = own | site_of_far | {("site", "here", "03:30"), ("site", "odd", "03:30")}
    assert await due(tenant, worker_store, drain) == in_tokyo
    assert await due(tenant, worker_store, Drain(worker_store)) == in_tokyo


async def test_hours_that_are_not_those_of_the_tenants_clock_any_more_end_at_once(
    tenant: Tenant, worker_store: Store
) -> None:
    room, drain = await tenant.device(), Drain(worker_store)
    await make(tenant, document(hours_around_now()))
    await drained(worker_store, tenant, drain)
    assert await fired(tenant) == [(1, "active")]
    await go_by(tenant, "Asia/Tokyo")
    await drained(worker_store, tenant, drain)
    assert await fired(tenant) == [(1, "cleared")]
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.change(tx, room.id, labels={"timezone": "UTC"})
    await drained(worker_store, tenant, drain)
    assert await fired(tenant) == [(1, "cleared"), (2, "active")]


async def test_what_is_tried_goes_by_the_same_clock(tenant: Tenant) -> None:
    room, tried = await tenant.device(), document(hours_around_now())
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        assert (await trial.look(tx, tried, room.id)).verdict is True
    await go_by(tenant, "Asia/Tokyo")
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        assert (await trial.look(tx, tried, room.id)).verdict is False


async def test_a_tenants_zone_is_one_that_the_world_knows_and_who_set_it_is_remembered(tenant: Tenant) -> None:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        assert (await tenants.current(tx)).time_zone == "UTC"
        for wrong in ("Atlantis", "", "../../etc/passwd", "Europe/Berlin\0", "localtime", "Factory"):
            with pytest.raises(errors.TimeZoneUnknown):
                await tenants.set_time_zone(tx, wrong)
    for _ in range(2):  # the second time nothing is left to be done
        await go_by(tenant, "Europe/Berlin")
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        assert (await tenants.current(tx)).time_zone == "Europe/Berlin"
        said = "SELECT count(*) FROM {} WHERE tenant_id = :tenant AND {}"
        for table, which in (
            ("audit", "action = 'tenant.set_time_zone'"),
            ("journal", "kind = 'tenant.time_zone_set'"),
        ):
            assert await tx.scalar(text(said.format(table, which)), {"tenant": tenant.id}) == 1


async def test_a_rule_made_later_knows_the_tenants_zone(tenant: Tenant, worker_store: Store) -> None:
    room = await tenant.device()
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.change(tx, room.id, name="room")
    await go_by(tenant, "Asia/Tokyo")
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await rules.create(tx, at_noon("late"))
    assert await due(tenant, worker_store, Drain(worker_store)) == {("late", "room", "03:30")}
