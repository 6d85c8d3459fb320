"""What one transaction will store, and what became of it; pure, the database is `writer.py`'s.

A parcel is one message on its way: its good readings, its rejected ones, whom to tell. A batch is many parcels; rows
of the same key meet here, before the database sees them. Counting is per reading: a message of n readings counts n,
one that cannot be decoded counts 1.
"""

import functools
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from ingest import aside, notes
from ingest.adapters.base import Account, Verdict
from ingest.arrays import wire
from ingest.errors import LeftOut, Rejection
from ingest.normaliser import Shape
from ingest.notes import CONNECTED, Note
from ingest.repeats import Key, Once
from schema.wire.payloads import Reason

RECEIVED, STORED, DUPLICATES, REJECTED, REFUSED, NOT_KEPT = range(6)
"""Places in a device's counts; received = stored + duplicates + rejected + refused, not_kept is part of rejected.

What was stored is in the journal row by row: counts are kept, and written, of everything else.
"""


class Known:
    """A device as the pipeline knows it: identity in the forms that are needed per message, and its profile's shape."""

    __slots__ = ("device_id", "device_text", "device_wire", "shape", "tenant_id", "tenant_wire")

    def __init__(self, tenant_id: UUID, device_id: UUID, shape: Shape) -> None:
        self.tenant_id = tenant_id
        self.device_id = device_id
        self.shape = shape
        self.device_text = str(device_id)
        self.tenant_wire = wire(tenant_id.bytes)
        self.device_wire = wire(device_id.bytes)


Sent = bytes | Any
"""A reading as it came: the payload's bytes when it was alone, else the decoded item of the list."""


class Row(NamedTuple):
    """One reading, and the telemetry row that the first one of its key in a batch becomes.

    Made once and carried as it is from decoding to the statement's columns: objects are most of what a message costs.
    It names no parcel, for a parcel names it: what points in a circle lives until the garbage is collected.
    """

    device: Known
    time_ms: int
    seq: int
    received_us: int
    canonical: bytes
    """Its values."""
    quality: bytes
    """Canonical JSON, b"" where all is good."""
    source: bytes
    """How it came, as `arrays.smallints` takes it."""
    sent: Sent

    @property
    def key(self) -> "RowKey":
        """By which it is stored once."""
        return self[:3]

    @property
    def content(self) -> bytes:
        """What makes it the same reading as another of its key: the values, and how far they can be trusted."""
        return self.canonical + self.quality


RowKey = tuple[Known, int, int]


class Rest(NamedTuple):
    """A reading that is stored without some of its metrics: the time and seq of its row, and what those are."""

    time_ms: int
    seq: int
    metrics: Sequence[str]


as_row: Callable[[tuple[Known, int, int, int, bytes, bytes, bytes, Sent]], Row] = functools.partial(tuple.__new__, Row)
"""A row of its members, in half the time that calling the class takes."""


class Parcel:
    """One message between decoding and verdict."""

    __slots__ = (
        *(
            "arrived_us",
            "device",
            "done",
            "encoding",
            "left",
            "note",
            "once",
            "readings",
            "received_us",
            "rejections",
            "size_bytes",
        ),
        *("source", "topic", "transport"),
    )
    left: dict[int, LeftOut] | None
    """What was left out of a reading, by the `id` of its row; of nearly no message anything is."""
    arrived_us: int
    """Since when it waits; `received_us`, by which it is judged and stored, may be an older repeat's."""
    once: Once | None
    """Of notes alone: most messages are none, and pay nothing for it."""
    source: bytes
    """How it came, for readings that say nothing of that themselves."""

    def __init__(
        self,
        device: Known,
        done: Callable[[Verdict], None],
        received_us: int,
        topic: str,
        transport: str,
        size_bytes: int,
        encoding: str = "json",
    ) -> None:
        self.device = device
        self.done = done
        self.received_us = self.arrived_us = received_us
        self.topic = topic
        self.transport = transport
        self.encoding = encoding
        self.source = aside.wire(transport, encoding)
        self.size_bytes = size_bytes
        self.readings: list[Row] = []
        self.rejections: list[tuple[Rejection, Sent]] = []
        self.left = None
        self.note: Note | None = None

    def leave_out(self, row: Row, left: LeftOut) -> None:
        """Note what was left out of one of its readings."""
        if self.left is None:
            self.left = {}
        self.left[id(row)] = left


