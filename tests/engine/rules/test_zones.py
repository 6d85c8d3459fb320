"""Whose clock a rule goes by: its own time zone, else the device's, else the tenant's, else UTC."""

from datetime import timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from engine import clock, drain
from engine.devices import service as devices
from engine.drain import Drain
from engine.rules import reaction, trial
from engine.rules import service as rules
from engine.store.pool import Store
from engine.store.tx import Tx
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


class Killed(Exception):
    """The worker is no more."""


class Dying(Drain):
    """A drain that is killed just before its first COMMIT."""

    async def _react(self, tx: Tx, *args: Any) -> int:
        await super()._react(tx, *args)
        raise Killed


async def begun_one_by_one(monkeypatch: pytest.MonkeyPatch, at_once: int) -> list[tuple[str, str]]:
    """Bound how many places of rules one transaction lets be looked at; whom it then has, in order."""
    monkeypatch.setattr(reaction, "BEGUN_AT_ONCE", at_once)
    begun: list[tuple[str, str]] = []
    let_look = reaction.Reaction._let_look

    async def noting(self: Any, tx: Tx, rule_id: str, *args: Any) -> list[str]:
        found = await let_look(self, tx, rule_id, *args)
        assert len(found) <= at_once
        begun.extend((self._name(rule_id), device) for device in found)
        return found

    monkeypatch.setattr(reaction.Reaction, "_let_look", noting)
    return begun


