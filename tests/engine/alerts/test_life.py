"""The life of an alert: who looks after it, who is told when, and when everybody is left in peace."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from engine import clock
from engine.alerts import errors, life, silences, telling, timeline
from engine.alerts import service as alerts
from engine.alerts.model import Alert, AlertStatus, Cleared, Happening, Raised, Silence
from engine.certificates.vault import LocalVault
from engine.devices import groups
from engine.devices import service as devices
from engine.devices.model import Device
from engine.notifications import channels, contacts, policies
from engine.notifications import service as notifications
from engine.notifications.model import Delivery, Step
from engine.rules import service as rules
from engine.store.pool import Store
from engine.tenancy import system
from engine.tenants import service as tenants
from tests.support.rules import too_warm
from tests.support.tenant import Tenant

WHY = {"metric": "temperature"}


class Desk:
    """What these tests do: raise alerts of one rule, let time pass, look who was told."""

    def __init__(self, tenant: Tenant, store: Store, worker_store: Store, tmp_path: Path) -> None:
        self.tenant, self.store, self.worker_store, self._vault_at = tenant, store, worker_store, tmp_path
        self.rule: UUID
        self._episode = 0

    async def open(self, *steps: int, repeat_min: int | None = None) -> "Desk":
        """A rule, and a policy with steps after so many minutes, each by a channel of its own."""
        await self.tenant.profile()
        async with self.store.as_tenant(self.tenant.principal()) as tx:
            self.rule = (await rules.create(tx, too_warm())).id
            vault = LocalVault(self._vault_at / "key")
            named = [
                await channels.create(tx, vault, name=f"mail {n}", contact=contacts.email([f"step{n}@desk.example"]))
                for n in range(len(steps))
            ]
            told = [Step(after, (channel.id,)) for after, channel in zip(steps, named, strict=True)]
            await policies.create(tx, name="On call", steps=told, repeat_min=repeat_min)
        return self

    async def raise_(self, *devices: Device, reason: str = "it was 9 °C", words: str | None = None) -> list[Alert]:
        """An alert for each device, told by the policy; ``words``: the rule's own, in which {} is the device."""
        self._episode += 1
        at = clock.from_ms(clock.now_ms())
        raised = [
            Raised(str(self.rule), 1, str(device.id), self._episode, "major", reason, WHY, at) for device in devices
        ]
        async with self.worker_store.as_tenant(system(self.tenant.id)) as tx:
            await alerts.raise_all(tx, raised)
            ids = [one.id(self.tenant.id) for one in raised]
            own = [words and words.format(device.key) for device in devices]
            await telling.plan(tx, [telling.Wish(each, "on-call", said) for each, said in zip(ids, own, strict=True)])
            found = await alerts.by_ids(tx, ids)
        return [found[alert_id] for alert_id in ids]

    async def clear(self, alert: Alert) -> None:
        """What the alert tells of is over."""
        async with self.worker_store.as_tenant(system(self.tenant.id)) as tx:
            ended = Cleared(str(alert.rule_id), str(alert.device_id), alert.episode, tx.now, "it was 5 °C")
            await alerts.clear_all(tx, [ended])

    async def after(self, minutes: float) -> list[Delivery]:
        """What has been told once so many minutes have passed, oldest first."""
        async with self.worker_store.as_tenant(system(self.tenant.id)) as tx:
            tx.now = datetime.now(UTC) + timedelta(minutes=minutes)
            await telling.run(tx)
        async with self.store.as_tenant(self.tenant.principal()) as tx:
            return list(reversed((await notifications.page(tx)).items))

    async def letters(self) -> list[str]:
        """The text of whatever was told, oldest first."""
        async with self.store.as_tenant(self.tenant.principal()) as tx:
            rows = await tx.rows(text("SELECT message ->> 'text' AS said FROM deliveries ORDER BY created_at, id"))
            return [row["said"] for row in rows]

    async def history(self, alert: Alert) -> list[tuple[Happening, str | None]]:
        """Kinds and words of an alert's history."""
        async with self.store.as_tenant(self.tenant.principal()) as tx:
            return [(note.kind, note.text) for note in (await timeline.of(tx, [alert.id]))[alert.id]]


@pytest.fixture
def desk(tenant: Tenant, store: Store, worker_store: Store, tmp_path: Path) -> Desk:
    return Desk(tenant, store, worker_store, tmp_path)


