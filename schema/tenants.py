"""People, tenants and API tokens as the contract shows them."""

from datetime import datetime
from typing import Self
from uuid import UUID

import strawberry

from engine.tenancy import Role
from engine.tenants import model
from schema.directives import Constraint, Secret
from schema.enums import shown

ONLY = Constraint(min_length=1, max_length=model.MAX_GROUPS)


def _ids(groups: frozenset[UUID] | None) -> list[UUID] | None:
    return None if groups is None else sorted(groups)


shown(
    Role,
    "What a person is in a tenant; each role is a set of scopes.",
    OWNER="May do everything in the tenant.",
    ADMIN="May do everything but change the tenant itself.",
    OPERATOR="Runs devices and answers alerts.",
    DESIGNER="Writes rules, and sees the rest.",
    VIEWER="Sees, and changes nothing.",
    CUSTOM="Has the scopes of a role that the tenant made itself.",
    PLATFORM="Operates the platform, and sees no tenant's data.",
)
shown(
    model.InvitationStatus,
    "How far an invitation has come.",
    PENDING="Its link still waits to be used.",
    ACCEPTED="Its link was used, and somebody came.",
    WITHDRAWN="It was taken back, and its link is dead.",
    EXPIRED="Nobody came in time, and its link is dead.",
)


@strawberry.type(description="A tenant: the company or site whose devices, people and data belong together.")
class Tenant:
    """A tenant."""

    id: UUID = strawberry.field(description="The tenant's id.")
    key: str = strawberry.field(description="The short name that devices use in topics; it never changes.")
    name: str = strawberry.field(description="The name shown to people.")
    time_zone: str = strawberry.field(
        description="By whose clock times of day of rules go, for example Europe/Berlin. A time zone that the rule "
        "names comes before it, then the device's attribute timezone."
    )

    @classmethod
    def of(cls, tenant: model.Tenant) -> Self:
        """The contract's view of ``tenant``."""
        return cls(id=tenant.id, key=tenant.key, name=tenant.name, time_zone=tenant.time_zone)


@strawberry.type(description="A tenant that the person who asks belongs to, and as what.")
class Membership:
    """One of a person's tenants."""

    tenant_id: UUID = strawberry.field(description="The tenant's id.")
    tenant_key: str = strawberry.field(description="The tenant's short name.")
    tenant_name: str = strawberry.field(description="The tenant's name shown to people.")
    role: Role = strawberry.field(description="What the person is there.")
    role_name: str | None = strawberry.field(description="The name of the tenant's own role, where role is CUSTOM.")

    @classmethod
    def of(cls, membership: model.Membership) -> Self:
        """The contract's view of ``membership``."""
        return cls(
            tenant_id=membership.tenant_id,
            tenant_key=membership.tenant_key,
            tenant_name=membership.tenant_name,
            role=membership.role,
            role_name=membership.role_name,
        )


@strawberry.type(description="A role that the tenant made for itself: a name for a set of rights.")
class CustomRole:
    """A tenant's own role."""

    id: UUID = strawberry.field(description="The role's id.")
    name: str = strawberry.field(description="What the role is called.")
    scopes: list[str] = strawberry.field(description="What people with this role may do.")
    version: int = strawberry.field(description="Grows by one with each change.")
    created_at: datetime = strawberry.field(description="When it was made.")
    updated_at: datetime = strawberry.field(description="When it was last changed.")

    @classmethod
    def of(cls, role: model.CustomRole) -> Self:
        """The contract's view of ``role``."""
        return cls(
            id=role.id,
            name=role.name,
            scopes=sorted(role.scopes),
            version=role.version,
            created_at=role.created_at,
            updated_at=role.updated_at,
        )


@strawberry.input(description="A new role of the tenant's own.")
class RoleCreate:
    """Input of roleCreate."""

    name: str = strawberry.field(
        description="What the role is called.", directives=[Constraint(min_length=1, max_length=60)]
    )
    scopes: list[str] = strawberry.field(
        description="What people with this role may do; at most what you may do yourself.",
        directives=[Constraint(min_length=1, max_length=40)],
    )


