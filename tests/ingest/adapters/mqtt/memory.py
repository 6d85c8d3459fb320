"""An endpoint with everything behind it in memory: who may log in, what becomes of messages, who hears of presence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from uuid import UUID, uuid5

from ingest.adapters.base import Decision, GoneReason, Message, RefusalReason, Refused, Verdict
from ingest.adapters.mqtt.endpoint import MqttEndpoint
from ingest.quota import Allowance
from schema.wire.payloads import Reason
from tests.support.patience import PATIENCE_S

SPACE = UUID("0191d7a0-0000-7000-8000-000000000000")


@dataclass
class MemoryAuthorizer:
    """Lets `{tenant}/d/{device}` in with the password "token"; knows who is refused, and may be slow or broken."""

    refused: dict[str, RefusalReason] = field(default_factory=dict)
    lifetime_s: float | None = None
    gate: asyncio.Event | None = None
    fault: Exception | None = None
    epochs: dict[str, int] = field(default_factory=dict)
    asked: int = 0

    async def authorize(
        self, client_id: str, username: str, secret: bytes, certificate: bytes | None = None
    ) -> Decision:
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        if username in self.refused:
            raise Refused(self.refused[username])
        tenant, middle, device = [*username.split("/"), "", ""][:3]
        if middle != "d" or secret != b"token":
            raise Refused("bad_credentials")
        self.epochs[username] = self.epochs.get(username, 0) + 1
        expires_at = None if self.lifetime_s is None else time.time() + self.lifetime_s
        return Decision(uuid5(SPACE, tenant), tenant, device_id(username), device, self.epochs[username], expires_at)


@dataclass
class MemoryUplink:
    """Keeps every message; decides at once with `verdict`, or, while `holding`, only when told."""

    verdict: Verdict = Verdict.STORED
    holding: bool = False
    bound: int = 10_000
    messages: list[Message] = field(default_factory=list)
    rejected: list[tuple[Message, Reason, str]] = field(default_factory=list)
    undecided: list[tuple[Message, Callable[[Verdict], None]]] = field(default_factory=list)
    waiting: list[Callable[[], None]] = field(default_factory=list)
    quota: Allowance = field(default_factory=lambda: Allowance(1e9, 1e9))

    def allowance(self, device: Decision) -> Allowance:
        return self.quota

    def may_send(self, device: Decision) -> bool:
        return self.verdict is not Verdict.QUOTA

    def submit(self, message: Message, done: Callable[[Verdict], None]) -> None:
        self.messages.append(message)
        self.undecided.append((message, done))
        if not self.holding:
            asyncio.get_running_loop().call_soon(self.decide)

    def reject(self, message: Message, reason: Reason, words: str, done: Callable[[Verdict], None]) -> None:
        self.rejected.append((message, reason, words))
        asyncio.get_running_loop().call_soon(done, Verdict.REJECTED)

    def decide(self, count: int | None = None, verdict: Verdict | None = None) -> None:
        due, self.undecided = self.undecided[:count], self.undecided[count:] if count is not None else []
        for _, done in due:
            done(self.verdict if verdict is None else verdict)
        if self.waiting and not self.is_full:
            callbacks, self.waiting = self.waiting, []
            for callback in callbacks:
                callback()

    @property
    def is_full(self) -> bool:
        return len(self.undecided) >= self.bound

    def when_drained(self, callback: Callable[[], None]) -> None:
        self.waiting.append(callback)

    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.messages]


@dataclass
class MemoryPresence:
    """Remembers what it heard, in order: ("connected" | reason, device, epoch)."""

    heard: list[tuple[str, str, int]] = field(default_factory=list)
    details: list[Mapping[str, object]] = field(default_factory=list)

    def connected(self, device: Decision, at: float, detail: Mapping[str, object]) -> None:
        self.heard.append(("connected", device.device, device.session_epoch))
        self.details.append(detail)

    def disconnected(self, device: Decision, at: float, reason: GoneReason) -> None:
        self.heard.append((reason, device.device, device.session_epoch))

    def reasons(self, device: str) -> list[str]:
        return [what for what, who, _ in self.heard if who == device]


def device_id(username: str) -> UUID:
    return uuid5(SPACE, username)


@dataclass
class House:
    """A running endpoint and the three it talks to."""

    endpoint: MqttEndpoint
    authorizer: MemoryAuthorizer
    uplink: MemoryUplink
    presence: MemoryPresence
    refused: list[tuple[str, str]]
    ready: list[str]

    @property
    def port(self) -> int:
        return self.endpoint.port


async def until(condition: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Wait until `condition` holds; fail when it does not in time."""
    async with asyncio.timeout(patience_s):
        while not condition():
            await asyncio.sleep(0.005)


async def turns(count: int = 20) -> None:
    """Let the loop turn and the sockets speak, for tests of what must NOT happen."""
    for _ in range(count):
        await asyncio.sleep(0.002)
