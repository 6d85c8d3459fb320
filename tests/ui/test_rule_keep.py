"""What the designer keeps as a test: exact messages where they count, honest words where they are too many."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ui
from engine.rules.document import parse, to_json
from tests.engine.rules.making import document

ISLANDS = Path(ui.__file__).parent / "islands"
LAW = Path(__file__).with_name("rule_keep_law.js")
BUN = Path(sys.executable).with_name("bun")
PLAIN = {"metric": "temperature", "op": ">", "value": 8}
AVERAGE = PLAIN | {"agg": {"fn": "avg", "over": "5m"}}
BACK: list[dict[str, Any]] = [
    AVERAGE,
    PLAIN | {"agg": {"fn": "count", "last": 5}},
    PLAIN | {"rate": {"per": "1m", "over": "10m"}},
    PLAIN | {"delta": {"over": "10m"}},
    {"metric": "temperature", "changed": {"over": "1m"}},
    {"metric": "temperature", "stuck": {"for": "30m"}},
    PLAIN | {"value": {"metric": "temperature", "ago": "1d"}},
    {"not": {"any": [{"tag": "a"}, AVERAGE]}},
    {"place": {"metric": "p", "is": "entered", "of": {"circle": {"lat": 1, "lon": 2, "radius_m": 5}}}},
]
SECOND = 1000


def say(*asked: list[Any]) -> list[Any]:
    """What the designer answers to these calls."""
    told = {name: str(ISLANDS / f"rule_{name}.js") for name in ("keep", "given", "limits")}
    told["numbers"] = str(ISLANDS / "numbers.js")
    said = subprocess.run(
        [str(BUN), str(LAW)], input=json.dumps(told | {"asked": asked}), capture_output=True, text=True, timeout=180
    )
    assert said.returncode == 0, said.stderr
    found: list[Any] = json.loads(said.stdout)
    return found


def spiky(count: int) -> list[Any]:
    """A message each second: 5 degrees but for one spike and one dip, the door opened in between."""
    warmth = {count // 2: 30, count // 3: -30}
    return [[at * SECOND, {"temperature": warmth.get(at, 5), "door": at >= count // 4}] for at in range(count)]


def test_a_rule_that_counts_or_looks_back_needs_each_message() -> None:
    others = [PLAIN, {"all": [PLAIN, {"silence": "10m"}]}, {"event": "door"}]
    answers = say(*(["needsEach", document(when)] for when in (*BACK, *others)))
    assert answers == [True] * len(BACK) + [False] * len(others)
    assert say(["needsEach", document(PLAIN, clear={"when": AVERAGE})]) == [True]


@pytest.mark.parametrize("when", BACK)
def test_what_is_too_long_for_such_a_rule_is_said_and_not_thinned(when: dict[str, Any]) -> None:
    whole, long = say(["fitted", spiky(200), document(when)], ["fitted", spiky(201), document(when)])
    assert whole == {"kept": spiky(200), "isThinned": False}
    assert long["problem"].startswith("There are 201 readings in this time")
    assert long["problem"].endswith("none can be left out. Choose a shorter time.")


def test_what_is_too_long_for_another_keeps_each_extreme_and_change_and_says_so() -> None:
    (found,) = say(["fitted", spiky(5000), document(PLAIN)])
    times = [at // SECOND for at, _ in found["kept"]]
    assert found["isThinned"] is True
    assert len(times) <= 200
    assert {0, 1250, 1666, 2500, 4999} <= set(times)
    assert times == sorted(times)


def test_a_time_that_changes_too_often_to_be_thinned_is_refused() -> None:
    flapping = [[at * SECOND, {"temperature": 5, "door": at % 2 == 0}] for at in range(300)]
    (found,) = say(["fitted", flapping, document(PLAIN)])
    assert "a test holds 200" in found["problem"]


def test_a_time_of_the_past_becomes_a_test_that_the_engine_reads() -> None:
    messages = [[1_000_500, {"temperature": 5}], [1_060_700, {"temperature": 9, "p": {"lat": 1, "lon": 2}}]]
    span = {"from": 1_050_000, "to": 1_070_000}
    alert, quiet = say(["testOf", "A", messages, span, True], ["testOf", "A", messages, span, False])
    given = [{"at": "0s", "temperature": 5}, {"at": "1m", "temperature": 9, "p": {"lat": 1, "lon": 2}}]
    assert alert == {"name": "A", "given": given, "expect": [{"do": "raise"}], "within": {"from": "49s", "to": "70s"}}
    assert quiet == alert | {"expect": []}
    kept = document(PLAIN, tests=[alert, quiet])
    assert to_json(parse(kept)) == kept


def test_what_was_tried_is_kept_with_all_that_was_given() -> None:
    steps = [
        {"afterSeconds": 0, "values": {"temperature": 9}, "event": "", "presence": "online"},
        {"afterSeconds": 60, "values": {}, "event": "door-forced", "presence": ""},
        {"afterSeconds": 120, "values": {"p": {"lat": 1, "lon": None}}, "event": "", "presence": "offline"},
    ]
    facts = {"attributes": {"floor": "3", "site": ""}, "tags": ["cellar"], "groups": []}
    given = say(*(["givenOf", step] for step in steps))
    done = [{"did": []}, {"did": ["raise a major alert", "notify on-call", "clear: it is over"]}, {"did": []}]
    (kept,) = say(["triedTest", given, done, "Test 1", facts])
    assert kept == {
        "name": "Test 1",
        "given": [
            {"at": "0s", "$presence": "online", "temperature": 9},
            {"at": "1m", "$event": "door-forced"},
            {"at": "2m", "$presence": "offline"},
        ],
        "expect": [{"do": "raise"}, {"do": "clear"}],
        "device": {"attributes": {"floor": "3"}, "tags": ["cellar"]},
    }
    parse(document(PLAIN, tests=[kept]))
    assert say(*(["isWholeStep", step] for step in steps)) == [True, True, False]


def test_the_designer_knows_what_a_rule_asks_of_a_device() -> None:
    when = {
        "all": [
            {"event": "door-forced"},
            {"presence": "offline"},
            {"not": {"tag": "old"}},
            {"attribute": "floor", "op": ">", "value": 2},
            PLAIN | {"value": {"attribute": "limit"}},
        ]
    }
    (found,) = say(["factsRead", document(when)])
    asked = {"events": ["door-forced"], "hasPresence": True, "attributes": ["floor", "limit"], "tags": ["old"]}
    assert found == asked | {"groups": []}


def test_every_number_that_a_metric_is_compared_with_is_a_limit() -> None:
    when = {
        "any": [
            PLAIN | {"unit": "degC"},
            PLAIN | {"op": "between", "value": [20, 30]},
            PLAIN | {"unit": "degF", "value": 90},
            PLAIN | {"rate": {"per": "1m", "over": "10m"}, "value": 0.5},
            AVERAGE,
            PLAIN | {"value": {"attribute": "limit"}},
            {"metric": "humidity", "op": ">", "value": 60},
        ]
    }
    rule = document(when, clear={"when": {"metric": "temperature", "op": "<", "value": 6}})
    (found,) = say(["limitsOf", rule, "temperature", "degC"])
    assert [(each["value"], each["isDrawn"]) for each in found] == [
        (8, True),
        (20, True),
        (30, True),
        (90, False),
        (0.5, False),
        (8, True),
        (6, True),
    ]
    assert found[2]["path"] == ["when", "any", 1, "value", 1]
    assert found[-1]["words"] == "it clears: is below 6"


def test_a_slider_reaches_over_all_that_is_drawn_and_over_its_limit() -> None:
    drawn, beyond, flat, other = say(
        ["reachOf", {"value": 8, "isDrawn": True}, -20, 10],
        ["reachOf", {"value": 50, "isDrawn": True}, -20, 10],
        ["reachOf", {"value": 8, "isDrawn": True}, 8, 8],
        ["reachOf", {"value": 0.5, "isDrawn": False}, -20, 10],
    )
    assert (drawn["least"] < -20, drawn["most"] > 10) == (True, True)
    assert beyond["most"] > 50
    assert (flat["least"] < 0, flat["most"] > 16) == (True, True)
    assert (other["least"] < -0.4, 1.4 < other["most"] < 3) == (True, True)


def test_a_number_has_the_digits_that_mean_something_and_those_that_tell_it_from_its_limit() -> None:
    numbers = [77.2496, 135.649, 1013.25, 0.0123456, 0, -9.999]
    assert say(*(["plainNumber", each] for each in numbers)) == ["77.25", "135.6", "1,013", "0.0123", "0", "-10"]
    asked = [{"seen": 8.0004, "value": 8}, {"seen": 253.04, "value": [207, 253]}, {"seen": 7.9999, "against": 8}]
    assert say(*(["seenNumber", each] for each in asked)) == ["8.0004", "253.04", "7.9999"]


def test_a_limit_is_drawn_among_values_of_its_unit_however_that_is_written() -> None:
    when = {"any": [PLAIN | {"unit": "°C"}, PLAIN | {"unit": "degF"}, PLAIN]}
    (found,) = say(["limitsOf", document(when), "temperature", "degC"])
    assert [each["isDrawn"] for each in found] == [True, False, True]


def test_what_a_step_would_do_is_said_apart_from_its_end() -> None:
    told = [["raise an alert", "tag it", "clear: it was no"], ["clear: x"], []]
    both, end, nothing = say(*(["didWords", each] for each in told))
    assert both == "It would raise an alert, tag it. It would then be over: it was no."
    assert end == "It would be over: x."
    assert nothing == ""
