"""Keeps the promises about certificates."""

from typing import Annotated
from uuid import UUID

import strawberry

from engine.certificates import service as certificates
from engine.certificates.model import MAX_DAYS
from engine.provisioning import succession
from resolvers.context import Info
from resolvers.devices import NOT_FOUND, DeviceId
from schema.certificates import AuthorityStanding, CertificateAuthority, CertificateSigned, RevocationList
from schema.directives import Constraint, Cost, Method, Needs, Problem, Rest

NO_AUTHORITY = Problem(status=404, slug="no-authority")
NOT_AN_AUTHORITY = Problem(status=404, slug="authority-not-found")
ENDED = Problem(status=409, slug="authority-ended")
SEALED = Problem(status=503, slug="vault-sealed")
AuthorityId = Annotated[UUID, strawberry.argument(description="The authority's id.")]


@strawberry.type
class CertificateQuery:
    """What can be asked about certificates."""

    @strawberry.field(
        description="The tenant's certificate authority, the one that signs now; it is made when the first certificate "
        "is signed.",
        directives=[Needs(scope="devices:read"), Rest(method=Method.GET, path="/authority"), NO_AUTHORITY],
    )
    async def certificate_authority(self, info: Info) -> CertificateAuthority:
        """The authority, without its key."""
        return CertificateAuthority.of(await certificates.authority(await info.context.tx()))

    @strawberry.field(
        description="The tenant's certificate authorities: the one that signs, then those before it, each with what "
        "relies on it. The latest 50.",
        directives=[
            Needs(scope="devices:read", whole=True),
            Rest(method=Method.GET, path="/authorities"),
            Cost(weight=20),
        ],
    )
    async def certificate_authorities(self, info: Info) -> list[AuthorityStanding]:
        """The authorities, newest first."""
        found = await succession.standings(await info.context.tx())
        return [AuthorityStanding.of(each.authority, each.reliance, each.claims) for each in found]

    @strawberry.field(
        description="The list of certificates that one authority signed and that were taken back, signed by it within "
        "the last ten minutes, for whoever checks certificates elsewhere. Tidegate itself refuses a revoked "
        "certificate at once.",
        directives=[
            Needs(scope="devices:read", whole=True),
            Rest(method=Method.GET, path="/authority/revocations"),
            NO_AUTHORITY,
            NOT_AN_AUTHORITY,
            SEALED,
            Cost(weight=200),
        ],
    )
    async def certificate_revocations(
        self,
        info: Info,
        authority_id: Annotated[
            UUID | None, strawberry.argument(description="Whose list; left out: that of the authority that signs now.")
        ] = None,
    ) -> RevocationList:
        """The revocation list."""
        context = info.context
        vault, kept = context.services.vault, context.services.revocation_lists
        found = await succession.revocations(await context.tx(), vault, authority_id, kept)
        return RevocationList.of(found)


@strawberry.type
class CertificateMutation:
    """What can be done with certificates."""

    @strawberry.mutation(
        description="Signs a device's certificate from its signing request. The device signs in with it, over TLS and "
        "without a password, beside every other credential that it has; whatever name the request asks for, the "
        "certificate bears the device's username.",
        directives=[
            Needs(scope="devices:write"),
            Rest(method=Method.POST, path="/devices/{deviceId}/certificates", status=201),
            NOT_FOUND,
            Problem(status=409, slug="device-stuck"),
            ENDED,
            Problem(status=422, slug="csr-malformed"),
            Problem(status=422, slug="key-weak"),
            SEALED,
        ],
    )
    async def certificate_sign(
        self,
        info: Info,
        device_id: DeviceId,
        csr: Annotated[
            str,
            strawberry.argument(
                description="The certificate signing request (PKCS #10), as PEM.",
                directives=[Constraint(min_length=1, max_length=16_384)],
            ),
        ],
        days: Annotated[
            int,
            strawberry.argument(
                description="For how many days it is valid.", directives=[Constraint(min=1, max=MAX_DAYS)]
            ),
        ] = 365,
    ) -> CertificateSigned:
        """The signed certificate."""
        context = info.context
        signed = await certificates.sign(await context.tx(), context.services.vault, device_id, csr, days)
        return CertificateSigned.of(signed)

    @strawberry.mutation(
        description="Gives the tenant's certificate authority a successor, which signs from now on. What the former "
        "one signed stays good beside it until it ends, so that devices change over one by one; then retire it.",
        directives=[
            Needs(scope="devices:write", whole=True),
            Rest(method=Method.POST, path="/authority/renew", status=201),
            NO_AUTHORITY,
            Problem(status=409, slug="too-many-authorities"),
            SEALED,
        ],
    )
    async def authority_renew(self, info: Info) -> CertificateAuthority:
        """The successor."""
        context = info.context
        return CertificateAuthority.of(await certificates.renew(await context.tx(), context.services.vault))

    @strawberry.mutation(
        description="Takes a former certificate authority out of use, for good: what it signed is refused from now on, "
        "and whoever is connected by it is cut. It says how much that is before it does it: without inUse, or with "
        "less than is good now, it is refused and tells.",
        directives=[
            Needs(scope="devices:write", whole=True),
            Rest(method=Method.POST, path="/authorities/{id}/retire"),
            NOT_AN_AUTHORITY,
            Problem(status=409, slug="authority-current"),
            Problem(status=409, slug="authority-in-use"),
            Cost(weight=20),
        ],
    )
    async def authority_retire(
        self,
        info: Info,
        id: AuthorityId,
        in_use: Annotated[
            int,
            strawberry.argument(
                description="How many certificates, of devices and claims together, may be cut off.",
                directives=[Constraint(min=0, max=2_147_483_647)],
            ),
        ] = 0,
    ) -> AuthorityStanding:
        """The authority, out of use."""
        retired = await succession.retire(await info.context.tx(), id, in_use)
        return AuthorityStanding.of(retired.authority, retired.reliance, retired.claims)
