"""A command: something a device is asked to do, and the moves that its life allows.

    QUEUED ──the device has it──▶ SENT ──"I have understood"──▶ ACKNOWLEDGED ──▶ SUCCEEDED or FAILED
      ├──▶ CANCELLED (somebody called it off)     ├──▶ REJECTED (the device will not do it)
      └──▶ EXPIRED (the device was away too long) └──▶ TIMED_OUT (it had the command and said nothing in time)

SENT means that the device itself confirmed the receipt (its PUBACK), never that we wrote to a socket. A device that
only acknowledges leaves its commands ACKNOWLEDGED; one that also reports results moves them on. A command reaches at
most one terminal state; what a device says after we gave it up is kept beside it, as ``late``, and changes nothing
(DESIGN D4).

The words are those of AWS IoT Commands and of ThingsBoard's persistent RPC where both have one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class CommandStatus(StrEnum):
    """Where a command stands."""

    QUEUED = "queued"
    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REJECTED = "rejected"
    TIMED_OUT = "timed_out"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


_Q, _S, _A = CommandStatus.QUEUED, CommandStatus.SENT, CommandStatus.ACKNOWLEDGED

LIFE: Mapping[CommandStatus, frozenset[CommandStatus]] = {
    CommandStatus.SENT: frozenset({_Q}),
    # A device's answer may be heard before we know that it has confirmed the receipt: then it has skipped SENT.
    CommandStatus.ACKNOWLEDGED: frozenset({_Q, _S}),
    CommandStatus.SUCCEEDED: frozenset({_Q, _S, _A}),
    CommandStatus.FAILED: frozenset({_Q, _S, _A}),
    CommandStatus.REJECTED: frozenset({_Q, _S, _A}),
    CommandStatus.TIMED_OUT: frozenset({_S}),
    CommandStatus.EXPIRED: frozenset({_Q}),
    CommandStatus.CANCELLED: frozenset({_Q}),
}
"""From where each state can be reached."""

GIVEN_UP = frozenset({CommandStatus.TIMED_OUT, CommandStatus.EXPIRED, CommandStatus.CANCELLED})
"""Ended by us, not by the device: its answer may still come."""

MAX_TIMEOUT_S = 86_400
DEFAULT_QUEUE_S = 86_400
MAX_QUEUE_S = 30 * 86_400
MAX_QUEUED = 1_000
"""Commands that may wait for one device; more would only be old when it comes back."""
MAX_ANSWER_BYTES = 8 * 1024


@dataclass(frozen=True, slots=True)
class Command:
    """One command to one device. ``timeout_s``: how long it may take to answer once it has the command.

    ``reason`` says in words why it failed or was rejected; ``result`` is what the device gave back. ``rule_id`` names
    the rule that issued it, None for people and programs. ``late`` is what the device said when it was over already.
    """

    id: UUID
    device_id: UUID
    command: str
    arguments: Mapping[str, object]
    status: CommandStatus
    timeout_s: int
    requested_by: str
    requested_at: datetime
    expires_at: datetime
    sent_at: datetime | None
    acknowledged_at: datetime | None
    finished_at: datetime | None
    reason: str | None
    result: object
    late: Mapping[str, object] | None
    rule_id: UUID | None
    version: int


@dataclass(frozen=True, slots=True)
class Order:
    """A command about to be issued, by a rule for instance; with the same ``id`` it is issued once."""

    id: UUID
    device_id: UUID
    command: str
    arguments: Mapping[str, object]
    requested_by: str
    rule_id: UUID | None = None
    timeout_s: int | None = None
    queue_s: int = DEFAULT_QUEUE_S
