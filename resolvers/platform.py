"""Keeps the promises to the platform's operator: tenants from outside, made, named, suspended and resumed."""

from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

import strawberry

from engine.notifications import letters
from engine.tenants import lost_factor, platform
from engine.tenants.invitations import LIFE
from engine.tenants.model import Hosted
from resolvers.arguments import After, First, paged
from resolvers.context import Info
from resolvers.tenants import NOT_A_PERSON, PASSWORD_WRONG, TOO_MANY_TRIES
from schema.directives import Constraint, Cost, Method, Needs, Problem, Rest
from schema.pages import Page
from schema.platform import (
    PlatformSecondFactorReset,
    PlatformTenant,
    PlatformTenantCreate,
    PlatformTenantInvite,
    PlatformTenantInvited,
    PlatformTenantRename,
    PlatformTenantSuspend,
)
from schema.tenants import SecondFactorTaken

TenantId = Annotated[UUID, strawberry.argument(description="The tenant's id.")]
READ, WRITE = Needs(scope="platform:read"), Needs(scope="platform:write")
NO_TENANT = Problem(status=404, slug="tenant-not-found")
TENANT_MALFORMED = Problem(status=422, slug="tenant-malformed")
EMAIL_MALFORMED = Problem(status=422, slug="email-malformed")
TOO_OFTEN = Problem(status=429, slug="invited-too-often")
A_FEW_A_SECOND = Cost(weight=4_000)  # at most: it may send mail to any address


@strawberry.type
class PlatformQuery:
    """What the platform's operator can ask."""

    @strawberry.field(
        description="The tenants of this platform, by key. For the platform's operator, who sees that they exist and "
        "nothing of what is in them.",
        directives=[
            READ,
            Rest(method=Method.GET, path="/platform/tenants"),
            Problem(status=422, slug="bad-cursor"),
            Cost(times="first"),
        ],
    )
    async def platform_tenants(
        self,
        info: Info,
        search: Annotated[
            str | None,
            strawberry.argument(
                description="Letters of the tenant's key or name.", directives=[Constraint(max_length=120)]
            ),
        ] = None,
        is_suspended: Annotated[
            bool | None, strawberry.argument(description="Only tenants that are suspended, or only those that are not.")
        ] = None,
        first: First = 50,
        after: After = None,
    ) -> Page[PlatformTenant]:
        """A page of tenants."""
        tx = await info.context.tx()
        page = await platform.page(tx, search=search, is_suspended=is_suspended, first=first, after=after)
        return paged(page, PlatformTenant.of)

    @strawberry.field(
        description="One tenant, from outside.",
        directives=[READ, Rest(method=Method.GET, path="/platform/tenants/{id}"), NO_TENANT],
    )
    async def platform_tenant(self, info: Info, id: TenantId) -> PlatformTenant:
        """A tenant."""
        return PlatformTenant.of(await platform.get(await info.context.tx(), id))


