"""Handing a device to another tenant: offered by one, accepted by the other with a code that is good once.

No tenant can see the other's rows, and there is no door for this (ADR 0023). The code itself carries what the receiver
needs: the device's description, sealed by the platform's vault, so that nobody can read, change or invent one. That it
is good once is decided by the database: whoever enters the code's digest first has spent it, the receiver by accepting
or the giver by withdrawing, and a unique index over all tenants turns the second one away. The worker, which acts for
one tenant at a time, then ends the device with the giver; that needs no hurry and survives being killed.
"""

import base64
import binascii
import zlib
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Select, and_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.engine import RowMapping

from engine import ids, pages
from engine.certificates.errors import VaultSealed
from engine.certificates.vault import Vault
from engine.devices import service as devices
from engine.devices.checks import checked_commands, checked_metrics, checked_shadow
from engine.devices.errors import DeviceNotFound, DeviceStuck
from engine.devices.model import Device, DeviceStatus, Profile
from engine.devices.rows import as_declaration
from engine.fleet import errors, events, tables
from engine.fleet.model import Arrival, Transfer, TransferStatus
from engine.pages import Page
from engine.store.pool import Store
from engine.store.tx import Tx
from engine.tenancy import system
from engine.tenants import service as tenants

transfers, codes = tables.transfers, tables.codes

PREFIX = "tgx_"
MAX_CODE = 16_384
MAX_HOURS = 14 * 24
_PURPOSE = b"tidegate transfer 1"
MAX_PLAIN = 65_536

_OFFERABLE = (DeviceStatus.PROVISIONED, DeviceStatus.ACTIVE, DeviceStatus.SUSPENDED)
_UNSETTLED = text(
    "SELECT secret_sha256, giver, transfer_id, spent_at FROM transfer_codes "
    "WHERE tenant_id = :tenant AND settled_at IS NULL ORDER BY spent_at LIMIT 100"
)
_SETTLED = text("UPDATE transfer_codes SET settled_at = :now WHERE tenant_id = :tenant AND secret_sha256 = :digest")


async def offer(
    tx: Tx, vault: Vault, device_id: UUID, *, to_tenant: str | None = None, hours: int = 72
) -> tuple[Transfer, str]:
    """Offer a device to whoever has the code, or to the tenant with the key ``to_tenant`` alone; the code is not kept.

    An earlier offer of the same device is withdrawn. Raises DeviceNotFound, DeviceStuck, VaultSealed.
    """
    device = await devices.lock(tx, device_id)
    if device.status not in _OFFERABLE:
        raise DeviceStuck(f"A device that is {device.status} cannot be handed over.")
    await withdraw_all(tx, device_id)
    transfer_id, expires_at = ids.uuid7(), tx.now + timedelta(hours=hours)
    said = _said(tx, transfer_id, device, await devices.profile(tx, device.profile_id), to_tenant, expires_at)
    code = PREFIX + base64.urlsafe_b64encode(await vault.seal(said, _PURPOSE)).decode().rstrip("=")
    row = await tx.one(
        upsert(transfers)
        .values(
            tenant_id=tx.principal.tenant_id,
            id=transfer_id,
            device_id=device_id,
            code_sha256=ids.fingerprint(code),
            to_tenant=to_tenant,
            offered_by=tx.principal.name,
            offered_at=tx.now,
            expires_at=expires_at,
        )
        .returning(transfers)
    )
    assert row is not None
    made = _transfer(row, tx.now)
    tx.audit("transfer.offer", "device", device_id, after=made)
    return made, code


async def accept(tx: Tx, vault: Vault, code: str, *, key: str | None = None, profile_id: UUID | None = None) -> Arrival:
    """Take over the device that ``code`` offers: a new device here, with a first token, shown once.

    ``key`` and ``profile_id`` replace the offered ones; without ``profile_id`` the profile of the same key is used, or
    made as it was with the giver. Raises TransferCodeUnknown, TransferCodeExpired, TransferCodeSpent, TransferToSelf,
    ProfileNeeded, DeviceKeyTaken, ProfileNotFound, KeyMalformed.
    """
    said = await _opened(vault, code)
    if said["to"] is not None and said["to"] != (await tenants.current(tx)).key:
        raise errors.TransferCodeUnknown
    if UUID(said["giver"]) == tx.principal.tenant_id:
        raise errors.TransferToSelf
    if datetime.fromisoformat(said["until"]) <= tx.now:
        raise errors.TransferCodeExpired
    chosen, is_new = await _profile(tx, said["profile"], profile_id)
    offered = said["device"]
    device = await devices.provision(
        tx, key=key or offered["key"], name=offered["name"], profile_id=chosen, labels=offered["labels"]
    )
    credential, token = await devices.issue_token(tx, device.id)
    if not await _spend(tx, ids.fingerprint(code), UUID(said["giver"]), UUID(said["id"]), device.id):
        raise errors.TransferCodeSpent
    tx.emit(events.DeviceArrived(device.id))
    tx.audit("transfer.accept", "device", device.id, after={"transfer": said["id"], "key": device.key})
    return Arrival(device, credential, token, is_new)


