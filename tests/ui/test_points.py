"""A gateway's point table in the console: its examples can be sent, its points are lines, and each state has words."""

import json
from typing import Any

import pytest
import yaml

from engine.commands.model import CommandStatus
from engine.points import check
from tests.ui.support import Gateway, Visit
from ui.components.points import Points
from ui.components.points.versions import PointVersions
from ui.point_words import (
    EXAMPLES,
    UNSETTLED,
    Answer,
    Unfit,
    answer_of,
    point_lines,
    read,
    spelled,
    wanted,
    with_points,
)

TEXT = """connections: {plc: {protocol: modbus-tcp, host: 192.168.10.20}}
devices:
  cooler:
    connection: plc
    address: {unit: 2}
    points:
      - {metric: temperature, address: {holding: 100}, type: int16, scale: 0.1, unit: degC}
      - {metric: defrost, address: {coil: 3}, access: write}
"""
TABLE: dict[str, Any] = {
    **{"state": "NONE", "version": 0, "text": "", "points": 0, "changedBy": None, "changedAt": None, "saidAt": None},
    **{"runningVersion": None, "runningPoints": None, "runningSince": None, "isLocal": False, "problems": []},
    "fileText": None,
}
KEPT = {**TABLE, "state": "WAITING", "version": 1, "text": TEXT, "points": 2, "changedBy": "Ada", "changedAt": "1"}
MACHINES = {"items": [{"id": "d2", "key": "cooler", "name": None}], "pageInfo": {"hasNextPage": False}}
PROBLEM = {"line": 7, "message": "`type` is 'int17'; write one of auto, bool."}


def _answers(gateway: Gateway, table: dict[str, Any], machines: dict[str, Any] = MACHINES) -> None:
    device = {"key": "edge", "isOnline": True, "status": "ACTIVE", "profile": {"commands": []}}
    gateway.answers["DevicePoints"] = {"device": device, "pointTable": table}
    gateway.answers["PointMachines"] = {"devices": machines}


async def _run(handler: Any) -> None:
    async for _ in handler:
        pass


@pytest.mark.parametrize("protocol", EXAMPLES)
def test_every_example_can_be_sent_as_it_is(protocol: str) -> None:
    checked = check.checked(EXAMPLES[protocol][1])
    assert (list(checked.problems), checked.points) == ([], 2)
    assert len(point_lines(read(EXAMPLES[protocol][1]))) == 2


def test_a_point_says_where_it_lies_with_what_its_device_shares() -> None:
    temperature, defrost = point_lines(read(TEXT))
    assert (temperature.name, temperature.address, temperature.unit) == (
        "cooler/temperature",
        "unit 2, holding 100",
        "°C",
    )
    assert (temperature.is_read, defrost.is_read, defrost.access) == (True, False, "written")
    assert spelled({"device": 4194302, "object": "analog-input,3"}) == "device 4194302, object analog-input,3"


@pytest.mark.parametrize("text", ["", "[", "- a", "devices: 3", "devices: {a: {points: x}}", "a: !!python/object:os.x"])
def test_a_text_that_is_no_table_has_no_points(text: str) -> None:
    assert point_lines(read(text)) == []


@pytest.mark.parametrize("status", CommandStatus)
def test_each_end_of_a_try_has_words(status: CommandStatus) -> None:
    answer = answer_of({"status": status.name, "reason": None, "result": None}, "c1")
    assert answer.words
    assert bool(answer.command) == (status.name in UNSETTLED)


def test_what_the_machine_said_has_its_unit_and_its_quality() -> None:
    read = {"value": 21.5, "raw": 215, "unit": "degC", "quality": "good"}
    assert answer_of({"status": "SUCCEEDED", "reason": None, "result": read}, "c1") == Answer(
        "21.5 °C", "good", "badge badge-ok"
    )
    failed = {"status": "FAILED", "reason": "The machine does not answer.", "result": None}
    assert answer_of(failed, "c1").words == "The machine does not answer."


