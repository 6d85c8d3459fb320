"""Six quotas of a tenant: the platform's defaults, changed for one tenant where its operator has said so; pure."""

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from engine.settings import Settings


class QuotaName(StrEnum):
    """What is limited."""

    DEVICES = "devices"
    MESSAGES_PER_S = "messages_per_s"
    VALUES_PER_S = "values_per_s"
    STORAGE_DAYS = "storage_days"
    SUBSCRIPTIONS = "subscriptions"
    API_COST_PER_MIN = "api_cost_per_min"


@dataclass(frozen=True, slots=True)
class Quotas:
    """What one tenant may use. Rates are held over time; a burst may be larger for some seconds."""

    devices: int
    messages_per_s: int
    values_per_s: int
    storage_days: int
    subscriptions: int
    api_cost_per_min: int

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The platform's defaults."""
        return cls(
            devices=settings.quota_devices,
            messages_per_s=settings.quota_messages_per_s,
            values_per_s=settings.quota_values_per_s,
            storage_days=settings.quota_storage_days,
            subscriptions=settings.quota_subscriptions,
            api_cost_per_min=settings.quota_api_cost_per_min,
        )

    def but(self, own: Mapping[str, Any] | None) -> "Quotas":
        """These, with a tenant's own where it has them; a missing one or None leaves the default."""
        known = asdict(self)
        return replace(
            self, **{name: value for name, value in (own or {}).items() if name in known and value is not None}
        )

    def limit(self, name: QuotaName) -> int:
        """One of them."""
        return int(getattr(self, name.value))


@functools.cache
def defaults() -> Quotas:
    """The defaults of this process, for services that are handed no settings: what its environment says."""
    return Quotas.of(Settings.from_env())


@dataclass(frozen=True, slots=True)
class Hour:
    """What a tenant used in one hour. ``messages`` is what came in, counted as ``counts`` does: one per reading.

    ``devices`` is None where nobody has looked in that hour; ``streams_peak`` is the most that were open at once.
    """

    hour: datetime
    messages: int
    stored: int
    refused: int
    values: int
    api_cost: int
    api_refused: int
    streams_peak: int
    devices: int | None


@dataclass(frozen=True, slots=True)
class Use:
    """One quota and how much of it is used: now, or for a rate of messages or values as the mean of the last hour."""

    name: QuotaName
    limit: int
    used: float
    is_own: bool
