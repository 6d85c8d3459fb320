"""What every adapter and the pipeline behind it share: a message, its verdict, and who asks whom for what.

An adapter terminates one protocol (MQTT, HTTP, CoAP, a broker). It asks the `Authorizer` who is there, hands every
message to the `Uplink` and tells the `Presence` who came and went. It knows nothing of Postgres; the pipeline knows
nothing of packets.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol
from uuid import UUID

from engine.provisioning.model import Visitor
from schema.wire.payloads import Reason

RefusalReason = Literal[
    "bad_credentials",
    "revoked",
    "suspended",
    "unavailable",
    "jwt_unfit",
    "jwt_early",
    "jwt_expired",
    "pending",
    "turned_away",
    "throttled",
]
"""Why a login is refused; only "unavailable", "pending" and "throttled" are worth another try with the same secret.

"jwt_…": it is signed as it should be and says what it should not. "pending" and "turned_away": a new device with a
certificate of its own, which waits for approval, or which its tenant does not let in.
"""

GoneReason = Literal[
    "client",
    "keep_alive",
    "take_over",
    "protocol_error",
    "network",
    "revoked",
    "suspended",
    "shutdown",
    "slow",
    "expired",
    "quota",
    "unavailable",
]
"""Why a device's connection ended; only "client" and "shutdown" are orderly. "unavailable": our store was away."""


class Verdict(enum.IntEnum):
    """What became of a message, known only after COMMIT or after the refusal (DESIGN D1, D3)."""

    STORED = 0
    DUPLICATE = 1
    """Stored before; nothing was written."""
    REJECTED = 2
    """Undecodable, wrong type or unit, clock, conflict: lies in the tenant's inbox, repeating it would not help."""
    NOT_AUTHORISED = 3
    """Refused and counted, nothing kept: the device lost its rights since it logged in."""
    QUOTA = 4
    """Refused and counted, nothing kept: above what the tenant may send."""
    UNAVAILABLE = 5
    """The store is away: nothing was kept, the device shall repeat later."""


Tried = tuple[UUID, UUID | None, str]
"""Whose login it would have been: the tenant, its device (None: it has none of that name), and why it was none."""


class Refused(Exception):
    """The login is refused; `reason` says why and holds nothing secret.

    `tried` is for the tenant's audit log and not for the client, who must not learn which devices there are.
    """

    def __init__(self, reason: RefusalReason, tried: Tried | None = None) -> None:
        super().__init__(reason)
        self.reason: RefusalReason = reason
        self.tried = tried


class Unkeyed(Exception):
    """A message is not taken under the Idempotency-Key it came with."""

    def __init__(self, reason: Literal["reused", "too_many", "unavailable"]) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Decision:
    """Who a connection proved to be: the answer of `Authorizer.authorize`.

    `session_epoch` rises with every login of a device: of two sessions the one with the lower epoch must close.
    `expires_at` is unix seconds, None for credentials that do not end by themselves. `is_paced`: the adapter cannot
    refuse one message, but stops reading when the tenant's allowance is used up.
    """

    tenant_id: UUID
    tenant: str
    device_id: UUID
    device: str
    session_epoch: int
    expires_at: float | None = None
    is_paced: bool = False


@dataclass(slots=True)
class Message:
    """One message of a device on its way up.

    `topic` is what follows `t/{tenant}/d/{device}/`, for example "up/telemetry". `received_at` is unix seconds by our
    clock. `packet_id` and `dup` are MQTT's: inside one transport they recognise the repeat of a message without a time
    (DESIGN D2). `arrived_at` is when it came, where `received_at` is when the first of its repeats did. `encoding` is
    what it came in; `payload` is JSON by now.
    """

    device: Decision
    topic: str
    payload: bytes
    qos: int
    received_at: float
    dup: bool = False
    packet_id: int | None = None
    transport: str = "mqtt"
    arrived_at: float | None = None
    encoding: str = "json"


@dataclass(slots=True, kw_only=True)
class ChildMessage(Message):
    """A message of a child, as if it had come from the child; `gateway` is whose session it came by."""

    gateway: Decision

    @classmethod
    def of(cls, message: Message, child: Decision, topic: str) -> ChildMessage:
        """A gateway's message, as its child's on this topic."""
        return cls(
            child,
            topic,
            message.payload,
            message.qos,
            message.received_at,
            message.dup,
            message.packet_id,
            message.transport,
            message.arrived_at,
            message.encoding,
            gateway=message.device,
        )


