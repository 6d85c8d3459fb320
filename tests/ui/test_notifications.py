"""The page of notifications: what it says of channels, policies and deliveries, and what its forms send."""

from typing import Any

import pytest

from tests.ui.support import Gateway, Visit
from ui.channels import (
    MAX_STEPS,
    LaterStep,
    changes_of,
    channel_line,
    contact_of,
    delivery_line,
    next_step,
    policy_line,
    policy_of,
)
from ui.pages.notifications import Notifications

CHANNEL: dict[str, Any] = {
    "id": "c1",
    "kind": "EMAIL",
    "name": "Night shift",
    "target": "anna@example.org and 1 more",
    "places": ["anna@example.org", "bo@example.org"],
    "isEnabled": True,
    "disabledReason": None,
    "failures": 0,
    "failingSince": None,
    "lastError": None,
    "lastSuccessAt": None,
    "version": 1,
}
POLICY: dict[str, Any] = {
    "id": "p1",
    "key": "on-call",
    "name": "On call",
    "severities": ["MAJOR", "CRITICAL"],
    "steps": [{"afterMin": 0, "channelIds": ["c1"]}, {"afterMin": 60, "channelIds": ["c2", "c1"]}],
    "repeatMin": None,
    "quietHours": {"start": "22:00", "end": "07:00", "timeZone": "Europe/Berlin"},
    "version": 3,
}
DELIVERY: dict[str, Any] = {
    "id": "d1",
    "kind": "WEBHOOK",
    "channelName": "Ticket system",
    "target": "hooks.example",
    "what": "alert.raised",
    "title": "Hot",
    "state": "RETRYING",
    "attempts": 4,
    "nextAt": "2026-01-01T00:00:00Z",
    "lastError": "The endpoint answered 503.",
    "createdAt": "2026-01-01T00:00:00Z",
    "endedAt": None,
    "canRetry": False,
}
PLAN = {"name": "On call", "severity:MAJOR": "on", "now:c1": "on", "wait2": "60"}


@pytest.fixture
async def told(gateway: Gateway, visit: Visit) -> Notifications:
    """The page as its visitor first sees it."""
    gateway.answers["Notifications"] = {
        "notificationSettings": {"sendsMail": False},
        "channels": [CHANNEL],
        "notificationPolicies": [POLICY],
        "deliveries": {"items": [DELIVERY], "pageInfo": {"hasNextPage": True, "endCursor": "e1"}},
    }
    state = visit(Notifications, "/notifications")
    await state.load()
    return state


def test_a_channel_says_what_is_wrong_with_it() -> None:
    assert channel_line(CHANNEL).trouble == ""
    failing = {**CHANNEL, "failures": 4, "lastError": "The endpoint answered 503."}
    assert channel_line(failing).trouble == "The last 4 tries were in vain. The endpoint answered 503."
    off = {**failing, "isEnabled": False, "disabledReason": "Switched off by hand."}
    assert channel_line(off).trouble == "Switched off by hand."


def test_a_policy_reads_as_who_is_told_when() -> None:
    line = policy_line(POLICY, {"c1": "Night shift", "c2": "Boss"})
    assert line.steps == ["At once: Night shift", "After 1 h without an answer: Boss and Night shift"]
    assert line.severities == "Critical and major alerts"
    assert line.quiet == "Quiet from 22:00 to 07:00, Europe/Berlin"
    assert (line.first, line.later, line.repeats) == (["c1"], [LaterStep("2", "60", "", ["c2", "c1"])], "")
    assert (line.repeat, line.odd_repeat) == ("0", "")
    odd = {**POLICY, "steps": [*POLICY["steps"], {"afterMin": 90, "channelIds": ["c1"]}], "repeatMin": 120}
    assert policy_line(odd, {}).later[1] == LaterStep("3", "90", "90 min", ["c1"])
    assert (policy_line(odd, {}).repeat, policy_line(odd, {}).odd_repeat) == ("120", "again every 2 h")
    assert policy_line(odd, {}).repeats == "The last comes again every 2 h until somebody acknowledges"


def test_one_more_step_comes_later_than_the_last_one() -> None:
    steps: list[LaterStep] = []
    for _ in range(MAX_STEPS - 1):
        steps.append(next_step(steps))
    assert [(each.number, each.wait) for each in steps] == [("2", "15"), ("3", "30"), ("4", "60"), ("5", "240")]
    assert next_step([LaterStep("2", "600", "10 h", [])]) == LaterStep("3", "840", "14 h", [])


def test_a_delivery_says_how_far_it_has_come() -> None:
    line = delivery_line(DELIVERY)
    assert (line.state, line.where, line.tries) == ("will be tried again", "Ticket system · hooks.example", "4 tries")
    assert line.next_at == DELIVERY["nextAt"]
    assert delivery_line({**DELIVERY, "state": "DELIVERED", "nextAt": None}).next_at == ""


