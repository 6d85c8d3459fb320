"""The pages' states: what they ask, what they keep, and what they say when the platform refuses."""

import inspect
from typing import Any

import pytest

from tests.ui.support import ME, Gateway, Visit
from ui.pages.add_device import AddDevice
from ui.pages.device import Device
from ui.pages.devices import Devices
from ui.pages.overview import Overview
from ui.pages.rules import Rules, rule_line
from ui.pages.sign_in import SignIn

PROFILE = {
    "id": "p1",
    "key": "cold-room",
    "name": "Cold room",
    "reportingIntervalS": 60,
    "metrics": [],
    "updatedAt": "2026-01-01T00:00:00Z",
}
DEVICE = {
    "id": "d1",
    "key": "cold-1",
    "name": "Cold room 1",
    "status": "ACTIVE",
    "labels": {"site": "Basel"},
    "isOnline": True,
    "lastSeenAt": "2026-01-01T00:00:00Z",
    "version": 4,
    "quarantineReason": None,
    "createdAt": "2026-01-01T00:00:00Z",
    "presence": {"since": "2026-01-01T00:00:00Z", "reason": None, "silentSince": None},
    "profile": PROFILE,
    "latest": [],
    "credentials": [],
}
ALERT = {
    "id": "a1",
    "severity": "MAJOR",
    "status": "ACTIVE",
    "reason": "temperature was 9 °C",
    "raisedAt": "2026-01-01T00:00:00Z",
    "rule": {"id": "r1", "name": "Too warm"},
    "device": {"id": "d1", "name": "", "key": "cold-1"},
}
RULE = {
    "id": "r1",
    "name": "Too warm",
    "isEnabled": True,
    "mode": "ON",
    "severity": "MAJOR",
    "sentence": "When …",
    "openAlerts": 0,
    "actions": ["alert", "tag"],
    "isReadable": True,
    "lastFiredAt": None,
    "updatedAt": "2026-01-01T00:00:00Z",
}


def page(items: list[Any], end: str | None = None) -> dict[str, Any]:
    return {"items": items, "pageInfo": {"hasNextPage": end is not None, "endCursor": end}}


async def run(handler: Any) -> list[Any]:
    """Let a handler run to its end; what it handed to the browser."""
    if inspect.isasyncgen(handler):
        return [event async for event in handler]
    return [await handler]


@pytest.fixture
def devices(gateway: Gateway, visit: Visit) -> Devices:
    pages = {None: page([DEVICE], "c1"), "c1": page([DEVICE], "c2"), "c2": page([DEVICE])}
    gateway.answers["Devices"] = lambda variables: {"devices": pages[variables["after"]]}
    return visit(Devices, "/devices")


async def test_a_stranger_is_led_to_sign_in_and_back(gateway: Gateway, visit: Visit) -> None:
    state = visit(Overview, "/", cookie="")
    (event,) = await run(state.load())
    assert "/sign-in?next=/" in str(event)
    assert gateway.asked == []


async def test_nothing_of_one_person_stays_when_another_signs_in_in_the_same_tab(
    gateway: Gateway, visit: Visit, devices: Devices
) -> None:
    await devices.load()
    assert devices.devices != []
    gateway.refuses("Me", "Sign in first.", "UNAUTHENTICATED")
    await devices.load()
    assert devices.devices == []
    assert devices.tenant_name == ""


async def test_the_next_page_and_the_way_back(devices: Devices, gateway: Gateway) -> None:
    await devices.load()
    await devices.next_page()
    await devices.next_page()
    assert (devices.number, devices.has_next) == (3, False)
    await devices.previous_page()
    assert (devices.number, gateway.variables("Devices")["after"]) == (2, "c1")
    await devices.previous_page()
    assert (devices.number, gateway.variables("Devices")["after"]) == (1, None)


async def test_a_search_begins_at_the_first_page(devices: Devices, gateway: Gateway) -> None:
    await devices.load()
    await devices.next_page()
    await devices.set_search("  cold ")
    assert devices.number == 1
    asked = gateway.variables("Devices")
    assert (asked["search"], asked["after"], asked["status"]) == ("cold", None, None)


