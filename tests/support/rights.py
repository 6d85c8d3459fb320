"""Which right each thing of the contract must need, said here once more and by hand: what the resolvers declare is what
is tested against it, so nothing here is read from them.
"""

READS = frozenset({"devices:read", "telemetry:read", "commands:read", "rules:read", "alerts:read", "tenant:read"})
_OPERATOR = READS | {
    *("devices:write", "alerts:write", "telemetry:write", "commands:write"),
    *("notifications:read", "inbox:read"),
}
_DESIGNER = READS | {"rules:write", "alerts:write", "notifications:read"}
_ADMIN = (
    _OPERATOR
    | _DESIGNER
    | {"profiles:write", "tokens:write", "users:read", "users:write", "audit:read", "devices:erase"}
    | {"notifications:write"}
)

ROLES = {
    "owner": _ADMIN | {"tenant:write"},
    "admin": _ADMIN,
    "operator": _OPERATOR,
    "designer": _DESIGNER,
    "viewer": READS,
    "platform": frozenset({"platform:read", "platform:write", "users:read", "users:write", "audit:read"}),
}
"""What each role may do; the platform's operators are in a tenant of their own."""

_DEVICES = ("devices:read", "devices:write")
_USERS = ("users:read", "users:write")
_RULES = ("rules:read", "rules:write")
_ALERTS = ("alerts:read", "alerts:write")
_NOTIFICATIONS = ("notifications:read", "notifications:write")
_OWN = ("", "")

NOUNS = {
    "alert": _ALERTS,
    "audit": ("audit:read", None),
    "authority": _DEVICES,
    "certificate": _DEVICES,
    "channel": _NOTIFICATIONS,
    "claimCertificate": _DEVICES,
    "command": ("commands:read", "commands:write"),
    "credential": _DEVICES,
    "deliver": _NOTIFICATIONS,
    "device": _DEVICES,
    "enrolment": _DEVICES,
    "fleet": _DEVICES,
    "identityProvider": ("tenant:read", "tenant:write"),
    "inbox": ("inbox:read", None),
    "ingestCounts": ("telemetry:read", None),
    "invitation": _USERS,
    "latest": ("telemetry:read", None),
    "me": _OWN,
    "member": _USERS,
    "notification": _NOTIFICATIONS,
    "password": _OWN,
    "platform": ("platform:read", "platform:write"),
    "profile": ("devices:read", "profiles:write"),
    "provision": _DEVICES,
    "publicKey": _DEVICES,
    "role": _USERS,
    "rule": _RULES,
    "secondFactor": _OWN,
    "session": _OWN,
    "silence": _ALERTS,
    "telemetry": ("telemetry:read", None),
    "token": ("tokens:write", "tokens:write"),
    "usage": ("tenant:read", None),
}
"""The right to read and the right to change, by what a field's name begins with; the longest beginning counts."""

PARTICULAR = {
    "deviceErase": "devices:erase",  # what is gone is gone: more than changing a device
    "memberSessions": "users:write",  # where somebody else is signed in is for whoever may sign them out
    "identityProviderCheck": "tenant:write",  # makes the platform ask an address that somebody typed
}
"""Fields that need another right than their noun says, and why."""


def right(name: str, kind: str) -> str:
    """The right that a field must need; empty: being signed in is enough. A new noun needs a line in ``NOUNS``."""
    if name in PARTICULAR:
        return PARTICULAR[name]
    noun = max((noun for noun in NOUNS if name.startswith(noun)), key=len)
    found = NOUNS[noun][kind == "mutation"]
    assert found is not None, f"{name}: nothing of this kind was ever meant to be changed"
    return found
