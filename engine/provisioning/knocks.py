"""Devices that knocked at ingest with a certificate nobody had seen, signed by an authority the tenant has registered.

Ingest has noted them and can do no more. Nothing of the note is believed but the certificate, which is checked again.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement
from sqlalchemy.engine import RowMapping

from engine.certificates import foreign
from engine.errors import Conflict, EngineError, Forbidden
from engine.provisioning import acting, admission, errors, provisioners, queue, tables
from engine.provisioning.model import TICKET_LASTS, EnrolmentStatus, Introduction, Proof, Provisioner, Way
from engine.store.pool import Store
from engine.store.tx import Tx

enrolments = tables.enrolments


async def settle(store: Store, tenant_id: UUID, fingerprint: bytes) -> EnrolmentStatus | None:
    """Let a device in whose certificate has this SHA-256, put it into the queue, or turn it away.

    What was turned away by a rule or a setting before is judged anew, what a person refused is not. None: there is no
    such knock, or too many wait already.
    """
    mine = (enrolments.c.proof == Proof.CERTIFICATE, enrolments.c.material_sha256 == fingerprint)
    async with store.as_tenant(acting.principal(tenant_id, None, ""), read_only=True) as tx:
        row = await queue.found(tx, *mine)
        way = await provisioners.get(tx, row["provisioner_id"]) if row else None
    if row is None or way is None:
        return None
    who = acting.principal(tenant_id, way, row["address"])
    try:
        async with store.as_tenant(who) as tx:
            return await _judge(tx, way, mine)
    except (Forbidden, Conflict) as error:  # nothing of the try is kept
        async with store.as_tenant(who) as tx:
            return await _turn_away(tx, way, mine, error)


async def _judge(tx: Tx, way: Provisioner, mine: tuple[ColumnElement[bool], ...]) -> EnrolmentStatus | None:
    await queue.tidy(tx)
    row = await queue.locked(tx, *mine)
    if row is None or not _is_open(row):
        return EnrolmentStatus(row["status"]) if row else None
    way = await provisioners.get(tx, way.id, locked=True)
    asked, must_wait = await admission.judged(tx, way, await _asked(tx, way, row))
    values: dict[str, Any] = {
        "device_key": asked.device,
        "name": asked.name,
        "profile_id": asked.profile_id,
        "groups": list(asked.group_ids),
        "reason": None,
    }
    if must_wait and await queue.is_full(tx):
        await queue.forget(tx, row["id"])
        return None
    if must_wait:
        waits = {"status": EnrolmentStatus.PENDING, "expires_at": tx.now + TICKET_LASTS}
        return (await queue.save(tx, row["id"], {**values, **waits})).status
    device = await admission.admit(tx, way, asked)
    await admission.enter_certificate(tx, device, asked.material)
    return (
        await queue.decide(tx, row["id"], {**values, "status": EnrolmentStatus.DONE, "device_id": device.id})
    ).status


async def _turn_away(
    tx: Tx, way: Provisioner, mine: tuple[ColumnElement[bool], ...], error: EngineError
) -> EnrolmentStatus | None:
    """Keep the reason for the tenant, unless so many are kept that somebody seems to fill the table."""
    row = await queue.locked(tx, *mine)
    if row is None or not _is_open(row):
        return EnrolmentStatus(row["status"]) if row else None
    values: dict[str, Any] = {"status": EnrolmentStatus.REFUSED, "reason": error.message}
    try:  # only a certificate that is sound can still be approved by a person
        asked = await _asked(tx, way, row)
        values |= {"device_key": asked.device, "name": asked.name}
        values |= {"profile_id": way.profile_id, "groups": list(way.group_ids)}
    except errors.TurnedAway:
        asked = None
    acting.note(tx, way, asked.device if asked else None, error)
    if await queue.is_full(tx):
        await queue.forget(tx, row["id"])
        return None
    return (await queue.decide(tx, row["id"], {**values, "expires_at": tx.now + TICKET_LASTS})).status


def _is_open(row: RowMapping) -> bool:
    by_rule = row["status"] == EnrolmentStatus.REFUSED and str(row["decided_by"]).startswith(f"{Way.AUTHORITY}: ")
    return row["status"] == EnrolmentStatus.ASKED or by_rule


async def _asked(tx: Tx, way: Provisioner, row: RowMapping) -> admission.Wanted:
    """What a device's own certificate asks for: to be the device its CN names. Raises TurnedAway."""
    der = bytes(row["material"])
    assert way.certificate is not None
    try:
        shown = foreign.read_der(der)
        foreign.check_device(shown, foreign.read(way.certificate), tx.now)
    except foreign.Unfit as error:
        raise errors.TurnedAway(str(error)) from None
    if foreign.fingerprint(shown) != row["material_sha256"]:
        raise errors.TurnedAway("The certificate is not the one that was noted.")
    home = f"{await admission.tenant_key(tx)}/d/"
    try:
        return admission.wanted(Introduction(foreign.common_name(shown).removeprefix(home))).proven(
            Proof.CERTIFICATE, der
        )
    except EngineError:
        raise errors.TurnedAway(
            f"The certificate's CN must be the device's key, or {home} and the key: 1 to 40 letters, digits, "
            "underscores or hyphens."
        ) from None
