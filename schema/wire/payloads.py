"""What a telemetry payload may look like, how large it may be, and the words in which a bad one is refused.

Three forms, all JSON (RFC 8259) in UTF-8::

    {"time": "2026-01-31T12:00:00Z", "seq": 17, "values": {"temperature": 4.2, "door": false}}
    [{"time": 1769860800000, "values": {"temperature": 4.2}}, {"time": 1769860860000, "values": {"temperature": 4.3}}]
    {"temperature": 4.2, "door": false}

`time` is RFC 3339 with an offset or milliseconds since 1970 (UTC), kept to the millisecond; without it the reading
has the time of its receipt. `seq` tells two readings of one millisecond apart and is optional. In the third form every
member is a metric. A metric whose value is null counts as left out.

A number has the unit that the device's profile names for its metric. One in another unit says so, in UCUM or in the
platform's own words, ``{"temperature": {"value": 71.6, "unit": "[degF]"}}``: it is stored in the profile's unit.

Readings with `values` may say more beside them. `quality` says how far a metric can be trusted, in OPC-UA's words:
``{"values": {"temperature": 4.2, "flow": null}, "quality": {"temperature": "uncertain", "flow": "bad"}}``. Good is
silence. A value in doubt is stored with its mark; what is bad has no value: it is sent as null, and its mark stored.
The quality is part of the reading: the same values in other quality are another reading, not a repeat. `via` is the
protocol in which a gateway had the values from the machine; it is kept with them, and is no part of the reading.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum

from engine.commands.answer import MAX_REASON_CHARS, MEANT
from engine.telemetry.provenance import MACHINES

MAX_PAYLOAD_BYTES = 256 * 1024
MAX_READINGS = 1_000
MAX_METRICS = 200
MAX_METRIC_KEY_CHARS = 64
MAX_STRING_CHARS = 1_024
MAX_OBJECT_BYTES = 8 * 1024
MAX_DEPTH = 16
MAX_NOTE_BYTES = 8 * 1024
"""An answer to a command, or an event."""
MAX_SEQ = 2**62 - 1
MAX_SEQ_CHARS = 64
CLOCK_AHEAD_S = 600
TIME_PROPERTY = "time"
"""The user property of MQTT 5's CONNACK that says what time it is, in milliseconds since 1970."""
RETENTION_S = 90 * 86_400

OWN_KEYS = frozenset({"time", "seq", "values"})
"""They cannot be metrics beside metrics."""
READING_KEYS = OWN_KEYS | {"quality", "via"}

GOOD, UNCERTAIN, BAD = QUALITIES = ("good", "uncertain", "bad")
"""OPC-UA's three severities of a status code (OPC 10000-4, 7.39)."""


class Reason(StrEnum):
    """Why a reading lies in the inbox."""

    TOPIC = "TOPIC"
    CHILD = "CHILD"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    NOT_JSON = "NOT_JSON"
    NOT_CBOR = "NOT_CBOR"
    NOT_SENML = "NOT_SENML"
    SHAPE = "SHAPE"
    TOO_MANY_READINGS = "TOO_MANY_READINGS"
    TOO_MANY_METRICS = "TOO_MANY_METRICS"
    EMPTY = "EMPTY"
    METRIC_KEY = "METRIC_KEY"
    UNKNOWN_METRIC = "UNKNOWN_METRIC"
    TYPE = "TYPE"
    RANGE = "RANGE"
    UNIT = "UNIT"
    VALUE_TOO_LARGE = "VALUE_TOO_LARGE"
    TOO_DEEP = "TOO_DEEP"
    NUL = "NUL"
    TIME = "TIME"
    TOO_OLD = "TOO_OLD"
    CLOCK_AHEAD = "CLOCK_AHEAD"
    SEQ = "SEQ"
    QUALITY = "QUALITY"
    CONFLICT = "CONFLICT"
    UNSTORABLE = "UNSTORABLE"


