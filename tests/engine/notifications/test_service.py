"""Telling people by policies: who is told, once, and what the log says of it."""

from datetime import time
from uuid import uuid4

import pytest

from engine.notifications import channels, contacts, errors, policies, service
from engine.notifications.contacts import SmsProvider
from engine.notifications.model import DeliveryState, Message, QuietHours, Step
from tests.engine.notifications.conftest import HOT, Desk

ALWAYS = QuietHours(time(0, 0), time(23, 59, 59), "UTC")


async def test_every_place_of_a_policys_step_is_told_once_however_often_it_is_said(desk: Desk) -> None:
    first = await desk.channel("team", contacts.email(["a@desk.example", "b@desk.example"]))
    second = await desk.channel("boss")
    await desk.policy("On call", Step(0, (first.id,)), Step(15, (second.id,)))
    key = uuid4()
    assert (await desk.notify("on-call", key=key)).deliveries == 2
    await desk.notify("on-call", key=key)
    assert {each.target for each in await desk.log()} == {"a@desk.example", "b@desk.example"}
    await desk.notify("on-call", key=key, step=1)
    log = await desk.log()
    assert log[0].target == "boss@desk.example"
    assert {each.state for each in log} == {DeliveryState.WAITING}


async def test_who_is_not_told_is_said_in_words(desk: Desk) -> None:
    channel = await desk.channel("team")
    await desk.policy("On call", Step(0, (channel.id,)))
    assert "no notification policy “nobody”" in (await desk.notify("nobody")).why
    assert "does not tell of info" in (await desk.notify("on-call", Message("x", "x", severity="info"))).why
    assert "no step 2" in (await desk.notify("on-call", step=1)).why
    async with desk.store.as_tenant(desk.tenant.principal()) as tx:
        await channels.change(tx, desk.vault, channel.id, is_enabled=False)
    outcome = await desk.notify("on-call")
    assert outcome.deliveries == 0
    assert "switched off" in outcome.why
    (entry,) = await desk.log()
    assert (entry.state, entry.last_error, entry.can_retry) == (DeliveryState.GIVEN_UP, service.OFF, False)


async def test_a_channel_keeps_its_secret_until_another_one_is_given(desk: Desk) -> None:
    numbers, key = ["+4915112345678"], "abcdefgh12"
    carrier = SmsProvider.CLICKSEND
    made = await desk.channel("phones", contacts.sms(carrier, "me@desk.example", key, "Harbour", numbers))
    for secret, kept in ((None, key), ("another-key-12", "another-key-12")):
        contact = contacts.sms(carrier, "me@desk.example", secret, "Pier", ["+4915187654321"])
        async with desk.store.as_tenant(desk.tenant.principal()) as tx:
            changed = await channels.change(tx, desk.vault, made.id, contact=contact)
        assert (changed.target, changed.settings["sender"]) == ("+4915187654321", "Pier")
        assert await channels.secrets(desk.vault, desk.tenant.id, changed) == {"secret": kept}
    async with desk.store.as_tenant(desk.tenant.principal()) as tx:
        elsewhere = contacts.sms(SmsProvider.MESSAGEBIRD, "", None, "Harbour", numbers)
        with pytest.raises(errors.ChannelMalformed, match="carrier"):
            await channels.change(tx, desk.vault, made.id, contact=elsewhere)
    with pytest.raises(errors.ChannelMalformed, match="key"):
        await desk.channel("chat", contacts.telegram(None, "-1001234567890"))


async def test_in_quiet_hours_all_but_the_critical_waits(desk: Desk) -> None:
    channel = await desk.channel("team")
    await desk.policy("On call", Step(0, (channel.id,)), quiet_hours=ALWAYS)
    assert "quiet hours" in (await desk.notify("on-call")).why
    assert not (await desk.notify("on-call", Message("x", "Fire", severity="critical"))).why
    fire, hot = await desk.log()
    assert fire.title == "Fire"
    assert fire.next_at == fire.created_at
    assert hot.next_at is not None
    assert hot.next_at > hot.created_at


async def test_a_channel_that_a_policy_names_cannot_be_removed(desk: Desk) -> None:
    channel = await desk.channel("team")
    policy = await desk.policy("On call", Step(0, (channel.id,)))
    await desk.notify("on-call")
    async with desk.store.as_tenant(desk.tenant.principal()) as tx:
        with pytest.raises(errors.ChannelInUse):
            await channels.remove(tx, channel.id)
        await policies.remove(tx, policy.id)
        await channels.remove(tx, channel.id)
    (entry,) = await desk.log()
    assert (entry.state, entry.channel_name, entry.target) == (DeliveryState.GIVEN_UP, None, "team@desk.example")


async def test_the_log_comes_in_pages_and_finds_what_it_is_asked_for(desk: Desk) -> None:
    team, boss = await desk.channel("team"), await desk.channel("boss")
    about = uuid4()
    for channel in (team, boss):
        for n in range(3):
            async with desk.store.as_tenant(desk.tenant.principal()) as tx:
                await service.tell_channel(tx, channel.id, HOT, key=uuid4(), about=about if n == 1 else None)
    async with desk.store.as_tenant(desk.tenant.principal(), read_only=True) as tx:
        seen, after = [], None
        while True:
            page = await service.page(tx, first=4, after=after)
            seen += [each.id for each in page.items]
            if not page.has_next_page:
                break
            after = page.end_cursor
        assert len(set(seen)) == len(seen) == 6
        assert {each.channel_name for each in (await service.page(tx, channel_id=boss.id)).items} == {"boss"}
        assert len((await service.page(tx, about=about)).items) == 2
        assert not (await service.page(tx, state=DeliveryState.GIVEN_UP)).items


async def test_a_policy_names_channels_of_its_own_tenant_and_steps_that_come_one_after_the_other(desk: Desk) -> None:
    channel = await desk.channel("team")
    with pytest.raises(errors.ChannelNotFound):
        await desk.policy("Foreign", Step(0, (uuid4(),)))
    for steps in ((), (Step(5, (channel.id,)),), (Step(0, (channel.id,)), Step(0, (channel.id,))), (Step(0, ()),)):
        with pytest.raises(errors.PolicyMalformed):
            await desk.policy("Odd", *steps)
    await desk.policy("Team", Step(0, (channel.id,)))
    with pytest.raises(errors.PolicyKeyTaken):
        await desk.policy("team", Step(0, (channel.id,)))


@pytest.mark.parametrize(("start", "end", "zone"), [("22", "7", "x/y"), ("a", "b", "UTC"), ("07:00", "07:00", "UTC")])
def test_quiet_hours_that_are_none_are_refused(start: str, end: str, zone: str) -> None:
    with pytest.raises(errors.PolicyMalformed):
        policies.quiet_hours(start, end, zone)
