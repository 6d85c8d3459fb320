"""Measured values as the contract shows them: newest samples, columns over time, and how much came in."""

from datetime import datetime
from enum import Enum
from itertools import repeat
from typing import Self
from uuid import UUID

import strawberry

from engine.devices.model import Metric as MetricModel
from engine.telemetry import model
from engine.telemetry.provenance import Source, source_of
from schema.enums import shown
from schema.scalars import Json, Times


@strawberry.type(description="The newest value of one metric.")
class Sample:
    """One value of one metric."""

    metric: str = strawberry.field(description="The metric's name.")
    value: Json | None = strawberry.field(
        description="The value as the device sent it; null where the device has never had one it could stand by."
    )
    time: datetime = strawberry.field(
        description="When the device measured it; without a value, when it said that it has none."
    )
    unit: str | None = strawberry.field(description="The unit of numbers.")
    label: str | None = strawberry.field(description="The metric's name shown to people.")
    quality: str | None = strawberry.field(
        description='Null where the value is good. "uncertain": the device is in doubt of it. "bad": since then the '
        "device has had no value it could stand by, and this is its last.",
        default=None,
    )
    reason: str | None = strawberry.field(
        description="Why it is bad, in the words of the machine or its gateway, where they were told.", default=None
    )

    @classmethod
    def of(cls, sample: model.Sample, metric: MetricModel | None) -> Self:
        """The contract's view of ``sample``, described by the profile's ``metric`` if it has one."""
        unit, label = (metric.unit, metric.label or None) if metric else (None, None)
        return cls(
            metric=sample.metric,
            value=None if sample.value is None else Json(sample.value),
            time=sample.time,
            unit=unit,
            label=label,
            quality=sample.quality,
            reason=sample.reason,
        )


@strawberry.type(description="How a reading came to the platform.")
class Provenance:
    """A transport, an encoding, a decoder, and the protocol of a machine behind a gateway."""

    transport: str = strawberry.field(description="By which: mqtt, http, coap or broker.")
    encoding: str = strawberry.field(description="In which: json, cbor or senml.")
    decoder: int = strawberry.field(description="The version of the decoder that read it.")
    via: str | None = strawberry.field(
        description="The protocol in which a gateway had it from the machine: modbus, opcua or bacnet."
    )
    gateway: str | None = strawberry.field(
        description="The key of the gateway that brought it; null where the device has sent it by itself."
    )

    @classmethod
    def of(cls, source: Source, gateway: str | None) -> Self:
        """The contract's view of ``source``, and of the gateway that brought what came so."""
        return cls(
            transport=source.transport,
            encoding=source.encoding,
            decoder=source.decoder,
            via=source.via,
            gateway=gateway,
        )


@strawberry.type(
    description="One metric over time, as columns of equal length: the n-th value belongs to the n-th time. In buckets "
    "a time is the bucket's beginning and a value its average (or its last value, where values are no numbers)."
)
class Series:
    """Columns of times and values."""

    metric: str = strawberry.field(description="The metric's name.")
    unit: str | None = strawberry.field(description="The unit of numbers.")
    bucket: str | None = strawberry.field(description="Length of a bucket; null for readings as they came.")
    times: Times = strawberry.field(description="Milliseconds since 1970-01-01 UTC, rising.")
    values: Json = strawberry.field(description="A list of values.")
    min: Json | None = strawberry.field(description="In buckets: the lowest number of each.", default=None)
    max: Json | None = strawberry.field(description="In buckets: the highest number of each.", default=None)
    n: Json | None = strawberry.field(description="In buckets: how many readings each holds.", default=None)
    is_truncated: bool = strawberry.field(description="Whether there were more points than the limit.", default=False)
    quality: Json | None = strawberry.field(
        description='Of readings as they came: a list with "uncertain" where the device was in doubt of a value, and '
        "null where it is good. Null where all are good, and in buckets.",
        default=None,
    )
    bad: Times = strawberry.field(
        description="Of readings as they came: the moments at which the device said that it had no value it could "
        "stand by. They are not among the times.",
        default_factory=lambda: Times([]),
    )
    received: Times | None = strawberry.field(
        description="When the platform received each reading; null unless `withSource` asked for it.", default=None
    )
    source: Json | None = strawberry.field(
        description="How each reading came: a list of places in `sources`, null where that is not known.", default=None
    )
    sources: list[Provenance] = strawberry.field(
        description="The ways by which these readings came; empty unless `withSource` asked for them.",
        default_factory=list,
    )

    @classmethod
    def of(cls, series: model.Series, unit: str | None) -> Self:
        """The contract's view of ``series``."""
        is_binned = series.bucket is not None
        ways = list(zip(series.sources, series.gateways or repeat(None), strict=False))
        known = list(dict.fromkeys(way for way in ways if way[0] is not None))
        places = {way: place for place, way in enumerate(known)}
        return cls(
            metric=series.metric,
            unit=unit,
            bucket=series.bucket,
            times=Times(list(series.times)),
            values=Json(list(series.values)),
            min=Json(list(series.min)) if is_binned else None,
            max=Json(list(series.max)) if is_binned else None,
            n=Json(list(series.n)) if is_binned else None,
            is_truncated=series.is_truncated,
            quality=Json(list(series.quality)) if any(series.quality) else None,
            bad=Times(list(series.bad)),
            received=Times(list(series.received)) if series.sources else None,
            source=Json([places.get(way) for way in ways]) if series.sources else None,
            sources=[
                Provenance.of(source, gateway) for number, gateway in known if (source := source_of(number)) is not None
            ],
        )


