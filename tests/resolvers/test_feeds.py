"""What waits for a slow reader: telemetry melts together and says so, events are never left out."""

import asyncio
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.feeds import STRAIGHT, WAITING_EVENTS, WAITING_READINGS, EventFeed, FellBehind, Reading, TelemetryFeed

A, B = uuid4(), uuid4()


def _reading(pos: int, device: UUID = A, time_ms: int | None = None, **values: object) -> Reading:
    return Reading(str(pos), device, time_ms if time_ms is not None else pos, values or {"t": pos})


def _full(feed: TelemetryFeed) -> None:
    for pos in range(1, WAITING_READINGS + 1):
        feed.offer(_reading(pos))


def test_a_reader_who_keeps_up_gets_every_reading() -> None:
    feed = TelemetryFeed([A], None)
    _full(feed)
    assert [reading.values["t"] for reading in feed.take()] == list(range(1, WAITING_READINGS + 1))


def test_a_slow_reader_gets_the_newest_of_each_metric_and_how_many_were_left_out() -> None:
    feed = TelemetryFeed([A, B], None)
    _full(feed)
    feed.offer(_reading(1001, A, 50, t=1, h=1))
    feed.offer(_reading(1002, B, 51, t=5))
    feed.offer(_reading(1003, A, 60, t=2))
    feed.offer(_reading(1004, A, 55, h=9, t=-1))  # late: its h is the newest h, its t is not the newest t
    *plain, b, a = feed.take()
    assert len(plain) == WAITING_READINGS
    assert (b.device_id, b.values, b.skipped) == (B, {"t": 5}, 0)
    assert (a.device_id, a.values, a.skipped, a.time_ms) == (A, {"t": 2, "h": 9}, 2, 60)
    assert a.cursor == "1004"


def test_a_cursor_inside_melted_readings_leads_back_before_them() -> None:
    feed = TelemetryFeed([A, B], None)
    _full(feed)
    feed.offer(_reading(1001, A, t=1))
    feed.offer(_reading(1002, B, t=2))
    feed.offer(_reading(1003, A, t=3))
    b, a = feed.take()[WAITING_READINGS:]
    assert b.cursor == str(WAITING_READINGS), "resuming after b must see A's reading at 1001 again"
    assert a.cursor == "1003"


async def test_readings_go_straight_while_the_reader_waits_and_never_past_one_that_could_not() -> None:
    feed, straight, has_room = TelemetryFeed([A], None), list[str](), True

    def take(reading: Reading) -> bool:
        if has_room:
            straight.append(reading.cursor)
        return has_room

    feed.hand_to(take)
    feed.offer(_reading(1))
    assert not straight, "the reader has not come yet"
    assert [reading.cursor for reading in await feed.next()] == ["1"]
    reading = asyncio.create_task(feed.next())
    await asyncio.sleep(0)
    feed.offer(_reading(2))
    has_room = False
    feed.offer(_reading(3))
    has_room = True
    feed.offer(_reading(4))
    assert straight == ["2"], "what comes behind one that waits waits too"
    assert [each.cursor for each in await reading] == ["3", "4"]
    reading = asyncio.create_task(feed.next())
    await asyncio.sleep(0)
    feed.close(FellBehind())
    with pytest.raises(FellBehind):
        await reading
    feed.offer(_reading(5))
    assert straight == ["2"], "nobody reads any more"


async def test_one_who_cannot_be_kept_up_with_conflates_though_there_is_room_and_resumes_without_loss() -> None:
    feed, straight = TelemetryFeed([A, B], None), list[str]()
    feed.hand_to(lambda reading: straight.append(reading.cursor) is None)
    reading = asyncio.create_task(feed.next())
    await asyncio.sleep(0)
    for pos in range(1, STRAIGHT + WAITING_READINGS + 4):
        feed.offer(_reading(pos, B if pos == STRAIGHT + WAITING_READINGS + 2 else A))
    assert straight == [str(pos) for pos in range(1, STRAIGHT + 1)]
    *waited, b, a = await reading
    assert len(straight) + sum(1 + each.skipped for each in (*waited, b, a)) == STRAIGHT + WAITING_READINGS + 3
    assert (b.cursor, a.cursor) == (waited[-1].cursor, str(STRAIGHT + WAITING_READINGS + 3))