class Batch:
    """Parcels, presence events and refused counts that share one transaction."""

    def __init__(self, parcels: list[Parcel], events: list[tuple[UUID, str, bytes]], refused: dict[Known, int]) -> None:
        self.id = os.urandom(8).hex()
        """Stands in each telemetry row of the journal: whoever lost the answer to a COMMIT looks for it there."""
        self.maintained = 0
        """How often missing partitions were made for it."""
        self.parcels = parcels
        self.events = events
        self.refused = refused
        self.rows: list[Row] = []
        """What is to be inserted: no two have the same key."""
        self.variants: list[Row] = []
        """Readings whose key has a row already, with other values: what is stored decides which of them conflict."""
        self.fates: dict[int, Verdict] = {}
        """What the database said of a row, by its `id`, if not that it is stored."""
        self._row_of: dict[RowKey, Row] = {}
        self._variant_of: dict[tuple[RowKey, bytes], Row] = {}
        self._has_repeats = False
        self._lay_all()

    def _lay_all(self) -> None:
        row_of = self._row_of
        for parcel in self.parcels:
            for row in parcel.readings:
                first = row_of.setdefault(row[:3], row)
                if first is not row:
                    self._lay_again(row, first)
        self.rows = list(row_of.values())

    def _lay_again(self, row: Row, first: Row) -> None:
        """A reading of a key that has a row already."""
        self._has_repeats = True
        if row.seq >= 0 and row.content != first.content and (row.key, row.content) not in self._variant_of:
            self._variant_of[row.key, row.content] = row
            self.variants.append(row)
            self.fates[id(row)] = Verdict.REJECTED  # it conflicts, unless it turns out to be what was stored before

    @functools.cached_property
    def tenants(self) -> set[UUID]:
        """Every tenant this batch writes for."""
        # By their bytes, whose hash is kept: hashing a UUID costs as much as storing a value.
        found = {parcel.device.tenant_wire: parcel.device.tenant_id for parcel in self.parcels}
        return {*found.values(), *(event[0] for event in self.events), *(d.tenant_id for d in self.refused)}

    def fate_of(self, row: Row) -> Verdict:
        """What became of a row or variant."""
        return self.fates.get(id(row), Verdict.STORED)

    def forget_fates(self) -> None:
        """Before another try: nothing is known of any row."""
        self.fates = {id(variant): Verdict.REJECTED for variant in self.variants}

    def discard(self, row: Row, rejection: Rejection) -> None:
        """Take a row that the database cannot hold out of the batch; every reading of its key goes to the inbox."""
        self.rows = [other for other in self.rows if other is not row]
        self.variants = [variant for variant in self.variants if variant.key != row.key]
        for parcel in self.parcels:
            if parcel.device is row.device:
                poisoned = [reading for reading in parcel.readings if reading.key == row.key]
                parcel.readings = [reading for reading in parcel.readings if reading.key != row.key]
                parcel.rejections += [(rejection, reading.sent) for reading in poisoned]

    def settle(self) -> "Outcome":
        """What became of every reading, from the fates of the rows."""
        outcome = Outcome(self)
        row_of, fates, stored, verdicts = self._row_of, self.fates, outcome.stored, outcome.verdicts
        is_plain, is_stored = not fates and not self._has_repeats, Verdict.STORED
        for parcel in self.parcels:
            readings = parcel.readings
            # as most messages are; a note has no reading
            if len(readings) == 1 and not parcel.rejections and parcel.left is None:
                row = readings[0]
                if is_plain or (id(row) not in fates and row_of[row[:3]] is row):
                    stored.append(row)
                    verdicts.append((parcel, is_stored))
                    continue
            self._settle(parcel, outcome)
        for device, count in self.refused.items():
            counts = outcome.counts_of(device)
            counts[RECEIVED] += count
            counts[REFUSED] += count
        return outcome

    def _settle(self, parcel: Parcel, outcome: "Outcome") -> None:
        device = parcel.device
        if parcel.note is not None:
            verdict = outcome.take(device.tenant_id, parcel.note, parcel.once)
            outcome.verdicts.append((parcel, verdict))
            return
        stored = len(outcome.stored)
        verdict = Verdict.REJECTED if parcel.rejections or not parcel.readings else Verdict.UNAVAILABLE
        for row in parcel.readings:
            first = self._row_of[row.key]
            fate = self.fate_of(first)
            if row is not first:  # the first has its fate, a repeat of it is a duplicate
                variant = self._variant_of.get((row.key, row.content))
                fate = self.fate_of(variant) if variant else Verdict.DUPLICATE if fate is Verdict.STORED else fate
            if fate is Verdict.STORED:
                outcome.stored.append(row)
                if parcel.left is not None and (left := parcel.left.get(id(row))) is not None:
                    outcome.left.append((parcel, left, row.sent))
            elif fate is Verdict.DUPLICATE:
                outcome.counts_of(device)[DUPLICATES] += 1
                outcome.duplicates.append(parcel)
            elif fate is Verdict.NOT_AUTHORISED:
                outcome.counts_of(device)[REFUSED] += 1
            else:
                outcome.rejected.append((parcel, _conflict(row.time_ms), row.sent))
                outcome.counts_of(device)[REJECTED] += 1
            verdict = fate if fate < verdict else verdict
        for rejection, sent in parcel.rejections:
            outcome.rejected.append((parcel, rejection, sent))
            outcome.counts_of(device)[REJECTED] += 1
        not_stored = len(parcel.readings) + len(parcel.rejections) - (len(outcome.stored) - stored)
        if not_stored:
            outcome.counts_of(device)[RECEIVED] += not_stored
        outcome.verdicts.append((parcel, verdict))


