"""A gateway's point table in words: its points as lines, what the edge answered, and examples to begin with."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from ui.command_words import plain
from ui.words import unit

EXAMPLES: Mapping[str, tuple[str, str]] = {
    "modbus": (
        "Modbus",
        """\
# How the edge reaches the machine.
connections:
  plc:                          # any name
    protocol: modbus-tcp        # on a serial line: modbus-rtu, with `device: /dev/ttyUSB0` instead of host and port
    host: 192.168.10.20
    port: 502

# What it reads there. `freezer-1` is the key of a device here, with the label `gateway`: the key of this one.
devices:
  freezer-1:
    connection: plc
    address: {unit: 1}          # the machine's number on the line
    every: 5 s                  # how often it is read
    points:
      # Counted from 0: register 40101 of a manual is holding 100.
      - metric: temperature
        address: {holding: 100}
        type: int16
        scale: 0.1              # 215 becomes 21.5
        unit: °C
      - metric: door_open
        address: {discrete: 0}
""",
    ),
    "opcua": (
        "OPC-UA",
        """\
# How the edge reaches the server.
connections:
  line-2:                       # any name
    protocol: opcua
    url: opc.tcp://192.168.10.40:4840
    # With a login: its password is a file in the folder `secrets` on the edge, never in this table.
    # user: reader
    # password_file: secrets/line-2

# What it reads there. `press-1` is the key of a device here, with the label `gateway`: the key of this one.
devices:
  press-1:
    connection: line-2
    every: 5 s                  # how often it is looked at
    points:
      - metric: pressure
        address: {node: "ns=2;s=Press1.Pressure"}
        unit: bar
        deadband: 0.1           # smaller changes are not sent
      - metric: running
        address: {node: "ns=2;s=Press1.Running"}
""",
    ),
    "bacnet": (
        "BACnet",
        """\
# How the edge takes part in the building's network.
connections:
  building:                     # any name
    protocol: bacnet
    interface: 192.168.10.5/24  # the edge's own address there, with its mask

# What it reads there. `ahu-1` is the key of a device here, with the label `gateway`: the key of this one.
devices:
  ahu-1:
    connection: building
    address: {device: 1001}     # the machine's BACnet number
    every: 30 s                 # how often it is read
    points:
      - metric: supply_temperature
        address: {object: "analog-input,1"}
        unit: °C
      - metric: fan_on
        address: {object: "binary-input,3"}
""",
    ),
}
"""Protocol → what it is called, and a table that passes the check once the addresses are those of the plant."""

ACCESS = {"read-write": "read and written", "write": "written", "command": "called"}
UNSETTLED = ("QUEUED", "SENT", "ACKNOWLEDGED")
QUALITY = {
    "good": ("good", "badge badge-ok"),
    "uncertain": ("uncertain", "badge badge-warn"),
    "bad": ("bad: not to be trusted", "badge badge-bad"),
}


@dataclass(frozen=True)
class PointLine:
    """One point of a table; `name` is its device and its metric."""

    name: str
    device: str
    metric: str
    address: str
    unit: str
    access: str
    connection: str
    is_read: bool


@dataclass(frozen=True)
class ProblemLine:
    """What is wrong with a table; `line` counts from 1, 0 where it is about the whole."""

    line: int
    message: str


@dataclass(frozen=True)
class Answer:
    """What came of trying a point; `command` is its id while it is being tried."""

    words: str
    sign: str = ""
    tone: str = "badge"
    command: str = ""


def problem_lines(problems: list[dict[str, Any]]) -> list[ProblemLine]:
    """The contract's problems."""
    return [ProblemLine(each["line"] or 0, each["message"]) for each in problems]


def read(text: str) -> dict[str, Any]:
    """The document in a text, {} if there is none: what is wrong with it, the platform says."""
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def connections(text: str) -> dict[str, str]:
    """The connections of a table, each with its protocol."""
    return {
        str(name): str(each.get("protocol", ""))
        for name, each in _mapping(read(text).get("connections")).items()
        if isinstance(each, dict)
    }


def point_lines(text: str) -> list[PointLine]:
    """The points of a table that passed the check, in its order."""
    return [
        _point_line(str(key), device, point)
        for key, device in _mapping(read(text).get("devices")).items()
        for point in _points(device)
    ]


def _points(device: Any) -> Iterator[dict[str, Any]]:
    found = _mapping(device).get("points")
    yield from (each for each in found if isinstance(each, dict)) if isinstance(found, list) else ()


def _point_line(key: str, device: dict[str, Any], point: dict[str, Any]) -> PointLine:
    metric, access = str(point.get("metric", "")), str(point.get("access") or "read")
    address = {**_mapping(device.get("address")), **_mapping(point.get("address"))}
    return PointLine(
        name=f"{key}/{metric}",
        device=key,
        metric=metric,
        address=spelled(address),
        unit=unit(str(point["unit"])) if point.get("unit") else "",
        access=ACCESS.get(access, ""),
        connection=str(device.get("connection", "")),
        is_read=access in ("read", "read-write"),
    )


def spelled(address: Mapping[str, Any]) -> str:
    """An address as people read it: `unit 1, holding 100`."""
    return ", ".join(f"{name} {_value(value)}" for name, value in address.items())


def _value(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:.10g}"
    return plain(value)


def _mapping(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def answer_of(command: Mapping[str, Any], command_id: str) -> Answer:
    """What came of reading a point."""
    status, result = command["status"], command["result"]
    if status in UNSETTLED:
        return Answer("Asking the machine…", command=command_id)
    if status == "SUCCEEDED" and isinstance(result, dict):
        sign = unit(str(result["unit"])) if result.get("unit") else ""
        quality = str(result.get("quality", ""))
        said, tone = QUALITY.get(quality, (quality or "quality not said", "badge"))
        return Answer(f"{_value(result.get('value'))} {sign}".strip(), said, tone)
    return Answer(ended(command), "no value", "badge badge-bad")


def ended(command: Mapping[str, Any]) -> str:
    """Why a question to the edge came to nothing."""
    if command["status"] == "TIMED_OUT":
        return "The edge did not answer in time. Try again; if it stays so, look at the edge and its connection."
    if command["status"] == "EXPIRED":
        return "The edge was not connected, so nothing was asked. Try again when it is back."
    return command["reason"] or "The edge could not do it, and did not say why."