async def test_all_devices_go_by_the_new_clock_a_few_a_transaction_also_when_workers_are_killed_meanwhile(
    tenant: Tenant, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms = sorted([str((await tenant.device()).id) for _ in range(7)])
    await make(tenant, at_noon("one"), at_noon("two"), at_noon("own", tz="Asia/Kolkata"))
    await drained(worker_store, tenant)
    begun = await begun_one_by_one(monkeypatch, 3)
    await go_by(tenant, "Asia/Tokyo")
    turns, has_more = 0, True
    while has_more:
        before = len(begun)
        with pytest.raises(Killed):  # what it did is done again by the next one
            await Dying(worker_store).turn(tenant.id, 0)
        del begun[before:]
        _, has_more = await Drain(worker_store).turn(tenant.id, 0)  # another worker each time
        assert len(begun) - before <= 3
        turns += 1
    assert turns >= 5
    assert sorted(begun) == [(name, room) for name in ("one", "two") for room in rooms]  # each once
    found = await due(tenant, worker_store, Drain(worker_store))
    assert {(name, when) for name, _, when in found} == {("one", "03:30"), ("two", "03:30"), ("own", "07:00")}


async def test_a_clock_that_is_changed_again_meanwhile_is_the_one_that_counts(
    tenant: Tenant, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms = [str((await tenant.device()).id) for _ in range(5)]
    await make(tenant, at_noon("site"))
    await drained(worker_store, tenant)
    begun = await begun_one_by_one(monkeypatch, 2)
    await go_by(tenant, "Asia/Tokyo")
    await Drain(worker_store).turn(tenant.id, 0)
    assert len(begun) == 2
    await go_by(tenant, "America/Sao_Paulo")
    assert {when for _, _, when in await due(tenant, worker_store, Drain(worker_store))} == {"15:30"}
    assert sorted(begun[2:]) == [("site", room) for room in sorted(rooms)]  # the rest for Tokyo was let be


async def test_a_schedule_fires_for_times_by_the_new_clock_since_it_was_set_once_each_and_for_none_before(
    tenant: Tenant, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The times of a schedule that lie just before and just after the change, while devices wait for their turn."""
    rooms = [(await tenant.device()).id for _ in range(3)]
    now = clock.now_ms()
    moment = clock.from_ms(now).astimezone(ZoneInfo("Asia/Tokyo"))

    def daily(name: str, minutes: int) -> dict[str, Any]:
        at = moment + timedelta(minutes=minutes)
        trigger = {"schedule": {"cron": f"{at.minute} {at.hour} * * *"}}
        return document({"metric": "temperature", "op": ">", "value": 8}, name=name, trigger=trigger)

    await make(tenant, daily("before", -20), daily("after", -5))
    tenant.tell([(room, now, {"temperature": 9.0}) for room in rooms])
    await drained(worker_store, tenant)
    assert await fired(tenant) == []
    an_hour_ago, ten_minutes_ago = now - 60 * 60_000, now - 10 * 60_000
    # All were looked at an hour ago; one was due by the old clock in the meantime.
    looked = "state = state || jsonb_build_object('looked', {}) || CASE WHEN device_id = '{}' THEN {} ELSE '{{}}' END"
    passed = f"jsonb_build_object('due_at', {now - 60_000}::bigint)"
    tenant.run(f"UPDATE rule_state SET {looked.format(an_hour_ago, rooms[0], passed)} WHERE tenant_id = %s")
    tenant.run(f"UPDATE rule_state SET due_at = now() WHERE device_id = '{rooms[0]}' AND tenant_id = %s")
    await begun_one_by_one(monkeypatch, 2)
    changed = reaction.Reaction.zone_changed
    monkeypatch.setattr(reaction.Reaction, "zone_changed", lambda self, zone, _: changed(self, zone, ten_minutes_ago))
    await go_by(tenant, "Asia/Tokyo")
    for _ in range(2):
        await drained(worker_store, tenant)
        assert await raised_by(tenant) == {("after", room) for room in rooms[1:]}
    assert await fired(tenant) == [(1, "active"), (1, "active")]


async def test_what_is_due_by_a_clock_that_stayed_fires_also_when_the_tenants_is_set_meanwhile(
    tenant: Tenant, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the device's own clock, or the schedule's, while many are due at once and ticks take them one by one."""
    own, other, site = [(await tenant.device()).id for _ in range(3)]
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        for room in (own, other):
            await devices.change(tx, room, labels={"timezone": "UTC"})
    now = clock.now_ms()
    at = clock.from_ms(now).replace(second=0, microsecond=0) - timedelta(minutes=2)
    warm, cron = {"metric": "temperature", "op": ">", "value": 8}, f"{at.minute} {at.hour} * * *"
    await make(
        tenant,
        document(warm, name="site", trigger={"schedule": {"cron": cron}}),
        document(
            {"any": [warm, hours_around_now()]}, name="own", trigger={"schedule": {"cron": cron, "tz": "Etc/UTC"}}
        ),
    )
    tenant.tell([(room, now, {"temperature": 9.0}) for room in (own, other, site)])
    await drained(worker_store, tenant)
    assert await fired(tenant) == []
    passed = f"jsonb_build_object('looked', {now - 60 * 60_000}::bigint, 'due_at', {clock.to_ms(at)}::bigint)"
    tenant.run(f"UPDATE rule_state SET due_at = now(), state = state || {passed} WHERE tenant_id = %s")
    one_by_one = str(reaction._DUE).replace(f"LIMIT {reaction.TICKS_AT_ONCE}", "LIMIT 1")
    monkeypatch.setattr(reaction, "_DUE", text(one_by_one))
    monkeypatch.setattr(drain, "TICKS_AT_ONCE", 1)
    await go_by(tenant, "Asia/Tokyo")
    for _ in range(2):
        await drained(worker_store, tenant)
        still = {("own", room) for room in (own, other, site)} | {("site", room) for room in (own, other)}
        assert await raised_by(tenant) == still
    assert len(await fired(tenant)) == 5
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        left = "SELECT count(*) FROM rule_state WHERE jsonb_exists(state, 'clock_since')"
        assert await tx.scalar(text(left)) == 0


async def test_many_rules_that_go_through_their_devices_tell_the_journal_once_a_transaction(
    tenant: Tenant, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms = [str((await tenant.device()).id) for _ in range(6)]
    names = [f"rule {n}" for n in range(10)]
    await make(tenant, *map(at_noon, names))
    await drained(worker_store, tenant)
    begun = await begun_one_by_one(monkeypatch, 4)
    monkeypatch.setattr(reaction, "TOLD_AT_ONCE", 5)
    await go_by(tenant, "Asia/Tokyo")
    await drained(worker_store, tenant)
    assert sorted(begun) == sorted((name, room) for name in names for room in rooms)
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        told = await tx.scalar(text("SELECT count(*) FROM journal WHERE kind = 'rules.reached'"))
    assert 10 <= told <= 16  # 60 places in 15 transactions, in two lists of rules


async def raised_by(tenant: Tenant) -> set[tuple[str, UUID]]:
    """Which rules have raised an alert for which devices."""
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        rows = await tx.rows(
            text("SELECT r.name, a.device_id FROM alerts a JOIN rules r USING (tenant_id) WHERE r.id = a.rule_id")
        )
    return {(row["name"], row["device_id"]) for row in rows}
