"""One coarse clock for the deadlines of all connections: a set per tick instead of a timer per connection."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Protocol

_FAR = 1e9
"""Later than any process lives, in seconds: stands for a deadline that never comes."""

log = logging.getLogger(__name__)


class Timed(Protocol):
    """Something with deadlines. `tick` belongs to the wheel and starts as 0."""

    tick: int

    def on_tick(self, now: float) -> float | None:
        """Do what is due at `now` (the loop's clock, seconds) and return the next deadline, None for none."""
        ...


class Wheel:
    """Calls `on_tick` of each entry up to two ticks after its deadline. Moving a deadline further costs nothing."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tick_s: float) -> None:
        self._loop = loop
        self._tick_s = tick_s
        self._slots: dict[int, set[Timed]] = {}
        self._turned = math.floor(loop.time() / tick_s)
        self._timer: asyncio.TimerHandle | None = loop.call_later(tick_s, self._turn)

    def put(self, entry: Timed, deadline: float) -> None:
        """Look at `entry` at `deadline`, or earlier if it was put so before."""
        tick = max(math.ceil(min(deadline, _FAR) / self._tick_s), self._turned + 1)
        if entry.tick:
            if entry.tick <= tick:
                return
            self.drop(entry)
        entry.tick = tick
        self._slots.setdefault(tick, set()).add(entry)

    def drop(self, entry: Timed) -> None:
        """Forget `entry`."""
        slot = self._slots.get(entry.tick)
        if slot is not None:
            slot.discard(entry)
            if not slot:
                del self._slots[entry.tick]
        entry.tick = 0

    def stop(self) -> None:
        """Turn no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._slots.clear()

    def _turn(self) -> None:
        self._timer = self._loop.call_later(self._tick_s, self._turn)
        now = self._loop.time()
        for tick in range(self._turned + 1, math.floor(now / self._tick_s) + 1):
            self._turned = tick
            for entry in self._slots.pop(tick, ()):
                entry.tick = 0
                self._look(entry, now)

    def _look(self, entry: Timed, now: float) -> None:
        try:
            deadline = entry.on_tick(now)
        except Exception:
            log.exception("mqtt.deadline_failed")  # one connection's fault must not stop everybody's clock
            return
        if deadline is not None:
            self.put(entry, deadline)
