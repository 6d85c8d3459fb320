"""What time it is next to the machines, where the computer's own clock may not know: it has no battery, or no network.

Until the platform has said what time it is, times are counted from the computer's start, as negative numbers, which no
time since 1970 is; the spool makes times of them as soon as that is known. From then on the computer's clock counts
while it is near the platform's, else the platform's: a clock that is set, wrong or right, moves no reading.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from pathlib import Path

from engine import clock

EARLIEST_MS = 1_767_225_600_000
"""2026-01-01: this program is no older, so whatever is before has never been set."""
NEAR_MS = 30_000
"""What the way of a message may take, and no two clocks that are set by the network differ by."""


def elapsed_ms() -> int:
    """How long the computer has been on, which nobody sets; on Linux with the time that it slept."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)) // 1_000_000


def boot() -> str:
    """Which start of the computer this is; without Linux, which process."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return uuid.uuid4().hex


class Wall:
    """The time, for one process. `hear` what the platform says when a session begins."""

    def __init__(
        self,
        system_ms: Callable[[], int] = clock.now_ms,
        elapsed_ms: Callable[[], int] = elapsed_ms,
        boot_id: str | None = None,
    ) -> None:
        self._system_ms = system_ms
        self._elapsed_ms = elapsed_ms
        self.boot = boot() if boot_id is None else boot_id
        self._began_ms: int | None = None
        """When the computer was started, by the platform's clock."""
        self._has_no_word = False
        """The platform does not say what time it is."""

    def hear(self, platform_ms: int | None) -> None:
        """The platform says that it is this late; None from one that says nothing."""
        if platform_ms is not None:
            self._began_ms = platform_ms - self._elapsed_ms()
        self._has_no_word = platform_ms is None

    @property
    def is_known(self) -> bool:
        """Whether anybody knows what time it is."""
        return self._began_ms is not None or (self._has_no_word and self.guess_ms() is not None)

    def now_ms(self) -> int:
        """Milliseconds since 1970; while nobody knows, those since the computer's start, negative."""
        if not self.is_known:
            return -self._elapsed_ms()
        return self._system_ms() if self.is_system_right else self._platform_ms()

    def ago_ms(self, seconds: float) -> int:
        """`now_ms` of so long ago."""
        before_ms = int(seconds * 1000)
        return self.now_ms() - before_ms if self.is_known else -max(1, self._elapsed_ms() - before_ms)

    def guess_ms(self) -> int | None:
        """The best that can be said now: while nobody knows, the computer's clock, None where that was never set."""
        if self._began_ms is not None:
            return self.now_ms()
        system_ms = self._system_ms()
        return system_ms if system_ms >= EARLIEST_MS else None

    def guessed_start_ms(self) -> int | None:
        """When the computer was started, as `guess_ms` has it."""
        guess_ms = self.guess_ms()
        return None if guess_ms is None else guess_ms - self._elapsed_ms()

    @property
    def off_ms(self) -> int | None:
        """How far ahead of the platform's the computer's clock is; None while that is not known."""
        return None if self._began_ms is None else self._system_ms() - self._platform_ms()

    @property
    def set_ms(self) -> int:
        """What the computer's clock is ahead of one that nobody sets: it changes when that is set."""
        return self._system_ms() - self._elapsed_ms()

    @property
    def is_system_right(self) -> bool:
        """Whether nothing speaks against the computer's clock."""
        return abs(self.off_ms or 0) <= NEAR_MS

    def _platform_ms(self) -> int:
        return (self._began_ms or 0) + self._elapsed_ms()
