"""Letting one device in: what the way in and the tenant's rule make of it, the device itself, and its credential."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.engine import RowMapping

from engine import ids
from engine.certificates import foreign, x509
from engine.certificates import service as certificates
from engine.certificates.vault import Vault
from engine.devices import groups as device_groups
from engine.devices import service as devices
from engine.devices.errors import DeviceKeyTaken, GroupDynamic, GroupNotFound
from engine.devices.model import Device, DeviceStatus, checked_key, checked_name
from engine.provisioning import errors, keys, provisioners, rule, tables
from engine.provisioning.jose import read_public_key
from engine.provisioning.model import Admitted, EnrolmentStatus, Introduction, Mode, Proof, Provisioner
from engine.store.tx import Tx
from engine.tenants import service as tenants

enrolments = tables.enrolments

_STANDING = (DeviceStatus.PROVISIONED, DeviceStatus.ACTIVE)
_SUSPENDED = text("SELECT suspended_at IS NOT NULL FROM tenants WHERE id = :tenant")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a device asks for, checked, and where it will be put. ``material``: its CSR, public key or certificate."""

    device: str
    name: str
    labels: Mapping[str, str]
    proof: Proof
    material: bytes
    profile_id: UUID | None = None
    group_ids: tuple[UUID, ...] = ()

    @classmethod
    def of(cls, row: RowMapping) -> Self:
        """What an enrolment asks for."""
        return cls(
            row["device_key"],
            row["name"] or row["device_key"],
            row["labels"],
            Proof(row["proof"]),
            row["material"] or b"",
            row["profile_id"],
            tuple(row["groups"]),
        )

    def placed(self, profile_id: UUID | None, group_ids: tuple[UUID, ...]) -> "Wanted":
        """The same, put elsewhere."""
        return replace(self, profile_id=profile_id, group_ids=group_ids)

    def proven(self, proof: Proof, material: bytes) -> "Wanted":
        """The same, by another proof."""
        return replace(self, proof=proof, material=material)

    @property
    def digest(self) -> bytes:
        """The sha256 by which the same wish is known again; of one for a token, a random one: it is never the same."""
        return ids.fingerprint(self.material or ids.token("none"))

    @property
    def subject(self) -> str:
        """The common name in the CSR or certificate, or nothing."""
        if self.proof is Proof.CSR:
            return foreign.common_name(x509.read_csr(self.material.decode()))
        if self.proof is Proof.CERTIFICATE:
            return foreign.common_name(foreign.read_der(self.material))
        return ""


def wanted(said: Introduction, csr: str = "") -> Wanted:
    """What a device says, if it can be granted at all; ``csr`` is one it has sent before.

    Raises IntroductionMalformed, KeyMalformed, NameMalformed, CsrMalformed, KeyWeak, PublicKeyMalformed,
    PublicKeyPrivate.
    """
    if bool(csr or said.csr) and said.public_key:
        raise errors.IntroductionMalformed("Send a csr or a publicKey, not both.")
    key, name = checked_key(said.device), checked_name(said.name or said.device)
    if csr or said.csr:
        x509.read_csr(csr or said.csr)
        return Wanted(key, name, said.labels, Proof.CSR, (csr or said.csr).encode())
    if said.public_key:
        return Wanted(key, name, said.labels, Proof.KEY, read_public_key(said.public_key))
    return Wanted(key, name, said.labels, Proof.TOKEN, b"")


async def judged(tx: Tx, way: Provisioner, asked: Wanted) -> tuple[Wanted, bool]:
    """Where the device is put, and whether somebody has to approve it first. Raises TurnedAway, WayEnded."""
    if not way.is_open(tx.now):
        raise errors.WayEnded
    placed = asked.placed(way.profile_id, way.group_ids)
    if way.rule is None:
        return placed, way.needs_approval
    facts = rule.facts(
        asked.device,
        asked.labels,
        name=asked.name,
        way=way.kind,
        provisioner=way.name,
        proof=asked.proof,
        subject=asked.subject,
        address=tx.principal.address,
    )
    verdict = rule.parse(way.rule).decide(facts)
    if verdict.refusal is not None:
        raise errors.TurnedAway(verdict.refusal)
    profile_id = placed.profile_id
    if verdict.profile is not None:
        profile = await devices.profile_by_key(tx, verdict.profile)
        if profile is None:
            raise errors.TurnedAway(f"The tenant's rule names the profile {verdict.profile}, which is gone.")
        profile_id = profile.id
    try:
        group_ids = (*placed.group_ids, *await provisioners.groups_by_key(tx, verdict.groups))
    except (GroupNotFound, GroupDynamic):
        raise errors.TurnedAway("The tenant's rule names a group that is gone or has a filter now.") from None
    return placed.placed(profile_id, tuple(dict.fromkeys(group_ids))), way.needs_approval or verdict.approval