def test_metrics_nobody_asked_for_do_not_come() -> None:
    feed = TelemetryFeed([A], ["t"])
    feed.offer(_reading(1, t=1, h=2))
    feed.offer(_reading(2, h=2))
    assert [reading.values for reading in feed.take()] == [{"t": 1}]


def test_a_reading_is_narrowed_once_for_all_who_ask_for_the_same_metrics() -> None:
    feeds = [TelemetryFeed([A], metrics) for metrics in (["t"], ["t"], ["h"], ["t", "h"])]
    reading = Reading("1", A, 1, {"t": 1, "h": 2, "x": 3}, {"h": "uncertain"})
    for feed in feeds:
        feed.offer(reading)
    one, two, other, both = (feed.take()[0] for feed in feeds)
    assert one is two
    assert [each.values for each in (one, other, both)] == [{"t": 1}, {"h": 2}, {"t": 1, "h": 2}]
    assert [each.quality for each in (one, other, both)] == [None, {"h": "uncertain"}, {"h": "uncertain"}]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([A, B]),
            st.integers(0, 20),
            st.dictionaries(st.sampled_from("xyz"), st.integers(0, 9), min_size=1),
        ),
        max_size=60,
    )
)
def test_whatever_is_melted_the_newest_values_survive_and_every_reading_is_counted(
    told: list[tuple[UUID, int, dict[str, int]]],
) -> None:
    feed = TelemetryFeed([A, B], None)
    _full(feed)
    newest: dict[tuple[UUID, str], tuple[int, int]] = {}
    for pos, (device, time_ms, values) in enumerate(told, 1000):
        feed.offer(Reading(str(pos), device, time_ms, values))
        for metric, value in values.items():
            if newest.get((device, metric), (-1, 0))[0] <= time_ms:
                newest[device, metric] = (time_ms, value)
    melted = feed.take()[WAITING_READINGS:]
    assert {(r.device_id, m): v for r in melted for m, v in r.values.items()} == {k: v for k, (_, v) in newest.items()}
    assert sum(reading.skipped + 1 for reading in melted) == len(told)


def test_quality_follows_its_value_through_a_filter_and_into_what_is_melted() -> None:
    feed = TelemetryFeed([A], ["x", "y"])
    feed.offer(Reading("1", A, 1, {"x": 1, "z": 2}, {"x": "uncertain", "z": "uncertain"}))
    feed.offer(Reading("2", A, 2, {"z": 2}, {"z": "uncertain"}))  # of nothing that is asked for
    feed.offer(Reading("3", A, 3, {}, {"y": "bad"}))
    assert [(reading.values, reading.quality) for reading in feed.take()] == [
        ({"x": 1}, {"x": "uncertain"}),
        ({}, {"y": "bad"}),
    ]
    feed = TelemetryFeed([A], None)
    _full(feed)
    feed.offer(Reading("1000", A, 1, {"x": 1, "y": 1}, {"x": "uncertain"}))
    feed.offer(Reading("1001", A, 2, {"x": 2}, {"y": "bad"}))
    melted = feed.take()[-1]
    assert (melted.values, melted.quality, melted.skipped) == ({"x": 2}, {"y": "bad"}, 1)


async def test_events_are_never_left_out_a_reader_too_far_behind_is_closed() -> None:
    feed: EventFeed[int] = EventFeed()
    for n in range(WAITING_EVENTS):
        feed.offer(n)
    assert await feed.next() == list(range(WAITING_EVENTS))
    for n in range(WAITING_EVENTS + 1):
        feed.offer(n)
    with pytest.raises(FellBehind):
        await feed.next()


async def test_a_waiting_reader_wakes_when_the_feed_is_closed() -> None:
    feed: EventFeed[int] = EventFeed()
    waiting = asyncio.create_task(feed.next())
    await asyncio.sleep(0)
    feed.close(FellBehind())
    with pytest.raises(FellBehind):
        await waiting
