"""What the platform's operator sees of tenants, and does to them: that they exist, and nothing of what is in them."""

from datetime import datetime
from typing import Self
from uuid import UUID

import strawberry

from engine.tenants import model
from schema.directives import Constraint, Secret

_NAME = Constraint(min_length=1, max_length=120)
_EMAIL = Constraint(min_length=3, max_length=254)


@strawberry.type(description="A tenant as the platform's operator sees it. What is in it is the tenant's alone.")
class PlatformTenant:
    """A tenant from outside."""

    id: UUID = strawberry.field(description="The tenant's id.")
    key: str = strawberry.field(description="The short name that devices use in topics; it never changes.")
    name: str = strawberry.field(description="The name shown to people.")
    created_at: datetime = strawberry.field(description="When it was made.")
    suspended_at: datetime | None = strawberry.field(description="When it was suspended; null while it is open.")
    suspended_reason: str | None = strawberry.field(description="Why it was suspended.")
    has_owner: bool = strawberry.field(description="Whether somebody has accepted to own it.")

    @classmethod
    def of(cls, tenant: model.Hosted) -> Self:
        """The contract's view of ``tenant``."""
        return cls(
            id=tenant.id,
            key=tenant.key,
            name=tenant.name,
            created_at=tenant.created_at,
            suspended_at=tenant.suspended_at,
            suspended_reason=tenant.suspended_reason,
            has_owner=tenant.has_owner,
        )


@strawberry.type(description="A tenant together with the link by which its first owner accepts.")
class PlatformTenantInvited:
    """Shown once."""

    tenant: PlatformTenant = strawberry.field(description="The tenant.")
    secret: str = strawberry.field(
        description="What `POST /auth/accept` takes as `token`. It is never shown again.", directives=[Secret()]
    )
    link: str = strawberry.field(
        description="The path, below the address of the console, at which the owner accepts. Never shown again.",
        directives=[Secret()],
    )
    is_mailed: bool = strawberry.field(
        description="Whether it goes by e-mail too; false: the platform has no mail server, hand the link over."
    )


@strawberry.input(description="A new tenant and who will own it.")
class PlatformTenantCreate:
    """Input of platformTenantCreate."""

    key: str = strawberry.field(
        description="The short name that devices use in topics; it never changes.",
        directives=[Constraint(min_length=1, max_length=20, pattern="^[a-z0-9-]{1,20}$")],
    )
    name: str = strawberry.field(description="The name shown to people.", directives=[_NAME])
    email: str = strawberry.field(description="The first owner's e-mail address.", directives=[_EMAIL])


@strawberry.input(description="What a tenant is called from now on.")
class PlatformTenantRename:
    """Input of platformTenantRename."""

    name: str = strawberry.field(description="The name shown to people.", directives=[_NAME])


@strawberry.input(description="Why a tenant is suspended.")
class PlatformTenantSuspend:
    """Input of platformTenantSuspend."""

    reason: str = strawberry.field(
        description="The reason, kept until the tenant is resumed, and in the logs for good.",
        directives=[Constraint(min_length=1, max_length=400)],
    )


@strawberry.input(description="Whom to invite as the tenant's first owner.")
class PlatformTenantInvite:
    """Input of platformTenantInvite."""

    email: str = strawberry.field(description="The person's e-mail address.", directives=[_EMAIL])


@strawberry.input(description="Whose lost second factor to take away, and your own password as proof.")
class PlatformSecondFactorReset:
    """Input of platformSecondFactorReset."""

    email: str = strawberry.field(description="The person's e-mail address.", directives=[_EMAIL])
    password: str = strawberry.field(
        description="Your own present password.", directives=[Constraint(min_length=1, max_length=200)]
    )
