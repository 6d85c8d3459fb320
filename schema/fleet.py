"""A fleet as the contract shows it: tables of devices coming in, devices retired, and devices handed to others."""

from datetime import datetime
from typing import Self
from uuid import UUID

import strawberry

from engine.devices import sheet
from engine.devices.model import Erasure
from engine.devices.sheet import Outcome
from engine.fleet import model
from engine.fleet.checks import Severity
from engine.fleet.model import MOVES, STAYS, FindingStatus, TransferStatus
from schema.devices import Credential, Device
from schema.directives import Secret
from schema.enums import shown
from schema.scalars import Json

shown(
    Outcome,
    "What becomes of a line of the table.",
    name="ImportOutcome",
    NEW="The line makes a device.",
    CHANGED="The line changes a device that is there.",
    SAME="The device is there and stands as the line says.",
    DIFFERENT="The device is there, stands otherwise, and is left so.",
    WRONG="The line cannot be used; the flaw says why.",
)
shown(
    Severity,
    "How soon somebody should look.",
    name="FindingSeverity",
    CRITICAL="At once: somebody may be using it already.",
    HIGH="Within the day.",
    MEDIUM="In the next days.",
    LOW="When there is time.",
)
shown(
    FindingStatus,
    "Where a finding stands.",
    OPEN="It is as the finding says.",
    SUPPRESSED="It is so, and somebody decided to live with it.",
    RESOLVED="It is not so any more.",
)
shown(
    TransferStatus,
    "Where the offer of a device to another tenant stands.",
    OFFERED="Its code waits to be used.",
    ACCEPTED="The other tenant has the device.",
    WITHDRAWN="It was taken back, and its code is dead.",
    EXPIRED="Nobody accepted in time, and its code is dead.",
)


@strawberry.type(description="One line of the table.")
class ImportLine:
    """A line and what becomes of it."""

    line: int = strawberry.field(description="The line's number, as a spreadsheet counts: the heading is line 1.")
    key: str = strawberry.field(description="The device's key, as far as it can be read.")
    outcome: Outcome = strawberry.field(description="What becomes of it.")
    column: str | None = strawberry.field(description="The column that is wrong or differs.")
    message: str | None = strawberry.field(description="What is wrong and how to mend it, or what differs.")

    @classmethod
    def of(cls, line: sheet.Line) -> Self:
        """The contract's view of ``line``."""
        return cls(
            line=line.number,
            key=line.key,
            outcome=Outcome(line.outcome),
            column=line.flaw.column if line.flaw else None,
            message=line.flaw.message if line.flaw else None,
        )


@strawberry.type(description="What an import did, or would do.")
class DeviceImport:
    """The result of an import."""

    is_dry_run: bool = strawberry.field(description="Whether nothing was changed, and all this is what would be.")
    total: int = strawberry.field(description="How many lines the table has, blank ones and the heading left out.")
    new: int = strawberry.field(description="Lines whose device is new.")
    changed: int = strawberry.field(description="Lines whose device is there and was changed to what they say.")
    same: int = strawberry.field(description="Lines whose device is there as they say.")
    different: int = strawberry.field(
        description="Lines whose device is there otherwise; changing it was not asked for."
    )
    wrong: int = strawberry.field(description="Lines that were left out because something is wrong with them.")
    lines: list[ImportLine] = strawberry.field(
        description="The lines with something to say first: wrong, different, changed, new, same; as many as asked for."
    )
    credentials: str | None = strawberry.field(
        description="CSV with key, username and token of every new device: their passwords for MQTT and HTTP. It is "
        "never shown again.",
        directives=[Secret()],
    )

    @classmethod
    def of(cls, imported: sheet.Imported, show: int) -> Self:
        """The contract's view of ``imported`` with at most ``show`` lines."""
        order = (Outcome.WRONG, Outcome.DIFFERENT, Outcome.CHANGED, Outcome.NEW, Outcome.SAME)
        lines = sorted(imported.lines, key=lambda line: order.index(line.outcome))  # stable: by line within each
        return cls(
            is_dry_run=imported.is_dry_run,
            total=len(imported.lines),
            new=imported.count(Outcome.NEW),
            changed=imported.count(Outcome.CHANGED),
            same=imported.count(Outcome.SAME),
            different=imported.count(Outcome.DIFFERENT),
            wrong=imported.count(Outcome.WRONG),
            lines=[ImportLine.of(line) for line in lines[:show]],
            credentials=imported.credentials,
        )