async def test_devices_that_are_offline_are_asked_for_by_connection_not_by_phase(
    devices: Devices, gateway: Gateway, visit: Visit
) -> None:
    await devices.set_status("ONLINE")
    assert (gateway.variables("Devices")["isOnline"], gateway.variables("Devices")["status"]) == (True, None)
    await devices.set_status("SUSPENDED")
    assert (gateway.variables("Devices").get("isOnline"), gateway.variables("Devices")["status"]) == (None, "SUSPENDED")
    missing = visit(Devices, "/devices?show=offline")
    await missing.load()
    assert (missing.status, gateway.variables("Devices")["isOnline"]) == ("OFFLINE", False)
    await missing.set_status("SILENT")
    assert (gateway.variables("Devices")["isSilent"], gateway.variables("Devices")["status"]) == (True, None)


async def test_devices_are_asked_for_by_label_as_people_write_it_and_by_a_devices_own(
    devices: Devices, gateway: Gateway, visit: Visit
) -> None:
    await devices.set_label(" site: Hamburg , floor=2,owner, ")
    assert gateway.variables("Devices")["labels"] == ["site=Hamburg", "floor=2", "owner"]
    await devices.set_label("")
    assert gateway.variables("Devices")["labels"] is None
    gateway.answers["DeviceDetail"] = {
        "device": {**DEVICE, "labels": {"site": "Hall 1 & 2/é", "a=b": "c=d"}},
        "alerts": page([]),
    }
    one = visit(Device, "/devices/d1")
    _ = [event async for event in one.load()]
    others = visit(Devices, one.label_pages["site"])
    await others.load()
    assert gateway.variables("Devices")["labels"] == ["site=Hall 1 & 2/é"]
    assert others.only_label_words == "site: Hall 1 & 2/é"
    await others.set_label("floor: 2")
    assert gateway.variables("Devices")["labels"] == ["floor=2", "site=Hall 1 & 2/é"]
    await others.forget_label()
    assert gateway.variables("Devices")["labels"] == ["floor=2"]
    odd = visit(Devices, one.label_pages["a=b"])
    await odd.load()
    assert gateway.variables("Devices")["labels"] == [r"a\=b=c=d"]
    assert odd.only_label_words == "a=b: c=d"


async def test_a_page_that_cannot_be_fetched_leaves_the_list_and_says_why(devices: Devices, gateway: Gateway) -> None:
    await devices.load()
    gateway.refuses("Devices", "Too many requests; wait and try again.", "TOO_MANY_REQUESTS")
    await devices.next_page()
    assert devices.problem == "Too many requests; wait and try again."
    assert (devices.number, len(devices.devices)) == (1, 1)


async def test_the_overview_counts_what_it_was_told(gateway: Gateway, visit: Visit) -> None:
    gateway.answers["Overview"] = {
        "deviceCount": {"total": 8, "online": 6, "silent": 1},
        "devices": page([DEVICE]),
        "alerts": page([*[ALERT] * 6, {**ALERT, "id": "worst", "severity": "CRITICAL"}]),
    }
    state = visit(Overview)
    await state.load()
    assert (state.total, state.online, state.silent, state.online_percent) == (8, 6, 1, 75)
    assert (state.open_alerts, len(state.alerts)) == (7, 5)
    assert [each.id for each in state.alerts[:2]] == ["worst", ALERT["id"]]
    assert state.alerts[0].device == "cold-1"


async def test_pages_ask_for_what_whoever_looks_may_read_and_show_the_rest(gateway: Gateway, visit: Visit) -> None:
    gateway.answers["Me"] = {"me": {**ME["me"], "scopes": ["devices:read"]}}  # type: ignore[dict-item]
    seen = {name: value for name, value in DEVICE.items() if name != "latest"}
    count = {"total": 1, "online": 1, "silent": 0}
    gateway.answers["Overview"] = {"deviceCount": count, "devices": page([seen])}
    state = visit(Overview)
    await state.load()
    assert gateway.variables("Overview") == {"readsTelemetry": False, "readsAlerts": False}
    assert (state.ready, state.problem, state.open_alerts, state.devices[0].readings) == (True, "", 0, [])
    gateway.answers["DeviceDetail"] = {"device": seen}
    one = visit(Device, "/devices/d1")
    await run(one.load())
    assert (one.ready, one.problem, one.name, one.alerts) == (True, "", "Cold room 1", [])
    gateway.answers["Me"] = {"me": {**ME["me"], "scopes": ["devices:read", "telemetry:read"]}}  # type: ignore[dict-item]
    await visit(Overview).load()
    assert gateway.variables("Overview") == {"readsTelemetry": True, "readsAlerts": False}


