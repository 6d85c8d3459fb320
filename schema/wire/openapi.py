"""The same promise to devices over HTTP, as an OpenAPI 3.1 document derived from http.py and payloads.py.

`python -m schema.wire.openapi` rewrites openapi.yaml beside this file; a test fails when the two differ.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from schema.wire import asyncapi, http, payloads, topics

FILE = Path(__file__).with_name("openapi.yaml")

_SUMMARIES: Mapping[str, str] = {
    "telemetry": "Send readings.",
    "telemetry_stream": "Send readings, told apart by a stream; it is not stored.",
    "event": "Tell what has happened.",
    "command_ack": "Say that a command will be carried out, or will not.",
    "command_result": "Say what became of a command.",
}
_SECURITY: Mapping[str, Mapping[str, str]] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A device token, or a JWT that a key of it signed."},
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "Name {tenant}/d/{device}, password a device token or JWT: what MQTT takes.",
    },
    "certificate": {"type": "mutualTLS", "description": "The device's certificate, on the TLS port."},
}
_DESCRIPTION = f"""\
What a device publishes to a topic it may also post to a path (asyncapi.yaml says what may be in it). The credential
decides which device that is; the path must name the same one. No request begins a session: the device is not online
by it, and its MQTT session goes on.

200 means: committed. The answer says what became of a message whose readings were not all stored, or not with all
their metrics: what is wrong with one metric is that metric's alone, and the others are kept. 422 means: nothing
of it was stored, it lies in the tenant's inbox with its reasons, do not repeat it. 4xx otherwise: not stored, do not
repeat it as it is; 429 and 503 say with Retry-After when to repeat it. No answer means: repeat.

A repeat with the same `time` and `seq` (or, without `seq`, the same values) is stored once. A message that leaves the
time to us is known again by its `Idempotency-Key` for {http.KEPT_H} hours: it is stored with the time at which it came
first. An event without a time is known again by the same process within ten minutes.

Bodies are JSON of at most {payloads.MAX_PAYLOAD_BYTES} bytes, also unpacked (`Content-Encoding: gzip`).

Over CoAP the same paths take POST and PUT, in JSON, CBOR or SenML: coap.py beside this document says how.

A newcomer, which is no device yet, posts to `/ingest/v1/provision`; openapi.json describes that.
"""
_REFUSALS: Mapping[str, str] = {
    "400": "The body is no gzip stream, or a header or parameter is unfit.",
    "401": "Nobody is known by these credentials, or they have ended.",
    "403": "They are another device's, or the device is suspended, waits for approval or has lost its rights.",
    "413": "The message is too large.",
    "415": "It is no JSON, or packed in another way than gzip.",
    "422": "Nothing of it was stored and it lies in the inbox, or the key stood for another message.",
    "429": "A quota is used up, or too much was refused; nothing was kept.",
    "503": "Nothing was kept; send it again soon.",
}


def document() -> dict[str, Any]:
    """The whole OpenAPI document as plain data."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tidegate for devices over HTTP",
            "version": "1",
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [
            {"url": f"{scheme}://{{host}}:{port}", "variables": {"host": {"default": "127.0.0.1"}}}
            for scheme, port in (("http", 8001), ("https", 8443))
        ],
        "security": [{name: []} for name in _SECURITY],
        "paths": {
            **{_path(path): {"post": _post(name, path)} for name, path in http.UP_PATHS.items()},
            _path(http.COMMANDS_PATH): {"get": _get()},
        },
        "components": {
            "securitySchemes": {name: dict(scheme) for name, scheme in _SECURITY.items()},
            "schemas": {
                "Telemetry": payloads.telemetry_schema(),
                **{name.title(): schema for name, (_, schema, _) in payloads.NOTES.items()},
                "Stored": _stored(),
                "Problem": _problem(),
            },
        },
    }


def text() -> str:
    """The document as it is committed."""
    return asyncapi.as_yaml(document())


def _path(path: str) -> str:
    return f"{http.HOME}{{device}}/{path}"


def _parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": _whole(name)}}
        for name in re.findall(r"\{(\w+)\}", _path(path))
    ]


def _whole(parameter: str) -> str:
    return f"^{topics.PARAMETERS[parameter]}$"


