"""What time it is, in UTC, in the two forms the platform uses; and the clocks on walls elsewhere, by their names."""

import time
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def now() -> datetime:
    """The current instant, aware, in UTC."""
    return datetime.now(UTC)


def now_ms() -> int:
    """The current instant in milliseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000_000


def to_ms(at: datetime) -> int:
    """``at`` in milliseconds since 1970-01-01 UTC, rounded down."""
    return int(at.timestamp() * 1000)


def from_ms(at_ms: int) -> datetime:
    """The aware UTC instant of ``at_ms`` milliseconds since 1970-01-01 UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def zone_of(name: str | None) -> ZoneInfo | None:
    """The time zone of this IANA name, None if there is none."""
    return None if not name else _zone(name)


@lru_cache(maxsize=1_024)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def hour_of(at: datetime) -> datetime:
    """The beginning of the hour that ``at`` lies in."""
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