@strawberry.type(description="A device let out of quarantine.")
class DeviceReleased:
    """What a release is answered with."""

    device: Device = strawberry.field(description="The device.")
    credential: Credential | None = strawberry.field(description="Its new credential; null if it keeps the old ones.")
    token: str | None = strawberry.field(
        description="The device's new password for MQTT and HTTP, never shown again; null if it keeps the old ones.",
        directives=[Secret()],
    )


@strawberry.type(description="How many rows of one kind were erased.")
class ErasedRows:
    """A part of an erasure."""

    kind: str = strawberry.field(description="What they were, for example telemetry, latest or alerts.")
    rows: int = strawberry.field(description="How many are gone so far.")


@strawberry.type(description="How far the erasure of a decommissioned device's data is.")
class DeviceErasure:
    """An erasure."""

    device_id: UUID = strawberry.field(description="The device.")
    status: str = strawberry.field(description="Where it stands: waiting, running or finished.")
    requested_by: str = strawberry.field(description="Who asked for it.")
    requested_at: datetime = strawberry.field(description="When it was asked for.")
    finished_at: datetime | None = strawberry.field(description="When nothing was left; null until then.")
    expected: int = strawberry.field(description="How many readings were counted when it was asked for.")
    erased: list[ErasedRows] = strawberry.field(description="What is gone so far.")

    @classmethod
    def of(cls, erasure: Erasure) -> Self:
        """The contract's view of ``erasure``."""
        return cls(
            device_id=erasure.device_id,
            status=erasure.status,
            requested_by=erasure.requested_by,
            requested_at=erasure.requested_at,
            finished_at=erasure.finished_at,
            expected=erasure.expected,
            erased=[ErasedRows(kind=kind, rows=rows) for kind, rows in erasure.erased.items()],
        )


@strawberry.type(description="The offer of a device to another tenant.")
class DeviceTransfer:
    """An offer, as the tenant sees it that gives."""

    id: UUID = strawberry.field(description="The offer's id.")
    device_id: UUID = strawberry.field(description="The device that is offered.")
    status: TransferStatus = strawberry.field(description="Where it stands.")
    to_tenant: str | None = strawberry.field(description="The key of the only tenant that may accept; null: any.")
    offered_by: str = strawberry.field(description="Who offered it.")
    offered_at: datetime = strawberry.field(description="When it was offered.")
    expires_at: datetime = strawberry.field(description="When its code ends by itself.")
    accepted_at: datetime | None = strawberry.field(description="When it was accepted.")
    withdrawn_at: datetime | None = strawberry.field(description="When it was withdrawn.")

    @classmethod
    def of(cls, transfer: model.Transfer) -> Self:
        """The contract's view of ``transfer``."""
        return cls(
            id=transfer.id,
            device_id=transfer.device_id,
            status=TransferStatus(transfer.status),
            to_tenant=transfer.to_tenant,
            offered_by=transfer.offered_by,
            offered_at=transfer.offered_at,
            expires_at=transfer.expires_at,
            accepted_at=transfer.accepted_at,
            withdrawn_at=transfer.withdrawn_at,
        )


@strawberry.type(description="An offer with the code by which another tenant accepts it.")
class TransferOffered:
    """Shown once."""

    transfer: DeviceTransfer = strawberry.field(description="The offer.")
    code: str = strawberry.field(
        description="Give it to the receiver on a way you trust. It is good once and never shown again.",
        directives=[Secret()],
    )
    moves: list[str] = strawberry.field(description="What goes over to the receiver.")
    stays: list[str] = strawberry.field(description="What does not.")

    @classmethod
    def of(cls, transfer: model.Transfer, code: str) -> Self:
        """The contract's view of an offer."""
        return cls(transfer=DeviceTransfer.of(transfer), code=code, moves=list(MOVES), stays=list(STAYS))


