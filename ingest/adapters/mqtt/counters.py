"""What the endpoint counts, as plain numbers for /metrics."""

from __future__ import annotations

from collections import Counter


class Counters:
    """Since the start of the process; the gauges (live, unauthenticated, undecided) are asked of the endpoint."""

    __slots__ = (
        "accepted",
        "acknowledged",
        "bytes_in",
        "closed",
        "logins_refused",
        "messages_in",
        "messages_out",
        "refused",
        "turned_away",
    )

    def __init__(self) -> None:
        self.accepted = 0
        """Connections that opened."""
        self.messages_in = 0
        """PUBLISH packets of logged-in devices, whatever became of them."""
        self.bytes_in = 0
        """Their payloads."""
        self.refused = 0
        """Of them: refused for their topic, or by the verdicts NOT_AUTHORISED and QUOTA."""
        self.acknowledged = 0
        """PUBACKs and first PUBRECs sent."""
        self.messages_out = 0
        """PUBLISH packets sent to devices."""
        self.turned_away = 0
        """Connections closed unheard because the house was full."""
        self.closed: Counter[str] = Counter()
        """Sessions ended, by `GoneReason`; connections that never logged in count as "unauthenticated"."""
        self.logins_refused: Counter[str] = Counter()
        """By `RefusalReason`, and "protocol" for a CONNECT that cannot be served."""
