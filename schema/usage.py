"""What a tenant may use of the platform and what it has used, as the contract shows it."""

from datetime import datetime
from typing import Self

import strawberry

from engine.quotas import model
from engine.quotas.model import QuotaName
from schema.directives import Constraint
from schema.enums import shown

shown(
    QuotaName,
    "What is limited.",
    DEVICES="How many devices there are, decommissioned ones aside.",
    MESSAGES_PER_S="Messages a second of all devices together.",
    VALUES_PER_S="Values a second of all devices together.",
    STORAGE_DAYS="Days for which telemetry is kept.",
    SUBSCRIPTIONS="Live streams that are open at once.",
    API_COST_PER_MIN="What API operations cost together in a minute.",
)


@strawberry.type(description="One quota of a tenant, and how much of it is used.")
class Quota:
    """A limit and its use."""

    name: QuotaName = strawberry.field(description="What is limited.")
    limit: int = strawberry.field(description="How much there may be.")
    used: float = strawberry.field(
        description="How much there is: now, in the last minute for API cost, a second in the mean of the last hour "
        "for messages and values, the oldest day that is stored for storage."
    )
    is_own: bool = strawberry.field(description="Whether it was set for this tenant; otherwise the platform's default.")

    @classmethod
    def of(cls, use: model.Use) -> Self:
        """The contract's view of ``use``."""
        return cls(name=use.name, limit=use.limit, used=use.used, is_own=use.is_own)


@strawberry.type(description="What a tenant used in one hour.")
class UsageHour:
    """Counters of one hour."""

    hour: datetime = strawberry.field(description="The hour's beginning.")
    messages: int = strawberry.field(description="Readings that came in, whatever became of them.")
    stored: int = strawberry.field(description="Of them: stored, one row each.")
    refused: int = strawberry.field(description="Of them: refused, over quota or without the right.")
    values: int = strawberry.field(description="Values in the rows that were stored.")
    api_cost: int = strawberry.field(description="Cost of the API operations that ran.")
    api_refused: int = strawberry.field(description="API operations and streams refused over quota.")
    streams_peak: int = strawberry.field(description="The most live streams that were open at once.")
    devices: int | None = strawberry.field(description="Devices, decommissioned ones left out, when last counted.")

    @classmethod
    def of(cls, hour: model.Hour) -> Self:
        """The contract's view of ``hour``."""
        return cls(
            hour=hour.hour,
            messages=hour.messages,
            stored=hour.stored,
            refused=hour.refused,
            values=hour.values,
            api_cost=hour.api_cost,
            api_refused=hour.api_refused,
            streams_peak=hour.streams_peak,
            devices=hour.devices,
        )


@strawberry.type(description="What a tenant may use, and what it has used.")
class Usage:
    """Quotas and hours."""

    quotas: list[Quota] = strawberry.field(description="Every quota with what is used of it.")
    hours: list[UsageHour] = strawberry.field(
        description="What was used hour by hour, oldest first; an hour in which nothing was is left out."
    )


@strawberry.input(description="A quota to be set for one tenant.")
class PlatformQuotaChange:
    """Input of platformQuotaChange."""

    name: QuotaName = strawberry.field(description="What is limited.")
    limit: int | None = strawberry.field(
        default=None,
        description="How much there may be, at most 90 for days of storage; left out or null: the platform's default.",
        directives=[Constraint(min=1, max=1_000_000_000)],
    )
