"""How new devices come in, as the contract shows it: ways in, the queue of enrolments, public keys."""

from datetime import datetime
from typing import Self
from uuid import UUID

import strawberry

from engine.provisioning import model
from engine.provisioning.model import EnrolmentStatus, Mode, Proof, Way
from engine.provisioning.rule import Verdict
from schema.devices import NAME, Credential
from schema.directives import Constraint, Example, Secret
from schema.enums import shown
from schema.scalars import Json, Labels

shown(
    Way,
    "By what devices come in.",
    name="ProvisionerKind",
    KEY="A key that all of a batch share, shown over HTTP or MQTT.",
    CLAIM="A certificate that all of a batch share, exchanged for one of their own.",
    AUTHORITY="A certificate of their own, signed by an authority that the tenant trusts.",
)
shown(
    Mode,
    "Whether it creates devices or lets registered ones in.",
    name="ProvisionerMode",
    CREATE="A device that nobody knows is made.",
    PREREGISTERED="Only devices that were registered before come in.",
)
shown(
    Proof,
    "By what the device will sign in.",
    name="EnrolmentProof",
    TOKEN="A token that it is given.",  # noqa: S106  # nosec B106
    CSR="A certificate that we sign for a key which never leaves the device.",
    KEY="Tokens that it signs itself with a key whose public half it has shown.",
    CERTIFICATE="The certificate with which it came.",
)
shown(
    EnrolmentStatus,
    "Where an enrolment stands.",
    CLAIMED="It holds an ownership token and has not used it yet.",
    ASKED="It has knocked, and nobody has looked at it yet.",
    PENDING="It waits for somebody to approve it.",
    APPROVED="It may come in, and has not fetched what it signs in by.",
    REFUSED="It was turned away by a person or a rule.",
    DONE="It is a device.",
)

RULE = (
    "The tenant's rule at the gate: an object with cases (tried in order, each with when, a JSONLogic condition over "
    "device, name, labels, way, provisioner, proof, subject and address, and then) and otherwise. What follows is an "
    "object with refuse (the words the device is told), or with some of profile (a key), groups (keys) and approval. "
    "A condition of which nobody can say whether it holds turns the device away."
)
EXAMPLE = Example(
    json='{"cases": [{"when": {"===": [{"var": "device"}, "probe"]}, "then": {"approval": true}}], "otherwise": {}}'
)
PEM = Constraint(min_length=1, max_length=16_384)
USES = Constraint(min=1, max=2_147_483_647)
GROUPS = Constraint(max_length=10)


@strawberry.type(description="A way in for new devices: a provisioning key, a claim certificate, or an authority.")
class Provisioner:
    """A way in, without its secret."""

    id: UUID = strawberry.field(description="The way's id.")
    kind: Way = strawberry.field(description="By what devices come in.")
    name: str = strawberry.field(description="The name shown to people.")
    mode: Mode = strawberry.field(description="Whether it creates devices or lets registered ones in.")
    profile_id: UUID | None = strawberry.field(description="The profile of the devices it creates.")
    group_ids: list[UUID] = strawberry.field(description="The groups that its devices are put into.")
    needs_approval: bool = strawberry.field(description="Whether somebody has to approve each device.")
    rule: Json | None = strawberry.field(description="The tenant's rule at this gate; null if there is none.")
    max_uses: int | None = strawberry.field(description="How many devices may come in; null: any number.")
    uses: int = strawberry.field(description="How many have come in.")
    certificate: str | None = strawberry.field(description="The claim's or the authority's certificate, as PEM.")
    created_by: str = strawberry.field(description="Who made it.")
    version: int = strawberry.field(description="Rises with every change; send it back to change safely.")
    created_at: datetime = strawberry.field(description="When it was made.")
    updated_at: datetime = strawberry.field(description="When it last changed.")
    expires_at: datetime | None = strawberry.field(description="When it closes by itself; null if never.")
    revoked_at: datetime | None = strawberry.field(description="When it was revoked; null while it is open.")

    @classmethod
    def of(cls, way: model.Provisioner) -> Self:
        """The contract's view of ``way``."""
        return cls(
            id=way.id,
            kind=way.kind,
            name=way.name,
            mode=way.mode,
            profile_id=way.profile_id,
            group_ids=list(way.group_ids),
            needs_approval=way.needs_approval,
            rule=None if way.rule is None else Json(way.rule),
            max_uses=way.max_uses,
            uses=way.uses,
            certificate=way.certificate,
            created_by=way.created_by,
            version=way.version,
            created_at=way.created_at,
            updated_at=way.updated_at,
            expires_at=way.expires_at,
            revoked_at=way.revoked_at,
        )