@pytest.mark.parametrize(
    ("kind", "form", "sent"),
    [
        ("EMAIL", {"addresses": "a@b.c, d@e.f"}, {"email": {"addresses": ["a@b.c", "d@e.f"]}}),
        ("WEBHOOK", {"url": " https://x.example "}, {"webhook": {"url": "https://x.example"}}),
        ("SLACK", {"url": "https://s"}, {"slack": {"webhookUrl": "https://s"}}),
        ("TEAMS", {"url": "https://t"}, {"teams": {"webhookUrl": "https://t"}}),
        ("TELEGRAM", {"token": "1:x", "chat": "-1"}, {"telegram": {"botToken": "1:x", "chat": "-1"}}),
        (
            "SMS",
            {"provider": "TWILIO", "account": "AC", "token": "k", "sender": "Us", "numbers": "+49 1, +49 2"},
            {
                "sms": {
                    "provider": "TWILIO",
                    "account": "AC",
                    "secret": "k",
                    "sender": "Us",
                    "numbers": ["+49 1", "+49 2"],
                }
            },
        ),
    ],
)
def test_each_kind_sends_its_own_settings(kind: str, form: dict[str, Any], sent: dict[str, Any]) -> None:
    assert contact_of(kind, form) == sent
    with pytest.raises(ValueError, match="Please"):
        contact_of(kind, {})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": " "}, "a name"),
        ({"severity:MAJOR": False}, "one kind of alert"),
        ({"now:c1": None}, "at once"),
        ({"quiet_start": "22:00"}, "Quiet hours need"),
        ({"quiet_start": "22:00", "quiet_end": "07:00"}, "time zone"),
    ],
)
def test_a_policy_that_cannot_be_is_not_sent(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        policy_of({**PLAN, **change})


async def test_whoever_comes_to_see_what_arrived_is_led_there(told: Notifications, visit: Visit) -> None:
    assert "went-out" in str(await visit(Notifications, "/notifications?show=went-out").load())
    assert await visit(Notifications, "/notifications").load() is None


async def test_whoever_comes_to_see_one_delivery_finds_it_marked_and_first_where_it_is_older_than_the_page(
    told: Notifications, gateway: Gateway, visit: Visit
) -> None:
    state = visit(Notifications, f"/notifications?show=went-out&delivery={DELIVERY['id']}")
    assert f"sent-{DELIVERY['id']}" in str(await state.load())
    assert len(state.log) == 1
    gateway.answers["Delivery"] = {"delivery": {**DELIVERY, "id": "old"}}
    state = visit(Notifications, "/notifications?show=went-out&delivery=old")
    assert "sent-old" in str(await state.load())
    assert ([each.id for each in state.log], state.marked) == (["old", DELIVERY["id"]], "old")
    gateway.refuses("Delivery", "There is no such delivery.", "DELIVERY_NOT_FOUND")
    state = visit(Notifications, "/notifications?show=went-out&delivery=gone")
    assert "went-out" in str(await state.load())
    assert (state.marked, state.problem, len(state.log)) == ("", "There is no such delivery.", 1)


async def test_without_a_mail_server_the_page_knows(told: Notifications) -> None:
    assert told.ready
    assert not told.sends_mail


async def test_a_webhooks_key_is_shown_until_one_comes_back(told: Notifications, gateway: Gateway) -> None:
    gateway.answers["ChannelCreate"] = {"channelCreate": {"channel": {"id": "c2"}, "secret": "whsec_x"}}
    told.choose("WEBHOOK")
    await told.make({"name": " Tickets ", "url": "https://x.example"})
    assert gateway.variables("ChannelCreate") == {"input": {"name": "Tickets", "webhook": {"url": "https://x.example"}}}
    assert (told.secret, told.kind) == ("whsec_x", "")
    await told.load()
    assert told.secret == ""


async def test_a_channel_is_told_other_addresses_and_keeps_the_rest(told: Notifications, gateway: Gateway) -> None:
    gateway.answers["ChannelUpdate"] = {"channelUpdate": {"channel": {"id": "c1"}, "secret": None}}
    told.change("c1")
    assert told.changed is not None
    assert (told.kind, told.changed.begins) == ("EMAIL", {"addresses": "anna@example.org, bo@example.org"})
    await told.make({"name": "Night shift", "addresses": "anna@example.org, cy@example.org"})
    addresses = {"email": {"addresses": ["anna@example.org", "cy@example.org"]}}
    assert gateway.variables("ChannelUpdate") == {"id": "c1", "input": addresses, "version": 1}
    assert (told.kind, told.changed, told.secret) == ("", None, "")
    assert "Send it a test" in told.said


async def test_a_webhook_that_leads_elsewhere_shows_its_new_key(told: Notifications, gateway: Gateway) -> None:
    told.channels = [channel_line({**CHANNEL, "kind": "WEBHOOK", "target": "old.example", "places": ["old.example"]})]
    gateway.answers["ChannelUpdate"] = {"channelUpdate": {"channel": {"id": "c1"}, "secret": "whsec_y"}}
    told.change("c1")
    await told.make({"name": "Tickets", "url": "https://new.example/hook"})
    changes = {"name": "Tickets", "webhook": {"url": "https://new.example/hook"}}
    assert gateway.variables("ChannelUpdate")["input"] == changes
    assert (told.secret, told.secret_of) == ("whsec_y", "Tickets")


def test_a_channels_form_sends_only_what_was_changed() -> None:
    account = {"provider": "CLICKSEND", "account": "me", "sender": "Us"}
    by_phone = channel_line({**CHANNEL, "kind": "SMS", "places": ["+4915112345678"], "sms": account})
    kept = {"name": "Night shift", **account, "token": "", "numbers": "+4915112345678"}
    assert changes_of(by_phone, kept) == {}
    assert changes_of(by_phone, {**kept, "name": "Late shift"}) == {"name": "Late shift"}
    others = {**account, "numbers": ["+4915187654321"]}
    assert changes_of(by_phone, {**kept, "numbers": "+4915187654321"}) == {"sms": others}, "the key stays"
    assert changes_of(by_phone, {**kept, "token": "k"})["sms"]["secret"] == "k"
    with pytest.raises(ValueError, match="number"):
        changes_of(by_phone, {**kept, "numbers": ""})
    by_chat = channel_line({**CHANNEL, "kind": "TELEGRAM", "places": ["chat -100"], "telegram": {"chat": "-100"}})
    form = {"name": "Night shift", "token": "", "chat": "-100"}
    assert changes_of(by_chat, form) == {}
    assert changes_of(by_chat, {**form, "chat": "-200"}) == {"telegram": {"chat": "-200"}}
    assert changes_of(by_chat, {**form, "token": "1:x"}) == {"telegram": {"botToken": "1:x", "chat": "-100"}}
    program = channel_line({**CHANNEL, "kind": "WEBHOOK"})
    assert changes_of(program, {"name": "Night shift", "url": ""}) == {}
    with pytest.raises(ValueError, match="at least one"):
        changes_of(channel_line(CHANNEL), {"name": "Night shift", "addresses": ""})


async def test_a_channel_that_cannot_be_changed_so_keeps_its_form(told: Notifications, gateway: Gateway) -> None:
    gateway.refuses("ChannelUpdate", "Somebody has changed it meanwhile.", "VERSION_STALE")
    told.change("c1")
    await told.make({"name": "Late shift", "addresses": "anna@example.org, bo@example.org"})
    assert (told.kind, told.form_problem) == ("EMAIL", "Somebody has changed it meanwhile.")


async def test_what_is_refused_leaves_the_form_open_and_says_why(told: Notifications, gateway: Gateway) -> None:
    gateway.refuses("ChannelCreate", "The platform connects to https:// addresses only.", "ADDRESS_REFUSED")
    told.choose("WEBHOOK")
    await told.make({"name": "Tickets", "url": "http://x.example"})
    assert (told.kind, told.form_problem) == ("WEBHOOK", "The platform connects to https:// addresses only.")


async def test_a_changed_policy_is_sent_with_the_version_that_was_read(told: Notifications, gateway: Gateway) -> None:
    gateway.answers["NotificationPolicyUpdate"] = {"notificationPolicyUpdate": {"id": "p1"}}
    told.plan("p1")
    await told.save_plan({**PLAN, "later2:c2": "on", "wait3": "90", "later3:c1": "on", "wait4": "240"})
    sent = gateway.variables("NotificationPolicyUpdate")
    assert (sent["id"], sent["version"], sent["input"]["alwaysLoud"]) == ("p1", 3, True)
    assert sent["input"]["steps"] == [
        {"afterMin": 0, "channelIds": ["c1"]},
        {"afterMin": 60, "channelIds": ["c2"]},
        {"afterMin": 90, "channelIds": ["c1"]},
    ]
    assert sent["input"]["repeatMin"] == 0  # said, since what is left out stays
    assert not told.is_planning


async def test_the_log_is_read_page_by_page_and_another_choice_begins_anew(
    told: Notifications, gateway: Gateway
) -> None:
    await told.next_page()
    assert (gateway.variables("Notifications")["after"], told.number) == ("e1", 2)
    await told.look_again()
    assert (gateway.variables("Notifications")["after"], told.number) == ("e1", 2)
    await told.show_only("GIVEN_UP")
    assert (gateway.variables("Notifications")["after"], told.number) == (None, 1)


async def test_what_became_of_a_test_is_said_in_words(
    told: Notifications, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.pages.notifications.state.LOOKS_EVERY_S", 0)
    gateway.answers["ChannelTest"] = {"channelTest": [{"id": "d1"}, {"id": "d2"}]}
    async for _ in told.test("c1"):
        pass
    assert told.testing == "c1"
    gateway.answers["Delivery"] = {"delivery": {"state": "SENDING", "lastError": None, "target": "x"}}
    assert await told.follow() is not None  # it looks again
    gateway.answers["Delivery"] = lambda asked: {
        "delivery": {"state": "DELIVERED" if asked["id"] == "d1" else "GIVEN_UP", "lastError": "No.", "target": "x"}
    }
    assert await told.follow() is None
    assert (told.test_went, told.tested) == (False, "The test of “Night shift” did not arrive. No.")
