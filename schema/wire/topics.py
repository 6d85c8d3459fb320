"""Which topics a device may use, spelled once: the endpoint, the pipeline and asyncapi.yaml read this table.

A topic is `t/{tenant}/d/{device}/` and a tail; the tail begins with `up/` (from the device) or `down/` (to it).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

TENANT_KEY = r"[a-z0-9-]{1,20}"
DEVICE_KEY = r"[A-Za-z0-9_-]{1,40}"
WORD = r"[A-Za-z0-9_.-]{1,64}"

PARAMETERS: Mapping[str, str] = {
    "tenant": TENANT_KEY,
    "device": DEVICE_KEY,
    "child": DEVICE_KEY,
    "stream": WORD,
    "type": WORD,
    "id": WORD,
}
"""The pattern of each `{parameter}`; keys are chosen once and never change."""

PREFIX = "t/{tenant}/d/{device}/"

UP: Mapping[str, str] = {
    "telemetry": "up/telemetry",
    "telemetry_stream": "up/telemetry/{stream}",
    "event": "up/event/{type}",
    "shadow_reported": "up/shadow/reported",
    "shadow_get": "up/shadow/get",
    "command_ack": "up/cmd/{id}/ack",
    "command_result": "up/cmd/{id}/result",
    "ota": "up/ota",
    "status": "up/status",
    "points_said": "up/points",
    "child_telemetry": "up/child/{child}/telemetry",
    "child_event": "up/child/{child}/event/{type}",
    "child_command_ack": "up/child/{child}/cmd/{id}/ack",
    "child_command_result": "up/child/{child}/cmd/{id}/result",
    "child_status": "up/child/{child}/status",
}
"""What a device may publish: name → tail. A stream only keeps a device's flows apart; it is not stored."""

DOWN: Mapping[str, str] = {
    "command": "down/cmd/{id}",
    "shadow_delta": "down/shadow/delta",
    "shadow_accepted": "down/shadow/accepted",
    "shadow_rejected": "down/shadow/rejected",
    "ota": "down/ota",
    "child_command": "down/child/{child}/cmd/{id}",
    "points": "down/points",
}
"""What a device may subscribe to: name → tail."""

PROVISION: Mapping[str, str] = {
    "provision_request": "t/{tenant}/provision/up/request",
    "provision_response": "t/{tenant}/provision/down/response",
}
"""What a newcomer may use, which is no device yet: it publishes the one, once, and subscribes the other."""


@dataclass(frozen=True, slots=True)
class Tail:
    """A recognised tail: its direction ("up" or "down"), its name in `UP` or `DOWN`, and its parameters."""

    direction: str
    name: str
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Topic:
    """A whole topic, taken apart."""

    tenant: str
    device: str
    tail: Tail


def pattern(template: str) -> re.Pattern[str]:
    """Matches what a template with `{parameters}` stands for, each as a group of its name."""
    parts = re.split(r"\{(\w+)\}", template)
    text = "".join(f"(?P<{p}>{PARAMETERS[p]})" if n % 2 else re.escape(p) for n, p in enumerate(parts))
    return re.compile(text)


_TAILS = [
    (pattern(template), direction, name)
    for direction, table in (("up", UP), ("down", DOWN))
    for name, template in table.items()
]
WHOLE = re.compile(rf"t/({TENANT_KEY})/d/({DEVICE_KEY})/(.+)", re.DOTALL)
"""Tenant key, device key and tail of whatever looks like a topic of ours."""
_USERNAME = re.compile(rf"({TENANT_KEY})/d/({DEVICE_KEY})")
_NEWCOMER = re.compile(rf"({TENANT_KEY})/provision")


def parse_tail(tail: str) -> Tail | None:
    """The tail's meaning, or None when the table does not know it."""
    for pattern, direction, name in _TAILS:
        if match := pattern.fullmatch(tail):
            return Tail(direction, name, match.groupdict())
    return None


def parse(topic: str) -> Topic | None:
    """A whole topic taken apart, or None when it is none of ours."""
    match = WHOLE.fullmatch(topic)
    tail = parse_tail(match[3]) if match else None
    return Topic(match[1], match[2], tail) if match and tail else None


def build(tenant: str, device: str, tail: str, **parameters: str) -> str:
    """A tail's topic, `build("acme", "pump-7", UP["event"], type="door")`; ValueError for a bad part."""
    values = {"tenant": tenant, "device": device} | parameters
    for name, value in values.items():
        if not re.fullmatch(PARAMETERS[name], value):
            raise ValueError(f"{name} {value!r} does not match {PARAMETERS[name]}")
    return (PREFIX + tail).format(**values)


def username(tenant: str, device: str) -> str:
    """What a device logs in as, and the common name of its certificate: at most 64 characters."""
    return f"{tenant}/d/{device}"


def parse_username(text: str) -> tuple[str, str] | None:
    """Tenant key and device key of a login's username, or None when it is not of that form."""
    match = _USERNAME.fullmatch(text)
    return (match[1], match[2]) if match else None


def newcomer(tenant: str) -> str:
    """What a newcomer logs in as, to introduce itself."""
    return f"{tenant}/provision"


def parse_newcomer(text: str) -> str | None:
    """The tenant's key of a newcomer's username, or None when it is not of that form."""
    match = _NEWCOMER.fullmatch(text)
    return match[1] if match else None
