"""Devices, their presence and credentials as the contract shows them."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Self
from uuid import UUID

import strawberry

from engine.devices import model
from engine.devices.filter import Group
from engine.devices.model import DeviceStatus
from schema.context import Info, loaded
from schema.directives import Constraint, Cost, Method, Needs, Problem, Rest, Secret
from schema.enums import shown
from schema.profiles import DEVICE_KEY as DEVICE_KEY
from schema.profiles import NAME as NAME
from schema.profiles import Profile
from schema.scalars import Labels
from schema.telemetry import Sample, Series

if TYPE_CHECKING:
    from engine.telemetry.model import Sample as SampleModel

shown(
    DeviceStatus,
    "Where a device stands in its life.",
    PROVISIONED="It is registered and has not connected yet.",
    ACTIVE="It has connected and is served.",
    SUSPENDED="It is kept out until somebody resumes it.",
    QUARANTINED="It is kept out because something about it is suspicious, until somebody releases it.",
    DECOMMISSIONED="Its life is over: it cannot come back, and its key is not given again.",
)


@strawberry.type(description="Whether a device is connected, and since when.")
class Presence:
    """A device's connection as the platform sees it."""

    is_online: bool = strawberry.field(description="Whether the device is connected now.")
    since: datetime | None = strawberry.field(description="Since when it is so; null if it never connected.")
    reason: str | None = strawberry.field(
        description="Why it is not connected: why its last connection ended, or in a gateway's words why it does not "
        "reach the device, and since when."
    )
    last_seen_at: datetime | None = strawberry.field(description="When the device was last heard of.")
    silent_since: datetime | None = strawberry.field(
        description="Since when the readings have not come that its profile expects, if three in a row are missing, "
        "whether the device is connected or not; null while they come, or while none are expected."
    )
    version: int = strawberry.field(
        description="The number of the connection that isOnline, since and reason speak of, as in deviceStatus; 0 if "
        "it never connected. Each new connection of a device has a higher one."
    )

    @classmethod
    def of(cls, presence: model.Presence) -> Self:
        """The contract's view of ``presence``."""
        return cls(
            is_online=presence.is_online,
            since=presence.since,
            reason=presence.reason,
            last_seen_at=presence.last_seen_at,
            silent_since=presence.silent_since,
            version=presence.version,
        )


@strawberry.type(
    description="What a device signs in with: a token, whose secret is not kept, an X.509 certificate, JWTs that it "
    "signs with a registered key, or a context of OSCORE, which protects each CoAP message."
)
class Credential:
    """A device's credential without its secret."""

    id: UUID = strawberry.field(description="The credential's id.")
    kind: str = strawberry.field(description="What kind it is: token, x509, jwt or oscore.")
    created_at: datetime = strawberry.field(description="When it was issued.")
    expires_at: datetime | None = strawberry.field(description="When it ends by itself; null if never.")
    revoked_at: datetime | None = strawberry.field(description="When it was revoked; null while it works.")
    fingerprint: str | None = strawberry.field(
        description="The SHA-256 of the certificate or public key (DER) in hexadecimal; null for others."
    )

    @classmethod
    def of(cls, credential: model.Credential) -> Self:
        """The contract's view of ``credential``."""
        return cls(
            id=credential.id,
            kind=credential.kind,
            created_at=credential.created_at,
            expires_at=credential.expires_at,
            revoked_at=credential.revoked_at,
            fingerprint=credential.fingerprint,
        )


@strawberry.type(description="A group that holds a device, by its names.")
class GroupOfDevice:
    """A group as a device names it."""

    id: UUID = strawberry.field(description="The group's id.")
    key: str = strawberry.field(description="The group's short name.")
    name: str = strawberry.field(description="The name shown to people.")

    @classmethod
    def of(cls, group: Group) -> Self:
        """The contract's view of ``group``."""
        return cls(id=group.id, key=group.key, name=group.name)


