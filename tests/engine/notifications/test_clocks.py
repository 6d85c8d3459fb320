"""The times in what people outside are told, which the platform writes in UTC, by a clock of theirs."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from engine.notifications import clocks

RAISED, LATE = "2026-07-01T14:12:00+00:00", "2026-11-22T23:30:40+00:00"
BERLIN, CHICAGO = "Europe/Berlin", "America/Chicago"


@pytest.mark.parametrize(
    ("said", "at", "zone", "told"),
    [
        ("for 10 minutes since 14:02 UTC", RAISED, BERLIN, "for 10 minutes since 16:02 (Europe/Berlin)"),
        ("for 10 minutes since 14:02 UTC", RAISED, "UTC", "for 10 minutes since 14:02 UTC"),
        ("since 30 Jun 2026 20:00 UTC", RAISED, BERLIN, "since 30 Jun 2026, 22:00 (Europe/Berlin)"),
        ("since 21:30 UTC", LATE, BERLIN, "since 22 Nov 2026, 22:30 (Europe/Berlin)"),  # read on the 23rd there
        ("nobody is told until 00:10 UTC.", LATE, BERLIN, "nobody is told until 01:10 (Europe/Berlin)."),
        ("until 23:30 UTC.", LATE, BERLIN, "until 00:30 (Europe/Berlin)."),  # in its last minute still
        ("Until 2026-11-23 06:00 UTC.", LATE, BERLIN, "Until 07:00 (Europe/Berlin)."),
        ("at 02:00 UTC", LATE, CHICAGO, "at 21 Nov 2026, 20:00 (America/Chicago)"),
        ("at 24:10 UTC, at 12:75 UTC", LATE, BERLIN, "at 24:10 UTC, at 12:75 UTC"),
        ("30 Feb 2026 10:00 UTC", LATE, BERLIN, "30 Feb 2026 10:00 UTC"),
        ("9999-12-31 23:59 UTC", LATE, BERLIN, "9999-12-31 23:59 UTC"),
        ("", LATE, BERLIN, ""),
    ],
)
def test_a_time_is_told_by_a_clock_that_is_named(said: str, at: str, zone: str, told: str) -> None:
    moment = datetime.fromisoformat(at)
    assert clocks.by_clock(said, ZoneInfo(zone), moment, moment) == told


def test_a_reminder_of_a_later_day_says_the_day() -> None:
    raised, now = datetime(2026, 7, 1, 14, 12, tzinfo=UTC), datetime(2026, 7, 2, 9, tzinfo=UTC)
    assert (
        clocks.by_clock("since 14:02 UTC", ZoneInfo(BERLIN), raised, now) == "since 1 Jul 2026, 16:02 (Europe/Berlin)"
    )


def test_a_device_without_a_clock_that_exists_goes_by_the_tenants_and_that_by_utc() -> None:
    assert clocks.zone_for("Asia/Tokyo", BERLIN).key == "Asia/Tokyo"
    assert clocks.zone_for("Nowhere", BERLIN).key == clocks.zone_for(None, BERLIN).key == BERLIN
    assert clocks.zone_for(None, None).key == "UTC"
    assert (
        clocks.told(datetime(2026, 1, 5, 13, 2, tzinfo=UTC), ZoneInfo(BERLIN))
        == "5 January 2026, 14:02 (Europe/Berlin)"
    )
