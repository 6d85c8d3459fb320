"""A gateway's point table in words: its points as lines, what the edge answered, and examples to begin with."""

import json
from collections.abc import Iterator, Mapping, Sequence
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
class Proposal:
    """A point that could be in a table; `number` counts them, `found` is what it said when it was found."""

    number: int
    device: str
    metric: str
    address: str
    unit: str
    found: str
    words: str


@dataclass(frozen=True)
class ProblemLine:
    """What is wrong with a table; `line` counts from 1, 0 where it is about the whole."""

    line: int
    message: str


@dataclass(frozen=True)
class VersionLine:
    """A version of a table; `points` says how many it has."""

    version: int
    points: str
    who: str
    at: str


@dataclass(frozen=True)
class ChangeLine:
    """What is different in one connection, device or point."""

    kind: str
    tone: str
    name: str
    words: str


@dataclass(frozen=True)
class Answer:
    """What came of trying a point; `command` is its id while it is being tried."""

    words: str
    sign: str = ""
    tone: str = "badge"
    command: str = ""


CHANGES = {
    "ADDED": ("added", "badge badge-ok"),
    "CHANGED": ("changed", "badge badge-warn"),
    "REMOVED": ("taken out", "badge badge-bad"),
}


def change_lines(changes: list[dict[str, Any]]) -> list[ChangeLine]:
    """The contract's changes."""
    return [ChangeLine(*CHANGES[each["kind"]], each["name"], each["words"]) for each in changes]


def problem_lines(problems: list[dict[str, Any]]) -> list[ProblemLine]:
    """The contract's problems."""
    return [ProblemLine(each["line"] or 0, each["message"]) for each in problems]


def read(text: str) -> dict[str, Any]:
    """The document in a text, {} if there is none: what is wrong with it, the platform says."""
    try:
        found = yaml.load(text, Loader=yaml.CSafeLoader)  # six times as quick as the one written in Python
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def connections(table: Mapping[str, Any]) -> dict[str, str]:
    """The connections of a table, each with its protocol."""
    return {
        str(name): str(each.get("protocol", ""))
        for name, each in _mapping(table.get("connections")).items()
        if isinstance(each, dict)
    }


