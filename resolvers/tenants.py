"""Keeps the promises about the caller, the tenant's people and its API tokens."""

from typing import Annotated, Any
from uuid import UUID

import strawberry

from engine.tenancy import Role
from engine.tenants import service as tenants
from resolvers.context import Info, RequestContext
from schema.directives import Cost, Method, Needs, Problem, Rest
from schema.tenants import ApiToken, Me, Member, Membership, Tenant, TokenIssue, TokenIssued


@strawberry.type
class TenantQuery:
    """What can be asked about the caller, the people and the tokens."""

    @strawberry.field(
        description="Who you are, for which tenant, and what you may do.",
        directives=[Needs(), Rest(method=Method.GET, path="/me")],
    )
    async def me(self, info: Info) -> Me:
        """The caller."""
        principal = info.context.principal
        tenant = Tenant.of(await tenants.current(await info.context.tx()))
        rows = await _memberships(info.context) if principal.kind == "user" else []
        here = next((row for row in rows if row["tenant_id"] == principal.tenant_id), None)
        return Me(
            kind=principal.kind,
            name=str(here["user_name"]) if here else principal.name,
            email=principal.name if principal.kind == "user" else None,
            role=Role(str(here["role"])) if here else None,
            tenant=tenant,
            scopes=sorted(principal.scopes),
            memberships=[
                Membership(
                    tenant_id=row["tenant_id"],
                    tenant_key=row["tenant_key"],
                    tenant_name=row["tenant_name"],
                    role=Role(row["role"]),
                )
                for row in rows
            ],
        )

    @strawberry.field(
        description="The people who belong to the tenant.",
        directives=[Needs(scope="users:read"), Rest(method=Method.GET, path="/members"), Cost(expected=20)],
    )
    async def members(self, info: Info) -> list[Member]:
        """The tenant's people by name."""
        return [Member.of(member) for member in await tenants.members(await info.context.tx())]

    @strawberry.field(
        description="The tenant's API tokens, newest first, revoked ones too.",
        directives=[Needs(scope="tokens:write"), Rest(method=Method.GET, path="/tokens"), Cost(expected=20)],
    )
    async def tokens(self, info: Info) -> list[ApiToken]:
        """The tenant's API tokens."""
        return [ApiToken.of(token) for token in await tenants.tokens(await info.context.tx())]


@strawberry.type
class TenantMutation:
    """What can be done to API tokens."""

    @strawberry.mutation(
        description="Issues an API token. Its secret is shown this once.",
        directives=[
            Needs(scope="tokens:write"),
            Rest(method=Method.POST, path="/tokens", status=201),
            Problem(status=403, slug="scopes-too-wide"),
            Problem(status=422, slug="scopes-unknown"),
        ],
    )
    async def token_issue(
        self, info: Info, input: Annotated[TokenIssue, strawberry.argument(description="What the token is for.")]
    ) -> TokenIssued:
        """A new token."""
        token, secret = await tenants.issue_token(
            await info.context.tx(), name=input.name, scopes=input.scopes, expires_at=input.expires_at
        )
        return TokenIssued(token=ApiToken.of(token), secret=secret)

    @strawberry.mutation(
        description="Makes an API token worthless at once; streams that use it are cut.",
        directives=[
            Needs(scope="tokens:write"),
            Rest(method=Method.DELETE, path="/tokens/{id}"),
            Problem(status=404, slug="token-not-found"),
        ],
    )
    async def token_revoke(
        self, info: Info, id: Annotated[UUID, strawberry.argument(description="The token's id.")]
    ) -> ApiToken:
        """The token at its end."""
        return ApiToken.of(await tenants.revoke_token(await info.context.tx(), id))


async def _memberships(context: RequestContext) -> list[dict[str, Any]]:
    """All tenants of the person who asks. Row-level security shows one tenant only, so this goes through the door."""
    rows = await context.services.store.door("login", context.principal.name)
    return [{name: value for name, value in row.items() if name != "password_hash"} for row in rows]
