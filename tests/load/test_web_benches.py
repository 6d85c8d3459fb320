"""The benches of the web process, small: of one real process they ask, and follow it; and say when it was too slow."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from infra.bench import api, audience, fanout
from infra.bench.api import Cost
from infra.bench.audience import Order
from infra.bench.fanout import Crowd, Heard
from infra.bench.served import Web, served
from infra.local.errors import SetupProblem
from infra.local.postgres import Postgres
from infra.local.valkey import Valkey

# ── what a query costs ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def web(postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """The web process that all of these share."""
    with served(postgres, tmp_path_factory.mktemp("web"), valkey.url()) as web:
        yield web


def test_every_question_is_answered_in_full(postgres: Postgres, web: Web) -> None:
    costs = api.ask(postgres, web, times=3)
    assert [cost.name for cost in costs] == ["one device", "50 devices and their latest values", "1,000 points"]
    assert all(cost.wall_ms > 0 and cost.size_bytes > 300 for cost in costs)
    assert [each["goal_ms"] for each in api.as_json(costs)] == [0.8, 3.0, 2.5]


def test_an_answer_that_is_not_the_whole_one_is_no_figure() -> None:
    question = api.Question("two devices", 1, "", {}, 2)
    api._check(question, b'{"data":{"devices":{"items":[{},{}]}}}')
    for short in (b'{"data":{"devices":{"items":[{}]}}}', b'{"data":null,"errors":[{}]}', b'{"errors":[{}]}'):
        with pytest.raises(SetupProblem, match="two devices"):
            api._check(question, short)


def test_an_answer_that_cost_too_much_is_shown_so() -> None:
    late, early = Cost("a", 0.8, 0.9, 1, 1, 1), Cost("b", 0.8, 0.8, 1, 1, 1)
    said = api.shown([late, early])
    assert [line.split()[-1] for line in said.splitlines()[-2:]] == ["MISSED", "held"]


# ── what many subscribers cost ───────────────────────────────────────────────────────────────────────────────────────


def test_every_subscriber_hears_every_reading_of_what_it_follows(postgres: Postgres, valkey: Valkey, web: Web) -> None:
    all_heard = [fanout.follow(postgres, valkey, web, crowd) for crowd in fanout.crowds(20, 2)]
    assert [heard.wrong for heard in all_heard] == [[], [], []]
    assert [heard.arrived for heard in all_heard] == [heard.expected for heard in all_heard] == [40, 40, 10]
    assert all(heard.bytes_each > 100 and set(heard.latency_ms) == {"p50", "p95", "p99", "max"} for heard in all_heard)
    assert {"web", "kernel", "postgres", "valkey", "clients", "bench"} == set(fanout.as_json(all_heard)[0]["cpu_us"])
    said = fanout.shown(all_heard)
    assert "all follow the same 4 devices: 40 of 40 readings arrived, 0 skipped, 0 lost" in said
    assert said.endswith(fanout.TIMED)
    assert "the same 4 devices, as SSE: 10 of 10 readings arrived, 0 skipped, 0 lost" in said


def test_what_a_subscriber_missed_or_heard_twice_or_should_not_have_heard_is_wrong() -> None:
    heard = _judged([0, "b", 6, 0.5], [0, "b", 7, 1.0], [0, "b", 7, 1.1], [1, "b", 8, 2.0], [0, "b", 9, 2.5])
    assert heard.wrong == [
        "reading 8 came under another device's name",
        "1 messages that were meant for somebody else",
        "1 messages came again",
        "2 readings neither arrived nor were said to be skipped",
    ]
    assert (heard.expected, heard.arrived, heard.lost) == (4, 2, 2)
    assert not heard.is_within
    assert "WRONG         1 messages came again" in fanout.shown([heard])


def test_what_was_skipped_and_said_so_is_not_lost_and_the_goals_are_held_or_missed() -> None:
    heard = _judged([0, "b", 7, 1.0], [1, "b", 7, 1.0], [1, "a", 8, 2.0], skipped=1)
    assert (heard.wrong, heard.skipped, heard.lost, heard.is_within) == ([], 1, 0, True)
    assert heard.cpu_us["web"] == pytest.approx(30)
    assert heard.cpu_us["kernel"] == pytest.approx(10)
    assert heard.latency_ms["max"] == pytest.approx(100)
    cost = replace(heard, cpu_us={**heard.cpu_us, "web": 30.1})
    late = replace(heard, latency_ms={**heard.latency_ms, "p99": 250.1})
    assert [each.is_within for each in (cost, late)] == [False, False]
    said = fanout.shown([heard, cost, late]).splitlines()[3:6]
    assert [line.split()[-2:] for line in said] == [["held,", "held"], ["MISSED,", "held"], ["held,", "MISSED"]]


def _judged(*arrived: object, skipped: int = 0) -> Heard:
    """Two subscribers of the same two devices a and b, who should hear readings 7 and 8, and what came instead."""
    told = {"arrived": arrived, "skipped": skipped, "errors": [], "bytes": 600}
    spent = {"web": 90e-6, "kernel": 30e-6, "postgres": 0, "valkey": 0, "bench": 0, "client 1": 1}
    return fanout.judged(Crowd("two", 2, 2, is_same=True, clients=1), ["a", "b"], {7: 0.9, 8: 1.9}, [told], spent, 2)


def test_frames_are_read_whole_however_they_come() -> None:
    long = b"x" * 70_000
    stream = b"\x81\x02hi" + b"\x81\x7e\x00\x80" + b"y" * 128 + b"\x81\x7f" + len(long).to_bytes(8) + long

    async def heard(pieces: list[bytes]) -> list[bytes]:
        subscriber = audience.BySocket(Order(1, "token", [["a"]]), 0)
        subscriber.is_open.set_result(None)
        for piece in pieces:
            subscriber.data_received(piece)
        return [said for _, said in subscriber.heard]

    for size in (3, 1_000, len(stream)):
        pieces = [stream[place : place + size] for place in range(0, len(stream), size)]
        assert asyncio.run(heard(pieces)) == [b"hi", b"y" * 128, long]


@pytest.mark.parametrize("subscribers", [0, 10_000_000])
def test_more_subscribers_than_files_may_be_open_are_refused_at_once(subscribers: int) -> None:
    with pytest.raises(SetupProblem, match="subscribers can listen"):
        fanout.measure(subscribers, 1)
