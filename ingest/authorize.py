"""Who may come in, and who must leave: a device's token against the door, many logins in one question.

The token itself never goes to the database, only its sha256; it is random, so a fast hash is right. A certificate is
found by its fingerprint: who it is, and whose, is what was written down when it was signed, never what its name claims.
A JWT is checked here, against the public keys that the door names for the device; then the key's handle, which nobody
outside knows, opens the door like a token's digest.
Who is refused is told to `noted`, with the device if there is such a one: the audit log of its tenant shall say so.
A herd of devices coming back after a restart shares questions: whatever asked while one was under way is in the next.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args
from uuid import UUID

import psycopg

from engine.ids import fingerprint
from ingest import arrays, statements
from ingest.adapters.base import Decision, GoneReason, RefusalReason, Refused, Tried, is_jwt
from ingest.database import Database
from ingest.metrics import LOGINS
from ingest.newcomers import Newcomers
from schema.wire.topics import parse_username

log = logging.getLogger(__name__)

# In one order for everybody: the door raises each device's session epoch, and two herds must not wait for each other.
ASK = """
SELECT asked.n, c.tenant_id, c.device_id, c.credential_id, c.session_epoch, c.expires_at, c.refusal,
       c.tenant_key, c.device_key, c.secret_sha256, c.public_key, c.why
FROM (SELECT * FROM unnest(%b, %b, %b, %b) WITH ORDINALITY AS u (tenant, device, secret, begins, n)
      ORDER BY tenant, device) asked
