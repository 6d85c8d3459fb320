"""Histories against a brute-force reading of the same points: in order, late, read back after a restart, evicted."""

import random
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.rules.windows import HUGE, LOOKBACK_MS, MOST_POINTS, History, Need, Windows

Point = tuple[int, int, Any]
"""(time, seq, value)"""

MINUTE = 60_000
seeds = st.integers(0, 2**32)
unhurried = settings(deadline=None)


def kept(points: Sequence[Point], need: Need = Need(10 * MINUTE, 3)) -> History:
    history = History(need)
    for at, seq, value in points:
        history.add(at, seq, value)
    return history


def asked(history: History, moment: int, over: int, last: int) -> list[object]:
    """Everything that can be asked at one moment."""
    kinds = ("avg", "min", "max", "sum", "count")
    return [
        *(history.aggregate(kind, moment, over) for kind in kinds),
        *(history.aggregate(kind, moment, over, last) for kind in kinds),
        history.held(moment),
        history.held(moment - over),
        history.rate(moment, over),
        history.delta(moment, over),
        history.changed(moment, over),
        history.stuck(moment, over),
        history.stuck(moment, over, 1.5),
        history.next_change(moment, over, 1_000),
    ]


def a_story(rng: random.Random) -> list[Point]:
    """Points as they come: mostly in order, some late, some at the same time, numbers of very different sizes."""
    at, points = 1_000_000_000_000, []
    for seq in range(rng.randint(1, 60)):
        at += rng.choice([0, 1, 1_000, 1_000, 10_000, 90_000, 400_000])
        late = rng.choice([0, 0, 0, 0, 5_000, 30_000, 300_000])
        value: Any = rng.choice([0.1, 0.2, 0.3, 1e16, -1e16, 3, 7, -2.5, 1e-9, rng.random() * 100])
        points.append((at - late, rng.randint(0, 3) if rng.random() < 0.2 else seq, value))
    return points


def unique(points: Sequence[Point]) -> list[Point]:
    """Without those that have the key of an earlier one."""
    first: dict[tuple[int, int], Point] = {}
    for point in points:
        first.setdefault(point[:2], point)
    return sorted(first.values(), key=lambda point: point[:2])


@unhurried
@given(seeds)
def test_a_history_read_back_answers_as_the_one_that_was_kept_whatever_the_order(seed: int) -> None:
    rng = random.Random(seed)
    story, need = a_story(rng), Need(10 * MINUTE, 3)
    history = History(need)
    for seen in range(len(story)):
        history.add(*story[seen])
        if rng.random() < 0.5:
            continue
        newest = max(point[0] for point in story[: seen + 1])
        rebuilt = kept(unique(story[: seen + 1]))
        for moment in sorted(newest + rng.choice([0, 500, 60_000, 500_000]) for _ in range(3)):
            over, last = rng.choice([1_000, MINUTE, 10 * MINUTE]), rng.randint(1, 3)
            assert asked(history, moment, over, last) == asked(rebuilt, moment, over, last)


@unhurried
@given(seeds)
def test_every_answer_is_what_the_points_of_the_window_say(seed: int) -> None:
    rng = random.Random(seed)
    story = a_story(rng)
    points = unique(story)
    moment = points[-1][0] + rng.choice([0, 30_000, 300_000])
    over, last = rng.choice([1_000, MINUTE, 10 * MINUTE]), rng.randint(1, 3)
    history = kept(story, Need(LOOKBACK_MS, 3))
    inside = [value for at, _, value in points if moment - over < at <= moment]
    assert history.aggregate("count", moment, over) == len(inside)
    assert history.within(moment, over, last) == inside[-last:]
    if not inside:
        assert history.aggregate("avg", moment, over) is history.aggregate("max", moment, over) is None
        return
    assert history.aggregate("min", moment, over) == min(inside)
    assert history.aggregate("max", moment, over) == max(inside)
    assert history.aggregate("sum", moment, over) == float(sum(map(Fraction, inside)))
    assert history.aggregate("avg", moment, over) == pytest.approx(float(sum(map(Fraction, inside)) / len(inside)))


@unhurried
@given(seeds)
def test_a_look_back_in_time_costs_nothing_of_what_comes_after(seed: int) -> None:
    rng = random.Random(seed)
    story = unique(a_story(rng))
    history = kept(story, Need(LOOKBACK_MS, 3))
    for _ in range(10):
        moment = rng.choice(story)[0] + rng.choice([0, 700])
        so_far = kept([point for point in story if point[0] <= moment], Need(LOOKBACK_MS, 3))
        assert asked(history, moment, MINUTE, 2)[:16] == asked(so_far, moment, MINUTE, 2)[:16]


