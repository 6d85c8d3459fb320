"""The linter: what a valid rule probably does not mean is found, with its place; what is sensible is left alone."""

import copy
import random
import re
from dataclasses import replace
from typing import Any

import pytest

from engine.rules.check import check
from engine.rules.document import parse
from engine.rules.feuds import Neighbour
from engine.rules.lint import Finding, Weight, lint, worst
from engine.rules.mends import EditKind, Mend
from engine.rules.model import MetricType
from engine.rules.vocabulary import Metric, Vocabulary
from tests.engine.rules import grown
from tests.engine.rules.making import document

VOCABULARY = Vocabulary.of(
    [
        Metric("temperature", MetricType.NUMBER, "degC", "Temperature"),
        Metric("humidity", MetricType.NUMBER, "percent", min=0, max=100),
        Metric("door", MetricType.BOOLEAN),
        Metric("mode", MetricType.STRING),
        Metric("position", MetricType.OBJECT),
    ],
    interval_s=300,
)


def t(op: str, value: Any, **more: Any) -> dict[str, Any]:
    return {"metric": "temperature", "op": op, "value": value} | more


def found(when: Any, others: Any = (), **more: Any) -> list[Finding]:
    return lint(parse(document(when, **({"held": "10m"} | more))), VOCABULARY, others)


def said(when: Any, others: Any = (), **more: Any) -> list[tuple[str, str, str]]:
    return [(str(each.weight), each.path, each.message) for each in found(when, others, **more)]


@pytest.mark.parametrize(
    "when",
    [
        t(">", 8),
        {"all": [t(">", 5), t("<", 8)]},
        {"any": [t("<", 2), t(">", 8)]},
        {"all": [t(">", 8), {"metric": "door", "op": "==", "value": False}, {"tag": "outdoor"}]},
        {"any": [{"all": [t(">", 8), {"tag": "a"}]}, {"all": [t("<", 2), {"tag": "b"}]}]},
        {"all": [t(">", 8), t(">", 9, agg={"fn": "max", "over": "1h"})]},
        {"any": [{"attribute": "a", "op": "==", "value": 1}, {"attribute": "a", "op": "!=", "value": True}]},
        {"all": [t(">", {"metric": "humidity"}), t("<", {"metric": "humidity", "plus": 5})]},
    ],
)
def test_a_sensible_rule_has_no_findings(when: Any) -> None:
    assert said(when) == []


@pytest.mark.parametrize(
    ("when", "path", "message"),
    [
        (
            {"all": [t(">", 8), t("<", 5)]},
            "$.when.all[1]",
            "It can never fire: temperature is above 8 °C and temperature is below 5 °C cannot be at once.",
        ),
        (
            {"all": [t(">", 8), {"not": {"metric": "humidity", "op": ">", "value": 5}}, t("<", 46.4, unit="degF")]},
            "$.when.all[2]",
            "It can never fire: temperature is above 8 °C and temperature is below 8 °C cannot be at once.",
        ),
        (
            {"all": [{"tag": "a"}, {"not": {"any": [{"tag": "a"}, t(">", 8)]}}]},
            "$.when.all[1].not.any[0]",
            "It can never fire: it is tagged “a” and it is not tagged “a” cannot be at once.",
        ),
        (
            {"all": [{"presence": "online"}, {"presence": "offline"}]},
            "$.when.all[1]",
            "It can never fire: it is online and it is offline cannot be at once.",
        ),
        (
            {
                "all": [
                    {"metric": "mode", "op": "in", "value": ["a", "b"]},
                    {"metric": "mode", "op": "==", "value": "c"},
                ]
            },
            "$.when.all[1]",
            "It can never fire: mode is one of “a” or “b” and mode is “c” cannot be at once.",
        ),
        (
            {"all": [t(">", 8, agg={"fn": "count", "over": "1h"}), t("<", 0, agg={"fn": "count", "over": "2h"})]},
            "$.when.all[1]",
            "It can never fire: a count is a whole number from 0 to 20,000.",
        ),
    ],
)
def test_what_can_never_be_is_a_problem_that_says_why(when: Any, path: str, message: str) -> None:
    assert said(when)[0] == ("problem", path, message)


def test_a_branch_that_can_never_be_is_found_beside_what_is_settled_around_it() -> None:
    when = {"all": [t(">", 8), {"any": [t("<", 5), {"tag": "a"}]}]}
    assert said(when) == [
        (
            "warning",
            "$.when.all[1].any[0]",
            "This part can never be true: temperature is above 8 °C and temperature is below 5 °C cannot be at once.",
        )
    ]


