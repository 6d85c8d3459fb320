"""The devices' HTTP with everything behind it in memory: who somebody is, what becomes of messages, and keys."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid5

from ingest.adapters.base import Decision, RefusalReason, Refused, Unkeyed
from ingest.adapters.http.endpoint import HttpEndpoint
from ingest.adapters.http.newcomers import Relay
from tests.ingest.adapters.mqtt.memory import SPACE, MemoryUplink, device_id


@dataclass
class MemoryIdentifier:
    """Knows the device `acme/d/{token}` by its token, unless that is refused; counts how often it is asked."""

    refused: dict[str, RefusalReason] = field(default_factory=dict)
    lifetime_s: float | None = None
    asked: int = 0
    on_asked: Callable[[], None] = lambda: None

    async def authorize(
        self, client_id: str, username: str, secret: bytes, certificate: bytes | None = None, *, begins: bool = True
    ) -> Decision:
        assert not begins, "no request begins a session"
        self.asked += 1
        self.on_asked()
        key = secret.decode()
        if key in self.refused:
            raise Refused(self.refused[key])
        ends = None if self.lifetime_s is None else time.time() + self.lifetime_s
        return Decision(uuid5(SPACE, "acme"), "acme", device_id(f"acme/d/{key}"), key, 0, ends)


class NoKeys:
    """Knows no key."""

    async def first_ms(self, device: Decision, key: str, said: bytes) -> int:
        raise Unkeyed("unavailable")


def endpoint(doorway: Relay) -> HttpEndpoint:
    """Devices' HTTP, for what has to do with newcomers alone."""
    return HttpEndpoint(
        MemoryIdentifier(), MemoryUplink(), NoKeys(), doorway, refused=lambda *_: None, ask=lambda _: None
    )
