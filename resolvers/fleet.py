"""Keeps the promises about the fleet: tables of devices, quarantine, erasure, transfer to other tenants, audit."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from engine.devices import bulk, erase, quarantine, sheet
from engine.fleet import audit, transfer
from engine.fleet.model import FindingStatus
from resolvers.arguments import After, First, paged
from resolvers.context import Info
from resolvers.devices import NOT_FOUND, PROFILE_NOT_FOUND, DeviceId
from schema.devices import DEVICE_KEY, Credential, Device
from schema.directives import Constraint, Cost, Example, Method, Needs, Problem, Rest
from schema.fleet import (
    DeviceErasure,
    DeviceImport,
    DeviceReleased,
    DeviceTransfer,
    FleetAudit,
    FleetFinding,
    TransferAccepted,
    TransferOffered,
)
from schema.pages import Page

Reason = Annotated[
    str,
    strawberry.argument(
        description="Why, in words for those who come after you.",
        directives=[Constraint(min_length=1, max_length=quarantine.MAX_REASON), Example(json='"It sends nonsense."')],
    ),
]
TransferId = Annotated[UUID, strawberry.argument(description="The offer's id.")]
FindingId = Annotated[UUID, strawberry.argument(description="The finding's id.")]
FINDING_NOT_FOUND = Problem(status=404, slug="finding-not-found")
STUCK = Problem(status=409, slug="device-stuck")
TRANSFER_NOT_FOUND = Problem(status=404, slug="transfer-not-found")
TABLE = (
    "CSV with a heading line. Columns, in any order: key, name, profile (its key), tags, attributes (site=7), groups "
    "(their keys), and label.NAME for one attribute; several in one cell are divided by ; or |. At most 10,000 lines."
)


@strawberry.type
class FleetQuery:
    """What can be asked about erasures and transfers."""

    @strawberry.field(
        description="How far the erasure of a decommissioned device's data is.",
        directives=[
            Needs(scope="devices:read"),
            Rest(method=Method.GET, path="/devices/{deviceId}/erasure"),
            Problem(status=404, slug="erasure-not-found"),
        ],
    )
    async def device_erasure(self, info: Info, device_id: DeviceId) -> DeviceErasure:
        """The erasure of this device's data."""
        return DeviceErasure.of(await erase.get(await info.context.tx(), device_id))

    @strawberry.field(
        description="Every erasure that was asked for, finished ones too.",
        directives=[
            Needs(scope="devices:read"),
            Rest(method=Method.GET, path="/erasures"),
            Problem(status=422, slug="bad-cursor"),
            Cost(times="first"),
        ],
    )
    async def device_erasures(self, info: Info, first: First = 50, after: After = None) -> Page[DeviceErasure]:
        """A page of erasures."""
        return paged(await erase.page(await info.context.tx(), first=first, after=after), DeviceErasure.of)

    @strawberry.field(
        description="Devices that were offered to other tenants, the newest offer first.",
        directives=[
            Needs(scope="devices:read"),
            Rest(method=Method.GET, path="/transfers"),
            Problem(status=422, slug="bad-cursor"),
            Cost(times="first"),
        ],
    )
    async def device_transfers(self, info: Info, first: First = 50, after: After = None) -> Page[DeviceTransfer]:
        """A page of offers."""
        return paged(await transfer.page(await info.context.tx(), first=first, after=after), DeviceTransfer.of)

    @strawberry.field(
        description="One offer of a device to another tenant.",
        directives=[
            Needs(scope="devices:read"),
            Rest(method=Method.GET, path="/transfers/{id}"),
            TRANSFER_NOT_FOUND,
        ],
    )
    async def device_transfer(self, info: Info, id: TransferId) -> DeviceTransfer:
        """The offer with this id."""
        return DeviceTransfer.of(await transfer.get(await info.context.tx(), id))

    @strawberry.field(
        description="The newest audit of the fleet. One is made every day.",
        directives=[
            Needs(scope="devices:read", whole=True),
            Rest(method=Method.GET, path="/fleet/audit"),
            Problem(status=404, slug="not-audited"),
        ],
    )
    async def fleet_audit(self, info: Info) -> FleetAudit:
        """The newest audit."""
        return FleetAudit.of(await audit.latest(await info.context.tx()))

    @strawberry.field(
        description="What the audits of the fleet have found, the newest finding first.",
        directives=[
            Needs(scope="devices:read"),
            Rest(method=Method.GET, path="/fleet/findings"),
            Problem(status=422, slug="bad-cursor"),
            Cost(times="first"),
        ],
    )
    async def fleet_findings(
        self,
        info: Info,
        status: Annotated[FindingStatus, strawberry.argument(description="Which findings.")] = FindingStatus.OPEN,
        kind: Annotated[
            str | None,
            strawberry.argument(
                description="Only findings of this check.", directives=[Constraint(pattern=r"^[a-z_]{1,40}$")]
            ),
        ] = None,
        device_id: Annotated[UUID | None, strawberry.argument(description="Only findings about this device.")] = None,
        first: First = 50,
        after: After = None,
    ) -> Page[FleetFinding]:
        """A page of findings."""
        tx = await info.context.tx()
        found = await audit.page(tx, status=status, kind=kind, device_id=device_id, first=first, after=after)
        return paged(found, FleetFinding.of)

    @strawberry.field(
        description="One finding.",
        directives=[
            Needs(scope="devices:read"),
            Rest(method=Method.GET, path="/fleet/findings/{id}"),
            FINDING_NOT_FOUND,
        ],
    )
    async def fleet_finding(self, info: Info, id: FindingId) -> FleetFinding:
        """The finding with this id."""
        return FleetFinding.of(await audit.get(await info.context.tx(), id))