async def test_the_next_step_is_told_until_somebody_acknowledges(desk: Desk, tenant: Tenant) -> None:
    await desk.open(0, 15, 60)
    (alert,) = await desk.raise_(await tenant.device("freezer-1"))
    assert [(told.target, told.title) for told in await desk.after(0)] == [
        ("step0@desk.example", "freezer-1: Too warm")
    ]
    assert len(await desk.after(14)) == 1
    assert [told.title for told in await desk.after(16)][1:] == ["Still open: freezer-1: Too warm"]
    async with desk.store.as_tenant(tenant.principal()) as tx:
        await alerts.acknowledge(tx, alert.id, "On my way.")
    assert len(await desk.after(90)) == 2
    kinds = [kind for kind, _ in await desk.history(alert)]
    assert kinds == [Happening.TOLD, Happening.TOLD, Happening.ACKNOWLEDGED]


async def test_the_last_step_is_repeated_where_the_policy_says_so(desk: Desk, tenant: Tenant) -> None:
    await desk.open(0, repeat_min=30)
    await desk.raise_(await tenant.device())
    await desk.after(0)
    assert len(await desk.after(29)) == 1
    assert [told.target for told in await desk.after(31)] == ["step0@desk.example"] * 2
    assert len(await desk.after(62)) == 3


async def test_times_are_told_by_the_clock_of_the_device_else_by_the_tenants(desk: Desk, tenant: Tenant) -> None:
    await desk.open(0)
    here, there = await tenant.device(), await tenant.device()
    async with desk.store.as_tenant(tenant.principal()) as tx:
        await tenants.set_time_zone(tx, "Asia/Kolkata")
        await devices.change(tx, there.id, labels={"timezone": "Asia/Tokyo"})
    for device in (here, there):
        await desk.raise_(device, reason="it was 9 °C since 1 Jan 2026 10:00 UTC")
        await desk.after(0)
    assert await desk.letters() == [
        "It was 9 °C since 1 Jan 2026, 15:30 (Asia/Kolkata).",
        "It was 9 °C since 1 Jan 2026, 19:00 (Asia/Tokyo).",
    ]


async def test_many_devices_with_one_trouble_are_one_message(desk: Desk, tenant: Tenant) -> None:
    await desk.open(0)
    devices = [await tenant.device() for _ in range(3)]
    raised = await desk.raise_(*devices)
    assert [told.title for told in await desk.after(0)] == ["3 devices: Too warm"]
    assert [await desk.history(alert) for alert in raised] == [[(Happening.TOLD, "“On call”.")]] * 3


async def test_of_many_devices_each_has_the_rules_own_words_beside_it_unless_they_are_the_same(
    desk: Desk, tenant: Tenant
) -> None:
    await desk.open(0)
    rooms = [await tenant.device(f"room-{n}") for n in (1, 2)]
    for words in ("Look at {}.", "Look there."):
        await desk.raise_(*rooms, words=words)
        await desk.after(0)
    async with desk.store.as_tenant(tenant.principal()) as tx:
        query = "SELECT message ->> 'text' AS said, message -> 'facts' AS facts FROM deliveries ORDER BY created_at, id"
        rows = await tx.rows(text(query))
    apart, shared = ((row["said"], sorted(map(tuple, row["facts"]))) for row in rows)
    assert apart == ("", [("room-1", "Look at room-1."), ("room-2", "Look at room-2.")])
    assert shared == ("Look there.", [("room-1", "it was 9 °C"), ("room-2", "it was 9 °C")])


async def test_what_has_cleared_is_told_no_more(desk: Desk, tenant: Tenant) -> None:
    await desk.open(0, 10)
    (alert,) = await desk.raise_(await tenant.device())
    await desk.after(0)
    await desk.clear(alert)
    assert len(await desk.after(20)) == 1


async def test_an_alert_that_was_over_before_anybody_could_be_told_is_told_once_all_the_same(
    desk: Desk, tenant: Tenant
) -> None:
    await desk.open(0, 10, repeat_min=10)
    (alert,) = await desk.raise_(await tenant.device("freezer-1"))
    await desk.clear(alert)
    assert [told.title for told in await desk.after(0)] == ["freezer-1: Too warm"]
    assert await desk.letters() == ["It was 9 °C. It has cleared already: it was 5 °C."]
    assert len(await desk.after(60)) == 1
    assert await desk.history(alert) == [(Happening.TOLD, "“On call”.")]


