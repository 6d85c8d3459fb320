"""The point table: what it says, and how it is told that it is wrong."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.edge import document, points
from ingest.edge.modbus.address import Address
from ingest.edge.points import Point, PointTable, TableWrong, Unwritable

TABLE = """
connections:
  plc: {protocol: modbus-tcp, host: 127.0.0.1, port: 5020}
devices:
  freezer-1:
    connection: plc
    address: {unit: 7}
    every: 500 ms
    points:
      - {metric: temperature, address: {holding: 100}, type: int16, scale: 0.1, unit: Cel, deadband: 0.2}
      - {metric: setpoint, address: {holding: 101}, type: int16, scale: 0.1, offset: -5, access: read-write}
      - {metric: door, address: {discrete: 3}, every: 2 min, at_least_every: 1 h}
"""


def table(text: str) -> PointTable:
    return points.parse(document.read(text, "plant.yaml"))


@pytest.fixture
def wrong(tmp_path: Path) -> Callable[[str], str]:
    """What is told of a file that holds this."""

    def told(text: str) -> str:
        (tmp_path / "plant.yaml").write_text(text)
        with pytest.raises(TableWrong) as caught:
            points.load(tmp_path / "plant.yaml")
        return str(caught.value)

    return told


def point(**fields: object) -> Point:
    said = {"metric": "m", "address": {"holding": 0}, "type": "int16"} | fields
    return table(f"""