async def withdraw(tx: Tx, transfer_id: UUID) -> Transfer:
    """Make an offer's code worthless. Raises TransferNotFound, and TransferOver where somebody was faster."""
    row = await tx.one(_mine(tx).where(transfers.c.id == transfer_id).with_for_update())
    if row is None:
        raise errors.TransferNotFound
    if row["accepted_at"] is not None or row["withdrawn_at"] is not None:
        raise errors.TransferOver
    if not await _withdraw(tx, row):
        raise errors.TransferOver("The device was accepted by another tenant a moment ago.")
    return await get(tx, transfer_id)


async def withdraw_all(tx: Tx, device_id: UUID) -> None:
    """Withdraw whatever offer of this device is open; one that was accepted a moment ago stays accepted."""
    is_open = and_(transfers.c.accepted_at.is_(None), transfers.c.withdrawn_at.is_(None))
    for row in await tx.rows(_mine(tx).where(transfers.c.device_id == device_id, is_open).with_for_update()):
        await _withdraw(tx, row)


async def get(tx: Tx, transfer_id: UUID) -> Transfer:
    """One offer of this tenant. Raises TransferNotFound."""
    row = await tx.one(_mine(tx).where(transfers.c.id == transfer_id))
    if row is None:
        raise errors.TransferNotFound
    return _transfer(row, tx.now)


async def page(tx: Tx, *, first: int = 50, after: str | None = None) -> Page[Transfer]:
    """What this tenant has offered, newest first."""
    size = pages.page_size(first)
    query = _mine(tx)
    if after is not None:
        query = query.where(transfers.c.id < pages.decode_id(after))
    rows = await tx.rows(query.order_by(transfers.c.id.desc()).limit(size + 1))
    return pages.cut([_transfer(row, tx.now) for row in rows], size, lambda transfer: str(transfer.id))


async def settle(store: Store, tenant_id: UUID) -> None:
    """For each device this tenant has accepted: end it with its giver, then note that this is done.

    Two transactions, each as one tenant. Killed between them, it is done again, which changes nothing.
    """
    async with store.as_tenant(system(tenant_id), read_only=True) as tx:
        waiting = await tx.rows(_UNSETTLED, {"tenant": tenant_id})
    for row in waiting:
        if row["giver"] != tenant_id:
            async with store.as_tenant(system(row["giver"])) as tx:
                await _end(tx, row["transfer_id"], row["spent_at"])
        async with store.as_tenant(system(tenant_id)) as tx:
            named = {"tenant": tenant_id, "digest": row["secret_sha256"], "now": tx.now}
            await tx.execute(_SETTLED, named)


async def _end(tx: Tx, transfer_id: UUID, accepted_at: datetime) -> None:
    """As the giver: the offer was accepted, so the device's life here is over."""
    row = await tx.one(_mine(tx).where(transfers.c.id == transfer_id).with_for_update())
    if row is None or row["accepted_at"] is not None:
        return
    where = and_(transfers.c.tenant_id == tx.principal.tenant_id, transfers.c.id == transfer_id)
    await tx.execute(update(transfers).where(where).values(accepted_at=accepted_at))
    tx.audit("transfer.accepted", "device", row["device_id"], after={"transfer": str(transfer_id)})
    try:
        await devices.decommission(tx, row["device_id"])
    except (DeviceStuck, DeviceNotFound):
        return  # it had ended before


async def _withdraw(tx: Tx, row: RowMapping) -> bool:
    """Spend the code ourselves; says whether nobody else had."""
    if not await _spend(tx, row["code_sha256"], tx.principal.tenant_id, row["id"], None):
        return False
    where = and_(transfers.c.tenant_id == tx.principal.tenant_id, transfers.c.id == row["id"])
    await tx.execute(update(transfers).where(where).values(withdrawn_at=tx.now))
    tx.audit("transfer.withdraw", "device", row["device_id"], after={"transfer": str(row["id"])})
    return True


