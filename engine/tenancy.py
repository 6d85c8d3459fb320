"""Who acts, for which tenant, and what they may do."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID


class Role(StrEnum):
    """What a person is in a tenant; each role is a set of scopes. CUSTOM: one of the tenant's own roles.

    PLATFORM exists in the platform's own tenant only, and nobody there is anything else: the operators.
    """

    OWNER = "owner"
    ADMIN = "admin"
    OPERATOR = "operator"
    DESIGNER = "designer"
    VIEWER = "viewer"
    CUSTOM = "custom"
    PLATFORM = "platform"


_READ = frozenset({"devices:read", "telemetry:read", "commands:read", "rules:read", "alerts:read", "tenant:read"})
_OPERATE = _READ | {"devices:write", "alerts:write", "telemetry:write", "commands:write", "notifications:read"}
_DESIGN = _READ | {"rules:write", "alerts:write", "notifications:read"}
_ADMIN = (
    _OPERATE
    | _DESIGN
    | {"profiles:write", "tokens:write", "users:read", "users:write", "inbox:read", "audit:read", "devices:erase"}
    | {"notifications:write"}
)

SCOPES: dict[Role, frozenset[str]] = {
    Role.OWNER: _ADMIN | {"tenant:write"},
    Role.ADMIN: _ADMIN,
    Role.OPERATOR: _OPERATE | {"inbox:read"},
    Role.DESIGNER: _DESIGN,
    Role.VIEWER: _READ,
    Role.CUSTOM: frozenset(),
    Role.PLATFORM: frozenset({"platform:read", "platform:write", "users:read", "users:write", "audit:read"}),
}

ALL_SCOPES: frozenset[str] = SCOPES[Role.OWNER]
"""Every right there is inside a tenant; none of the platform's is among them."""


WITHIN_GROUPS: frozenset[str] = frozenset(
    {
        *("devices:read", "devices:write", "telemetry:read", "telemetry:write"),
        *("commands:read", "commands:write", "alerts:read", "alerts:write", "rules:read", "inbox:read"),
    }
)
"""The rights that mean something for some devices only; whoever is limited to groups of devices has no others."""


def scopes_of(role: Role, custom: Iterable[str] | None) -> frozenset[str]:
    """What somebody with ``role`` may do; ``custom`` are the scopes of the tenant's own role, if that is what it is."""
    return frozenset(custom or ()) & ALL_SCOPES if role is Role.CUSTOM else SCOPES[role]


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody or something acting for one tenant.

    ``kind`` is ``user``, ``token`` or ``system``; ``id`` is the user's, the API token's or nil; ``address`` the network
    address the request came from, for the audit log; ``session_id`` the session a person acts in. ``groups``: the only
    groups whose devices they see and act on, None for all devices; whoever is limited has no right that is about the
    whole tenant, whatever they were given. ``lacks_factor``: an operator of the platform without a second factor, who
    has no right until there is one.
    """

    tenant_id: UUID
    kind: str
    id: UUID
    scopes: frozenset[str]
    name: str = ""
    address: str = field(default="", compare=False)
    session_id: UUID | None = field(default=None, compare=False)
    groups: frozenset[UUID] | None = None
    lacks_factor: bool = False

    def __post_init__(self) -> None:
        if self.lacks_factor:
            object.__setattr__(self, "scopes", frozenset())
        if self.groups is not None:
            object.__setattr__(self, "scopes", self.scopes & WITHIN_GROUPS)

    @property
    def is_limited(self) -> bool:
        """Whether they see the devices of some groups only."""
        return self.groups is not None

    def may(self, scope: str) -> bool:
        """Whether this principal holds ``scope``."""
        return scope in self.scopes


def system(tenant_id: UUID) -> Principal:
    """The platform itself acting as one tenant, as workers do."""
    return Principal(tenant_id, "system", UUID(int=0), ALL_SCOPES, "system")
