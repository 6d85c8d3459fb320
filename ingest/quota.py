"""How fast one device may send: a token bucket each, so that one mad device spends its own allowance only."""

import time

from ingest.batch import Known


class Quota:
    """`per_second` messages in the long run, `burst` at once."""

    def __init__(self, per_second: float = 1_000.0, burst: float = 5_000.0) -> None:
        self._per_second = per_second
        self._burst = burst
        self._left: dict[Known, tuple[float, float]] = {}

    def takes(self, device: Known, at: float | None = None) -> bool:
        """Whether one more message of this device is within its allowance; `at` is monotonic seconds."""
        now = time.monotonic() if at is None else at
        left, then = self._left.get(device, (self._burst, now))
        left = min(self._burst, left + (now - then) * self._per_second)
        if left < 1.0:
            self._left[device] = (left, now)
            return False
        self._left[device] = (left - 1.0, now)
        return True
