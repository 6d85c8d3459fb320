"""Keeps the promises about quotas and usage: a tenant sees its own, the platform's operator sees and sets them."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from engine.quotas import service as quotas
from engine.quotas import usage
from engine.store.tx import Tx
from engine.tenants import platform
from resolvers.context import Info, RequestContext
from schema.directives import Cost, Method, Needs, Problem, Rest
from schema.usage import PlatformQuotaChange, Quota, Usage, UsageHour

TenantId = Annotated[UUID, strawberry.argument(description="The tenant's id.")]
From = Annotated[
    datetime | None,
    strawberry.argument(name="from", description="The first instant; a day before the last if left out."),
]
To = Annotated[datetime | None, strawberry.argument(description="The last instant; now if left out.")]
NO_TENANT = Problem(status=404, slug="tenant-not-found")


async def _shown(context: RequestContext, tx: Tx, start: datetime | None = None, end: datetime | None = None) -> Usage:
    budgets = context.services.budgets
    streams, api_cost = budgets.now(tx.principal.tenant_id)
    used = await usage.now(tx, budgets.base, streams=streams, api_cost=api_cost)
    hours = await usage.hours(tx, start=start, end=end)
    return Usage(quotas=[Quota.of(each) for each in used], hours=[UsageHour.of(hour) for hour in hours])


@strawberry.type
class UsageQuery:
    """What can be asked about quotas and usage."""

    @strawberry.field(
        description="What this tenant may use of the platform, and what it has used.",
        directives=[Needs(scope="tenant:read"), Rest(method=Method.GET, path="/usage"), Cost(weight=20)],
    )
    async def usage(self, info: Info, from_: From = None, to: To = None) -> Usage:
        """The tenant's own."""
        return await _shown(info.context, await info.context.tx(), from_, to)

    @strawberry.field(
        description="What a tenant may use and has used: numbers only. For the platform's operator.",
        directives=[
            Needs(scope="platform:read"),
            Rest(method=Method.GET, path="/platform/tenants/{id}/usage"),
            NO_TENANT,
            Cost(weight=20),
        ],
    )
    async def platform_usage(self, info: Info, id: TenantId, from_: From = None, to: To = None) -> Usage:
        """Another tenant's."""
        context = info.context
        await platform.get(await context.tx(), id)
        # The operator stands outside every tenant: of this one they are shown what was counted, and nothing else.
        async with context.services.store.as_tenant(replace(context.principal, tenant_id=id), read_only=True) as tx:
            return await _shown(context, tx, from_, to)


@strawberry.type
class UsageMutation:
    """What can be done about quotas."""

    @strawberry.mutation(
        description="Sets one quota of a tenant, or takes it back to the platform's default. It holds everywhere "
        "within two seconds. For the platform's operator; both the tenant's audit log and the platform's tell of it.",
        directives=[
            Needs(scope="platform:write"),
            Rest(method=Method.PATCH, path="/platform/tenants/{id}/quotas"),
            NO_TENANT,
            Problem(status=422, slug="quota-malformed"),
        ],
    )
    async def platform_quota_change(
        self,
        info: Info,
        id: TenantId,
        input: Annotated[PlatformQuotaChange, strawberry.argument(description="Which quota, and how much.")],
    ) -> list[Quota]:
        """All of the tenant's quotas after the change."""
        context = info.context
        tx = await context.tx()
        await platform.get(tx, id)
        async with context.services.store.as_tenant(replace(context.principal, tenant_id=id)) as theirs:
            await quotas.change(theirs, {input.name: input.limit})
            after = (await _shown(context, theirs)).quotas
        tx.audit("quota.change", "tenant", id, after={"name": input.name, "limit": input.limit})
        return after