async def test_only_what_may_be_a_gateway_has_a_point_table(gateway: Gateway, visit: Visit) -> None:
    points = visit(Points, "/devices/d1")
    _answers(gateway, TABLE, {**MACHINES, "items": []})
    await points.load()
    assert (points.ready, points.is_gateway) == (True, False)
    assert gateway.variables("PointMachines") == {"labels": ["gateway=edge"]}
    _answers(gateway, TABLE)
    await points.load()
    assert points.is_gateway
    points.come()
    assert points.ready
    points.uid = "d2"
    points.come()
    assert not points.ready


async def test_a_draft_with_problems_is_not_sent_and_a_good_one_only_once_it_is_confirmed(
    gateway: Gateway, visit: Visit
) -> None:
    points = visit(Points, "/devices/d1")
    _answers(gateway, TABLE)
    await points.load()
    points.begin("modbus")
    gateway.answers["PointTableCheck"] = {"pointTableCheck": {"points": 0, "problems": [PROBLEM]}}
    await _run(points.ask_to_send())
    assert (points.sending, points.problems[0].line) == (-1, 7)
    points.write(TEXT)
    assert ([each.line for each in points.unsent], points.are_old) == ([7], True), "until it is checked again"
    gateway.answers["PointTableCheck"] = {"pointTableCheck": {"points": 2, "problems": []}}
    await _run(points.ask_to_send())
    assert (points.sending, points.unsent, points.are_old) == (2, [], False)
    assert not any(name == "PointTableSet" for name, _ in gateway.asked)
    gateway.answers["PointTableSet"] = {"pointTableSet": {"version": 1}}
    _answers(gateway, KEPT)
    await points.send()
    assert gateway.variables("PointTableSet") == {"deviceId": "d1", "text": TEXT, "version": 0}
    assert (points.state, points.is_open, [each.metric for each in points.lines]) == (
        "WAITING",
        False,
        ["temperature", "defrost"],
    )


async def test_what_somebody_writes_stays_when_another_sets_a_table_meanwhile(gateway: Gateway, visit: Visit) -> None:
    points = visit(Points, "/devices/d1")
    _answers(gateway, TABLE)
    await points.load()
    points.begin("bacnet")
    draft = points.draft
    _answers(gateway, {**KEPT, "state": "RUNNING"})
    await points.show_again()
    gateway.refuses("PointTableSet", "Somebody has changed it meanwhile.", "POINT_TABLE_STALE")
    await points.send()
    assert gateway.variables("PointTableSet")["version"] == 0
    points.write(draft := draft + "# more")
    assert (points.draft, points.is_stale) == (draft, True), (
        "and the way to the newer one does not go from under a press"
    )
    assert points.said == ""
    await points.renew()
    assert (points.draft, points.send_problem) == (TEXT, "")


async def test_what_somebody_writes_is_there_still_when_the_page_comes_again(gateway: Gateway, visit: Visit) -> None:
    points = visit(Points, "/devices/d1")
    _answers(gateway, KEPT)
    await points.load()
    points.open(True)
    await points.load()
    assert not points.is_open, "nothing was written"
    points.open(True)
    points.write(TEXT + "# more")
    number = points.draft_number
    await points.load()
    assert (points.draft, points.draft_number, points.is_open) == (TEXT + "# more", number, True)
    assert "still here" in points.said
    gateway.answers["PointTableSet"] = {"pointTableSet": {"state": "WAITING"}}
    await points.send()
    assert gateway.variables("PointTableSet")["version"] == KEPT["version"]
    points.open(True)
    points.write("another")
    points.router = visit(Points, "/devices/d2").router
    await points.load()
    assert (points.uid, points.draft, points.is_open, points.said) == ("d2", TEXT, False, "")


