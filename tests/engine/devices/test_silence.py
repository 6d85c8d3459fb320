"""Silence: whose reports have not come for too long, connected or not, and that it ends with the next one.

ThingsBoard #13710: a device falls silent, its connection breaks, and the *disconnect* makes it active again; it does
not here, and a connection that only stays open or comes back does not either.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg

from engine import clock
from engine.devices import groups, profiles, silence
from engine.devices import service as devices
from engine.devices.model import Device, Presence
from engine.drain import Drain
from engine.fleet import chores
from engine.journal import read
from engine.store.pool import Store
from engine.tenancy import system
from tests.support.behind import change
from tests.support.journal import journal
from tests.support.tenant import Tenant


async def _expect(tenant: Tenant, store: Store, seconds: int) -> Device:
    """A device whose profile expects a report every so many seconds."""
    device = await tenant.device()
    async with store.as_tenant(tenant.principal()) as tx:
        await profiles.profile_change(tx, device.profile_id, reporting_interval_s=seconds)
    return device


def _session(tenant: Tenant, device: Device, kind: str, epoch: int) -> None:
    """What ingest says about a connection."""
    at = clock.now_ms()
    with psycopg.connect(tenant.postgres.url("ingest")) as connection:
        connection.execute("SELECT set_config('app.tenants', %s, true)", ("{" + str(tenant.id) + "}",))
        body = {"device": str(device.id), "epoch": epoch, "at": at, "reason": "keep_alive"}
        journal(connection, tenant.id, f"device.{kind}", body)
    with psycopg.connect(tenant.postgres.url("superuser")) as connection:
        raised = "UPDATE presence SET session_epoch = greatest(session_epoch, %s) WHERE device_id = %s"
        connection.execute(raised, (epoch, device.id))


async def _pass(tenant: Tenant, worker_store: Store, seconds: float) -> None:
    """Let so much time pass without a report, and somebody look: whatever lies in the past moves further back."""
    back = timedelta(seconds=seconds)
    earlier = (
        "UPDATE presence SET watched_from = watched_from - %s, silent_since = silent_since - %s WHERE tenant_id = %s"
    )
    await change(tenant.postgres, earlier, back, back, tenant.id)
    earlier = "UPDATE latest SET received_at = received_at - %s WHERE tenant_id = %s"
    await change(tenant.postgres, earlier, back, tenant.id)
    earlier = "UPDATE silence_watches SET since = since - %s, due_at = now() WHERE tenant_id = %s"
    await change(tenant.postgres, earlier, back, tenant.id)
    await _look(tenant, worker_store)


async def _look(tenant: Tenant, worker_store: Store) -> None:
    await change(tenant.postgres, "UPDATE silence_watches SET due_at = now() WHERE tenant_id = %s", tenant.id)
    await Drain(worker_store).run(tenant.id)
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        await silence.look(tx)


async def _presence(tenant: Tenant, device: Device) -> Presence:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        return (await devices.presence_of(tx, [device.id]))[device.id]


async def _found_silent(tenant: Tenant, meter: Device) -> tuple[list[str], list[str], int]:
    """Those the list finds silent, the others, and how many are counted; who is limited to the meter finds the same."""
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        pages = [await devices.page(tx, is_silent=is_silent) for is_silent in (True, False)]
        group = await groups.create(tx, key=f"it-{clock.now_ms()}", name="it", filter_={"keyPrefix": meter.key})
        count = (await devices.counts(tx)).silent
    limited = replace(tenant.principal(), groups=frozenset({group.id}))
    async with tenant.store.as_tenant(limited, read_only=True) as tx:
        assert (await devices.counts(tx)).silent == count
        assert await devices.page(tx, is_silent=True) == pages[0]
    silent, others = [[each.key for each in page.items] for page in pages]
    return silent, others, count


async def _told(tenant: Tenant) -> list[tuple[str, dict[str, Any]]]:
    """What the journal says about silence, in its order."""
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        entries = await read.tail(tx, 0, 500)
    return [(entry.kind, entry.body) for entry in entries if entry.kind in ("device.silent", "device.reporting")]


async def test_a_device_that_never_holds_a_connection_falls_silent_and_is_heard_again(
    tenant: Tenant, store: Store, worker_store: Store
) -> None:
    meter = await _expect(tenant, store, 60)
    await tenant.device("other")
    tenant.tell([(meter.id, clock.now_ms(), {"temperature": 5.0})])
    await _look(tenant, worker_store)
    await _pass(tenant, worker_store, 170)
    assert (await _presence(tenant, meter)).silent_since is None
    await _pass(tenant, worker_store, 20)
    since = (await _presence(tenant, meter)).silent_since
    assert since is not None
    assert await _found_silent(tenant, meter) == ([meter.key], ["other"], 1)
    await _pass(tenant, worker_store, 60)
    assert [kind for kind, _ in await _told(tenant)] == ["device.silent"]
    tenant.tell([(meter.id, clock.now_ms(), {"temperature": 5.1})])
    await Drain(worker_store).run(tenant.id)
    assert (await _presence(tenant, meter)).silent_since is None
    assert await _found_silent(tenant, meter) == ([], sorted([meter.key, "other"]), 0)
    await _look(tenant, worker_store)
    (silent, body), (heard, after) = await _told(tenant)
    assert (silent, body["reason"], body["interval_s"], body["is_online"]) == ("device.silent", "silent", 60, False)
    assert (heard, after["reason"], after["device"]) == ("device.reporting", "heard", str(meter.id))
    assert body["since"] == clock.to_ms(since)


async def test_neither_staying_connected_nor_leaving_nor_coming_back_makes_a_silent_device_heard(
    tenant: Tenant, store: Store, worker_store: Store
) -> None:
    pump = await _expect(tenant, store, 10)
    _session(tenant, pump, "connected", 1)
    await _look(tenant, worker_store)
    tenant.tell([(pump.id, clock.now_ms(), {"temperature": 5.0})])
    await _look(tenant, worker_store)
    await _pass(tenant, worker_store, 40)
    now = await _presence(tenant, pump)
    assert (now.is_online, now.silent_since is None) == (True, False)
    for kind, epoch in (("disconnected", 1), ("connected", 2), ("disconnected", 1)):
        _session(tenant, pump, kind, epoch)
        await _look(tenant, worker_store)
        assert (await _presence(tenant, pump)).silent_since == now.silent_since
    after = await _presence(tenant, pump)
    assert (after.is_online, after.version) == (True, 2), "the farewell of the first session came late"
    tenant.tell([(pump.id, clock.now_ms() + 1, {"temperature": 5.1})])
    await _look(tenant, worker_store)
    assert (await _presence(tenant, pump)).silent_since is None
    assert [(kind, body["epoch"]) for kind, body in await _told(tenant)] == [
        ("device.silent", 1),
        ("device.reporting", 2),
    ]


async def test_a_device_that_has_never_been_heard_of_is_not_silent(
    tenant: Tenant, store: Store, worker_store: Store
) -> None:
    fresh = await _expect(tenant, store, 10)
    await _look(tenant, worker_store)
    await _pass(tenant, worker_store, 1_000)
    assert (await _presence(tenant, fresh)).silent_since is None
    _session(tenant, fresh, "connected", 1)
    await _look(tenant, worker_store)
    await _pass(tenant, worker_store, 40)
    assert (await _presence(tenant, fresh)).silent_since is not None


async def test_silence_ends_where_nothing_is_expected_and_begins_anew_after_a_suspension(
    tenant: Tenant, store: Store, worker_store: Store
) -> None:
    pump = await _expect(tenant, store, 10)
    tenant.tell([(pump.id, clock.now_ms(), {"temperature": 5.0})])
    await _look(tenant, worker_store)
    await _pass(tenant, worker_store, 40)
    async with store.as_tenant(tenant.principal()) as tx:
        await devices.suspend(tx, pump.id)
    await _look(tenant, worker_store)
    async with store.as_tenant(tenant.principal()) as tx:
        await devices.resume(tx, pump.id)
    await _look(tenant, worker_store)
    assert (await _presence(tenant, pump)).silent_since is None
    await _pass(tenant, worker_store, 40)
    assert (await _presence(tenant, pump)).silent_since is not None
    async with store.as_tenant(tenant.principal()) as tx:
        await profiles.profile_change(tx, pump.profile_id, reporting_interval_s=0)
    await _look(tenant, worker_store)
    assert [(kind, body["reason"]) for kind, body in await _told(tenant)] == [
        ("device.silent", "silent"),
        ("device.reporting", "not_expected"),
        ("device.silent", "silent"),
        ("device.reporting", "not_expected"),
    ]
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        assert await silence.look(tx) is False  # and nobody looks any more


async def test_time_in_which_nobody_looked_or_drained_counts_against_no_device(
    tenant: Tenant, store: Store, worker_store: Store
) -> None:
    pump = await _expect(tenant, store, 10)
    tenant.tell([(pump.id, clock.now_ms(), {"temperature": 5.0})])
    await _look(tenant, worker_store)
    back = timedelta(seconds=600)
    await change(tenant.postgres, "UPDATE presence SET watched_from = watched_from - %s", back)
    await change(tenant.postgres, "UPDATE latest SET received_at = received_at - %s", back)
    await change(tenant.postgres, "UPDATE silence_watches SET since = since - %s, due_at = due_at - %s", back, back)
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        await silence.look(tx)
    assert (await _presence(tenant, pump)).silent_since is None, "the platform itself was away"
    await change(tenant.postgres, "UPDATE silence_watches SET since = since - %s, due_at = now()", back)
    await change(tenant.postgres, "UPDATE readers SET at = at - %s WHERE tenant_id = %s", back, tenant.id)
    tenant.tell([(pump.id, clock.now_ms(), {"temperature": 5.1})])
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        await silence.look(tx)
    assert (await _presence(tenant, pump)).silent_since is None, "what it sent was not drained yet"


async def test_the_worker_looks_where_reports_are_expected(tenant: Tenant, store: Store, worker_store: Store) -> None:
    await _expect(tenant, store, 10)
    assert [row["has_silence"] for row in await worker_store.door("tenants_all") if row["tenant_id"] == tenant.id] == [
        True
    ]
    while await chores.run(worker_store):
        pass
    assert [row["has_silence"] for row in await worker_store.door("tenants_all") if row["tenant_id"] == tenant.id] == [
        False
    ]