@strawberry.type
class PlatformMutation:
    """What the platform's operator can do."""

    @strawberry.mutation(
        description="Makes a tenant and invites its first owner. The link works once, for 7 days, and is shown this "
        "once. Where the platform has a mail server, the owner gets it by e-mail too. At most 5 invitations to one "
        "address within 24 hours, and 200 in all.",
        directives=[
            WRITE,
            Rest(method=Method.POST, path="/platform/tenants", status=201),
            Problem(status=409, slug="tenant-key-taken"),
            TENANT_MALFORMED,
            EMAIL_MALFORMED,
            TOO_OFTEN,
            A_FEW_A_SECOND,
        ],
    )
    async def platform_tenant_create(
        self,
        info: Info,
        input: Annotated[PlatformTenantCreate, strawberry.argument(description="The tenant and its first owner.")],
    ) -> PlatformTenantInvited:
        """A new tenant."""
        tx = await info.context.tx()
        made, secret = await platform.create(tx, key=input.key, name=input.name, email=input.email)
        return await _invited(info, made, secret, input.email)

    @strawberry.mutation(
        description="Gives a tenant another name. Its key never changes.",
        directives=[WRITE, Rest(method=Method.PATCH, path="/platform/tenants/{id}"), NO_TENANT, TENANT_MALFORMED],
    )
    async def platform_tenant_rename(
        self,
        info: Info,
        id: TenantId,
        input: Annotated[PlatformTenantRename, strawberry.argument(description="The new name.")],
    ) -> PlatformTenant:
        """The tenant after the change."""
        return PlatformTenant.of(await platform.rename(await info.context.tx(), id, input.name))

    @strawberry.mutation(
        description="Suspends a tenant: its people, API tokens, streams and devices are cut within two seconds, on "
        "every process, and none comes back in. Nothing is deleted. Who is suspended already stays so.",
        directives=[WRITE, Rest(method=Method.PATCH, path="/platform/tenants/{id}/suspend"), NO_TENANT],
    )
    async def platform_tenant_suspend(
        self,
        info: Info,
        id: TenantId,
        input: Annotated[PlatformTenantSuspend, strawberry.argument(description="The reason.")],
    ) -> PlatformTenant:
        """The tenant, shut."""
        return PlatformTenant.of(await platform.suspend(await info.context.tx(), id, reason=input.reason))

    @strawberry.mutation(
        description="Resumes a suspended tenant: sessions, API tokens and devices work again as they did before.",
        directives=[WRITE, Rest(method=Method.PATCH, path="/platform/tenants/{id}/resume"), NO_TENANT],
    )
    async def platform_tenant_resume(self, info: Info, id: TenantId) -> PlatformTenant:
        """The tenant, open."""
        return PlatformTenant.of(await platform.resume(await info.context.tx(), id))

    @strawberry.mutation(
        description="Invites the first owner of a tenant anew, for as long as it has none; the invitation before ends. "
        "Whoever owns a tenant invites its people: the operator cannot, and so cannot let anybody in. At most 5 "
        "invitations to one address within 24 hours, and 200 in all.",
        directives=[
            WRITE,
            Rest(method=Method.POST, path="/platform/tenants/{id}/invitation"),
            NO_TENANT,
            EMAIL_MALFORMED,
            Problem(status=409, slug="tenant-owned"),
            TOO_OFTEN,
            A_FEW_A_SECOND,
        ],
    )
    async def platform_tenant_invite(
        self,
        info: Info,
        id: TenantId,
        input: Annotated[PlatformTenantInvite, strawberry.argument(description="Whom to invite.")],
    ) -> PlatformTenantInvited:
        """A new link."""
        tenant, secret = await platform.invite(await info.context.tx(), id, email=input.email)
        return await _invited(info, tenant, secret, input.email)

    @strawberry.mutation(
        description="Takes the lost second factor of any person away: for who belongs to several tenants, or has "
        "nobody above them. All their sessions end, they are told of it, and so is the log of each of their tenants.",
        directives=[
            WRITE,
            Rest(method=Method.PATCH, path="/platform/second-factor/reset"),
            NOT_A_PERSON,
            PASSWORD_WRONG,
            TOO_MANY_TRIES,
            Problem(status=403, slug="own-second-factor"),
            Problem(status=404, slug="person-not-found"),
            Problem(status=409, slug="no-second-factor"),
        ],
    )
    async def platform_second_factor_reset(
        self,
        info: Info,
        input: Annotated[PlatformSecondFactorReset, strawberry.argument(description="Whose, and a proof.")],
    ) -> SecondFactorTaken:
        """How many sessions ended."""
        tx = await info.context.tx()
        ended = await lost_factor.of_anybody(tx, input.email, password=input.password)
        if info.context.services.sends_mail:
            await letters.factor_taken(tx, info.context.services.vault, to=input.email)
        return SecondFactorTaken(ended_sessions=ended)


async def _invited(info: Info, tenant: Hosted, secret: str, email: str) -> PlatformTenantInvited:
    """The link to show, and the letter that carries it where there is a mail server."""
    tx, services, link = await info.context.tx(), info.context.services, f"/auth/accept?{urlencode({'token': secret})}"
    if services.sends_mail:
        await letters.invite(tx, services.vault, to=email, tenant=tenant.name, until=tx.now + LIFE, link=link)
    return PlatformTenantInvited(
        tenant=PlatformTenant.of(tenant), secret=secret, link=link, is_mailed=services.sends_mail
    )
