"""People, tenants and API tokens as the contract shows them."""

from datetime import datetime
from typing import Self
from uuid import UUID

import strawberry

from engine.tenancy import Role
from engine.tenants import model
from schema.directives import Constraint, Secret

strawberry.enum(Role, description="What a person is in a tenant; each role is a set of scopes.")


@strawberry.type(description="A tenant: the company or site whose devices, people and data belong together.")
class Tenant:
    """A tenant."""

    id: UUID = strawberry.field(description="The tenant's id.")
    key: str = strawberry.field(description="The short name that devices use in topics; it never changes.")
    name: str = strawberry.field(description="The name shown to people.")

    @classmethod
    def of(cls, tenant: model.Tenant) -> Self:
        """The contract's view of ``tenant``."""
        return cls(id=tenant.id, key=tenant.key, name=tenant.name)


@strawberry.type(description="A tenant that the person who asks belongs to, and as what.")
class Membership:
    """One of a person's tenants."""

    tenant_id: UUID = strawberry.field(description="The tenant's id.")
    tenant_key: str = strawberry.field(description="The tenant's short name.")
    tenant_name: str = strawberry.field(description="The tenant's name shown to people.")
    role: Role = strawberry.field(description="What the person is there.")

    @classmethod
    def of(cls, membership: model.Membership) -> Self:
        """The contract's view of ``membership``."""
        return cls(
            tenant_id=membership.tenant_id,
            tenant_key=membership.tenant_key,
            tenant_name=membership.tenant_name,
            role=Role(membership.role),
        )


@strawberry.type(description="Who asks, for which tenant, and what they may do.")
class Me:
    """The caller."""

    kind: str = strawberry.field(description="What the caller is: user or token.")
    name: str = strawberry.field(description="The person's or token's name.")
    email: str | None = strawberry.field(description="The person's e-mail address; null for tokens.")
    role: Role | None = strawberry.field(description="What the person is in this tenant; null for tokens.")
    tenant: Tenant = strawberry.field(description="The tenant that every answer belongs to.")
    scopes: list[str] = strawberry.field(description="What the caller may do, for example devices:read.")
    memberships: list[Membership] = strawberry.field(description="All tenants of the person; empty for tokens.")


@strawberry.type(description="A person who belongs to the tenant.")
class Member:
    """One person of a tenant."""

    id: UUID = strawberry.field(description="The person's id.")
    email: str = strawberry.field(description="The person's e-mail address.")
    name: str = strawberry.field(description="The person's name.")
    role: Role = strawberry.field(description="What the person is in this tenant.")

    @classmethod
    def of(cls, member: model.Member) -> Self:
        """The contract's view of ``member``."""
        return cls(id=member.user.id, email=member.user.email, name=member.user.name, role=Role(member.role))


@strawberry.type(description="A token with which a program calls the API. Its secret is shown once, when it is issued.")
class ApiToken:
    """An API token without its secret."""

    id: UUID = strawberry.field(description="The token's id.")
    name: str = strawberry.field(description="What the token is for.")
    prefix: str = strawberry.field(description="The first letters of the secret, to recognise it by.")
    scopes: list[str] = strawberry.field(description="What the token may do.")
    created_at: datetime = strawberry.field(description="When it was issued.")
    expires_at: datetime | None = strawberry.field(description="When it ends by itself; null if never.")
    last_used_at: datetime | None = strawberry.field(description="When it was last used, to about a minute.")
    revoked_at: datetime | None = strawberry.field(description="When it was revoked; null while it works.")

    @classmethod
    def of(cls, token: model.ApiToken) -> Self:
        """The contract's view of ``token``."""
        return cls(
            id=token.id,
            name=token.name,
            prefix=token.prefix,
            scopes=sorted(token.scopes),
            created_at=token.created_at,
            expires_at=token.expires_at,
            last_used_at=token.last_used_at,
            revoked_at=token.revoked_at,
        )


@strawberry.type(description="A new API token together with its secret.")
class TokenIssued:
    """Shown once."""

    token: ApiToken = strawberry.field(description="The token.")
    secret: str = strawberry.field(
        description="Send this as `Authorization: Bearer …`. It is never shown again.", directives=[Secret()]
    )


@strawberry.input(description="What a new API token is for and what it may do.")
class TokenIssue:
    """Input of tokenIssue."""

    name: str = strawberry.field(
        description="What the token is for.", directives=[Constraint(min_length=1, max_length=100)]
    )
    scopes: list[str] = strawberry.field(
        description="What the token may do; at most what you may do yourself.",
        directives=[Constraint(min_length=1, max_length=40)],
    )
    expires_at: datetime | None = strawberry.field(
        description="When it ends by itself; leave it out for never.", default=None
    )
