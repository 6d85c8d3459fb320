"""Who vouches for the people of a tenant, and what they say about somebody."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from engine.identity_providers.errors import EmailUnverified, ProviderMalformed
from engine.tenancy import Role
from engine.tenants import limits
from engine.tenants.errors import EmailMalformed
from engine.tenants.invitations import address_of

MAX_PROVIDERS = 10
MAX_DOMAINS = 50
_DOMAIN = re.compile(r"(?=.{3,190}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9][a-z0-9-]{0,61}[a-z0-9]")


@dataclass(frozen=True, slots=True)
class Provider:
    """An identity provider of a tenant. ``role``: what somebody new becomes; None: only invited people come in.

    ``groups``: the only groups whose devices somebody new sees, None for all devices.
    """

    id: UUID
    name: str
    issuer: str
    client_id: str
    domains: tuple[str, ...]
    role: Role | None
    role_id: UUID | None
    groups: frozenset[UUID] | None
    is_enabled: bool
    version: int
    created_at: datetime
    updated_at: datetime
    client_secret: bytes = field(repr=False, compare=False)
    """Sealed by the vault."""

    def shown(self) -> dict[str, object]:
        """What the audit log may know: everything but the secret."""
        names = ("name", "issuer", "client_id", "domains", "role", "role_id", "is_enabled")
        return {name: getattr(self, name) for name in names} | limits.said(self.groups)

    def takes(self, email: str) -> bool:
        """Whether ``email`` is of a domain that this provider may vouch for; without domains, any is."""
        return not self.domains or email.rpartition("@")[2] in self.domains


@dataclass(frozen=True, slots=True)
class Vouched:
    """What a provider said about somebody, verified: ``subject`` is its name for them, which never changes."""

    subject: str
    email: str
    name: str


def vouched(claims: dict[str, object]) -> Vouched:
    """Who the claims of a verified id_token are about. Raises EmailUnverified unless the provider vouches for it."""
    email, subject = claims.get("email"), claims.get("sub")
    if claims.get("email_verified") is not True or not isinstance(email, str) or not isinstance(subject, str):
        raise EmailUnverified
    try:
        clean = address_of(email)
    except EmailMalformed:
        raise EmailUnverified from None
    said = claims.get("name")
    name = "".join(c for c in said if c.isprintable()).strip()[:120] if isinstance(said, str) else ""
    return Vouched(subject, clean, name or clean.partition("@")[0])


def checked_domains(domains: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """Domains as they are kept: lower case, each once. Raises ProviderMalformed."""
    clean = tuple(dict.fromkeys(domain.strip().lower() for domain in domains))
    if len(clean) > MAX_DOMAINS or not all(map(_DOMAIN.fullmatch, clean)):
        raise ProviderMalformed("A domain is like example.com, without @ or a path; at most 50 of them.")
    return clean


CALLBACK_PATH = "/auth/oidc/callback"


def sign_in_path(tenant_key: str, provider_id: UUID) -> str:
    """Where somebody begins to sign in by a provider; the tenant's key is the place to look, and proves nothing."""
    return f"/auth/oidc/start/{tenant_key}/{provider_id}"
