"""What somebody should know of the computer's clock: that it is wrong, and by how much, and that it was set.

Readings have the right times in spite of it (`wall.py`); logs, certificates and other programs do not.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from ingest.edge.wall import Wall

log = logging.getLogger(__name__)

_JUMP_MS = 5_000


class Clock:
    """`look` at it again and again; `put` takes an event's topic and what it says."""

    def __init__(self, wall: Wall, put: Callable[[str, object], None]) -> None:
        self._wall = wall
        self._put = put
        self._was_known = False
        self._was_right = True
        self._was_set = True
        self._set_ms = wall.set_ms

    def look(self) -> bool:
        """Tell what has become of the clock; whether the time has become known."""
        self._look_for_a_jump()
        wall = self._wall
        is_news, self._was_known = wall.is_known and not self._was_known, wall.is_known
        is_set = wall.guess_ms() is not None
        if not is_set and self._was_set:
            log.warning("The computer's clock was never set; readings wait on the disk until the time is known.")
        self._was_set = is_set
        if wall.is_system_right != self._was_right:
            self._was_right = wall.is_system_right
            self._tell()
        return is_news

    def _tell(self) -> None:
        off_s = round((self._wall.off_ms or 0) / 1000)
        if self._was_right:
            log.info("The computer's clock is right again.")
            self._put("event/clock-right", {"time": self._wall.now_ms()})
            return
        words = f"{timedelta(seconds=abs(off_s))} {'ahead of' if off_s > 0 else 'behind'} the platform's"
        log.warning("The computer's clock is %s; readings have the platform's time. Set it, by NTP.", words)
        self._put("event/clock-wrong", {"time": self._wall.now_ms(), "seconds": off_s, "clock": words})

    def _look_for_a_jump(self) -> None:
        set_ms = self._wall.set_ms
        jump_ms, self._set_ms = set_ms - self._set_ms, set_ms
        if abs(jump_ms) > _JUMP_MS:
            jump_s = round(jump_ms / 1000, 1)
            log.warning("The clock was set %s by %.0f s.", "forward" if jump_s > 0 else "back", abs(jump_s))
            self._put("event/clock-jumped", {"time": self._wall.now_ms(), "seconds": jump_s})