def test_a_slope_a_difference_and_a_change_by_hand() -> None:
    history = kept([(0, 1, 10.0), (60_000, 2, 12.0), (120_000, 3, 15)])
    assert history.rate(120_000, 10 * MINUTE) == pytest.approx(5 / 120_000)
    assert history.rate(120_000, MINUTE) is None  # one value has no slope
    assert history.delta(120_000, 10 * MINUTE) == 5
    assert history.delta(120_000, MINUTE) == 3  # from what it was a minute ago
    assert history.held(60_000) == 12
    assert history.held(59_999) == 10
    assert history.held(-1) is None
    assert history.before(120_000) == 12


def test_a_change_is_seen_also_when_the_value_before_it_is_older_than_the_window() -> None:
    door = kept([(0, 1, False), (3_600_000, 2, True)])
    assert door.changed(3_600_000, MINUTE) is True
    assert door.changed(3_600_000 + MINUTE, MINUTE) is False
    assert kept([(0, 1, False)]).changed(0, MINUTE) is False
    assert History(Need()).changed(0, MINUTE) is None


def test_stuck_needs_values_that_reach_back_so_far() -> None:
    flow = kept([(n * MINUTE, n, 5.0) for n in range(5)])
    assert flow.stuck(4 * MINUTE, 10 * MINUTE) is None
    assert flow.stuck(4 * MINUTE, 4 * MINUTE) is True
    assert kept([(0, 1, 5.0), (5 * MINUTE, 2, 5.2)]).stuck(5 * MINUTE, 5 * MINUTE) is False
    assert kept([(0, 1, 5.0), (5 * MINUTE, 2, 5.2)]).stuck(5 * MINUTE, 5 * MINUTE, 0.5) is True
    assert kept([(0, 1, "auto")]).stuck(5 * MINUTE, 5 * MINUTE) is None  # one value says nothing


def test_what_is_no_number_counts_but_is_in_no_average() -> None:
    history = kept([(0, 1, 1.0), (1, 2, "broken"), (2, 3, True), (3, 4, 3.0)])
    assert [history.aggregate(kind, 3, 1_000) for kind in ("avg", "sum", "min", "max", "count")] == [2, 4, 1, 3, 4]
    assert kept([(0, 1, HUGE * 10), (1, 2, 1.0)]).aggregate("sum", 1, 1_000) is None


def test_a_window_says_when_it_changes_by_itself() -> None:
    history = kept([(1_000, 1, 1.0), (5_500, 2, 1.0)])
    assert history.next_change(6_000, 10_000, 4_000) == 12_000  # the first leaves at 11,000, seen at the next line
    assert history.next_change(12_000, 10_000, 4_000) == 15_500  # the last leaves in time
    assert history.next_change(15_500, 10_000, 4_000) is None


def test_a_history_stays_bounded_however_long_it_grows() -> None:
    history = kept([(n * 1_000, n, float(n)) for n in range(50_000)], Need(MINUTE))
    assert len(history) < 200
    assert history.aggregate("count", 49_999_000, MINUTE) == 60
    longest = kept([(n, n, 1.0) for n in range(MOST_POINTS * 2)], Need(LOOKBACK_MS))
    assert len(longest) < MOST_POINTS * 1.5
    assert longest.aggregate("count", MOST_POINTS * 2, LOOKBACK_MS) == MOST_POINTS


def test_a_tenants_histories_stay_within_their_bound_and_those_talking_stay() -> None:
    windows = Windows(most_points=100)
    windows.use({"t": Need(MINUTE)})
    for device in range(20):
        windows.begin(str(device))
        for n in range(10):
            windows.add(str(device), "t", n, n, 1.0)
        windows.evict([str(device), "0"])
    assert windows.points <= 100
    assert windows.knows("0")
    assert windows.knows("19")
    assert not windows.knows("1")
    assert windows.points == sum(len(windows.of(device, "t") or ()) for device in windows)


def test_a_longer_look_back_asks_for_everything_again_and_a_shorter_one_does_not() -> None:
    windows = Windows()
    windows.use({"t": Need(MINUTE, 2)})
    windows.begin("a", [("t", 2, 2, 2.0), ("t", 1, 1, 1.0)])
    windows.use({"t": Need(1_000)})
    assert windows.knows("a")
    windows.use({"t": Need(MINUTE)})
    assert windows.knows("a")
    windows.use({"t": Need(2 * MINUTE)})
    assert not windows.knows("a")
    assert windows.points == 0
