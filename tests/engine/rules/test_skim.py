"""What is passed over in a backtest, against playing everything: the same is raised and cleared, at the same times and
for the same reasons, and the rule stands where it would have stood."""

import random
import time
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.rules import skim as skimming
from engine.rules.compile import CompiledRule
from engine.rules.facts import About
from engine.rules.moves import PATIENCE_MS
from engine.rules.record import Record, Sent
from engine.rules.rehearsal import Budget, Stage
from engine.rules.ruleset import RuleSet
from engine.rules.skim import skim
from engine.rules.state import Phase, RuleState
from tests.engine.rules.making import document, rule, temperature_above

START = 1_763_683_200_000
AFTER = 4 * 3_600_000
thoroughly = settings(max_examples=2 * settings.default.max_examples, deadline=None)


def a_leaf(rng: random.Random) -> dict[str, Any]:
    metric, over = rng.choice(["temperature", "humidity"]), rng.choice(["20s", "60s", "5m"])
    limit = rng.choice([1, 2, 2.5, 3, 3.1, 4, 6])
    compared: dict[str, Any] = {"op": rng.choice([">", "<", ">=", "<=", "==", "!="]), "value": limit}
    if rng.random() < 0.2:
        compared = {"op": rng.choice(["between", "outside"]), "value": [limit, limit + rng.choice([0, 1, 2])]}
    rise = {"op": rng.choice([">", "<", ">="]), "value": rng.choice([-1.5, 0, 0.5])}
    kinds: list[dict[str, Any]] = [
        *2 * [{"metric": metric, **compared}],
        *4 * [{"metric": metric, "agg": {"fn": rng.choice(["avg", "min", "max", "sum"]), "over": over}, **compared}],
        {"metric": metric, "agg": {"fn": "count", "over": over}, "op": "<", "value": rng.randint(1, 6)},
        *2 * [{"metric": metric, "rate": {"per": "1m", "over": over}, **rise}],
        {"metric": metric, "agg": {"fn": "avg", "last": 3}, **compared},
        {"metric": metric, "delta": {"over": over}, **rise},
        {"metric": metric, "changed": {"over": over}},
        {"metric": metric, "stuck": {"for": over, "within": 1}},
        {"metric": metric, "op": ">", "value": {"metric": metric, "ago": over}},
        {"metric": "door_open", "op": "==", "value": rng.random() < 0.5},
        {"time": {"from": "00:05", "to": f"00:{rng.randint(6, 40):02}", "tz": "UTC"}},
        {"tag": rng.choice(["outdoor", "indoor"])},
    ]
    return rng.choice(kinds)


def a_condition(rng: random.Random, depth: int = 2) -> dict[str, Any]:
    kind = rng.choice(["leaf", "leaf", "all", "any", "not"]) if depth else "leaf"
    if kind == "leaf":
        return a_leaf(rng)
    if kind == "not":
        return {"not": a_condition(rng, depth - 1)}
    return {kind: [a_condition(rng, depth - 1) for _ in range(2)]}


def a_rule(rng: random.Random) -> CompiledRule:
    made = document(a_condition(rng))
    if rng.random() < 0.4:
        made["for"] = f"{rng.randint(1, 90)}s"
    if rng.random() < 0.4:
        made["clear"] = {"when": a_condition(rng)} | ({"for": "15s"} if rng.random() < 0.5 else {})
    limits: dict[str, Any] = {"cooldown": "45s"} if rng.random() < 0.2 else {}
    limits |= {"max_per_hour": rng.randint(1, 3)} if rng.random() < 0.2 else {}
    limits |= {"max_lateness": "2m"} if rng.random() < 0.2 else {}
    made |= {"limits": limits} if limits else {}
    return rule(made.pop("when"), **{"held" if key == "for" else key: value for key, value in made.items()})


def a_record(rng: random.Random, made: CompiledRule) -> Record:
    """A device that reports well, mostly: some wander, some stand still, some are lost for a while, some are late."""
    at, lag, temperature, humidity = START, rng.choice([-5_000, 0, 200, 60_000]), 3.0, 2
    jitter, step, stories = rng.choice([0, 0, 300, 1_999, 2_000, 2_500]), rng.choice([0.1, 0.5, 2]), list[Sent]()
    is_even, gap = rng.random() < 0.5, rng.choice([1_000, 5_000, 7_300])
    for seq in range(rng.randint(1, 160)):
        at += gap if is_even else rng.choice([1, 900, 5_000, 9_000])
        at += rng.choice([30_000, 400_000]) if rng.random() < 0.02 else 0
        temperature = min(7.0, max(-1.0, temperature + rng.choice([-step, 0, step])))
        humidity = rng.choice([humidity, humidity, 1, 3, 6])
        values = {"temperature": round(temperature, 1), "humidity": humidity, "door_open": rng.random() < 0.2}
        stories.append(Sent(at, seq, at + lag + rng.randint(0, jitter), values))
    columns: dict[str, list[Any]] = {metric: [each.values[metric] for each in stories] for metric in made.metrics}
    if rng.random() < 0.1 and columns:
        rng.choice(list(columns.values()))[rng.randrange(len(stories))] = rng.choice([None, "warm", True, 2**60])
    times, seqs, received, _ = (list(each) for each in zip(*stories, strict=True))
    return Record.of(times, seqs, received, columns)