@strawberry.type(description="A device that came from another tenant: a new one here.")
class TransferAccepted:
    """Shown once."""

    device: Device = strawberry.field(description="The device, with an id of its own.")
    credential: Credential = strawberry.field(description="Its first credential.")
    token: str = strawberry.field(
        description="The device's password for MQTT and HTTP. It is never shown again.", directives=[Secret()]
    )
    is_new_profile: bool = strawberry.field(description="Whether its profile was made after the giver's.")
    moves: list[str] = strawberry.field(description="What came over.")
    stays: list[str] = strawberry.field(description="What did not.")

    @classmethod
    def of(cls, arrival: model.Arrival) -> Self:
        """The contract's view of ``arrival``."""
        return cls(
            device=Device.of(arrival.device),
            credential=Credential.of(arrival.credential),
            token=arrival.token,
            is_new_profile=arrival.is_new_profile,
            moves=list(MOVES),
            stays=list(STAYS),
        )


@strawberry.type(description="What one check of an audit found.")
class FleetFigure:
    """A check and its number of findings."""

    kind: str = strawberry.field(description="The check, for example credential_expiring.")
    severity: Severity = strawberry.field(description="How soon somebody should look.")
    title: str = strawberry.field(description="What it looks for, in a few words.")
    found: int = strawberry.field(description="How many it found, suppressed ones too; 0: all is well.")


@strawberry.type(description="An audit of the fleet: every check asked once.")
class FleetAudit:
    """An audit."""

    id: UUID = strawberry.field(description="The audit's id.")
    started_at: datetime = strawberry.field(description="When it began.")
    finished_at: datetime = strawberry.field(description="When it was done.")
    trigger: str = strawberry.field(description="Why it was made: asked or daily.")
    devices: int = strawberry.field(description="How many devices there were.")
    figures: list[FleetFigure] = strawberry.field(description="Every check, the worst first.")

    @classmethod
    def of(cls, audit: model.Audit) -> Self:
        """The contract's view of ``audit``."""
        return cls(
            id=audit.id,
            started_at=audit.started_at,
            finished_at=audit.finished_at,
            trigger=audit.trigger,
            devices=audit.devices,
            figures=[
                FleetFigure(kind=each.kind, severity=Severity(each.severity), title=each.title, found=each.found)
                for each in audit.figures
            ],
        )


@strawberry.type(description="One thing in the fleet that is not as it should be.")
class FleetFinding:
    """A finding."""

    id: UUID = strawberry.field(description="The finding's id.")
    kind: str = strawberry.field(description="The check that found it.")
    severity: Severity = strawberry.field(description="How soon somebody should look.")
    title: str = strawberry.field(description="What it is, in a few words.")
    wrong: str = strawberry.field(description="What is wrong.")
    mend: str = strawberry.field(description="What to do about it.")
    device_id: UUID | None = strawberry.field(description="The device, if it is about one.")
    facts: Json = strawberry.field(description="What was seen: an object.")
    status: FindingStatus = strawberry.field(description="Where it stands.")
    first_seen_at: datetime = strawberry.field(description="When an audit first found it.")
    last_seen_at: datetime = strawberry.field(description="When an audit last found it.")
    resolved_at: datetime | None = strawberry.field(description="When an audit no longer found it.")
    suppressed_reason: str | None = strawberry.field(description="Why it was put aside; null if it was not.")
    suppressed_by: str | None = strawberry.field(description="Who put it aside.")
    suppressed_until: datetime | None = strawberry.field(description="Until when; null: for good.")

    @classmethod
    def of(cls, finding: model.Finding) -> Self:
        """The contract's view of ``finding``."""
        return cls(
            id=finding.id,
            kind=finding.kind,
            severity=Severity(finding.severity),
            title=finding.title,
            wrong=finding.wrong,
            mend=finding.mend,
            device_id=finding.device_id,
            facts=Json(finding.facts),
            status=FindingStatus(finding.status),
            first_seen_at=finding.first_seen_at,
            last_seen_at=finding.last_seen_at,
            resolved_at=finding.resolved_at,
            suppressed_reason=finding.suppressed_reason,
            suppressed_by=finding.suppressed_by,
            suppressed_until=finding.suppressed_until,
        )