@pytest.fixture
async def device(gateway: Gateway, visit: Visit) -> Device:
    gateway.answers["DeviceDetail"] = {"device": DEVICE, "alerts": page([])}
    state = visit(Device, "/devices/d1")
    await run(state.load())
    return state


async def test_a_device_is_found_by_its_address(device: Device, gateway: Gateway) -> None:
    assert gateway.variables("DeviceDetail")["id"] == "d1"
    assert (device.ready, device.name, device.labels) == (True, "Cold room 1", {"site": "Basel"})


async def test_a_device_that_is_not_there_is_said_plainly(gateway: Gateway, visit: Visit) -> None:
    gateway.refuses("DeviceDetail", "There is no such device, or none that you may see.", "DEVICE_NOT_FOUND")
    state = visit(Device, "/devices/other")
    await run(state.load())
    assert (state.is_gone, state.ready, state.problem) == (True, False, "")


async def test_an_address_that_names_no_device_at_all_is_said_plainly(gateway: Gateway, visit: Visit) -> None:
    gateway.refuses("DeviceDetail", "An id is a UUID, for example 0190e6f2-…", "BAD_REQUEST")
    state = visit(Device, "/devices/nonsense")
    await run(state.load())
    assert (state.is_gone, state.problem) == (True, "")


async def test_an_issued_token_is_put_into_the_line_to_paste(device: Device, gateway: Gateway) -> None:
    assert "THE-DEVICE-TOKEN" in device.command
    gateway.answers["CredentialIssue"] = {"credentialIssue": {"credential": {"id": "c"}, "token": "tgd_new"}}
    await device.issue_token()
    assert "-P 'tgd_new'" in device.command


async def test_a_token_of_one_device_is_gone_on_the_next_page(device: Device, gateway: Gateway, visit: Visit) -> None:
    device.token = "tgd_new"
    other = visit(Device, "/devices/d2").router
    root = device
    while root.parent_state is not None:
        root = root.parent_state
    root.router = other
    await run(device.load())
    assert device.token == ""
    assert "tgd_new" not in device.command


async def test_saving_sends_the_version_that_was_read(device: Device, gateway: Gateway) -> None:
    gateway.answers["DeviceUpdate"] = {"deviceUpdate": {"id": "d1"}}
    await device.save({"name": "Dairy", "labels": "site: Bern"})
    sent = gateway.variables("DeviceUpdate")
    assert sent == {"id": "d1", "input": {"name": "Dairy", "labels": {"site": "Bern"}}, "version": 4}
    assert device.said == "Saved."


async def test_labels_that_cannot_be_read_are_not_sent(device: Device, gateway: Gateway) -> None:
    await device.save({"name": "Dairy", "labels": "no colon here"})
    assert "needs a colon" in device.problem
    assert "DeviceUpdate" not in [name for name, _ in gateway.asked]


async def test_a_device_is_suspended_and_resumed(device: Device, gateway: Gateway) -> None:
    gateway.answers["DeviceSuspend"] = {"deviceSuspend": {"id": "d1"}}
    gateway.answers["DeviceDetail"] = {"device": {**DEVICE, "status": "SUSPENDED"}, "alerts": page([])}
    await device.suspend()
    assert gateway.variables("DeviceSuspend") == {"id": "d1"}
    assert (device.status_words, "cut off" in device.said) == ("Suspended", True)
    gateway.refuses("DeviceResume", "A device that is active cannot become active.", "DEVICE_STUCK")
    await device.resume()
    assert (device.said, device.problem) == ("", "A device that is active cannot become active.")


