"""Keeps the live promises: telemetry, alerts and device status as subscriptions."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Annotated, cast
from uuid import UUID

import strawberry

from engine import clock
from engine.devices import service as devices
from engine.devices.errors import DeviceNotFound
from resolvers.context import Info, RequestContext
from resolvers.live import Happened
from schema.directives import Constraint, Method, Needs, Problem, Rest
from schema.telemetry import DeviceStatusChange, DeviceStatusEvent, TelemetryEvent

MAX_DEVICES = 500
GONE = Problem(status=410, slug="cursor-too-old")
BAD_CURSOR = Problem(status=422, slug="bad-cursor")

After = Annotated[
    str | None,
    strawberry.argument(
        description="The cursor of the last event you saw; left out: only what comes next.",
        directives=[Constraint(min_length=1, max_length=30)],
    ),
]


@strawberry.type
class TelemetryStreams:
    """What can be followed about devices."""

    @strawberry.subscription(
        description="Readings of some devices as they are stored. A reader who is too slow gets the newest value of "
        "each metric, and `skipped` says how many readings that left out.",
        directives=[
            Needs(scope="telemetry:read"),
            Rest(method=Method.GET, path="/stream/telemetry"),
            Problem(status=404, slug="device-not-found"),
            GONE,
            BAD_CURSOR,
        ],
    )
    async def telemetry(
        self,
        info: Info,
        device_ids: Annotated[
            list[UUID],
            strawberry.argument(
                description="The devices to follow.", directives=[Constraint(min_length=1, max_length=MAX_DEVICES)]
            ),
        ],
        metrics: Annotated[
            list[str] | None,
            strawberry.argument(
                description="Only these metrics; left out: all.", directives=[Constraint(min_length=1, max_length=200)]
            ),
        ] = None,
        after: After = None,
    ) -> AsyncGenerator[TelemetryEvent, None]:
        """Readings, live."""
        context = info.context
        await _begin(context, device_ids, after)
        # Readings are handed on as they are, one object for all subscribers: they have the event's fields.
        source = context.services.live.telemetry(context.principal, device_ids, metrics, after)
        return cast(AsyncGenerator[TelemetryEvent, None], source)

    @strawberry.subscription(
        description="Devices that connect, disconnect, fall silent and are heard again. Nothing is left out.",
        directives=[
            Needs(scope="devices:read"),
            Rest(method=Method.GET, path="/stream/device-status"),
            Problem(status=404, slug="device-not-found"),
            GONE,
            BAD_CURSOR,
        ],
    )
    async def device_status(
        self,
        info: Info,
        device_ids: Annotated[
            list[UUID] | None,
            strawberry.argument(
                description="Only these devices; left out: all.",
                directives=[Constraint(min_length=1, max_length=MAX_DEVICES)],
            ),
        ] = None,
        after: After = None,
    ) -> AsyncGenerator[DeviceStatusEvent, None]:
        """Presence, live."""
        context = info.context
        await _begin(context, device_ids or [], after)
        kinds = [change.value for change in DeviceStatusChange]
        source = context.services.live.events(context.principal, kinds, after)
        return _device_status(source, frozenset(device_ids) if device_ids is not None else None)


async def _begin(context: RequestContext, device_ids: list[UUID], after: str | None) -> None:
    """Refuse at once what could not begin: foreign or unknown devices, a cursor of no use. Holds nothing open."""
    try:
        if device_ids:
            wanted = set(device_ids)
            known = await devices.by_ids(await context.tx(), list(wanted))
            if len(known) < len(wanted):
                raise DeviceNotFound
    finally:
        await context.close()
    await context.services.live.check(context.principal.tenant_id, after)


async def _device_status(
    source: AsyncIterator[Happened], wanted: frozenset[UUID] | None
) -> AsyncGenerator[DeviceStatusEvent, None]:
    async for event in source:
        device_id = UUID(event.body["device"])
        if wanted is None or device_id in wanted:
            yield DeviceStatusEvent(
                cursor=event.cursor,
                device_id=device_id,
                change=DeviceStatusChange(event.kind),
                is_online=event.body.get("is_online", event.kind == "device.connected"),
                at=clock.from_ms(event.body.get("at", event.at_ms)),
                reason=event.body.get("reason"),
                silent_since=clock.from_ms(event.body["since"]) if "since" in event.body else None,
                version=event.body.get("epoch", 0),
                share=event.cursor,
            )
