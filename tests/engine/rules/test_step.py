"""The state machine, story by story: when a rule raises, waits, clears, and what moves nothing."""

from typing import Any

import pytest

from engine.clock import from_ms
from engine.rules.compile import CompiledRule
from engine.rules.state import Action, Clear, EndReason, Event, Phase, Raise, Reading, RuleState, Tick
from engine.rules.step import MOVES, PATIENCE_MS, Signal, is_worth_storing, recall, step, stop
from tests.engine.rules.making import rule, temperature_above

SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
START = 1_763_700_000_000
BELOW = {"metric": "temperature", "op": "<", "value": 6.5}
HUMID = {"metric": "humidity", "op": ">", "value": 60}


class Story:
    """One rule on one device; times are minutes from the start, readings arrive at once unless ``late``."""

    def __init__(self, watched: CompiledRule, state: RuleState | None = None) -> None:
        self.rule = watched
        self.state = state or RuleState()
        self.actions: list[Action] = []
        self._seq = 0

    def reads(self, minute: float, *, late: float = 0, seq: int | None = None, **values: object) -> list[Action]:
        self._seq += 1
        at = START + int(minute * MINUTE)
        return self._does(Reading(at, self._seq if seq is None else seq, values), at + int(late * MINUTE))

    def ticks(self, minute: float) -> list[Action]:
        return self._does(Tick(), START + int(minute * MINUTE))

    def _does(self, event: Event, now: int) -> list[Action]:
        self.state, actions = step(self.rule, self.state, event, from_ms(now))
        self.actions += actions
        return actions

    @property
    def told(self) -> list[tuple[str, int, float]]:
        """What was done: the kind of action, its episode, its time in minutes from the start."""
        return [(type(done).__name__, done.episode, (done.at - START) / MINUTE) for done in self.actions]


def test_a_rule_without_waits_raises_at_once_and_clears_when_the_condition_is_false() -> None:
    story = Story(rule())
    story.reads(0, temperature=7)
    story.reads(1, temperature=9)
    story.reads(2, temperature=9.5)
    story.reads(3, temperature=8)
    story.reads(4, temperature=9)
    assert story.told == [("Raise", 1, 1), ("Clear", 1, 3), ("Raise", 2, 4)]


def test_the_condition_must_hold_for_the_whole_wait() -> None:
    story = Story(rule(held="10m"))
    for minute in range(10):
        story.reads(minute, temperature=9)
    story.reads(9.5, temperature=7)
    for minute in range(10, 20):
        story.reads(minute, temperature=9)
    assert story.told == []
    story.reads(20, temperature=9)
    assert story.told == [("Raise", 1, 20)]


def test_a_reading_at_the_very_end_of_the_wait_decides() -> None:
    story = Story(rule(held="10m"))
    story.reads(0, temperature=9)
    story.reads(10, temperature=7)
    assert story.told == []


def test_when_nothing_comes_the_servers_clock_decides() -> None:
    story = Story(rule(held="10m"))
    story.reads(0, temperature=9)
    assert story.state.due_at == START + 10 * MINUTE + PATIENCE_MS
    story.ticks(10)
    assert story.told == []
    story.ticks(10.1)
    assert story.told == [("Raise", 1, 10)]
    assert story.state.due_at is None


def test_a_tick_waits_as_long_as_the_readings_are_late() -> None:
    story = Story(rule(held="10m"))
    story.reads(0, late=3, temperature=9)
    story.ticks(12)
    assert story.told == []
    story.reads(9, late=3, temperature=7)
    story.ticks(20)
    assert story.told == []


def test_a_wait_that_was_over_before_the_next_reading_came_ends_before_it() -> None:
    story = Story(rule(held="10m"))
    story.reads(0, temperature=9)
    story.reads(30, temperature=7)
    assert story.told == [("Raise", 1, 10), ("Clear", 1, 30)]


def test_an_alert_with_its_own_clearing_condition_has_hysteresis() -> None:
    story = Story(rule(clear={"when": BELOW, "for": "2m"}))
    story.reads(0, temperature=9)
    story.reads(1, temperature=7)
    story.reads(2, temperature=6)
    story.reads(3, temperature=7)
    story.reads(4, temperature=6)
    story.reads(5, temperature=6)
    assert story.told == [("Raise", 1, 0)]
    story.reads(6, temperature=6)
    assert story.told == [("Raise", 1, 0), ("Clear", 1, 6)]


