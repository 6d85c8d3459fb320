"""Who a request is from: what it shows, and what we remember of it for a few seconds.

A device that sends often would ask the database as often. Its proof is remembered by its digest, until the credential
ends or the database says that something has changed with the device: then at once (DESIGN §3.11).
"""

from __future__ import annotations

import base64
import binascii
import time
from collections import OrderedDict, defaultdict
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

import orjson

from ingest.adapters.base import Decision, Identifier, Refused, is_jwt
from ingest.adapters.http.exchange import Exchange

KEPT_S = 10.0
"""So long a proof counts without asking again; less only if we are told of a change, or it ends."""
_MOST_KEPT = 50_000

REFUSALS_A_MINUTE = 20
"""From one address and for one device; more are told to wait without asking the database."""
_MOST_ADDRESSES = 10_000


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


class Logins:
    """Asks who it is, unless that is known."""

    def __init__(self, identifier: Identifier, kept_s: float = KEPT_S) -> None:
        self._identifier = identifier
        self._kept_s = kept_s
        self._known: OrderedDict[bytes, tuple[Decision, float]] = OrderedDict()
        self._of_device: defaultdict[UUID, set[bytes]] = defaultdict(set)
        self._changes = 0
        self._refused: OrderedDict[tuple[str, str], tuple[int, int]] = OrderedDict()

    async def identify(self, proof: Proof, address: str, device: str) -> Decision:
        """Whose proof this is; raises Refused. `device` is whom the request is about, for counting refusals."""
        digest, now = proof.digest, time.time()
        known = self._known.get(digest)
        if known is not None and now < known[1]:
            return known[0]
        if self._is_throttled(address, device, now):
            raise Refused("throttled")
        changes = self._changes
        try:
            decision = await self._identifier.authorize(
                "", proof.username, proof.secret, proof.certificate, begins=False
            )
        except Refused as refusal:
            if refusal.reason != "unavailable":
                self._count(address, device, now)
            raise
        if changes == self._changes:  # else what was answered may be older than the change
            self._remember(digest, decision, now)
        return decision

    def forget(self, device_id: UUID) -> None:
        """Something has changed with this device, perhaps a credential of it."""
        self._changes += 1
        for digest in self._of_device.pop(device_id, ()):
            self._known.pop(digest, None)

    def forget_tenant(self, tenant_id: UUID) -> None:
        """Something has changed with all devices of a tenant."""
        self._changes += 1
        for device_id in {known.device_id for known, _ in self._known.values() if known.tenant_id == tenant_id}:
            self.forget(device_id)

    def forget_all(self) -> None:
        """Changes may have been missed."""
        self._changes += 1
        self._known.clear()
        self._of_device.clear()

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

    def _is_throttled(self, address: str, device: str, now: float) -> bool:
        minute, count = self._refused.get((address, device), (0, 0))
        return minute == int(now // 60) and count >= REFUSALS_A_MINUTE

    def _count(self, address: str, device: str, now: float) -> None:
        key, this = (address, device), int(now // 60)
        minute, count = self._refused.get(key, (0, 0))
        self._refused[key] = this, count + 1 if minute == this else 1
        self._refused.move_to_end(key)
        if len(self._refused) > _MOST_ADDRESSES:
            self._refused.popitem(last=False)


def _subject(token: bytes) -> str:
    """Whom a JWT names, not believed before its signature was checked; empty when it names nobody."""
    part = token.split(b".")[1]
    try:
        claims = orjson.loads(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)))
    except (binascii.Error, orjson.JSONDecodeError):
        return ""
    subject = claims.get("sub") if isinstance(claims, dict) else None
    return subject if isinstance(subject, str) else ""
