"""Times of day, days and cron by the clock on the wall, also on the two days a year on which it is set."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import zone_of
from engine.rules.schedule import Span, is_cron, last_time, next_time

BERLIN = ZoneInfo("Europe/Berlin")
_MINUTE = timedelta(minutes=1)
WEEKDAYS = frozenset({1, 2, 3, 4, 5})


def at(text: str, fold: int = 0) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).timestamp() * 1000)


def shown(moment: int | None) -> str:
    return "never" if moment is None else datetime.fromtimestamp(moment / 1000, BERLIN).isoformat(timespec="minutes")


def test_a_span_holds_from_its_first_minute_until_before_its_end() -> None:
    working = Span(WEEKDAYS, 6 * 60, 22 * 60)
    assert [working.holds(at(f"2026-11-20T{t}"), BERLIN) for t in ("05:59", "06:00", "21:59", "22:00")] == [
        False,
        True,
        True,
        False,
    ]
    assert shown(working.next_change(at("2026-11-20T22:00"), BERLIN)) == "2026-11-23T06:00+01:00"


def test_a_span_over_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    friday_night = Span(frozenset({5}), 22 * 60, 6 * 60)
    assert friday_night.holds(at("2026-11-21T05:59"), BERLIN)
    assert not friday_night.holds(at("2026-11-20T05:59"), BERLIN)
    assert shown(friday_night.next_change(at("2026-11-21T05:00"), BERLIN)) == "2026-11-21T06:00+01:00"


def test_a_span_in_the_skipped_hour_does_not_happen_and_one_in_the_repeated_hour_happens_twice() -> None:
    night = Span(start=150, end=180)
    assert shown(night.next_change(at("2026-03-28T12:00"), BERLIN)) == "2026-03-30T02:30+02:00"
    moment, seen = at("2026-10-24T12:00"), []
    for _ in range(4):
        moment = night.next_change(moment, BERLIN) or 0
        seen.append(shown(moment))
    assert seen == [
        "2026-10-25T02:30+02:00",
        "2026-10-25T02:00+01:00",
        "2026-10-25T02:30+01:00",
        "2026-10-25T03:00+01:00",
    ]


def test_what_is_always_so_never_changes() -> None:
    assert Span().holds(at("2026-11-22T00:00"), BERLIN)
    assert Span().next_change(at("2026-11-22T00:00"), BERLIN) is None


@given(
    st.frozensets(st.integers(1, 7), min_size=1),
    st.integers(0, 1_439),
    st.integers(0, 1_440),
    st.sampled_from(["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]),
    st.integers(0, 400 * 24 * 60),
)
def test_between_a_moment_and_the_next_change_nothing_changes(
    days: frozenset[int], start: int, end: int, zone_name: str, minute: int
) -> None:
    span, zone = Span(days, start, end % 1_440), ZoneInfo(zone_name)
    moment = at("2026-01-01T00:00") + minute * 60_000
    until = span.next_change(moment, zone)
    horizon = moment + 3 * 86_400_000 if until is None else min(until, moment + 3 * 86_400_000)
    expected = span._holds(moment, zone)
    step = 7 * 60_000
    assert all(span._holds(then, zone) is expected for then in range(moment, horizon, step))
    assert until is None or span._holds(until, zone) is not expected
    assert until is None or span._holds(until - 1, zone) is expected


def test_cron_runs_by_the_sites_clock() -> None:
    assert shown(next_time("0 6 * * 1-5", at("2026-11-20T06:00"), BERLIN)) == "2026-11-23T06:00+01:00"
    assert shown(next_time("30 2 * * *", at("2026-03-28T12:00"), BERLIN)) == "2026-03-29T03:00+02:00"
    assert shown(next_time("30 2 * * *", at("2026-10-24T12:00"), BERLIN)) == "2026-10-25T02:30+02:00"
    assert shown(next_time("30 2 * * *", at("2026-10-25T02:30"), BERLIN)) == "2026-10-26T02:30+01:00"


def test_a_time_that_is_skipped_in_spring_comes_at_once_after_the_jump_and_the_next_day_as_ever() -> None:
    assert shown(next_time("30 2 * * *", at("2027-03-27T12:00"), BERLIN)) == "2027-03-28T03:00+02:00"
    assert shown(next_time("30 2 * * *", at("2027-03-28T03:00"), BERLIN)) == "2027-03-29T02:30+02:00"
    assert shown(last_time("30 2 * * *", at("2027-03-28T01:59"), at("2027-03-28T03:01"), BERLIN)) == (
        "2027-03-28T03:00+02:00"
    )
    assert shown(next_time("0 6 * * *", at("2027-03-27T06:00"), BERLIN)) == "2027-03-28T06:00+02:00"  # 23 hours later


def test_a_time_that_comes_twice_in_autumn_counts_once() -> None:
    first = next_time("30 2 * * *", at("2026-10-24T12:00"), BERLIN)
    assert shown(first) == "2026-10-25T02:30+02:00"
    assert shown(next_time("30 2 * * *", first or 0, BERLIN)) == "2026-10-26T02:30+01:00"
    assert last_time("30 2 * * *", at("2026-10-25T02:30"), at("2026-10-25T02:45", fold=1), BERLIN) is None
    assert shown(next_time("0 6 * * *", at("2026-10-24T06:00"), BERLIN)) == "2026-10-25T06:00+01:00"  # 25 hours later


@pytest.mark.parametrize(
    ("place", "day"),
    [
        ("Europe/Berlin", "2026-10-25"),
        ("Europe/Berlin", "2026-03-29"),
        ("America/New_York", "2026-11-01"),
        ("America/Santiago", "2026-04-04"),
        ("Australia/Lord_Howe", "2026-04-05"),
        ("Australia/Lord_Howe", "2026-10-04"),
    ],
)
@pytest.mark.parametrize("expression", ["30 2 * * *", "59 1,23 * * *", "*/20 * * * *", "0 */2 * * *"])
def test_from_any_moment_about_the_hour_in_which_the_clock_is_set_each_time_is_found(
    place: str, day: str, expression: str
) -> None:
    """Once, from within the hour that comes again, the next time was one that was over, and the last a day ago."""
    zone, minute = ZoneInfo(place), 60_000
    noon = int(datetime.fromisoformat(day).replace(hour=12, tzinfo=zone).timestamp() * 1000)
    names = [set(_numbers(field, most)) for field, most in zip(expression.split(), (60, 24), strict=False)]
    times, shown, before = [], set(), None
    for at in range(noon - 36 * 60 * minute, noon + 24 * 60 * minute, minute):
        wall = datetime.fromtimestamp(at / 1000, zone).replace(tzinfo=None, fold=0)
        passed = [wall - timedelta(minutes=n) for n in range(60)] if before not in (None, wall - _MINUTE) else [wall]
        news = {each for each in passed if each not in shown} if "*" not in expression[:3] else {wall}
        if any(each.minute in names[0] and each.hour in names[1] for each in news):
            times.append(at)
        shown |= {*passed}
        before = wall
    begin, end = noon - 14 * 60 * minute, noon
    for at in range(begin, end, 7 * minute + 1_000):
        assert next_time(expression, at, zone) == next(each for each in times if each > at)
        assert last_time(expression, begin - 86_400_000, at, zone) == next(each for each in times[::-1] if each <= at)


def _numbers(field: str, most: int) -> Iterator[int]:
    every = field.partition("/")[2]
    yield from range(0, most, int(every or 1)) if field.startswith("*") else map(int, field.split(","))


def test_of_the_times_that_were_missed_the_last_one_counts() -> None:
    begun, now = at("2026-11-20T05:00"), at("2026-11-22T12:00")
    assert shown(last_time("0 6 * * *", begun, now, BERLIN)) == "2026-11-22T06:00+01:00"
    assert last_time("0 6 * * *", at("2026-11-22T06:00"), now, BERLIN) is None
    assert last_time("0 6 * * *", begun, at("2026-11-22T06:00"), BERLIN) == at("2026-11-22T06:00")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 6 * * 1-5", True),
        ("*/5 * * * *", True),
        ("0 0 31 2 *", False),
        ("* * * * * *", False),
        ("61 * * * *", False),
        ("", False),
        ("@daily", False),
    ],
)
def test_only_five_fields_that_come_round_are_a_cron_expression(expression: str, expected: bool) -> None:
    assert is_cron(expression) is expected


def test_a_time_zone_has_a_name_that_the_world_knows() -> None:
    assert zone_of("Europe/Berlin") == BERLIN
    assert zone_of("../../etc/passwd") is zone_of("Nowhere") is zone_of(None) is None
