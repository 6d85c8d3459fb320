"""The bench of rules plays what it counts, and says which goal was missed."""

import asyncio

from engine.rules.sampling import Sampler
from infra.bench import backtest, rules, sharing
from infra.bench.backtest import Tried
from infra.bench.rules import Course, Measured, Run
from infra.local.postgres import Postgres


def test_every_event_of_a_course_is_drained_and_fires_what_it_must(postgres: Postgres) -> None:
    run = asyncio.run(rules._run(postgres, Course(events=1_000, devices=10, rules=5)))
    assert run.fired == 10  # each device is warm once in its hundred messages
    assert run.worker_us > 0


def test_a_backlog_is_drained_by_two_readers_as_by_one(postgres: Postgres) -> None:
    found = asyncio.run(rules._shared(postgres, Course(events=1_000, devices=10, rules=5), 2))
    assert (found.readers, found.events) == (2, 1_000)
    assert 0 < found.slowest_cpu_s * 1e6 < found.worker_us * 1_000
    assert "by 2 readers" in sharing.said(found)


def test_what_it_costs_to_load_a_device_is_shown_beside_what_one_costs_that_is_known(postgres: Postgres) -> None:
    measured = Measured(met=asyncio.run(rules._met(postgres, Course(events=60, devices=60))))
    assert len(measured.met) == rules.MET_PAIRS
    assert all(run.worker_us > 0 for pair in measured.met for run in pair)
    measured.many = [Run(Course(), 5, 5, 20, 1)] * 2
    assert "must load/knows" in rules.shown(measured)


def test_all_waits_of_one_second_end_in_alerts(postgres: Postgres) -> None:
    late = asyncio.run(rules._timers(postgres, 20))
    assert late["p50"] <= late["p99"] <= late["max"]


def test_a_backtest_is_tried_on_all_that_is_stored(postgres: Postgres) -> None:
    found = asyncio.run(backtest.tried(postgres, 2_000))
    assert [each.name for each in found] == list(backtest.TRIED)
    assert all(each.messages == 2_000 and each.fired >= 2 * 9 for each in found)


def test_a_missed_goal_is_shown_and_fails_the_bench() -> None:
    def measured(tried_us: float) -> Measured:
        fast = [Run(Course(per_transaction=size), 5, 5, 20, 1) for size in rules.GOAL_A_CORE]
        tried = [Tried("a comparison", 1_000, 1, 1, tried_us, 1)]
        return Measured(fast, fast, 10, {"p50": 0.1, "p99": 0.2, "max": 0.3}, tried)

    assert measured(4).is_within
    assert not measured(9).is_within
    assert "111111" in rules.shown(measured(9)).replace(",", "")
    sampled = measured(4)
    on, off = Run(Course(), 7, 5, 20, 1), Run(Course(), 5, 5, 20, 1)
    sampled.sampled = [(on, off), (off, off), (on, off)]
    assert not sampled.is_within
    assert "cost 1.20 of the CPU without" in rules.shown(sampled)


def test_what_looking_costs_is_measured_now_first_and_now_last_on_a_database_that_grows() -> None:
    looked: list[bool] = []

    def run(sampler: Sampler) -> Run:
        looked.append(not isinstance(sampler, rules.Unlooking))
        return Run(Course(), 7 if looked[-1] else 5, 5, len(looked), 1)

    pairs = rules._sampled(run)
    assert all((on.worker_us, off.worker_us) == (7, 5) for on, off in pairs)
    later = [on.wall_us > off.wall_us for on, off in pairs]
    assert later == [False, True] * (len(pairs) // 2), "as many times the one as the other"