@strawberry.type(description="A device that asked to come in, and what became of it.")
class Enrolment:
    """One enrolment."""

    id: UUID = strawberry.field(description="The enrolment's id.")
    provisioner_id: UUID = strawberry.field(description="The way by which the device asked.")
    status: EnrolmentStatus = strawberry.field(description="Where it stands.")
    proof: Proof = strawberry.field(description="By what the device will sign in.")
    device_key: str | None = strawberry.field(description="The key that the device asked for; null until it says one.")
    name: str | None = strawberry.field(description="The name that it gave itself.")
    labels: Labels = strawberry.field(description="What else it said about itself.")
    profile_id: UUID | None = strawberry.field(description="The profile chosen for it.")
    group_ids: list[UUID] = strawberry.field(description="The groups chosen for it.")
    reason: str | None = strawberry.field(description="Why it was turned away.")
    device_id: UUID | None = strawberry.field(description="The device, once it is in.")
    address: str = strawberry.field(description="The network address it asked from; empty if by MQTT.")
    asked_at: datetime = strawberry.field(description="When it asked.")
    expires_at: datetime = strawberry.field(description="Until when it may be decided, or fetched.")
    decided_at: datetime | None = strawberry.field(description="When it was decided.")
    decided_by: str | None = strawberry.field(description="Who decided: a person, a token, or the way's own rule.")

    @classmethod
    def of(cls, enrolment: model.Enrolment) -> Self:
        """The contract's view of ``enrolment``."""
        return cls(
            id=enrolment.id,
            provisioner_id=enrolment.provisioner_id,
            status=enrolment.status,
            proof=enrolment.proof,
            device_key=enrolment.device_key,
            name=enrolment.name,
            labels=Labels(enrolment.labels),
            profile_id=enrolment.profile_id,
            group_ids=list(enrolment.group_ids),
            reason=enrolment.reason,
            device_id=enrolment.device_id,
            address=enrolment.address,
            asked_at=enrolment.asked_at,
            expires_at=enrolment.expires_at,
            decided_at=enrolment.decided_at,
            decided_by=enrolment.decided_by,
        )


@strawberry.type(description="A new provisioning key with its secret.")
class ProvisioningKeyCreated:
    """Shown once."""

    provisioner: Provisioner = strawberry.field(description="The way in.")
    key: str = strawberry.field(
        description="What devices send to come in. It is never shown again.", directives=[Secret()]
    )


@strawberry.type(description="A new claim certificate.")
class ClaimCertificateSigned:
    """What a signing request for a claim is answered with."""

    provisioner: Provisioner = strawberry.field(description="The way in; its certificate goes on every device.")
    authority: str = strawberry.field(description="The certificate of the tenant's authority, as PEM.")


@strawberry.type(description="What a rule at the gate would say to a device.")
class ProvisioningVerdict:
    """The outcome of trying a rule out."""

    admits: bool = strawberry.field(description="Whether the device would come in, or wait for approval.")
    refusal: str | None = strawberry.field(description="The words the device would be told, if it is turned away.")
    profile: str | None = strawberry.field(description="The key of the profile that the rule chooses.")
    groups: list[str] = strawberry.field(description="The keys of the groups that it chooses.")
    needs_approval: bool = strawberry.field(description="Whether the rule asks for somebody's approval.")

    @classmethod
    def of(cls, verdict: Verdict) -> Self:
        """The contract's view of ``verdict``."""
        return cls(
            admits=verdict.refusal is None,
            refusal=verdict.refusal,
            profile=verdict.profile,
            groups=list(verdict.groups),
            needs_approval=verdict.approval,
        )


