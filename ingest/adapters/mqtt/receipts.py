"""What a PUBLISH is owed, a PUBACK or for QoS 2 a PUBREC, and the words with which 5.0 says no."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ingest.adapters.base import Verdict
from ingest.adapters.mqtt.encode import encode
from ingest.adapters.mqtt.packets import V5, Puback, Pubrec
from ingest.adapters.mqtt.properties import NONE, explained
from ingest.adapters.mqtt.reasons import Reason

if TYPE_CHECKING:
    from ingest.adapters.mqtt.session import Session

WRONG_TOPIC: Final = 6
"""Beside the verdicts: this one never reached the uplink."""

# What 5.0 says in a PUBACK or PUBREC; each means "not stored as telemetry, do not repeat" (DESIGN D1).
NO: Final[dict[int, tuple[Reason, str]]] = {
    Verdict.REJECTED: (Reason.PAYLOAD_FORMAT_INVALID, "Rejected: it lies in the tenant's inbox with the reason."),
    Verdict.NOT_AUTHORISED: (Reason.NOT_AUTHORISED, "This device has lost its right to publish."),
    Verdict.QUOTA: (Reason.QUOTA_EXCEEDED, "The tenant's quota is used up; this message was not kept."),
    WRONG_TOPIC: (Reason.NOT_AUTHORISED, "A device publishes below its own t/{tenant}/d/{device}/up/ only."),
}


class Receipt:
    """What a PUBLISH is owed: called once with the verdict, answered in the order of the PUBLISHes."""

    __slots__ = ("next", "packet_id", "session", "size", "verdict")

    YES = b"\x40\x02"
    """How its packet begins when it says yes, in 3.1.1 and 5.0 alike; the packet id follows."""
    PACKET: type[Puback | Pubrec] = Puback

    def __init__(self, session: Session, packet_id: int | None, size: int) -> None:
        self.session = session
        self.packet_id = packet_id
        self.size = size
        self.verdict: int | None = None
        self.next: Receipt | None = None

    def __call__(self, verdict: Verdict) -> None:
        if self.verdict is None:
            self.verdict = verdict
            self.session.decided(self.size, verdict)

    def no(self, verdict: int, *, wants_reasons: bool) -> bytes:
        """The packet that says this no, which 5.0 alone can."""
        reason, words = NO[verdict]
        return encode(self.PACKET(self.packet_id or 0, reason, explained(words) if wants_reasons else NONE), V5)


class Record(Receipt):
    """What a PUBLISH with QoS 2 is owed first: a PUBREC; its id is remembered from here to the PUBREL."""

    __slots__ = ()

    YES = b"\x50\x02"
    PACKET = Pubrec

    def __call__(self, verdict: Verdict) -> None:
        """The verdict."""
        if self.verdict is None:
            self.session.recorded(self, verdict)
        super().__call__(verdict)
