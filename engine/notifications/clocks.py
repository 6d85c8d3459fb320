"""Moments as people outside are told them: by one clock on a wall, which is named.

The platform writes the times in its sentences in UTC, and the console puts them into the reader's time zone as it shows
them. A message cannot know where it is read: it goes by the clock of the device it is about, else by the tenant's.
"""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from engine.clock import zone_of
from engine.store.tx import Tx
from engine.tenants import service as tenants

_WRITTEN = re.compile(
    r"(?:(?P<date>\d{4}-\d\d-\d\d) |(?P<day>\d{1,2} [A-Z][a-z]{2} \d{4}) )?\b(?P<clock>(?:[01]\d|2[0-3]):[0-5]\d) UTC"
)
_UNTIL = re.compile(r"until\s*$", re.IGNORECASE)


def zone_for(device: str | None, tenant: str | None) -> ZoneInfo:
    """The time zone of that device if it names one that exists, else the tenant's, else UTC."""
    return zone_of(device) or zone_of(tenant) or ZoneInfo("UTC")


async def tenants_zone(tx: Tx) -> ZoneInfo:
    """The time zone of the tenant that this transaction acts for."""
    return zone_for(None, (await tenants.current(tx)).time_zone)


def zone_name(zone: ZoneInfo) -> str:
    """A time zone as it stands behind a time: "(Europe/Berlin)"."""
    return "UTC" if zone.key == "UTC" else f"({zone.key})"


def told(at: datetime, zone: ZoneInfo) -> str:
    """A moment with its day: "22 November 2026, 14:02 (Europe/Berlin)"."""
    return f"{at.astimezone(zone):%-d %B %Y, %H:%M} {zone_name(zone)}"


def by_clock(sentence: str, zone: ZoneInfo, said_at: datetime, told_at: datetime) -> str:
    """A sentence of the platform's with its times by that clock: "since 14:02 UTC" is "since 16:02 (Europe/Berlin)".

    A time without a day is of the day of ``said_at``, or of the next one behind "until". Where the day is not that of
    ``told_at`` it is said, so that a reminder says since when.
    """

    def moved(found: re.Match[str]) -> str:
        try:
            here = _moment(found, said_at).astimezone(zone)
        except (ValueError, OverflowError):  # a day that no calendar has
            return found[0]
        day = "" if here.date() == told_at.astimezone(zone).date() else f"{here:%-d %b %Y}, "
        return f"{day}{here:%H:%M} {zone_name(zone)}"

    return _WRITTEN.sub(moved, sentence)


def _moment(found: re.Match[str], said_at: datetime) -> datetime:
    said, day = said_at.astimezone(UTC), found["date"] or found["day"]
    form = "%Y-%m-%d" if found["date"] else "%d %b %Y"
    at = datetime.strptime(f"{day or said.strftime(form)} {found['clock']} +0000", f"{form} %H:%M %z")
    is_over = at + timedelta(minutes=1) <= said  # not in its own minute, whose seconds are not written
    is_tomorrow = not day and is_over and _UNTIL.search(found.string[: found.start()])
    return at + timedelta(days=1) if is_tomorrow else at
