"""The bench of the API asks a real web process, and says when an answer cost too much."""

from pathlib import Path

import pytest

from infra.bench import api
from infra.bench.api import Cost
from infra.local.errors import SetupProblem
from infra.local.postgres import Postgres


def test_every_question_is_answered_in_full(postgres: Postgres, tmp_path: Path) -> None:
    costs = api.ask(postgres, tmp_path, times=3)
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