def test_clearing_ends_by_the_clock_when_the_device_falls_silent() -> None:
    story = Story(rule(clear={"when": BELOW, "for": "2m"}))
    story.reads(0, temperature=9)
    story.reads(1, temperature=6)
    story.ticks(5)
    assert story.told == [("Raise", 1, 0), ("Clear", 1, 3)]


def test_an_alert_does_not_clear_while_what_raised_it_is_still_true() -> None:
    story = Story(rule(clear={"when": {"metric": "temperature", "op": "<", "value": 20}}))
    story.reads(0, temperature=9)
    story.reads(1, temperature=10)
    assert story.told == [("Raise", 1, 0)]
    story.reads(2, temperature=7)
    assert story.told == [("Raise", 1, 0), ("Clear", 1, 2)]


def test_metrics_may_come_in_different_messages() -> None:
    story = Story(rule({"all": [temperature_above(8), HUMID]}))
    story.reads(0, temperature=9)
    story.reads(1, humidity=70)
    story.reads(2, humidity=50)
    assert story.told == [("Raise", 1, 1), ("Clear", 1, 2)]


def test_metrics_of_the_same_millisecond_in_two_messages_count_in_either_order() -> None:
    for first, second in [(5, 2), (2, 5)]:
        story = Story(rule({"all": [temperature_above(8), HUMID]}))
        story.reads(0, seq=first, temperature=9)
        story.reads(0, seq=second, humidity=70)
        assert story.told == [("Raise", 1, 0)]


def test_a_message_slightly_older_than_the_other_metrics_still_counts_but_never_moves_time_back() -> None:
    story = Story(rule({"all": [temperature_above(8), HUMID]}))
    story.reads(1, temperature=9)
    story.reads(0.9, humidity=70)
    assert story.told == [("Raise", 1, 1)]


def test_a_metric_not_heard_of_is_unknown_and_unknown_raises_nothing() -> None:
    story = Story(rule({"metric": "temperature", "op": "<", "value": 50}))
    story.reads(0, humidity=1)
    story.reads(1, temperature="cold")
    story.reads(2, temperature=None)
    assert story.told == []
    assert story.state.phase is Phase.OK


def test_unknown_ends_an_unfinished_wait_and_leaves_an_alert_open() -> None:
    story = Story(rule(held="2m"))
    story.reads(0, temperature=9)
    story.reads(1, temperature="broken")
    story.reads(2, temperature=9)
    story.reads(3, temperature=9)
    assert story.told == []
    story.reads(4, temperature=9)
    story.reads(5, temperature="broken")
    assert story.told == [("Raise", 1, 4)]
    assert story.state.phase is Phase.FIRING


def test_unknown_interrupts_clearing() -> None:
    story = Story(rule(clear={"when": BELOW, "for": "2m"}))
    story.reads(0, temperature=9)
    story.reads(1, temperature=6)
    story.reads(2, temperature="broken")
    story.reads(4, temperature=6)
    assert story.told == [("Raise", 1, 0)]


def test_the_same_message_again_changes_nothing() -> None:
    story = Story(rule(held="1m"))
    for _ in range(3):
        story.reads(0, seq=1, temperature=9)
    before = story.state
    story.reads(0, late=30, seq=1, temperature=9)
    assert story.state == before


def test_an_older_message_changes_nothing() -> None:
    story = Story(rule())
    story.reads(5, temperature=9)
    before = story.state
    assert story.reads(4, late=2, temperature=7) == []
    assert story.state == before


def test_two_messages_of_one_millisecond_count_by_their_sequence_whatever_their_order() -> None:
    for order in [(1, 2), (2, 1)]:
        story = Story(rule())
        for seq in order:
            story.reads(0, seq=seq, temperature={1: 9, 2: 7}[seq])
        assert story.state.phase is Phase.OK


def test_a_reading_older_than_max_lateness_on_arrival_is_remembered_but_moves_nothing() -> None:
    story = Story(rule(limits={"max_lateness": "5m"}))
    story.reads(0, late=6, temperature=9)
    assert story.told == []
    assert story.state.known["temperature"].value == 9
    story.reads(1, late=5, temperature=9)
    assert story.told == [("Raise", 1, 1)]