def on_stage(made: CompiledRule) -> Stage:
    stage = Stage(RuleSet((made,)), "d", About("p", {"outdoor": ""}), Budget(60))
    stage.begin(START)
    return stage


def told(stage: Stage) -> list[tuple[object, ...]]:
    """Everything that was raised and cleared by now, in order."""
    said: list[tuple[object, ...]] = []
    for each in stage.episodes():
        said.append((each.raised_at, each.reason, each.why))
        if each.cleared_at is not None:
            said.append((each.cleared_at, each.cleared_reason))
    return said


@thoroughly
@example(163_685)  # a wait had ended behind the message that moved the rule last
@given(st.integers(0, 2**32))
def test_what_is_passed_over_would_have_changed_nothing(seed: int) -> None:
    rng = random.Random(seed)
    made = a_rule(rng)
    record = a_record(rng, made)
    until = max(record.received) + rng.randint(0, 120_000)
    played, skimmed = on_stage(made), on_stage(made)
    assert skimmed.skim(record, until) == played.play(record, until - PATIENCE_MS) == len(record)
    must, passed = told(played), [stands(played, until)]
    for at in range(until - PATIENCE_MS, until + PATIENCE_MS + 1, 200):
        played.play([], at)
        passed.append(stands(played, until))
    may, said = told(played), told(skimmed)
    assert must == said[: len(must)], "a wait ends as late as the way of the message that began its timer was long"
    assert said == may[: len(said)]
    if must == may and all(each == passed[0] for each in passed):
        assert stands(skimmed, until) == passed[0]
        assert_looks_again(skimmed.state, played.state)
    for stage in (played, skimmed):
        stage.play([], until + AFTER)
    assert list(skimmed.episodes()) == list(played.episodes())
    assert stands(skimmed, until + AFTER) == stands(played, until + AFTER)


def stands(stage: Stage, at_ms: int) -> tuple[object, ...]:
    """Where the rule stands, and what it sees at that moment."""
    return stage.state.phase, stage.state.since, {name: seen[:2] for name, seen in stage.seen(at_ms).items()}


def assert_looks_again(state: RuleState, other: RuleState) -> None:
    """If the other looks again, it does so too, and by as long a way, within the patience.

    By nothing else do rules of these kinds go by that way. Where neither has a timer it is that of whichever message
    moved the rule last, which may lie before the end of a wait that a tick had looked ahead to.
    """
    assert other.due_at is None or state.due_at is not None
    if state.due_at is not None:
        assert abs(state.lag - other.lag) <= PATIENCE_MS


def test_a_timer_that_stands_while_messages_are_passed_over_goes_on_by_the_way_that_it_was_set_by() -> None:
    rng = random.Random(7559)  # what is over before the end by the way of that message only
    made = a_rule(rng)
    record = a_record(rng, made)
    until = max(record.received) + rng.randint(0, 120_000)
    played, skimmed = on_stage(made), on_stage(made)
    assert skimmed.skim(record, until) == played.play(record, until)
    assert told(skimmed) == told(played)
    assert (skimmed.state.due_at, skimmed.state.lag) == (played.state.due_at, played.state.lag)
    assert [each.cleared_at for each in played.episodes()][-1:] == [START + 456_000]


def steady(count: int, every_s: int = 5, warm: range = range(0)) -> Record:
    times = [START + place * every_s * 1_000 for place in range(count)]
    values = [9.0 if place in warm else 4.0 + place % 7 / 10 for place in range(count)]
    return Record.of(times, list(range(count)), [at + 200 for at in times], {"temperature": list[object](values)})


WINDOWS: dict[str, dict[str, Any]] = {
    "newest": {},
    **{fn: {"agg": {"fn": fn, "over": "5m"}} for fn in ("avg", "min", "max")},
    "rate": {"rate": {"per": "1m", "over": "5m"}},
}