connections: {{plc: {{protocol: modbus-tcp, host: h}}}}
devices: {{d: {{connection: plc, points: [{json.dumps(said)}]}}}}
""").points[0]


def test_a_point_has_what_its_device_says_of_all_unless_it_says_otherwise() -> None:
    temperature, setpoint, door = table(TABLE).points

    assert temperature.name == "freezer-1/temperature"
    assert temperature.address == Address(7, "holding", 100, 1, "int16")
    assert (temperature.report.every_s, temperature.report.on_change, temperature.report.deadband) == (0.5, True, 0.2)
    assert (setpoint.is_written, setpoint.report.on_change, setpoint.unit) == (True, False, None)
    assert (door.report.every_s, door.report.at_least_s, door.type) == (120.0, 3600.0, "auto")


def test_the_same_table_comes_as_json_by_the_api() -> None:
    said = {
        "connections": {"plc": {"protocol": "modbus-tcp", "host": "127.0.0.1"}},
        "devices": {"d": {"connection": "plc", "points": [{"metric": "m", "address": {"coil": 1}, "type": "int61"}]}},
    }

    with pytest.raises(TableWrong, match=r"points\.devices\.d\.points\[0\]\.type: `type` is 'int61'; write one of"):
        points.parse(document.of(said, "points"))
    said["devices"]["d"]["points"][0]["type"] = "bool"  # type: ignore[index]
    assert points.parse(document.of(said, "points")).devices == ["d"]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (
            "int16, scale: 0.1, unit",
            "int61, scale: 0.1, unit",
            "plant.yaml, line 10 .*int61.*write one of auto, bool, int16",
        ),
        (
            "deadband: 0.2",
            "dead_band: 0.2",
            "line 10 .*Nothing is known by the name `dead_band` here; there are: .*deadband",
        ),
        ("{holding: 101}", "{holding: 70000}", "line 11 .*70000; write a whole number from 0 to 65535"),
        ("{holding: 101}", "{input: 101}", "line 11 .*A input can only be read; write holding"),
        ("500 ms", "5 weeks", "line 8 .*5 weeks.*write a time from 0.05 s"),
        ("connection: plc", "connection: plz", "line 6 .*no connection `plz`; there are: plc"),
        ("metric: door", "metric: setpoint", "line 12 .*freezer-1/setpoint is at .*line 11"),
        ("protocol: modbus-tcp", "protocol: modbus", "line 3 .*write one of modbus-tcp, modbus-rtu"),
        ("host: 127.0.0.1, ", "", "line 3 .*`host` is missing; add it: a name or an address"),
        ("{unit: 7}", "{unit: 7", "line 8.*This is no YAML"),
        ("freezer-1:", "freezer 1:", "line 6 .*no device's key"),
        ("type: int16, scale: 0.1, unit", "scale: 0.1, unit", "line 10 .*write `type`, such as int16"),
        ("scale: 0.1, offset", "scale: 0, offset", "line 11 .*A scale of 0"),
    ],
)
def test_an_error_names_the_line_what_is_wrong_and_what_to_write(
    wrong: Callable[[str], str], before: str, after: str, told: str
) -> None:
    assert before in TABLE
    assert re.search(told, wrong(TABLE.replace(before, after, 1)), re.DOTALL), wrong(TABLE.replace(before, after, 1))


def test_all_errors_are_told_at_once(wrong: Callable[[str], str]) -> None:
    told = wrong(TABLE.replace("int16", "int61").replace("discrete: 3", "discrete: -1"))

    assert [line.split(" (")[0] for line in told.splitlines()] == [f"plant.yaml, line {n}" for n in (10, 11, 12)]


def test_a_name_that_stands_twice_is_told_rather_than_lost(wrong: Callable[[str], str]) -> None:
    assert "stands here twice" in wrong(TABLE.replace("type: int16, scale: 0.1, unit", "type: int16, type: bool, unit"))


def test_a_document_that_an_anchor_makes_endless_is_refused(wrong: Callable[[str], str]) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)
    )
    assert "more than" in wrong(bomb)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("holding: 100}", f"holding: {'9' * 5_000}}}", "line 10 .*cannot be read"),
        ("scale: 0.1, unit", f"scale: 0x{'f' * 5_000}, unit", "line 10 .*larger than any number"),
        ("metric: door", "metric: 2026-13-45", "line 12 .*`2026-13-45` cannot be read; put a text into quotes"),
        ("holding: 101", "holding: !!int plc", "line 11 .*`plc` cannot be read"),
        ("deadband: 0.2", "on_change: !!bool perhaps", "line 10 .*`perhaps` cannot be read"),
        ("metric: door", "metric: do\x07or", "line 12: The character U\\+0007 cannot stand here"),
        ("    every: 500 ms", "    <<: {every: 500 ms}", "line 8: `<<` is not understood; write out"),
        ("scale: 0.1, unit", "scale: .nan, unit", "line 10 .*`scale` is nan; write a number"),
        ("holding: 101", "holding: 0101", "line 11 .*`0101` is 65 in YAML, another number than it seems"),
        ("500 ms", "1:30", "line 8 .*`1:30` is 90 in YAML"),
        ("metric: door", "metric: no", "line 12 .*`metric` is false; write a text: .* In quotes, if that is the text"),
        ("metric: door", "metric: 2026-01-02", "line 12 .*`metric` is 2026-01-02; write a text"),
        ("    every: 500 ms", "\tevery: 500 ms", "line 8: .*A tab stands before it; indent with spaces"),
        ("    every: 500 ms", "  every: 500 ms", "line 9: .*What belongs together begins in the same column"),
        ("500 ms", "-5 s", "line 8 .*-5 s.*write a time from 0.05 s"),
    ],
    ids=[
        "digits",
        "bits",
        "date",
        "int",
        "bool",
        "control",
        "merge",
        "nan",
        "zero before",
        "colon",
        "no",
        "day",
        "tab",
        "column",
        "negative",
    ],
)
def test_what_yaml_itself_stumbles_over_is_told_as_well(
    wrong: Callable[[str], str], before: str, after: str, told: str
) -> None:
    assert before in TABLE
    said = wrong(TABLE.replace(before, after, 1))
    assert re.search(told, said, re.DOTALL), said
    assert len(said) < 500


def test_a_scale_may_be_written_as_json_writes_it() -> None:
    assert [point(scale=scale).scale for scale in (1e-7, 2.5e16)] == [1e-7, 2.5e16]


def test_scaled_values_go_both_ways_without_crumbs() -> None:
    tenths = point(scale=0.1, offset=-5)

    assert [tenths.value_of(raw) for raw in (215, -3, 0)] == [16.5, -5.3, -5.0]
    assert [tenths.raw_of(value) for value in (16.5, -5.3, 7)] == [215, -3, 120]


@pytest.mark.parametrize(
    ("fields", "value", "told"),
    [
        ({"type": "int16", "scale": 0.1}, 4000, "takes -3276.8 to 3276.7"),
        ({"type": "uint16"}, -1, "takes 0 to 65535"),
        ({"type": "uint16"}, 1.5, "whole numbers"),
        ({"type": "uint16"}, True, "takes a number"),
        ({"type": "float32"}, float("nan"), "takes a number"),
        ({"type": "float64", "scale": 1e-10}, 1e300, "by its scale is too large"),
        ({"type": "bool"}, 1, "takes true or false"),
        ({"type": "string", "address": {"holding": 0, "length": 4}}, 5, "takes a text"),
    ],
)
def test_what_cannot_be_written_is_told_in_words(fields: dict[str, object], value: object, told: str) -> None:
    with pytest.raises(Unwritable, match=told):
        point(**fields).raw_of(value)
