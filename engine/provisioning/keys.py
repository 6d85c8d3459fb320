"""Public keys that devices log in with: a JWT signed with the private half is the password."""

import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from engine import ids
from engine.devices import service as devices
from engine.devices.errors import ExpiryPast
from engine.devices.model import Credential, Device
from engine.provisioning.errors import PublicKeyTaken, TooManyKeys
from engine.provisioning.jose import read_public_key
from engine.store.tx import Tx

MAX_KEYS = 8

# credentials belong to devices, below this package; their public keys are this module's affair
_LIVE = text(
    "SELECT id, device_id, public_key, created_at, expires_at FROM credentials WHERE tenant_id = :tenant "
    "AND device_id = :device AND kind = 'jwt' AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > :now)"
)
_ENTER = text(
    "INSERT INTO credentials (tenant_id, id, device_id, kind, secret_sha256, public_key, created_at, expires_at) "
    "VALUES (:tenant, :id, :device, 'jwt', :handle, :key, :now, :expires) "
    "RETURNING id, device_id, public_key, created_at, expires_at"
)


async def register(tx: Tx, device_id: UUID, public_key: str, expires_at: datetime | None = None) -> Credential:
    """Let a device log in with JWTs signed by the holder of this key (PEM or JWK), beside whatever else it has.

    Raises DeviceNotFound, DeviceStuck, PublicKeyMalformed, PublicKeyPrivate, PublicKeyTaken, TooManyKeys, ExpiryPast.
    """
    device = await devices.for_certificate(tx, device_id)
    der = read_public_key(public_key)
    if expires_at is not None and expires_at <= tx.now:
        raise ExpiryPast
    if der in await _live(tx, device):
        raise PublicKeyTaken
    return await enter(tx, device, der, expires_at)


async def enter(tx: Tx, device: Device, der: bytes, expires_at: datetime | None = None) -> Credential:
    """The credential for a public key (DER) of a device that the caller holds; the one it is already, if it is.

    Raises TooManyKeys.
    """
    live = await _live(tx, device)
    if (held := live.get(der)) is not None:
        return _credential(held)
    if len(live) >= MAX_KEYS:
        raise TooManyKeys
    # The handle stands where a token's digest does. It is random and shown to nobody, so no password hashes to it.
    entered = {"id": ids.uuid7(), "handle": os.urandom(32), "key": der, "expires": expires_at}
    row = await tx.one(_ENTER, {**_named(tx, device), **entered})
    assert row is not None
    credential = _credential(dict(row))
    tx.audit("credential.issue", "device", device.id, after=credential)
    return credential


async def _live(tx: Tx, device: Device) -> dict[bytes, Mapping[str, Any]]:
    return {bytes(row["public_key"]): dict(row) for row in await tx.rows(_LIVE, _named(tx, device))}


def _named(tx: Tx, device: Device) -> dict[str, object]:
    return {"tenant": tx.principal.tenant_id, "device": device.id, "now": tx.now}


def _credential(row: Mapping[str, Any]) -> Credential:
    shown = ids.fingerprint(bytes(row["public_key"])).hex()
    return Credential(row["id"], row["device_id"], "jwt", row["created_at"], row["expires_at"], None, shown)