@strawberry.input(description="What changes about a role; what is left out stays.")
class RoleUpdate:
    """Input of roleUpdate."""

    name: str | None = strawberry.field(
        description="What the role is called.", directives=[Constraint(min_length=1, max_length=60)], default=None
    )
    scopes: list[str] | None = strawberry.field(
        description="What people with this role may do; at most what you may do yourself.",
        directives=[Constraint(min_length=1, max_length=40)],
        default=None,
    )


@strawberry.type(description="That somebody else took a person's lost second factor away.")
class SecondFactorReset:
    """When, and who."""

    at: datetime = strawberry.field(description="When it was.")
    by: str = strawberry.field(description="The e-mail address of who did it: an admin, or the platform's operator.")


@strawberry.type(description="Who asks, for which tenant, and what they may do.")
class Me:
    """The caller."""

    kind: str = strawberry.field(description="What the caller is: user or token.")
    name: str = strawberry.field(description="The person's or token's name.")
    email: str | None = strawberry.field(description="The person's e-mail address; null for tokens.")
    user_id: UUID | None = strawberry.field(
        description="The person's id, as alerts are assigned to it; null for tokens."
    )
    role: Role | None = strawberry.field(description="What the person is in this tenant; null for tokens.")
    role_name: str | None = strawberry.field(description="The name of the tenant's own role, where role is CUSTOM.")
    tenant: Tenant = strawberry.field(description="The tenant that every answer belongs to.")
    scopes: list[str] = strawberry.field(description="What the caller may do, for example devices:read.")
    group_ids: list[UUID] | None = strawberry.field(
        description="The only groups whose devices the caller sees and acts on; null for all devices."
    )
    memberships: list[Membership] = strawberry.field(description="All tenants of the person; empty for tokens.")
    has_second_factor: bool = strawberry.field(description="Whether signing in takes a code; false for tokens.")
    recovery_codes_left: int = strawberry.field(description="How many recovery codes are not used yet.")
    needs_second_factor: bool = strawberry.field(
        description="Whether you can do nothing before you set up a second factor, as the platform's operators must."
    )
    second_factor_reset: "SecondFactorReset | None" = strawberry.field(
        description="That somebody else took your lost second factor away; told until you have a new one. "
        "Null for tokens."
    )


@strawberry.type(description="A person who belongs to the tenant.")
class Member:
    """One person of a tenant."""

    id: UUID = strawberry.field(description="The person's id.")
    email: str = strawberry.field(description="The person's e-mail address.")
    name: str = strawberry.field(description="The person's name.")
    role: Role = strawberry.field(description="What the person is in this tenant.")
    custom_role: CustomRole | None = strawberry.field(description="The tenant's own role, where role is CUSTOM.")
    since: datetime = strawberry.field(description="Since when the person belongs to the tenant.")
    has_second_factor: bool = strawberry.field(description="Whether signing in takes a code.")
    group_ids: list[UUID] | None = strawberry.field(
        description="The only groups whose devices the person sees and acts on; null for all devices. Of the rights of "
        "their role they then have those that are about devices."
    )

    @classmethod
    def of(cls, member: model.Member) -> Self:
        """The contract's view of ``member``."""
        return cls(
            id=member.user.id,
            email=member.user.email,
            name=member.user.name,
            role=member.role,
            custom_role=CustomRole.of(member.custom) if member.custom else None,
            since=member.since,
            has_second_factor=member.has_second_factor,
            group_ids=_ids(member.groups),
        )