def _post(name: str, path: str) -> dict[str, Any]:
    message = asyncapi.SERVED[name]
    is_telemetry = message == "telemetry"
    examples = payloads.TELEMETRY_EXAMPLES if is_telemetry else payloads.NOTES[message][2]
    schema = {"$ref": f"#/components/schemas/{message.title()}"}
    key = {"type": "string", "pattern": f"^[!-~]{{1,{http.MAX_KEY_CHARS}}}$"}
    return {
        "operationId": f"send_{name}",
        "summary": _SUMMARIES[name],
        "parameters": [
            *_parameters(path),
            {"name": "Idempotency-Key", "in": "header", "schema": key},
            {"name": "Content-Encoding", "in": "header", "schema": {"enum": ["identity", "gzip"]}},
        ],
        "requestBody": {
            "required": is_telemetry,
            "content": {
                "application/json": {
                    "schema": schema,
                    "examples": {str(n): {"value": example} for n, example in enumerate(examples, 1)},
                }
            },
        },
        "responses": {"200": _answer("It is committed.", "Stored"), **_refusals(*_REFUSALS)},
    }


def _get() -> dict[str, Any]:
    wait = {"type": "integer", "minimum": 0, "maximum": http.MAX_WAIT_S, "default": http.WAIT_S}
    commands = {
        "type": "object",
        "required": ["commands"],
        "properties": {"commands": {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Command"}}},
    }
    return {
        "operationId": "receive_command",
        "summary": "Ask what waits for the device, and wait until there is something.",
        "description": "Commands come in the order in which they were issued, and count as sent by this answer. One "
        "may come twice: the same id is the same command. Of two questions of a device the newer one waits.",
        "parameters": [
            *_parameters(http.COMMANDS_PATH),
            {"name": "wait", "in": "query", "description": "Seconds to wait at most.", "schema": wait},
        ],
        "responses": {
            "200": {
                "description": "There are commands.",
                "content": {
                    "application/json": {"schema": commands, "example": {"commands": [payloads.COMMAND_EXAMPLE]}}
                },
            },
            "204": {"description": "Nothing waits."},
            **_refusals("400", "401", "403", "429", "503"),
            "409": _answer("The device has asked again meanwhile.", "Problem"),
        },
    }


def _refusals(*which: str) -> dict[str, Any]:
    return {status: _answer(_REFUSALS[status], "Problem") for status in which}


def _answer(words: str, schema: str) -> dict[str, Any]:
    media = "application/problem+json" if schema == "Problem" else "application/json"
    return {"description": words, "content": {media: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}}


def _reasons() -> dict[str, Any]:
    return {
        "type": "array",
        "description": "Why readings were rejected: of the first few, each with its place in the list that was sent.",
        "items": {
            "type": "object",
            "required": ["reading", "reason", "detail"],
            "properties": {
                "reading": {"type": "integer", "minimum": 0},
                "reason": {"enum": [str(reason) for reason in payloads.Reason]},
                "detail": {"type": "string"},
            },
        },
    }


def _stored() -> dict[str, Any]:
    count = {"type": "integer", "minimum": 0}
    return {
        "type": "object",
        "required": ["status", "duplicates", "rejected", "reasons"],
        "properties": {
            "status": {
                "enum": ["stored", "duplicate"],
                "description": "duplicate: all that is good was stored before.",
            },
            "duplicates": count | {"description": "Readings that were stored before."},
            "rejected": count | {"description": "Readings that lie in the inbox."},
            "reasons": _reasons(),
            "left_out": _left_out(),
        },
    }


def _left_out() -> dict[str, Any]:
    return {
        "type": "array",
        "description": "Metrics that were left out of readings that are stored, of the first few readings; absent "
        "where there are none. Each lies in the inbox; one that the profile knows is stored as bad.",
        "items": {
            "type": "object",
            "required": ["reading", "metric", "reason", "detail"],
            "properties": {
                "reading": {"type": "integer", "minimum": 0, "description": "Its place in the list that was sent."},
                "metric": {"type": "string"},
                "reason": {"enum": [str(reason) for reason in payloads.Reason]},
                "detail": {"type": "string"},
            },
        },
    }


def _problem() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "RFC 9457.",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "code": {"type": "string"},
            "rejected": {"type": "integer"},
            "reasons": _reasons(),
        },
    }


if __name__ == "__main__":
    FILE.write_text(text())
