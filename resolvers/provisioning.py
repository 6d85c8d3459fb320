"""Keeps the promises about new devices: ways in, the queue before the gate, public keys to sign in with."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from engine.provisioning import keys, oscore, provisioners, queue
from engine.provisioning.model import EnrolmentStatus
from engine.provisioning.rule import facts, parse
from resolvers.arguments import After, First, Version, paged
from resolvers.context import Info
from resolvers.devices import NOT_FOUND, PROFILE_NOT_FOUND, STALE, DeviceId
from resolvers.groups import NOT_FOUND as NO_GROUP
from schema.devices import DEVICE_KEY, Credential
from schema.directives import Constraint, Cost, Method, Needs, Problem, Rest
from schema.pages import Page
from schema.provisioning import (
    EXAMPLE,
    RULE,
    AuthorityRegister,
    ClaimCertificateSign,
    ClaimCertificateSigned,
    Enrolment,
    EnrolmentApprove,
    OscoreContextIssued,
    Provisioner,
    ProvisionerUpdate,
    ProvisioningKeyCreate,
    ProvisioningKeyCreated,
    ProvisioningVerdict,
)
from schema.scalars import Json, Labels

ProvisionerId = Annotated[UUID, strawberry.argument(description="The way's id.")]
EnrolmentId = Annotated[UUID, strawberry.argument(description="The enrolment's id.")]
NO_PROVISIONER = Problem(status=404, slug="provisioner-not-found")
NO_ENROLMENT = Problem(status=404, slug="enrolment-not-found")
DECIDED = Problem(status=409, slug="enrolment-decided")
MAKING = (
    PROFILE_NOT_FOUND,
    NO_GROUP,
    Problem(status=409, slug="group-dynamic"),
    Problem(status=409, slug="too-many-provisioners"),
    Problem(status=422, slug="provisioner-malformed"),
    Problem(status=422, slug="provisioning-rule-malformed"),
    Problem(status=422, slug="name-malformed"),
    Problem(status=422, slug="expiry-past"),
)


@strawberry.type
class ProvisioningQuery:
    """What can be asked about new devices."""

    @strawberry.field(
        description="The tenant's ways in for new devices, newest first, revoked ones too.",
        directives=[
            Needs(scope="devices:read", whole=True),
            Rest(method=Method.GET, path="/provisioners"),
            Problem(status=422, slug="bad-cursor"),
            Cost(times="first"),
        ],
    )
    async def provisioners(self, info: Info, first: First = 50, after: After = None) -> Page[Provisioner]:
        """A page of ways in."""
        return paged(await provisioners.page(await info.context.tx(), first=first, after=after), Provisioner.of)

    @strawberry.field(
        description="One way in for new devices.",
        directives=[
            Needs(scope="devices:read", whole=True),
            Rest(method=Method.GET, path="/provisioners/{id}"),
            NO_PROVISIONER,
        ],
    )
    async def provisioner(self, info: Info, id: ProvisionerId) -> Provisioner:
        """The way in with this id."""
        return Provisioner.of(await provisioners.get(await info.context.tx(), id))

    @strawberry.field(
        description="Devices that asked to come in, newest first: with PENDING, those that wait for approval.",
        directives=[
            Needs(scope="devices:read", whole=True),
            Rest(method=Method.GET, path="/enrolments"),
            Problem(status=422, slug="bad-cursor"),
            Cost(times="first"),
        ],
    )
    async def enrolments(
        self,
        info: Info,
        status: Annotated[
            EnrolmentStatus | None, strawberry.argument(description="Only those that stand there.")
        ] = None,
        first: First = 50,
        after: After = None,
    ) -> Page[Enrolment]:
        """A page of enrolments."""
        tx = await info.context.tx()
        return paged(await queue.page(tx, status=status, first=first, after=after), Enrolment.of)

    @strawberry.field(
        description="One device that asked to come in.",
        directives=[
            Needs(scope="devices:read", whole=True),
            Rest(method=Method.GET, path="/enrolments/{id}"),
            NO_ENROLMENT,
        ],
    )
    async def enrolment(self, info: Info, id: EnrolmentId) -> Enrolment:
        """The enrolment with this id."""
        return Enrolment.of(await queue.get(await info.context.tx(), id))

    @strawberry.field(
        description="What a rule at the gate would say to a device. Nothing is stored.",
        directives=[
            Needs(scope="devices:read", whole=True),
            Rest(method=Method.POST, path="/provisioners/rules/check"),
            Problem(status=422, slug="provisioning-rule-malformed"),
            Cost(weight=5),
        ],
    )
    async def provisioning_rule_check(
        self,
        info: Info,
        rule: Annotated[Json, strawberry.argument(description=RULE, directives=[EXAMPLE])],
        device: Annotated[
            str, strawberry.argument(description="The key that the device would ask for.", directives=[DEVICE_KEY])
        ],
        labels: Annotated[
            Labels | None, strawberry.argument(description="What else it would say about itself.")
        ] = None,
        subject: Annotated[
            str,
            strawberry.argument(
                description="The CN in its certificate or signing request.", directives=[Constraint(max_length=64)]
            ),
        ] = "",
    ) -> ProvisioningVerdict:
        """A rule, tried out."""
        return ProvisioningVerdict.of(parse(rule).decide(facts(device, labels or {}, subject=subject)))


@strawberry.type
class ProvisioningMutation:
    """What can be done about new devices."""

    @strawberry.mutation(
        description="Makes a key with which new devices come in by themselves, at POST /ingest/v1/provision. It is "
        "shown this once.",
        directives=[
            Needs(scope="devices:write", whole=True),
            Rest(method=Method.POST, path="/provisioners/keys", status=201),
            *MAKING,
        ],
    )
    async def provisioning_key_create(
        self, info: Info, input: Annotated[ProvisioningKeyCreate, strawberry.argument(description="The new key.")]
    ) -> ProvisioningKeyCreated:
        """The way in and its secret."""
        made, secret = await provisioners.create_key(await info.context.tx(), input.terms())
        return ProvisioningKeyCreated(provisioner=Provisioner.of(made), key=secret)

    @strawberry.mutation(
        description="Signs a claim certificate, which every device of a batch may carry. With its key a device proves "
        "that it is of the batch, and is given a certificate of its own for a key of its own.",
        directives=[
            Needs(scope="devices:write", whole=True),
            Rest(method=Method.POST, path="/provisioners/claims", status=201),
            *MAKING,
            Problem(status=409, slug="authority-ended"),
            Problem(status=422, slug="csr-malformed"),
            Problem(status=422, slug="key-weak"),
            Problem(status=503, slug="vault-sealed"),
        ],
    )
    async def claim_certificate_sign(
        self, info: Info, input: Annotated[ClaimCertificateSign, strawberry.argument(description="The new claim.")]
    ) -> ClaimCertificateSigned:
        """The way in with its certificate."""
        context = info.context
        made, authority = await provisioners.sign_claim(
            await context.tx(), context.services.vault, input.terms(), input.csr
        )
        return ClaimCertificateSigned(provisioner=Provisioner.of(made), authority=authority)

    @strawberry.mutation(
        description="Registers an authority of the tenant's own. A device that shows a certificate signed by it, and "
        "is not known, introduces itself at its first connection over TLS, under the key in its certificate's CN.",
        directives=[
            Needs(scope="devices:write", whole=True),
            Rest(method=Method.POST, path="/provisioners/authorities", status=201),
            *MAKING,
            Problem(status=409, slug="provisioner-taken"),
            Problem(status=422, slug="authority-unfit"),
            Problem(status=422, slug="authority-unproven"),
        ],
    )
    async def authority_register(
        self, info: Info, input: Annotated[AuthorityRegister, strawberry.argument(description="The authority.")]
    ) -> Provisioner:
        """The way in."""
        tx = await info.context.tx()
        made = await provisioners.register_authority(tx, input.terms(), input.certificate, input.verification)
        return Provisioner.of(made)

    @strawberry.mutation(
        description="Changes a way in. Devices that are in stay in.",
        directives=[
            Needs(scope="devices:write", whole=True),
            Rest(method=Method.PATCH, path="/provisioners/{id}"),
            NO_PROVISIONER,
            STALE,
            Problem(status=409, slug="provisioner-ended"),
            *MAKING,
        ],
    )
    async def provisioner_update(
        self,
        info: Info,
        id: ProvisionerId,
        input: Annotated[ProvisionerUpdate, strawberry.argument(description="What changes.")],
        version: Version = None,
    ) -> Provisioner:
        """The way in after the change."""
        changed = await provisioners.change(
            await info.context.tx(),
            id,
            name=input.name,
            needs_approval=input.needs_approval,
            rule_=input.rule,
            max_uses=input.max_uses,
            expires_at=input.expires_at,
            expected_version=version,
        )
        return Provisioner.of(changed)

    @strawberry.mutation(
        description="Closes a way in at once. Devices that are in stay in.",
        directives=[
            Needs(scope="devices:write", whole=True),
            Rest(method=Method.DELETE, path="/provisioners/{id}"),
            NO_PROVISIONER,
        ],
    )
    async def provisioner_revoke(self, info: Info, id: ProvisionerId) -> Provisioner:
        """The way in at its end."""
        return Provisioner.of(await provisioners.revoke(await info.context.tx(), id))

    @strawberry.mutation(
        description="Lets a device in that waits for approval, or that a rule had turned away at its connection.",
        directives=[
            Needs(scope="devices:write", whole=True),
            Rest(method=Method.POST, path="/enrolments/{id}/approve"),
            NO_ENROLMENT,
            PROFILE_NOT_FOUND,
            NO_GROUP,
            Problem(status=403, slug="device-not-registered"),
            Problem(status=403, slug="provisioning-ended"),
            DECIDED,
            Problem(status=409, slug="device-key-taken"),
            Problem(status=409, slug="device-quota-reached"),
            Problem(status=409, slug="group-dynamic"),
            Problem(status=410, slug="ticket-expired"),
        ],
    )
    async def enrolment_approve(
        self,
        info: Info,
        id: EnrolmentId,
        input: Annotated[EnrolmentApprove | None, strawberry.argument(description="Where the device is put.")] = None,
    ) -> Enrolment:
        """The enrolment, approved."""
        wanted = input or EnrolmentApprove()
        approved = await queue.approve(
            await info.context.tx(), id, profile_id=wanted.profile_id, group_ids=wanted.group_ids or ()
        )
        return Enrolment.of(approved)

    @strawberry.mutation(
        description="Turns a waiting device away. It is told the reason when it asks.",
        directives=[
            Needs(scope="devices:write", whole=True),
            Rest(method=Method.POST, path="/enrolments/{id}/refuse"),
            NO_ENROLMENT,
            DECIDED,
        ],
    )
    async def enrolment_refuse(
        self,
        info: Info,
        id: EnrolmentId,
        reason: Annotated[
            str,
            strawberry.argument(
                description="What the device is told.", directives=[Constraint(min_length=1, max_length=200)]
            ),
        ],
    ) -> Enrolment:
        """The enrolment, refused."""
        return Enrolment.of(await queue.refuse(await info.context.tx(), id, reason))

    @strawberry.mutation(
        description="Registers a public key of a device. It signs in with a JWT (ES256) of the private half as its "
        "password: sub is its username, aud the platform's, exp at most 24 hours after iat.",
        directives=[
            Needs(scope="devices:write"),
            Rest(method=Method.POST, path="/devices/{deviceId}/public-keys", status=201),
            NOT_FOUND,
            Problem(status=409, slug="device-stuck"),
            Problem(status=409, slug="public-key-taken"),
            Problem(status=409, slug="too-many-keys"),
            Problem(status=422, slug="public-key-malformed"),
            Problem(status=422, slug="public-key-private"),
            Problem(status=422, slug="expiry-past"),
        ],
    )
    async def public_key_register(
        self,
        info: Info,
        device_id: DeviceId,
        public_key: Annotated[
            str,
            strawberry.argument(
                description="The key on the curve P-256, as PEM or as the JSON text of a JWK.",
                directives=[Constraint(min_length=1, max_length=4_096)],
            ),
        ],
        expires_at: Annotated[
            datetime | None, strawberry.argument(description="When it ends by itself; left out: never.")
        ] = None,
    ) -> Credential:
        """The credential it is."""
        return Credential.of(await keys.register(await info.context.tx(), device_id, public_key, expires_at))

    @strawberry.mutation(
        description="Gives a device a context to protect each CoAP message with (OSCORE, RFC 8613); its secret is "
        "shown this once.",
        directives=[
            Needs(scope="devices:write"),
            Rest(method=Method.POST, path="/devices/{deviceId}/oscore-contexts", status=201),
            NOT_FOUND,
            Problem(status=409, slug="device-stuck"),
            Problem(status=422, slug="expiry-past"),
            Problem(status=503, slug="vault-sealed"),
        ],
    )
    async def oscore_context_issue(
        self,
        info: Info,
        device_id: DeviceId,
        expires_at: Annotated[
            datetime | None, strawberry.argument(description="When it ends by itself; left out: never.")
        ] = None,
    ) -> OscoreContextIssued:
        """A new context."""
        vault = info.context.services.oscore_vault
        return OscoreContextIssued.of(await oscore.issue(await info.context.tx(), vault, device_id, expires_at))