@pytest.mark.parametrize("kind", sorted(WINDOWS))
def test_nearly_all_of_a_calm_day_with_one_warm_hour_is_passed_over(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = rule({"metric": "temperature", **WINDOWS[kind], "op": ">", "value": 0.9 if kind == "rate" else 8})
    record, played = steady(17_280, warm=range(5_000, 5_720)), list[int]()
    play = Stage._play

    def counted(stage: Stage, sent: Iterable[Sent]) -> int:
        played.append(play(stage, sent))
        return played[-1]

    monkeypatch.setattr(Stage, "_play", counted)
    stage = on_stage(made)
    assert stage.skim(record, record.received[-1] + AFTER) == 17_280
    assert stage.fired >= 1
    assert sum(played) < 500


def fifty_averages() -> CompiledRule:
    return rule({"any": [temperature_above(8 + at) | {"agg": {"fn": "avg", "over": f"{at + 5}m"}} for at in range(50)]})


def test_what_there_is_no_time_to_work_out_is_played() -> None:
    record, asked = steady(100), iter([False] * 4)  # the whole, and three of its fifty parts
    rest = skim(fifty_averages(), record, lambda: next(asked, True))
    assert rest is not None
    assert rest.to_play[Phase.OK] == b"\1" * 100
    assert list(asked) == []
    known = skim(fifty_averages(), record)
    assert known is not None
    assert known.to_play[Phase.OK].count(1) < 50


def test_finding_what_can_be_passed_over_leaves_some_of_the_budget_for_playing(monkeypatch: pytest.MonkeyPatch) -> None:
    spent, sums = [0.0], skimming._sums

    def costly(*args: Any) -> Any:
        spent[0] += 0.2
        return sums(*args)

    monkeypatch.setattr(skimming, "_sums", costly)
    monkeypatch.setattr(time, "thread_time", lambda: spent[0])
    stage = Stage(RuleSet((fifty_averages(),)), "d", About("p", {}), Budget(5.0))
    stage.begin(START)
    assert stage.skim(steady(50), START + AFTER) == 50
    assert spent[0] < 2.5


def test_whoever_has_gone_is_waited_for_no_more_while_it_is_found_what_can_be_passed_over() -> None:
    budget = Budget(60)
    is_over = budget.part(0.5)
    assert not is_over()
    budget.stop()
    assert is_over()
    assert budget.part(0.5)()


def test_an_average_that_is_its_limit_but_for_rounding_is_played() -> None:
    made = rule({"metric": "temperature", "agg": {"fn": "avg", "over": "30s"}, "op": ">", "value": 0.1})
    record = steady(2_000)
    record.columns["temperature"][:] = [0.1] * 2_000
    rest = skim(made, record)
    assert rest is not None
    assert rest.to_play[Phase.OK] == b"\1" * 2_000


def test_of_what_came_out_of_order_late_or_incomplete_everything_is_played() -> None:
    made = rule({"metric": "temperature", "op": ">", "value": 8})
    assert skim(made, steady(100)) is not None
    for spoil in ("times", "received", "columns"):
        record = steady(100)
        if spoil == "columns":
            record.columns["temperature"][40] = None
        elif spoil == "times":
            record.times[40] = record.times[39]
        else:
            record.received[:] = [at + 4_000_000 for at in record.times]
        assert skim(made, record) is None
    uneven = steady(100)
    uneven.received[40:] = [at + 2_001 for at in uneven.received[40:]]
    assert skim(made, uneven) is None, "a tick might look further than to the next message"


def test_while_a_rule_waits_what_goes_on_alike_is_passed_over_until_the_wait_is_over() -> None:
    made = rule({"metric": "temperature", "op": ">", "value": 8}, held="62s")
    rest = skim(made, steady(100, warm=range(30, 60)))
    assert rest is not None
    pending = RuleState(Phase.PENDING, since=START + 150_000)
    assert rest.until(pending, 31) == 43, "it has lasted for 62 s"
    assert rest.until(pending._replace(quiet_from=START), 31) == 43
    assert rest.until(pending, 59) == 59, "the next one is no longer too warm"
    assert rest.until(RuleState(Phase.CLEARING, since=START), 61) == 61, "it is over at once"


def test_before_a_tick_that_would_look_too_far_ahead_everything_is_played() -> None:
    rest = skim(rule({"metric": "temperature", "op": ">", "value": 8}), steady(100))
    assert rest is not None
    assert rest.until(RuleState(), 10) == 99
    assert rest.until(RuleState(due_at=START, lag=-1_900), 10) == 10


def test_what_a_device_has_sent_is_put_in_the_order_in_which_it_was_received() -> None:
    record = Record.of([1, 2, 3], [7, 8, 9], [30, 10, 20], {"temperature": [None, 2.0, 3.0]})
    assert list(record) == [
        Sent(2, 8, 10, {"temperature": 2.0}),
        Sent(3, 9, 20, {"temperature": 3.0}),
        Sent(1, 7, 30, {}),
    ]
