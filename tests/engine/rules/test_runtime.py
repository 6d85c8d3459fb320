"""Rules that read more than newest values, live: windows, silence, places, attributes, schedules; and what they do."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from engine import clock
from engine.alerts import service as alerts
from engine.devices import service as devices
from engine.devices.model import Metric, MetricType
from engine.drain import Drain
from engine.rules import firings, storms
from engine.rules import service as rules
from engine.rules.model import Mode
from engine.store.pool import Store
from engine.telemetry import service as telemetry
from engine.tenancy import system
from tests.support.rules import too_warm
from tests.support.tenant import Tenant

MINUTE = 60_000


def document(when: dict[str, Any], **more: Any) -> dict[str, Any]:
    return too_warm(name="Rule", when=when) | more


def average_above(limit: float, over: str = "5m") -> dict[str, Any]:
    return {"metric": "temperature", "agg": {"fn": "avg", "over": over}, "op": ">", "value": limit}


async def make(tenant: Tenant, *documents: dict[str, Any]) -> None:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        for each in documents:
            await rules.create(tx, each)


async def drained(worker_store: Store, tenant: Tenant, drain: Drain | None = None) -> None:
    drain = Drain(worker_store) if drain is None else drain
    while await drain.run(tenant.id):
        pass


async def fired(tenant: Tenant) -> list[tuple[int, str]]:
    """Episodes and their status, oldest first."""
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        found = (await alerts.page(tx, first=200)).items
    return sorted((alert.episode, alert.status.value) for alert in found)


async def test_an_average_is_right_whether_its_window_was_kept_or_read_back_from_telemetry(
    tenant: Tenant, worker_store: Store
) -> None:
    kept, lost = await tenant.device(), await tenant.device()
    await make(tenant, document(average_above(8)))
    now = clock.now_ms() // MINUTE * MINUTE - 10 * MINUTE + 1_000  # all leave the window at one line of its grid
    drain = Drain(worker_store)
    for n, value in enumerate([5.0, 12.0, 7.5, 9.0, 5.0, 4.0]):
        tenant.tell([(kept.id, now + n * 1_000, {"temperature": value})], received_ms=now + n * 1_000)
        await drained(worker_store, tenant, drain)
        tenant.tell([(lost.id, now + n * 1_000, {"temperature": value})], received_ms=now + n * 1_000)
        await drained(worker_store, tenant)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        found = (await alerts.page(tx)).items
    assert len(found) == 2
    first, second = found
    assert (first.raised_at, first.cleared_at, first.why["seen"]) == (
        second.raised_at,
        second.cleared_at,
        second.why["seen"],
    )
    assert first.why["seen"] == (5 + 12 + 7.5) / 3 or first.why["seen"] == 8.5


async def test_a_window_that_runs_out_decides_when_nothing_comes(tenant: Tenant, worker_store: Store) -> None:
    room, now = await tenant.device(), clock.now_ms()
    began = now - 5 * MINUTE
    await make(tenant, document({"metric": "temperature", "agg": {"fn": "count", "over": "2m"}, "op": "<", "value": 1}))
    tenant.tell([(room.id, began, {"temperature": 5.0})], received_ms=began)
    await drained(worker_store, tenant)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        found = (await alerts.page(tx)).items
    assert [clock.to_ms(alert.raised_at) for alert in found] == [began + 2 * MINUTE]
    tenant.tell([(room.id, now, {"temperature": 5.0})])
    await drained(worker_store, tenant)
    assert await fired(tenant) == [(1, "cleared")]


async def test_silence_fires_by_the_servers_clock_and_ends_with_the_next_message(
    tenant: Tenant, worker_store: Store
) -> None:
    quiet, loud, now = await tenant.device(), await tenant.device(), clock.now_ms()
    tenant.tell([(quiet.id, now - 60 * MINUTE, {"temperature": 5.0})], received_ms=now - 60 * MINUTE)
    tenant.tell([(loud.id, now, {"temperature": 5.0})], received_ms=now)
    await drained(worker_store, tenant)
    await make(tenant, document({"silence": "30m"}))
    await drained(worker_store, tenant)
    await drained(worker_store, tenant)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        found = (await alerts.page(tx)).items
    assert [alert.device_id for alert in found] == [quiet.id]
    tenant.tell([(quiet.id, now, {"humidity": 40})], received_ms=now)
    await drained(worker_store, tenant)
    assert await fired(tenant) == [(1, "cleared")]


async def test_presence_decides_at_once(tenant: Tenant, worker_store: Store) -> None:
    room = await tenant.device()
    await make(tenant, document({"presence": "offline"}, scope={"profile": None}))
    tenant.happen("device.connected", device=str(room.id), at=1, epoch=5, reason=None)
    tenant.happen("device.disconnected", device=str(room.id), at=2, epoch=5, reason="gone")
    tenant.happen("device.disconnected", device=str(room.id), at=3, epoch=4, reason="an older session's farewell")
    await drained(worker_store, tenant)
    assert await fired(tenant) == [(1, "active")]
    tenant.happen("device.connected", device=str(room.id), at=4, epoch=6, reason=None)
    await drained(worker_store, tenant)
    assert await fired(tenant) == [(1, "cleared")]


async def test_an_event_of_the_device_is_true_of_its_moment_only(tenant: Tenant, worker_store: Store) -> None:
    room = await tenant.device()
    await make(tenant, document({"event": "door-forced"}))
    for kind in ("door-forced", "door-opened", "door-forced"):
        tenant.happen("device.event", device=str(room.id), type=kind)
    await drained(worker_store, tenant)
    assert await fired(tenant) == [(1, "cleared"), (2, "cleared")]


async def test_attributes_tags_and_groups_decide_as_they_are_when_they_change(
    tenant: Tenant, worker_store: Store
) -> None:
    room, drain = await tenant.device(), Drain(worker_store)
    outdoor = {"all": [{"tag": "outdoor"}, {"attribute": "critical", "op": "==", "value": True}]}
    await make(tenant, document({"all": [{"metric": "temperature", "op": ">", "value": 8}, outdoor]}))
    tenant.tell([(room.id, clock.now_ms(), {"temperature": 9.0})])
    await drained(worker_store, tenant, drain)
    assert await fired(tenant) == []
    for labels, expected in (
        ({"outdoor": ""}, []),
        ({"outdoor": "", "critical": "true"}, [(1, "active")]),
        ({"critical": "true"}, [(1, "cleared")]),
    ):
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            await devices.change(tx, room.id, labels=labels)
        await drained(worker_store, tenant, drain)
        assert await fired(tenant) == expected


async def test_a_scope_of_tags_leaves_other_devices_alone(tenant: Tenant, worker_store: Store) -> None:
    tagged, other, drain = await tenant.device(), await tenant.device(), Drain(worker_store)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.change(tx, tagged.id, labels={"outdoor": "yes"})
    scope = {"profile": "cold-room", "tags": ["outdoor"]}
    await make(tenant, document({"metric": "temperature", "op": ">", "value": 8}, scope=scope))
    tenant.tell([(tagged.id, clock.now_ms(), {"temperature": 9.0}), (other.id, clock.now_ms(), {"temperature": 9.0})])
    await drained(worker_store, tenant, drain)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        assert [alert.device_id for alert in (await alerts.page(tx)).items] == [tagged.id]
        await devices.change(tx, tagged.id, labels={})
    await drained(worker_store, tenant, drain)
    assert await fired(tenant) == [(1, "cleared")]


async def test_a_rule_sets_tags_and_derives_and_its_value_moves_the_next_rule(
    tenant: Tenant, worker_store: Store
) -> None:
    room, drain = await tenant.device(), Drain(worker_store)
    hot = {"metric": "temperature", "op": ">", "value": 8}
    doing = [
        {"do": "set", "attribute": "state", "value": "{metric:temperature} degrees"},
        {"do": "tag", "add": "hot"},
        {"do": "derive", "metric": "humidity", "value": {"metric": "temperature", "times": 2.0, "plus": 1.0}},
    ]
    ending = [{"do": "tag", "remove": "hot"}]
    await make(
        tenant,
        document(hot, then=doing, on_clear=ending, name="Does"),
        document({"metric": "humidity", "op": "==", "value": 21}),
    )
    tenant.tell([(room.id, clock.now_ms(), {"temperature": 10.0})])
    await drained(worker_store, tenant, drain)
    assert await fired(tenant) == [(1, "active")]  # the second rule's; the first one raises none
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        assert (await devices.get(tx, room.id)).labels == {"state": "10 degrees", "hot": ""}
        latest = (await telemetry.latest(tx, [room.id]))[room.id]
    assert {sample.metric: sample.value for sample in latest} == {"temperature": 10.0, "humidity": 21.0}
    tenant.tell([(room.id, clock.now_ms(), {"temperature": 5.0})])
    await drained(worker_store, tenant, drain)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        assert (await devices.get(tx, room.id)).labels == {"state": "10 degrees"}
    tenant.tell([(room.id, clock.now_ms(), {"temperature": 1e308})])  # twice that is no number
    await drained(worker_store, tenant, drain)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        latest = (await telemetry.latest(tx, [room.id]))[room.id]
        (refused,) = await storms.notices(tx)
    assert {sample.metric: sample.value for sample in latest} == {"temperature": 1e308, "humidity": 21.0}
    assert "has no value" in refused.message


async def test_a_rule_that_raises_no_alert_notes_why_it_fired_and_why_that_was_over(
    tenant: Tenant, worker_store: Store
) -> None:
    room, drain, now = await tenant.device(), Drain(worker_store), clock.now_ms()
    tags = document({"metric": "temperature", "op": ">", "value": 8}, then=[{"do": "tag", "add": "hot"}])
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        rule = await rules.create(tx, tags)
    for n, value in enumerate((9.0, 5.0)):
        tenant.tell([(room.id, now + n, {"temperature": value})])
        await drained(worker_store, tenant, drain)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        (noted,) = (await firings.page(tx, rule.id)).items
    assert (noted.why["seen"], noted.would) == (9.0, ())
    assert noted.reason.startswith("temperature was 9 °C, above 8 °C, at ")
    assert noted.cleared_reason is not None
    assert noted.cleared_reason.startswith("temperature was 5 °C, at most 8 °C, at ")


async def test_what_a_rule_does_may_name_metrics_that_its_condition_does_not_ask_for(
    tenant: Tenant, worker_store: Store
) -> None:
    together, apart, now = await tenant.device(), await tenant.device(), clock.now_ms()
    doing = [
        {"do": "set", "attribute": "state", "value": "{metric:temperature} degrees"},
        {"do": "derive", "metric": "doubled", "value": {"metric": "temperature", "times": 2.0}},
    ]
    await make(tenant, document({"metric": "humidity", "op": ">", "value": 80}, then=doing))
    tenant.tell([(together.id, now, {"temperature": 10.0, "humidity": 90}), (apart.id, now, {"temperature": 11.0})])
    await drained(worker_store, tenant)
    tenant.tell([(apart.id, now + 1, {"humidity": 90})])
    await drained(worker_store, tenant)  # another worker: it reads back what is stored
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        latest = await telemetry.latest(tx, [together.id, apart.id])
        labels = [(await devices.get(tx, room.id)).labels for room in (together, apart)]
        moved = await tx.scalar(text("SELECT count(*) FROM rule_state"))
    made = [{each.metric: each.value for each in latest[room.id]}["doubled"] for room in (together, apart)]
    assert made == [20.0, 22.0]
    assert labels == [{"state": "10 degrees"}, {"state": "11 degrees"}]
    assert moved == 2


async def test_rules_that_feed_each_other_stop_after_some_hops_and_that_is_said_once(
    tenant: Tenant, worker_store: Store
) -> None:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        metrics = tuple(Metric(f"m{n}", MetricType.NUMBER, f"M{n}") for n in range(7))
        tenant.profiles["chain"] = await devices.profile_create(tx, key="chain", name="Chain", metrics=metrics)
    link, drain = await tenant.device(profile="chain"), Drain(worker_store)

    def feeds(n: int) -> dict[str, Any]:
        then = [{"do": "derive", "metric": f"m{n + 1}", "value": {"metric": f"m{n}", "plus": 1.0}}]
        when = {"metric": f"m{n}", "op": ">", "value": 0}
        return document(when, then=then, name=f"Link {n}", scope={"profile": "chain"})

    await make(tenant, *map(feeds, range(6)))
    tenant.tell([(link.id, clock.now_ms(), {"m0": 1.0})])
    await drained(worker_store, tenant, drain)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        notices = await storms.notices(tx)
        latest = (await telemetry.latest(tx, [link.id]))[link.id]
    assert [notice.kind for notice in notices] == ["loop"]
    assert all(f"“Link {n}”" in notices[0].message for n in range(5))
    assert {sample.metric for sample in latest} == {"m0", "m1", "m2", "m3", "m4"}


async def test_a_schedule_looks_at_its_times_only(tenant: Tenant, worker_store: Store) -> None:
    room, drain = await tenant.device(), Drain(worker_store)
    trigger = {"schedule": {"cron": "* * * * *", "tz": "UTC"}}
    await make(tenant, document({"metric": "temperature", "op": ">", "value": 8}, trigger=trigger))
    tenant.tell([(room.id, clock.now_ms(), {"temperature": 9.0})])
    await drained(worker_store, tenant, drain)
    assert await fired(tenant) == []
    tenant.run(
        'UPDATE rule_state SET due_at = now(), state = state || \'{"looked": 1, "due_at": 60000}\' WHERE tenant_id = %s'
    )
    await drained(worker_store, tenant)  # another worker: it reads what is stored
    assert await fired(tenant) == [(1, "active")]


async def test_times_go_by_the_clock_of_the_site_also_when_that_is_changed(tenant: Tenant, worker_store: Store) -> None:
    room, drain, now = await tenant.device(), Drain(worker_store), clock.from_ms(clock.now_ms())
    begin, end = (f"{(now.hour + hours) % 24:02}:00" for hours in (-1, 2))
    noon = document({"metric": "temperature", "op": ">", "value": 8}, trigger={"schedule": {"cron": "30 12 * * *"}})
    await make(tenant, document({"time": {"from": begin, "to": end}}), noon)

    async def due_at_noon() -> list[str]:
        await drained(worker_store, tenant, drain)
        async with worker_store.as_tenant(system(tenant.id)) as tx:
            rows = await tx.rows(
                text(
                    "SELECT to_char(s.due_at AT TIME ZONE 'UTC', 'HH24:MI') AS due FROM rule_state s "
                    "JOIN rules r ON r.id = s.rule_id WHERE jsonb_exists(r.document, 'trigger')"
                )
            )
        return [row["due"] for row in rows]

    assert await due_at_noon() == ["12:30"]
    assert await fired(tenant) == [(1, "active")]
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.change(tx, room.id, labels={"timezone": "Asia/Tokyo"})
    assert await due_at_noon() == ["03:30"]
    assert await fired(tenant) == [(1, "cleared")]


async def test_entering_a_place_is_seen_by_the_reading_that_crosses(tenant: Tenant, worker_store: Store) -> None:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        metrics = (Metric("position", MetricType.OBJECT, "Position"),)
        tenant.profiles["truck"] = await devices.profile_create(tx, key="truck", name="Truck", metrics=metrics)
    truck = await tenant.device(profile="truck")
    circle = {"circle": {"lat": 52.5, "lon": 13.4, "radius_m": 1_000}}
    await make(
        tenant,
        document(
            {"place": {"metric": "position", "is": "entered", "of": circle}}, scope={"profile": "truck"}, name="Entered"
        ),
    )
    now, drain = clock.now_ms(), Drain(worker_store)
    for n, lat in enumerate([52.6, 52.5, 52.501, 52.6, 52.5]):
        tenant.tell([(truck.id, now + n * 1_000, {"position": {"lat": lat, "lon": 13.4}})])
        await drained(worker_store, tenant, drain if n % 2 else None)
    assert await fired(tenant) == [(1, "cleared"), (2, "cleared")]


OFFLINE = document({"presence": "offline"}, scope={"profile": None})


@pytest.mark.parametrize("is_another", [False, True], ids=["one worker", "two workers"])
async def test_a_device_that_was_decommissioned_is_never_missed(
    tenant: Tenant, worker_store: Store, is_another: bool
) -> None:
    room, drain = await tenant.device(), Drain(worker_store)
    await make(tenant, OFFLINE, document({"metric": "temperature", "op": ">", "value": 8}))
    tenant.happen("device.connected", device=str(room.id), at=1, epoch=5, reason=None)
    await drained(worker_store, tenant, drain)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.decommission(tx, room.id)
    await drained(worker_store, tenant, drain)
    tenant.happen("device.disconnected", device=str(room.id), at=2, epoch=5, reason="cut")
    tenant.tell([(room.id, clock.now_ms(), {"temperature": 9.0})])  # was on its way
    await drained(worker_store, tenant, None if is_another else drain)
    assert await fired(tenant) == []


async def test_a_suspended_device_is_not_missed_before_it_is_let_in_again(tenant: Tenant, worker_store: Store) -> None:
    room, drain = await tenant.device(), Drain(worker_store)
    await make(tenant, OFFLINE)
    tenant.happen("device.connected", device=str(room.id), at=1, epoch=5, reason=None)
    await drained(worker_store, tenant, drain)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.suspend(tx, room.id)
    tenant.happen("device.disconnected", device=str(room.id), at=2, epoch=5, reason="cut")
    await drained(worker_store, tenant, drain)
    tenant.happen("device.disconnected", device=str(room.id), at=3, epoch=5, reason="cut")
    await drained(worker_store, tenant)
    assert await fired(tenant) == []
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.resume(tx, room.id)
    await drained(worker_store, tenant, drain)
    assert await fired(tenant) == [(1, "active")]


async def test_silence_of_a_suspended_device_counts_once_it_is_let_in_again(
    tenant: Tenant, worker_store: Store
) -> None:
    room, drain, long_ago = await tenant.device(), Drain(worker_store), clock.now_ms() - 60 * MINUTE
    await make(tenant, document({"silence": "30m"}))
    await drained(worker_store, tenant, drain)
    tenant.tell([(room.id, long_ago, {"temperature": 5.0})], received_ms=long_ago)
    await drain.run(tenant.id)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.suspend(tx, room.id)
    await drained(worker_store, tenant, drain)
    await drained(worker_store, tenant)
    assert await fired(tenant) == []
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.resume(tx, room.id)
    await drained(worker_store, tenant, drain)
    await drained(worker_store, tenant, drain)
    assert await fired(tenant) == [(1, "active")]


@pytest.mark.parametrize("before", [Mode.SHADOW, Mode.ON])
async def test_a_change_of_mode_undoes_what_was_done_and_only_that(
    tenant: Tenant, worker_store: Store, before: Mode
) -> None:
    room, drain = await tenant.device(), Drain(worker_store)
    hot = {"metric": "temperature", "op": ">", "value": 8}
    doing = {"then": [{"do": "alert"}], "on_clear": [{"do": "tag", "add": "over"}]}
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        rule = await rules.create(tx, document(hot, **doing), is_shadow=before is Mode.SHADOW)
    tenant.tell([(room.id, clock.now_ms(), {"temperature": 9.0})])
    await drained(worker_store, tenant, drain)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await rules.set_mode(tx, rule.id, Mode.ON if before is Mode.SHADOW else Mode.SHADOW)
    await drained(worker_store, tenant)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        noted = [each.cleared_at is not None for each in (await firings.page(tx, rule.id)).items]
        labels = (await devices.get(tx, room.id)).labels
    acted = [(1, "cleared")]
    assert (await fired(tenant), noted, labels) == (
        ([], [True], {}) if before is Mode.SHADOW else (acted, [], {"over": ""})
    )


async def test_of_more_alerts_an_hour_than_the_limit_the_first_are_raised_and_the_next_hour_begins_anew(
    tenant: Tenant, worker_store: Store
) -> None:
    room, other = await tenant.device(), await tenant.device()
    hot = {"metric": "temperature", "op": ">", "value": 8}
    await make(tenant, document(hot, limits={"max_per_hour": 2}))
    begin = clock.now_ms() - 3 * 60 * MINUTE
    for n in range(5):
        for device in (room, other) if n == 0 else (room,):
            for at, value in ((begin + 2 * n * MINUTE, 9.0), (begin + (2 * n + 1) * MINUTE, 5.0)):
                tenant.tell([(device.id, at, {"temperature": value})], received_ms=at)
    await drained(worker_store, tenant)
    assert await _raised_of(tenant, room.id) == [begin, begin + 2 * MINUTE]
    assert await _raised_of(tenant, other.id) == [begin]
    later = begin + 61 * MINUTE
    tenant.tell([(room.id, later, {"temperature": 9.0})], received_ms=later)
    await drained(worker_store, tenant)
    assert await _raised_of(tenant, room.id) == [begin, begin + 2 * MINUTE, later]


@pytest.mark.parametrize(
    ("do", "warm", "cold"),
    [("hold", ["ACTIVE"], []), ("fire", ["ACTIVE"], ["ACTIVE"]), ("clear", ["CLEARED"], [])],
)
async def test_a_value_that_is_missing_too_long_holds_fires_or_clears(
    tenant: Tenant, worker_store: Store, do: str, warm: list[str], cold: list[str]
) -> None:
    hot_room, cold_room, soon = await tenant.device(), await tenant.device(), await tenant.device()
    hot = {"metric": "temperature", "op": ">", "value": 8}
    await make(tenant, document(hot, missing={"after": "30m", "do": do}))
    for device, ago, value in ((hot_room, 40, 9.0), (cold_room, 40, 5.0), (soon, 10, 5.0)):
        at = clock.now_ms() - ago * MINUTE
        tenant.tell([(device.id, at, {"temperature": value})], received_ms=at)
    drain = Drain(worker_store)
    await drained(worker_store, tenant, drain)
    await drain.run(tenant.id)  # what is due is looked at when time is let pass
    assert [await _states_of(tenant, device.id) for device in (hot_room, cold_room, soon)] == [warm, cold, []]
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        assert all(alert.why["is"] is True for alert in (await alerts.page(tx)).items)


async def _raised_of(tenant: Tenant, device_id: UUID) -> list[int]:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        found = (await alerts.page(tx, first=200)).items
    return sorted(clock.to_ms(alert.raised_at) for alert in found if alert.device_id == device_id)


async def _states_of(tenant: Tenant, device_id: UUID) -> list[str]:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        found = (await alerts.page(tx, first=200)).items
    return [alert.status.name for alert in found if alert.device_id == device_id]
