"""What a scope allows, in words, gathered under the thing it is about."""

from collections.abc import Iterable
from dataclasses import dataclass

# noun: its heading, what reading it means, what changing it means ("" where there is no such right). In the order
# people think of them.
NOUNS: dict[str, tuple[str, str, str]] = {
    "telemetry": (
        "Measured values",
        "Read values and their history",
        "Replay or discard messages that were not accepted",
    ),
    "devices": ("Devices", "See devices and profiles", "Add, change and decommission devices"),
    "profiles": ("Profiles", "", "Make and change profiles"),
    "commands": ("Commands", "See what devices were asked to do", "Ask devices to do something"),
    "alerts": ("Alerts", "See alerts", "Acknowledge alerts"),
    "notifications": ("Notifications", "See channels and what went out", "Change who is told, and how"),
    "rules": ("Rules", "See rules", "Make, change and delete rules"),
    "inbox": ("Inbox", "See messages that were not accepted", ""),
    "users": ("People", "See who belongs to the organisation", "Invite, change and remove people"),
    "tokens": ("API tokens", "", "See, issue and revoke API tokens"),
    "audit": ("Audit log", "Read who did what", ""),
    "platform": ("Platform", "See all organisations and how much they use", "Create, suspend and resume organisations"),
    "tenant": ("Organisation", "See the organisation", "Change the organisation"),
}
OTHERS = {"devices:erase": "Erase what a decommissioned device has sent"}
# What a right shows of the things of other rights: their names alone, until those rights come with it.
ALONE = {
    "alerts:read": "Of devices and rules the names only. Add “See devices and profiles”, “See rules” for the rest, and "
    "“Read values and their history” for the chart.",
    "commands:read": "Of devices the names only. Add “See devices and profiles” for the rest.",
    "devices:read": "Without values. Add “Read values and their history” for them.",
    "rules:read": "Add “Read values and their history” to try rules over what was measured, “See devices and profiles” "
    "to choose what they are about, “See alerts” to see how many are open.",
}
# Those that mean something for some devices only; whoever is limited to groups has no others.
ABOUT_DEVICES = frozenset(
    {
        *("devices:read", "devices:write", "telemetry:read", "telemetry:write"),
        *("commands:read", "commands:write", "alerts:read", "alerts:write", "rules:read", "inbox:read"),
    }
)
ROLES: dict[str, tuple[str, str]] = {
    "OWNER": ("Owner", "may do everything, the organisation itself included"),
    "ADMIN": ("Administrator", "may do everything but change the organisation"),
    "OPERATOR": ("Operator", "looks after devices and alerts, reads the inbox"),
    "DESIGNER": ("Designer", "writes rules and answers alerts"),
    "VIEWER": ("Viewer", "may look at devices, values, rules and alerts"),
    "CUSTOM": ("Custom", "may do exactly what was chosen"),
    "PLATFORM": ("Platform operator", "creates and suspends organisations, and sees none of their data"),
}
# Those that an organisation's own people are given as they are.
GIVEN = tuple((role, *said) for role, said in ROLES.items() if role not in ("CUSTOM", "PLATFORM"))


@dataclass(frozen=True)
class Right:
    """One scope to choose."""

    scope: str
    words: str
    is_chosen: bool = False
    alone: str = ""  # what it shows without other rights


@dataclass(frozen=True)
class RightGroup:
    """The scopes about one thing."""

    title: str
    rights: list[Right]


def right_words(scope: str) -> str:
    """A scope in words; one newer than this console is named as it is."""
    noun, _, verb = scope.partition(":")
    if scope in OTHERS:
        return OTHERS[scope]
    if noun not in NOUNS or verb not in ("read", "write"):
        return scope
    return NOUNS[noun][1 if verb == "read" else 2] or scope


def grouped(scopes: Iterable[str], chosen: Iterable[str] = ()) -> list[RightGroup]:
    """Scopes by what they are about, reading before changing; those in `chosen` marked."""
    scopes, picked = list(scopes), set(chosen)
    groups = []
    for noun in [*NOUNS, *sorted({scope.partition(":")[0] for scope in scopes} - NOUNS.keys())]:
        mine = sorted((scope for scope in scopes if scope.partition(":")[0] == noun), key=_weight)
        if mine:
            title = NOUNS[noun][0] if noun in NOUNS else noun.capitalize()
            groups.append(RightGroup(title, [_right(scope, scope in picked) for scope in mine]))
    return groups


def _right(scope: str, is_chosen: bool) -> Right:
    return Right(scope, right_words(scope), is_chosen, ALONE.get(scope, ""))


def _weight(scope: str) -> tuple[int, str]:
    verb = scope.partition(":")[2]
    return {"read": 0, "write": 1}.get(verb, 2), scope
