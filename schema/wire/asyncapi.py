"""The promise to devices as an AsyncAPI 3.0 document, derived from topics.py and payloads.py.

`python -m schema.wire.asyncapi` rewrites asyncapi.yaml beside this file; a test fails when the two differ.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from schema.wire import payloads, topics

FILE = Path(__file__).with_name("asyncapi.yaml")

SERVED = ("telemetry", "telemetry_stream")
"""The tails the platform answers today; the others are reserved by the grammar and rejected into the inbox."""

_DESCRIPTION = """\
A device logs in with the username `{tenant}/d/{device}` and its token as the password. It may publish `up/#` and
subscribe `down/#` below its own prefix `t/{tenant}/d/{device}/`, nothing else.

A PUBACK with a reason below 0x80 means: committed. A PUBACK of 0x80 or above means: not stored, do not repeat
(0x87 rights, 0x97 quota, 0x99 rejected into the tenant's inbox with its reason). No PUBACK means: repeat.
A repeat with the same `time` and `seq` (or, without `seq`, the same values) is stored once. A reading without `time`
is stamped at receipt; its repeat is recognised only within one MQTT connection (packet id and DUP).
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
                "description": "MQTT 3.1.1 and 5.0, QoS 0 and 1.",
                "variables": {"host": {"default": "127.0.0.1"}},
                "security": [{"$ref": "#/components/securitySchemes/deviceToken"}],
            }
        },
        "channels": {name: _channel(topics.UP[name]) for name in SERVED},
        "operations": {
            f"send_{name}": {
                "action": "receive",
                "summary": "The platform receives a device's readings.",
                "channel": {"$ref": f"#/channels/{name}"},
                "messages": [{"$ref": f"#/channels/{name}/messages/telemetry"}],
            }
            for name in SERVED
        },
        "components": {
            "securitySchemes": {
                "deviceToken": {
                    "type": "userPassword",
                    "description": "Username {tenant}/d/{device}, password a device token.",
                }
            },
            "messages": {"telemetry": _telemetry()},
            "schemas": {"Telemetry": payloads.telemetry_schema()},
        },
        "x-reserved-topics": sorted(
            topics.PREFIX + tail
            for table in (topics.UP, topics.DOWN)
            for name, tail in table.items()
            if not (table is topics.UP and name in SERVED)
        ),
        "x-limits": {
            "payloadBytes": payloads.MAX_PAYLOAD_BYTES,
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
    return yaml.dump(document(), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=110)


class _Plain(yaml.SafeDumper):
    """YAML as people write it: no anchors, and texts of several lines as blocks."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _write_text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Plain.add_representer(str, _write_text)


def _channel(tail: str) -> dict[str, Any]:
    address = topics.PREFIX + tail
    return {
        "address": address,
        "parameters": {
            name: {"description": f"Matches {topics.PARAMETERS[name]}."} for name in re.findall(r"\{(\w+)\}", address)
        },
        "messages": {"telemetry": {"$ref": "#/components/messages/telemetry"}},
    }


def _telemetry() -> dict[str, Any]:
    return {
        "summary": "One reading, a list of readings, or a flat object of values.",
        "contentType": "application/json",
        "payload": {"$ref": "#/components/schemas/Telemetry"},
        "examples": [{"payload": example} for example in payloads.TELEMETRY_EXAMPLES],
    }


if __name__ == "__main__":
    FILE.write_text(text())