CROSS JOIN LATERAL app.credential(asked.tenant, asked.device, asked.secret, asked.begins = 1) c
"""

# Of the sessions held, those that must end, and why. Of two sessions of a device the older one (lower epoch) ends.
DEAD = """
SELECT n, why FROM (
    SELECT held.n, CASE
        WHEN c.id IS NULL OR c.revoked_at IS NOT NULL OR d.status = 'decommissioned' THEN 'revoked'
        WHEN d.status = 'suspended' OR t.suspended_at IS NOT NULL THEN 'suspended'
        WHEN c.expires_at <= now() THEN 'expired'
        WHEN p.session_epoch > held.epoch THEN 'take_over' END AS why
    FROM unnest(%b, %b, %b) WITH ORDINALITY AS held (tenant_id, id, epoch, n)
    LEFT JOIN credentials c ON c.tenant_id = held.tenant_id AND c.id = held.id
    LEFT JOIN devices d ON d.tenant_id = c.tenant_id AND d.id = c.device_id
    LEFT JOIN presence p ON p.tenant_id = d.tenant_id AND p.device_id = d.id
    LEFT JOIN tenants t ON t.id = d.tenant_id
) judged WHERE why IS NOT NULL ORDER BY n
"""

SUSPENDED = "SELECT id FROM tenants WHERE suspended_at IS NOT NULL"
"""Among those that the transaction was entered for."""

_AT_ONCE = 200
_REASONS: frozenset[str] = frozenset(get_args(RefusalReason))

BY_CERTIFICATE = ("", "")
"""Instead of a tenant's and a device's key, which are never empty: the fingerprint alone decides."""

BY_TOKEN = ("", "*")
"""Instead of both keys, where no session begins: the token alone decides, and a certificate is never meant."""

_NOBODYS = bytes(32)
"""A digest that no secret has."""

KEYS = b""
"""Instead of a digest, which is never empty: by which public keys may this device prove itself?"""

_JWT_FAULTS: Mapping[str, str] = {"bad_credentials": "jwt_wrong"}
"""Why a JWT was refused, where the reason that its sender is told says less."""

Noted = Callable[[UUID, UUID | None, str], None]

Answer = Decision | list[tuple[bytes, bytes]]
"""Who came in, or the handles and public keys (DER) of the device that was asked for."""

Asked = tuple[str, str, bytes, "asyncio.Future[Answer]", bool]
"""Two keys, the digest of a secret, who waits for the answer, and whether a session begins."""


class DoorAuthorizer:
    """The `Authorizer` of tokens, JWTs and certificates; remembers by which credential each device came in."""

    def __init__(
        self,
        database: Database,
        checks: Database,
        *,
        audience: str = "tidegate",
        newcomers: Newcomers | None = None,
        noted: Noted | None = None,
    ) -> None:
        """Two connections: logins on the first, re-checks of sessions on the second.

        ``audience``: what a JWT's aud must name. ``newcomers``: who introduces devices with an unknown certificate.
        ``noted`` hears of each login that was refused to somebody known.
        """
        self._database = database
        self._checks = checks
        self._audience = audience
        self._newcomers = newcomers
        self._noted = noted
        self._asked: list[Asked] = []
        self._asking: asyncio.Task[None] | None = None
        self._credential_of: dict[UUID, UUID] = {}
        self._one_check = asyncio.Lock()

    async def authorize(
        self,
        client_id: str,
        username: str,
        secret: bytes,
        certificate: bytes | None = None,
        *,
        begins: bool = True,
    ) -> Decision:
        """Who logged in; raises Refused: bad_credentials, revoked, suspended, or unavailable (try again).

        ``certificate`` (DER) is one whose chain and key TLS has verified; with it a username is not needed, and must
        be the certificate's if there is one. Without a session that ``begins`` no other one ends, the epoch is 0, and
        a token needs no username either.
        """
        try:
            if certificate is not None:
                decision = await self._by_certificate(username, certificate, begins)
            elif is_jwt(secret):
                decision = await self._by_jwt(username, secret, begins)
            else:
                names = BY_TOKEN if not username and not begins else parse_username(username)
                decision = await self._enter(names, fingerprint(secret), begins)
        except Refused as refusal:
            LOGINS.labels(refusal.reason).inc()
            if refusal.tried is not None and self._noted is not None:
                self._noted(*refusal.tried)
            raise
        LOGINS.labels("accepted").inc()
        return decision

    async def dead(self, sessions: Iterable[Decision]) -> list[tuple[Decision, GoneReason]]:
        """Those sessions that must end: their credential or device is no longer good, or a younger one exists.

        Raises psycopg.Error or OSError.
        """
        held = [(session, self._credential_of.get(session.device_id)) for session in sessions]
        columns = (
            arrays.uuids([arrays.wire(session.tenant_id.bytes) for session, _ in held]),
            arrays.uuids([arrays.wire((credential or UUID(int=0)).bytes) for _, credential in held]),
            arrays.bigints([session.session_epoch for session, _ in held]),
        )
        async with self._one_check, self._checks.transaction() as connection:
            await statements.enter(connection, {session.tenant_id for session, _ in held})
            rows = await (await connection.execute(DEAD, columns, binary=True)).fetchall()
            await connection.execute("COMMIT")
        return [(held[n - 1][0], why) for n, why in rows]

    async def named(self, names: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], tuple[Decision, bool]]:
        """The devices that are called so, by tenant's and device's key, each with whether its tenant is suspended.

        For whoever has been let in by others (a broker); it proves nothing. Raises Refused("unavailable").
        """
        asked = list(names)
        found = dict(zip(asked, await asyncio.gather(*(self._called(each) for each in asked)), strict=True))
        devices = {each: ids for each, ids in found.items() if ids is not None}
        try:
            shut_out = await self._suspended({tenant_id for tenant_id, _ in devices.values()})
        except (psycopg.Error, OSError, TimeoutError):
            await self._checks.drop()
            raise Refused("unavailable") from None
        return {
            (tenant, device): (Decision(tenant_id, tenant, device_id, device, 0), tenant_id in shut_out)
            for (tenant, device), (tenant_id, device_id) in devices.items()
        }

    async def _called(self, names: tuple[str, str]) -> tuple[UUID, UUID] | None:
        """The tenant and the device of these names: the door says so to whoever shows it nobody's secret."""
        try:
            await self._enter(names, _NOBODYS, False)
        except Refused as refusal:
            if refusal.reason == "unavailable":
                raise
            if refusal.tried is not None and refusal.tried[1] is not None:
                return refusal.tried[0], refusal.tried[1]
        return None

    async def _suspended(self, tenants: set[UUID]) -> set[UUID]:
        """Those of these tenants that are. Raises psycopg.Error, OSError."""
        if not tenants:
            return set()
        async with self._one_check, self._checks.transaction() as connection:
            await statements.enter(connection, tenants)
            rows = await (await connection.execute(SUSPENDED)).fetchall()
            await connection.execute("COMMIT")
        return {tenant_id for (tenant_id,) in rows}

    async def close(self) -> None:
        """Stop asking; who waits is told unavailable."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        _refuse(self._asked, "unavailable")
        await self._database.drop()
        await self._checks.drop()

    async def _by_certificate(self, username: str, certificate: bytes, begins: bool) -> Decision:
        digest = fingerprint(certificate)
        try:
            decision = await self._enter(BY_CERTIFICATE, digest, begins)
        except Refused as refusal:
            if refusal.reason != "bad_credentials" or self._newcomers is None:
                raise
            await self._introduce(certificate)
            decision = await self._enter(BY_CERTIFICATE, digest, begins)
        if username and parse_username(username) != (decision.tenant, decision.device):
            raise Refused("bad_credentials", (decision.tenant_id, decision.device_id, "username"))
        return decision

    async def _introduce(self, certificate: bytes) -> None:
        """Have a newcomer let in; of a certificate that a tenant's own authority has signed and nobody noted, tell."""
        assert self._newcomers is not None
        try:
            await self._newcomers.introduce(certificate)
        except Refused as refusal:
            if refusal.reason != "bad_credentials":
                raise
            signed = await self._newcomers.claimed(certificate)
            if signed is None:
                raise
            tenant_id, name = signed
            found = await self._tried(parse_username(name), certificate, "certificate")
            is_its_own = found is not None and found[0] == tenant_id
            raise Refused(refusal.reason, found if is_its_own else (tenant_id, None, "certificate")) from None

    async def _by_jwt(self, username: str, token: bytes, begins: bool) -> Decision:
        """By a JWT (RFC 7519) that a registered key of the device has signed; the session ends with it."""
        names = parse_username(username)
        keys = await self._ask(names, KEYS, False)
        assert isinstance(keys, list)
        if not keys:
            raise Refused("bad_credentials", await self._tried(names, token, "jwt_wrong"))
        try:
            handle, ends = await asyncio.to_thread(_checked, token, keys, username, self._audience)
        except Refused as refusal:
            why = _JWT_FAULTS.get(refusal.reason, refusal.reason)
            raise Refused(refusal.reason, await self._tried(names, token, why)) from None
        decision = await self._enter(names, handle, begins)
        return replace(decision, expires_at=min(ends, decision.expires_at or ends))

    async def _tried(self, names: tuple[str, str] | None, shown: bytes, why: str) -> Tried | None:
        """Whose login this would have been, by the name it gave: asked only when it was refused already."""
        try:
            await self._enter(names, fingerprint(shown), False)  # which is no credential's: it lets nobody in
        except Refused as refusal:
            if refusal.tried is not None:
                tenant_id, device_id, unknown = refusal.tried
                return tenant_id, device_id, why if device_id is not None else unknown
        return None

    async def _enter(self, names: tuple[str, str] | None, digest: bytes, begins: bool) -> Decision:
        decision = await self._ask(names, digest, begins)
        assert isinstance(decision, Decision)
        return decision

    async def _ask(self, names: tuple[str, str] | None, digest: bytes, begins: bool) -> Answer:
        if names is None:
            raise Refused("bad_credentials")
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked.append((*names, digest, answer, begins))
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._answer_all())
        return await answer

    async def _answer_all(self) -> None:
        while self._asked:
            herd, self._asked = self._asked[:_AT_ONCE], self._asked[_AT_ONCE:]
            try:
                rows = await self._knock(herd)
            except (psycopg.Error, OSError) as error:
                log.warning("ingest.logins_unavailable", extra={"error": type(error).__name__, "logins": len(herd)})
                await self._database.drop()
                _refuse(herd, "unavailable")
                continue
            except asyncio.CancelledError:
                _refuse(herd, "unavailable")
                raise
            keys: dict[int, list[tuple[bytes, bytes]]] = {n: [] for n, asked in enumerate(herd, 1) if asked[2] == KEYS}
            for row in rows:
                if row[0] in keys:
                    keys[row[0]].append((row[9], row[10]))
                else:
                    self._answer(herd[row[0] - 1], row)
            for n, found in keys.items():
                if not herd[n - 1][3].done():
                    herd[n - 1][3].set_result(found)

    async def _knock(self, herd: Sequence[Asked]) -> list[tuple[Any, ...]]:
        columns = (
            arrays.texts([asked[0] for asked in herd]),
            arrays.texts([asked[1] for asked in herd]),
            arrays.blobs([asked[2] for asked in herd]),
            arrays.bigints([asked[4] for asked in herd]),
        )
        async with self._database.transaction() as connection:
            return await (await connection.execute(ASK, columns, binary=True, prepare=True)).fetchall()

    def _answer(self, asked: Asked, row: tuple[Any, ...]) -> None:
        answer = asked[3]
        _, tenant_id, device_id, credential_id, epoch, expires_at, refusal, tenant, device, _, _, why = row
        if refusal is not None:
            tried = None if tenant_id is None else (tenant_id, device_id, why)
            _refuse([asked], refusal if refusal in _REASONS else "bad_credentials", tried)
            return
        if asked[4]:
            self._credential_of[device_id] = credential_id
        if not answer.done():  # the client may have gone meanwhile
            expires = None if expires_at is None else expires_at.timestamp()
            answer.set_result(Decision(tenant_id, tenant, device_id, device, epoch or 0, expires))


def _checked(token: bytes, keys: Sequence[tuple[bytes, bytes]], username: str, audience: str) -> tuple[bytes, float]:
    """In a thread, since what it imports at its first call is slow to import."""
    from ingest import jwt

    return jwt.check(token, keys, username, audience)


def _refuse(herd: Iterable[Asked], reason: RefusalReason, tried: Tried | None = None) -> None:
    for asked in herd:
        if not asked[3].done():
            asked[3].set_exception(Refused(reason, tried))
