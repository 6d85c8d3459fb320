"""Identity providers as the contract shows them: who vouches for the people of a tenant, and for whom."""

from datetime import datetime
from typing import Self
from uuid import UUID

import strawberry

from engine.identity_providers import model
from engine.tenancy import Role
from schema.directives import Constraint
from schema.tenants import ONLY

_NAME = Constraint(min_length=1, max_length=60)
_CLIENT = Constraint(min_length=1, max_length=400)
ISSUER = Constraint(min_length=9, max_length=400)
_DOMAINS = Constraint(max_length=model.MAX_DOMAINS)
_ROLE = "What somebody new becomes (not OWNER); with CUSTOM, roleId says which of the tenant's own roles."


@strawberry.type(description="An identity provider (OpenID Connect) that vouches for people of this tenant.")
class IdentityProvider:
    """A provider, without its secret."""

    id: UUID = strawberry.field(description="The provider's id.")
    name: str = strawberry.field(description="The name on the button that people sign in with.")
    issuer: str = strawberry.field(description="The issuer's address, as its configuration has it.")
    client_id: str = strawberry.field(description="The name by which the provider knows this platform.")
    domains: list[str] = strawberry.field(
        description="The domains of the e-mail addresses it may vouch for; none: any, for invited people."
    )
    role: Role | None = strawberry.field(description="What somebody new becomes; null: only invited people come in.")
    role_id: UUID | None = strawberry.field(description="Which of the tenant's own roles, where role is CUSTOM.")
    group_ids: list[UUID] | None = strawberry.field(
        description="The only groups whose devices somebody new sees; null for all devices."
    )
    is_enabled: bool = strawberry.field(description="Whether people can sign in by it.")
    sign_in_path: str = strawberry.field(
        description="The path, below the address of the console, at which people begin to sign in by it."
    )
    callback_path: str = strawberry.field(
        description="The path, below the address of the console, to register with the provider as redirect URI."
    )
    version: int = strawberry.field(description="Rises with every change; send it back to change safely.")
    created_at: datetime = strawberry.field(description="When it was registered.")
    updated_at: datetime = strawberry.field(description="When it last changed.")

    @classmethod
    def of(cls, provider: model.Provider, tenant_key: str) -> Self:
        """The contract's view of ``provider``."""
        return cls(
            id=provider.id,
            name=provider.name,
            issuer=provider.issuer,
            client_id=provider.client_id,
            domains=list(provider.domains),
            role=provider.role,
            role_id=provider.role_id,
            group_ids=None if provider.groups is None else sorted(provider.groups),
            is_enabled=provider.is_enabled,
            sign_in_path=model.sign_in_path(tenant_key, provider.id),
            callback_path=model.CALLBACK_PATH,
            version=provider.version,
            created_at=provider.created_at,
            updated_at=provider.updated_at,
        )


@strawberry.type(description="What an issuer says about itself, where it is fit to sign people in.")
class IdentityProviderConfiguration:
    """The answer of identityProviderCheck."""

    issuer: str = strawberry.field(description="The issuer's address, as its configuration has it.")
    authorization_endpoint: str = strawberry.field(description="Where people are sent to sign in.")
    algorithms: list[str] = strawberry.field(description="What it signs with, of that which is accepted here.")


@strawberry.input(description="A new identity provider.")
class IdentityProviderRegister:
    """Input of identityProviderRegister."""

    name: str = strawberry.field(description="The name on the button that people sign in with.", directives=[_NAME])
    issuer: str = strawberry.field(
        description="The issuer's address; its configuration is asked for below it, at "
        "`/.well-known/openid-configuration`. https, on the public internet.",
        directives=[ISSUER],
    )
    client_id: str = strawberry.field(
        description="The name by which the provider knows this platform.", directives=[_CLIENT]
    )
    client_secret: str = strawberry.field(
        description="The secret that the provider gave with it; kept sealed, never shown.", directives=[_CLIENT]
    )
    domains: list[str] | None = strawberry.field(
        description="The domains of the e-mail addresses it may vouch for, like example.com. Needed where role is set.",
        default=None,
        directives=[_DOMAINS],
    )
    role: Role | None = strawberry.field(description=f"{_ROLE} Left out: only invited people come in.", default=None)
    role_id: UUID | None = strawberry.field(
        description="Which of the tenant's own roles, where role is CUSTOM.", default=None
    )
    group_ids: list[UUID] | None = strawberry.field(
        description="The only groups whose devices somebody new sees; left out: all devices. Needs role.",
        default=None,
        directives=[ONLY],
    )


@strawberry.input(description="Changes to an identity provider; what is left out stays.")
class IdentityProviderUpdate:
    """Input of identityProviderUpdate."""

    name: str | None = strawberry.field(description="The name on the button.", default=None, directives=[_NAME])
    client_secret: str | None = strawberry.field(description="A new secret.", default=None, directives=[_CLIENT])
    domains: list[str] | None = strawberry.field(
        description="The domains of the e-mail addresses it may vouch for.", default=None, directives=[_DOMAINS]
    )
    role: Role | None = strawberry.field(description=_ROLE, default=None)
    role_id: UUID | None = strawberry.field(
        description="Which of the tenant's own roles, where role is CUSTOM.", default=None
    )
    group_ids: list[UUID] | None = strawberry.field(
        description="The only groups whose devices people see who are new from now on; left out: as it was.",
        default=None,
        directives=[ONLY],
    )
    all_devices: bool = strawberry.field(
        description="Whether the limit to groups is lifted, so that people who are new from now on see all devices.",
        default=False,
    )
    only_invited: bool | None = strawberry.field(
        description="True: from now on only invited people come in, and role is not given.", default=None
    )
    is_enabled: bool | None = strawberry.field(
        description="False: nobody signs in by it any more, and sessions it opened end at once.", default=None
    )