async def test_a_quarantined_device_says_why_and_gets_a_new_token_when_it_is_released(
    device: Device, gateway: Gateway
) -> None:
    gateway.answers["DeviceQuarantine"] = {"deviceQuarantine": {"id": "d1"}}
    shut = {**DEVICE, "status": "QUARANTINED", "quarantineReason": "It sends nonsense"}
    gateway.answers["DeviceDetail"] = {"device": shut, "alerts": page([])}
    await device.quarantine({"reason": " It sends nonsense "})
    assert gateway.variables("DeviceQuarantine") == {"id": "d1", "reason": "It sends nonsense"}
    assert (device.status_words, device.quarantine_reason) == ("In quarantine", "It sends nonsense")
    gateway.answers["DeviceRelease"] = {"deviceRelease": {"token": "tgd_new"}}
    gateway.answers["DeviceDetail"] = {"device": DEVICE, "alerts": page([])}
    await device.release()
    assert (device.token, "-P 'tgd_new'" in device.command, device.quarantine_reason) == ("tgd_new", True, "")


async def test_a_devices_data_is_erased_only_if_that_is_ticked(device: Device, gateway: Gateway) -> None:
    gateway.answers["DeviceDecommission"] = {"deviceDecommission": {"id": "d1"}}
    await device.decommission({})
    assert gateway.variables("DeviceDecommission") == {"id": "d1", "erase": False}
    assert "Its history stays." in device.said
    await device.decommission({"erase": True})
    assert gateway.variables("DeviceDecommission")["erase"] is True


@pytest.fixture
async def adding(gateway: Gateway, visit: Visit) -> AddDevice:
    gateway.answers["Profiles"] = {"profiles": page([PROFILE])}
    state = visit(AddDevice, "/devices/add")
    await run(state.load())
    assert state.ready
    return state


async def test_the_key_follows_the_name_until_somebody_touches_it(adding: AddDevice) -> None:
    adding.set_name("Cold room 1")
    assert adding.key == "cold-room-1"
    adding.set_key("mine")
    adding.set_name("Cold room 2")
    assert adding.key == "mine"


async def test_a_key_the_contract_would_refuse_is_marked(adding: AddDevice) -> None:
    adding.set_key("not a key")
    assert adding.key_problem != ""
    adding.name = "A name"
    await run(adding.add())
    assert adding.uid == ""


async def test_an_added_device_shows_its_token(adding: AddDevice, gateway: Gateway) -> None:
    made = {"device": {"id": "d9", "key": "x", "name": "X"}, "token": "tgd_once"}
    gateway.answers["DeviceProvision"] = {"deviceProvision": made}
    adding.set_name("X")
    await run(adding.add())
    assert gateway.variables("DeviceProvision") == {"input": {"key": "x", "name": "X", "profileId": "p1"}}
    assert (adding.uid, adding.token, adding.is_busy) == ("d9", "tgd_once", False)
    await run(adding.load())
    assert adding.token == ""


async def test_a_taken_key_leaves_the_form_as_it_was_and_says_so_at_the_key(
    adding: AddDevice, gateway: Gateway
) -> None:
    gateway.refuses("DeviceProvision", "There is a device with this key already.", "DEVICE_KEY_TAKEN")
    adding.set_name("X")
    await run(adding.add())
    assert (adding.name, adding.uid, adding.is_busy, adding.problem) == ("X", "", False, "")
    assert adding.key_problem.startswith("Another device has this key")
    adding.set_key("x-2")
    assert adding.key_problem == ""
    gateway.refuses("DeviceProvision", "No more devices.", "QUOTA_EXCEEDED")
    await run(adding.add())
    assert (adding.problem, adding.key_problem) == ("No more devices.", "")


async def test_of_several_profiles_none_is_chosen_unasked(gateway: Gateway, visit: Visit) -> None:
    gateway.answers["Profiles"] = {"profiles": page([PROFILE, {**PROFILE, "id": "p2", "name": "Pump"}])}
    state = visit(AddDevice, "/devices/add")
    await run(state.load())
    state.set_name("X")
    await run(state.add())
    assert (state.profile_id, state.uid) == ("", "")
    assert "a profile" in state.problem
    gateway.answers["DeviceProvision"] = {"deviceProvision": {"device": {"id": "d9"}, "token": "tgd_once"}}
    state.set_profile("p2")
    await run(state.add())
    assert gateway.variables("DeviceProvision")["input"]["profileId"] == "p2"


