"""VerneMQ's webhooks: which of them are questions about rights, and the answers it understands.

Documented behaviour: docs.vernemq.com, "Webhooks". The hook's name is in the header `vernemq-hook`; those that end in
`_m5` are MQTT 5.0's. `"next"` leaves a hook to others, an error refuses.
"""

from collections.abc import Mapping, Sequence
from typing import Any

REGISTER = frozenset({"auth_on_register", "auth_on_register_m5"})
PUBLISH = frozenset({"auth_on_publish", "auth_on_publish_m5"})
SUBSCRIBE = frozenset({"auth_on_subscribe", "auth_on_subscribe_m5"})

OK: Mapping[str, Any] = {"result": "ok"}
NEXT: Mapping[str, Any] = {"result": "next"}
NOT_ALLOWED: Mapping[str, Any] = {"result": {"error": "not_allowed"}}

_REFUSED, _REFUSED_M5 = 128, 135  # SUBACK's codes of 3.1.1 and 5.0


def text(asked: Mapping[str, Any], name: str) -> str:
    """A text of the body, empty when there is none: VerneMQ sends null for a username that was not given."""
    value = asked.get(name)
    return value if isinstance(value, str) else ""


def filters(asked: Mapping[str, Any]) -> list[tuple[str, int]]:
    """What a client wants to subscribe to: filter and QoS; empty when the body is not as documented."""
    wanted = asked.get("topics")
    if not isinstance(wanted, list) or not all(isinstance(each, dict) for each in wanted):
        return []
    qos = [each.get("qos") for each in wanted]
    return [(text(each, "topic"), n if isinstance(n, int) else 0) for each, n in zip(wanted, qos, strict=True)]


def subscribed(hook: str, wanted: Sequence[tuple[str, int]], allowed: Sequence[bool]) -> Mapping[str, Any]:
    """The answer to a SUBSCRIBE: all, none, or each filter with its QoS or its refusal."""
    if not any(allowed):
        return NOT_ALLOWED
    if all(allowed):
        return OK
    no = _REFUSED_M5 if hook.endswith("_m5") else _REFUSED
    each = [
        {"topic": topic, "qos": qos if is_allowed else no}
        for (topic, qos), is_allowed in zip(wanted, allowed, strict=True)
    ]
    return {"result": "ok", "modifiers": {"topics": each}} if no == _REFUSED_M5 else {"result": "ok", "topics": each}
