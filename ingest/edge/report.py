"""What of all that was read goes up: every value, or only what has changed; and errors in words, once each.

A value goes up with the machine's own word for it: one in doubt is marked, and what became an error goes up once as a
value that is bad, beside the event that has the words. A change of quality is a change.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from engine.points.told import FAILED
from ingest.edge.driver import Sample
from ingest.edge.points import Point, Raw
from ingest.edge.wall import Wall
from schema.wire.payloads import MAX_METRICS, MAX_PAYLOAD_BYTES

Message = tuple[str, bytes]
"""A topic's tail and a payload, as the spool keeps them."""


_MOST_BYTES = MAX_PAYLOAD_BYTES - 1_024
"""The topic goes into the same packet."""
_UNCHANGED_MS = 23 * 3_600_000
"""What has not changed for longer is told as of then: nobody keeps readings for less than a day."""


@dataclass(slots=True)
class _Last:
    """What was last said of a point."""

    value: Raw | None = None
    error: str | None = None
    at_s: float = 0.0
    is_uncertain: bool = False


@dataclass(slots=True)
class _Reached:
    """Whether a device is reached, why not, and since when by a clock that never jumps."""

    is_reached: bool
    why: str
    since_s: float


class Report:
    """Remembers what was sent of every point. `gateway` is our own device's key: what is its own goes up directly."""

    def __init__(self, gateway: str, wall: Wall | None = None) -> None:
        self._gateway = gateway
        self._wall = wall or Wall()
        self._last: dict[Point, _Last] = {}
        self._reached: dict[str, _Reached] = {}

    def tail(self, device: str, what: str) -> str:
        """Where something of a device goes up: `up/telemetry` of the gateway, else `up/child/{device}/telemetry`."""
        return f"up/{what}" if device == self._gateway else f"up/child/{device}/{what}"

    def messages(self, samples: Iterable[Sample], now_ms: int, now_s: float, via: str | None = None) -> list[Message]:
        """What goes up for these samples. `now_ms` is the wall's, `now_s` of a clock that never jumps.

        `via` is what the platform calls the protocol they were read in.
        """
        came = {} if via is None else {"via": via}
        readings: dict[tuple[str, int], list[dict[str, Any]]] = {}
        events: list[Message] = []
        for sample in samples:
            point = sample.point
            last = self._last.setdefault(point, _Last())
            at_ms = self._time_ms(sample, last, now_ms)
            several = readings.setdefault((point.device, at_ms), [])
            value = None if sample.error is not None or sample.raw is None else point.value_of(sample.raw)
            if isinstance(value, float) and not math.isfinite(value):
                sample, value = replace(sample, error=f"{sample.raw} by its scale is too large for a number"), None
            if value is None:
                failed = self._failed(point, last, sample.error or "there is no value", now_ms)
                if failed:
                    _add(several, point.metric, None, "bad")
                events += failed
                continue
            had_error, last.error = last.error is not None, None
            if had_error:
                events.append(self._event(point, "point-recovered", {"metric": point.metric}, now_ms))
            is_uncertain = sample.quality == "uncertain"
            if had_error or is_uncertain != last.is_uncertain or _is_due(point, last, value, now_s):
                last.value, last.at_s, last.is_uncertain = value, now_s, is_uncertain
                _add(several, point.metric, _with_unit(point, value), "uncertain" if is_uncertain else None)
        sent = [
            (self.tail(device, "telemetry"), payload)
            for (device, at_ms), several in readings.items()
            for reading in several
            for payload in _payloads(reading, {"time": at_ms, **came})
        ]
        return [*sent, *events]

    def reached(self, device: str, is_reached: bool, why: str) -> list[Message]:
        """Whether a device can be reached now; something goes up when that has changed."""
        known = self._reached.get(device)
        if known is not None and known.is_reached == is_reached:
            known.why = why  # told when the platform sees us again
            return []
        self._reached[device] = _Reached(is_reached, why, time.monotonic())
        return self.status(device)

    def status(self, device: str) -> list[Message]:
        """What is known of a child, to be told again when the platform has not seen us for a while."""
        known = self._reached.get(device)
        if known is None or device == self._gateway:
            return []
        if known.is_reached:
            return [(self.tail(device, "status"), _json({"connected": True}))]
        since_ms = self._wall.ago_ms(time.monotonic() - known.since_s)
        said = {"since": since_ms, "connected": False, "reason": known.why[:500]}
        return [(self.tail(device, "status"), _json(said))]

    def is_reached(self, device: str) -> bool:
        """Whether a device was reached when it was last asked."""
        known = self._reached.get(device)
        return known is not None and known.is_reached

    def has_failed(self, point: Point) -> bool:
        """Whether a point gave an error when it was last read."""
        last = self._last.get(point)
        return last is not None and last.error is not None

    @property
    def failing(self) -> int:
        """How many points gave an error the last time."""
        return sum(last.error is not None for last in self._last.values())

    def forget(self, points: Iterable[Point]) -> None:
        """These are read no more."""
        for point in points:
            self._last.pop(point, None)

    def _failed(self, point: Point, last: _Last, error: str, now_ms: int) -> list[Message]:
        """An error is told when it begins, not again while it lasts, even if its words change."""
        is_new, last.error = last.error is None, error
        if not is_new:
            return []
        return [self._event(point, FAILED, {"metric": point.metric, "error": error[:500]}, now_ms)]

    def _time_ms(self, sample: Sample, last: _Last, now_ms: int) -> int:
        """When the value was so: by the machine's clock, else by ours.

        A server tells a setpoint of last year as of last year, which nobody would take; where that is no news, it was
        so yesterday as well; or just now, while nobody knows when that is. What is news and so old has a wrong clock,
        and the platform shall say so.
        """
        at_ms = sample.source_ms
        if at_ms is None:
            return now_ms
        if sample.raw is not None and last.value not in (None, sample.point.value_of(sample.raw)):
            return at_ms
        known_ms = now_ms if now_ms >= 0 else self._wall.guess_ms()
        return now_ms if known_ms is None else max(at_ms, known_ms - _UNCHANGED_MS)

    def _event(self, point: Point, kind: str, data: Mapping[str, Any], now_ms: int) -> Message:
        return self.tail(point.device, f"event/{kind}"), _json({"time": now_ms, **data})


