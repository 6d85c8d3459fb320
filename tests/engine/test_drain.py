"""The drain: what follows from the journal follows once, in order, whatever happens in between."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from sqlalchemy import text

from engine import clock
from engine.alerts import service as alerts
from engine.alerts import telling
from engine.alerts.model import AlertStatus, Cleared
from engine.certificates.vault import LocalVault
from engine.devices import service as devices
from engine.drain import Drain
from engine.journal import read
from engine.notifications import channels, contacts, policies
from engine.notifications import service as notifications
from engine.notifications.model import Step
from engine.rules import service as rules
from engine.store.pool import Store
from engine.store.tx import Tx
from engine.telemetry import service as telemetry
from engine.tenancy import system
from engine.tenants import service as tenants
from tests.support.rules import too_warm
from tests.support.tenant import Tenant


async def test_readings_reach_latest_each_metric_by_its_own_newest_time(
    tenant: Tenant, store: Store, worker_store: Store
) -> None:
    room, now = await tenant.device(), clock.now_ms()
    tenant.tell([(room.id, now, {"temperature": 5.0, "humidity": 40})])
    tenant.tell([(room.id, now - 60_000, {"temperature": 4.0, "door_open": True})])
    await Drain(worker_store).run(tenant.id)
    async with store.as_tenant(tenant.principal()) as tx:
        latest = (await telemetry.latest(tx, [room.id]))[room.id]
        counted = await telemetry.counts(tx, device_id=room.id)
    assert [(s.metric, s.value, clock.to_ms(s.time)) for s in latest] == [
        ("door_open", True, now - 60_000),
        ("humidity", 40, now),
        ("temperature", 5.0, now),
    ]
    assert [(c.received, c.stored) for c in counted] == [(2, 2)]


async def test_a_latest_value_in_doubt_says_so_and_rules_see_it_as_ever(
    tenant: Tenant, store: Store, worker_store: Store
) -> None:
    room, at = await tenant.device(), clock.now_ms() - 60_000
    async with store.as_tenant(tenant.principal()) as tx:
        await rules.create(tx, too_warm())

    async def newest(doubted: dict[str, dict[str, str]], *told: tuple[int, dict[str, object]]) -> dict[str, Any]:
        tenant.tell([(room.id, at + after, values) for after, values in told], doubted=doubted)
        await Drain(worker_store).run(tenant.id)  # one that remembers nothing
        async with store.as_tenant(tenant.principal()) as tx:
            alone = (await telemetry.latest(tx, [room.id]))[room.id]
            assert (await telemetry.standing(tx, [room.id]))[room.id][1] == alone
        return {s.metric: (s.value, clock.to_ms(s.time) - at, s.quality) for s in alone}

    assert await newest({"0": {"temperature": "uncertain"}}, (0, {"temperature": 9.5, "humidity": 40})) == {
        "temperature": (9.5, 0, "uncertain"),
        "humidity": (40, 0, None),
    }
    assert await _open(tenant) == 1  # the rule fires on it, as before
    gone = {"temperature": "bad", "door": "bad"}
    assert (await newest({"1": gone}, (1, {"temperature": 9.6}), (3, {})))["temperature"] == (9.6, 1, "bad")
    late = await newest({}, (2, {"temperature": 9.7}))  # measured before the device lost sight of it
    assert late == {"temperature": (9.7, 2, "bad"), "humidity": (40, 0, None), "door": (None, 3, "bad")}
    assert await _open(tenant) == 1  # what is bad is no value, and ends nothing
    assert (await newest({}, (4, {"temperature": 9.8})))["temperature"] == (9.8, 4, None)
    with psycopg.connect(tenant.postgres.url("superuser")) as connection:
        row = connection.execute("SELECT quality FROM latest WHERE device_id = %s", (room.id,)).fetchone()
    assert row == ({"door": ["bad", at + 3]},)  # of which no value has ever come
    good = {"temperature": (5.0, 6, None), "door": (True, 6, None)}
    assert (await newest({}, (6, {"temperature": 5.0, "door": True}))).items() >= good.items()
    assert await _open(tenant) == 0
    with psycopg.connect(tenant.postgres.url("superuser")) as connection:
        row = connection.execute("SELECT quality FROM latest WHERE device_id = %s", (room.id,)).fetchone()
    assert row == (None,)  # good is silence


async def test_each_device_of_a_drain_gets_its_own_values_doubts_and_counts(
    tenant: Tenant, store: Store, worker_store: Store
) -> None:
    texts, now = ["two\nlines", "null", '{"},', "\\N", ""], clock.now_ms()
    rooms = [(await tenant.device()).id for _ in texts]
    said = [(room, now + n, {"note": note, "n": n}) for n, note in enumerate(texts) for room in rooms[n:]]
    tenant.tell(said, now + 1, doubted={str(len(said) - 3): {"n": "uncertain"}})
    await Drain(worker_store).run(tenant.id)
    async with store.as_tenant(tenant.principal()) as tx:
        latest = await telemetry.latest(tx, rooms)
        counted = [await telemetry.counts(tx, device_id=room) for room in rooms]
    for n, (room, note) in enumerate(zip(rooms, texts, strict=True)):
        doubt = "uncertain" if n == 3 else None
        assert [(s.metric, s.value, s.quality) for s in latest[room]] == [("n", n, doubt), ("note", note, None)]
        assert [(c.received, c.stored) for c in counted[n]] == [(n + 1, n + 1)]
    with psycopg.connect(tenant.postgres.url("superuser")) as connection:
        heard = connection.execute("SELECT DISTINCT received_at FROM latest WHERE tenant_id = %s", (tenant.id,))
        assert heard.fetchall() == [(clock.from_ms(now + 1),)]


async def test_a_second_drain_finds_nothing_and_counts_nothing_twice(
    tenant: Tenant, store: Store, worker_store: Store
) -> None:
    room = await tenant.device()
    tenant.tell([(room.id, clock.now_ms(), {"temperature": 5.0})])
    drain = Drain(worker_store)
    assert await drain.run(tenant.id) > 0
    assert await drain.run(tenant.id) == 0
    async with store.as_tenant(tenant.principal()) as tx:
        assert sum(c.stored for c in await telemetry.counts(tx)) == 1


async def test_a_rule_raises_one_alert_per_episode_and_clears_it(
    tenant: Tenant, store: Store, worker_store: Store
) -> None:
    room, now = await tenant.device(), clock.now_ms()
    async with store.as_tenant(tenant.principal()) as tx:
        rule = await rules.create(tx, too_warm())
    values = [9.0, 9.5, 7.0, 6.0, 8.5]
    tenant.tell([(room.id, now + n, {"temperature": v}) for n, v in enumerate(values)])
    await Drain(worker_store).run(tenant.id)
    async with store.as_tenant(tenant.principal()) as tx:
        found = (await alerts.page(tx)).items
    assert [(a.episode, a.status) for a in found] == [(2, AlertStatus.ACTIVE), (1, AlertStatus.CLEARED)]
    assert {a.rule_id for a in found} == {rule.id}
    assert "8.5" in found[0].reason


async def test_four_drains_at_once_do_the_work_of_one(tenant: Tenant, store: Store, worker_store: Store) -> None:
    room, now = await tenant.device(), clock.now_ms()
    async with store.as_tenant(tenant.principal()) as tx:
        await rules.create(tx, too_warm())
    for n in range(20):
        tenant.tell([(room.id, now + n, {"temperature": 9.0 if n % 2 else 5.0})])
    drains = [Drain(worker_store) for _ in range(4)]
    while sum(await asyncio.gather(*(drain.run(tenant.id) for drain in drains))):
        pass
    async with store.as_tenant(tenant.principal()) as tx:
        assert (await alerts.page(tx)).items[0].episode == 10
        assert len((await alerts.page(tx, first=200)).items) == 10
        assert sum(c.stored for c in await telemetry.counts(tx)) == 20


async def test_a_wait_that_is_over_raises_without_another_reading(
    tenant: Tenant, store: Store, worker_store: Store
) -> None:
    room, now = await tenant.device(), clock.now_ms()
    async with store.as_tenant(tenant.principal()) as tx:
        await rules.create(tx, too_warm(**{"for": "10s"}))
    began = now - 60_000
    tenant.tell([(room.id, began, {"temperature": 9.0})], received_ms=began)
    drain = Drain(worker_store)
    await drain.run(tenant.id)
    assert tenant.id in {row["tenant_id"] for row in await worker_store.door("due")} or await _open(tenant) == 1
    await drain.run(tenant.id)
    assert await _open(tenant) == 1


async def test_a_drain_that_is_behind_lets_no_timer_decide_before_a_message_that_came_in_time(
    tenant: Tenant, store: Store, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a backlog that takes three transactions, the last part says that it was warm for a moment only."""
    monkeypatch.setattr("engine.drain.READINGS_AT_ONCE", 1)
    room, other, noon = await tenant.device(), await tenant.device(), clock.now_ms() - 60_000
    async with store.as_tenant(tenant.principal()) as tx:
        await rules.create(tx, too_warm(**{"for": "10s"}))
    drain = Drain(worker_store)
    await drain.run(tenant.id)
    for device, at, warmth in ((room, noon, 9.0), (other, noon + 1_000, 5.0), (room, noon + 5_000, 5.0)):
        tenant.tell([(device.id, at, {"temperature": warmth})], received_ms=at)
    with psycopg.connect(tenant.postgres.url("superuser")) as connection:
        connection.execute(
            "UPDATE journal SET at = to_timestamp((body -> 'r' -> 0 ->> 3)::float8 / 1000) "
            "WHERE tenant_id = %s AND kind = 'telemetry'",
            [tenant.id],
        )
    assert await drain.run(tenant.id) == 3
    async with store.as_tenant(tenant.principal()) as tx:
        assert not (await alerts.page(tx)).items


