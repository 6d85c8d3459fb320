"""What a newcomer says and hears, over HTTP and MQTT alike, as JSON Schema with examples that are valid."""

from collections.abc import Mapping
from typing import Any

TEXTS = ("key", "ownershipToken", "ticket", "device", "name", "csr", "publicKey", "claim")
"""What an introduction may hold beside labels: texts all, but that a public key may be a JWK's object."""

SECRETS = ("key", "ownershipToken", "ticket", "claim")
"""Those of them that prove something. Over MQTT the connection has proven it, and a ticket alone may come."""

_TEXT = {"type": "string"}

REQUEST: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "minProperties": 1,
    "properties": {
        "device": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,40}$"},
        "name": {"type": "string", "maxLength": 120},
        "labels": {"type": "object", "additionalProperties": _TEXT},
        "csr": {"type": "string", "maxLength": 16_384, "description": "PKCS #10 as PEM: answered with a certificate."},
        "publicKey": {"type": ["string", "object"], "description": "On P-256, PEM or JWK: the device signs in by JWT."},
        "ticket": {"type": "string", "description": "Alone: what has become of a device that waits for approval?"},
    },
}

RESPONSE: dict[str, Any] = {
    "oneOf": [
        {
            "type": "object",
            "required": ["status", "tenant", "device", "username", "topic", "credential"],
            "additionalProperties": False,
            "properties": {
                "status": {"const": "admitted"},
                **dict.fromkeys(("tenant", "device", "username", "topic", "token", "certificate", "authority"), _TEXT),
                "credential": {"enum": ["token", "x509", "jwt"]},
                "expiresAt": {"type": "string", "format": "date-time"},
            },
        },
        {
            "type": "object",
            "required": ["status", "ticket", "expiresAt", "detail"],
            "additionalProperties": False,
            "properties": {
                "status": {"const": "pending"},
                "ticket": _TEXT,
                "detail": _TEXT,
                "expiresAt": {"type": "string", "format": "date-time"},
            },
        },
        {
            "type": "object",
            "description": "A problem (RFC 9457).",
            "required": ["type", "title", "status", "detail", "code"],
            "properties": {
                "status": {"type": "integer", "minimum": 400, "maximum": 599},
                **dict.fromkeys(("type", "title", "detail", "code"), _TEXT),
            },
        },
    ]
}

_PEM = "-----BEGIN CERTIFICATE REQUEST-----\n…\n-----END CERTIFICATE REQUEST-----\n"

MESSAGES: Mapping[str, tuple[str, dict[str, Any], tuple[Mapping[str, Any], ...]]] = {
    "introduction": (
        "What a newcomer says of itself. Without csr and publicKey it is answered with a token. One a connection.",
        REQUEST,
        (
            {"device": "pump-7", "name": "Pump 7", "labels": {"site": "7"}},
            {"device": "pump-7", "csr": _PEM},
            {"ticket": "tgw_…"},
        ),
    ),
    "admission": (
        "What becomes of it, on this connection alone; then the platform hangs up.",
        RESPONSE,
        (
            {
                "status": "admitted",
                "tenant": "acme",
                "device": "pump-7",
                "username": "acme/d/pump-7",
                "topic": "t/acme/d/pump-7/up/telemetry",
                "credential": "token",
                "token": "tgd_…",
            },
            {
                "status": "pending",
                "ticket": "tgw_…",
                "expiresAt": "2026-02-07T12:00:00.000Z",
                "detail": "A person has to approve this device. Ask again with the ticket, after 30 seconds or more.",
            },
            {
                "type": "/problems/provisioning-refused",
                "title": "Provisioning refused",
                "status": 403,
                "detail": "Devices of site 7 only.",
                "code": "PROVISIONING_REFUSED",
            },
        ),
    ),
}
"""Name → summary, schema, examples."""

SAID_BY: Mapping[str, str] = {"provision_request": "introduction", "provision_response": "admission"}
"""Topic's name in `topics.PROVISION` → its message."""
