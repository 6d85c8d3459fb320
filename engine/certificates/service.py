"""Signing what devices ask to be signed, and telling what was taken back; a device's key never comes here."""

from datetime import datetime, timedelta
from uuid import UUID

from cryptography import x509 as pyca
from sqlalchemy import Select, insert, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.engine import RowMapping

from engine import ids
from engine.certificates import tables, x509
from engine.certificates.errors import NoAuthority, ValidityMalformed
from engine.certificates.model import MAX_DAYS, Authority, RevocationList, Revoked, Signed
from engine.certificates.vault import Vault
from engine.devices import service as devices
from engine.store.tx import Tx
from engine.tenants import service as tenants

authorities, certificates = tables.authorities, tables.certificates

# credentials belong to devices, below this package; one column of them tells what was taken back
_REVOKED = text(
    "SELECT c.serial, k.revoked_at FROM certificates c "
    "JOIN credentials k ON k.tenant_id = c.tenant_id AND k.id = c.credential_id "
    "WHERE c.tenant_id = :tenant AND c.authority_id = :authority AND k.revoked_at IS NOT NULL AND c.not_after > :now "
    "ORDER BY k.revoked_at, c.serial"
)


async def authority(tx: Tx) -> Authority:
    """The tenant's certificate authority; raises NoAuthority before the first certificate was signed."""
    return _authority(await _row(tx))


async def sign(tx: Tx, vault: Vault, device_id: UUID, csr: str, days: int = 365) -> Signed:
    """A certificate for the key that signed ``csr``, by which the device may log in beside what else it has.

    Its name is the device's username whatever the request says; it is for TLS clients only, valid for ``days``. Raises
    DeviceNotFound, DeviceStuck, ValidityMalformed, CsrMalformed, KeyWeak, VaultSealed.
    """
    device = await devices.for_certificate(tx, device_id)
    if not 1 <= days <= MAX_DAYS:
        raise ValidityMalformed
    request = x509.read_csr(csr)
    row = await _made(tx, vault)
    key = await vault.open(row["sealed_key"], _purpose(tx, row["id"]))
    name = f"{(await tenants.current(tx)).key}/d/{device.key}"
    issuer = _loaded(row)
    made = x509.sign(request, name, issuer, key, tx.now, tx.now + timedelta(days=days))
    credential = await devices.enter_certificate(tx, device, x509.fingerprint(made), made.not_valid_after_utc)
    await tx.execute(
        insert(certificates).values(
            tenant_id=tx.principal.tenant_id,
            credential_id=credential.id,
            authority_id=row["id"],
            serial=f"{made.serial_number:x}",
            pem=x509.pem(made),
            not_before=made.not_valid_before_utc,
            not_after=made.not_valid_after_utc,
        )
    )
    return Signed(credential, x509.pem(made), row["certificate"])


async def sign_named(
    tx: Tx, vault: Vault, request: pyca.CertificateSigningRequest, name: str, until: datetime
) -> tuple[pyca.Certificate, str]:
    """A certificate called ``name`` that is no device's credential, and the authority's PEM. Raises VaultSealed."""
    row = await _made(tx, vault)
    key = await vault.open(row["sealed_key"], _purpose(tx, row["id"]))
    return x509.sign(request, name, _loaded(row), key, tx.now, until), row["certificate"]


async def revocations(tx: Tx, vault: Vault) -> RevocationList:
    """The list of certificates taken back and not yet expired, signed now. Raises NoAuthority, VaultSealed."""
    row = await _row(tx)
    named = {"tenant": tx.principal.tenant_id, "authority": row["id"], "now": tx.now}
    revoked = [Revoked(int(each["serial"], 16), each["revoked_at"]) for each in await tx.rows(_REVOKED, named)]
    key = await vault.open(row["sealed_key"], _purpose(tx, row["id"]))
    made = x509.revocation_list(_loaded(row), key, revoked, tx.now)
    assert made.next_update_utc is not None
    return RevocationList(
        x509.pem(made), made.issuer.rfc4514_string(), made.last_update_utc, made.next_update_utc, len(revoked)
    )


async def _made(tx: Tx, vault: Vault) -> RowMapping:
    """The tenant's authority, made if there is none; who comes second takes the first one's."""
    if (found := await tx.one(_mine(tx))) is not None:
        return found
    tenant = await tenants.current(tx)
    made, key = x509.make_authority(tenant.id, tenant.key, tx.now)
    authority_id = ids.uuid7()
    inserted = await tx.one(
        upsert(authorities)
        .values(
            tenant_id=tenant.id,
            id=authority_id,
            certificate=x509.pem(made),
            sealed_key=await vault.seal(key, _purpose(tx, authority_id)),
            vault=vault.name,
            created_at=tx.now,
            expires_at=made.not_valid_after_utc,
        )
        .on_conflict_do_nothing(index_elements=["tenant_id"])
        .returning(authorities)
    )
    if inserted is None:
        return await _row(tx)
    tx.audit("authority.make", "authority", authority_id, after=_authority(inserted))
    await tx.notify(f"ca:{authority_id}")
    return inserted


async def _row(tx: Tx) -> RowMapping:
    row = await tx.one(_mine(tx))
    if row is None:
        raise NoAuthority
    return row


def _mine(tx: Tx) -> Select[tuple[object, ...]]:
    return select(authorities).where(authorities.c.tenant_id == tx.principal.tenant_id)


def _purpose(tx: Tx, authority_id: UUID) -> bytes:
    """A key sealed for one tenant's authority opens as nobody else's."""
    return b"tidegate authority 1|" + tx.principal.tenant_id.bytes + authority_id.bytes


def _loaded(row: RowMapping) -> pyca.Certificate:
    return pyca.load_pem_x509_certificate(row["certificate"].encode())


def _authority(row: RowMapping) -> Authority:
    certificate = _loaded(row)
    return Authority(
        row["id"],
        row["certificate"],
        certificate.subject.rfc4514_string(),
        x509.fingerprint(certificate).hex(),
        row["created_at"],
        row["expires_at"],
    )
