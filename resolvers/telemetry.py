"""Keeps the promises about measured values: series, the inbox, the hourly counts."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from engine.telemetry import service as telemetry
from resolvers.arguments import After, First, paged
from resolvers.context import Info, RequestContext
from schema.directives import Cost, Method, Needs, Problem, Rest
from schema.pages import Page
from schema.telemetry import IngestCount, Rejected, Series


async def series(
    context: RequestContext,
    device_id: UUID,
    profile_id: UUID,
    metric: str,
    start: datetime,
    end: datetime | None,
    bucket: str | None,
    time_zone: str,
    limit: int,
) -> Series:
    """One metric of one device over a span of time, with the unit its profile gives it."""
    tx = await context.tx()
    profile = await context.profiles.load(profile_id)
    unit = next((known.unit for known in profile.metrics if known.key == metric), None)
    found = await telemetry.series(
        tx, device_id, metric, start, end or tx.now, bucket=bucket, time_zone=time_zone, limit=limit
    )
    return Series.of(found, unit)


@strawberry.type
class TelemetryQuery:
    """What can be asked about telemetry beyond a single device."""

    @strawberry.field(
        description="Messages that could not be accepted, newest first, each with the reason and its bytes.",
        directives=[
            Needs(scope="inbox:read"),
            Rest(method=Method.GET, path="/inbox"),
            Problem(status=422, slug="bad-cursor"),
            Cost(times="first"),
        ],
    )
    async def inbox(
        self,
        info: Info,
        device_id: Annotated[UUID | None, strawberry.argument(description="Only those of this device.")] = None,
        first: First = 50,
        after: After = None,
    ) -> Page[Rejected]:
        """The tenant's rejected messages."""
        page = await telemetry.inbox(await info.context.tx(), device_id=device_id, first=first, after=after)
        return paged(page, Rejected.of)

    @strawberry.field(
        description="What happened to the messages of each hour. Received is exactly stored + duplicates + rejected + "
        "refused.",
        directives=[
            Needs(scope="telemetry:read"),
            Rest(method=Method.GET, path="/ingest-counts"),
            Cost(expected=24),
        ],
    )
    async def ingest_counts(
        self,
        info: Info,
        device_id: Annotated[UUID | None, strawberry.argument(description="Only those of this device.")] = None,
        from_: Annotated[
            datetime | None,
            strawberry.argument(name="from", description="The first instant; a day before the last if left out."),
        ] = None,
        to: Annotated[datetime | None, strawberry.argument(description="The last instant; now if left out.")] = None,
    ) -> list[IngestCount]:
        """Hourly counts, oldest first."""
        found = await telemetry.counts(await info.context.tx(), device_id=device_id, start=from_, end=to)
        return [IngestCount.of(count) for count in found]