async def test_several_short_alerts_of_one_device_are_one_message(desk: Desk, tenant: Tenant) -> None:
    await desk.open(0)
    device = await tenant.device("freezer-1")
    for _ in range(3):
        (alert,) = await desk.raise_(device)
        await desk.clear(alert)
    assert [told.title for told in await desk.after(0)] == ["freezer-1: Too warm, 3 times"]


async def test_what_cleared_while_it_was_put_off_or_was_acknowledged_first_says_so_and_is_not_told(
    desk: Desk, tenant: Tenant
) -> None:
    await desk.open(0)
    quiet, *others = [await tenant.device() for _ in range(3)]
    await silence(desk, device_id=quiet.id)
    silent, snoozed, seen = await desk.raise_(quiet, *others)
    async with desk.store.as_tenant(tenant.principal()) as tx:
        await life.snooze(tx, snoozed.id, tx.now + timedelta(hours=1))
        await alerts.acknowledge(tx, seen.id)
    for alert in (silent, snoozed, seen):
        await desk.clear(alert)
    assert await desk.after(61) == []
    untold = [
        [words for kind, words in await desk.history(alert) if kind is Happening.NOT_TOLD]
        for alert in (silent, snoozed, seen)
    ]
    assert untold == [[telling.CLEARED_IN_QUIET], [telling.CLEARED_IN_QUIET], [telling.ACKNOWLEDGED_BEFORE]]


async def test_a_snoozed_alert_waits_and_goes_on_where_it_stood(desk: Desk, tenant: Tenant) -> None:
    await desk.open(0, 10)
    (alert,) = await desk.raise_(await tenant.device())
    await desk.after(0)
    async with desk.store.as_tenant(tenant.principal()) as tx:
        await life.snooze(tx, alert.id, tx.now + timedelta(hours=2))
    assert len(await desk.after(60)) == 1
    assert len(await desk.after(121)) == 2
    async with desk.store.as_tenant(tenant.principal()) as tx:
        assert (await life.wake(tx, alert.id)).snoozed_until is None
        with pytest.raises(errors.SnoozeMalformed):
            await life.snooze(tx, alert.id, tx.now - timedelta(seconds=1))


async def silence(desk: Desk, device_id: UUID | None = None, group_id: UUID | None = None) -> Silence:
    async with desk.store.as_tenant(desk.tenant.principal()) as tx:
        until = tx.now + timedelta(hours=1)
        return await silences.create(
            tx, reason="The room is being cleaned.", until_at=until, device_id=device_id, group_id=group_id
        )


async def test_a_silence_lets_alerts_be_raised_and_tells_nobody_before_it_ends(desk: Desk, tenant: Tenant) -> None:
    await desk.open(0)
    quiet, loud = await tenant.device(), await tenant.device()
    made = await silence(desk, device_id=quiet.id)
    silent, heard = await desk.raise_(quiet, loud)
    assert silent.silenced_until == made.until_at
    assert heard.silenced_until is None
    assert len(await desk.after(1)) == 1
    assert (await desk.history(silent))[0][0] is Happening.SILENCED
    async with desk.store.as_tenant(tenant.principal()) as tx:
        await silences.end(tx, made.id)
    assert len(await desk.after(2)) == 2


async def test_a_silence_of_another_rule_or_group_is_not_about_it(desk: Desk, tenant: Tenant) -> None:
    await desk.open(0)
    async with desk.store.as_tenant(tenant.principal()) as tx:
        group = await groups.create(tx, key="site-7", name="Site 7", filter_={"keyPrefix": ["s7-"]})
    await silence(desk, group_id=group.id)
    inside, outside = await desk.raise_(await tenant.device("s7-freezer"), await tenant.device("s8-freezer"))
    assert inside.silenced_until is not None
    assert outside.silenced_until is None


async def test_an_alert_is_given_to_a_member_and_talked_about(desk: Desk, tenant: Tenant) -> None:
    await desk.open(0)
    (alert,) = await desk.raise_(await tenant.device())
    async with desk.store.as_tenant(tenant.principal()) as tx:
        given = await life.assign(tx, alert.id, tenant.user_id)
        assert (given.assigned_to, given.assigned_name) == (tenant.user_id, "Test Owner")
        await life.comment(tx, alert.id, " A fuse was blown. ")
        with pytest.raises(errors.NotAMember):
            await life.assign(tx, alert.id, uuid4())
        with pytest.raises(errors.CommentMalformed):
            await life.comment(tx, alert.id, "  ")
    assert await desk.history(alert) == [
        (Happening.ASSIGNED, "Test Owner"),
        (Happening.COMMENTED, "A fuse was blown."),
    ]