async def test_what_came_after_a_read_ahead_is_read_before_time_passes(
    tenant: Tenant, store: Store, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two messages are read at once and taken one by one; a third, that it is cold again, comes in between."""
    monkeypatch.setattr("engine.drain.READINGS_AT_ONCE", 1)
    room, other, noon = await tenant.device(), await tenant.device(), clock.now_ms() - 60_000
    async with store.as_tenant(tenant.principal()) as tx:
        await rules.create(tx, too_warm(**{"for": "10s"}))
    await Drain(worker_store).run(tenant.id)
    for device, at, warmth in ((room, noon, 9.0), (other, noon + 1_000, 5.0)):
        tenant.tell([(device.id, at, {"temperature": warmth})], received_ms=at)
    with psycopg.connect(tenant.postgres.url("superuser")) as connection:
        connection.execute(
            "UPDATE journal SET at = now() - interval '59 s' WHERE tenant_id = %s AND kind = 'telemetry'", [tenant.id]
        )
    once, parts = Drain._once, 0

    async def interrupted(self: Drain, *given: Any) -> tuple[int, bool]:
        nonlocal parts
        parts += 1
        if parts == 2:
            tenant.tell([(room.id, noon + 5_000, {"temperature": 5.0})], received_ms=noon + 5_000)
        return await once(self, *given)

    monkeypatch.setattr(Drain, "_once", interrupted)
    assert await Drain(worker_store).run(tenant.id) == 3
    async with store.as_tenant(tenant.principal()) as tx:
        assert not (await alerts.page(tx)).items


async def test_switching_a_rule_off_ends_its_alerts(tenant: Tenant, store: Store, worker_store: Store) -> None:
    room = await tenant.device()
    async with store.as_tenant(tenant.principal()) as tx:
        rule = await rules.create(tx, too_warm())
    tenant.tell([(room.id, clock.now_ms(), {"temperature": 9.0})])
    drain = Drain(worker_store)
    await drain.run(tenant.id)
    assert await _open(tenant) == 1
    async with store.as_tenant(tenant.principal()) as tx:
        await rules.switch(tx, rule.id, is_enabled=False)
    await drain.run(tenant.id)
    assert await _open(tenant) == 0


async def test_an_edit_takes_effect_from_the_next_drain(tenant: Tenant, store: Store, worker_store: Store) -> None:
    room, drain = await tenant.device(), Drain(worker_store)
    async with store.as_tenant(tenant.principal()) as tx:
        rule = await rules.create(tx, too_warm())
    tenant.tell([(room.id, clock.now_ms(), {"temperature": 7.0})])
    await drain.run(tenant.id)
    assert await _open(tenant) == 0
    lower = too_warm(when={"metric": "temperature", "op": ">", "value": 6})
    async with store.as_tenant(tenant.principal()) as tx:
        await rules.change(tx, rule.id, lower, expected_version=1)
    tenant.tell([(room.id, clock.now_ms(), {"temperature": 7.1})])
    await drain.run(tenant.id)
    assert await _open(tenant) == 1


async def test_nothing_stays_open_for_a_decommissioned_device(
    tenant: Tenant, store: Store, worker_store: Store
) -> None:
    room, drain = await tenant.device(), Drain(worker_store)
    async with store.as_tenant(tenant.principal()) as tx:
        await rules.create(tx, too_warm())
    tenant.tell([(room.id, clock.now_ms(), {"temperature": 9.0})])
    await drain.run(tenant.id)
    async with store.as_tenant(tenant.principal()) as tx:
        await devices.decommission(tx, room.id)
    await drain.run(tenant.id)
    assert await _open(tenant) == 0


async def test_a_drain_that_dies_before_commit_leaves_no_trace(
    tenant: Tenant, store: Store, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = await tenant.device()
    async with store.as_tenant(tenant.principal()) as tx:
        await rules.create(tx, too_warm())
    tenant.tell([(room.id, clock.now_ms(), {"temperature": 9.0})])

    async def dies(*_: object) -> None:
        raise RuntimeError("killed before COMMIT")

    with monkeypatch.context() as patched:
        patched.setattr("engine.alerts.service.clear_all", dies)
        with pytest.raises(RuntimeError):
            await Drain(worker_store).run(tenant.id)
    assert await _open(tenant) == 0
    await Drain(worker_store).run(tenant.id)
    assert await _open(tenant) == 1


async def test_a_drain_need_not_read_its_own_news_of_alerts(tenant: Tenant, store: Store, worker_store: Store) -> None:
    room, drain = await tenant.device(), Drain(worker_store)
    async with store.as_tenant(tenant.principal()) as tx:
        await rules.create(tx, too_warm())
    tenant.tell([(room.id, clock.now_ms(), {"temperature": 9.0})])
    await drain.run(tenant.id)
    async with store.as_tenant(tenant.principal()) as tx:
        assert (await read.tail(tx, await read.head(tx) - 1))[0].kind == "alert.raised"
    assert await drain.run(tenant.id) == 0
    assert await _open(tenant) == 1


async def test_what_came_before_a_drains_own_news_is_read(
    tenant: Tenant, store: Store, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    room, drain, now = await tenant.device(), Drain(worker_store), clock.now_ms()
    async with store.as_tenant(tenant.principal()) as tx:
        await rules.create(tx, too_warm())
    tenant.tell([(room.id, now, {"temperature": 9.0})])
    clear_all = alerts.clear_all

    async def meanwhile(tx: Tx, cleared: Sequence[Cleared]) -> None:
        monkeypatch.undo()
        tenant.tell([(room.id, now + 1, {"temperature": 5.0})])
        await clear_all(tx, cleared)

    monkeypatch.setattr("engine.alerts.service.clear_all", meanwhile)
    await drain.run(tenant.id)
    await drain.run(tenant.id)
    assert await _open(tenant) == 0


async def _open(tenant: Tenant) -> int:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        return await alerts.count_open(tx)


async def test_two_workers_that_take_turns_see_what_the_other_has_done(
    tenant: Tenant, store: Store, worker_store: Store
) -> None:
    room, now = await tenant.device(), clock.now_ms()
    async with store.as_tenant(tenant.principal()) as tx:
        await rules.create(tx, too_warm())
    drains = [Drain(worker_store), Drain(worker_store)]
    values = [9.0, 9.1, 5.0, 9.2, 5.1, 5.2, 9.3, 9.4]
    for n, value in enumerate(values):
        tenant.tell([(room.id, now + n, {"temperature": value, f"m{n}": n})])
        await drains[n % 2 if n < 5 else n % 3 % 2].run(tenant.id)
    async with store.as_tenant(tenant.principal()) as tx:
        episodes = [(a.episode, a.status) for a in (await alerts.page(tx)).items]
        latest = {s.metric: s.value for s in (await telemetry.latest(tx, [room.id]))[room.id]}
    assert episodes == [(3, AlertStatus.ACTIVE), (2, AlertStatus.CLEARED), (1, AlertStatus.CLEARED)]
    assert latest == {"temperature": 9.4, **{f"m{n}": n for n in range(len(values))}}


async def test_a_device_of_another_profile_leaves_its_rules_and_their_alerts_behind(
    tenant: Tenant, store: Store, worker_store: Store
) -> None:
    room, drain, other = await tenant.device(), Drain(worker_store), await tenant.profile("other")
    async with store.as_tenant(tenant.principal()) as tx:
        await rules.create(tx, too_warm())
    tenant.tell([(room.id, clock.now_ms(), {"temperature": 9.0})])
    await drain.run(tenant.id)
    assert await _open(tenant) == 1
    async with store.as_tenant(tenant.principal()) as tx:
        await devices.change(tx, room.id, profile_id=other.id)
    await drain.run(tenant.id)
    tenant.tell([(room.id, clock.now_ms(), {"temperature": 9.9})])
    await drain.run(tenant.id)
    assert await _open(tenant) == 0


async def test_what_a_drain_remembers_is_bounded_and_forgetting_changes_nothing(
    tenant: Tenant, neighbour: Tenant, store: Store, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.drain.DEVICES_REMEMBERED", 1)
    drain, now = Drain(worker_store), clock.now_ms()
    for each in (tenant, neighbour):
        async with store.as_tenant(each.principal()) as tx:
            await each.profile()
            await rules.create(tx, too_warm(scope={"profile": None}))
    rooms = {each.id: [await each.device(), await each.device()] for each in (tenant, neighbour)}
    for n, value in enumerate([9.0, 5.0, 9.0]):
        for each in (tenant, neighbour):
            each.tell([(room.id, now + n, {"temperature": value}) for room in rooms[each.id]])
            await drain.run(each.id)
            assert drain._remembered <= 1
    for each in (tenant, neighbour):
        assert await _open(each) == 2


async def test_a_rule_that_tells_somebody_of_its_alert_does_so_step_by_step(
    tenant: Tenant, store: Store, worker_store: Store, tmp_path: Path
) -> None:
    room = await tenant.device("freezer-1")
    async with store.as_tenant(tenant.principal()) as tx:
        vault = LocalVault(tmp_path / "key")
        mail = await channels.create(tx, vault, name="mail", contact=contacts.email(["night@desk.example"]))
        await policies.create(tx, name="On call", steps=[Step(0, (mail.id,)), Step(15, (mail.id,))])
        said = "{device} is at {value}, {metric:temperature}, {time}."
        notify = {"do": "notify", "policy": "on-call", "message": said}
        await rules.create(tx, too_warm(then=[{"do": "alert"}, notify]))
        await tenants.set_time_zone(tx, "Asia/Kolkata")
    at = clock.now_ms()
    tenant.tell([(room.id, at, {"temperature": 9.54321})])
    await Drain(worker_store).run(tenant.id)
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        words = [row["message"] for row in await tx.rows(text("SELECT message FROM alert_tellings"), {})]
        await telling.run(tx)
    async with store.as_tenant(tenant.principal()) as tx:
        (alert,) = (await alerts.page(tx)).items
        (told,) = (await notifications.page(tx)).items
    assert (told.title, told.about) == ("freezer-1: Too warm", alert.id)
    there = clock.from_ms(at).astimezone(ZoneInfo("Asia/Kolkata"))
    assert words == [f"freezer-1 is at 9.54 °C, 9.54321, {there:%Y-%m-%d %H:%M} (Asia/Kolkata)."]


async def test_a_worker_forgets_what_it_knew_when_another_has_only_let_time_pass(
    tenant: Tenant, store: Store, worker_store: Store
) -> None:
    room, began = await tenant.device(), clock.now_ms() - 60_000
    async with store.as_tenant(tenant.principal()) as tx:
        await rules.create(tx, too_warm(**{"for": "10s"}))
    first, second = Drain(worker_store), Drain(worker_store)
    await first.run(tenant.id)
    tenant.tell([(room.id, began, {"temperature": 9.0})], received_ms=began)
    await first.run(tenant.id)
    assert await _open(tenant) == 0  # it waits, and the wait is over
    assert await second.run(tenant.id) == 0
    assert await _open(tenant) == 1
    tenant.tell([(room.id, began + 1_000, {"temperature": 5.0})])
    await first.run(tenant.id)
    assert await _open(tenant) == 0
    tenant.tell([(room.id, began + 20_000, {"temperature": 9.0})], received_ms=began + 20_000)
    await first.run(tenant.id)
    await second.run(tenant.id)
    async with store.as_tenant(tenant.principal()) as tx:
        episodes = [(a.episode, a.status) for a in (await alerts.page(tx)).items]
    assert episodes == [(2, AlertStatus.ACTIVE), (1, AlertStatus.CLEARED)]


async def test_one_transaction_takes_many_small_entries_though_one_read_brings_few(
    tenant: Tenant, store: Store, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.drain.ENTRIES_AT_ONCE", 2)
    room, now = await tenant.device(), clock.now_ms()
    for n in range(7):
        tenant.tell([(room.id, now + n, {"temperature": n})])
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        end = await read.head(tx)
    assert await Drain(worker_store).turn(tenant.id, 0.0) == (end, False)
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        (latest,) = (await telemetry.latest(tx, [room.id]))[room.id]
    assert latest.value == 6


async def test_an_entry_that_nobody_can_read_is_said_and_holds_nobody_up(
    tenant: Tenant, store: Store, worker_store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    room, nobody = await tenant.device(), "00000000-0000-0000-0000-000000000001"
    async with store.as_tenant(tenant.principal()) as tx:
        await rules.create(tx, too_warm())
        await rules.create(tx, too_warm(name="There", scope={"profile": None}, when={"presence": "online"}))
    await Drain(worker_store).run(tenant.id)
    bad: list[tuple[str, dict[str, object]]] = [
        ("device.connected", {"device": str(room.id), "at": 1}),
        ("device.disconnected", {"device": "no id", "at": 1, "epoch": 1, "reason": None}),
        ("device.event", {"type": "door"}),
        ("device.changed", {}),
        ("device.decommissioned", {"device": None}),
        ("rule.changed", {"rule": 7}),
        ("rules.reached", {"rest": [{"rule": nobody, "after": "the beginning"}]}),
        ("tenant.time_zone_set", {}),
        ("group.changed", {}),
        ("command.sent", {"command": nobody}),
        ("command.answered", {"command": nobody, "device": nobody, "at": 1, "status": "dreaming"}),
    ]
    for kind, body in bad:
        tenant.happen(kind, **body)
    tenant.tell([(room.id, clock.now_ms(), {"temperature": 9.0})])
    with caplog.at_level(logging.ERROR, "engine.drain"):
        assert await Drain(worker_store).run(tenant.id) == len(bad) + 1
    said = [record.__dict__ for record in caplog.records if record.message == "drain.entry_unreadable"]
    assert {each["kind"] for each in said} == {kind for kind, _ in bad}
    assert len({each["pos"] for each in said}) == len(bad)
    assert await _open(tenant) == 1