REMEDIES: Mapping[Reason, str] = {
    Reason.TOPIC: "Publish telemetry to t/{tenant}/d/{device}/up/telemetry.",
    Reason.CHILD: "Register the child as a device, and give it the label gateway with the gateway's key.",
    Reason.PAYLOAD_TOO_LARGE: f"Send at most {MAX_PAYLOAD_BYTES} bytes a message; split the list of readings.",
    Reason.NOT_JSON: "Send JSON in UTF-8; NaN, Infinity and numbers such as 1e999 are no JSON.",
    Reason.NOT_CBOR: "Send one item of CBOR: names are text, numbers finite and of 64 bits at most, no tags but times.",
    Reason.NOT_SENML: "Send a SenML pack (RFC 8428): a list of records, each with a name and one value.",
    Reason.SHAPE: (
        'Send {"time", "seq", "values": {…}, "quality": {…}, "via"}, a list of these, or a flat object of values.'
    ),
    Reason.TOO_MANY_READINGS: f"Send at most {MAX_READINGS} readings a message.",
    Reason.TOO_MANY_METRICS: f"Send at most {MAX_METRICS} metrics a reading.",
    Reason.EMPTY: "Send at least one metric with a value.",
    Reason.METRIC_KEY: f"Name a metric with 1 to {MAX_METRIC_KEY_CHARS} printable characters.",
    Reason.UNKNOWN_METRIC: "Add the metric to the device's profile, or let the profile accept unknown metrics.",
    Reason.TYPE: "Send the type that the device's profile names, or change the profile.",
    Reason.RANGE: "Send a value within the profile's range, or widen the range.",
    Reason.UNIT: "Send the value in the profile's unit, or in one that can be converted into it.",
    Reason.VALUE_TOO_LARGE: (
        f"Send strings of at most {MAX_STRING_CHARS} characters and objects of at most {MAX_OBJECT_BYTES} bytes."
    ),
    Reason.TOO_DEEP: f"Nest objects at most {MAX_DEPTH} deep.",
    Reason.NUL: "Leave out the character U+0000.",
    Reason.TIME: "Send RFC 3339 with an offset (2026-01-31T12:00:00Z) or whole milliseconds since 1970.",
    Reason.TOO_OLD: f"Readings are taken for {RETENTION_S // 86_400} days; check the device's clock.",
    Reason.CLOCK_AHEAD: f"A clock may be {CLOCK_AHEAD_S // 60} minutes ahead of ours; check the device's clock.",
    Reason.SEQ: f"Send a whole number from 0 to {MAX_SEQ} or a string of 1 to {MAX_SEQ_CHARS} characters.",
    Reason.QUALITY: 'Send {"quality": {metric: "uncertain"}} for a value in doubt, "bad" for one sent as null.',
    Reason.CONFLICT: "Two readings with the same time and seq differ; give each its own seq.",
    Reason.UNSTORABLE: "The database cannot hold this value; the message says which.",
}
"""What to do about each reason, in words for the person who wrote the device's program."""

TELEMETRY_EXAMPLES: tuple[object, ...] = (
    {"time": "2026-01-31T12:00:00Z", "seq": 17, "values": {"temperature": 4.2, "door": False}},
    {"time": 1769860800000, "values": {"temperature": 4.2}},
    [
        {"time": "2026-01-31T12:00:00+00:00", "values": {"temperature": 4.2}},
        {"time": "2026-01-31T12:01:00.250Z", "seq": "boot-3/12", "values": {"state": "cooling", "gps": {"lat": 47.1}}},
    ],
    {"temperature": 4.2, "door": False},
    {"values": {"temperature": {"value": 39.56, "unit": "[degF]"}}},
    {"values": {"temperature": 4.2, "flow": None}, "quality": {"temperature": "uncertain", "flow": "bad"}},
    {"time": 1769860800000, "values": {"temperature": 4.2}, "via": "modbus"},
)
"""Payloads every reader must accept; asyncapi.yaml shows the same ones."""


