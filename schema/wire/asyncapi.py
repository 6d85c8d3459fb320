"""The promise to devices as an AsyncAPI 3.0 document, derived from topics.py and payloads.py.

`python -m schema.wire.asyncapi` rewrites asyncapi.yaml beside this file; a test fails when the two differ.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from schema.wire import gateways, payloads, provisioning, topics

FILE = Path(__file__).with_name("asyncapi.yaml")

SERVED: Mapping[str, str] = {
    "telemetry": "telemetry",
    "telemetry_stream": "telemetry",
    "event": "event",
    "command_ack": "acknowledgement",
    "command_result": "result",
    "command": "command",
    "child_telemetry": "telemetry",
    "child_event": "event",
    "child_command_ack": "acknowledgement",
    "child_command_result": "result",
    "child_status": "status",
    "child_command": "command",
    "points": "points",
    "points_said": "points_said",
}
"""The tails served today, each with its message; the others are reserved by the grammar and rejected into the inbox."""

_SUMMARIES: Mapping[str, str] = {
    "telemetry": "The platform receives a device's readings.",
    "event": "The platform receives what has happened at a device.",
    "acknowledgement": "The platform hears that a device will carry out a command, or will not.",
    "result": "The platform hears what became of a command.",
    "command": "The platform asks a device to do something. It may come twice: the same id is the same command.",
    "status": "The platform hears whether a gateway reaches a child.",
    "points": "The platform tells a gateway's edge which points of machines to read.",
    "points_said": "The platform hears which point table the edge runs, or why it refused one.",
    "introduction": "The platform hears what a newcomer says of itself.",
    "admission": "The platform tells a newcomer what becomes of it.",
}

_SECURITY: Mapping[str, str] = {
    "deviceToken": "Username {tenant}/d/{device}, password a device token.",
    "provisioningKey": "Username {tenant}/provision, password a provisioning key; for newcomers.",
}

_DESCRIPTION = """\
A device logs in with the username `{tenant}/d/{device}` and its token as the password. It may publish `up/#` and
subscribe `down/#` below its own prefix `t/{tenant}/d/{device}/`, nothing else.

A newcomer, which is no device yet, logs in with the username `{tenant}/provision` and a provisioning key as the
password, or over TLS with a claim certificate and no password. It subscribes `t/{tenant}/provision/down/response`,
publishes one request to `t/{tenant}/provision/up/request`, hears the answer, and is put out. The same request is taken
over HTTP, at `POST /ingest/v1/provision`, with the key in it.

