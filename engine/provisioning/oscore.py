"""Contexts by which devices protect each CoAP message (OSCORE, RFC 8613), as they are issued."""

import os
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from engine import ids
from engine.certificates.vault import Vault
from engine.devices import service as devices
from engine.devices.errors import ExpiryPast
from engine.devices.model import Credential
from engine.provisioning.contexts import KID_BYTES, OUR_ID, SECRET_BYTES, Secrets, sealed
from engine.provisioning.model import ContextIssued
from engine.store.tx import Tx

_PROOF_BYTES = 32

# credentials belong to devices, below this package; contexts are this module's affair
_CREDENTIAL = text(
    "INSERT INTO credentials (tenant_id, id, device_id, kind, secret_sha256, created_at, expires_at) "
    "VALUES (:tenant, :id, :device, 'oscore', :handle, :now, :expires)"
)
_CONTEXT = text(
    "INSERT INTO oscore_contexts (tenant_id, credential_id, kid, sealed, vault) "
    "VALUES (:tenant, :id, :kid, :sealed, :vault)"
)


async def issue(tx: Tx, vault: Vault, device_id: UUID, expires_at: datetime | None = None) -> ContextIssued:
    """A new context for a device, beside whatever else it has; the secret is given away once.

    Raises DeviceNotFound, DeviceStuck, ExpiryPast, VaultSealed.
    """
    device = await devices.for_certificate(tx, device_id)
    if expires_at is not None and expires_at <= tx.now:
        raise ExpiryPast
    credential = Credential(ids.uuid7(), device.id, "oscore", tx.now, expires_at, None)
    secrets, kid = Secrets(os.urandom(SECRET_BYTES), os.urandom(_PROOF_BYTES)), os.urandom(KID_BYTES)
    named = {"tenant": tx.principal.tenant_id, "id": credential.id}
    hidden = await sealed(vault, secrets, credential.id)
    handle = ids.fingerprint(secrets.proof)
    await tx.execute(
        _CREDENTIAL, {**named, "device": device.id, "handle": handle, "now": tx.now, "expires": expires_at}
    )
    await tx.execute(_CONTEXT, {**named, "kid": kid, "sealed": hidden, "vault": vault.name})
    tx.audit("credential.issue", "device", device.id, after=credential)
    return ContextIssued(credential, secrets.master, kid, OUR_ID)
