"""What is decided without a database: quiet hours, when to try again, what a message may hold."""

from datetime import UTC, datetime, time, timedelta

import pytest

from engine.notifications import retry
from engine.notifications.model import Message, QuietHours

NIGHT = QuietHours(time(22), time(7), "Europe/Berlin")
NOON = QuietHours(time(12), time(13, 30), "America/New_York")


@pytest.mark.parametrize(
    ("quiet", "now", "over"),
    [
        (NIGHT, "2026-01-15T20:59:00+00:00", None),
        (NIGHT, "2026-01-15T21:00:00+00:00", "2026-01-16T06:00:00+00:00"),
        (NIGHT, "2026-01-16T05:59:59+00:00", "2026-01-16T06:00:00+00:00"),
        (NIGHT, "2026-01-16T06:00:00+00:00", None),
        (NIGHT, "2026-07-15T20:30:00+00:00", "2026-07-16T05:00:00+00:00"),
        (NIGHT, "2026-03-28T22:00:00+00:00", "2026-03-29T05:00:00+00:00"),  # the night in which the clock is put on
        (NOON, "2026-01-15T17:15:00+00:00", "2026-01-15T18:30:00+00:00"),
        (NOON, "2026-01-15T18:30:00+00:00", None),
    ],
)
def test_quiet_hours_follow_the_clock_on_the_wall(quiet: QuietHours, now: str, over: str | None) -> None:
    assert quiet.over_at(datetime.fromisoformat(now)) == (None if over is None else datetime.fromisoformat(over))


def test_it_is_tried_again_soon_at_first_then_rarely_and_given_up_after_three_days() -> None:
    age_s, waits = 0.0, []
    while (wait := retry.wait_s(len(waits) + 1, age_s, 0.5)) is not None:
        waits.append(wait)
        age_s += wait
    assert waits[:4] == [5, 15, 45, 135]
    assert waits == sorted(waits)
    assert max(waits) == retry.LONGEST_S
    assert 60 * 3_600 < age_s <= 72 * 3_600


@pytest.mark.parametrize(("drawn", "wait"), [(0.0, 4.0), (0.5, 5.0), (1.0, 6.0)])
def test_what_failed_together_does_not_come_back_together(drawn: float, wait: float) -> None:
    assert retry.wait_s(1, 0, drawn) == pytest.approx(wait)


@pytest.mark.parametrize(
    ("failures", "days", "is_dead"), [(10, 3.0, True), (9, 3.0, False), (100, 2.9, False), (10, 30.0, True)]
)
def test_a_channel_is_dead_after_enough_failures_and_enough_days(failures: int, days: float, is_dead: bool) -> None:
    now = datetime(2026, 1, 15, tzinfo=UTC)
    assert retry.is_dead(failures, now - timedelta(days=days), now, 3) is is_dead
    assert not retry.is_dead(failures, None, now, 3)


def test_a_message_cannot_hold_what_would_become_a_header() -> None:
    node = Message(
        "alert.raised", "Hot\r\nBcc: all@example.com", "One.\r\n\r\nTwo.\x00\x1b[31m", facts=(("a\nb", "c\rd"),)
    ).written()
    assert node["title"] == "Hot Bcc: all@example.com"
    assert node["text"] == "One.\n\nTwo.[31m"
    assert node["facts"] == [["a b", "c d"]]


def test_a_message_is_bounded_and_comes_back_as_it_was_written() -> None:
    said = Message("alert.raised", "x" * 500, "y" * 9_000, tuple((str(n), "z") for n in range(50)), "/alerts")
    node = said.written()
    assert len(str(node["title"])) == 200
    assert len(str(node["text"])) == 4_000
    assert Message.read(node).written() == node
    assert Message.read(node, "/secret").link == "/secret"