@strawberry.type(description="A device: anything that sends telemetry.")
class Device:
    """A device and what is known of it."""

    id: UUID = strawberry.field(description="The device's id in this API.")
    key: str = strawberry.field(
        description="The name under which the device signs in; it never changes while the device is in service."
    )
    name: str = strawberry.field(description="The name shown to people.")
    status: DeviceStatus = strawberry.field(description="Where the device stands in its life.")
    labels: Labels = strawberry.field(description="Free words about the device: an object of texts.")
    quarantine_reason: str | None = strawberry.field(description="Why the device is in quarantine; null if it is not.")
    former_key: str | None = strawberry.field(
        description="What a decommissioned device was called before another was registered under its key."
    )
    version: int = strawberry.field(description="Rises with every change; send it back to change safely.")
    created_at: datetime = strawberry.field(description="When the device was provisioned.")
    updated_at: datetime = strawberry.field(description="When it last changed.")
    profile_id: strawberry.Private[UUID]

    @classmethod
    def of(cls, device: model.Device) -> Self:
        """The contract's view of ``device``."""
        return cls(
            id=device.id,
            key=device.key,
            name=device.name,
            status=device.status,
            labels=Labels(device.labels),
            quarantine_reason=device.quarantine_reason,
            former_key=device.former_key,
            version=device.version,
            created_at=device.created_at,
            updated_at=device.updated_at,
            profile_id=device.profile_id,
        )

    @strawberry.field(description="What devices of this make have in common.", directives=[Cost(weight=1)])
    def profile(self, info: Info) -> Profile:
        """The device's profile."""
        return loaded(info.context.profiles, self.profile_id, Profile.of)

    @strawberry.field(
        description="The groups that hold the device at this moment, by key; of those, the ones that you see.",
        directives=[Cost(weight=2, expected=3)],
    )
    def groups(self, info: Info) -> list[GroupOfDevice]:
        """The device's groups."""
        return loaded(info.context.groups, self.id, lambda found: [GroupOfDevice.of(group) for group in found])

    @strawberry.field(description="Whether the device is connected now.")
    def is_online(self, info: Info) -> bool:
        """Whether the device is connected."""
        return loaded(info.context.presences, self.id, lambda presence: presence.is_online)

    @strawberry.field(description="Whether the device is connected, and since when.")
    def presence(self, info: Info) -> Presence:
        """The device's connection."""
        return loaded(info.context.presences, self.id, Presence.of)

    @strawberry.field(description="When the device was last heard of.")
    def last_seen_at(self, info: Info) -> datetime | None:
        """When the device was last heard of."""
        return loaded(info.context.presences, self.id, lambda presence: presence.last_seen_at)

    @strawberry.field(
        description="The newest value of every metric.",
        directives=[
            Rest(method=Method.GET, path="/devices/{id}/latest"),
            Needs(scope="telemetry:read"),
            Problem(status=404, slug="not-found"),
            Cost(weight=1, expected=4),
        ],
    )
    def latest(self, info: Info) -> list[Sample]:
        """The newest value of each metric, in the profile's order, metrics outside the profile last."""
        profiles, latest = info.context.profiles, info.context.latest
        profile, found = profiles.ready(self.profile_id), latest.ready(self.id)
        if profile is not None and found is not None:
            return samples(profile, found)
        return loaded(
            profiles, self.profile_id, lambda profile: loaded(latest, self.id, lambda found: samples(profile, found))
        )

    @strawberry.field(
        description="One metric over a span of time, as columns.",
        directives=[
            Rest(method=Method.GET, path="/devices/{id}/telemetry"),
            Needs(scope="telemetry:read"),
            Problem(status=404, slug="not-found"),
            Problem(status=422, slug="invalid"),
            Cost(weight=10),
        ],
    )
    async def telemetry(
        self,
        info: Info,
        metric: Annotated[
            str,
            strawberry.argument(description="The metric's name.", directives=[Constraint(min_length=1, max_length=64)]),
        ],
        from_: Annotated[datetime, strawberry.argument(name="from", description="The first instant, included.")],
        to: Annotated[
            datetime | None, strawberry.argument(description="The last instant, not included; now if left out.")
        ] = None,
        bucket: Annotated[
            str | None,
            strawberry.argument(
                description="Length of a bucket, for example 1m, 1h, 1d, 1w or 1mo; left out: each reading.",
                directives=[Constraint(pattern=r"^[1-9][0-9]{0,3}(s|m|h|d|w|mo)$")],
            ),
        ] = None,
        time_zone: Annotated[
            str,
            strawberry.argument(
                description="The time zone in which days begin, for example Europe/Berlin.",
                directives=[Constraint(min_length=1, max_length=64)],
            ),
        ] = "UTC",
        limit: Annotated[
            int,
            strawberry.argument(
                description="The most points to answer with.", directives=[Constraint(min=1, max=10_000)]
            ),
        ] = 1000,
        with_source: Annotated[
            bool, strawberry.argument(description="Whether to say of each reading when it was received, and how.")
        ] = False,
    ) -> Series:
        """One metric of this device from ``from`` to ``to``."""
        return await info.context.series(
            self.id, self.profile_id, metric, from_, to, bucket, time_zone, limit, with_source
        )

    @strawberry.field(
        description="The device's secrets, without the secrets themselves.", directives=[Cost(expected=3)]
    )
    def credentials(self, info: Info) -> list[Credential]:
        """The device's credentials, newest first."""
        return loaded(info.context.credentials, self.id, lambda rows: [Credential.of(row) for row in rows])


