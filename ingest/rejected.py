"""The inbox: what was rejected, why, and the bytes themselves, so that it can be mended and replayed.

Bounded twice: 8 KiB of a reading's bytes (its full size and sha256 are kept beside), and 1,000 rows per device and hour
in one ingest process; what lies beyond is counted as not kept. A restart begins the hour's bound anew.
"""

import hashlib
import logging
from dataclasses import dataclass
from uuid import UUID

from engine.ids import uuid7
from ingest.batch import NOT_KEPT, Known, Outcome, Parcel, Sent
from ingest.encode import written
from ingest.errors import Rejection

log = logging.getLogger(__name__)

KEPT_BYTES = 8 * 1024
KEPT_PER_HOUR = 1_000
_HOUR_US = 3_600_000_000


@dataclass(frozen=True, slots=True)
class InboxRow:
    """One row of the table `rejected`; `payload` is cut, size and sha256 are of the whole."""

    id: UUID
    parcel: Parcel
    reason: str
    message: str
    payload: bytes
    size_bytes: int
    sha256: bytes


class Inbox:
    """Decides what the inbox keeps, within its bound per device and hour."""

    def __init__(self, kept_per_hour: int = KEPT_PER_HOUR) -> None:
        self._bound = kept_per_hour
        self._hour = 0
        self._kept: dict[Known, int] = {}

    def choose(self, outcome: Outcome) -> list[InboxRow]:
        """The rows this outcome writes; the others are added to their device's not_kept. Repeatable until `confirm`."""
        chosen: list[InboxRow] = []
        here: dict[Known, int] = {}
        for parcel, rejection, sent in outcome.rejected:
            device = parcel.device
            count = here[device] = here.get(device, 0) + 1
            if self._kept_this_hour(device, parcel.received_us) + count > self._bound:
                outcome.counts_of(device)[NOT_KEPT] += 1
            else:
                chosen.append(_row(parcel, rejection, sent))
        return chosen

    def confirm(self, rows: list[InboxRow]) -> None:
        """These rows are committed."""
        for row in rows:
            device = row.parcel.device
            self._kept[device] = self._kept.get(device, 0) + 1

    def _kept_this_hour(self, device: Known, received_us: int) -> int:
        hour = received_us // _HOUR_US
        if hour > self._hour:
            self._hour, self._kept = hour, {}
        return self._kept.get(device, 0)


def _row(parcel: Parcel, rejection: Rejection, sent: Sent) -> InboxRow:
    raw = sent if isinstance(sent, bytes) else _bytes(parcel, sent)
    return InboxRow(
        uuid7(),
        parcel,
        rejection.reason,
        rejection.message,
        raw[:KEPT_BYTES],
        len(raw),
        hashlib.sha256(raw).digest(),
    )


def _bytes(parcel: Parcel, sent: Sent) -> bytes:
    """One reading of a list as JSON; nothing a device sends may end the transaction that others share with it."""
    try:
        return written(sent)
    except Exception:  # a mistake of ours: the reading is still counted, and told
        log.exception("ingest.unwritable", extra={"device": parcel.device.device_text})
        return b"A reading of a message of %d bytes, which could not be written down." % parcel.size_bytes