async def admit(tx: Tx, way: Provisioner, asked: Wanted) -> Device:
    """The device, registered and in its groups; spends a use of ``way``, whose row the caller holds.

    A device that comes again with the key it came in with before is that device, and spends nothing: an answer may have
    been lost. Raises WayEnded, NotRegistered, KeyInUse.
    """
    if (before := await came_before(tx, way, asked)) is not None:
        return before
    if not way.is_open(tx.now):
        raise errors.WayEnded
    device = await (_registered(tx, asked) if way.mode is Mode.PREREGISTERED else _created(tx, asked))
    for group_id in asked.group_ids:
        await device_groups.add_devices(tx, group_id, [device.id])
    await provisioners.use(tx, way.id)
    return device


async def came_before(tx: Tx, way: Provisioner, asked: Wanted) -> Device | None:
    """The device that came in by ``way`` under this name with this very key, if there is one and it still may.

    Whoever was shut out since, or had a credential revoked, does not get another one for the asking; nor does anybody
    by a way that was closed.
    """
    is_closed = way.revoked_at is not None or (way.expires_at is not None and way.expires_at <= tx.now)
    if asked.proof is Proof.TOKEN or is_closed:
        return None
    query = select(enrolments.c.device_id, enrolments.c.asked_at).where(
        enrolments.c.tenant_id == tx.principal.tenant_id,
        enrolments.c.provisioner_id == way.id,
        enrolments.c.device_key == asked.device,
        enrolments.c.material_sha256 == asked.digest,
        enrolments.c.status == EnrolmentStatus.DONE,
    )
    came_in = await tx.one(query.order_by(enrolments.c.id).limit(1))
    if came_in is None:
        return None
    device = await devices.get(tx, came_in["device_id"])
    its_own = (await devices.credentials_of(tx, [device.id]))[device.id]
    if any(each.revoked_at is not None and each.revoked_at >= came_in["asked_at"] for each in its_own):
        return None
    return device if device.key == asked.device and device.status in _STANDING else None


async def hand_out(tx: Tx, vault: Vault, device: Device, asked: Wanted) -> Admitted:
    """The credential the device asked for. Raises VaultSealed and what issuing raises."""
    tenant = (await tenants.current(tx)).key
    if asked.proof is Proof.CSR:
        signed = await certificates.sign(tx, vault, device.id, asked.material.decode())
        return Admitted(tenant, device, signed.credential, certificate=signed.certificate, authority=signed.authority)
    if asked.proof is Proof.KEY:
        return Admitted(tenant, device, await keys.enter(tx, device, asked.material))
    credential, token = await devices.issue_token(tx, device.id)
    return Admitted(tenant, device, credential, token=token)


async def device(tx: Tx, device_id: UUID) -> Device:
    """The device that was let in."""
    return await devices.get(tx, device_id)


async def tenant_key(tx: Tx) -> str:
    """The key of the tenant whose gate this is."""
    return (await tenants.current(tx)).key


async def is_suspended(tx: Tx) -> bool:
    """Whether the whole tenant is shut out for the time being."""
    return bool(await tx.scalar(_SUSPENDED, {"tenant": tx.principal.tenant_id}))


async def enter_certificate(tx: Tx, device: Device, der: bytes) -> Admitted:
    """Let the device log in with a certificate that it has already."""
    shown = foreign.read_der(der)
    credential = await devices.enter_certificate(tx, device, foreign.fingerprint(shown), shown.not_valid_after_utc)
    return Admitted((await tenants.current(tx)).key, device, credential)


async def _created(tx: Tx, asked: Wanted) -> Device:
    if asked.profile_id is None:
        raise errors.TurnedAway("Nobody said which profile the device has.")
    if await devices.by_key(tx, asked.device) is not None:
        raise errors.KeyInUse
    try:
        return await devices.provision(
            tx, key=asked.device, name=asked.name, profile_id=asked.profile_id, labels=asked.labels
        )
    except DeviceKeyTaken:
        raise errors.KeyInUse from None


async def _registered(tx: Tx, asked: Wanted) -> Device:
    """A device that was registered and has never come in, whether by a way or by itself."""
    device = await devices.by_key(tx, asked.device)
    came_in = select(enrolments.c.id).where(
        enrolments.c.tenant_id == tx.principal.tenant_id,
        enrolments.c.device_key == asked.device,
        enrolments.c.device_id.is_not(None),
    )
    if device is None or device.status is not DeviceStatus.PROVISIONED or await tx.scalar(came_in.limit(1)):
        raise errors.NotRegistered
    if asked.profile_id is not None and asked.profile_id != device.profile_id:
        return await devices.change(tx, device.id, profile_id=asked.profile_id)
    return device