async def test_a_policy_that_is_gone_is_said_in_the_history(desk: Desk, tenant: Tenant) -> None:
    await desk.open(0)
    (alert,) = await desk.raise_(await tenant.device())
    async with desk.worker_store.as_tenant(system(tenant.id)) as tx:
        await telling.plan(tx, [telling.Wish(alert.id, "nobody")])
    await desk.after(0)
    words = [text for kind, text in await desk.history(alert) if kind is Happening.NOT_TOLD]
    assert words == ["“nobody”. There is no notification policy “nobody”."]


async def test_open_alerts_are_grouped_by_rule_and_acknowledged_together(desk: Desk, tenant: Tenant) -> None:
    await desk.open(0)
    raised = await desk.raise_(*[await tenant.device() for _ in range(3)])
    async with desk.store.as_tenant(tenant.principal()) as tx:
        await alerts.acknowledge(tx, raised[0].id)
        (group,) = await life.grouped(tx)
        assert (group.rule_id, group.open, group.unacknowledged, group.severity) == (desk.rule, 3, 2, "major")
        all_ = await life.acknowledge_all(tx, [alert.id for alert in raised])
        assert {alert.status for alert in all_} == {AlertStatus.ACKNOWLEDGED}
        assert (await life.grouped(tx))[0].unacknowledged == 0


async def test_open_alerts_are_put_off_together_and_what_has_cleared_is_left_alone(desk: Desk, tenant: Tenant) -> None:
    await desk.open(0)
    raised = await desk.raise_(*[await tenant.device() for _ in range(3)])
    await desk.clear(raised[1])
    async with desk.store.as_tenant(tenant.principal()) as tx:
        until = tx.now + timedelta(hours=1)
        put_off = await life.snooze_all(tx, [alert.id for alert in raised], until)
        assert [alert.snoozed_until for alert in put_off] == [until, None, until]
        deeds = [(deed.action, deed.target_id) for deed in tx.deeds]
        assert sorted(deeds) == sorted(("alert.snooze", str(raised[n].id)) for n in (0, 2))
        with pytest.raises(errors.AlertNotFound):
            await life.snooze_all(tx, [raised[0].id, uuid4()], until)
        with pytest.raises(errors.TooManyAlerts):
            await life.snooze_all(tx, [raised[0].id] * 201, until)


async def test_an_alert_says_what_went_out_about_it_alone_and_with_others_and_what_became_of_it(
    desk: Desk, tenant: Tenant
) -> None:
    await desk.open(0, 10)
    raised = await desk.raise_(*[await tenant.device() for _ in range(2)])
    await desk.after(0)
    await desk.clear(raised[1])
    await desk.after(11)
    async with desk.store.as_tenant(tenant.principal()) as tx:
        sent = await telling.sent(tx, [alert.id for alert in raised])
        notes = (await timeline.of(tx, [raised[0].id]))[raised[0].id]
    both, alone = sent[raised[0].id]
    assert sent[raised[1].id] == [both]
    assert [(each.target, each.channel_name, each.state) for each in (both, alone)] == [
        ("step0@desk.example", "mail 0", "waiting"),
        ("step1@desk.example", "mail 1", "waiting"),
    ]
    assert [each.created_at for each in (both, alone)] == [note.at for note in notes]


async def test_reminders_do_not_heap_up_in_quiet_hours(desk: Desk, tenant: Tenant) -> None:
    await desk.open(0, repeat_min=1)
    begins = datetime.now(UTC) + timedelta(minutes=1)
    async with desk.store.as_tenant(tenant.principal()) as tx:
        (policy,) = await policies.listed(tx)
        ends = begins + timedelta(hours=6)
        quiet = policies.quiet_hours(f"{begins:%H:%M}", f"{ends:%H:%M}", "UTC")
        await policies.change(tx, policy.id, quiet_hours=quiet)
    await desk.raise_(await tenant.device())
    await desk.after(0)
    for minutes in range(2, 60, 5):
        told = await desk.after(minutes)
    assert len(told) <= 2
