"""Readings as they are asked for: the latest values, series, buckets and the counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

Value = float | int | bool | str | dict[str, object] | None


class Sample(NamedTuple):
    """One metric's newest value, when it was measured, and whether it is in doubt.

    ``quality``: None where it is good, "uncertain" where the device said so, and "bad" where the device has had no
    value since: this is then its last; None where there never was one, and ``time`` when that was said last.
    ``reason``: why it is bad, if that was told.
    """

    metric: str
    value: object
    time: datetime
    quality: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """One metric over time, in columns of equal length.

    ``times`` are epoch milliseconds. Without a bucket ``values`` are as measured and the other columns are empty; with
    one, ``times`` are the buckets' starts and ``values`` their means (for what is no number: the last value).
    """

    metric: str
    bucket: str | None
    times: Sequence[int]
    values: Sequence[object]
    min: Sequence[float | None] = ()
    max: Sequence[float | None] = ()
    n: Sequence[int] = ()
    is_truncated: bool = False
    quality: Sequence[str | None] = ()
    """Without a bucket: "uncertain" where a value is in doubt; empty where none is."""
    bad: Sequence[int] = ()
    """Without a bucket: the epoch milliseconds at which the device said that it had no value."""
    received: Sequence[int] = ()
    """Asked for and without a bucket: when each was received, in epoch milliseconds."""
    sources: Sequence[int | None] = ()
    """Asked for and without a bucket: how each came, as ``provenance.source_of`` reads it."""
    gateways: Sequence[str | None] = ()
    """Beside ``sources``: the key of the gateway that brought each; empty where none did."""


@dataclass(frozen=True, slots=True)
class Count:
    """What became of one hour's readings: received = stored + duplicates + rejected + refused."""

    hour: datetime
    received: int
    stored: int
    duplicates: int
    rejected: int
    refused: int
    not_kept: int


@dataclass(frozen=True, slots=True)
class Retention:
    """Days for which readings and their hours are kept where no profile says otherwise; ``own``: what the tenant said.

    ``most`` and ``rollup_most`` are what it may say.
    """

    days: int
    rollup_days: int
    own: int | None
    rollup_own: int | None
    most: int
    rollup_most: int