def is_jwt(secret: bytes) -> bool:
    """Whether a secret is a JWT by its looks, and not a device's token."""
    return secret.startswith(b"eyJ") and secret.count(b".") == 2


class Authorizer(Protocol):
    """Says who a client is; the one function behind every login of a device."""

    async def authorize(
        self, client_id: str, username: str, secret: bytes, certificate: bytes | None = None
    ) -> Decision:
        """Return who logged in, or raise `Refused`. `username` is `{tenant}/d/{device}`, `secret` a token or JWT.

        `certificate` is the client's, in DER, verified by TLS; then both others may be empty.
        """
        ...


class Identifier(Protocol):
    """The same question where no connection stays: nothing begins, and no session of the device ends."""

    async def authorize(
        self, client_id: str, username: str, secret: bytes, certificate: bytes | None = None, *, begins: bool = True
    ) -> Decision:
        """As `Authorizer.authorize`; without a session that `begins`, a token needs no username."""
        ...


class Account:
    """A `done` that hears, before its verdict, of each reading of its message that was not stored.

    Only what is not stored costs anything: `done`s that are none are not asked.
    """

    def duplicate(self) -> None:
        """One reading is stored already."""
        raise NotImplementedError

    def rejected(self, sent: object, reason: str, words: str) -> None:
        """One reading, as it was sent, lies in the inbox."""
        raise NotImplementedError

    def left_out(self, sent: object, metrics: Mapping[str, tuple[str, str]]) -> None:
        """Of one reading, as it was sent, these metrics were left out, each with reason and words; it is stored."""
        raise NotImplementedError


class Allowance(Protocol):
    """What one tenant may still send."""

    @property
    def is_short(self) -> bool:
        """It is used up: the adapter stops reading whoever sends, and `wait`s."""
        ...

    def wait(self, go_on: Callable[[], None]) -> None:
        """Call `go_on` once, on the loop, when there is something left and it is its turn."""
        ...


class Uplink(Protocol):
    """The pipeline: takes messages in the order of arrival and tells each one's verdict after COMMIT."""

    def submit(self, message: Message, done: Callable[[Verdict], None]) -> None:
        """Take a message. Never blocks, never raises; `done` is called on the loop, once, after COMMIT or refusal."""
        ...

    def reject(self, message: Message, reason: Reason, words: str, done: Callable[[Verdict], None]) -> None:
        """Take a message that the adapter itself cannot read: it lies in the inbox as it came."""
        ...

    def allowance(self, device: Decision) -> Allowance:
        """The allowance of a device's tenant; the same object for all of its devices."""
        ...

    def may_send(self, device: Decision) -> bool:
        """Whether a message of this device would be within its quota now; asking uses nothing of it."""
        ...

    @property
    def is_full(self) -> bool:
        """More undecided messages than the bound: adapters stop reading until drained."""
        ...

    def when_drained(self, callback: Callable[[], None]) -> None:
        """Call `callback` once, on the loop, when `is_full` has become false; at once (next tick) if it is already."""
        ...


@dataclass(frozen=True, slots=True)
class Reply:
    """What an introduction is answered with: an HTTP status, a JSON document, and in how many seconds to ask again."""

    status: int
    body: bytes
    again_in_s: int | None = None


class Doorway(Protocol):
    """Where newcomers, which are no devices yet, introduce themselves; never slow for those that are."""

    async def greet(self, visitor: Visitor) -> str:
        """The key of the tenant whose provisioning key or claim certificate this is. Raises Refused."""
        ...

    async def introduce(self, visitor: Visitor, said: bytes) -> Reply:
        """What becomes of a newcomer that says this of itself. Does not raise."""
        ...


class Presence(Protocol):
    """Hears who is connected. For one device the calls come in the order of truth: the last one is the state."""

    def connected(self, device: Decision, at: float, detail: Mapping[str, object]) -> None:
        """A device logged in at `at` (unix seconds); `detail` holds protocol, client_id, address and keep_alive_s."""
        ...

    def disconnected(self, device: Decision, at: float, reason: GoneReason) -> None:
        """A device's connection ended at `at` (unix seconds)."""
        ...
