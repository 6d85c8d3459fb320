"""AWS IoT Core's custom authorizer: what its Lambda is asked, and the policy with which it must answer.

Documented behaviour: AWS IoT Core developer guide, "Defining your Lambda function" and "Custom authentication with
X.509 client certificates". A Lambda inside the VPC hands the event on as it came and returns our answer as it is.
"""

import base64
import binascii
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from ingest.adapters.authorize.rights import acl
from ingest.adapters.base import Decision
from schema.wire.topics import username

DENY: Mapping[str, Any] = {"isAuthenticated": False}
SHORTEST_S, LONGEST_S = 300, 86_400
"""What AWS takes for both of its intervals."""

REFRESH_S = SHORTEST_S
"""How long AWS uses an answer before it asks again: so late a revoked device may be cut."""

MAX_POLICY_CHARS = 2_048
MAX_CERTIFICATE_CHARS = 16_384


class TooShort(ValueError):
    """The credential ends before AWS can be told to disconnect its device."""


@dataclass(frozen=True, slots=True)
class Login:
    """A connection as AWS tells of it; `certificate` in DER, verified by AWS's TLS."""

    client_id: str
    username: str
    secret: bytes
    certificate: bytes | None


def login(event: Mapping[str, Any]) -> Login:
    """The event of a Lambda, or the same as `test-invoke-authorizer` puts it (`mqttContext`, `tlsContext`).

    The password comes in base64. A username may be followed by `?x-amz-customauthorizer-name=…`, which is AWS's own
    business. Without a password the token counts, which AWS takes from there or from a header. ValueError when the
    password is no base64 or the certificate is none.
    """
    data = _part(event, "protocolData")
    mqtt = _part(data, "mqtt") or _part(event, "mqttContext")
    tls = _part(data, "tls") or _part(event, "tlsContext")
    pem = _text(tls, "x509CertificatePem")
    if len(pem) > MAX_CERTIFICATE_CHARS:
        raise ValueError("too long for a certificate")
    try:
        secret = base64.b64decode(_text(mqtt, "password"), validate=True) or _text(event, "token").encode()
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError("no base64") from error
    name = _text(mqtt, "username").partition("?")[0]
    return Login(_text(mqtt, "clientId"), name, secret, ssl.PEM_cert_to_DER_cert(pem) if pem else None)


def admitted(device: Decision, arn: str) -> dict[str, Any]:
    """The answer to a login that is good: who it is, what it may do, and when AWS asks again and hangs up.

    `arn` is what the account's resources begin with, `arn:aws:iot:eu-central-1:123456789012`. Raises TooShort.
    """
    lasts_s = LONGEST_S if device.expires_at is None else min(int(device.expires_at - time.time()), LONGEST_S)
    if lasts_s < SHORTEST_S:
        raise TooShort
    document = orjson.dumps(policy(device, arn)).decode()
    assert len(document) <= MAX_POLICY_CHARS, "keys are short: 20 and 40 characters at most"
    return {
        "isAuthenticated": True,
        "principalId": device.device_id.hex,  # letters and digits alone, at most 128
        "policyDocuments": [document],
        "disconnectAfterInSeconds": lasts_s,
        "refreshAfterInSeconds": REFRESH_S,
    }


def policy(device: Decision, arn: str) -> dict[str, Any]:
    """The least that a device needs, as an AWS IoT Core policy: its own client id, `up/#` and `down/#`, nothing else.

    A client id is one of the whole account there, and who connects with it cuts whoever had it: only the username is
    allowed, since nobody else has it. Subscribing is a right to a filter, receiving one to a topic.
    """
    [up, down] = [grant.topic.removesuffix("#") for grant in acl(device)]
    return {
        "Version": "2012-10-17",
        "Statement": [
            _allow("iot:Connect", f"{arn}:client/{username(device.tenant, device.device)}"),
            _allow("iot:Publish", f"{arn}:topic/{up}*"),
            _allow("iot:Subscribe", f"{arn}:topicfilter/{down}*"),
            _allow("iot:Receive", f"{arn}:topic/{down}*"),
        ],
    }


def _allow(action: str, resource: str) -> dict[str, str]:
    return {"Effect": "Allow", "Action": action, "Resource": resource}


def _part(event: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = event.get(name)
    return part if isinstance(part, dict) else {}


def _text(part: Mapping[str, Any], name: str) -> str:
    value = part.get(name)
    return value if isinstance(value, str) else ""