@strawberry.type(description="One hour's messages: received = stored + duplicates + rejected + refused.")
class IngestCount:
    """Counters of one hour."""

    hour: datetime = strawberry.field(description="The hour's beginning.")
    received: int = strawberry.field(description="Messages that came.")
    stored: int = strawberry.field(description="Stored, once each.")
    duplicates: int = strawberry.field(description="Already stored before.")
    rejected: int = strawberry.field(description="Turned away into the inbox.")
    refused: int = strawberry.field(description="Refused: over quota, revoked, or without the right.")
    not_kept: int = strawberry.field(description="Rejected and, beyond the inbox's bound, not kept.")

    @classmethod
    def of(cls, count: model.Count) -> Self:
        """The contract's view of ``count``."""
        return cls(
            hour=count.hour,
            received=count.received,
            stored=count.stored,
            duplicates=count.duplicates,
            rejected=count.rejected,
            refused=count.refused,
            not_kept=count.not_kept,
        )


@strawberry.type(
    description="For how many days readings are kept, and their hours and days, where no profile says otherwise. What "
    "is older goes within two hours, and cannot be brought back."
)
class Retention:
    """How long telemetry is kept."""

    days: int = strawberry.field(description="Days for which readings are kept now.")
    rollup_days: int = strawberry.field(
        description="Days for which hours and days of them (count, mean, lowest, highest) are kept now; never fewer."
    )
    own_days: int | None = strawberry.field(description="What the organisation has said of readings; null: nothing.")
    own_rollup_days: int | None = strawberry.field(description="What it has said of hours and days; null: nothing.")
    most_days: int = strawberry.field(description="The most that is possible for readings: its quota.")
    most_rollup_days: int = strawberry.field(description="The most that is possible for hours and days.")

    @classmethod
    def of(cls, kept: model.Retention) -> Self:
        """The contract's view of ``kept``."""
        return cls(
            days=kept.days,
            rollup_days=kept.rollup_days,
            own_days=kept.own,
            own_rollup_days=kept.rollup_own,
            most_days=kept.most,
            most_rollup_days=kept.rollup_most,
        )


@strawberry.type(description="A device's values as they arrive. A reader too slow for all of them gets the newest.")
class TelemetryEvent:
    """One reading, live."""

    cursor: str = strawberry.field(description="Give this as `after` to go on from here.")
    device_id: UUID = strawberry.field(description="The device.")
    time: datetime = strawberry.field(description="When the device measured it.")
    values: Json = strawberry.field(description="An object: metric to value.")
    quality: Json | None = strawberry.field(
        description='An object: metric to "uncertain", where the device is in doubt of a value, or "bad", where it has '
        "none; null where all is good."
    )
    skipped: int = strawberry.field(description="Readings of this device left out just before, because you were slow.")


class DeviceStatusChange(Enum):
    """A device's coming, going, falling silent, or being heard again."""

    CONNECTED = "device.connected"
    DISCONNECTED = "device.disconnected"
    SILENT = "device.silent"
    REPORTING = "device.reporting"


shown(
    DeviceStatusChange,
    "What a change of presence was.",
    CONNECTED="The device has connected.",
    DISCONNECTED="Its connection has ended.",
    SILENT="It has sent nothing for longer than its profile expects.",
    REPORTING="It was silent, and is heard again.",
)


@strawberry.type(
    description="A device connected or disconnected, fell silent although its profile expects reports, or was heard "
    "again. Events come in the order in which they were decided."
)
class DeviceStatusEvent:
    """A change of presence, live."""

    cursor: str = strawberry.field(description="Give this as `after` to go on from here.")
    device_id: UUID = strawberry.field(description="The device.")
    change: DeviceStatusChange = strawberry.field(description="What happened.")
    is_online: bool = strawberry.field(description="Whether it is connected now.")
    at: datetime = strawberry.field(description="When that happened.")
    reason: str | None = strawberry.field(
        description="Why a connection ended; `silent`; `heard` or `not_expected` where silence ended."
    )
    silent_since: datetime | None = strawberry.field(
        description="Since when reports are missing, where it fell silent."
    )
    version: int = strawberry.field(
        description="The number of the connection this is about; each new connection of a device has a higher one. A "
        "CONNECTED or DISCONNECTED with a lower number than one seen before comes late, from a connection that was "
        "replaced, and changes nothing."
    )
    share: strawberry.Private[str | None] = None
