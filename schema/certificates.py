"""Certificates as the contract shows them: a tenant's authority, what it signed, what it took back."""

from datetime import datetime
from typing import Self
from uuid import UUID

import strawberry

from engine.certificates import model
from engine.certificates.model import AuthorityState
from schema.devices import Credential
from schema.enums import shown

shown(
    AuthorityState,
    "Where a certificate authority stands.",
    CURRENT="It signs.",
    RETIRING="It has a successor; what it signed is good until it ends, or until the authority is retired.",
    RETIRED="It is out of use: nothing that it signed is good any more.",
)


@strawberry.type(description="The tenant's certificate authority, which signs devices' certificates and nothing else.")
class CertificateAuthority:
    """What everybody may see of an authority."""

    id: UUID = strawberry.field(description="The authority's id.")
    state: AuthorityState = strawberry.field(description="Where it stands.")
    subject: str = strawberry.field(description="The authority's name, as it stands in what it signs.")
    fingerprint: str = strawberry.field(description="The SHA-256 of its certificate in hexadecimal.")
    certificate: str = strawberry.field(description="Its certificate, as PEM.")
    created_at: datetime = strawberry.field(description="When it was made.")
    expires_at: datetime = strawberry.field(description="When its certificate ends; nothing it signs lasts longer.")
    superseded_at: datetime | None = strawberry.field(description="When its successor was made; null while it signs.")
    retired_at: datetime | None = strawberry.field(description="When it was taken out of use; null if it was not.")

    @classmethod
    def of(cls, authority: model.Authority) -> Self:
        """The contract's view of ``authority``."""
        return cls(
            id=authority.id,
            state=authority.state,
            subject=authority.subject,
            fingerprint=authority.fingerprint,
            certificate=authority.certificate,
            created_at=authority.created_at,
            expires_at=authority.expires_at,
            superseded_at=authority.superseded_at,
            retired_at=authority.retired_at,
        )


@strawberry.type(description="A certificate authority, and what would be cut off if it were taken out of use now.")
class AuthorityStanding:
    """An authority with what relies on it."""

    authority: CertificateAuthority = strawberry.field(description="The authority.")
    certificates: int = strawberry.field(description="How many certificates of devices that it signed are good.")
    devices: int = strawberry.field(description="Whose they are: how many devices have such a certificate.")
    stranded: int = strawberry.field(description="How many of these devices have nothing else to sign in with.")
    claims: int = strawberry.field(description="How many open ways in are claim certificates that it signed.")
    last_ends_at: datetime | None = strawberry.field(
        description="When the last of the devices' certificates ends; null if none is good."
    )

    @classmethod
    def of(cls, authority: model.Authority, reliance: model.Reliance, claims: int) -> Self:
        """The contract's view of ``authority`` and what relies on it."""
        return cls(
            authority=CertificateAuthority.of(authority),
            certificates=reliance.certificates,
            devices=reliance.devices,
            stranded=reliance.stranded,
            claims=claims,
            last_ends_at=reliance.last_ends_at,
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
    is_shortened: bool = strawberry.field(
        description="Whether it ends before the days asked for are over, because its authority does: renew that."
    )

    @classmethod
    def of(cls, signed: model.Signed) -> Self:
        """The contract's view of ``signed``."""
        return cls(
            credential=Credential.of(signed.credential),
            certificate=signed.certificate,
            authority=signed.authority,
            is_shortened=signed.is_shortened,
        )
