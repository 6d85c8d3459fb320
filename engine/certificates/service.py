"""Signing what devices ask to be signed, and telling what was taken back; a device's key never comes here.

A tenant has one authority that signs. Renewed, it has a successor, and what it signed is good beside the successor's,
until it ends or until the former authority is retired.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from cryptography import x509 as pyca
from sqlalchemy import Select, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.engine import RowMapping

from engine import ids
from engine.certificates import foreign, tables, x509
from engine.certificates.errors import (
    AuthorityCurrent,
    AuthorityEnded,
    AuthorityNotFound,
    NoAuthority,
    TooManyAuthorities,
    ValidityMalformed,
)
from engine.certificates.kept import KeptLists, period
from engine.certificates.model import (
    MADE_WITHIN,
    MAX_DAYS,
    MOST_MADE,
    Authority,
    Reliance,
    RevocationList,
    Revoked,
    Signed,
)
from engine.certificates.vault import Vault
from engine.devices import service as devices
from engine.store.tx import Tx
from engine.tenants import service as tenants

authorities, certificates = tables.authorities, tables.certificates

# credentials belong to devices, below this package; two columns of them tell what was taken back and what has ended
_REVOKED = text(
    "SELECT c.serial, k.revoked_at FROM certificates c "
    "JOIN credentials k ON k.tenant_id = c.tenant_id AND k.id = c.credential_id "
    "WHERE c.tenant_id = :tenant AND c.authority_id = :authority AND k.revoked_at IS NOT NULL AND c.not_after > :now "
    "ORDER BY k.revoked_at, c.serial"
)

# what changes with whatever comes to the list or goes from it
_WHICH = text(
    "SELECT count(*) AS revoked, max(k.revoked_at) AS last_at, bit_xor(hashtextextended(c.serial, 0)) AS serials "
    "FROM certificates c JOIN credentials k ON k.tenant_id = c.tenant_id AND k.id = c.credential_id "
    "WHERE c.tenant_id = :tenant AND c.authority_id = :authority AND k.revoked_at IS NOT NULL AND c.not_after > :now"
)
# All at once, by device and authority, and not certificate by certificate, which takes seconds of a hundred thousand.
# What is no certificate of ours has no authority, and is a way in of its own.
_RELIANCE = text(
    "SELECT authority_id, CAST(sum(good) AS bigint) AS certificates, count(*) AS devices, "
    "count(*) FILTER (WHERE others = 0) AS stranded, max(last_ends_at) AS last_ends_at "
    "FROM (SELECT held.*, sum(lets_in) OVER (PARTITION BY device_id) - lets_in AS others "
    "FROM (SELECT k.device_id, c.authority_id, count(*) FILTER (WHERE c.not_after > :now) AS good, "
    "max(c.not_after) AS last_ends_at, max(CAST(coalesce(k.expires_at > :now, true) AS int)) AS lets_in "
    "FROM credentials k LEFT JOIN certificates c ON c.tenant_id = k.tenant_id AND c.credential_id = k.id "
    "WHERE k.tenant_id = :tenant AND k.revoked_at IS NULL GROUP BY k.device_id, c.authority_id) held) of_device "
    "WHERE authority_id IS NOT NULL AND good > 0 GROUP BY authority_id"
)
_REVOKE = text(
    "UPDATE credentials k SET revoked_at = :now FROM certificates c WHERE c.tenant_id = :tenant "
    "AND c.authority_id = :authority AND k.tenant_id = c.tenant_id AND k.id = c.credential_id AND k.revoked_at IS NULL"
)


async def authority(tx: Tx) -> Authority:
    """The tenant's certificate authority that signs now; raises NoAuthority before the first certificate was signed."""
    return _authority(await _row(tx))


async def authorities_of(tx: Tx, most: int = 50) -> list[Authority]:
    """The tenant's authorities, the one that signs first, then those before it."""
    rows = await tx.rows(_all(tx).order_by(authorities.c.number.desc()).limit(most))
    return [_authority(row) for row in rows]


async def reliance(tx: Tx) -> dict[UUID, Reliance]:
    """What relies on each authority; one on which nothing relies is not in it."""
    rows = await tx.rows(_RELIANCE, {"tenant": tx.principal.tenant_id, "now": tx.now})
    return {
        row["authority_id"]: Reliance(row["certificates"], row["devices"], row["stranded"], row["last_ends_at"])
        for row in rows
    }