def _add(several: list[dict[str, Any]], metric: str, value: Any, quality: str | None) -> None:
    """Into the first reading that has no such metric yet: a machine may say two values of one millisecond."""
    reading = next((each for each in several if metric not in each["values"]), None)
    if reading is None:
        reading = {"values": {}}
        several.append(reading)
    reading["values"][metric] = value
    if quality is not None:
        reading.setdefault("quality", {})[metric] = quality


def _payloads(reading: Mapping[str, Any], beside: Mapping[str, Any]) -> Iterator[bytes]:
    """A reading, in as many parts as it takes: of a device with very many points nobody would take all at once."""
    values, quality = reading["values"], reading.get("quality", {})
    if len(values) <= MAX_METRICS:
        payload = _json({**beside, **reading})
        if len(payload) <= _MOST_BYTES or len(values) == 1:
            yield payload
            return
    metrics, half = list(values), len(values) // 2
    for part in (metrics[:half], metrics[half:]):
        marks = {metric: quality[metric] for metric in part if metric in quality}
        said = {"values": {metric: values[metric] for metric in part}}
        yield from _payloads({**said, "quality": marks} if marks else said, beside)


def _is_due(point: Point, last: _Last, value: Raw, now_s: float) -> bool:
    report = point.report
    if not report.on_change or last.value is None:
        return True
    if report.at_least_s is not None and now_s - last.at_s >= report.at_least_s:
        return True
    old = last.value
    if isinstance(value, str | bool) or isinstance(old, str | bool):
        return value != old
    return abs(value - old) > report.deadband


def _with_unit(point: Point, value: Raw) -> Any:
    """A number says its unit if the table does; the platform makes it the profile's (ADR 48)."""
    if point.unit is None or isinstance(value, str | bool):
        return value
    return {"value": value, "unit": point.unit}


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