@pytest.mark.parametrize(
    "when",
    [
        {"any": [t(">", 5), t("<=", 5)]},
        {"any": [t(">", 5), t("<", 8)]},
        {"any": [{"tag": "a"}, {"not": {"tag": "a"}}]},
        {"not": {"all": [t(">", 8), t("<", 5)]}},
    ],
)
def test_what_is_always_true_is_a_problem(when: Any) -> None:
    assert ("problem", "$.when") in [(weight, path) for weight, path, _ in said(when)]


def test_a_rule_that_never_clears_is_a_problem() -> None:
    clear = {"when": t(">", 10)}
    assert said(t(">", 8), clear=clear) == [
        (
            "problem",
            "$.clear.when",
            "It can never clear: whenever this is true, the rule still says that something is wrong.",
        )
    ]
    assert said(t(">", 8), clear={"when": t("<", 6)}) == []
    assert said(t(">", 8), clear={"when": {"all": [t("<", 6), t(">", 7)]}})[0][2].startswith("It can never clear: ")


def test_what_the_scope_settles_is_no_question() -> None:
    scope = {"profile": "pump", "tags": ["a"], "where": [{"attribute": "floor", "op": ">", "value": 3}]}
    assert said({"all": [t(">", 8), {"not": {"tag": "a"}}]}, scope=scope) == [
        (
            "problem",
            "$.when.all[1].not",
            "It can never fire: it is tagged “a” and it is not tagged “a” cannot be at once, "
            "and its scope decides one of them.",
        )
    ]
    assert said({"all": [t(">", 8), {"profile": "fan"}]}, scope=scope)[0][:2] == ("problem", "$.when.all[1]")
    floor = {"attribute": "floor", "op": "<", "value": 1}
    assert said({"any": [t(">", 8), floor]}, scope=scope)[0][:2] == ("warning", "$.when.any[1]")
    assert said({"tag": "a"}, scope=scope)[0][2].startswith("This is always true")
    none = {"profile": None, "where": [floor, *scope["where"]]}
    assert said(t(">", 8), scope=none)[0][:2] == ("problem", "$.scope")


def test_a_wait_longer_than_its_times_of_day_last_is_a_problem() -> None:
    lunch = {"time": {"from": "12:00", "to": "12:30"}}
    assert said({"all": [t(">", 8), lunch]}, held="2h") == [
        ("problem", "$.for", "It can never fire: its times last 30 minutes at most, and it waits for 2 hours.")
    ]
    then = {"time": {"from": "12:30", "to": "14:00"}}
    assert said({"all": [t(">", 8), {"any": [lunch, then]}]}, held="2h") == []
    assert said({"all": [t(">", 8), {"any": [lunch, {"tag": "a"}]}]}, held="2h") == []
    assert said({"all": [t(">", 8), lunch]}, held="30m") == []
    clear = {"when": {"all": [t("<", 5), lunch]}, "for": "1h"}
    assert said(t(">", 8), clear=clear)[0][:2] == ("problem", "$.clear.for")
    noon = {"schedule": {"cron": "15 12 * * *"}}  # which looks at that moment only, day after day
    assert said({"all": [t(">", 8), lunch]}, held="48h", trigger=noon) == []


def test_what_a_missing_value_can_do_alone_is_not_called_never() -> None:
    never = {"all": [t(">", 8), t("<", 5)]}
    assert said(never, missing={"after": "1h", "do": "fire"})[0][2].startswith("Only a missing value can make it fire:")
    assert said(never, missing={"after": "1h", "do": "clear"})[0][2].startswith("It can never fire:")


def swinging(when: Any, **more: Any) -> list[tuple[str, str, str, str | None]]:
    findings = lint(parse(document(when, **more)), VOCABULARY)
    return [(str(each.weight), each.path, each.message, each.suggestion) for each in findings]


def test_a_bare_threshold_is_told_to_wait_or_to_clear_elsewhere() -> None:
    again, waits = "fires and clears again and again.", "Let it wait some minutes, or clear only"
    above = ("warning", "$.when", f"A value that swings around 8 °C {again}", f"{waits} below 7.6 °C.")
    assert swinging(t(">", 8)) == [above]
    assert swinging(t(">", 46.4, unit="degF")) == [above]
    below = ("warning", "$.when.not", f"A value that swings around 8 °C {again}", f"{waits} above 8.4 °C.")
    assert swinging({"not": t(">=", 8)}) == [below]
    for how in ({"last": 1}, {"last": 5}, {"over": "1h"}):
        assert swinging(t(">", 8, agg={"fn": "avg"} | how)) == [above]
    assert swinging(t(">", 8, agg={"fn": "max", "last": 1})) == [above]
    assert swinging(t(">", 8, agg={"fn": "max", "over": "1h"})) == [], "it stays for an hour by itself"
    assert swinging(t(">", 8, delta={"over": "1h"}), limits={"cooldown": "1h"}) == []
    assert swinging(t(">", 8), clear={"when": t("<", 7)}) == []


