"""The lines a newcomer pastes into a terminal: a device's first message, by token or by certificate.

%HOST% is filled in by the browser, which knows how it reached this machine. Keys and tokens hold no quote (the
contract's patterns), so single quotes are safe in any shell.
"""

import json
import os
from typing import Any

TOKEN_PLACEHOLDER = "THE-DEVICE-TOKEN"  # noqa: S105 - what stands where the token belongs
SERVER = "server.pem"


def example(metrics: list[dict[str, Any]]) -> dict[str, Any]:
    """Believable values for the first two metrics of a profile; a made-up temperature for an empty profile."""
    values = {each["key"]: _value(each) for each in metrics if each["type"] != "OBJECT"}
    return dict(list(values.items())[:2]) or {"temperature": 21.5}


def _value(metric: dict[str, Any]) -> Any:
    if metric["type"] == "BOOLEAN":
        return True
    if metric["type"] == "STRING":
        return "ok"
    low, high = metric.get("min"), metric.get("max")
    if low is None and high is None:
        return 21.5
    middle = (low + high) / 2 if low is not None and high is not None else (high if low is None else low)
    return int(middle) if float(middle).is_integer() else round(middle, 2)


def mosquitto_pub(tenant: str, device: str, token: str, metrics: list[dict[str, Any]]) -> str:
    """The command that sends a message with the device's token as password."""
    port = os.environ.get("TIDEGATE_MQTT_PORT", "1883")
    return (
        f"mosquitto_pub -h %HOST% -p {port} -q 1 -u '{tenant}/d/{device}' -P '{token or TOKEN_PLACEHOLDER}' "
        + _message(tenant, device, metrics)
    )


def curl(device: str, token: str, metrics: list[dict[str, Any]]) -> str:
    """The command that sends a message over HTTP, with the device's token."""
    return (
        f"curl -sS --fail-with-body -H 'Authorization: Bearer {token or TOKEN_PLACEHOLDER}' "
        f"-H 'Content-Type: application/json' -d '{_payload(metrics)}' "
        f"http://%HOST%:{os.environ.get('TIDEGATE_INGEST_HTTP_PORT', '8001')}/ingest/v1/{device}/telemetry"
    )


def coap_client(device: str, token: str, metrics: list[dict[str, Any]]) -> str:
    """The command of libcoap that sends a message over CoAP, with the device's token; it is called so in Debian."""
    return (
        f"coap-client-notls -m post -t 50 -e '{_payload(metrics)}' "
        f"'coap://%HOST%:{os.environ.get('TIDEGATE_COAP_PORT', '5683')}/ingest/v1/{device}/telemetry"
        f"?token={token or TOKEN_PLACEHOLDER}'"
    )


def openssl_request(device: str) -> str:
    """Makes a key that stays where it is made, and a request to sign; shows the request."""
    return (
        f"openssl ecparam -name prime256v1 -genkey -noout -out '{device}.key' && "
        f"openssl req -new -key '{device}.key' -subj '/CN={device}' -out '{device}.csr' && cat '{device}.csr'"
    )


def openssl_public_key(device: str) -> str:
    """Makes a pair of keys where it is pasted, and shows the public half."""
    return (
        f"openssl ecparam -name prime256v1 -genkey -noout -out '{device}.jwt.key' && "
        f"openssl ec -in '{device}.jwt.key' -pubout 2>/dev/null"
    )


def openssl_server() -> str:
    """Fetches the certificate with which the platform shows who it is."""
    return f"openssl s_client -connect %HOST%:{_tls_port()} </dev/null 2>/dev/null | openssl x509 -out {SERVER}"


def mosquitto_pub_tls(tenant: str, device: str, metrics: list[dict[str, Any]]) -> str:
    """The command that sends a message with the device's certificate, over TLS and without a password."""
    return (
        f"mosquitto_pub -h %HOST% -p {_tls_port()} --cafile {SERVER} --cert '{device}.crt' --key '{device}.key' -q 1 "
        + _message(tenant, device, metrics)
    )


def _tls_port() -> str:
    return os.environ.get("TIDEGATE_MQTTS_PORT", "8883")


def _message(tenant: str, device: str, metrics: list[dict[str, Any]]) -> str:
    return f"-t 't/{tenant}/d/{device}/up/telemetry' -m '{_payload(metrics)}'"


def _payload(metrics: list[dict[str, Any]]) -> str:
    return json.dumps({"values": example(metrics)}, separators=(",", ":"))