async def _spend(tx: Tx, digest: bytes, giver: UUID, transfer_id: UUID, device_id: UUID | None) -> bool:
    """Enter a code as spent; False where that was done before, by whichever tenant."""
    row = await tx.one(
        upsert(codes)
        .values(
            tenant_id=tx.principal.tenant_id,
            secret_sha256=digest,
            giver=giver,
            transfer_id=transfer_id,
            device_id=device_id,
            spent_at=tx.now,
            settled_at=None if device_id else tx.now,
        )
        .on_conflict_do_nothing()
        .returning(codes.c.secret_sha256)
    )
    return row is not None


async def _profile(tx: Tx, said: dict[str, Any], chosen: UUID | None) -> tuple[UUID, bool]:
    """The profile of the new device, and whether it had to be made."""
    if chosen is not None:
        return chosen, False
    known = await devices.profile_by_key(tx, said["key"])
    if known is not None:
        return known.id, False
    if said["metrics"] is None or not tx.principal.may("profiles:write"):
        raise errors.ProfileNeeded
    # a code that was made before profiles declared more says nothing of it
    told = as_declaration({"reporting_interval_s": None, "commands": [], "shadow": [], **said})
    made = await devices.profile_create(
        tx,
        key=said["key"],
        name=told.name,
        metrics=told.metrics,
        is_strict=told.is_strict,
        reporting_interval_s=told.reporting_interval_s,
        commands=told.commands,
        shadow=told.shadow,
    )
    return made.id, True


def _said(
    tx: Tx, transfer_id: UUID, device: Device, profile: Profile, to_tenant: str | None, expires_at: datetime
) -> bytes:
    """What a code carries, compressed. A very long profile is left out: the receiver then has to choose one."""
    kind: dict[str, Any] = {
        "key": profile.key,
        "name": profile.name,
        "is_strict": profile.is_strict,
        "reporting_interval_s": profile.reporting_interval_s,
        "metrics": checked_metrics(profile.metrics),
        "commands": checked_commands(profile.commands),
        "shadow": checked_shadow(profile.shadow),
    }
    said = {
        "id": str(transfer_id),
        "giver": str(tx.principal.tenant_id),
        "to": to_tenant,
        "until": expires_at.isoformat(),
        "device": {"key": device.key, "name": device.name, "labels": dict(device.labels)},
        "profile": kind,
    }
    plain = orjson.dumps(said)
    packed = zlib.compress(plain, 9)
    if len(plain) > MAX_PLAIN or len(packed) > MAX_CODE // 2:
        kind |= {"metrics": None, "commands": [], "shadow": []}
        packed = zlib.compress(orjson.dumps(said), 9)
    return packed


async def _opened(vault: Vault, code: str) -> dict[str, Any]:
    """What a code says; raises TransferCodeUnknown for whatever this platform did not seal."""
    if not code.startswith(PREFIX) or len(code) > MAX_CODE:
        raise errors.TransferCodeUnknown
    body = code.removeprefix(PREFIX)
    try:
        sealed = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        if base64.urlsafe_b64encode(sealed).decode().rstrip("=") != body:
            raise errors.TransferCodeUnknown  # the same offer spelt otherwise would have another digest
        packed = await vault.open(sealed, _PURPOSE)
    except (binascii.Error, ValueError, VaultSealed) as error:
        raise errors.TransferCodeUnknown from error
    said: dict[str, Any] = orjson.loads(zlib.decompressobj().decompress(packed, MAX_PLAIN))
    return said


def _mine(tx: Tx) -> Select[tuple[object, ...]]:
    return select(transfers).where(transfers.c.tenant_id == tx.principal.tenant_id)


def _transfer(row: RowMapping, now: datetime) -> Transfer:
    status = TransferStatus.OFFERED
    if row["accepted_at"] is not None:
        status = TransferStatus.ACCEPTED
    elif row["withdrawn_at"] is not None:
        status = TransferStatus.WITHDRAWN
    elif row["expires_at"] <= now:
        status = TransferStatus.EXPIRED
    return Transfer(
        id=row["id"],
        device_id=row["device_id"],
        to_tenant=row["to_tenant"],
        offered_by=row["offered_by"],
        offered_at=row["offered_at"],
        expires_at=row["expires_at"],
        accepted_at=row["accepted_at"],
        withdrawn_at=row["withdrawn_at"],
        status=status,
    )
