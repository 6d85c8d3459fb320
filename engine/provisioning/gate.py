"""The gate: a device introduces itself and is let in, told to wait, or turned away; each in its tenant's own rows.

Nobody is believed before a secret or a signature was found among the tenant's rows. The tenant is named by the secret's
own text or by the claim certificate's issuer: a place to look, under row-level security, never a proof.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from cryptography import x509 as pyca
from cryptography.exceptions import UnsupportedAlgorithm

from engine import ids
from engine.certificates import foreign, x509
from engine.certificates.errors import AuthorityEnded
from engine.certificates.vault import Vault
from engine.errors import Conflict, Forbidden
from engine.provisioning import acting, admission, errors, jose, provisioners, queue, secrets, tables
from engine.provisioning.model import (
    OWNERSHIP_LASTS,
    TICKET_LASTS,
    Admitted,
    Claimed,
    EnrolmentStatus,
    Introduction,
    Proof,
    Provisioner,
    Visitor,
    Waiting,
    Way,
)
from engine.store.pool import Store
from engine.store.tx import Tx
from engine.tenancy import Principal

ComeIn = Callable[[Tx], Awaitable[Admitted | Waiting]]
CLAIM_LIFETIME = timedelta(minutes=10)
enrolments = tables.enrolments


async def introduce(store: Store, vault: Vault, key: str, said: Introduction, address: str) -> Admitted | Waiting:
    """Come in with a provisioning key.

    Raises KeyUnknown, WayEnded, TurnedAway, NotRegistered, KeyInUse, AlreadyWaiting, QueueFull, VaultSealed and what
    ``admission.wanted`` raises.
    """
    way, who = await _way_of_key(store, key, address)

    async def come_in(tx: Tx) -> Admitted | Waiting:
        asked = admission.wanted(said)
        return await _decide(tx, vault, await provisioners.get(tx, way.id, locked=True), asked, None)

    return await _told(store, who, way, said.device, come_in)


async def greet(store: Store, visitor: Visitor) -> str:
    """Whose way in a connection has shown: the tenant's key. Whether it is still open, the introduction will tell.

    Raises KeyUnknown, ClaimUnknown.
    """
    if visitor.key:
        _, who = await _way_of_key(store, visitor.key, visitor.address)
    else:
        _, _, who = await _way_of_claim(store, visitor)
    async with store.as_tenant(who, read_only=True) as tx:
        return await admission.tenant_key(tx)


async def introduce_claimed(store: Store, vault: Vault, visitor: Visitor, said: Introduction) -> Admitted | Waiting:
    """Come in over a connection that has shown a claim certificate; for a CSR, so that the claim is not passed on.

    Raises ClaimUnknown, IntroductionMalformed and what ``introduce`` raises.
    """
    certificate, way, who = await _way_of_claim(store, visitor)

    async def come_in(tx: Tx) -> Admitted | Waiting:
        if certificate.not_valid_after_utc <= tx.now:
            raise errors.WayEnded
        if not said.csr:
            raise errors.IntroductionMalformed("With a claim certificate, send the csr of a key of the device's own.")
        asked = admission.wanted(said)
        return await _decide(tx, vault, await provisioners.get(tx, way.id, locked=True), asked, None)

    return await _told(store, who, way, said.device, come_in)


async def claim(store: Store, audience: str, jws: str, csr: str, address: str) -> Claimed:
    """Prove possession of a claim certificate's key, for one CSR: an ownership token, good once within the hour.

    ``jws`` is signed with ES256 by that key: header ``x5c`` with the certificate, claims ``iat``, ``exp`` at most ten
    minutes later, ``aud`` and ``csr_sha256``, the SHA-256 of ``csr`` as sent, in hexadecimal. Raises ClaimUnknown,
    WayEnded, CsrMalformed, KeyWeak, QueueFull.
    """
    try:
        signed = jose.parse(jws.encode())
        certificate = jose.certificate_of(signed)
        tenant_id, key = foreign.tenant_of_issuer(certificate), certificate.public_key()
    except (jose.Unsound, ValueError, UnsupportedAlgorithm):
        raise errors.ClaimUnknown from None
    way, who = await _way(store, tenant_id, Way.CLAIM, foreign.fingerprint(certificate), address)
    if way is None or who is None or not jose.is_for_es256(key):
        raise errors.ClaimUnknown
    if not signed.is_by(key):
        raise errors.ClaimUnknown
    x509.read_csr(csr)
    secret = secrets.make(secrets.OWNERSHIP, who.tenant_id)
    async with store.as_tenant(who) as tx:
        try:
            jose.check_times(signed.claims, tx.now.timestamp(), CLAIM_LIFETIME)
        except jose.Unsound as error:
            raise errors.ClaimUnknown(_CLAIM_FAULTS[error.fault]) from None
        if not jose.is_for(signed.claims, audience):
            raise errors.ClaimUnknown(f"The claim's aud must be {audience}.")
        if signed.claims.get("csr_sha256") != ids.fingerprint(csr).hex():
            raise errors.ClaimUnknown("The claim's csr_sha256 must be the SHA-256 of the csr, as sent, in hexadecimal.")
        if not way.is_open(tx.now) or certificate.not_valid_after_utc <= tx.now:
            raise errors.WayEnded
        until = tx.now + OWNERSHIP_LASTS
        same = await queue.locked(
            tx,
            enrolments.c.provisioner_id == way.id,
            enrolments.c.material_sha256 == ids.fingerprint(csr),
            enrolments.c.status == EnrolmentStatus.CLAIMED,
        )
        values = {"ticket_sha256": ids.fingerprint(secret), "expires_at": until}
        if same is not None:  # the answer was lost, or somebody repeats it: one token lives for one CSR
            await queue.save(tx, same["id"], values)
        else:
            material = {"material": csr.encode(), "material_sha256": ids.fingerprint(csr), "labels": {}, "groups": []}
            kept = {"status": EnrolmentStatus.CLAIMED, "proof": Proof.CSR, "provisioner_id": way.id}
            await queue.enter(tx, {**kept, **material, **values})
    return Claimed(secret, until)


_CLAIM_FAULTS = {
    "malformed": "The claim is no JWS.",
    "unfit": "A claim has iat and exp, at most ten minutes apart.",
    "early": "The claim begins in the future: set the device's clock.",
    "expired": "The claim has expired: sign a new one, and check the device's clock.",
}


async def own(store: Store, vault: Vault, token: str, said: Introduction, address: str) -> Admitted | Waiting:
    """Come in with the ownership token of a claim, for the CSR it was given for; the token is spent whatever is said.

    Unless the tenant's authority has ended: that is not the device's doing, and its token is good once it is renewed.
    Raises TicketUnknown, TicketExpired and what ``introduce`` raises.
    """
    way, who = await _way_of_ticket(store, secrets.OWNERSHIP, token, address)

    async def come_in(tx: Tx) -> Admitted | Waiting:
        row = await queue.locked(tx, enrolments.c.ticket_sha256 == ids.fingerprint(token))
        if row is None or row["status"] != EnrolmentStatus.CLAIMED:
            raise errors.TicketUnknown
        if row["expires_at"] <= tx.now:
            raise errors.TicketExpired
        if said.csr or said.public_key:
            raise errors.IntroductionMalformed(
                "The ownership token stands for the csr it was given for; send no other."
            )
        asked = admission.wanted(said, bytes(row["material"]).decode())
        return await _decide(tx, vault, await provisioners.get(tx, way.id, locked=True), asked, row["id"])

    try:
        return await _told(store, who, way, said.device, come_in)
    except AuthorityEnded:
        raise
    except (errors.TurnedAway, errors.NotRegistered, Conflict):
        await _spend(store, who, token)
        raise


async def ask_again(store: Store, vault: Vault, ticket: str, address: str) -> Admitted | Waiting:
    """What became of a device that waits; approved, it is given its credential, once.

    Raises TicketUnknown, TicketExpired, TurnedAway with the reason, VaultSealed.
    """
    way, who = await _way_of_ticket(store, secrets.TICKET, ticket, address)

    async def come_in(tx: Tx) -> Admitted | Waiting:
        row = await queue.locked(tx, enrolments.c.ticket_sha256 == ids.fingerprint(ticket))
        if row is None or row["status"] == EnrolmentStatus.DONE:
            raise errors.TicketUnknown
        if row["expires_at"] <= tx.now:
            raise errors.TicketExpired
        if row["status"] == EnrolmentStatus.REFUSED:
            raise errors.TurnedAway(row["reason"])
        if row["status"] != EnrolmentStatus.APPROVED:
            return Waiting(ticket, row["expires_at"])
        device = await admission.device(tx, row["device_id"])
        admitted = await admission.hand_out(tx, vault, device, admission.Wanted.of(row))
        await queue.save(tx, row["id"], {"status": EnrolmentStatus.DONE})
        return admitted

    return await _told(store, who, way, None, come_in)


async def _decide(
    tx: Tx, vault: Vault, way: Provisioner, asked: admission.Wanted, enrolment_id: UUID | None
) -> Admitted | Waiting:
    """In, or in the queue; ``enrolment_id`` is the row that stands for it already."""
    if await admission.came_before(tx, way, asked) is None:
        asked, must_wait = await admission.judged(tx, way, asked)
        if must_wait:
            return await _wait(tx, way, asked, enrolment_id)
    device = await admission.admit(tx, way, asked)
    admitted = await admission.hand_out(tx, vault, device, asked)
    await _keep(tx, way, asked, enrolment_id, EnrolmentStatus.DONE, {"device_id": device.id, "expires_at": tx.now})
    return admitted


async def _wait(tx: Tx, way: Provisioner, asked: admission.Wanted, enrolment_id: UUID | None) -> Waiting:
    same = await queue.locked(
        tx, enrolments.c.device_key == asked.device, enrolments.c.status == EnrolmentStatus.PENDING,
        enrolments.c.expires_at > tx.now,
    )  # fmt: skip
    if same is not None and (asked.proof is Proof.TOKEN or same["material_sha256"] != asked.digest):
        raise errors.AlreadyWaiting
    ticket = secrets.make(secrets.TICKET, tx.principal.tenant_id)
    until = tx.now + TICKET_LASTS
    values = {"ticket_sha256": ids.fingerprint(ticket), "expires_at": until}
    await _keep(tx, way, asked, same["id"] if same else enrolment_id, EnrolmentStatus.PENDING, values)
    return Waiting(ticket, until)


async def _keep(
    tx: Tx,
    way: Provisioner,
    asked: admission.Wanted,
    enrolment_id: UUID | None,
    status: EnrolmentStatus,
    values: dict[str, Any],
) -> None:
    kept = {
        "status": status,
        "device_key": asked.device,
        "name": asked.name,
        "labels": dict(asked.labels),
        "profile_id": asked.profile_id,
        "groups": list(asked.group_ids),
        **values,
    }
    if enrolment_id is not None:
        await queue.save(tx, enrolment_id, kept)
        return
    material = {"material": asked.material or None, "material_sha256": asked.digest}
    await queue.enter(tx, {**kept, **material, "provisioner_id": way.id, "proof": asked.proof})


async def _way(
    store: Store, tenant_id: UUID | None, kind: Way, digest: bytes, address: str
) -> tuple[Provisioner, Principal] | tuple[None, None]:
    if tenant_id is None:
        return None, None
    async with store.as_tenant(acting.principal(tenant_id, None, address), read_only=True) as tx:
        way = await provisioners.by_secret(tx, kind, digest)
        if way is None or await admission.is_suspended(tx):
            return None, None
        return way, acting.principal(tenant_id, way, address)


async def _way_of_key(store: Store, key: str, address: str) -> tuple[Provisioner, Principal]:
    way, who = await _way(store, secrets.tenant_of(secrets.KEY, key), Way.KEY, ids.fingerprint(key), address)
    if way is None or who is None:
        raise errors.KeyUnknown
    return way, who


async def _way_of_claim(store: Store, visitor: Visitor) -> tuple[pyca.Certificate, Provisioner, Principal]:
    try:
        shown = foreign.read_der(visitor.certificate)
        tenant_id = foreign.tenant_of_issuer(shown)
    except (foreign.Unfit, ValueError):
        raise errors.ClaimUnknown(_NO_CLAIM) from None
    way, who = await _way(store, tenant_id, Way.CLAIM, foreign.fingerprint(shown), visitor.address)
    if way is None or who is None:
        raise errors.ClaimUnknown(_NO_CLAIM)
    return shown, way, who


_NO_CLAIM = "The certificate that this connection has shown is no claim certificate of the tenant."


async def _way_of_ticket(store: Store, prefix: str, ticket: str, address: str) -> tuple[Provisioner, Principal]:
    tenant_id = secrets.tenant_of(prefix, ticket)
    if tenant_id is None:
        raise errors.TicketUnknown
    async with store.as_tenant(acting.principal(tenant_id, None, address), read_only=True) as tx:
        row = await queue.found(tx, enrolments.c.ticket_sha256 == ids.fingerprint(ticket))
        if row is None or await admission.is_suspended(tx):
            raise errors.TicketUnknown
        way = await provisioners.get(tx, row["provisioner_id"])
    return way, acting.principal(tenant_id, way, address)


async def _told(
    store: Store, who: Principal, way: Provisioner, device: str | None, come_in: ComeIn
) -> Admitted | Waiting:
    """Run ``come_in`` in the tenant's transaction; who is turned away is noted in the audit log by another."""
    try:
        async with store.as_tenant(who) as tx:
            return await come_in(tx)
    except (Forbidden, Conflict) as error:
        async with store.as_tenant(who) as tx:
            acting.note(tx, way, device, error)
        raise


async def _spend(store: Store, who: Principal, token: str) -> None:
    """An ownership token is good once, also for who was turned away."""
    async with store.as_tenant(who) as tx:
        row = await queue.locked(tx, enrolments.c.ticket_sha256 == ids.fingerprint(token))
        if row is not None and row["status"] == EnrolmentStatus.CLAIMED:
            await queue.save(
                tx, row["id"], {"status": EnrolmentStatus.REFUSED, "reason": "The device was turned away."}
            )