@strawberry.input(description="What a member of the tenant becomes.")
class MemberChange:
    """Input of memberChange."""

    role: Role = strawberry.field(description="The role; CUSTOM together with the id of one of the tenant's own.")
    role_id: UUID | None = strawberry.field(description="The tenant's own role, where role is CUSTOM.", default=None)
    group_ids: list[UUID] | None = strawberry.field(
        description="The only groups whose devices the member sees from now on; left out: as it was.",
        directives=[ONLY],
        default=None,
    )
    all_devices: bool = strawberry.field(
        description="Whether a limit to groups is lifted, so that the member sees all devices.", default=False
    )


@strawberry.type(description="Somebody asked to join the tenant.")
class Invitation:
    """An invitation without its secret."""

    id: UUID = strawberry.field(description="The invitation's id.")
    email: str = strawberry.field(description="Whom it is for.")
    role: Role = strawberry.field(description="What they will be in the tenant.")
    role_id: UUID | None = strawberry.field(description="The tenant's own role, where role is CUSTOM.")
    invited_by: str = strawberry.field(description="Who invited them.")
    created_at: datetime = strawberry.field(description="When they were invited.")
    expires_at: datetime = strawberry.field(description="Until when they can accept.")
    status: model.InvitationStatus = strawberry.field(description="How far it has come.")
    group_ids: list[UUID] | None = strawberry.field(
        description="The only groups whose devices they will see; null for all devices."
    )

    @classmethod
    def of(cls, invitation: model.Invitation) -> Self:
        """The contract's view of ``invitation``."""
        return cls(
            id=invitation.id,
            email=invitation.email,
            role=invitation.role,
            role_id=invitation.role_id,
            invited_by=invitation.invited_by,
            created_at=invitation.created_at,
            expires_at=invitation.expires_at,
            status=invitation.status,
            group_ids=_ids(invitation.groups),
        )


@strawberry.input(description="Whom to invite, and what they will be in the tenant.")
class MemberInvite:
    """Input of memberInvite."""

    email: str = strawberry.field(
        description="The person's e-mail address.", directives=[Constraint(min_length=3, max_length=254)]
    )
    role: Role = strawberry.field(description="The role; CUSTOM together with the id of one of the tenant's own.")
    role_id: UUID | None = strawberry.field(description="The tenant's own role, where role is CUSTOM.", default=None)
    group_ids: list[UUID] | None = strawberry.field(
        description="The only groups whose devices they will see; left out: all devices.",
        directives=[ONLY],
        default=None,
    )


@strawberry.type(description="A new invitation together with the link that accepts it.")
class MemberInvited:
    """Shown once."""

    invitation: Invitation = strawberry.field(description="The invitation.")
    secret: str = strawberry.field(
        description="What `POST /auth/accept` takes as `token`. It is never shown again.", directives=[Secret()]
    )
    link: str = strawberry.field(
        description="The path, below the address of the console, at which the person accepts. Never shown again.",
        directives=[Secret()],
    )
    is_mailed: bool = strawberry.field(
        description="Whether it goes by e-mail too; false: the platform has no mail server, hand the link over."
    )


@strawberry.type(description="A place where a person is signed in to this tenant.")
class Session:
    """A session without its secret."""

    id: UUID = strawberry.field(description="The session's id.")
    agent: str = strawberry.field(description="What the browser or program calls itself (User-Agent).")
    address: str = strawberry.field(description="The network address that signed in.")
    created_at: datetime = strawberry.field(description="When the person signed in.")
    last_seen_at: datetime = strawberry.field(description="When it was last used, to about a minute.")
    expires_at: datetime = strawberry.field(description="When it ends by itself.")
    is_current: bool = strawberry.field(description="Whether it is the session that asks.")

    @classmethod
    def of(cls, session: model.Session) -> Self:
        """The contract's view of ``session``."""
        return cls(
            id=session.id,
            agent=session.agent,
            address=session.address,
            created_at=session.created_at,
            last_seen_at=session.last_seen_at,
            expires_at=session.expires_at,
            is_current=session.is_current,
        )


