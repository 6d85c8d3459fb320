"""What waits for one subscriber: telemetry that conflates when the reader is slow, and events that never do.

Where nothing waits, a reading may go straight to whoever says it (ADR 80).
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from engine.clock import from_ms
from engine.errors import Expired

WAITING_READINGS = 500
WAITING_EVENTS = 1_000
STRAIGHT = 100
"""So many go straight before the reader must have had a turn: without it, one who cannot be kept up with conflates."""

E = TypeVar("E")

Take = Callable[[E], bool]
"""Takes an event at once, or says that it cannot: then the event waits."""


class FellBehind(Expired):
    """You read too slowly and nothing of this may be left out; go on from your last cursor."""

    code = "FELL_BEHIND"


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of one device as the journal tells it."""

    cursor: str
    device_id: UUID
    time_ms: int
    values: Mapping[str, Any]
    quality: Mapping[str, str] | None = None
    """Of what is not good: "uncertain", or "bad" for what has no value."""
    skipped: int = 0
    is_merged: bool = False
    narrowed: dict[frozenset[str], "Reading"] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What ``only`` made of it: one reading goes to many who ask for the same metrics."""

    @property
    def time(self) -> datetime:
        """When the device measured it. With this a reading has all fields of the contract's TelemetryEvent."""
        return from_ms(self.time_ms)

    @property
    def share(self) -> str | None:
        """What this reading's answers are shared under; a merged one is like no other subscriber's."""
        return None if self.is_merged else self.cursor

    def only(self, metrics: frozenset[str]) -> "Reading":
        """What it says of these metrics."""
        known = self.narrowed.get(metrics)
        if known is None:
            known = self.narrowed[metrics] = self._narrow(metrics)
        return known

    def _narrow(self, metrics: frozenset[str]) -> "Reading":
        values = {metric: value for metric, value in self.values.items() if metric in metrics}
        quality = {metric: mark for metric, mark in (self.quality or {}).items() if metric in metrics}
        return Reading(self.cursor, self.device_id, self.time_ms, values, quality or None)


class Feed(Generic[E]):
    """What one subscriber still has to read. Closing it with an error raises that error in the reader, at once."""

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self._error: Exception | None = None

    def close(self, error: Exception) -> None:
        """Nothing more comes; the reader gets ``error``."""
        self._error = self._error or error
        self._news.set()

    def offer(self, event: E) -> None:
        """Something new."""
        raise NotImplementedError

    def take(self) -> list[E]:
        """Everything that waits, in order."""
        raise NotImplementedError

    async def next(self) -> list[E]:
        """Wait until something waits, and take it; raises the error the feed was closed with."""
        while True:
            if self._error is not None:
                raise self._error
            if events := self.take():
                return events
            self._news.clear()
            await self._wait()

    async def _wait(self) -> None:
        await self._news.wait()


class EventFeed(Feed[E]):
    """Keeps every event. A reader further behind than WAITING_EVENTS is closed and goes on by its cursor."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: deque[E] = deque()

    def offer(self, event: E) -> None:
        """Keep ``event``, or close."""
        if len(self._waiting) >= WAITING_EVENTS:
            self._waiting.clear()
            self.close(FellBehind())
            return
        self._waiting.append(event)
        self._news.set()

    def take(self) -> list[E]:
        """Everything that waits."""
        events = list(self._waiting)
        self._waiting.clear()
        return events


class TelemetryFeed(Feed[Reading]):
    """Keeps WAITING_READINGS readings; beyond them only the newest value of each metric of each device.

    While its reader waits and nothing else does, a reading goes straight to ``take``, if that takes it.

    ``skipped`` counts the readings merged into the one that follows. While merged readings wait, a cursor inside their
    batch leads back to its beginning, so that resuming in the middle repeats and never loses.
    """

    def __init__(self, device_ids: Collection[UUID], metrics: Collection[str] | None) -> None:
        super().__init__()
        self.device_ids = frozenset(device_ids)
        self._metrics = frozenset(metrics) if metrics is not None else None
        self._waiting: deque[Reading] = deque()
        self._merged: dict[UUID, _Merged] = {}
        self._safe = "0"
        self._take: Take[Reading] | None = None
        self._straight = 0

    def begin(self, cursor: str) -> None:
        """Everything up to this cursor has been said."""
        self._safe = cursor

    def hand_to(self, take: Take[Reading]) -> None:
        """Let readings go straight to ``take`` where they can."""
        self._take = take

    def offer(self, event: Reading) -> None:
        """Keep the wanted metrics of a reading."""
        if self._metrics is not None:
            event = event.only(self._metrics)
        if not event.values and not event.quality:
            return
        if self._straight and self._take is not None and self._take(event):
            self._straight -= 1
            self._safe = event.cursor
            return
        self._straight = 0  # whatever follows comes behind this one
        if len(self._waiting) < WAITING_READINGS and not self._merged:
            self._waiting.append(event)
        else:
            self._merged.setdefault(event.device_id, _Merged()).add(event)
        self._news.set()

    async def _wait(self) -> None:
        """All was said, and is out: until there is more, readings may go straight."""
        self._straight = STRAIGHT
        try:
            await super()._wait()
        finally:
            self._straight = 0

    def take(self) -> list[Reading]:
        """What waits, as it came; then what was merged, oldest first."""
        events = list(self._waiting)
        self._waiting.clear()
        if events:
            self._safe = events[-1].cursor
        if self._merged:
            merged = sorted(self._merged.values(), key=lambda one: one.order)
            self._merged = {}
            last = merged[-1].cursor
            events += [one.reading(self._safe) for one in merged[:-1]] + [merged[-1].reading(last)]
            self._safe = last
        return events


class Followed(AsyncIterator[Reading]):
    """The readings that a subscriber follows, one after the other; ``hand_to`` where some of them may go straight.

    What a resolver gives back: on its way through GraphQL it stays what it is.
    """

    def __init__(self, readings: AsyncGenerator[Reading, None], feed: TelemetryFeed, *, is_limited: bool) -> None:
        self._readings = readings
        self._feed = feed
        self._is_limited = is_limited

    async def __anext__(self) -> Reading:
        return await anext(self._readings)

    async def aclose(self) -> None:
        """Nobody follows any more."""
        await self._readings.aclose()

    def hand_to(self, take: Take[Reading]) -> None:
        """Let readings go straight to ``take``, unless it must be asked first who may hear of them."""
        if not self._is_limited:
            self._feed.hand_to(take)


class _Merged:
    """Readings of one device melted into one: each metric with its newest value."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[int, Any, str | None]] = {}
        self._count = 0
        self.cursor = ""
        self.order = (0, 0)
        self._device_id = UUID(int=0)

    def add(self, reading: Reading) -> None:
        self._count += 1
        self._device_id = reading.device_id
        self.cursor = reading.cursor
        pos, _, index = reading.cursor.partition(".")
        self.order = (int(pos), int(index) if index else 1 << 60)
        marks = reading.quality or {}
        for metric in (*reading.values, *(metric for metric in marks if metric not in reading.values)):
            known = self._values.get(metric)
            if known is None or known[0] <= reading.time_ms:
                self._values[metric] = (reading.time_ms, reading.values.get(metric), marks.get(metric))

    def reading(self, cursor: str) -> Reading:
        newest = max(time_ms for time_ms, _, _ in self._values.values())
        values = {metric: value for metric, (_, value, mark) in self._values.items() if mark != "bad"}
        quality = {metric: mark for metric, (_, _, mark) in self._values.items() if mark is not None}
        return Reading(cursor, self._device_id, newest, values, quality or None, self._count - 1, is_merged=True)
