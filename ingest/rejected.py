"""The inbox: what was rejected, why, and the bytes themselves, so that it can be mended and replayed.

Whatever is rejected is counted under its fault: the device, the reason, and what it is about. The bytes of some are
kept beside, bounded so that no firmware fills the disk: 8 KiB of a reading (its full size and sha256 are told), 1,000
readings a device and hour, and 2,000 of one fault of a tenant's in an hour, each in one ingest process; what lies
beyond is counted as not kept. A restart begins the hour's bounds anew; `trim` bounds what a tenant has in all.
"""

import hashlib
import logging
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from uuid import UUID

from engine.ids import uuid7
from ingest.batch import NOT_KEPT, Known, Outcome, Parcel, Rest, Sent
from ingest.encode import written
from ingest.errors import LeftOut, Rejection
from schema.wire.payloads import MAX_METRIC_KEY_CHARS

log = logging.getLogger(__name__)

KEPT_BYTES = 8 * 1024
KEPT_PER_HOUR = 1_000
KEPT_OF_A_FAULT = 2_000
FAULTS_OF_A_DEVICE = 50
"""So many faults of a device are told apart in an hour; those beyond are told apart by their reason alone."""
_HOUR_US = 3_600_000_000


@dataclass(frozen=True, slots=True)
class InboxRow:
    """A rejected reading. `payload` is cut, size and sha256 are of the whole; None where it is only counted."""

    id: UUID
    parcel: Parcel
    reason: str
    about: str
    message: str
    payload: bytes | None
    size_bytes: int = 0
    sha256: bytes = b""
    is_part: bool = False
    """It was one of a list, where a flat object of values is no reading."""
    rest: Rest | None = None
    """What was stored of it, and what was not: then it is no reading of its own, and counts as none."""


class Inbox:
    """Decides what the inbox keeps, within its bounds of an hour."""

    def __init__(self, kept_per_hour: int = KEPT_PER_HOUR, kept_of_a_fault: int = KEPT_OF_A_FAULT) -> None:
        self._bound = kept_per_hour
        self._bound_of_a_fault = kept_of_a_fault
        self._hour = 0
        self._kept: Counter[Hashable] = Counter()
        self._faults: dict[Known, set[tuple[str, str]]] = {}

    def choose(self, outcome: Outcome) -> list[InboxRow]:
        """What this outcome rejects; what is not kept is added to its device's count. Repeatable until `confirm`."""
        chosen: list[InboxRow] = []
        here: Counter[Hashable] = Counter()
        told: dict[Known, set[tuple[str, str]]] = {}
        for parcel, rejection, sent in (*outcome.rejected, *outcome.left):
            self._begin_hour(parcel.received_us)
            about = self._about(parcel.device, rejection, told)
            device, fault = _bounds(parcel.device, rejection.reason, about)
            here[device] += 1
            here[fault] += 1
            is_kept = (
                self._kept[device] + here[device] <= self._bound
                and self._kept[fault] + here[fault] <= self._bound_of_a_fault
            )
            if not is_kept and not isinstance(rejection, LeftOut):
                outcome.counts_of(parcel.device)[NOT_KEPT] += 1
            chosen.append(row(parcel, rejection, about, sent, is_kept=is_kept))
        return chosen

    def confirm(self, rows: list[InboxRow]) -> None:
        """These rows are committed."""
        for row in rows:
            self._faults.setdefault(row.parcel.device, set()).add((row.reason, row.about))
            if row.payload is not None:
                self._kept.update(_bounds(row.parcel.device, row.reason, row.about))

    def _about(self, device: Known, rejection: Rejection, told: dict[Known, set[tuple[str, str]]]) -> str:
        """A device that errs in ever other ways must not fill the disk with them either."""
        known, fault = self._faults.get(device, set()), (str(rejection.reason), rejection.about)
        new = told.setdefault(device, set())
        if fault in known or fault in new:
            return rejection.about
        if len(known) + len(new) >= FAULTS_OF_A_DEVICE:
            return ""
        new.add(fault)
        return rejection.about

    def _begin_hour(self, received_us: int) -> None:
        hour = received_us // _HOUR_US
        if hour > self._hour:
            self._hour = hour
            self._kept.clear()
            self._faults.clear()


def _bounds(device: Known, reason: str, about: str) -> tuple[Hashable, Hashable]:
    """What a kept row counts against."""
    return device, (device.tenant_id, reason, about)


def row(parcel: Parcel, rejection: Rejection, about: str, sent: Sent, *, is_kept: bool = True) -> InboxRow:
    """A row of the inbox; one that is not kept is only counted."""
    told = uuid7(), parcel, str(rejection.reason), about, rejection.message
    rest = rest_of(rejection) if isinstance(rejection, LeftOut) else None
    if not is_kept:
        return InboxRow(*told, None, rest=rest)
    raw = sent if isinstance(sent, bytes) else _bytes(parcel, sent)
    is_part = not isinstance(sent, bytes)
    return InboxRow(*told, raw[:KEPT_BYTES], len(raw), hashlib.sha256(raw).digest(), is_part=is_part, rest=rest)


def rest_of(left: LeftOut) -> Rest:
    """What is to be remembered of a reading that was stored in part; what can never name a metric is not."""
    metrics = [key for key in left.metrics if len(key) <= MAX_METRIC_KEY_CHARS and key.isprintable()]
    return Rest(left.time_ms, left.seq, metrics)


def _bytes(parcel: Parcel, sent: Sent) -> bytes:
    """One reading of a list as JSON; nothing a device sends may end the transaction that others share with it."""
    try:
        return written(sent)
    except Exception:  # a mistake of ours: the reading is still counted, and told
        log.exception("ingest.unwritable", extra={"device": parcel.device.device_text})
        return b"A reading of a message of %d bytes, which could not be written down." % parcel.size_bytes
