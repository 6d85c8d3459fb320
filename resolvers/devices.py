"""Keeps the promises about devices and credentials."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from engine.devices import model
from engine.devices import service as devices
from engine.fleet import retire
from engine.telemetry import service as telemetry
from engine.telemetry.model import Sample
from resolvers.arguments import After, First, Version, asks_for, paged
from resolvers.context import Info, RequestContext
from schema.devices import (
    Credential,
    CredentialIssued,
    Device,
    DeviceCounts,
    DeviceProvision,
    DeviceProvisioned,
    DeviceUpdate,
)
from schema.directives import Constraint, Cost, Method, Needs, Problem, Rest
from schema.pages import Page

DeviceId = Annotated[UUID, strawberry.argument(description="The device's id.")]
NOT_FOUND = Problem(status=404, slug="device-not-found")
PROFILE_NOT_FOUND = Problem(status=404, slug="profile-not-found")
STALE = Problem(status=409, slug="version-stale")
_PROFILE_FIELDS = ("profile", "latest", "telemetry")
_PRESENCE_FIELDS = ("isOnline", "presence", "lastSeenAt")
Standing = Callable[[], Awaitable[Mapping[UUID, tuple[model.Presence, Sequence[Sample]]]]]
"""What presence and newest values devices have, once it is waited for."""


def _wanted(info: Info) -> set[str]:
    return asks_for(info, *_PROFILE_FIELDS, "groups", *_PRESENCE_FIELDS)


def _asks_standing(wanted: set[str]) -> bool:
    return "latest" in wanted and not wanted.isdisjoint(_PRESENCE_FIELDS)


async def prefetch(
    context: RequestContext, wanted: set[str], found: Sequence[model.Device], standing: Standing | None = None
) -> None:
    """Fetch what is asked of these devices, before it is; ``standing`` was asked for with an earlier question."""
    ids = [device.id for device in found]
    if standing is None and _asks_standing(wanted):
        standing = telemetry.standing_beside(await context.tx(), ids)
    if not wanted.isdisjoint(_PROFILE_FIELDS):
        await context.profiles.prime(device.profile_id for device in found)
    if "groups" in wanted:
        await context.groups.prime(ids)
    if standing is not None:
        for device_id, (presence, latest) in (await standing()).items():
            context.presences.put(device_id, presence)
            context.latest.put(device_id, latest)
    elif "latest" in wanted:
        await context.latest.prime(ids)
    elif not wanted.isdisjoint(_PRESENCE_FIELDS):
        await context.presences.prime(ids)


@strawberry.type
class DeviceQuery:
    """What can be asked about devices."""

    @strawberry.field(
        description="The tenant's devices by key. Decommissioned ones are shown only when asked for by status.",
        directives=[
            Needs(scope="devices:read"),
            Rest(method=Method.GET, path="/devices"),
            Problem(status=404, slug="group-not-found"),
            Problem(status=422, slug="bad-cursor"),
            Problem(status=422, slug="filter-malformed"),
            Cost(times="first"),
        ],
    )
    async def devices(
        self,
        info: Info,
        search: Annotated[
            str | None,
            strawberry.argument(
                description="Letters that the key or the name contains.", directives=[Constraint(max_length=120)]
            ),
        ] = None,
        profile_id: Annotated[UUID | None, strawberry.argument(description="Only devices of this profile.")] = None,
        status: Annotated[
            model.DeviceStatus | None, strawberry.argument(description="Only devices that stand there.")
        ] = None,
        is_online: Annotated[
            bool | None, strawberry.argument(description="Only devices that are connected, or only those that are not.")
        ] = None,
        is_silent: Annotated[
            bool | None,
            strawberry.argument(
                description="Only devices whose readings have not come as their profile expects, or only the others."
            ),
        ] = None,
        group_id: Annotated[UUID | None, strawberry.argument(description="Only devices in this group.")] = None,
        labels: Annotated[
            list[str] | None,
            strawberry.argument(
                description="Only devices with these labels: `site=7` asks for a value, `site` for any value. All "
                "labels that are named must be there; of several values of one label, any. A `=` in a name is "
                "written `\\=`.",
                directives=[Constraint(max_length=20)],
            ),
        ] = None,
        first: First = 50,
        after: After = None,
    ) -> Page[Device]:
        """A page of devices."""
        page = await devices.page(
            await info.context.tx(),
            search=search,
            profile_id=profile_id,
            status=status,
            is_online=is_online,
            is_silent=is_silent,
            group_id=group_id,
            labels=labels or (),
            first=first,
            after=after,
        )
        await prefetch(info.context, _wanted(info), page.items)
        return paged(page, Device.of)

    @strawberry.field(
        description="One device.",
        directives=[Needs(scope="devices:read"), Rest(method=Method.GET, path="/devices/{id}"), NOT_FOUND],
    )
    async def device(self, info: Info, id: DeviceId) -> Device:
        """The device with this id."""
        tx, wanted = await info.context.tx(), _wanted(info)
        standing = telemetry.standing_beside(tx, [id]) if _asks_standing(wanted) else None
        if wanted.isdisjoint(_PROFILE_FIELDS):
            found = await devices.get(tx, id)
        else:
            found, profile = await devices.with_profile(tx, id)
            if profile is not None:
                info.context.profiles.put(profile.id, profile)
        await prefetch(info.context, wanted, [found], standing)
        return Device.of(found)

    @strawberry.field(
        description="How many devices the tenant has, how many are connected, and how many silent.",
        directives=[Needs(scope="devices:read"), Rest(method=Method.GET, path="/devices/counts")],
    )
    async def device_count(self, info: Info) -> DeviceCounts:
        """Counts of devices that are not decommissioned."""
        counts = await devices.counts(await info.context.tx())
        return DeviceCounts(total=counts.total, online=counts.online, offline=counts.offline, silent=counts.silent)


@strawberry.type
class DeviceMutation:
    """What can be done to devices."""

    @strawberry.mutation(
        description="Registers a device and issues its first secret, which is shown this once.",
        directives=[
            Needs(scope="devices:write"),
            Rest(method=Method.POST, path="/devices", status=201),
            PROFILE_NOT_FOUND,
            Problem(status=409, slug="device-key-taken"),
            Problem(status=409, slug="device-quota-reached"),
            Problem(status=409, slug="key-not-given-up"),
            Problem(status=422, slug="name-malformed"),
        ],
    )
    async def device_provision(
        self, info: Info, input: Annotated[DeviceProvision, strawberry.argument(description="The new device.")]
    ) -> DeviceProvisioned:
        """A new device with its first credential."""
        tx = await info.context.tx()
        device = await devices.provision(
            tx,
            key=input.key,
            name=input.name or input.key,
            profile_id=input.profile_id,
            labels=input.labels,
            replaces=input.replaces,
        )
        credential, token = await devices.issue_token(tx, device.id)
        return DeviceProvisioned(device=Device.of(device), credential=Credential.of(credential), token=token)

    @strawberry.mutation(
        description="Changes a device's name, labels or profile.",
        directives=[
            Needs(scope="devices:write"),
            Rest(method=Method.PATCH, path="/devices/{id}"),
            NOT_FOUND,
            STALE,
            Problem(status=422, slug="name-malformed"),
        ],
    )
    async def device_update(
        self,
        info: Info,
        id: DeviceId,
        input: Annotated[DeviceUpdate, strawberry.argument(description="What changes.")],
        version: Version = None,
    ) -> Device:
        """The device after the change."""
        changed = await devices.change(
            await info.context.tx(),
            id,
            name=input.name,
            labels=input.labels,
            profile_id=input.profile_id,
            expected_version=version,
        )
        return Device.of(changed)

    @strawberry.mutation(
        description="Shuts a device out for the time being. Its connection is cut; its secrets and its data stay.",
        directives=[
            Needs(scope="devices:write"),
            Rest(method=Method.POST, path="/devices/{id}/suspend"),
            NOT_FOUND,
            Problem(status=409, slug="device-stuck"),
        ],
    )
    async def device_suspend(self, info: Info, id: DeviceId) -> Device:
        """The device, shut out."""
        return Device.of(await devices.suspend(await info.context.tx(), id))

    @strawberry.mutation(
        description="Lets a suspended device in again, with the secrets it had.",
        directives=[
            Needs(scope="devices:write"),
            Rest(method=Method.POST, path="/devices/{id}/resume"),
            NOT_FOUND,
            Problem(status=409, slug="device-stuck"),
        ],
    )
    async def device_resume(self, info: Info, id: DeviceId) -> Device:
        """The device, let in again."""
        return Device.of(await devices.resume(await info.context.tx(), id))

    @strawberry.mutation(
        description="Ends a device's life and revokes its secrets; its connection is cut. It cannot come back. Its "
        "data stays, or is erased before long if that is asked for: deviceErasure tells how far that is.",
        directives=[
            Needs(scope="devices:write"),
            Rest(method=Method.DELETE, path="/devices/{id}"),
            NOT_FOUND,
            Problem(status=409, slug="device-stuck"),
        ],
    )
    async def device_decommission(
        self,
        info: Info,
        id: DeviceId,
        erase: Annotated[
            bool,
            strawberry.argument(
                description="Whether all that it has sent is erased: by the right devices:erase, and for good."
            ),
        ] = False,
    ) -> Device:
        """The device at its end."""
        return Device.of(await retire.decommission(await info.context.tx(), id, erase=erase))

    @strawberry.mutation(
        description="Issues another secret for a device, shown this once.",
        directives=[
            Needs(scope="devices:write"),
            Rest(method=Method.POST, path="/devices/{deviceId}/credentials", status=201),
            NOT_FOUND,
            Problem(status=409, slug="device-stuck"),
            Problem(status=422, slug="expiry-past"),
        ],
    )
    async def credential_issue(
        self,
        info: Info,
        device_id: DeviceId,
        expires_at: Annotated[
            datetime | None, strawberry.argument(description="When it ends by itself; left out: never.")
        ] = None,
    ) -> CredentialIssued:
        """A new credential."""
        credential, token = await devices.issue_token(await info.context.tx(), device_id, expires_at)
        return CredentialIssued(credential=Credential.of(credential), token=token)

    @strawberry.mutation(
        description="Makes a device's secret worthless at once; a connection that used it is cut.",
        directives=[
            Needs(scope="devices:write"),
            Rest(method=Method.DELETE, path="/credentials/{id}"),
            Problem(status=404, slug="credential-not-found"),
        ],
    )
    async def credential_revoke(
        self, info: Info, id: Annotated[UUID, strawberry.argument(description="The credential's id.")]
    ) -> Credential:
        """The credential at its end."""
        return Credential.of(await devices.revoke_credential(await info.context.tx(), id))