def samples(profile: model.Profile, latest: "Sequence[SampleModel]") -> list[Sample]:
    """The newest values in the profile's order, with unit and label; metrics outside the profile follow by name."""
    found = {sample.metric: sample for sample in latest}
    named = [Sample.of(found.pop(metric.key), metric) for metric in profile.metrics if metric.key in found]
    return named + [Sample.of(found[name], None) for name in sorted(found)]


@strawberry.type(description="How many devices the tenant has.")
class DeviceCounts:
    """Counts of devices that are not decommissioned."""

    total: int = strawberry.field(description="Devices that are not decommissioned.")
    online: int = strawberry.field(description="Those connected now.")
    offline: int = strawberry.field(description="Those not connected now.")
    silent: int = strawberry.field(
        description="Those of which three of the readings in a row are missing that their profile expects, connected "
        "or not."
    )


@strawberry.type(description="A new device with the secret it signs in with.")
class DeviceProvisioned:
    """Shown once."""

    device: Device = strawberry.field(description="The device.")
    credential: Credential = strawberry.field(description="Its first credential.")
    token: str = strawberry.field(
        description="The device's password for MQTT and HTTP. It is never shown again.", directives=[Secret()]
    )


@strawberry.type(description="A new credential with its secret.")
class CredentialIssued:
    """Shown once."""

    credential: Credential = strawberry.field(description="The credential.")
    token: str = strawberry.field(
        description="The device's password for MQTT and HTTP. It is never shown again.", directives=[Secret()]
    )


@strawberry.input(description="A new device.")
class DeviceProvision:
    """Input of deviceProvision."""

    key: str = strawberry.field(
        description="The name under which the device signs in; chosen once.", directives=[DEVICE_KEY]
    )
    profile_id: UUID = strawberry.field(description="The profile it belongs to.")
    name: str | None = strawberry.field(
        description="The name shown to people; the key if left out.", default=None, directives=[NAME]
    )
    labels: Labels | None = strawberry.field(description="Free words: an object of texts.", default=None)
    replaces: UUID | None = strawberry.field(
        description="The decommissioned device whose key this one takes over. A key is never used twice unasked.",
        default=None,
    )


@strawberry.input(description="Changes to a device; what is left out stays.")
class DeviceUpdate:
    """Input of deviceUpdate."""

    name: str | None = strawberry.field(description="The name shown to people.", default=None, directives=[NAME])
    labels: Labels | None = strawberry.field(description="Free words: an object of texts.", default=None)
    profile_id: UUID | None = strawberry.field(description="Another profile.", default=None)
