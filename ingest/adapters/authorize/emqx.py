"""EMQX's HTTP authenticator and authorizer (5.8 and later): what it asks, and what it must be told.

An answer with any other status than 200 counts as "ignore", after which EMQX asks its next source: a refusal is
therefore 200 with "deny". Documented behaviour: docs.emqx.com, "Use HTTP Service" of authentication and authorization.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ingest.adapters.authorize.rights import Action, acl
from ingest.adapters.base import Decision

DENY: Mapping[str, Any] = {"result": "deny"}


@dataclass(frozen=True, slots=True)
class Login:
    """A CONNECT as EMQX tells of it; `certificate` in DER, verified by the broker's TLS."""

    client_id: str
    username: str
    secret: bytes
    certificate: bytes | None


def login(asked: Mapping[str, Any]) -> Login:
    """The body ``{"clientid", "username", "password", "cert_pem"}``; ValueError when the certificate is none.

    ``cert_common_name`` may be there too and counts for nothing: whose a certificate is, its fingerprint says.
    """
    pem = _text(asked, "cert_pem").replace("\\n", "\n")
    certificate = ssl.PEM_cert_to_DER_cert(pem) if pem else None
    return Login(_text(asked, "clientid"), _text(asked, "username"), _text(asked, "password").encode(), certificate)


def admitted(device: Decision) -> dict[str, Any]:
    """The answer to a login that is good; its rights go with it, so that EMQX need not ask for each topic."""
    grants = [{"permission": "allow", "action": grant.action, "topic": grant.topic} for grant in acl(device)]
    answer: dict[str, Any] = {
        "result": "allow",
        "is_superuser": False,
        "client_attrs": {"tenant": device.tenant, "device": device.device},
        "acl": [*grants, {"permission": "deny", "action": "all", "topic": "#"}],
    }
    if device.expires_at is not None:
        answer["expire_at"] = int(device.expires_at)
    return answer


def wish(asked: Mapping[str, Any]) -> tuple[str, Action, str] | None:
    """The body ``{"username", "action", "topic"}`` of a question for one topic; None when it asks for nothing known."""
    match _text(asked, "action"):
        case "publish":
            return _text(asked, "username"), "publish", _text(asked, "topic")
        case "subscribe":
            return _text(asked, "username"), "subscribe", _text(asked, "topic")
    return None


def verdict(is_allowed: bool) -> dict[str, str]:
    """The answer for one topic."""
    return {"result": "allow" if is_allowed else "deny"}


def _text(asked: Mapping[str, Any], name: str) -> str:
    value = asked.get(name)
    return value if isinstance(value, str) and value != "undefined" else ""  # EMQX's word for an empty placeholder
