"""Certificates as the contract shows them: a tenant's authority, what it signed, what it took back."""

from datetime import datetime
from typing import Self

import strawberry

from engine.certificates import model
from schema.devices import Credential


@strawberry.type(description="The tenant's certificate authority, which signs devices' certificates and nothing else.")
class CertificateAuthority:
    """What everybody may see of an authority."""

    subject: str = strawberry.field(description="The authority's name, as it stands in what it signs.")
    fingerprint: str = strawberry.field(description="The SHA-256 of its certificate in hexadecimal.")
    certificate: str = strawberry.field(description="Its certificate, as PEM.")
    created_at: datetime = strawberry.field(description="When it was made.")
    expires_at: datetime = strawberry.field(description="When its certificate ends.")

    @classmethod
    def of(cls, authority: model.Authority) -> Self:
        """The contract's view of ``authority``."""
        return cls(
            subject=authority.subject,
            fingerprint=authority.fingerprint,
            certificate=authority.certificate,
            created_at=authority.created_at,
            expires_at=authority.expires_at,
        )


@strawberry.type(description="Certificates taken back before their end, signed by the authority (RFC 5280).")
class RevocationList:
    """A certificate revocation list."""

    issuer: str = strawberry.field(description="The authority's name.")
    pem: str = strawberry.field(description="The list itself, as PEM.")
    revoked: int = strawberry.field(description="How many certificates are on it; those that have expired are not.")
    issued_at: datetime = strawberry.field(description="When it was signed.")
    next_update_at: datetime = strawberry.field(description="When to fetch the next one at the latest.")

    @classmethod
    def of(cls, revocations: model.RevocationList) -> Self:
        """The contract's view of ``revocations``."""
        return cls(
            issuer=revocations.issuer,
            pem=revocations.pem,
            revoked=revocations.revoked,
            issued_at=revocations.issued_at,
            next_update_at=revocations.next_update_at,
        )


@strawberry.type(description="A fresh certificate of a device. The key it belongs to never left the device.")
class CertificateSigned:
    """What a signing request is answered with."""

    credential: Credential = strawberry.field(description="The credential it is; revoke it by its id.")
    certificate: str = strawberry.field(description="The device's certificate, as PEM.")
    authority: str = strawberry.field(description="The certificate of the authority that signed it, as PEM.")

    @classmethod
    def of(cls, signed: model.Signed) -> Self:
        """The contract's view of ``signed``."""
        return cls(
            credential=Credential.of(signed.credential), certificate=signed.certificate, authority=signed.authority
        )
