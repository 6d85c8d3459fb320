"""The tick goes on whatever becomes of the time of day."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from celery import Celery

from engine import beat
from engine.queue import TICK, celery_app


class Sent(beat.Scheduler):
    """Counts what it sends instead of sending it."""

    def __init__(self, app: Celery) -> None:
        self.sent: list[str] = []
        super().__init__(app)

    def apply_entry(self, entry: object, producer: object = None) -> None:
        self.sent.append(entry.task)  # type: ignore[attr-defined]


def test_a_clock_that_is_put_back_by_a_day_does_not_stop_the_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    app = celery_app("memory://")
    monkeypatch.setattr(app, "now", lambda: datetime.now(UTC))
    scheduler = Sent(app)
    elapsed = [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: elapsed[0])

    def run(seconds: float) -> int:
        until, before = elapsed[0] + seconds, len(scheduler.sent)
        while elapsed[0] < until:
            elapsed[0] += max(0.01, scheduler.tick())
        return len(scheduler.sent) - before

    run(2)
    assert run(10) in (9, 10, 11)
    monkeypatch.setattr(app, "now", lambda: datetime.now(UTC) - timedelta(days=1))
    assert run(10) in (9, 10, 11)
    monkeypatch.setattr(app, "now", lambda: datetime.now(UTC) + timedelta(days=1))
    assert run(10) in (9, 10, 11)
    assert set(scheduler.sent) == {TICK}