@pytest.mark.parametrize(
    ("clear", "message"),
    [
        (t("<=", 8), "It clears at 8 °C, where it fires: a value that swings around that does both again and again."),
        ({"not": t(">", 46.4, unit="degF")}, "It clears at 8 °C, where it fires: "),
        ({"all": [t("<", 8), {"tag": "a"}]}, "It clears at 8 °C, where it fires: "),
        (t("<", 20), "What clears it is also true above 8 °C, where it still fires: so it clears at 8 °C."),
        (t("!=", 50), "What clears it is also true above 8 °C, where it still fires: so it clears at 8 °C."),
    ],
)
def test_a_clear_that_is_no_hysteresis_is_found(clear: Any, message: str) -> None:
    (one,) = swinging(t(">", 8), clear={"when": clear})
    assert one[:2] == ("warning", "$.clear.when")
    assert one[2].startswith(message)
    assert one[3] == "Clear only below 7.6 °C."
    waiting = swinging(t(">", 8), clear={"when": clear, "for": "10m"})
    assert [weight for weight, *_ in waiting] == (["hint"] if "also true" in message else [])


def test_a_clear_beyond_each_of_two_limits_is_hysteresis() -> None:
    low, high = t("<", 2), t(">", 8)
    assert swinging({"any": [low, high]}, clear={"when": t("between", [3, 7])}) == []
    assert swinging({"any": [low, high]}, clear={"when": t("between", [3, 8])})[0][3] == "Clear only below 7.6 °C."
    assert swinging(t("outside", [2, 8]), clear={"when": t("between", [2, 7])})[0][3] == "Clear only above 2.1 °C."
    averaged = t(">", 8, agg={"fn": "avg", "last": 1})
    assert swinging(averaged, clear={"when": averaged | {"op": "<="}})[0][1] == "$.clear.when"


def mended(node: dict[str, Any], mend: Mend) -> dict[str, Any]:
    """The document with the edits made, as whoever reads the contract would."""
    node = copy.deepcopy(node)
    for edit in mend.edits:
        *above, last = [int(at) if at else key for at, key in re.findall(r"\[(\d+)\]|\.([^.\[]+)", edit.path)]
        holder: Any = node
        for key in above:
            holder = holder[key]
        if edit.kind is EditKind.SET:
            holder[last] = edit.value
        else:
            del holder[last]
    return node


@pytest.mark.parametrize(
    ("when", "more", "words", "place"),
    [
        (t(">", 8), {}, "clear only below 7.6 °C", ("clear", {"when": t("<", 7.6)})),
        (t("<=", 8, unit="degC"), {}, "clear only above 8.4 °C", ("clear", {"when": t(">", 8.4, unit="degC")})),
        (t(">", 46.4, unit="degF"), {}, "clear only below 7.6 °C", ("clear", {"when": t("<", 7.6)})),
        ({"all": [t(">", 8), {"tag": "a"}]}, {}, "let it wait for 10 minutes", ("for", "10m")),
        (t("outside", [2, 8]), {}, "let it wait for 10 minutes", ("for", "10m")),
        (t(">", 8), {"clear": {"when": t("<=", 8)}}, "clear only below 7.6 °C", ("clear", {"when": t("<", 7.6)})),
        ({"event": "door-forced"}, {"for": "5m"}, "leave the wait out", ("for", None)),
        ({"any": [{"tag": "a"}, {"tag": "a"}]}, {}, "take this one out", ("when", {"any": [{"tag": "a"}]})),
        ({"any": [t(">", 9), t(">", 8)]}, {"for": "10m"}, "take “temperature is above 9 °C” out",
         ("when", {"any": [t(">", 8)]})),
        (t(">", 8, agg={"fn": "sum", "over": "1h"}), {"for": "10m"}, "use the average",
         ("when", t(">", 8, agg={"fn": "avg", "over": "1h"}))),
    ],
)  # fmt: skip
def test_what_has_one_obvious_mend_is_mended_by_its_edits(
    when: Any, more: dict[str, Any], words: str, place: tuple[str, Any]
) -> None:
    node = document(when, **more)
    one = next(each for each in lint(parse(node), VOCABULARY) if each.mend)
    assert one.mend is not None
    better = mended(node, one.mend)
    assert (one.mend.words, better.get(place[0])) == (words, place[1])
    assert one.message not in [each.message for each in lint(parse(better), VOCABULARY)]


