"""Who came in through a broker, and whether what let them in is still good."""

import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import psycopg

from ingest.adapters.authorize import rights
from ingest.adapters.base import Authorizer, Decision, GoneReason
from schema.wire.topics import username as name_of

RECHECK_S = 1.0
"""A verdict on a client is used so long; revoking counts for a broker that asks within this time."""
_REMEMBERED = 50_000


class Checker(Authorizer, Protocol):
    """An Authorizer that also knows which logins are no longer good."""

    async def dead(self, sessions: Iterable[Decision]) -> list[tuple[Decision, GoneReason]]:
        """Those that must end, and why. Raises psycopg.Error or OSError."""
        ...


@dataclass(slots=True)
class _Client:
    decision: Decision
    judged_at: float
    is_alive: bool = True


class Admitted:
    """Lets clients in by the same `authorize` as our own endpoints, and answers for them afterwards.

    A client of whom this process knows nothing, because another let it in or because it was started again, is judged
    by its topic alone: the broker has let it in under that name. What a revoked device sends is refused when it is
    stored, so this opens only what goes down to it, until its next login.
    """

    def __init__(self, authorizer: Checker) -> None:
        self._authorizer = authorizer
        self._clients: OrderedDict[str, _Client] = OrderedDict()

    async def authorize(
        self, client_id: str, username: str, secret: bytes, certificate: bytes | None = None
    ) -> Decision:
        """Who logged in; raises Refused."""
        decision = await self._authorizer.authorize(client_id, username, secret, certificate)
        self._clients[name_of(decision.tenant, decision.device)] = _Client(decision, time.monotonic())
        if len(self._clients) > _REMEMBERED:
            self._clients.popitem(last=False)
        return decision

    async def may(self, username: str, action: rights.Action, topic: str) -> bool:
        """Whether a client that the broker has let in under this name may do that now; no when we cannot tell."""
        if not rights.allows(username, action, topic):
            return False
        client = self._clients.get(username)
        return client is None or await self._is_alive(client)

    async def _is_alive(self, client: _Client) -> bool:
        if time.monotonic() - client.judged_at < RECHECK_S:
            return client.is_alive
        try:
            client.is_alive = not await self._authorizer.dead([client.decision])
        except (psycopg.Error, OSError):
            return False
        client.judged_at = time.monotonic()
        return client.is_alive