async def test_a_point_is_tried_and_what_came_of_it_stands_beside_it(gateway: Gateway, visit: Visit) -> None:
    points = visit(Points, "/devices/d1")
    _answers(gateway, KEPT, {**MACHINES, "items": []})
    await points.load()
    assert points.strangers == ["cooler"]
    gateway.answers["PointRead"] = {"pointRead": {"id": "c1"}}
    await points.try_point("cooler", "temperature")
    assert points.is_asking
    found = {"value": 3, "raw": 30, "unit": None, "quality": "uncertain"}
    gateway.answers["PointAnswer"] = {"command": {"status": "SUCCEEDED", "reason": None, "result": found}}
    await points.hear()
    answer = points.answers["cooler/temperature"]
    assert (answer.words, answer.sign, points.is_asking) == ("3", "uncertain", False)


async def test_an_edge_that_runs_its_own_file_shows_its_points_and_that_table_is_a_beginning(
    gateway: Gateway, visit: Visit
) -> None:
    points = visit(Points, "/devices/d1")
    runs = {**TABLE, "saidAt": "1", "runningVersion": 0, "runningPoints": 2, "fileText": TEXT}
    _answers(gateway, runs)
    await points.load()
    assert (points.runs_file, [each.metric for each in points.lines]) == (True, ["temperature", "defrost"])
    assert points.connections == {"plc": "modbus-tcp"}
    points.take_over()
    assert (points.is_open, points.draft, points.is_changed) == (True, TEXT, True)
    await points.load()
    points._found, points._looked_behind = json.dumps([FOUND]), "plc"
    points.add({"tick-0": "on", "device": "cooler"})
    assert (points.draft.count("metric:"), points.draft.startswith("connections:")) == (3, True)
    points.open(False)
    _answers(gateway, {**KEPT, "fileText": TEXT, "state": "REFUSED", "isLocal": True, "text": "connections: {}"})
    await points.load()
    assert (points.runs_file, points.is_open, len(points.lines)) == (True, False, 2)
    _answers(gateway, {**KEPT, "fileText": TEXT, "state": "WAITING", "text": "connections: {}"})
    await points.load()
    assert (points.runs_file, points.lines) == (False, [])


async def test_what_going_back_would_change_is_shown_before_it_is_sent(gateway: Gateway, visit: Visit) -> None:
    versions = visit(PointVersions, "/devices/d1")
    listed = [{"version": n, "points": n, "changedBy": "Ada", "changedAt": "1"} for n in (3, 2)]
    gateway.answers["PointTableVersions"] = {"pointTableVersions": listed}
    await versions.open(True)
    assert [(each.version, each.points) for each in versions.lines] == [(3, "3 points"), (2, "2 points")]
    change = {"kind": "CHANGED", "name": "cooler/temperature", "words": "scale: 0.1 → 0.01"}
    found = {"text": TEXT, "against": None, "changed": 3, "changes": [change]}
    gateway.answers["PointTableVersion"] = {"pointTableVersion": found}
    await versions.look(2)
    assert (versions.title, versions.more) == ("Version 2: what was before is not kept", 2)
    gateway.answers["PointTableVersion"] = {"pointTableVersion": {**found, "against": 3}}
    await versions.lead_back(2)
    assert gateway.variables("PointTableVersion") == {"deviceId": "d1", "version": 2, "against": 3}
    assert (versions.is_leading_back, versions.changes[0].kind) == (True, "changed")
    gateway.refuses("PointTableRevert", "Somebody has changed it meanwhile.", "POINT_TABLE_STALE")
    await versions.go_back()
    assert (versions.trouble, versions.is_leading_back) == ("Somebody has changed it meanwhile.", False)
    gateway.answers["PointTableRevert"] = {"pointTableRevert": {"version": 4}}
    await versions.lead_back(2)
    await versions.go_back()
    assert gateway.variables("PointTableRevert") == {"deviceId": "d1", "to": 2, "version": 3}
    assert (versions.chosen, versions.trouble) == (0, "")


FOUND = {
    **{"device": "unit-2", "metric": "temperature", "address": {"unit": 2, "holding": 7}, "type": "uint16"},
    **{"access": "read-write", "found": 7, "words": "holding 7\nof unit 2"},
}


