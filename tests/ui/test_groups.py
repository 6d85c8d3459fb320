"""Groups in the console: a filter survives the form, and only what was meant is sent."""

from typing import Any

import pytest

from engine.devices.filter import parse
from engine.devices.model import DeviceStatus
from tests.ui.support import ME, Gateway, Visit
from ui.filters import STATUSES, Unclear, filter_of, in_words, labels_text
from ui.pages.add_device import AddDevice
from ui.pages.devices import Devices
from ui.pages.group import Group
from ui.pages.groups import counted, group_line

FORM = {
    "labels": "site: Hamburg, Kiel\nfloor: 2",
    "prefixes": "pump-, fan-",
    "profile cold-room": True,
    "profile pump": False,
    "status active": "on",
}
FILTER = {
    "labels": {"site": ["Hamburg", "Kiel"], "floor": ["2"]},
    "profile": ["cold-room"],
    "status": ["active"],
    "keyPrefix": ["pump-", "fan-"],
}
GROUP: dict[str, Any] = {"id": "g1", "key": "night", "name": "Night", "filter": None, "deviceCount": 1, "version": 2}
PROFILE = {"id": "p1", "key": "cold-room", "name": "Cold room", "isStrict": False, "updatedAt": "", "metrics": []}


def page(items: list[Any]) -> dict[str, Any]:
    return {"items": items, "pageInfo": {"hasNextPage": False, "endCursor": None}}


def device(uid: str) -> dict[str, Any]:
    return {
        "id": uid,
        "key": uid,
        "name": uid,
        "status": "ACTIVE",
        "isOnline": False,
        "lastSeenAt": None,
        "presence": {"since": None},
        "profile": {"name": "Cold room"},
        "latest": [],
    }


async def run(handler: Any) -> None:
    """Let a handler that shows its steps run to its end."""
    async for _ in handler:
        pass


def test_the_form_says_what_the_platform_accepts() -> None:
    assert filter_of(FORM) == FILTER
    assert parse(filter_of(FORM)).document() == {**FILTER, "keyPrefix": ["fan-", "pump-"]}
    assert labels_text(FILTER) == FORM["labels"]


def test_every_phase_in_which_a_device_can_be_grouped_can_be_ticked() -> None:
    assert {status for status, _ in STATUSES} == {str(each) for each in DeviceStatus} - {"decommissioned"}


@pytest.mark.parametrize(
    "form", [{}, {"labels": " \n", "prefixes": " , "}, {"labels": "site Hamburg"}, {"labels": "a:"}]
)
def test_a_filter_that_asks_for_nothing_or_is_unclear_is_not_sent(form: dict[str, Any]) -> None:
    with pytest.raises(Unclear):
        filter_of(form)


def test_a_filter_is_read_aloud() -> None:
    said = "site is Hamburg or Kiel, floor is 2, profile is Cold room, in service, key begins with pump- or fan-"
    assert in_words(FILTER, {"cold-room": "Cold room"}) == said
    assert in_words({"profile": "gone"}, {}) == "profile is gone"


def test_a_group_says_how_many_it_holds() -> None:
    assert (counted(0), counted(1), counted(1200)) == ("0 devices", "1 device", "1,200 devices")
    assert group_line(GROUP, {}).how == "put in by hand"


@pytest.fixture
async def group(gateway: Gateway, visit: Visit) -> Group:
    gateway.answers["Profiles"] = {"profiles": page([PROFILE])}
    gateway.answers["DeviceGroup"] = {"deviceGroup": GROUP}
    gateway.answers["Devices"] = lambda asked: {
        "devices": page([device("d1")] if asked.get("groupId") else [device("d1"), device("d2")])
    }
    state = visit(Group, "/groups/g1")
    await run(state.load())
    return state


async def test_devices_that_are_in_already_are_not_offered(group: Group) -> None:
    assert [each.id for each in group.devices] == ["d1"]
    assert [each.id for each in group.offered] == ["d2"]


async def test_a_device_is_put_in_and_taken_out(group: Group, gateway: Gateway) -> None:
    gateway.answers["DeviceGroupAdd"] = {"deviceGroupAdd": {"id": "g1"}}
    gateway.answers["DeviceGroupRemove"] = {"deviceGroupRemove": {"id": "g1"}}
    await group.put_in("d2")
    assert gateway.variables("DeviceGroupAdd") == {"id": "g1", "deviceIds": ["d2"]}
    await group.take_out("d1")
    assert gateway.variables("DeviceGroupRemove") == {"id": "g1", "deviceIds": ["d1"]}


async def test_a_group_filled_by_hand_is_renamed_without_a_filter(group: Group, gateway: Gateway) -> None:
    gateway.refuses("DeviceGroupUpdate", "Somebody else has changed this group.", "VERSION_STALE")
    group.set_name("Late")
    await group.save({})
    assert gateway.variables("DeviceGroupUpdate") == {"id": "g1", "input": {"name": "Late"}, "version": 2}
    assert group.form_problem == "Somebody else has changed this group."


async def test_a_new_groups_key_follows_its_name(gateway: Gateway, visit: Visit) -> None:
    gateway.answers["Profiles"] = {"profiles": page([PROFILE])}
    gateway.answers["DeviceGroupCreate"] = {"deviceGroupCreate": {"id": "g9"}}
    state = visit(Group, "/groups/new")
    await run(state.load())
    state.set_name("Site Köln")
    await state.save({"profile cold-room": True})
    sent = {"input": {"key": "site-koln", "name": "Site Köln", "filter": {"profile": ["cold-room"]}}}
    assert gateway.variables("DeviceGroupCreate") == sent


async def test_the_list_of_devices_is_narrowed_to_a_group_of_the_address(gateway: Gateway, visit: Visit) -> None:
    gateway.answers["GroupNames"] = {"deviceGroups": {"items": [{"id": "g1", "name": "Night"}]}}
    gateway.answers["Devices"] = {"devices": page([])}
    state = visit(Devices, "/devices?group=g1")
    await state.load()
    assert gateway.variables("Devices")["groupId"] == "g1"
    await state.set_group("")
    assert gateway.variables("Devices")["groupId"] is None


@pytest.mark.parametrize(("filter_", "adds"), [(None, False), ({"profile": "pump"}, True)])
async def test_a_device_is_added_only_where_it_can_lie_in_a_group_that_one_sees(
    gateway: Gateway, visit: Visit, filter_: dict[str, str] | None, adds: bool
) -> None:
    gateway.answers["Me"] = {"me": {**ME["me"], "scopes": ["devices:read", "devices:write"], "groupIds": ["g1"]}}
    gateway.answers["GroupNames"] = {"deviceGroups": {"items": [{"id": "g1", "name": "Pumps", "filter": filter_}]}}
    gateway.answers["Profiles"] = {"profiles": {"items": []}}
    page = visit(AddDevice, "/devices/add")
    async for _ in page.load():
        pass
    assert (page.adds_devices, "Profiles" in [name for name, _ in gateway.asked]) == (adds, adds)
