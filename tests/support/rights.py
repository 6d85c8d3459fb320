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
    "inbox": ("inbox:read", "telemetry:write"),
    "ingestCounts": ("telemetry:read", None),
    "invitation": _USERS,
    "latest": ("telemetry:read", None),
    "me": _OWN,
    "member": _USERS,
    "notification": _NOTIFICATIONS,
    "oscoreContext": _DEVICES,
    "password": _OWN,
    "platform": ("platform:read", "platform:write"),
    "point": _DEVICES,
    "profile": ("devices:read", "profiles:write"),
    "provision": _DEVICES,
    "publicKey": _DEVICES,
    "retention": ("tenant:read", "profiles:write"),
    "role": _USERS,
    "rule": _RULES,
    "secondFactor": _OWN,
    "session": _OWN,
    "silence": _ALERTS,
    "telemetry": ("telemetry:read", None),
    "tenantTimeZone": ("tenant:read", None),
    "token": ("tokens:write", "tokens:write"),
    "usage": ("tenant:read", None),
}
"""The right to read and the right to change, by what a field's name begins with; the longest beginning counts."""

PARTICULAR = {
    "tenantTimeZoneSet": "profiles:write",
    "deviceErase": "devices:erase",  # what is gone is gone: more than changing a device
    "memberSessions": "users:write",  # where somebody else is signed in is for whoever may sign them out
    "pointRead": "commands:write",  # asks a machine
    "pointTableCheck": "devices:write",  # is for whoever writes one, and costs a second
    "pointDiscover": "commands:write",
    "identityProviderCheck": "tenant:write",  # makes the platform ask an address that somebody typed
}
"""Fields that need another right than their noun says, and why."""

BESIDE = {
    "inboxMessageReplay": "inbox:read",  # whoever cannot see a message can neither judge nor throw it away
    "inboxMessageDiscard": "inbox:read",
    "inboxGroupReplay": "inbox:read",
    "inboxGroupDiscard": "inbox:read",
    **dict.fromkeys(("pointTableSet", "pointTableRevert"), "commands:write"),  # what a table names, commands may write
    "ruleBacktest": "telemetry:read",  # shows stored values to whoever writes a condition that asks for them
    "ruleExplain": "telemetry:read",
    "rulePreview": "telemetry:read",  # its texts hold the values that they name
    "ruleNonFirings": "telemetry:read",  # its sentence and its condition hold the values that were seen
}
"""Fields that need a second right beside their noun's, and why."""

BELOW = {
    ("Device", "latest"): "telemetry:read",
    ("Device", "telemetry"): "telemetry:read",
    ("Rule", "openAlerts"): "alerts:read",
    ("RuleHole", "fitting"): "devices:read",  # a profile's metrics
    ("RuleProfile", "deviceCount"): "devices:read",
}
"""Values below a thing that another right protects. Whole things below others are found in the schema, see below.py."""

ITS_OWN = {
    ("Command", "command"),  # a command's own name
    ("CredentialIssued", "token"),  # a device's, as those below
    ("DeviceProvisioned", "token"),
    ("DeviceReleased", "token"),
    ("TransferAccepted", "token"),
    ("IdentityProvider", "role"),  # what the provider's people are to be
    ("Me", "role"),
    ("InboxGroup", "devices"),  # how many erred
    ("Profile", "retentionDays"),  # the profile's own word
    ("ProfileVersion", "retentionDays"),
    ("Membership", "role"),
    ("Provisioner", "rule"),  # a rule of who may come in
    ("RuleBacktest", "devices"),  # how far a rule reaches, in numbers
    ("RuleBacktest", "devicesInScope"),
    ("RuleBacktest", "firedDevices"),
    ("UsageHour", "devices"),  # what is counted against a quota
}
"""Values that are called after a noun of another right and still say nothing that it protects."""


def rights(name: str, kind: str) -> frozenset[str]:
    """The rights that a root field must need; none: being signed in is enough. A new noun needs a line in ``NOUNS``."""
    one = PARTICULAR[name] if name in PARTICULAR else _of_noun(name, is_change=kind == "mutation")
    return frozenset(filter(None, (one, BESIDE.get(name))))


def right_to_read(name: str) -> str:
    """The right that protects what a root field shows."""
    return _of_noun(name, is_change=False)


def _of_noun(name: str, *, is_change: bool) -> str:
    noun = max((noun for noun in NOUNS if name.startswith(noun)), key=len)
    found = NOUNS[noun][is_change]
    assert found is not None, f"{name}: nothing of this kind was ever meant to be changed"
    return found
