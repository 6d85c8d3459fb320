"""Every part of a grown document is read and written as it was, and refused with its place where it is wrong."""

import json
import math
import random
from typing import Any

import pytest

from engine.rules.document import parse, to_json
from engine.rules.errors import Problem, RuleInvalid
from tests.engine.rules import grown
from tests.engine.rules.making import document, temperature_above
from tests.engine.rules.test_document import refusal

ID = "00000000-0000-0000-0000-00000000000a"
EVERYTHING = document(
    {
        "all": [
            {"metric": "t", "op": ">", "value": {"metric": "s", "plus": 2, "times": 1.5}, "unit": "degF"},
            {"metric": "t", "op": "<=", "value": {"attribute": "limit"}},
            {"metric": "t", "op": "!=", "value": {"metric": "t", "ago": "1h"}},
            {"metric": "t", "agg": {"fn": "avg", "over": "5m"}, "op": "between", "value": [1, 2.5]},
            {"metric": "t", "agg": {"fn": "count", "last": 10}, "op": "<", "value": 3},
            {"metric": "t", "rate": {"per": "1m", "over": "10m"}, "op": ">", "value": 3},
            {"metric": "t", "delta": {"over": "10m"}, "op": ">", "value": 3},
            {"metric": "d", "changed": {"over": "1m"}},
            {"metric": "f", "stuck": {"for": "30m", "within": 0.1}},
            {"attribute": "critical", "op": "in", "value": ["a", "b"]},
            {"tag": "outdoor"},
            {"group": ID},
            {"profile": "pump"},
            {"time": {"days": [1, 5], "from": "22:00", "to": "06:00", "tz": "Europe/Berlin"}},
            {"time": {"days": [6]}},
            {"place": {"metric": "p", "is": "left", "of": {"circle": {"lat": 1, "lon": -2.5, "radius_m": 10}}}},
            {"place": {"metric": "p", "is": "outside", "of": {"polygon": [[0, 0], [0, 1], [1, 1.5]]}}},
            {"silence": "30m"},
            {"presence": "offline"},
            {"event": "door-forced"},
        ]
    },
    held="10m",
    trigger={"schedule": {"cron": "0 6 * * 1-5", "tz": "site"}},
    scope={
        "profile": "pump",
        "groups": [ID],
        "tags": ["a"],
        "where": [{"tag": "b"}, {"attribute": "x", "op": "==", "value": 1}],
    },
    missing={"after": "30m", "do": "hold"},
    limits={"cooldown": "1h", "max_per_hour": 10, "quiet": {"from": "22:00", "to": "06:00", "days": [7], "tz": "UTC"}},
    then=[
        {"do": "alert"},
        {"do": "notify", "policy": "on-call", "message": "{device} at {metric:t}\n{time}"},
        {"do": "webhook", "channel": "erp"},
        {"do": "command", "command": "open-valve", "arguments": {"position": 50, "why": "{rule}"}, "device": ID},
        {"do": "set", "attribute": "mode", "value": True},
        {"do": "tag", "add": "hot"},
        {"do": "derive", "metric": "x", "value": {"metric": "t", "times": 2}},
        {"do": "derive", "metric": "y", "value": {"metric": "t", "agg": {"fn": "max", "over": "1h"}}},
        {"do": "derive", "metric": "z", "value": 1.5},
    ],
    on_clear=[{"do": "tag", "remove": "hot"}, {"do": "command", "command": "shut"}],
    tests=[
        {
            "name": "spike",
            "given": [{"at": "0s", "t": 9, "p": {"lat": 1, "lon": 2}}, {"at": "11m", "t": 9, "d": False, "m": "x"}],
            "expect": [{"at": "10m", "do": "raise"}, {"do": "clear"}],
        },
        {"name": "quiet", "given": [{"at": "0s", "t": 1}], "expect": []},
    ],
)  # fmt: skip


def problems(node: object) -> list[Problem]:
    with pytest.raises(RuleInvalid) as refused:
        parse(node)
    return list(refused.value.problems)