@strawberry.input(description="A new password, and the present one as proof.")
class PasswordChange:
    """Input of passwordChange."""

    current: str = strawberry.field(
        description="The present password.", directives=[Constraint(min_length=1, max_length=200)]
    )
    new: str = strawberry.field(
        description="The new one: 12 characters or more, not the e-mail address, none that everybody tries first.",
        directives=[Constraint(min_length=1, max_length=200)],
    )


@strawberry.input(description="The present password, as proof.")
class SecondFactorEnrol:
    """Input of secondFactorEnrol."""

    password: str = strawberry.field(
        description="The present password.", directives=[Constraint(min_length=1, max_length=200)]
    )


@strawberry.type(description="A new second factor, before it counts.")
class SecondFactorEnrolled:
    """Shown once."""

    secret: str = strawberry.field(
        description="The secret in base32, to type into an authenticator app.", directives=[Secret()]
    )
    uri: str = strawberry.field(description="The same as an otpauth: URI, to show as a QR code.", directives=[Secret()])


@strawberry.input(description="The first code, as proof that the app has the secret.")
class SecondFactorConfirm:
    """Input of secondFactorConfirm."""

    code: str = strawberry.field(
        description="The six digits that the app shows.", directives=[Constraint(min_length=6, max_length=6)]
    )


@strawberry.type(description="A second factor that counts from now on.")
class SecondFactorConfirmed:
    """Shown once."""

    recovery_codes: list[str] = strawberry.field(
        description="Each signs in once without the app. Never shown again.", directives=[Secret()]
    )
    ended_sessions: int = strawberry.field(description="How many other sessions ended, in all tenants of the person.")


@strawberry.input(description="The present password and a code, as proof.")
class SecondFactorRemove:
    """Input of secondFactorRemove."""

    password: str = strawberry.field(
        description="The present password.", directives=[Constraint(min_length=1, max_length=200)]
    )
    code: str = strawberry.field(
        description="A code of the app, or a recovery code.", directives=[Constraint(min_length=1, max_length=40)]
    )


@strawberry.type(description="Whether signing in takes a code.")
class SecondFactor:
    """Answer of secondFactorRemove."""

    is_on: bool = strawberry.field(description="Whether there is a second factor.")


@strawberry.input(description="The present password and a code, as proof.")
class SecondFactorRenew:
    """Input of secondFactorRenew."""

    password: str = strawberry.field(
        description="The present password.", directives=[Constraint(min_length=1, max_length=200)]
    )
    code: str = strawberry.field(
        description="A code of the app, or a recovery code.", directives=[Constraint(min_length=1, max_length=40)]
    )


@strawberry.type(description="New recovery codes; the ones before are worthless.")
class SecondFactorRenewed:
    """Shown once."""

    recovery_codes: list[str] = strawberry.field(
        description="Each signs in once without the app. Never shown again.", directives=[Secret()]
    )


@strawberry.input(description="Your own password, as proof.")
class MemberSecondFactorReset:
    """Input of memberSecondFactorReset."""

    password: str = strawberry.field(
        description="Your own present password.", directives=[Constraint(min_length=1, max_length=200)]
    )


@strawberry.type(description="What taking a second factor away brought about.")
class SecondFactorTaken:
    """Answer of memberSecondFactorReset and platformSecondFactorReset."""

    ended_sessions: int = strawberry.field(description="How many sessions of the person ended.")


@strawberry.type(description="What a new password brought about.")
class PasswordChanged:
    """Answer of passwordChange."""

    ended_sessions: int = strawberry.field(description="How many other sessions ended, in all tenants of the person.")


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
    group_ids: list[UUID] | None = strawberry.field(
        description="The only groups whose devices the token sees and acts on; null for all devices."
    )

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
            group_ids=_ids(token.groups),
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
    group_ids: list[UUID] | None = strawberry.field(
        description="The only groups whose devices the token sees; left out: all devices. It then takes rights that "
        "are about devices only.",
        directives=[ONLY],
        default=None,
    )