def point_lines(table: Mapping[str, Any]) -> list[PointLine]:
    """The points of a table that passed the check, in its order."""
    return [
        _point_line(str(key), device, point)
        for key, device in _mapping(table.get("devices")).items()
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


def proposals(found: Sequence[Mapping[str, Any]]) -> list[Proposal]:
    """What the edge proposes, as lines to tick."""
    return [
        Proposal(
            number=number,
            device=str(each.get("device", "")),
            metric=str(each.get("metric", "")),
            address=spelled(_mapping(each.get("address"))),
            unit=unit(str(each["unit"])) if each.get("unit") else "",
            found=_value(each["found"]) if "found" in each else "",
            words=str(each.get("words", "")),
        )
        for number, each in enumerate(found)
    ]


class Unfit(Exception):
    """What was asked cannot be done with this text; the words say why, and what to do."""


def wanted(protocol: str, form: Mapping[str, Any]) -> dict[str, Any]:
    """What narrows a look around, from a filled-in form; raises Unfit with words to show."""
    if protocol == "opcua":
        under = str(form.get("under", "")).strip()
        return _numbers(form, ("most",)) | ({"under": under} if under else {})
    if protocol == "bacnet":
        hosts = str(form.get("hosts", "")).replace(",", " ").split()
        return _numbers(form, ("low", "high", "most")) | ({"hosts": hosts} if hosts else {})
    return {**_numbers(form, ("unit", "from", "to")), "table": str(form.get("table") or "holding")}


def _numbers(form: Mapping[str, Any], names: Sequence[str]) -> dict[str, int]:
    given = {name: str(form.get(name, "")).strip() for name in names}
    for name, text in given.items():
        if text and not (text.isascii() and text.isdigit() and len(text) < 10):
            raise Unfit(f"“{text}” is no whole number ({name}).")
    return {name: int(text) for name, text in given.items() if text}


def with_points(text: str, connection: str, device: str, found: Sequence[Mapping[str, Any]]) -> str:
    """A table's text with proposed points added to one device; all else, comments too, stays as it is.

    They are read only: whoever wants to write to one says so. What the device has already is left out. Raises Unfit.
    """
    document, root = read(text), _composed(text)
    known = _mapping(_mapping(document.get("devices")).get(device))
    if known and known.get("connection") != connection:
        raise Unfit(f"{device} is read over another connection. Give these points another device.")
    points = _new_points(known, found)
    if not points:
        return text
    if root.flow_style:
        return _in_json(document, connection, device, [point for point, _ in points])
    return _inserted(text, root, connection, device, points)


def _composed(text: str) -> yaml.MappingNode:
    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        root = None
    if not isinstance(root, yaml.MappingNode):
        raise Unfit("The text cannot be read as it is. Check it and put it right, then add the points.")
    return root


def _new_points(device: dict[str, Any], found: Sequence[Mapping[str, Any]]) -> list[tuple[dict[str, Any], str]]:
    """The points that a device does not have yet, each with a remark on what it was when it was found."""
    shared = _mapping(device.get("address"))
    addresses = [{**shared, **_mapping(each.get("address"))} for each in _points(device)]
    metrics = {str(each.get("metric")) for each in _points(device)}
    added = []
    for each in found:
        if {**shared, **_mapping(each.get("address"))} in addresses:
            continue
        metric = _unused(str(each.get("metric", "point")), metrics)
        metrics.add(metric)
        point = {"metric": metric, "address": each.get("address")}
        point |= {"type": each["type"]} if each.get("type", "auto") != "auto" else {}
        point |= {"unit": each["unit"]} if each.get("unit") else {}
        point |= {"access": "command"} if each.get("access") == "command" else {}
        said = [f"{_value(each['found'])} when it was found"] if "found" in each else []
        remark = ", ".join([*said, *([str(each["words"])] if each.get("words") else [])])
        added.append((point, " ".join(remark.split())[:120]))
    return added


def _unused(metric: str, taken: set[str]) -> str:
    name, number = metric, 2
    while name in taken:
        name, number = f"{metric}_{number}", number + 1
    return name


def _in_json(document: dict[str, Any], connection: str, device: str, points: Sequence[dict[str, Any]]) -> str:
    devices = document["devices"] = _mapping(document.get("devices"))
    own = devices.setdefault(device, {"connection": connection})
    own["points"] = [*_points(own), *points]
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _inserted(
    text: str, root: yaml.MappingNode, connection: str, device: str, points: Sequence[tuple[dict[str, Any], str]]
) -> str:
    lines = text.rstrip("\n").split("\n")
    devices = _member(root, "devices")
    if not isinstance(devices, yaml.MappingNode):
        if devices is not None:
            raise Unfit("Nothing stands below `devices`. Take that line out, then add the points.")
        return _joined([*lines, "", "devices:", *_block("  ", connection, device, points)])
    if devices.flow_style:
        raise Unfit("Write each device on a line of its own below `devices`, not in { }, then add the points.")
    own = _member(devices, device)
    if own is None:
        block = _block(" " * devices.start_mark.column, connection, device, points)
        at = _last_line(devices)
    else:
        at, block = _below(own, points, device)
    return _joined([*lines[: at + 1], *block, *lines[at + 1 :]])


def _below(own: yaml.Node, points: Sequence[tuple[dict[str, Any], str]], device: str) -> tuple[int, list[str]]:
    """Behind which line a device's new points belong, and what to write there."""
    listed = _member(own, "points") if isinstance(own, yaml.MappingNode) else None
    if own.flow_style or (listed is not None and (not isinstance(listed, yaml.SequenceNode) or listed.flow_style)):
        raise Unfit(f"Write each point of {device} on a line of its own, after a dash, then add the points.")
    if listed is not None:
        return _last_line(listed), _items(" " * listed.start_mark.column, points)
    indent = " " * own.start_mark.column
    return _last_line(own), [f"{indent}points:", *_items(f"{indent}  ", points)]


def _block(indent: str, connection: str, device: str, points: Sequence[tuple[dict[str, Any], str]]) -> list[str]:
    head = [f"{indent}{_flow(device)}:", f"{indent}  connection: {_flow(connection)}", f"{indent}  points:"]
    return [*head, *_items(f"{indent}    ", points)]


def _items(indent: str, points: Sequence[tuple[dict[str, Any], str]]) -> list[str]:
    return [f"{indent}- {_flow(point)}{f'  # {remark}' if remark else ''}" for point, remark in points]


def _flow(value: Any) -> str:
    """A value on one line, as YAML has it."""
    said = yaml.safe_dump([value], default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**9)
    return str(said).strip()[1:-1]


def _member(node: yaml.MappingNode, name: str) -> yaml.Node | None:
    return next((value for key, value in node.value if key.value == name), None)


def _last_line(node: yaml.Node) -> int:
    """The last line that belongs to a node: what follows, blank lines and comments, does not."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _last_line(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.line) - (node.end_mark.column == 0 and node.end_mark.line > node.start_mark.line)


def _joined(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"
