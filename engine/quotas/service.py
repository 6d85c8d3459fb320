"""A tenant's quotas as they are in force, changed by the platform's operator, and asked before a device is made."""

from collections.abc import Mapping
from weakref import WeakKeyDictionary

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from engine.quotas import errors
from engine.quotas.model import QuotaName, Quotas, defaults
from engine.quotas.tables import quotas
from engine.store.tx import Tx

MAX_LIMIT = 1_000_000_000
MAX_STORAGE_DAYS = 90

# devices belongs to a package above this one; one number of it is all that is needed
_DEVICES = text("SELECT count(*) FROM devices WHERE tenant_id = :tenant AND status <> 'decommissioned'")
# of whoever is limited to groups the database would show some devices only
_DEVICES_HELD = text("SELECT app.devices_held()")
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended('quota.devices:' || :tenant, 0))")
_room: "WeakKeyDictionary[Tx, int]" = WeakKeyDictionary()


async def of(tx: Tx, base: Quotas | None = None) -> Quotas:
    """What this tenant may use: ``base`` (this process's defaults when left out) but for what is its own."""
    return (base or defaults()).but(await own(tx))


async def own(tx: Tx) -> Mapping[str, int]:
    """What was set for this tenant alone, by name."""
    row = await tx.one(select(quotas).where(quotas.c.tenant_id == tx.principal.tenant_id))
    return {name: row[name] for name in QuotaName if row[name] is not None} if row else {}


async def change(tx: Tx, given: Mapping[QuotaName, int | None]) -> Mapping[str, int]:
    """Set some of this tenant's quotas, None: back to the default; every process hears of it. Returns what is its own.

    For the platform's operator: nobody of the tenant may come here. Raises QuotaMalformed.
    """
    for name, limit in given.items():
        highest = MAX_STORAGE_DAYS if name is QuotaName.STORAGE_DAYS else MAX_LIMIT
        if limit is not None and not 1 <= limit <= highest:
            raise errors.QuotaMalformed
    before = await own(tx)
    values = {name.value: limit for name, limit in given.items()} | {"updated_at": tx.now}
    statement = upsert(quotas).values(tenant_id=tx.principal.tenant_id, **values)
    await tx.execute(statement.on_conflict_do_update(index_elements=["tenant_id"], set_=values))
    after = await own(tx)
    tx.audit("quota.change", "tenant", tx.principal.tenant_id, before=dict(before), after=dict(after))
    await tx.notify(f"quota:{tx.principal.tenant_id}")
    return after


async def devices(tx: Tx) -> int:
    """How many devices of this tenant count: all but decommissioned ones."""
    if tx.principal.is_limited:
        return int(await tx.scalar(_DEVICES_HELD))
    return int(await tx.scalar(_DEVICES, {"tenant": tx.principal.tenant_id}))


async def take_devices(tx: Tx, count: int = 1) -> None:
    """Count more devices; raises DeviceQuotaReached. Until COMMIT no other transaction of the tenant makes any.

    What there is, is counted once a transaction, so that a thousand taken one by one cost little more than one.
    """
    room = _room.get(tx)
    if room is None:
        await tx.execute(_ONE_AT_A_TIME, {"tenant": str(tx.principal.tenant_id)})
        room = (await of(tx)).devices - await devices(tx)
    if room < count and tx.principal.is_limited:  # how many there are is not theirs to know
        raise errors.DeviceQuotaReached(quota=QuotaName.DEVICES.value)
    if room < count:
        limit = (await of(tx)).devices
        message = (
            f"This tenant may have {limit} devices, and has {max(0, limit - room)}: {count} more do not fit. "
            "Decommission some, or ask for a larger quota."
        )
        raise errors.DeviceQuotaReached(message, quota=QuotaName.DEVICES.value, limit=limit, used=limit - room)
    _room[tx] = room - count
