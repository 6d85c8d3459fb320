"""SenML packs (RFC 8428) become readings: base fields resolved, records of one time together, units kept.

A record's name begins with what the device is called; the login has said that already, so a URN or the device's key is
taken off and the rest names the metric. A number with a unit becomes ``{"value", "unit"}``, as over MQTT: the pipeline
knows SenML's units. A record's sum is a metric of its own, ``{metric}.sum``.

SenML has no word for quality and lets a record have fields of one's own, which others overlook (section 4.4): ours is
``quality``, as over MQTT. A record whose quality is bad has no value.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ingest.errors import Rejection, shown
from schema.wire.coap import SENML_RELATIVE_BELOW, SENML_VERSION
from schema.wire.payloads import MAX_METRIC_KEY_CHARS, Reason

_LABELS: Final = {
    -6: "bs", -5: "bv", -4: "bu", -3: "bt", -2: "bn", -1: "bver",
    0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb", 5: "s", 6: "t", 7: "ut", 8: "vd",
}  # fmt: skip
"""What stands for a field's name in CBOR (section 6)."""
_NUMBERS: Final = ("bt", "bv", "bs", "t", "ut", "v", "s")
_TEXTS: Final = ("bn", "bu", "n", "u", "vs", "vd", "quality")
_VALUES: Final = ("v", "vs", "vb", "vd")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9:./_-]*")
_MAX_S: Final = 253_402_300_800  # the year 10000
_MAX_NAME_CHARS: Final = 256
"""Of a whole name, its base included: one long base would be in each of thousands of records."""
_MAX_UNIT_CHARS: Final = MAX_METRIC_KEY_CHARS

Record = Mapping[Any, Any]


def readings(pack: object, device: str, received_ms: int, *, is_cbor: bool) -> list[dict[str, Any]]:
    """The readings in a pack, in the order of their first records. Rejection when it is no pack."""
    if not isinstance(pack, list) or not pack:
        raise _unfit(f"A pack is a list of records, this is {shown(pack)}.")
    found: list[dict[str, Any]] = []
    open_at: dict[int | None, dict[str, Any]] = {}
    for at_ms, metric, value, quality in _resolved(pack, device, received_ms, is_cbor):
        reading = open_at.get(at_ms)
        if reading is None or metric in reading["values"]:
            reading = open_at[at_ms] = {"values": {}} if at_ms is None else {"time": at_ms, "values": {}}
            found.append(reading)
        reading["values"][metric] = value
        if quality is not None:
            reading.setdefault("quality", {})[metric] = quality
    if not found:
        raise _unfit("No record of this pack has a value.")
    return found


def _resolved(
    pack: list[Any], device: str, received_ms: int, is_cbor: bool
) -> Iterator[tuple[int | None, str, Any, str | None]]:
    """Time (None: now), metric, value and quality of each record; a sum is one of its own."""
    base: dict[str, Any] = {}
    for number, item in enumerate(pack):
        record = _record(item, number, is_cbor)
        base |= {name: record[name] for name in ("bn", "bt", "bu", "bv", "bs", "bver") if name in record}
        if base.get("bver", SENML_VERSION) > SENML_VERSION:
            raise _unfit(f"Record {number} has version {shown(base['bver'])}; {SENML_VERSION} is known here.")
        given = [name for name in _VALUES if name in record]
        if len(given) > 1:
            raise _unfit(f"Record {number} has {' and '.join(given)}; a record has one value.")
        quality = record.get("quality")
        if not given and "s" not in record and quality is None:
            if "n" in record:
                raise _unfit(f"Record {number} names {shown(record['n'])} and has no value.")
            continue  # it only sets what the next ones begin with
        metric = _metric(base.get("bn", ""), record.get("n", ""), device, number)
        at_ms = _at_ms(base.get("bt", 0) + record.get("t", 0), received_ms, number)
        unit = record.get("u", base.get("bu"))
        if given:
            value = record[given[0]]
            is_number = given[0] == "v"
            yield at_ms, metric, _measured(value + base.get("bv", 0), unit, number) if is_number else value, quality
        elif "s" not in record:
            yield at_ms, metric, None, quality
        if "s" in record:
            yield at_ms, f"{metric}.sum", _measured(record["s"] + base.get("bs", 0), unit, number), quality


def _record(item: object, number: int, is_cbor: bool) -> Record:
    if not isinstance(item, dict):
        raise _unfit(f"Record {number} is {shown(item)}, and no object.")
    record = {_LABELS.get(name, name) if is_cbor and type(name) is int else name: value for name, value in item.items()}
    for name, value in record.items():
        if type(name) is str and name.endswith("_"):
            raise _unfit(f"Record {number} has {shown(name)}, which must be understood and is not.")
        is_number = type(value) is int or (type(value) is float and math.isfinite(value))
        if (
            (name in _NUMBERS and not is_number)
            or (name in _TEXTS and type(value) is not str)
            or (name == "vb" and type(value) is not bool)
            or (name == "bver" and type(value) is not int)
        ):
            raise _unfit(f"Record {number} has {shown(value)} as {name}.")
    return record


def _metric(base: str, own: str, device: str, number: int) -> str:
    if len(base) + len(own) > _MAX_NAME_CHARS:
        raise _unfit(f"Record {number} has a name of more than {_MAX_NAME_CHARS} characters.")
    name = base + own
    if not _NAME.fullmatch(name):
        words = "no name" if not name else f"the name {shown(name)}, which has other characters than A-Za-z0-9-:./_"
        raise _unfit(f"Record {number} has {words}.")
    if name.lower().startswith("urn:"):
        name = name.rpartition(":")[2]
    if base and name.startswith(device) and name[len(device) :][:1] in tuple(":./_-"):
        name = name[len(device) + 1 :]
    if not name:
        raise _unfit(f"Record {number} names the device and no metric.")
    return name


def _at_ms(at_s: float, received_ms: int, number: int) -> int | None:
    if not -SENML_RELATIVE_BELOW < at_s < _MAX_S:
        raise _unfit(f"Record {number} has the time {shown(at_s)}.")
    if at_s == 0:
        return None
    at_ms = round(at_s * 1000)
    return at_ms if at_s >= SENML_RELATIVE_BELOW else received_ms + at_ms


def _measured(value: float, unit: str | None, number: int) -> object:
    if not math.isfinite(value):  # two that are finite, added
        raise _unfit(f"Record {number} and its base value make {shown(value)}.")
    if unit is not None and len(unit) > _MAX_UNIT_CHARS:
        raise _unfit(f"Record {number} has a unit of more than {_MAX_UNIT_CHARS} characters.")
    return value if unit is None else {"value": value, "unit": unit}


def _unfit(words: str) -> Rejection:
    return Rejection(Reason.NOT_SENML, words)
