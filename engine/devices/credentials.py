"""What devices log in with: issued beside one another, revoked one by one or all at once; secrets are not kept."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, insert, select, update

from engine import ids
from engine.devices import errors, tables
from engine.devices.model import Credential, Device, DeviceStatus
from engine.devices.registry import lock
from engine.devices.rows import as_credential
from engine.store.tx import Tx

credentials = tables.credentials


async def issue_token(tx: Tx, device_id: UUID, expires_at: datetime | None = None) -> tuple[Credential, str]:
    """A new token for a device, and the secret, which is not kept. Raises DeviceNotFound, DeviceStuck, ExpiryPast."""
    device = await lock(tx, device_id)
    _may_log_in(device)
    if expires_at is not None and expires_at <= tx.now:
        raise errors.ExpiryPast
    secret = ids.token("tgd")
    return await _enter(tx, device.id, "token", ids.fingerprint(secret), expires_at), secret


async def for_certificate(tx: Tx, device_id: UUID) -> Device:
    """The device, held until COMMIT, if it may have a certificate. Raises DeviceNotFound, DeviceStuck."""
    device = await lock(tx, device_id)
    _may_log_in(device)
    return device


async def enter_certificate(tx: Tx, device: Device, fingerprint: bytes, expires_at: datetime) -> Credential:
    """Let ``device`` log in with the certificate of this SHA-256, beside whatever else it has."""
    return await _enter(tx, device.id, "x509", fingerprint, expires_at)


async def revoke_credential(tx: Tx, credential_id: UUID) -> Credential:
    """Make a credential worthless at once; a connection that used it is cut. Raises CredentialNotFound."""
    row = await tx.one(
        update(credentials)
        .where(credentials.c.tenant_id == tx.principal.tenant_id, credentials.c.id == credential_id)
        .values(revoked_at=func.coalesce(credentials.c.revoked_at, tx.now))
        .returning(credentials)
    )
    if row is None:
        raise errors.CredentialNotFound
    await tx.notify(f"device:{row['device_id']}")
    credential = as_credential(row)
    tx.audit("credential.revoke", "device", credential.device_id, after=credential)
    return credential


async def revoke_all(tx: Tx, device_id: UUID) -> None:
    """Make every credential of a device worthless; whoever calls this tells the other processes."""
    await tx.execute(
        update(credentials)
        .where(
            credentials.c.tenant_id == tx.principal.tenant_id,
            credentials.c.device_id == device_id,
            credentials.c.revoked_at.is_(None),
        )
        .values(revoked_at=tx.now)
    )


async def credentials_of(tx: Tx, device_ids: Sequence[UUID]) -> dict[UUID, list[Credential]]:
    """The credentials of each device, newest first."""
    found: dict[UUID, list[Credential]] = {device_id: [] for device_id in device_ids}
    query = select(credentials).where(
        credentials.c.tenant_id == tx.principal.tenant_id, credentials.c.device_id.in_(device_ids)
    )
    for row in await tx.rows(query.order_by(credentials.c.id.desc())):
        found[row["device_id"]].append(as_credential(row))
    return found


async def _enter(tx: Tx, device_id: UUID, kind: str, secret_sha256: bytes, expires_at: datetime | None) -> Credential:
    row = await tx.one(
        insert(credentials)
        .values(
            tenant_id=tx.principal.tenant_id,
            id=ids.uuid7(),
            device_id=device_id,
            kind=kind,
            secret_sha256=secret_sha256,
            created_at=tx.now,
            expires_at=expires_at,
        )
        .returning(credentials)
    )
    assert row is not None
    credential = as_credential(row)
    tx.audit("credential.issue", "device", device_id, after=credential)
    return credential


def _may_log_in(device: Device) -> None:
    if device.status is DeviceStatus.DECOMMISSIONED:
        raise errors.DeviceStuck("A decommissioned device gets no new credentials.")
    if device.status is DeviceStatus.QUARANTINED:
        raise errors.DeviceStuck("A device in quarantine gets no new credentials before it is released.")
