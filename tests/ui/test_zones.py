"""The times in the platform's sentences, which it writes in UTC, as the reader's own clock has them."""

import json
import subprocess
import sys
from pathlib import Path

import ui

LAW = Path(__file__).with_name("zones_law.js")
BUN = Path(sys.executable).with_name("bun")
RAISED = "2026-07-01T14:12:00Z"
LATE = "2026-11-22T23:30:00Z"
BERLIN, CHICAGO = "Europe/Berlin", "America/Chicago"
TOLD = {
    ("above 8 °C, for 10 minutes since 14:02 UTC", RAISED, BERLIN): "above 8\u00a0°C, for 10 minutes since 16:02 CEST",
    ("above 8 °C, for 10 minutes since 14:02 UTC", RAISED, "UTC"): "above 8\u00a0°C, for 10 minutes since 14:02 UTC",
    ("since 30 Jun 2026 20:00 UTC", RAISED, BERLIN): "since 30 Jun 2026, 22:00 CEST",
    ("for 2 hours since 21:30 UTC", LATE, BERLIN): "for 2 hours since 22 Nov 2026, 22:30 CET",  # read on the 23rd there
    ("nobody is told until 00:10 UTC.", LATE, BERLIN): "nobody is told until 01:10 CET.",  # of the next day
    ("until 23:30 UTC.", "2026-11-22T23:30:40Z", BERLIN): "until 00:30 CET.",  # in its last minute still
    ("until 23:29 UTC.", "2026-11-22T23:30:40Z", BERLIN): "until 24 Nov 2026, 00:29 CET.",
    ("at 24:10 UTC, at 12:75 UTC", LATE, BERLIN): "at 24:10 UTC, at 12:75 UTC",
    ("at 02:00 UTC", LATE, CHICAGO): "at 21 Nov 2026, 20:00 GMT-6",
    ("Until 2026-11-23 06:00 UTC.", LATE, BERLIN): "Until 07:00 CET.",
    ("2026-01-31 23:59 UTC", None, BERLIN): "1 Feb 2026, 00:59 CET",
    ("the metric UTC is above 14:02", RAISED, BERLIN): "the metric UTC is above 14:02",
    (
        "humidity was 71.6 %, above 8 °C and 60 %",
        RAISED,
        BERLIN,
    ): "humidity was 71.6\u00a0%, above 8\u00a0°C and 60\u00a0%",
    (
        "12.5 V, 3 m³/h, 40 mbar and 5 min, 6 Mondays",
        RAISED,
        BERLIN,
    ): "12.5\u00a0V, 3\u00a0m³/h, 40\u00a0mbar and 5\u00a0min, 6 Mondays",
    ("", RAISED, BERLIN): "",
}


def test_a_time_is_said_by_the_readers_clock_which_is_named() -> None:
    asked = [[text, at, zone, "en-GB"] for text, at, zone in TOLD]
    given = json.dumps({"zones": str(Path(ui.__file__).parent / "islands" / "zones.js"), "asked": asked})
    said = subprocess.run([str(BUN), str(LAW)], input=given, capture_output=True, text=True, timeout=180, check=True)
    assert dict(zip(TOLD, json.loads(said.stdout), strict=True)) == TOLD
