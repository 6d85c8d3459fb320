"""What must be known of devices that protect their messages, wherever it is kept: contexts, and what is used up."""

from typing import NamedTuple, Protocol
from uuid import UUID

from ingest.adapters.coap.answers import Answer
from ingest.adapters.http.login import Proof


class Found(NamedTuple):
    """What a kid stands for: whose it is, the Master Secret, and by what its holder is let in."""

    tenant_id: UUID
    credential_id: UUID
    kid: bytes
    master: bytes
    proof: Proof


class Keeper(Protocol):
    """Knows contexts, and what was used up of each; all of it raises Refused("unavailable")."""

    async def find(self, kid: bytes) -> Found | None:
        """The context of this kid."""
        ...

    async def strike(self, found: Found, number: int) -> bool:
        """Use up a number of the device's; False when it was, or is older than what is remembered. It is for good."""
        ...

    async def reserve(self, found: Found) -> range:
        """Numbers of ours that nobody had, and nobody will be given again."""
        ...


class NotOpened(Exception):
    """A message is not taken, for a reason that anybody may know."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer)
        self.answer = answer