class Outcome:
    """What one transaction writes besides telemetry, and what it will tell when it is committed."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.stored: list[Row] = []
        self.duplicates: list[Parcel] = []
        """The messages of readings that were stored before, one by one."""
        self.rejected: list[tuple[Parcel, Rejection, Sent]] = []
        self.left: list[tuple[Parcel, LeftOut, Sent]] = []
        """What was left out of readings whose rest is stored: no reading of its own, and counted nowhere here."""
        self.notes: list[tuple[UUID, Note]] = []
        self._told: set[Key] = set()
        self.verdicts: list[tuple[Parcel, Verdict]] = []
        """Each message's verdict, in the order of arrival."""
        self.counts: dict[Known, list[int]] = {}
        """Of the readings that were not stored, by device."""

    def counts_of(self, device: Known) -> list[int]:
        """A device's counts of what was not stored, to be added to."""
        counts = self.counts.get(device)
        if counts is None:
            counts = self.counts[device] = [0, 0, 0, 0, 0, 0]
        return counts

    def take(self, tenant_id: UUID, note: Note, once: Once | None) -> Verdict:
        """Write a note, unless it is an event that is stored already or comes a second time in this transaction."""
        if once is not None and (once.is_repeat or (once.may_repeat and once.key in self._told)):
            return Verdict.DUPLICATE
        if once is not None:
            self._told.add(once.key)
        self.notes.append((tenant_id, note))
        return Verdict.STORED

    def account(self) -> None:
        """Tell who wants to know of each reading what became of those that were not stored."""
        for parcel in self.duplicates:
            if isinstance(parcel.done, Account):
                parcel.done.duplicate()
        for parcel, rejection, sent in self.rejected:
            if isinstance(parcel.done, Account):
                parcel.done.rejected(sent, rejection.reason, rejection.message)
        for parcel, left, sent in self.left:
            if isinstance(parcel.done, Account):
                parcel.done.left_out(sent, {key: (why.reason, why.message) for key, why in left.metrics.items()})

    def journal(self) -> Iterable[tuple[UUID, str, bytes]]:
        """This transaction's journal rows: arrivals, one telemetry row per tenant, what else devices said, departures.

        Presence keeps its order.
        """
        events = self.batch.events
        last_arrival = max((n for n, event in enumerate(events) if event[1] == CONNECTED), default=-1)
        yield from events[: last_arrival + 1]
        shares: dict[bytes, Share] = {}
        reasons = self._reasons() if self.left else {}
        for row in self.stored:
            device = row.device
            share = shares.get(device.tenant_wire) or _share(shares, device)
            share[1].append(row)
        for device, counts in self.counts.items():
            _share(shares, device)[2][device.device_text] = counts
        for tenant_id, rows, numbers in shares.values():
            yield tenant_id, "telemetry", _body(self.batch.id, rows, numbers, reasons.get(tenant_id))
        for tenant_id, note in self.notes:
            yield tenant_id, note[0], notes.dump(note, self.batch.id)
        yield from events[last_arrival + 1 :]

    def _reasons(self) -> "dict[UUID, Reasons]":
        """Of each tenant why metrics of its devices are bad, where it was ingest that found them so."""
        found: dict[UUID, Reasons] = {}
        for parcel, left, _ in self.left:
            device = parcel.device
            why = {key: each.words for key, each in left.metrics.items() if key in device.shape.metrics}
            if why:
                found.setdefault(device.tenant_id, {}).setdefault(device.device_text, {}).update(why)
        return found


Reasons = dict[str, dict[str, str]]
"""By device and metric."""
Share = tuple[UUID, list[Row], dict[str, list[int]]]
"""One tenant's part of a transaction: its id, what was stored, the counts of what was not."""


def _share(shares: dict[bytes, Share], device: Known) -> Share:
    share = shares.get(device.tenant_wire)
    if share is None:
        share = shares[device.tenant_wire] = (device.tenant_id, [], {})
    return share


def _body(batch_id: str, stored: list[Row], numbers: dict[str, list[int]], reasons: Reasons | None) -> bytes:
    """`{"b": batch, "r": [[device, time_ms, seq, received_ms, values], …], "n": {device: counts}}`.

    `r` is what was stored, `n` counts what was not: a reading that is in `r` counts as received and stored by itself.
    Where some values are not good, `"q": {place in r: quality}` says so, and where ingest found them bad, `"w":
    {device: {metric: why}}` of the last.
    """
    fragment = orjson.Fragment
    rows = [
        (device.device_text, time_ms, seq, received_us // 1000, fragment(canonical))
        for device, time_ms, seq, received_us, canonical, _, _, _ in stored
    ]
    doubted = {str(n): fragment(row.quality) for n, row in enumerate(stored) if row.quality}
    told = {name: said for name, said in (("q", doubted), ("w", reasons)) if said}
    return orjson.dumps({"b": batch_id, "r": rows, "n": numbers, **told})


def _conflict(time_ms: int) -> Rejection:
    return Rejection(Reason.CONFLICT, f"Another reading of {time_ms} ms with this seq is stored.")