def test_a_reading_that_comes_too_late_can_call_off_a_wait_but_ends_no_alert() -> None:
    story = Story(rule(held="5m"))
    story.reads(0, late=59, temperature=9)
    story.reads(1, late=61, temperature=7)
    story.ticks(100)
    assert story.told == []
    story.reads(100, temperature=9)
    story.reads(105, temperature=9)
    story.reads(106, late=61, temperature=7)
    assert story.told == [("Raise", 1, 105)]
    assert story.state.phase is Phase.FIRING


def test_readings_more_than_an_hour_late_move_nothing_unless_the_rule_says_otherwise() -> None:
    story = Story(rule())
    story.reads(0, late=61, temperature=9)
    assert story.told == []
    story.reads(1, late=59, temperature=9)
    assert story.told == [("Raise", 1, 1)]


def test_within_the_cooldown_the_next_alert_waits_and_is_raised_if_it_is_still_wrong() -> None:
    story = Story(rule(limits={"cooldown": "10m"}))
    story.reads(0, temperature=9)
    story.reads(1, temperature=7)
    story.reads(2, temperature=9)
    assert story.told == [("Raise", 1, 0), ("Clear", 1, 1)]
    story.reads(12, temperature=9)
    assert story.told == [("Raise", 1, 0), ("Clear", 1, 1), ("Raise", 2, 11)]


def test_within_the_cooldown_what_is_over_by_its_end_raises_nothing() -> None:
    story = Story(rule(limits={"cooldown": "10m"}))
    for minute, value in [(0, 9), (1, 7), (2, 9), (3, 7), (12, 7), (13, 9)]:
        story.reads(minute, temperature=value)
    assert story.told == [("Raise", 1, 0), ("Clear", 1, 1), ("Raise", 2, 13)]


def test_the_end_of_the_cooldown_comes_by_the_clock_too() -> None:
    story = Story(rule(limits={"cooldown": "10m"}))
    story.reads(0, temperature=9)
    story.reads(1, temperature=7)
    story.reads(2, temperature=9)
    story.ticks(11.1)
    assert story.told[-1] == ("Raise", 2, 11)


def test_a_tick_at_any_other_time_changes_nothing() -> None:
    story = Story(rule(held="10m"))
    for minute in (0, 1, 5):
        story.ticks(minute)
    story.reads(6, temperature=9)
    before = story.state
    for minute in (6, 7, 15.9):
        story.ticks(minute)
        assert story.state == before
    assert story.told == []


def test_an_alert_says_since_when_and_what_it_saw_and_why() -> None:
    story = Story(rule({"all": [temperature_above(8), {"not": HUMID}]}, held="1m"))
    story.reads(0, humidity=40)
    story.reads(1, temperature=9)
    story.reads(2, temperature=9.5)
    (raised,) = story.actions
    assert isinstance(raised, Raise)
    assert (raised.since, raised.at) == (START + MINUTE, START + 2 * MINUTE)
    assert {metric: known.value for metric, known in raised.seen.items()} == {"humidity": 40, "temperature": 9.5}
    assert raised.why["is"] is True
    assert raised.why["all"][1]["not"] == {
        "metric": "humidity", "op": ">", "value": 60, "unit": "percent", "is": False, "seen": 40, "at": START,
    }  # fmt: skip


def test_an_edit_that_keeps_the_condition_keeps_the_alert_open() -> None:
    story = Story(rule())
    story.reads(0, temperature=9)
    story.rule = rule(version=2, name="Renamed", severity="critical")
    assert story.reads(1, temperature=9) == []
    assert story.reads(2, temperature=7) == story.actions[-1:]
    assert story.told == [("Raise", 1, 0), ("Clear", 1, 2)]


def test_an_edit_of_the_wait_counts_for_a_wait_that_has_begun() -> None:
    longer = Story(rule(held="10m"))
    longer.reads(0, temperature=9)
    longer.rule = rule(version=2, held="20m")
    longer.ticks(10.1)
    assert longer.told == []
    assert longer.state.due_at == START + 20 * MINUTE + PATIENCE_MS
    shorter = Story(rule(held="10m"))
    shorter.reads(0, temperature=9)
    shorter.rule = rule(version=2, held="2m")
    shorter.ticks(5)
    assert shorter.told == [("Raise", 1, 2)]


