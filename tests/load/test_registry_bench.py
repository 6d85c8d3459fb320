"""The bench of the registry asks what the API asks, and says when an answer came too late."""

from infra.bench import registry
from infra.bench.registry import Answered, Measured
from infra.local.postgres import Postgres


async def test_every_question_is_asked_of_a_small_fleet(postgres: Postgres) -> None:
    measured = await registry.ask(postgres, 300)
    names = [answer.name for answer in measured.answers]
    assert {"page from the middle", "search that finds nothing", "dynamic group: one site", "counts"} <= set(names)
    assert {"silent ones", "limited to one site: counts", "limited to four mixed groups: silent ones"} <= set(names)
    assert "import of 300 devices" in names
    assert all(0 < answer.median_ms <= answer.worst_ms for answer in measured.answers)
    assert measured.as_json()["devices"] == 300


def test_an_answer_that_came_too_late_is_shown_so() -> None:
    late, early = Answered("a", 201, 300, 200), Answered("b", 199, 300, 200)
    assert (late.is_within, early.is_within) == (False, True)
    said = registry.shown(Measured(7, [late, early, Answered("c", 900, 900, None)]))
    assert [line.split()[-1] for line in said.splitlines()[-3:]] == ["MISSED", "held", "-"]
