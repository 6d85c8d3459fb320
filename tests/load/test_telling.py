"""Whoever waits for a bench hears how far it has come, and not too often."""

import pytest

from infra.bench import telling
from infra.bench.telling import Progress


def test_progress_is_told_now_and_then_with_how_much_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(telling.time, "monotonic", lambda: clock[0])
    said: list[str] = []
    done = Progress(said.append, "messages judged", 12_000)
    left = Progress(said.append, "entries drained")
    for second in range(1, 25):
        clock[0] = 100.0 + second
        done.reach(100 * second)
        left.remain(3_000 - 100 * second)
    assert said == [
        "messages judged: 1,000 of 12,000 after 10 s, 100 a second",
        "entries drained: 900 of 2,900 after 10 s, 90 a second",
        "messages judged: 2,000 of 12,000 after 20 s, 100 a second",
        "entries drained: 1,900 of 2,900 after 20 s, 95 a second",
    ]