def telemetry_schema() -> dict[str, object]:
    """JSON Schema (2020-12) of a telemetry payload, as asyncapi.yaml carries it."""
    key = {"type": "string", "minLength": 1, "maxLength": MAX_METRIC_KEY_CHARS}
    value = {
        "oneOf": [
            {"type": "number"},
            {"type": "boolean"},
            {"type": "string", "maxLength": MAX_STRING_CHARS},
            {"type": "object"},
            {"type": "null"},
        ]
    }
    values = {
        "type": "object",
        "minProperties": 1,
        "maxProperties": MAX_METRICS,
        "propertyNames": key,
        "additionalProperties": value,
    }
    reading = {
        "type": "object",
        "required": ["values"],
        "additionalProperties": False,
        "properties": {
            "time": {"oneOf": [{"type": "string", "format": "date-time"}, {"type": "integer", "minimum": 0}]},
            "seq": {
                "oneOf": [
                    {"type": "integer", "minimum": 0, "maximum": MAX_SEQ},
                    {"type": "string", "minLength": 1, "maxLength": MAX_SEQ_CHARS},
                ]
            },
            "values": values,
            "quality": {
                "type": ["object", "null"],
                "description": "How far a value can be trusted, by metric, in OPC-UA's words; good is silence. Every "
                "metric here stands in values, as null exactly if it is bad.",
                "propertyNames": key,
                "additionalProperties": {"enum": list(QUALITIES)},
            },
            "via": {
                "enum": [*MACHINES, None],
                "description": "The protocol in which a gateway had the values from the machine.",
            },
        },
    }
    flat = values | {"not": {"anyOf": [{"required": [name]} for name in sorted(OWN_KEYS)]}}
    return {"oneOf": [reading, {"type": "array", "minItems": 1, "maxItems": MAX_READINGS, "items": reading}, flat]}


COMMAND_EXAMPLE: Mapping[str, object] = {
    "id": "0190f2a4-7c1e-7000-8000-3f5a9c1d2e4b",
    "command": "set-speed",
    "arguments": {"rpm": 900},
    "expiresAt": "2026-01-31T12:05:00+00:00",
}
"""What a device gets on `down/cmd/{id}`."""


def command_payload(
    command_id: str, command: str, arguments: Mapping[str, object], expires_at: datetime
) -> Mapping[str, object]:
    """A command as its device gets it: the same `id` again is the same command again."""
    return {"id": command_id, "command": command, "arguments": arguments, "expiresAt": expires_at.isoformat()}


_REASON = {"type": "string", "minLength": 1, "maxLength": MAX_REASON_CHARS}


def _answer_schema(words: Sequence[str], **more: object) -> dict[str, object]:
    return {
        "type": "object",
        "required": ["status"],
        "additionalProperties": False,
        "properties": {"status": {"enum": list(words)}, "reason": _REASON, **more},
    }


NOTES: Mapping[str, tuple[str, dict[str, object], tuple[object, ...]]] = {
    "event": (
        "What has happened: an object, with a time of its own if it is not now; an empty payload counts as {}. What "
        "comes again within ten minutes is the same event: the same words with the same time, or without a time marked "
        "as a repeat (DUP).",
        {"type": "object", "properties": {"time": {"oneOf": [{"type": "string"}, {"type": "integer"}]}}},
        ({"door": 2}, {"time": "2026-01-31T12:00:00Z", "by": "key"}, {}),
    ),
    "acknowledgement": (
        "Whether the device will carry out the command; an empty payload means that it will.",
        _answer_schema(tuple(MEANT["ack"])),
        ({"status": "accepted"}, {"status": "rejected", "reason": "The valve is locked."}),
    ),
    "result": (
        "What became of the command; an empty payload means that it succeeded.",
        _answer_schema(tuple(MEANT["result"]), result={}),
        ({"status": "succeeded", "result": {"rpm": 900}}, {"status": "failed", "reason": "No water."}),
    ),
    "command": (
        "A command. The device acknowledges it on up/cmd/{id}/ack and reports its end on up/cmd/{id}/result.",
        {
            "type": "object",
            "required": ["id", "command", "arguments", "expiresAt"],
            "properties": {
                "id": {"type": "string", "format": "uuid"},
                "command": {"type": "string"},
                "arguments": {"type": "object"},
                "expiresAt": {"type": "string", "format": "date-time"},
            },
        },
        (COMMAND_EXAMPLE,),
    ),
}
"""Messages that are no telemetry, by name: summary, JSON Schema (2020-12), examples."""
