"""The queue before the gate: who asked to come in, kept, found, approved or refused."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, func, insert, select, update
from sqlalchemy.engine import RowMapping

from engine import ids, pages
from engine.devices import groups as device_groups
from engine.devices import service as devices
from engine.pages import Page
from engine.provisioning import admission, errors, provisioners, tables
from engine.provisioning.model import MAX_OPEN, TICKET_LASTS, Enrolment, EnrolmentStatus, Proof
from engine.store.tx import Tx

enrolments = tables.enrolments

_OPEN = (EnrolmentStatus.CLAIMED, EnrolmentStatus.ASKED, EnrolmentStatus.PENDING, EnrolmentStatus.APPROVED)
_UNDECIDED = (EnrolmentStatus.PENDING, EnrolmentStatus.REFUSED)


async def get(tx: Tx, enrolment_id: UUID) -> Enrolment:
    """The enrolment with this id; raises EnrolmentNotFound."""
    row = await tx.one(_mine(tx).where(enrolments.c.id == enrolment_id))
    if row is None:
        raise errors.EnrolmentNotFound
    return of(row)


async def page(
    tx: Tx, *, status: EnrolmentStatus | None = None, first: int = 50, after: str | None = None
) -> Page[Enrolment]:
    """Enrolments, newest first."""
    size = pages.page_size(first)
    query = _mine(tx) if status is None else _mine(tx).where(enrolments.c.status == status)
    if after is not None:
        query = query.where(enrolments.c.id < provisioners.as_id(pages.decode(after)))
    rows = await tx.rows(query.order_by(enrolments.c.id.desc()).limit(size + 1))
    return pages.cut([of(row) for row in rows], size, lambda each: str(each.id))


async def approve(
    tx: Tx, enrolment_id: UUID, *, profile_id: UUID | None = None, group_ids: Sequence[UUID] = ()
) -> Enrolment:
    """Let a device in that waits, or that the tenant's rule had turned away; it fetches its credential by itself.

    ``profile_id`` and ``group_ids`` replace what was chosen for it. Raises EnrolmentNotFound, EnrolmentDecided,
    ProfileNotFound, GroupNotFound, GroupDynamic, NotRegistered, KeyInUse, WayEnded, TicketExpired.
    """
    row = await locked(tx, enrolments.c.id == enrolment_id)
    if row is None:
        raise errors.EnrolmentNotFound
    if row["status"] not in _UNDECIDED or row["device_key"] is None:
        raise errors.EnrolmentDecided
    if row["status"] == EnrolmentStatus.PENDING and row["expires_at"] <= tx.now:
        raise errors.TicketExpired("The device's ticket has expired; it has to ask again.")
    if profile_id is not None:
        await devices.profile(tx, profile_id)
    for group_id in group_ids:
        await device_groups.get(tx, group_id)
    wanted = admission.Wanted.of(row)
    wanted = wanted.placed(profile_id or wanted.profile_id, tuple(group_ids) or wanted.group_ids)
    device = await admission.admit(tx, await provisioners.get(tx, row["provisioner_id"], locked=True), wanted)
    values: dict[str, Any] = {"status": EnrolmentStatus.APPROVED, "device_id": device.id, "reason": None}
    if wanted.proof is Proof.CERTIFICATE:
        await admission.enter_certificate(tx, device, row["material"])
        values["status"] = EnrolmentStatus.DONE
    approved = await decide(tx, row["id"], {**values, "expires_at": tx.now + TICKET_LASTS})
    tx.audit("enrolment.approve", "enrolment", enrolment_id, before=of(row), after=approved)
    return approved


async def refuse(tx: Tx, enrolment_id: UUID, reason: str) -> Enrolment:
    """Turn a waiting device away; it is told the reason when it asks. Raises EnrolmentNotFound, EnrolmentDecided."""
    row = await locked(tx, enrolments.c.id == enrolment_id)
    if row is None:
        raise errors.EnrolmentNotFound
    if row["status"] not in _UNDECIDED:
        raise errors.EnrolmentDecided
    refused = await decide(tx, row["id"], {"status": EnrolmentStatus.REFUSED, "reason": reason})
    tx.audit("enrolment.refuse", "enrolment", enrolment_id, before=of(row), after=refused)
    return refused


async def enter(tx: Tx, values: Mapping[str, Any]) -> UUID:
    """Keep a new enrolment; raises QueueFull. What expired undecided is forgotten on the way."""
    await tidy(tx)
    open_ = _mine(tx).where(enrolments.c.status.in_(_OPEN)).subquery()
    if values["status"] in _OPEN and await tx.scalar(select(func.count()).select_from(open_)) >= MAX_OPEN:
        raise errors.QueueFull
    enrolment_id = ids.uuid7()
    base = {"tenant_id": tx.principal.tenant_id, "id": enrolment_id, "address": tx.principal.address}
    await tx.execute(insert(enrolments).values(**base, asked_at=tx.now, **values))
    return enrolment_id


async def tidy(tx: Tx) -> None:
    """Forget what expired before it came to an end."""
    await tx.execute(
        delete(enrolments).where(
            enrolments.c.tenant_id == tx.principal.tenant_id,
            enrolments.c.status.in_((*_OPEN, EnrolmentStatus.REFUSED)),
            enrolments.c.expires_at <= tx.now,
        )
    )


async def is_full(tx: Tx) -> bool:
    """Whether as many enrolments are kept as may be, those that a rule has refused included."""
    kept = _mine(tx).where(enrolments.c.status.in_((*_OPEN, EnrolmentStatus.REFUSED)), enrolments.c.expires_at > tx.now)
    return bool(await tx.scalar(select(func.count()).select_from(kept.subquery())) > MAX_OPEN)


async def forget(tx: Tx, enrolment_id: UUID) -> None:
    """Keep no trace of an enrolment here; the audit log has what was decided."""
    await tx.execute(
        delete(enrolments).where(enrolments.c.tenant_id == tx.principal.tenant_id, enrolments.c.id == enrolment_id)
    )


async def save(tx: Tx, enrolment_id: UUID, values: Mapping[str, Any]) -> Enrolment:
    """Change what is given."""
    row = await tx.one(
        update(enrolments)
        .where(enrolments.c.tenant_id == tx.principal.tenant_id, enrolments.c.id == enrolment_id)
        .values(**values)
        .returning(enrolments)
    )
    assert row is not None
    return of(row)


async def decide(tx: Tx, enrolment_id: UUID, values: Mapping[str, Any]) -> Enrolment:
    """Change what is given and note who decided."""
    return await save(
        tx, enrolment_id, {**values, "decided_at": tx.now, "decided_by": tx.principal.name or tx.principal.kind}
    )


async def found(tx: Tx, *where: Any) -> RowMapping | None:
    """The newest enrolment for which all of this holds."""
    return await tx.one(_mine(tx).where(*where).order_by(enrolments.c.id.desc()).limit(1))


async def locked(tx: Tx, *where: Any) -> RowMapping | None:
    """The same, held until COMMIT."""
    return await tx.one(_mine(tx).where(*where).order_by(enrolments.c.id.desc()).limit(1).with_for_update())


def of(row: RowMapping) -> Enrolment:
    """The enrolment in a row of its table."""
    return Enrolment(
        id=row["id"],
        provisioner_id=row["provisioner_id"],
        status=EnrolmentStatus(row["status"]),
        proof=Proof(row["proof"]),
        device_key=row["device_key"],
        name=row["name"],
        labels=row["labels"],
        profile_id=row["profile_id"],
        group_ids=tuple(row["groups"]),
        reason=row["reason"],
        device_id=row["device_id"],
        address=row["address"],
        asked_at=row["asked_at"],
        expires_at=row["expires_at"],
        decided_at=row["decided_at"],
        decided_by=row["decided_by"],
    )


def _mine(tx: Tx) -> Select[tuple[object, ...]]:
    return select(enrolments).where(enrolments.c.tenant_id == tx.principal.tenant_id)
