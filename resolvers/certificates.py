"""Keeps the promises about certificates."""

from typing import Annotated

import strawberry

from engine.certificates import service as certificates
from engine.certificates.model import MAX_DAYS
from resolvers.context import Info
from resolvers.devices import NOT_FOUND, DeviceId
from schema.certificates import CertificateAuthority, CertificateSigned, RevocationList
from schema.directives import Constraint, Cost, Method, Needs, Problem, Rest

NO_AUTHORITY = Problem(status=404, slug="no-authority")
SEALED = Problem(status=503, slug="vault-sealed")


@strawberry.type
class CertificateQuery:
    """What can be asked about certificates."""

    @strawberry.field(
        description="The tenant's certificate authority; it is made when the first certificate is signed.",
        directives=[Needs(scope="devices:read"), Rest(method=Method.GET, path="/authority"), NO_AUTHORITY],
    )
    async def certificate_authority(self, info: Info) -> CertificateAuthority:
        """The authority, without its key."""
        return CertificateAuthority.of(await certificates.authority(await info.context.tx()))

    @strawberry.field(
        description="The list of certificates taken back, signed now, for whoever checks certificates elsewhere. "
        "Tidegate itself refuses a revoked certificate at once.",
        directives=[
            Needs(scope="devices:read", whole=True),
            Rest(method=Method.GET, path="/authority/revocations"),
            NO_AUTHORITY,
            SEALED,
            Cost(weight=10),
        ],
    )
    async def certificate_revocations(self, info: Info) -> RevocationList:
        """The revocation list."""
        context = info.context
        return RevocationList.of(await certificates.revocations(await context.tx(), context.services.vault))


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