@pytest.mark.parametrize("device", ["cooler", "unit-2"])
@pytest.mark.parametrize(
    "text", [TEXT, "# first\n" + TEXT + "\n# last", EXAMPLES["modbus"][1], json.dumps(yaml.safe_load(TEXT))]
)
def test_what_was_found_is_added_once_and_read_only_and_all_else_stays(text: str, device: str) -> None:
    added = with_points(text, "plc", device, [FOUND])
    assert check.checked(added).problems == ()
    (new,) = [each for each in point_lines(read(added)) if each.address == "unit 2, holding 7"]
    assert (new.device, new.is_read, new.access) == (device, True, "")
    assert new.metric == ("temperature_2" if device == "cooler" and "cooler" in text else "temperature")
    assert [line for line in text.splitlines() if "#" in line and line not in added.splitlines()] == []
    assert with_points(added, "plc", device, [FOUND]) == added


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("[", "a"),
        ("devices: {a: {connection: plc}}\n", "b"),
        (TEXT.replace("connection: plc", "connection: other"), "cooler"),
        ("devices:\n  a: {connection: plc, points: []}\n", "a"),
        ("devices:\n", "a"),
    ],
)
def test_where_points_cannot_be_added_it_is_said_what_to_do(text: str, device: str) -> None:
    with pytest.raises(Unfit, match=r"[.,] .+\.$"):
        with_points(text, "plc", device, [FOUND])


def test_a_look_around_is_narrowed_in_the_protocols_own_words() -> None:
    form = {"unit": "2", "table": "input", "from": "", "to": " 9 "}
    assert wanted("modbus-tcp", form) == {"unit": 2, "table": "input", "to": 9}
    assert wanted("opcua", {"under": " ns=2;s=a ", "most": "9"}) == {"under": "ns=2;s=a", "most": 9}
    assert wanted("bacnet", {"low": "0", "high": "10", "most": "2000"}) == {"low": 0, "high": 10, "most": 2000}
    assert wanted("bacnet", {"hosts": "192.168.20.30, 192.168.20.31"}) == {"hosts": ["192.168.20.30", "192.168.20.31"]}
    with pytest.raises(Unfit, match="no whole number"):
        wanted("bacnet", {"low": "1.5"})


async def test_what_is_ticked_goes_into_the_text_and_nothing_is_sent(gateway: Gateway, visit: Visit) -> None:
    points = visit(Points, "/devices/d1")
    _answers(gateway, {**KEPT, "state": "RUNNING"})
    await points.load()
    gateway.answers["PointDiscover"] = {"pointDiscover": {"id": "c2"}}
    points.open_look(True)
    await points.look_around({"unit": "2", "table": "holding", "from": "0", "to": "9"})
    assert gateway.variables("PointDiscover")["connection"] == "plc"
    result = {"points": [FOUND, {**FOUND, "address": {"unit": 2, "holding": 8}}], "found": 3}
    gateway.answers["PointAnswer"] = {"command": {"status": "SUCCEEDED", "reason": None, "result": result}}
    await points.hear()
    assert (len(points.proposals), points.found, points.is_asking) == (2, 3, False)
    assert points.look_problem == ""
    result = {"points": [{**FOUND, "address": {"unit": 2, "holding": 9}}], "found": 3, "stopped": "It ended there."}
    gateway.answers["PointAnswer"] = {"command": {"status": "SUCCEEDED", "reason": None, "result": result}}
    await points.look_further()
    assert gateway.variables("PointDiscover")["wanted"]["skip"] == 2
    await points.hear()
    assert [each.number for each in points.proposals] == [0, 1, 2]
    assert points.look_problem == "It ended there."
    points.add({"device": ""})
    assert points.look_problem == "Tick the points to be added first."
    points.add({"tick-1": "on", "device": "cooler"})
    assert (points.is_open, points.draft.count("holding: 8"), points.draft.count("holding: 7")) == (True, 1, 0)
    assert not any(name == "PointTableSet" for name, _ in gateway.asked)
