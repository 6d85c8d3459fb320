"""Keeps the promises about measured values: series and the hourly counts."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from engine.telemetry import retention
from engine.telemetry import service as telemetry
from resolvers.context import Info, RequestContext
from schema.directives import Constraint, Cost, Method, Needs, Problem, Rest
from schema.telemetry import IngestCount, Retention, Series


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
    with_source: bool = False,
) -> Series:
    """One metric of one device over a span of time, with the unit its profile gives it."""
    tx = await context.tx()
    profile = await context.profiles.load(profile_id)
    unit = next((known.unit for known in profile.metrics if known.key == metric), None)
    found = await telemetry.series(
        tx,
        device_id,
        metric,
        start,
        end or tx.now,
        bucket=bucket,
        time_zone=time_zone,
        limit=limit,
        with_source=with_source,
    )
    return Series.of(found, unit)


@strawberry.type
class TelemetryQuery:
    """What can be asked about telemetry beyond a single device."""

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

    @strawberry.field(
        description="For how long the organisation's telemetry is kept.",
        directives=[Needs(scope="tenant:read"), Rest(method=Method.GET, path="/retention")],
    )
    async def retention(self, info: Info) -> Retention:
        """The tenant's own, and what is possible."""
        return Retention.of(await retention.of(await info.context.tx()))


@strawberry.type
class TelemetryMutation:
    """What can be done about all of a tenant's telemetry."""

    @strawberry.mutation(
        description="Keeps readings, and their hours and days, for so many days from now on; 0: as long as possible. "
        "What is older goes within two hours and cannot be brought back. A profile may say otherwise of its devices.",
        directives=[
            Needs(scope="profiles:write"),
            Rest(method=Method.PATCH, path="/retention"),
            Problem(status=422, slug="retention-malformed"),
        ],
    )
    async def retention_set(
        self,
        info: Info,
        days: Annotated[
            int | None,
            strawberry.argument(
                description="Days for readings; left out: as before.", directives=[Constraint(min=0, max=90)]
            ),
        ] = None,
        rollup_days: Annotated[
            int | None,
            strawberry.argument(
                description="Days for hours and days, never fewer than for readings; left out: as before.",
                directives=[Constraint(min=0, max=1095)],
            ),
        ] = None,
    ) -> Retention:
        """What is in force after the change."""
        return Retention.of(await retention.change(await info.context.tx(), days=days, rollup_days=rollup_days))