def test_an_edit_that_allows_fewer_alerts_an_hour_counts_those_that_were_raised_before_it() -> None:
    story = Story(rule(limits={"max_per_hour": 4}))
    for minute in range(0, 6, 2):
        story.reads(minute, temperature=9)
        story.reads(minute + 1, temperature=7)
    story.rule = rule(version=2, limits={"max_per_hour": 2})
    story.reads(6, temperature=9)
    assert [told for told in story.told if told[0] == "Raise"] == [("Raise", 1, 0), ("Raise", 2, 2), ("Raise", 3, 4)]
    story.ticks(63)
    assert story.told[-1] == ("Raise", 4, 62)  # an hour after the last but one


def test_an_edit_of_the_condition_ends_the_open_alert_and_the_next_has_the_next_number() -> None:
    story = Story(rule())
    story.reads(0, temperature=9)
    story.rule = rule(temperature_above(8.5), version=2)
    story.reads(1, temperature=9)
    assert story.told == [("Raise", 1, 0), ("Clear", 1, 1), ("Raise", 2, 1)]
    ended = story.actions[1]
    assert isinstance(ended, Clear)
    assert ended.reason is EndReason.RULE_CHANGED


def test_an_edit_of_the_condition_keeps_only_what_the_rule_still_reads() -> None:
    story = Story(rule({"all": [temperature_above(8), HUMID]}))
    story.reads(0, temperature=9, humidity=50)
    story.rule = rule({"all": [HUMID, {"metric": "lamp", "op": "==", "value": True}]}, version=2)
    story.ticks(1)
    assert set(story.state.known) == {"humidity"}


def test_a_stopped_rule_ends_its_alert_once() -> None:
    story = Story(rule())
    story.reads(0, temperature=9)
    state, actions = stop(story.state, from_ms(START + MINUTE))
    assert [(done.episode, done.at, done.reason) for done in actions if isinstance(done, Clear)] == [
        (1, START + MINUTE, EndReason.RULE_STOPPED)
    ]
    assert stop(state, from_ms(START + MINUTE)) == (state, [])
    assert state.episode == 1


@pytest.mark.parametrize(
    "state",
    [
        RuleState(),
        RuleState(Phase.PENDING, START, 3, START - 5, -7, START + 9, "abc"),
        RuleState(Phase.FIRING, 0, 1, None, 0, None, "abc", Story(rule()).state.known),
    ],
)
def test_a_state_comes_back_from_json_as_it_was(state: RuleState) -> None:
    assert RuleState.from_json(state.to_json()) == state


def test_a_state_that_a_newer_version_has_stored_is_read_without_what_is_unknown_of_it() -> None:
    state = RuleState(Phase.PENDING, START, 3, START - 5, -7, START + 9, "abc")
    assert RuleState.from_json({**state.to_json(), "of_tomorrow": {"a": 1}}) == state


def test_a_fresh_state_is_stored_as_nothing() -> None:
    assert RuleState().to_json() == {}


def test_new_values_alone_need_no_storing_because_the_latest_values_bring_them_back() -> None:
    story = Story(rule({"all": [temperature_above(8), HUMID]}))
    story.reads(0, temperature=7)
    stored = story.state
    story.reads(1, humidity=70)
    story.reads(2, temperature=7.5)
    assert not is_worth_storing(stored, story.state)
    latest: dict[str, tuple[object, int]] = {"temperature": (7.5, START + 2 * MINUTE), "humidity": (70, START + MINUTE)}
    recalled = Story(story.rule, recall(story.rule, stored, latest | {"lamp": (True, START)}))
    assert recalled.reads(2, seq=0, temperature=7) == []
    recalled.reads(3, temperature=9)
    assert recalled.told == [("Raise", 1, 3)]
    assert is_worth_storing(stored, recalled.state)


def test_every_phase_has_a_move_for_every_signal() -> None:
    assert set(MOVES) == set(Phase)
    assert all(set(moves) == set(Signal) for moves in MOVES.values())


def test_stepping_changes_neither_its_state_nor_its_reading() -> None:
    watched, reading = rule(), Reading(START, 1, {"temperature": 9})
    before: dict[str, Any] = {}
    state, first = step(watched, RuleState(known=before), reading, from_ms(START))
    again, second = step(watched, RuleState(known=before), reading, from_ms(START))
    assert (state, first) == (again, second)
    assert before == {}
