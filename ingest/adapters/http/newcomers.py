"""The doorway for newcomers, ``/ingest/v1/provision`` and ``…/claim``: what they say is passed on.

Nothing is decided here. Who comes over TLS may show a claim certificate instead of a provisioning key.
"""

from typing import Protocol

from engine.provisioning.model import Visitor
from ingest.adapters.base import Reply
from ingest.adapters.http.exchange import Answer, Exchange, problem
from schema.wire import relay

PATHS = frozenset({relay.PROVISION, relay.CLAIM})


class Relay(Protocol):
    """Passes on what a newcomer says."""

    async def pass_on(self, path: str, visitor: Visitor, said: bytes) -> Reply:
        """The answer to what was posted to ``path``. Does not raise."""
        ...


async def introduce(relayed: Relay, exchange: Exchange) -> Answer:
    """What becomes of a newcomer that posts this. Raises Gone."""
    if not exchange.says_json:
        return problem(400, "BAD_INPUT", "Send a JSON object as application/json.")
    said = await exchange.read(relay.MAX_BODY_BYTES)
    if said is None:
        return problem(413, "BODY_TOO_LARGE", "An introduction has at most 32 KiB.")
    visitor = Visitor(exchange.address, certificate=exchange.certificate or b"")
    reply = await relayed.pass_on(exchange.path, visitor, said)
    return Answer(reply.status, reply.body, reply.again_in_s)
