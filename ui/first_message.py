"""The line a newcomer pastes into a terminal to send a device's first message."""

import json
import os
from typing import Any

TOKEN_PLACEHOLDER = "THE-DEVICE-TOKEN"  # noqa: S105 - what stands where the token belongs


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
    """The command; %HOST% is filled in by the browser, which knows how it reached this machine.

    Keys and tokens hold no quote (the contract's patterns), so single quotes are safe in any shell.
    """
    payload = json.dumps({"values": example(metrics)}, separators=(",", ":"))
    port = os.environ.get("TIDEGATE_MQTT_PORT", "1883")
    return (
        f"mosquitto_pub -h %HOST% -p {port} -q 1 -u '{tenant}/d/{device}' -P '{token or TOKEN_PLACEHOLDER}' "
        f"-t 't/{tenant}/d/{device}/up/telemetry' -m '{payload}'"
    )
