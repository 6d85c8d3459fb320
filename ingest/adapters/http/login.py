"""Who a request is from: what it shows, and what we remember of it for a few seconds.

A device that sends often would ask the database as often. Its proof is remembered by its digest, until the credential
ends or the database says that something has changed with the device: then at once (DESIGN §3.11). A wrong proof is
remembered too, for less. Who guesses ever new ones waits for his turn with whoever shares his address, and nobody is
refused for what another has said: many devices come from one address, behind a router or a load balancer.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

import orjson

from ingest.adapters.base import Decision, Identifier, RefusalReason, Refused, is_jwt
from ingest.adapters.http.exchange import Exchange

KEPT_S = 10.0
"""So long a proof counts without asking again; less only if we are told of a change, or it ends."""
_MOST_KEPT = 50_000

WRONG_S = 5.0
"""So long a wrong proof is refused without asking again, or until anything changes with any device."""
_MOST_WRONG = 10_000

AT_ONCE = 100
"""Questions from one address: half of what the database is asked at a time, so that others are in the same one."""
TURN_WITHIN_S = 5.0
"""So long the next question from this address waits for its turn."""


class Proof(NamedTuple):
    """What a request shows: as in an MQTT login, a username may be missing beside a token, or all but a certificate."""

    username: str
    secret: bytes
    certificate: bytes | None

    @property
    def digest(self) -> bytes:
        """By which it is remembered: the secret itself is not."""
        parts = (self.username.encode(), self.secret, self.certificate or b"")
        return sha256(b"".join(b"%d:%b" % (len(part), part) for part in parts)).digest()


def shown(exchange: Exchange) -> Proof | None:
    """What a request shows, None if nothing that we know; the header counts before a certificate."""
    scheme, _, given = exchange.header(b"authorization").partition(b" ")
    given = given.strip()
    match scheme.lower():
        case b"bearer" if given:
            return Proof(_subject(given) if is_jwt(given) else "", given, None)
        case b"basic":
            try:
                name, _, secret = base64.b64decode(given, validate=True).partition(b":")
                return Proof(name.decode(), secret, None) if name and secret else None
            except (binascii.Error, UnicodeDecodeError):
                return None
        case b"":
            certificate = exchange.certificate
            return None if certificate is None else Proof("", b"", certificate)
    return None


@dataclass
class _Turn:
    """The questions from one address."""

    free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    users: int = 0


class Logins:
    """Asks who it is, unless that is known."""

    def __init__(self, identifier: Identifier, kept_s: float = KEPT_S) -> None:
        self._identifier = identifier
        self._kept_s = kept_s
        self._known: OrderedDict[bytes, tuple[Decision, float]] = OrderedDict()
        self._of_device: defaultdict[UUID, set[bytes]] = defaultdict(set)
        self._changes = 0
        self._wrong: OrderedDict[bytes, tuple[RefusalReason, float]] = OrderedDict()
        self._turns: dict[str, _Turn] = {}

    async def identify(self, proof: Proof, address: str) -> Decision:
        """Whose proof this is; raises Refused."""
        digest = proof.digest
        decision = self._remembered(digest)
        if decision is None:
            async with self._turn(address):
                decision = self._remembered(digest) or await self._ask(proof, digest)
        return decision

    def forget(self, device_id: UUID) -> None:
        """Something has changed with this device, perhaps a credential of it."""
        self._changes += 1
        self._wrong.clear()
        for digest in self._of_device.pop(device_id, ()):
            self._known.pop(digest, None)

    def forget_tenant(self, tenant_id: UUID) -> None:
        """Something has changed with all devices of a tenant."""
        self._changes += 1
        self._wrong.clear()
        for device_id in {known.device_id for known, _ in self._known.values() if known.tenant_id == tenant_id}:
            self.forget(device_id)

    def forget_all(self) -> None:
        """Changes may have been missed."""
        self._changes += 1
        self._wrong.clear()
        self._known.clear()
        self._of_device.clear()

    def _remembered(self, digest: bytes) -> Decision | None:
        now = time.time()
        known, until = self._known.get(digest, (None, 0.0))
        if known is not None and now < until:
            return known
        reason, until = self._wrong.get(digest, (None, 0.0))
        if reason is not None and now < until:
            raise Refused(reason)
        return None

    @asynccontextmanager
    async def _turn(self, address: str) -> AsyncIterator[None]:
        turn = self._turns.setdefault(address, _Turn())
        turn.users += 1
        try:
            try:
                async with asyncio.timeout(TURN_WITHIN_S):
                    await turn.free.acquire()
            except TimeoutError:
                raise Refused("unavailable") from None
            try:
                yield
            finally:
                turn.free.release()
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[address]

    async def _ask(self, proof: Proof, digest: bytes) -> Decision:
        changes, now = self._changes, time.time()
        try:
            decision = await self._identifier.authorize(
                "", proof.username, proof.secret, proof.certificate, begins=False
            )
        except Refused as refusal:
            if changes == self._changes and refusal.reason not in ("unavailable", "throttled"):
                self._refuse(digest, refusal.reason, now)
            raise
        if changes == self._changes:  # else what was answered may be older than the change
            self._remember(digest, decision, now)
        return decision

    def _refuse(self, digest: bytes, reason: RefusalReason, now: float) -> None:
        self._wrong[digest] = reason, now + WRONG_S
        self._wrong.move_to_end(digest)
        if len(self._wrong) > _MOST_WRONG:
            self._wrong.popitem(last=False)

    def _remember(self, digest: bytes, decision: Decision, now: float) -> None:
        until = now + self._kept_s
        if decision.expires_at is not None:
            until = min(until, decision.expires_at)
        self._known[digest] = decision, until
        self._known.move_to_end(digest)
        self._of_device[decision.device_id].add(digest)
        if len(self._known) > _MOST_KEPT:
            oldest, (gone, _) = self._known.popitem(last=False)
            self._of_device[gone.device_id].discard(oldest)
            if not self._of_device[gone.device_id]:
                del self._of_device[gone.device_id]


def _subject(token: bytes) -> str:
    """Whom a JWT names, not believed before its signature was checked; empty when it names nobody."""
    part = token.split(b".")[1]
    try:
        claims = orjson.loads(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)))
    except (binascii.Error, orjson.JSONDecodeError):
        return ""
    subject = claims.get("sub") if isinstance(claims, dict) else None
    return subject if isinstance(subject, str) else ""