def test_a_mend_of_any_random_rule_leaves_a_rule_that_is_valid_without_that_finding_and_no_worse() -> None:
    rng, tried = random.Random(11), 0
    slow = replace(grown.VOCABULARY, interval_s=600)
    for _ in range(400):
        more = {"clear": {"when": grown.random_condition(rng, 1)}} if rng.random() < 0.3 else {}
        node = document(grown.random_condition(rng, rng.randint(1, 3)), **more)
        if check(parse(node), slow):
            continue
        findings = lint(parse(node), slow)
        problems = sum(each.weight is Weight.PROBLEM for each in findings)
        for each in (found for found in findings if found.mend):
            assert each.mend is not None
            tried += 1
            better = parse(mended(node, each.mend))
            assert check(better, slow) == []
            left = lint(better, slow)
            assert sum(other.weight is Weight.PROBLEM for other in left) <= problems, (node, each)
    assert tried > 100


def test_what_contradicts_itself_has_no_mend() -> None:
    for when in ({"all": [t(">", 8), t("<", 3)]}, {"any": [t(">", 8), t("<=", 8)]}):
        assert [each.mend for each in lint(parse(document(when, **{"for": "10m"})), VOCABULARY)] == [None]


def test_an_alert_of_a_moment_is_told_that_it_clears_at_once() -> None:
    left = {"place": {"metric": "position", "is": "left", "of": {"circle": {"lat": 1, "lon": 1, "radius_m": 9}}}}
    for when in ({"event": "door-forced"}, left, {"all": [t(">", 8, agg={"fn": "max", "over": "1h"}), left]}):
        (one,) = swinging(when)
        assert one[:2] == ("warning", "$.when")
        assert one[2].endswith("is true of a moment only, so the alert clears at once.")
        assert one[3] == "Say under “Over” when it is over, with a wait, or notify people instead of raising an alert."
        assert swinging(when, clear={"when": {"not": when}, "for": "1h"}) == []
        assert swinging(when, then=[{"do": "notify", "policy": "a"}]) == []
    ((weight, _, message, _),) = swinging({"metric": "door", "changed": {"over": "10m"}})
    assert (weight, message[-62:]) == (
        "hint",
        "is soon over: the alert clears by itself 10 minutes after the change."[-62:],
    )


def test_what_is_said_twice_or_follows_from_its_neighbour_is_hinted_at() -> None:
    twice = {"all": [t(">", 8), {"tag": "a"}, t(">", 46.4, unit="degF")]}
    assert said(twice) == [("hint", "$.when.all[2]", "This is there twice.")]
    wider = {"all": [t(">", 8), t(">", 5)]}
    message = "“temperature is above 5 °C” says nothing beside “temperature is above 8 °C”."
    assert said(wider) == [("hint", "$.when.all[1]", message)]
    message = "“temperature is above 8 °C” says nothing beside “temperature is above 5 °C”."
    assert said({"any": wider["all"]}) == [("hint", "$.when.any[1]", message)]


def test_a_wait_for_a_moment_is_a_problem() -> None:
    assert said({"event": "door-forced"}) == [
        (
            "problem",
            "$.for",
            "“an event “door-forced” comes” is true of a moment only, so it is never so for 10 minutes.",
        )
    ]
    assert said({"any": [{"event": "door-forced"}, t(">", 8)]}) == []


def test_thresholds_beyond_the_profiles_range_are_found_in_any_unit() -> None:
    assert said({"metric": "humidity", "op": ">", "value": 120}) == [
        ("warning", "$.when.value", "This can never be true: by its profile, humidity is between 0 and 100 %.")
    ]
    assert said({"metric": "humidity", "op": ">", "value": 2_000_000, "unit": "ppm"})[0][1] == "$.when.value"
    assert said({"metric": "humidity", "op": "<=", "value": 100})[0][2].startswith("This is always true: ")
    assert said({"metric": "humidity", "delta": {"over": "1h"}, "op": ">", "value": 120}) == []


