"""How often a rule would fire is said by the history there is, and not said where there is too little."""

from datetime import UTC, datetime, timedelta

import pytest

from engine.rules.tried import Backtest

END = datetime(2026, 5, 8, tzinfo=UTC)


def played(total: int, history: timedelta, devices: int = 2, in_scope: int = 2) -> Backtest:
    """A backtest over 7 days."""
    start = END - timedelta(days=7)
    return Backtest(start, END, 100, devices, in_scope, True, (), total, 1, (), history)


@pytest.mark.parametrize(
    ("total", "history", "per_day", "said"),
    [
        (
            8,
            {"minutes": 30},
            None,
            "Only 30 minutes of history: too little to say how many a day; it fired 8 times in it.",
        ),
        (1, {"minutes": 4}, None, "Only 4 minutes of history: too little to say how many a day; it fired once in it."),
        (0, {"seconds": 3}, None, "Only 1 minute of history: too little to say how many a day."),
        (0, {}, None, "There is no history of these devices in that time."),
        (8, {"days": 2}, 4, "About 4 a day, by 2 days of history."),
        (4_000, {"days": 1}, 4_000, "About 4,000 a day, by 1 day of history."),
        (1, {"days": 7}, 0.14, "About one every 7 days, by 7 days of history."),
        (7, {"days": 7, "hours": 10}, 0.94, "About 1 a day, by 7 days 10 hours of history."),
        (0, {"days": 7}, 0, "By 7 days of history."),
    ],
)
def test_an_estimate_says_by_how_much_history(
    total: int, history: dict[str, float], per_day: float | None, said: str
) -> None:
    found = played(total, timedelta(**history))
    assert (found.per_day, found.estimate) == (per_day, said)


def test_devices_that_were_not_played_fire_as_often_as_those_that_were() -> None:
    assert played(8, timedelta(days=2), devices=2, in_scope=10).per_day == 20
