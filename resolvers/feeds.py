"""What waits for one subscriber: telemetry that conflates when the reader is slow, and events that never do."""

import asyncio
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from engine.clock import from_ms
from engine.errors import Expired

WAITING_READINGS = 500
WAITING_EVENTS = 1_000

E = TypeVar("E")


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

    ``skipped`` counts the readings merged into the one that follows. While merged readings wait, a cursor inside their
    batch leads back to its beginning, so that resuming in the middle repeats and never loses.
    """

    def __init__(self, device_ids: Collection[UUID], metrics: Collection[str] | None, start: str) -> None:
        super().__init__()
        self.device_ids = frozenset(device_ids)
        self._metrics = frozenset(metrics) if metrics is not None else None
        self._waiting: deque[Reading] = deque()
        self._merged: dict[UUID, _Merged] = {}
        self._safe = start

    def offer(self, event: Reading) -> None:
        """Keep the wanted metrics of a reading."""
        if self._metrics is not None:
            event = event.only(self._metrics)
        if not event.values and not event.quality:
            return
        if len(self._waiting) < WAITING_READINGS and not self._merged:
            self._waiting.append(event)
        else:
            self._merged.setdefault(event.device_id, _Merged()).add(event)
        self._news.set()

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