@pytest.mark.parametrize(
    ("leaf", "path"),
    [
        (t(">", 8, agg={"fn": "avg", "over": "1m"}), "$.when.agg.over"),
        (t(">", 8, rate={"per": "1m", "over": "5m"}), "$.when.rate.over"),
        (t(">", 8, delta={"over": "1m"}), "$.when.delta.over"),
        ({"metric": "door", "changed": {"over": "1m"}}, "$.when.changed.over"),
        ({"metric": "temperature", "stuck": {"for": "5m"}}, "$.when.stuck.for"),
        ({"silence": "2m"}, "$.when.silence"),
    ],
)
def test_a_window_shorter_than_the_time_between_reports_sees_nothing(leaf: Any, path: str) -> None:
    (one,) = found(leaf)
    assert (one.weight, one.path) == (Weight.WARNING, path)
    assert "its devices report every 5 minutes" in one.message


def test_a_wait_shorter_than_the_time_between_reports_decides_on_one_value() -> None:
    assert said(t(">", 8), held="1m")[0][:2] == ("hint", "$.for")
    assert said(t(">", 8), missing={"after": "1m", "do": "fire"})[0][:2] == ("warning", "$.missing.after")


def test_numbers_that_mean_nothing_are_found() -> None:
    assert said(t(">", 80, agg={"fn": "sum", "over": "1h"}))[0][1] == "$.when.agg.fn"
    assert said(t("==", 8.3))[0] == ("hint", "$.when.op", "A measured number is rarely exactly this.")


def open_valve(position: int) -> list[dict[str, Any]]:
    return [{"do": "command", "command": "valve", "arguments": {"position": position}}]


def neighbour(name: str, when: Any, **more: Any) -> Neighbour:
    return Neighbour(name, parse(document(when, **more)))


def test_two_rules_that_want_different_things_of_one_valve_are_found() -> None:
    other = neighbour("Close it", t(">", 20), then=open_valve(0))
    assert said(t(">", 8), [other], then=open_valve(100)) == [
        (
            "warning",
            "$.then[0]",
            "The rule “Close it” wants something else: it sends “valve” with position 0, "
            "this one sends “valve” with position 100.",
        )
    ]


def test_rules_that_exclude_each_other_or_want_the_same_do_not_fight() -> None:
    others = [
        neighbour("Cold", t("<", 2), then=open_valve(0)),
        neighbour("Same", t(">", 9), then=open_valve(100)),
        neighbour("Elsewhere", t(">", 9), then=open_valve(0), scope={"profile": "fan"}),
        neighbour("Alert", t(">", 9)),
    ]
    assert said(t(">", 8), others, then=open_valve(100), scope={"profile": "pump"}) == []


def test_a_rule_that_changes_what_it_reads_is_found() -> None:
    derive = [{"do": "derive", "metric": "temperature", "value": {"metric": "temperature", "plus": 1}}]
    assert said(t(">", 8), then=derive)[0][:2] == ("problem", "$.then[0]")
    tag = [{"do": "tag", "add": "hot"}]
    assert said({"all": [t(">", 8), {"not": {"tag": "hot"}}]}, then=tag)[0][:2] == ("warning", "$.then[0]")


def test_a_circle_over_other_rules_names_them() -> None:
    when = {"all": [t(">", 8), {"tag": "c"}]}
    others = [
        neighbour("Second", {"tag": "a"}, then=[{"do": "set", "attribute": "b", "value": True}]),
        neighbour("Third", {"attribute": "b", "op": "==", "value": True}, then=[{"do": "tag", "add": "c"}]),
        neighbour("Other", t(">", 8), then=[{"do": "tag", "add": "z"}]),
    ]
    (one,) = said(when, others, then=[{"do": "tag", "add": "a"}])
    assert one[2].endswith("this rule → “Second” → “Third” → this rule, by the tag “a”.")


def test_findings_come_the_gravest_first_and_are_bounded() -> None:
    many = {"any": [t("==", 8.25 + i) for i in range(49)]}
    findings = found({"all": [many, t(">", 900)]}, held="1m")
    assert findings[0].weight is worst(findings) is Weight.PROBLEM
    assert len(findings) <= 50
    assert worst([]) is None


def test_any_random_rule_can_be_linted() -> None:
    rng = random.Random(9)
    for _ in range(500):
        node = document(grown.random_condition(rng), clear={"when": grown.random_condition(rng, 1)})
        for each in lint(parse(node), grown.VOCABULARY):
            assert each.path.startswith("$.")
            assert each.message.endswith((".", "”."))