async def renew(tx: Tx, vault: Vault) -> Authority:
    """Give the authority a successor, which signs from now on; what the former one signed stays good beside it.

    Raises NoAuthority, TooManyAuthorities, VaultSealed.
    """
    former = await tx.one(_mine(tx).with_for_update())
    if former is None:
        await _row(tx)  # there is one when somebody else has renewed it meanwhile
        return await renew(tx, vault)
    lately = select(func.count()).select_from(
        _all(tx).where(authorities.c.created_at > tx.now - MADE_WITHIN).subquery()
    )
    if await tx.scalar(lately) >= MOST_MADE:
        raise TooManyAuthorities
    await _mark(tx, former["id"], superseded_at=tx.now)
    row = await _make(tx, vault, former["number"] + 1)
    assert row is not None, "who holds the former one makes its successor alone"
    tx.audit("authority.renew", "authority", row["id"], after={**_told(row), "after": str(former["id"])})
    return _authority(row)


async def held(tx: Tx, authority_id: UUID) -> Authority:
    """A former authority, held until COMMIT: nobody retires it twice. Raises AuthorityNotFound, AuthorityCurrent."""
    row = await tx.one(_all(tx).where(authorities.c.id == authority_id).with_for_update())
    if row is None:
        raise AuthorityNotFound
    if row["superseded_at"] is None:
        raise AuthorityCurrent
    return _authority(row)


async def retire(tx: Tx, authority_id: UUID) -> Authority:
    """Take back all that a former authority signed, at once and for good; whoever is connected by it is cut."""
    await tx.execute(_REVOKE, {"tenant": tx.principal.tenant_id, "authority": authority_id, "now": tx.now})
    row = await _mark(tx, authority_id, retired_at=tx.now)
    await tx.notify(f"sessions:{tx.principal.tenant_id}")
    return _authority(row)


def _told(row: RowMapping) -> dict[str, object]:
    """What the audit log says of an authority: nothing that a certificate has to be opened for."""
    certificate = _loaded(row)
    fingerprint = x509.fingerprint(certificate).hex()
    return {"name": foreign.common_name(certificate), "fingerprint": fingerprint, "expires_at": row["expires_at"]}


async def sign(tx: Tx, vault: Vault, device_id: UUID, csr: str, days: int = 365) -> Signed:
    """A certificate for the key that signed ``csr``, by which the device may log in beside what else it has.

    Its name is the device's username whatever the request says; it is for TLS clients only, valid for ``days``, or
    until its authority ends if that is sooner. Raises DeviceNotFound, DeviceStuck, ValidityMalformed, CsrMalformed,
    KeyWeak, AuthorityEnded, VaultSealed.
    """
    device = await devices.for_certificate(tx, device_id)
    if not 1 <= days <= MAX_DAYS:
        raise ValidityMalformed
    request = x509.read_csr(csr)
    row = await _signing(tx, vault)
    key = await vault.open(row["sealed_key"], _purpose(tx, row["id"]))
    name = f"{(await tenants.current(tx)).key}/d/{device.key}"
    until = tx.now + timedelta(days=days)
    made = x509.sign(request, name, _loaded(row), key, tx.now, until)
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
    is_shortened = made.not_valid_after_utc < until.replace(microsecond=0)  # X.509 counts in seconds
    return Signed(credential, x509.pem(made), row["certificate"], is_shortened)


async def sign_named(
    tx: Tx, vault: Vault, request: pyca.CertificateSigningRequest, name: str, until: datetime
) -> tuple[pyca.Certificate, Authority]:
    """A certificate called ``name`` that is no device's credential, and its authority.

    Raises AuthorityEnded, VaultSealed.
    """
    row = await _signing(tx, vault)
    key = await vault.open(row["sealed_key"], _purpose(tx, row["id"]))
    return x509.sign(request, name, _loaded(row), key, tx.now, until), _authority(row)


async def by_id(tx: Tx, authority_id: UUID) -> Authority:
    """The authority with this id, whatever became of it. Raises AuthorityNotFound."""
    return _authority(await _row(tx, authority_id))


async def revocations(
    tx: Tx,
    vault: Vault,
    authority_id: UUID | None = None,
    others: Sequence[Revoked] = (),
    kept: KeptLists | None = None,
) -> RevocationList:
    """What an authority (None: the one that signs now) signed, and was taken back and has not expired.

    Dated by what came last, or when these ten minutes began: the same in every process. ``others`` of its certificates
    were taken back that are no device's. ``kept``: one of these, if all of that is on it and no more. Raises
    NoAuthority, AuthorityNotFound, VaultSealed.
    """
    row = await _row(tx, authority_id)
    named = {"tenant": tx.principal.tenant_id, "authority": row["id"], "now": period(tx.now)}
    if kept is None:
        return await _listed(tx, vault, row, named, others)
    which = await tx.one(_WHICH, named)
    assert which is not None
    key = (tx.principal.tenant_id, row["id"], *which.values(), *others)
    found = kept.get(key, tx.now)
    if found is None:
        kept.put(key, found := await _listed(tx, vault, row, named, others))
    return found


