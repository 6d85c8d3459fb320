"""Buckets of time: ``15m`` or ``1d`` as an interval, on the calendar of a time zone."""

import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from engine.telemetry.errors import BucketMalformed, TimeZoneUnknown, TooManyPoints

MAX_BUCKETS = 10_000
_FORM = re.compile(r"([1-9][0-9]{0,3})(s|m|h|d|w|mo)")
_UNITS = {
    "s": ("seconds", 1, "fixed"),
    "m": ("minutes", 60, "fixed"),
    "h": ("hours", 3600, "fixed"),
    "d": ("days", 86_400, "local"),
    "w": ("weeks", 604_800, "local"),
    "mo": ("months", 2_592_000, "month"),
}


@dataclass(frozen=True, slots=True)
class Bucket:
    """``count`` of a unit. ``interval`` is for Postgres, ``size_s`` the usual length, for estimates only.

    ``calendar`` says how starts are found: ``fixed`` length, ``local`` days of a time zone, or by ``month``.
    """

    name: str
    count: int
    interval: str
    size_s: int
    calendar: str


def parse(name: str) -> Bucket:
    """``"15m"`` as a Bucket; raises BucketMalformed."""
    form = _FORM.fullmatch(name)
    if form is None:
        raise BucketMalformed
    unit, size_s, calendar = _UNITS[form[2]]
    count = int(form[1])
    return Bucket(name, count, f"{count} {unit}", count * size_s, calendar)


def check(bucket: Bucket, start: datetime, end: datetime) -> None:
    """Raises TooManyPoints when the range holds more than ten thousand buckets."""
    if (end - start).total_seconds() / bucket.size_s > MAX_BUCKETS:
        raise TooManyPoints


@lru_cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones() - {"localtime", "Factory"})  # whose is that of the machine, or nobody's


def zone(name: str) -> str:
    """``name`` if it is a time zone; raises TimeZoneUnknown."""
    if name not in _zones():
        raise TimeZoneUnknown
    return ZoneInfo(name).key