A PUBACK (QoS 2: a PUBREC) with a reason below 0x80 means: committed. One of 0x80 or above means: not stored, do not
repeat (0x87 rights, 0x97 quota, 0x99 rejected into the tenant's inbox with its reason). None means: repeat.
A metric that breaks the device's profile is left out and lies in the tenant's inbox; the others of its reading are
stored, and it is stored as bad if the profile knows it. Only a reading of which nothing is left is rejected.
A repeat with the same `time` and `seq` (or, without `seq`, the same values) is stored once. A reading without `time`
is stamped at receipt; its repeat is recognised by packet id and DUP, for ten minutes and by the same process only.

In 5.0 the CONNACK says what time it is: the user property `time`, in milliseconds since 1970. A device whose clock is
not set can give its readings the right times by it; those that are too old or ahead of time are rejected.

No session outlives its connection (Session Present is 0, Session Expiry Interval 0): what had no PUBACK or PUBREC is
repeated on the next one, and a PUBREL for a message of an earlier one is answered with a PUBCOMP (5.0: 0x92). In 5.0 a
client may name 16 topics by alias.

A gateway is a device that speaks for others, its children: below `up/child/{child}/` it publishes what the child would
publish below `up/`, and below `down/child/{child}/` it hears what the child would hear. It may do so for devices that
carry the label `gateway` with the gateway's key; what it says of others is rejected into its own inbox.

The same is spoken over HTTP: see openapi.yaml beside this document; and over CoAP: see coap.py.
"""


def document() -> dict[str, Any]:
    """The whole AsyncAPI document as plain data."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tidegate for devices",
            "version": "1",
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "mqtt": {
                "host": "{host}:1883",
                "protocol": "mqtt",
                "description": "MQTT 3.1.1 and 5.0, QoS 0, 1 and 2 up, 0 and 1 down. In WebSockets too (port 8083, "
                "path /mqtt, subprotocol mqtt), in binary frames of at most 256 KiB.",
                "variables": {"host": {"default": "127.0.0.1"}},
                "security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in _SECURITY],
            }
        },
        "channels": {
            **{name: _channel(topics.PREFIX + _TAILS[name], message) for name, message in SERVED.items()},
            **{name: _channel(topics.PROVISION[name], said) for name, said in provisioning.SAID_BY.items()},
        },
        "operations": dict(_operation(name, said) for name, said in {**SERVED, **provisioning.SAID_BY}.items()),
        "components": {
            "securitySchemes": {
                name: {"type": "userPassword", "description": words} for name, words in _SECURITY.items()
            },
            "messages": {"telemetry": _telemetry(), **_others()},
            "schemas": {"Telemetry": payloads.telemetry_schema()},
        },
        "x-reserved-topics": sorted(
            topics.PREFIX + tail
            for table in (topics.UP, topics.DOWN)
            for name, tail in table.items()
            if name not in SERVED
        ),
        "x-limits": {
            "payloadBytes": payloads.MAX_PAYLOAD_BYTES,
            "noteBytes": payloads.MAX_NOTE_BYTES,
            "readings": payloads.MAX_READINGS,
            "metrics": payloads.MAX_METRICS,
            "stringCharacters": payloads.MAX_STRING_CHARS,
            "objectBytes": payloads.MAX_OBJECT_BYTES,
            "depth": payloads.MAX_DEPTH,
            "clockAheadSeconds": payloads.CLOCK_AHEAD_S,
            "retentionSeconds": payloads.RETENTION_S,
        },
        "x-reasons": {str(reason): words for reason, words in payloads.REMEDIES.items()},
    }


def text() -> str:
    """The document as it is committed."""
    return as_yaml(document())


def as_yaml(document: Mapping[str, Any]) -> str:
    """A document as people would write it."""
    return yaml.dump(document, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=110)


class _Plain(yaml.SafeDumper):
    """YAML as people write it: no anchors, and texts of several lines as blocks."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _write_text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Plain.add_representer(str, _write_text)


_TAILS = {**topics.UP, **topics.DOWN}


def _operation(name: str, message: str) -> tuple[str, dict[str, Any]]:
    is_up = name in topics.UP or "/up/" in topics.PROVISION.get(name, "")
    return f"send_{name}" if is_up else f"receive_{name}", {
        "action": "receive" if is_up else "send",
        "summary": _SUMMARIES[message],
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [{"$ref": f"#/channels/{name}/messages/{message}"}],
    }


def _channel(address: str, message: str) -> dict[str, Any]:
    return {
        "address": address,
        "parameters": {
            name: {"description": f"Matches {topics.PARAMETERS[name]}."} for name in re.findall(r"\{(\w+)\}", address)
        },
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
    }


def _telemetry() -> dict[str, Any]:
    return {
        "summary": "One reading, a list of readings, or a flat object of values.",
        "contentType": "application/json",
        "payload": {"$ref": "#/components/schemas/Telemetry"},
        "examples": [{"payload": example} for example in payloads.TELEMETRY_EXAMPLES],
    }


def _others() -> dict[str, Any]:
    """What is no telemetry: events, commands and what devices say of them; what newcomers say and hear."""
    return {
        name: {
            "summary": summary,
            "contentType": "application/json",
            "payload": schema,
            "examples": [{"payload": example} for example in examples],
        }
        for name, (summary, schema, examples) in {
            **payloads.NOTES,
            "status": gateways.STATUS,
            "points": gateways.POINTS,
            "points_said": gateways.POINTS_SAID,
            **provisioning.MESSAGES,
        }.items()
    }


if __name__ == "__main__":
    FILE.write_text(text())
