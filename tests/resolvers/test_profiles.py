"""Profiles through the contract: what they declare, who changed it, and silence as it is told live."""

from collections.abc import AsyncIterator
from uuid import uuid4

from engine import clock
from engine.tenancy import Role
from resolvers.live import Happened
from resolvers.streams import _device_status
from schema.telemetry import DeviceStatusChange
from tests.support.api import Api
from tests.support.tenant import Tenant

CREATE = """mutation($input: ProfileCreate!) { profileCreate(input: $input) {
  id version reportingIntervalS
  commands { key label description timeoutS arguments { key type label unit min max choices isRequired } }
  shadow { path type label unit min max choices isWritable } } }"""
VERSIONS = """query($id: ID!) { profileVersions(id: $id) {
  items { version changedBy changes reportingIntervalS commands { key } } pageInfo { hasNextPage } } }"""
SPEED = {"key": "speed", "type": "NUMBER", "label": "Speed", "unit": "%", "min": 10, "max": 100}
PUMP = {
    "key": "pump",
    "name": "Pump",
    "metrics": [],
    "reportingIntervalS": 60,
    "commands": [{"key": "run", "label": "Run", "arguments": [SPEED]}],
    "shadow": [{"path": "limits.mode", "type": "STRING", "choices": ["eco", "full"], "isWritable": True}],
}


async def test_what_a_profile_declares_comes_back_by_graphql_and_by_rest(api: Api, tenant: Tenant) -> None:
    token = await tenant.api_token()
    made = (await api.data(token, CREATE, input=PUMP))["profileCreate"]
    assert made["commands"] == [
        {
            "key": "run",
            "label": "Run",
            "description": "",
            "timeoutS": 30,
            "arguments": [{**SPEED, "choices": [], "isRequired": True}],
        }
    ]
    assert made["shadow"] == [
        {
            "path": "limits.mode",
            "type": "STRING",
            "label": "",
            "unit": None,
            "min": None,
            "max": None,
            "choices": ["eco", "full"],
            "isWritable": True,
        }
    ]
    found = (await api.rest(token, "GET", f"/profiles/{made['id']}")).json()
    assert (found["reportingIntervalS"], found["commands"], found["shadow"]) == (60, made["commands"], made["shadow"])


async def test_versions_are_listed_and_read_and_a_stale_change_is_refused(api: Api, tenant: Tenant) -> None:
    token = await tenant.api_token()
    made = (await api.rest(token, "POST", "/profiles", json=PUMP)).json()
    path = f"/profiles/{made['id']}"
    changed = await api.rest(token, "PATCH", path, json={"reportingIntervalS": 0, "commands": []})
    assert (changed.json()["version"], changed.json()["reportingIntervalS"]) == (2, None)
    stale = await api.rest(token, "PATCH", path, json={"name": "Late"}, headers={"If-Match": '"1"'})
    assert stale.status_code in (409, 412)
    listed = (await api.data(token, VERSIONS, id=made["id"]))["profileVersions"]
    assert [(each["version"], each["reportingIntervalS"], len(each["commands"])) for each in listed["items"]] == [
        (2, None, 0),
        (1, 60, 1),
    ]
    assert listed["items"][0]["changes"] == [
        "Devices are no longer expected to report at any interval.",
        "Removed the command “run”.",
    ]
    first = (await api.rest(await tenant.api_token(Role.VIEWER), "GET", f"{path}/versions/1")).json()
    assert (first["version"], first["shadow"][0]["path"]) == (1, "limits.mode")
    missing = await api.rest(token, "GET", f"{path}/versions/7")
    assert (missing.status_code, missing.json()["code"]) == (404, "PROFILE_VERSION_NOT_FOUND")


async def test_a_declaration_that_cannot_be_meant_names_its_places_and_remedies(api: Api, tenant: Tenant) -> None:
    wrong = {**SPEED, "min": 100, "max": 10}
    commands = [{"key": "run", "arguments": [wrong]}, {"key": "run"}]
    refused = await api.rest(await tenant.api_token(), "POST", "/profiles", json={**PUMP, "commands": commands})
    assert (refused.status_code, refused.json()["code"]) == (422, "COMMANDS_MALFORMED")
    problems = refused.json()["details"]["problems"]
    assert [problem["place"] for problem in problems] == ["command “run”", "command “run”, argument “speed”"]
    assert "Swap them" in problems[1]["message"]


async def test_falling_silent_and_being_heard_again_are_told_live() -> None:
    device, now = uuid4(), clock.now_ms()
    body = {"device": str(device), "at": now, "epoch": 3, "is_online": True}

    async def told() -> AsyncIterator[Happened]:
        yield Happened("7", "device.silent", now, {**body, "reason": "silent", "since": now - 5_000, "interval_s": 1})
        yield Happened("8", "device.reporting", now, {**body, "reason": "heard"})

    silent, heard = [event async for event in _device_status(told(), None)]
    assert (silent.change, silent.is_online, silent.silent_since) == (
        DeviceStatusChange.SILENT,
        True,
        clock.from_ms(now - 5_000),
    )
    assert (heard.change, heard.is_online, heard.silent_since) == (DeviceStatusChange.REPORTING, True, None)
