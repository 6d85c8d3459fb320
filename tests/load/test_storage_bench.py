"""The bench of storage asks what the API asks, of readings whose hours were made, and says when an answer was late."""

from datetime import timedelta

from infra.bench import storage
from infra.bench.storage import Answered, Measured
from infra.local.postgres import Postgres


async def test_every_question_is_asked_of_a_few_hours(postgres: Postgres) -> None:
    said: list[str] = []
    measured = await storage.ask(postgres, 900, said.append, devices=3, span=timedelta(hours=5))
    assert (measured.values, len(said), len(measured.answers)) == (900, 2, 7)
    assert all(0 < answer.median_ms <= answer.worst_ms for answer in measured.answers)
    assert measured.telemetry_bytes > 0
    assert measured.hours_bytes > 0
    assert storage.shown(measured).count("<= 5") == 5


def test_an_answer_that_came_too_late_is_shown_so() -> None:
    late, early = Answered("a", 6, 9, 1, 1, 5), Answered("b", 4, 9, 1, 1, 5)
    assert (late.is_within, early.is_within) == (False, True)
    shown = storage.shown(Measured(7, 1, 1, 1, 1, 1, 1, 1, 1, [late, early, Answered("c", 900, 900, 1, 1, None)]))
    assert [line.split()[-1] for line in shown.splitlines()[-3:]] == ["MISSED", "held", "-"]
