"""What is said to whoever has used a quota up: which one, how much it is, and when there is some again."""

import math

from engine.errors import Conflict, EngineError, Invalid
from engine.quotas.model import QuotaName

_WORDS = {
    QuotaName.SUBSCRIPTIONS: "This tenant has {limit} live streams open, its quota. Close one, then try again.",
    QuotaName.API_COST_PER_MIN: "This tenant's API operations have used up {limit} cost units a minute, its quota. "
    "There is enough again in {wait} s.",
}


class QuotaExceeded(EngineError):
    """A quota of this tenant is used up for the moment."""

    code = "QUOTA_EXCEEDED"

    def __init__(self, name: QuotaName, limit: int, retry_after_s: float) -> None:
        wait = max(1, math.ceil(retry_after_s))
        words = _WORDS[name].format(limit=limit, wait=wait)
        super().__init__(words, quota=name.value, limit=limit, retry_after_s=wait)


class DeviceQuotaReached(Conflict):
    """This tenant has as many devices as its quota allows; decommission one, or ask for a larger quota."""

    code = "DEVICE_QUOTA_REACHED"


class QuotaMalformed(Invalid):
    """A quota is a whole number from 1 upwards, storage at most 90 days; null means the platform's default."""

    code = "QUOTA_MALFORMED"
