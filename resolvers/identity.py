"""Keeps the promises about identity providers: registering, changing and removing who vouches for people."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import strawberry

from engine.identity_providers import model, service
from engine.identity_providers.errors import ProviderMalformed
from engine.store.tx import Tx
from engine.tenants import service as tenants
from resolvers.arguments import Version
from resolvers.context import Info
from resolvers.tenants import GROUPS_UNCLEAR, GROUPS_UNKNOWN, NO_ROLE, TOO_WIDE
from schema.directives import Cost, Method, Needs, Problem, Rest
from schema.identity import (
    ISSUER,
    IdentityProvider,
    IdentityProviderConfiguration,
    IdentityProviderRegister,
    IdentityProviderUpdate,
)

ProviderId = Annotated[UUID, strawberry.argument(description="The provider's id.")]
READ, WRITE = Needs(scope="tenant:read"), Needs(scope="tenant:write")
NO_PROVIDER = Problem(status=404, slug="identity-provider-not-found")
MALFORMED = (
    TOO_WIDE,
    NO_ROLE,
    Problem(status=422, slug="identity-provider-malformed"),
    Problem(status=422, slug="role-unclear"),
    GROUPS_UNCLEAR,
    GROUPS_UNKNOWN,
    Problem(status=503, slug="vault-sealed"),
)


@strawberry.type
class IdentityQuery:
    """What can be asked about identity providers."""

    @strawberry.field(
        description="The identity providers that vouch for people of the tenant, by name; at most ten.",
        directives=[READ, Rest(method=Method.GET, path="/identity-providers"), Cost(expected=10)],
    )
    async def identity_providers(self, info: Info) -> list[IdentityProvider]:
        """All of them."""
        tx = await info.context.tx()
        return await _views(tx, await service.listed(tx))

    @strawberry.field(
        description="One identity provider.",
        directives=[READ, Rest(method=Method.GET, path="/identity-providers/{id}"), NO_PROVIDER],
    )
    async def identity_provider(self, info: Info, id: ProviderId) -> IdentityProvider:
        """The provider with this id."""
        tx = await info.context.tx()
        return await _view(tx, await service.get(tx, id))

    @strawberry.field(
        description="Asks an issuer for its configuration, and says whether it is fit: before you register it, or when "
        "signing in by it fails.",
        directives=[
            WRITE,
            Rest(method=Method.POST, path="/identity-providers/check"),
            Problem(status=422, slug="address-refused"),
            Problem(status=422, slug="identity-provider-unfit"),
            Cost(weight=4_000),  # one an operation, and a few a second at most: nobody scans the internet through us
        ],
    )
    async def identity_provider_check(
        self,
        info: Info,
        issuer: Annotated[str, strawberry.argument(description="The issuer's address.", directives=[ISSUER])],
    ) -> IdentityProviderConfiguration:
        """What the issuer says; no transaction is open meanwhile."""
        found = await info.context.services.discovery.metadata(issuer)
        return IdentityProviderConfiguration(
            issuer=found.issuer,
            authorization_endpoint=found.authorization_endpoint,
            algorithms=sorted(found.algorithms),
        )


@strawberry.type
class IdentityMutation:
    """What can be done about identity providers."""

    @strawberry.mutation(
        description="Lets an identity provider (OpenID Connect) vouch for people in this tenant, and in no other. Only "
        "who has every right in the tenant may: whoever vouches for people decides who everybody is. The platform's "
        "second factor is not asked for on this way in. Ask identityProviderCheck first whether the issuer is fit.",
        directives=[
            WRITE,
            # a PATCH, so that no Idempotency-Key keeps a fingerprint of the secret
            Rest(method=Method.PATCH, path="/identity-providers"),
            *MALFORMED,
            Problem(status=409, slug="identity-provider-taken"),
            Problem(status=409, slug="too-many-identity-providers"),
            Problem(status=422, slug="address-refused"),
        ],
    )
    async def identity_provider_register(
        self, info: Info, input: Annotated[IdentityProviderRegister, strawberry.argument(description="The provider.")]
    ) -> IdentityProvider:
        """The provider, registered."""
        tx, services = await info.context.tx(), info.context.services
        services.discovery.outbound.check(input.issuer)
        made = await service.register(
            tx,
            services.vault,
            name=input.name,
            issuer=input.issuer,
            client_id=input.client_id,
            client_secret=input.client_secret,
            domains=input.domains or (),
            role=input.role,
            role_id=input.role_id,
            groups=input.group_ids,
        )
        return await _view(tx, made)

    @strawberry.mutation(
        description="Changes an identity provider. Another issuer or client is another provider: register that.",
        directives=[
            WRITE,
            Rest(method=Method.PATCH, path="/identity-providers/{id}"),
            NO_PROVIDER,
            *MALFORMED,
            Problem(status=409, slug="version-stale"),
        ],
    )
    async def identity_provider_update(
        self,
        info: Info,
        id: ProviderId,
        input: Annotated[IdentityProviderUpdate, strawberry.argument(description="What changes.")],
        version: Version = None,
    ) -> IdentityProvider:
        """The provider after the change."""
        if input.only_invited and (input.role or input.role_id):
            raise ProviderMalformed(
                "Either only invited people come in, or new ones get a role.", argument="input.onlyInvited"
            )
        newcomers = None
        if input.only_invited or input.role or input.role_id:
            newcomers = (input.role, input.role_id)
        tx = await info.context.tx()
        changed = await service.change(
            tx,
            info.context.services.vault,
            id,
            name=input.name,
            client_secret=input.client_secret,
            domains=input.domains,
            is_enabled=input.is_enabled,
            newcomers=newcomers,
            groups=input.group_ids,
            all_devices=input.all_devices,
            expected_version=version,
        )
        return await _view(tx, changed)

    @strawberry.mutation(
        description="Forgets an identity provider; sessions it opened end at once. People it brought stay members, and "
        "sign in again by a provider that vouches for the same address.",
        directives=[WRITE, Rest(method=Method.DELETE, path="/identity-providers/{id}"), NO_PROVIDER, TOO_WIDE],
    )
    async def identity_provider_remove(self, info: Info, id: ProviderId) -> IdentityProvider:
        """The provider as it was."""
        tx = await info.context.tx()
        return await _view(tx, await service.remove(tx, id))


async def _views(tx: Tx, providers: Sequence[model.Provider]) -> list[IdentityProvider]:
    key = (await tenants.current(tx)).key
    return [IdentityProvider.of(provider, key) for provider in providers]


async def _view(tx: Tx, provider: model.Provider) -> IdentityProvider:
    return (await _views(tx, [provider]))[0]