@strawberry.type
class FleetMutation:
    """What can be done with many devices, and at the end of one."""

    @strawberry.mutation(
        description="Registers the devices of a table, or says line by line what would become of it. Repeating it does "
        "no harm: lines that are there already are left alone, wrong ones are said and left out.",
        directives=[
            Needs(scope="devices:write"),
            Rest(method=Method.POST, path="/devices/import"),
            PROFILE_NOT_FOUND,
            Problem(status=409, slug="device-quota-reached"),
            Problem(status=422, slug="sheet-malformed"),
            Problem(status=422, slug="sheet-too-long"),
            Cost(weight=100, expected=1),
        ],
    )
    async def device_import(
        self,
        info: Info,
        csv: Annotated[
            str,
            strawberry.argument(
                description=TABLE,
                directives=[
                    Constraint(min_length=1, max_length=sheet.MAX_CHARS),
                    Example(json='"key,name,attributes\\npump-1,Pump 1,site=7\\n"'),
                ],
            ),
        ],
        profile_id: Annotated[
            UUID | None, strawberry.argument(description="The profile of lines that name none.")
        ] = None,
        dry_run: Annotated[
            bool, strawberry.argument(description="Whether to say only what would be; nothing changes unless false.")
        ] = True,
        update: Annotated[
            bool, strawberry.argument(description="Whether devices that differ are changed to what the table says.")
        ] = False,
        show: Annotated[
            int,
            strawberry.argument(
                description="How many lines to answer with at most.", directives=[Constraint(min=0, max=sheet.MAX_ROWS)]
            ),
        ] = 200,
    ) -> DeviceImport:
        """What became of the table."""
        tx = await info.context.tx()
        imported = await bulk.bring_in(tx, csv, profile_id=profile_id, dry_run=dry_run, update=update)
        return DeviceImport.of(imported, show)

    @strawberry.mutation(
        description="Shuts a device out because something is wrong with it. Its connection is cut and it gets no new "
        "secrets until it is released; its data stays.",
        directives=[
            Needs(scope="devices:write"),
            Rest(method=Method.POST, path="/devices/{id}/quarantine"),
            NOT_FOUND,
            STUCK,
            Problem(status=422, slug="reason-malformed"),
        ],
    )
    async def device_quarantine(self, info: Info, id: DeviceId, reason: Reason) -> Device:
        """The device, shut out."""
        return Device.of(await quarantine.quarantine(await info.context.tx(), id, reason))

    @strawberry.mutation(
        description="Lets a device out of quarantine. Unless told otherwise its old secrets die, since somebody may "
        "have them, and it gets a new one, shown this once.",
        directives=[
            Needs(scope="devices:write"),
            Rest(method=Method.POST, path="/devices/{id}/release"),
            NOT_FOUND,
            STUCK,
        ],
    )
    async def device_release(
        self,
        info: Info,
        id: DeviceId,
        renew: Annotated[
            bool, strawberry.argument(description="Whether a new secret takes its old ones' place.")
        ] = True,
    ) -> DeviceReleased:
        """The device, let in again."""
        device, issued = await quarantine.release(await info.context.tx(), id, renew=renew)
        return DeviceReleased(
            device=Device.of(device),
            credential=Credential.of(issued[0]) if issued else None,
            token=issued[1] if issued else None,
        )

    @strawberry.mutation(
        description="Erases what a decommissioned device has sent: readings, newest values, counts, rejected messages, "
        "alerts, commands and findings; its name and labels at once. It cannot be undone. The id and the key stay, and "
        "so does the audit log.",
        directives=[
            Needs(scope="devices:erase"),
            Rest(method=Method.POST, path="/devices/{id}/erase"),
            NOT_FOUND,
            STUCK,
        ],
    )
    async def device_erase(self, info: Info, id: DeviceId) -> DeviceErasure:
        """The erasure as it stands."""
        return DeviceErasure.of(await erase.request(await info.context.tx(), id))

    @strawberry.mutation(
        description="Offers a device to another tenant, who accepts it with the code shown this once. Until then "
        "nothing changes; an earlier offer of the device is withdrawn.",
        directives=[
            Needs(scope="devices:write"),
            Rest(method=Method.POST, path="/devices/{id}/transfer", status=201),
            NOT_FOUND,
            STUCK,
            Problem(status=503, slug="vault-sealed"),
        ],
    )
    async def device_transfer_offer(
        self,
        info: Info,
        id: DeviceId,
        to_tenant: Annotated[
            str | None,
            strawberry.argument(
                description="The key of the only tenant that may accept; left out: whoever has the code.",
                directives=[Constraint(pattern=r"^[a-z0-9-]{1,20}$")],
            ),
        ] = None,
        hours: Annotated[
            int,
            strawberry.argument(
                description="How long the code is good.", directives=[Constraint(min=1, max=transfer.MAX_HOURS)]
            ),
        ] = 72,
    ) -> TransferOffered:
        """The offer and its code."""
        context = info.context
        made, code = await transfer.offer(
            await context.tx(), context.services.vault, id, to_tenant=to_tenant, hours=hours
        )
        return TransferOffered.of(made, code)

    @strawberry.mutation(
        description="Makes the code of an offer worthless.",
        directives=[
            Needs(scope="devices:write"),
            Rest(method=Method.POST, path="/transfers/{id}/withdraw"),
            TRANSFER_NOT_FOUND,
            Problem(status=409, slug="transfer-over"),
        ],
    )
    async def device_transfer_withdraw(self, info: Info, id: TransferId) -> DeviceTransfer:
        """The offer, withdrawn."""
        return DeviceTransfer.of(await transfer.withdraw(await info.context.tx(), id))

    @strawberry.mutation(
        description="Takes over a device that another tenant offers: a new device here, with a new id and a first "
        "secret, shown this once. With the giver its life ends within seconds; its history stays there.",
        directives=[
            Needs(scope="devices:write", whole=True),
            Rest(method=Method.POST, path="/transfers/accept", status=201),
            PROFILE_NOT_FOUND,
            Problem(status=409, slug="transfer-code-spent"),
            Problem(status=409, slug="transfer-to-self"),
            Problem(status=409, slug="device-key-taken"),
            Problem(status=409, slug="device-quota-reached"),
            Problem(status=410, slug="transfer-code-expired"),
            Problem(status=422, slug="transfer-code-unknown"),
            Problem(status=422, slug="profile-needed"),
        ],
    )
    async def device_transfer_accept(
        self,
        info: Info,
        code: Annotated[
            str,
            strawberry.argument(
                description="What the giver was shown.",
                directives=[Constraint(min_length=1, max_length=transfer.MAX_CODE), Example(json='"tgx_..."')],
            ),
        ],
        key: Annotated[
            str | None,
            strawberry.argument(
                description="Another key for the device; left out: the one it had.", directives=[DEVICE_KEY]
            ),
        ] = None,
        profile_id: Annotated[
            UUID | None, strawberry.argument(description="Its profile; left out: yours of the same key, or a new one.")
        ] = None,
    ) -> TransferAccepted:
        """The device, taken over."""
        context = info.context
        arrival = await transfer.accept(
            await context.tx(), context.services.vault, code, key=key, profile_id=profile_id
        )
        return TransferAccepted.of(arrival)

    @strawberry.mutation(
        description="Audits the fleet now: every check is asked, and the findings are brought up to date.",
        directives=[
            Needs(scope="devices:write", whole=True),
            Rest(method=Method.POST, path="/fleet/audit"),
            Cost(weight=100),
        ],
    )
    async def fleet_audit_run(self, info: Info) -> FleetAudit:
        """What was found."""
        return FleetAudit.of(await audit.run(await info.context.tx()))

    @strawberry.mutation(
        description="Puts a finding aside, for a reason, until a day or for good.",
        directives=[
            Needs(scope="devices:write"),
            Rest(method=Method.POST, path="/fleet/findings/{id}/suppress"),
            FINDING_NOT_FOUND,
            Problem(status=409, slug="finding-stuck"),
            Problem(status=422, slug="reason-malformed"),
            Problem(status=422, slug="suppression-past"),
        ],
    )
    async def fleet_finding_suppress(
        self,
        info: Info,
        id: FindingId,
        reason: Reason,
        until: Annotated[
            datetime | None, strawberry.argument(description="When it comes back by itself; left out: never.")
        ] = None,
    ) -> FleetFinding:
        """The finding, put aside."""
        return FleetFinding.of(await audit.suppress(await info.context.tx(), id, reason, until))

    @strawberry.mutation(
        description="Brings a finding that was put aside back into the list.",
        directives=[
            Needs(scope="devices:write"),
            Rest(method=Method.POST, path="/fleet/findings/{id}/restore"),
            FINDING_NOT_FOUND,
            Problem(status=409, slug="finding-stuck"),
        ],
    )
    async def fleet_finding_restore(self, info: Info, id: FindingId) -> FleetFinding:
        """The finding, as it was."""
        return FleetFinding.of(await audit.restore(await info.context.tx(), id))