@pytest.mark.parametrize(
    ("actions", "severity"),
    [(["alert", "tag"], "major"), (["webhook"], "major"), (["notify"], "major"), (["tag", "derive"], ""), ([], "")],
)
def test_how_bad_it_is_is_said_of_a_rule_only_where_something_depends_on_it(actions: list[str], severity: str) -> None:
    assert rule_line({**RULE, "actions": actions}).severity == severity


def test_a_rule_that_cannot_be_read_says_so_in_the_list() -> None:
    assert (rule_line(RULE).is_readable, rule_line({**RULE, "isReadable": False}).is_readable) == (True, False)


@pytest.fixture
async def rules(gateway: Gateway, visit: Visit) -> Rules:
    gateway.answers["Rules"] = {"rules": page([RULE])}
    state = visit(Rules, "/rules")
    await state.load()
    return state


@pytest.mark.parametrize("mode", ["SHADOW", "OFF", "ON"])
async def test_what_a_rule_is_to_do_shows_at_once_and_is_asked_for(rules: Rules, gateway: Gateway, mode: str) -> None:
    gateway.answers["RuleSetMode"] = {"ruleModeSet": {"id": "r1", "mode": mode}}
    await run(rules.let("r1", mode))
    assert gateway.variables("RuleSetMode") == {"id": "r1", "mode": mode}
    assert rules.rules[0].mode == mode


async def test_what_was_published_stands_first_and_is_marked_once(rules: Rules, gateway: Gateway) -> None:
    assert (gateway.variables("Rules")["order"], rules.rules[0].last_fired_at) == ("CHANGED", "")
    rules.edited("“Too warm” is published.", "r1")
    await rules.load()
    assert (rules.said, rules.fresh) == ("“Too warm” is published.", "r1")
    await rules.load()
    assert (rules.said, rules.fresh) == ("", "")


async def test_rules_are_put_in_another_order_and_stay_where_they_are_while_they_fire(
    rules: Rules, gateway: Gateway
) -> None:
    gateway.answers["Rules"] = {"rules": page([RULE, {**RULE, "id": "r2"}])}
    await rules.set_order("NAME")
    assert gateway.variables("Rules")["order"] == "NAME"
    fired = {**RULE, "id": "r2", "openAlerts": 1, "lastFiredAt": "2026-01-02T00:00:00Z"}
    gateway.answers["Rules"] = {"rules": page([fired, {**RULE, "id": "r3"}])}
    await rules.refresh()
    assert [(each.id, each.open_alerts, each.last_fired_at) for each in rules.rules] == [
        ("r1", 0, ""),
        ("r2", 1, "2026-01-02T00:00:00Z"),
    ]


async def test_what_a_rule_may_not_be_made_to_do_goes_back(rules: Rules, gateway: Gateway) -> None:
    gateway.refuses("RuleSetMode", "You may not do that.", "FORBIDDEN")
    await run(rules.let("r1", "OFF"))
    assert rules.rules[0].mode == "ON"
    assert rules.problem == "You may not do that."


async def test_rules_are_found_by_their_name(rules: Rules, gateway: Gateway) -> None:
    await run(rules.set_search(" cold "))
    assert (gateway.variables("Rules")["search"], gateway.variables("Rules")["after"]) == ("cold", None)
    await run(rules.set_search(""))
    assert gateway.variables("Rules")["search"] is None


@pytest.mark.parametrize(("path", "rule_id"), [("/rules/new", ""), ("/rules/r7", "r7")])
async def test_the_editor_opens_the_rule_of_the_address(
    gateway: Gateway, visit: Visit, path: str, rule_id: str
) -> None:
    state = visit(Rules, path)
    assert not state.is_open
    await run(state.open_editor())
    assert (state.rule_id, state.is_open) == (rule_id, True)


async def test_the_address_says_what_went_wrong_and_where_to_go(visit: Visit) -> None:
    state = visit(SignIn, "/sign-in?error=bad-credentials&next=/rules")
    await state.load()
    assert "do not belong together" in state.error
    assert state.next_path == "/rules"
