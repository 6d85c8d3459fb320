"""What sends the tick: Celery's beat, by the clock that nobody can set.

Beat goes by the time of day. Where that is put back, by an operator or by a time server, it would wait for as long as
it was put back, and so would every timer of every rule.
"""

import time
from typing import Any

from celery import beat
from celery.schedules import schedstate, schedule


class Scheduler(beat.Scheduler):
    """Each entry as often as it says, counted from when it was last sent."""

    def _when(self, entry: beat.ScheduleEntry, next_time_to_run: float, *_: Any) -> float:
        """The moment so many seconds from now (monotonic)."""
        return time.monotonic() + next_time_to_run

    def is_due(self, entry: beat.ScheduleEntry) -> schedstate:
        """Asked of an entry whose moment has come: that it is due, and in how many seconds it is again."""
        assert isinstance(entry.schedule, schedule)
        return schedstate(is_due=True, next=entry.schedule.seconds)
