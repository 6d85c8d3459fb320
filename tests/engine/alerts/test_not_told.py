"""Why nobody was told of an alert stands in its history: a rule's quiet hours, or too much at once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from psycopg import AsyncConnection
from sqlalchemy import text

from engine import clock
from engine.alerts import service as alerts
from engine.alerts import telling, timeline
from engine.alerts.model import Happening
from engine.certificates.vault import LocalVault
from engine.devices import service as devices
from engine.drain import Drain
from engine.notifications import channels, contacts, policies, render
from engine.notifications import service as notifications
from engine.notifications.model import Delivery, Message, Step
from engine.rules import service as rules
from engine.rules import storms
from engine.store.pool import Store
from engine.tenancy import system
from tests.support.rules import too_warm
from tests.support.tenant import Tenant

HOT = too_warm(severity="critical", then=[{"do": "alert"}, {"do": "notify", "policy": "on-call"}])


@pytest.fixture
async def room(tenant: Tenant, tmp_path: Path) -> UUID:
    """A device, and a policy that mails."""
    device = await tenant.device()
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        mail = contacts.email(["desk@desk.example"])
        channel = await channels.create(tx, LocalVault(tmp_path / "key"), name="mail", contact=mail)
        await policies.create(tx, name="On call", steps=[Step(0, (channel.id,))])
    return device.id


async def make(tenant: Tenant, **more: Any) -> None:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await rules.create(tx, HOT | more)


async def heard(tenant: Tenant, worker_store: Store, drain: Drain, room: UUID, *values: float) -> list[Delivery]:
    """The device sends these values, and a minute passes; everything that people were told."""
    now = clock.now_ms()
    tenant.tell([(room, now + n, {"temperature": value}) for n, value in enumerate(values)])
    while await drain.run(tenant.id):
        pass
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        tx.now += timedelta(minutes=1)
        await telling.run(tx, rules.sentences)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        return list((await notifications.page(tx)).items)


async def histories(tenant: Tenant) -> list[list[tuple[Happening, str | None]]]:
    """Kinds and words of each alert's history, the oldest alert first."""
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        found = [alert.id for alert in reversed((await alerts.page(tx)).items)]
        notes = await timeline.of(tx, found)
    return [[(note.kind, note.text) for note in notes[alert_id]] for alert_id in found]


async def test_an_alert_in_its_rules_quiet_hours_says_so_and_is_not_told_afterwards_either(
    tenant: Tenant, worker_store: Store, room: UUID
) -> None:
    now = datetime.now(UTC)
    begin, end = f"{now - timedelta(hours=2):%H:%M}", f"{now + timedelta(hours=2):%H:%M}"
    await make(tenant, limits={"quiet": {"from": begin, "to": end, "tz": "UTC"}})
    assert await heard(tenant, worker_store, Drain(worker_store), room, 9.0) == []
    words = f"The rule is in its quiet hours until {end}: it tells nobody, and does nothing else."
    assert await histories(tenant) == [[(Happening.NOT_TOLD, words)]]


async def test_what_is_over_in_quiet_hours_is_undone_all_the_same_and_nobody_is_told(
    tenant: Tenant, worker_store: Store, room: UUID
) -> None:
    now = clock.now_ms()
    begin, end = (f"{clock.from_ms(now + minutes * 60_000):%H:%M}" for minutes in (-5, 90))
    await make(
        tenant,
        then=[{"do": "tag", "add": "hot"}],
        on_clear=[{"do": "tag", "remove": "hot"}, {"do": "notify", "policy": "on-call"}],
        limits={"quiet": {"from": begin, "to": end, "tz": "UTC"}},
    )
    marked, drain = [], Drain(worker_store)
    for at, value in ((now - 600_000, 9.0), (now, 5.0), (now + 1, 9.0)):
        tenant.tell([(room, at, {"temperature": value})], received_ms=at)
        assert await heard(tenant, worker_store, drain, room) == []
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            marked.append("hot" in (await devices.get(tx, room)).labels)
    assert marked == [True, False, False]