@strawberry.input(description="A new provisioning key.")
class ProvisioningKeyCreate:
    """Input of provisioningKeyCreate."""

    name: str = strawberry.field(description="The name shown to people.", directives=[NAME])
    mode: Mode = strawberry.field(description="Whether it creates devices or lets registered ones in.")
    profile_id: UUID | None = strawberry.field(description="The profile of the devices it creates.", default=None)
    group_ids: list[UUID] | None = strawberry.field(
        description="Groups without a filter, for its devices.", default=None, directives=[GROUPS]
    )
    needs_approval: bool = strawberry.field(description="Whether somebody has to approve each device.", default=False)
    rule: Json | None = strawberry.field(description=RULE, default=None, directives=[EXAMPLE])
    max_uses: int | None = strawberry.field(
        description="How many devices may come in; left out: any number.", default=None, directives=[USES]
    )
    expires_at: datetime | None = strawberry.field(description="When it closes by itself.", default=None)

    def terms(self) -> model.Terms:
        """What this decides."""
        return model.Terms(
            name=self.name,
            mode=self.mode,
            profile_id=self.profile_id,
            group_ids=tuple(self.group_ids or ()),
            needs_approval=self.needs_approval,
            rule=self.rule,
            max_uses=self.max_uses,
            expires_at=self.expires_at,
        )


@strawberry.input(description="A new claim certificate, for the key behind a signing request.")
class ClaimCertificateSign(ProvisioningKeyCreate):
    """Input of claimCertificateSign."""

    csr: str = strawberry.field(
        description="The signing request (PKCS #10) of the batch's key on P-256, as PEM.", directives=[PEM]
    )


@strawberry.input(description="An authority whose devices introduce themselves at their first connection over TLS.")
class AuthorityRegister(ProvisioningKeyCreate):
    """Input of authorityRegister."""

    certificate: str = strawberry.field(
        description="The authority's own certificate, signed by itself, as PEM.", directives=[PEM]
    )
    verification: str = strawberry.field(
        description="A certificate signed with its key for the CN tidegate-{the tenant's id}, as PEM: proof that the "
        "key is yours.",
        directives=[PEM],
    )


@strawberry.input(description="Changes to a way in; what is left out stays.")
class ProvisionerUpdate:
    """Input of provisionerUpdate."""

    name: str | None = strawberry.field(description="The name shown to people.", default=None, directives=[NAME])
    needs_approval: bool | None = strawberry.field(
        description="Whether somebody has to approve each device.", default=None
    )
    rule: Json | None = strawberry.field(
        description=f"{RULE} An empty object takes the rule away.", default=None, directives=[EXAMPLE]
    )
    max_uses: int | None = strawberry.field(
        description="How many devices may come in, those that are in included.", default=None, directives=[USES]
    )
    expires_at: datetime | None = strawberry.field(description="When it closes by itself.", default=None)


@strawberry.input(description="Where an approved device is put; what is left out is as the way in or the rule chose.")
class EnrolmentApprove:
    """Input of enrolmentApprove."""

    profile_id: UUID | None = strawberry.field(description="Another profile.", default=None)
    group_ids: list[UUID] | None = strawberry.field(
        description="Other groups without a filter.", default=None, directives=[GROUPS]
    )


@strawberry.type(
    description="A new context of OSCORE (RFC 8613), as the device is to be set up with it: AEAD algorithm "
    "AES-CCM-16-64-128, HKDF SHA-256, no Master Salt and no ID Context. All three values in hexadecimal."
)
class OscoreContextIssued:
    """Shown once."""

    credential: Credential = strawberry.field(description="The credential it is; revoke it by its id.")
    master_secret: str = strawberry.field(
        description="The Master Secret, 16 bytes. It is never shown again.", directives=[Secret()]
    )
    sender_id: str = strawberry.field(description="The device's Sender ID, 7 bytes; the platform's Recipient ID.")
    recipient_id: str = strawberry.field(description="The device's Recipient ID, the platform's Sender ID.")

    @classmethod
    def of(cls, issued: model.ContextIssued) -> Self:
        """The contract's view of ``issued``."""
        return cls(
            credential=Credential.of(issued.credential),
            master_secret=issued.master_secret.hex(),
            sender_id=issued.sender_id.hex(),
            recipient_id=issued.recipient_id.hex(),
        )