async def _listed(
    tx: Tx, vault: Vault, row: RowMapping, named: Mapping[str, object], others: Sequence[Revoked]
) -> RevocationList:
    revoked = [Revoked(int(each["serial"], 16), each["revoked_at"]) for each in await tx.rows(_REVOKED, named)]
    revoked = [*revoked, *others]
    key = await vault.open(row["sealed_key"], _purpose(tx, row["id"]))
    at = max(period(tx.now), row["created_at"], *(each.at for each in revoked))
    made = await asyncio.to_thread(x509.revocation_list, _loaded(row), key, revoked, at)
    assert made.next_update_utc is not None
    written = await asyncio.to_thread(x509.pem, made)
    issuer = made.issuer.rfc4514_string()
    return RevocationList(written, issuer, made.last_update_utc, made.next_update_utc, len(revoked))


async def _signing(tx: Tx, vault: Vault) -> RowMapping:
    """The authority that signs, made if there is none; none retires it before COMMIT. Raises AuthorityEnded."""
    row = await tx.one(_mine(tx).with_for_update(read=True)) or await _first(tx, vault)
    if row["expires_at"] <= tx.now:
        raise AuthorityEnded
    return row


async def _first(tx: Tx, vault: Vault) -> RowMapping:
    """The tenant's first authority; whoever comes second, to it or to its successor, takes the first one's."""
    made = await _make(tx, vault, 1) if await tx.one(_all(tx).limit(1)) is None else None
    if made is None:
        found = await tx.one(_mine(tx).with_for_update(read=True))
        return found if found is not None else await _first(tx, vault)
    tx.audit("authority.make", "authority", made["id"], after=_told(made))
    return made


async def _make(tx: Tx, vault: Vault, number: int) -> RowMapping | None:
    """An authority that signs from now on, believed everywhere before long; None if somebody else has made one."""
    tenant = await tenants.current(tx)
    made, key = x509.make_authority(tenant.id, tenant.key, tx.now, number)
    authority_id = ids.uuid7()
    inserted = await tx.one(
        upsert(authorities)
        .values(
            tenant_id=tenant.id,
            id=authority_id,
            certificate=x509.pem(made),
            sealed_key=await vault.seal(key, _purpose(tx, authority_id)),
            vault=vault.name,
            number=number,
            created_at=tx.now,
            expires_at=made.not_valid_after_utc,
        )
        .on_conflict_do_nothing()
        .returning(authorities)
    )
    if inserted is not None:
        await tx.notify(f"ca:{authority_id}")
    return inserted


async def _mark(tx: Tx, authority_id: UUID, **moment: datetime) -> RowMapping:
    row = await tx.one(
        update(authorities)
        .where(authorities.c.tenant_id == tx.principal.tenant_id, authorities.c.id == authority_id)
        .values(**moment)
        .returning(authorities)
    )
    assert row is not None
    return row


async def _row(tx: Tx, authority_id: UUID | None = None) -> RowMapping:
    row = await tx.one(_mine(tx) if authority_id is None else _all(tx).where(authorities.c.id == authority_id))
    if row is None:
        raise NoAuthority if authority_id is None else AuthorityNotFound
    return row


def _all(tx: Tx) -> Select[tuple[object, ...]]:
    return select(authorities).where(authorities.c.tenant_id == tx.principal.tenant_id)


def _mine(tx: Tx) -> Select[tuple[object, ...]]:
    """The one that signs."""
    return _all(tx).where(authorities.c.superseded_at.is_(None))


def _purpose(tx: Tx, authority_id: UUID) -> bytes:
    """A key sealed for one tenant's authority opens as nobody else's."""
    return b"tidegate authority 1|" + tx.principal.tenant_id.bytes + authority_id.bytes


def _loaded(row: RowMapping) -> pyca.Certificate:
    return pyca.load_pem_x509_certificate(row["certificate"].encode())


def _authority(row: RowMapping) -> Authority:
    certificate = _loaded(row)
    return Authority(
        row["id"],
        foreign.common_name(certificate),
        row["certificate"],
        certificate.subject.rfc4514_string(),
        x509.fingerprint(certificate).hex(),
        row["created_at"],
        row["expires_at"],
        row["superseded_at"],
        row["retired_at"],
    )