async def test_outside_its_quiet_hours_a_rule_tells(tenant: Tenant, worker_store: Store, room: UUID) -> None:
    now = datetime.now(UTC)
    begin, end = f"{now + timedelta(hours=2):%H:%M}", f"{now + timedelta(hours=3):%H:%M}"
    await make(tenant, limits={"quiet": {"from": begin, "to": end, "tz": "UTC"}})
    assert [told.title for told in await heard(tenant, worker_store, Drain(worker_store), room, 9.0)]
    assert [kind for kind, _ in (await histories(tenant))[0]] == [Happening.TOLD]


async def test_a_rule_that_only_raises_alerts_has_nobody_to_tell_and_says_nothing(
    tenant: Tenant, worker_store: Store, room: UUID
) -> None:
    now = datetime.now(UTC)
    begin, end = f"{now - timedelta(hours=2):%H:%M}", f"{now + timedelta(hours=2):%H:%M}"
    await make(tenant, then=[{"do": "alert"}], limits={"quiet": {"from": begin, "to": end, "tz": "UTC"}})
    await heard(tenant, worker_store, Drain(worker_store), room, 9.0)
    assert await histories(tenant) == [[]]


async def test_in_a_storm_each_alert_says_why_nobody_is_told_and_the_owners_hear_of_it_once(
    tenant: Tenant, worker_store: Store, room: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storms, "OF_RULE", 2)
    await make(tenant, severity="minor")
    drain = Drain(worker_store, has_mail=True)
    for _ in range(2):
        log = await heard(tenant, worker_store, drain, room, *[9.0, 5.0] * 4)
    told = await histories(tenant)
    assert len(told) == 8
    muted = [words for history in told for kind, words in history if kind is Happening.NOT_TOLD]
    assert len(muted) == 6
    assert all("Too much was going on: nobody is told, and nothing else is done, until " in str(w) for w in muted)
    letters = [each for each in log if each.what == "rule.muted"]
    assert [each.target for each in letters] == [tenant.email]


async def test_where_mail_is_not_set_up_nothing_is_written_for_the_owners(
    tenant: Tenant, worker_store: Store, room: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storms, "OF_RULE", 2)
    await make(tenant)
    log = await heard(tenant, worker_store, Drain(worker_store), room, *[9.0, 5.0] * 4)
    assert not [each for each in log if each.what == "rule.muted"]


async def test_a_message_says_what_the_rule_said_that_fired(tenant: Tenant, worker_store: Store, room: UUID) -> None:
    await make(tenant)
    await heard(tenant, worker_store, Drain(worker_store), room, 9.0)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        (node,) = [row["message"] for row in await tx.rows(text("SELECT message FROM deliveries"))]
    said = "When temperature is above 8 °C, raise a critical alert and notify “On call”; it clears when that is no "
    told = Message.read(node)
    assert told.facts[-1] == ("The rule says", f"{said}longer so.")
    assert f"The rule says: {said}" in render.text(told, "")
    assert "The rule says</td>" in render.html(told, "")


async def test_an_alert_is_told_without_the_rules_words_when_its_version_cannot_be_read_any_more(
    tenant: Tenant, worker_store: Store, room: UUID
) -> None:
    await make(tenant)
    tenant.tell([(room, clock.now_ms(), {"temperature": 9.0})])
    while await Drain(worker_store).run(tenant.id):
        pass
    async with await AsyncConnection.connect(tenant.postgres.url("superuser")) as connection:
        await connection.execute("SET session_replication_role = replica")  # versions are never written anew else
        spoilt = "UPDATE rule_versions SET document = document || '{\"unknown\": 1}' WHERE tenant_id = %s"
        await connection.execute(spoilt, [tenant.id])
    log = await heard(tenant, worker_store, Drain(worker_store), room)
    assert [told.what for told in log] == ["alert.raised"]
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        (node,) = [row["message"] for row in await tx.rows(text("SELECT message FROM deliveries"))]
        (alert,) = (await alerts.page(tx)).items
        assert await rules.sentences(tx, [(alert.rule_id, alert.rule_version)]) == {}
    assert "The rule says" not in [name for name, _ in Message.read(node).facts]


async def test_an_alert_of_a_single_moment_is_told(tenant: Tenant, worker_store: Store, room: UUID) -> None:
    await make(tenant)
    log = await heard(tenant, worker_store, Drain(worker_store), room, 9.0, 5.0)
    assert [told.title.partition(": ")[2] for told in log] == ["Too warm"]
    assert [kind for kind, _ in (await histories(tenant))[0]] == [Happening.TOLD]