def test_a_document_with_everything_in_it_comes_back_as_it_was_written() -> None:
    assert json.dumps(to_json(parse(EVERYTHING)), sort_keys=True) == json.dumps(EVERYTHING, sort_keys=True)


def test_random_conditions_with_every_kind_of_leaf_come_back_as_they_were_written() -> None:
    rng = random.Random(1)
    for _ in range(1_000):
        node = document(grown.random_condition(rng))
        assert json.dumps(to_json(parse(node)), sort_keys=True) == json.dumps(node, sort_keys=True)


def leaf(**fields: Any) -> dict[str, Any]:
    return document({"metric": "t", "op": ">", "value": 1} | fields)


def place(**fields: Any) -> dict[str, Any]:
    return document(
        {"place": {"metric": "p", "is": "inside", "of": {"circle": {"lat": 1, "lon": 1, "radius_m": 9}}} | fields}
    )


def does(**fields: Any) -> dict[str, Any]:
    return document(then=[fields])


@pytest.mark.parametrize(
    ("node", "path"),
    [
        (leaf(agg={"fn": "median", "over": "5m"}), "$.when.agg.fn"),
        (leaf(agg={"fn": "avg"}), "$.when.agg"),
        (leaf(agg={"fn": "avg", "over": "5m", "last": 3}), "$.when.agg"),
        (leaf(agg={"fn": "avg", "over": "8d"}), "$.when.agg.over"),
        (leaf(agg={"fn": "avg", "last": 1_001}), "$.when.agg.last"),
        (leaf(agg={"fn": "avg", "last": True}), "$.when.agg.last"),
        (leaf(agg={"fn": "avg", "over": "5m"}, delta={"over": "5m"}), "$.when.delta"),
        (leaf(rate={"over": "5m"}), "$.when.rate.per"),
        (leaf(value={"metric": "s", "add": 1}), "$.when.value.add"),
        (leaf(value={"metric": "s", "plus": 1e13}), "$.when.value.plus"),
        (leaf(op="between", value={"metric": "s"}), "$.when.value"),
        (leaf(value={"metric": "s", "ago": "1h", "plus": 2}), "$.when.value.plus"),
        (document({"metric": "t", "changed": {"over": "1m"}, "op": ">"}), "$.when.op"),
        (document({"metric": "t", "stuck": {"for": "1m", "within": -1}}), "$.when.stuck.within"),
        (document({"attribute": "a", "op": "==", "value": {"metric": "t"}}), "$.when.value"),
        (document({"tag": ""}), "$.when.tag"),
        (document({"group": "all"}), "$.when.group"),
        (document({"profile": "a b"}), "$.when.profile"),
        (document({"time": {}}), "$.when.time"),
        (document({"time": {"tz": "site"}}), "$.when.time"),
        (document({"time": {"from": "6:00"}}), "$.when.time.from"),
        (document({"time": {"from": "24:00"}}), "$.when.time.from"),
        (document({"time": {"from": "06:00", "to": "06:00"}}), "$.when.time.to"),
        (document({"time": {"days": [0]}}), "$.when.time.days[0]"),
        (document({"time": {"days": [1, 1]}}), "$.when.time.days"),
        (document({"time": {"days": [1], "tz": "Mars/Base"}}), "$.when.time.tz"),
        (document({"time": {"days": [1], "tz": "../../etc/passwd"}}), "$.when.time.tz"),
        (place(**{"is": "near"}), "$.when.place.is"),
        (place(of={"circle": {"lat": 91, "lon": 0, "radius_m": 5}}), "$.when.place.of.circle.lat"),
        (place(of={"polygon": [[0, 0], [1, 1]]}), "$.when.place.of.polygon"),
        (place(of={"polygon": [[0, 0], [1, 1], [1]]}), "$.when.place.of.polygon[2]"),
        (place(of={"polygon": [[0, 0], [1, 1], [True, 2]]}), "$.when.place.of.polygon[2][0]"),
        (place(of={"polygon": [[0, 0], [1, 1], [2, math.nan]]}), "$.when.place.of.polygon[2][1]"),
        (place(of={"polygon": [[0, 0], [90.1, 1], [2, 2]]}), "$.when.place.of.polygon[1][0]"),
        (place(of={"polygon": [[0, -180.1], [1, 1], [2, 2]]}), "$.when.place.of.polygon[0][1]"),
        (place(of={"polygon": [[0, 0]] * 101}), "$.when.place.of.polygon"),
        (document({"silence": "1s"}), "$.when.silence"),
        (document({"presence": "away"}), "$.when.presence"),
        (document({"event": "a/b"}), "$.when.event"),
        (document(trigger={"schedule": {"cron": "* * * *"}}), "$.trigger.schedule.cron"),
        (document(trigger={"schedule": {"cron": "* * * * * *"}}), "$.trigger.schedule.cron"),
        (document(trigger={"schedule": {"cron": "61 * * * *"}}), "$.trigger.schedule.cron"),
        (document(trigger={"schedule": {"cron": "0 0 31 2 *"}}), "$.trigger.schedule.cron"),
        (document(trigger={"schedule": {"cron": "@daily"}}), "$.trigger.schedule.cron"),
        (document(scope={"profile": None, "groups": ["a"]}), "$.scope.groups[0]"),
        (document(scope={"profile": None, "where": [temperature_above(8)]}), "$.scope.where[0].metric"),
        (document(missing={"after": "1s", "do": "hold"}), "$.missing.after"),
        (document(missing={"after": "1h", "do": "explode"}), "$.missing.do"),
        (document(limits={"max_per_hour": 0}), "$.limits.max_per_hour"),
        (document(limits={"quiet": {"from": "22:00"}}), "$.limits.quiet.to"),
        (document(on_clear=[{"do": "alert"}]), "$.on_clear[0]"),
        (does(do="notify"), "$.then[0].policy"),
        (does(do="notify", policy="a", message="{devise}"), "$.then[0].message"),
        (does(do="command", command="go", arguments={"a": [1]}), "$.then[0].arguments.a"),
        (does(do="command", command="go", arguments={"a b": 1}), "$.then[0].arguments.a b"),
        (does(do="command", command="go", arguments={f"a{i}": 1 for i in range(21)}), "$.then[0].arguments"),
        (does(do="command", command="go", device="pump"), "$.then[0].device"),
        (does(do="set", attribute="a"), "$.then[0].value"),
        (does(do="tag"), "$.then[0].add"),
        (does(do="tag", add="a", remove="b"), "$.then[0].remove"),
        (does(do="derive", metric="x", value="{value}"), "$.then[0].value"),
        (document(then=[{"do": "webhook", "channel": "a"}] * 11), "$.then"),
        (document(tests=[{"name": "a", "given": [], "expect": []}]), "$.tests[0].given"),
        (document(tests=[{"name": "a", "given": [{"t": 1}], "expect": []}]), "$.tests[0].given[0].at"),
        (document(tests=[{"name": "a", "given": [{"at": "0s"}], "expect": [{"do": "x"}]}]), "$.tests[0].expect[0].do"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_at_its_place(node: object, path: str) -> None:
    assert path in [problem.path for problem in problems(node)]


def test_an_unknown_placeholder_is_said_with_what_was_meant() -> None:
    (problem,) = problems(does(do="notify", policy="a", message="{devise} {value}"))
    assert problem.message == "There is no placeholder “{devise}”."
    assert problem.suggestion == "Did you mean “device”?"


def test_a_document_with_everything_broken_anywhere_is_read_or_refused() -> None:
    rng = random.Random(4)
    junk: list[Any] = [None, True, -1, 1e999, "x", "\x00", [], {}, {"metric": 1}, [[]], "9" * 500, {"a": {"b": {}}}]
    for _ in range(800):
        node = json.loads(json.dumps(EVERYTHING))
        at = node
        while True:
            keys = list(at) if isinstance(at, dict) else list(range(len(at)))
            key = rng.choice(keys)
            if isinstance(at[key], dict | list) and at[key] and rng.random() < 0.8:
                at = at[key]
                continue
            at[key] = rng.choice(junk)
            break
        found = refusal(node)
        assert len(found) <= 50
        assert found or to_json(parse(node)) == node
