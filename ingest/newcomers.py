"""Devices that show a certificate nobody has seen before, of an authority that a tenant has registered.

This process may only note that one has knocked. The gateway looks at it as the tenant and lets it in, or not; the
device's login waits a few seconds for that, so that its first connection can succeed. A gateway that is away costs the
device another try.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from engine.ids import fingerprint, uuid7
from ingest import statements
from ingest.adapters.base import Refused
from ingest.database import Database

log = logging.getLogger(__name__)

# The rows that hold it are made by whoever knocks first; telling again is cheap and heals what was missed.
KNOCK = """
INSERT INTO enrolments (tenant_id, id, provisioner_id, status, proof, material, material_sha256, address, asked_at,
                        expires_at)
VALUES (%s, %s, %s, 'asked', 'certificate', %s, %s, '', now(), %s) ON CONFLICT DO NOTHING
"""
TELL = "SELECT pg_notify('tidegate_changed', %s)"
STANDING = """
SELECT status FROM enrolments
WHERE tenant_id = %s AND proof = 'certificate' AND material_sha256 = %s
"""

_WAITS_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
_KEPT = timedelta(days=1)
_REMEMBERED_S = 5.0
_MOST_REMEMBERED = 10_000
_AT_ONCE = 50


class Newcomers:
    """Introduces devices to the tenant whose registered authority has signed them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._authorities: list[tuple[str, UUID, UUID]] = []
        self._own: dict[UUID, list[str]] = {}
        self._turned_away: OrderedDict[bytes, float] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()
        self._waiting = 0

    def believe(self, rows: Iterable[tuple[str, UUID, UUID | None]]) -> None:
        """Learn which authorities there are: certificate (PEM), tenant, and the way in, where there is one."""
        own: dict[UUID, list[str]] = {}
        registered = []
        for pem, tenant_id, way in rows:
            if way is None:
                own.setdefault(tenant_id, []).append(pem)
            else:
                registered.append((pem, tenant_id, way))
        self._authorities, self._own = registered, own

    async def claimed(self, der: bytes) -> tuple[UUID, str] | None:
        """Whose authority has signed a certificate that is nobody's, and the name in it; None if none of these has."""
        return await asyncio.to_thread(_claimed, der, self._own)

    async def introduce(self, der: bytes) -> None:
        """Have a device let in whose certificate TLS has verified; returns when it may log in.

        Raises Refused: bad_credentials (nobody here takes its authority's word, or two tenants do), pending,
        turned_away, or unavailable when nobody has decided within a few seconds.
        """
        where = await self._authority_of(der)
        digest = fingerprint(der)
        if where is None:
            raise Refused("bad_credentials")
        if self._turned_away.get(digest, 0) > time.monotonic():
            raise Refused("turned_away")
        if self._waiting >= _AT_ONCE:
            raise Refused("unavailable")
        self._waiting += 1
        try:
            await self._knock(der, digest, *where)
        except (psycopg.Error, OSError) as error:
            log.warning("ingest.newcomer_unavailable", extra={"error": type(error).__name__})
            await self._database.drop()
            raise Refused("unavailable") from None
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """Give the connection back."""
        await self._database.drop()

    async def _authority_of(self, der: bytes) -> tuple[UUID, UUID] | None:
        """The tenant and way in whose authority signed this certificate; None if none did, or those of two tenants."""
        if not self._authorities:
            return None
        signed_by = await asyncio.to_thread(_signed_by, der, self._authorities)
        return signed_by[0] if len(signed_by) == 1 else None

    async def _knock(self, der: bytes, digest: bytes, tenant_id: UUID, provisioner_id: UUID) -> None:
        until = datetime.now(UTC) + _KEPT
        knock = [tenant_id, uuid7(), provisioner_id, der, digest, until]
        await self._run(tenant_id, (KNOCK, knock), (TELL, [f"enrol:{tenant_id}:{digest.hex()}"]))
        for wait_s in _WAITS_S:
            await asyncio.sleep(wait_s)
            [row] = await self._run(tenant_id, (STANDING, [tenant_id, digest])) or [("asked",)]
            if row[0] in ("done", "approved"):
                return
            if row[0] == "pending":
                raise Refused("pending")
            if row[0] == "refused" and wait_s >= _WAITS_S[2]:  # what was turned away before is judged anew first
                self._remember(digest)
                raise Refused("turned_away")
        raise Refused("unavailable")

    async def _run(self, tenant_id: UUID, *steps: tuple[str, list[Any]]) -> list[tuple[Any, ...]]:
        async with self._one_at_a_time, self._database.transaction() as connection:
            await statements.enter(connection, {tenant_id})
            for statement, given in steps:
                cursor = await connection.execute(statement, given)
            rows = await cursor.fetchall()
            await connection.execute("COMMIT")
        return rows

    def _remember(self, digest: bytes) -> None:
        self._turned_away[digest] = time.monotonic() + _REMEMBERED_S
        if len(self._turned_away) > _MOST_REMEMBERED:
            self._turned_away.popitem(last=False)


def _claimed(der: bytes, own: Mapping[UUID, Sequence[str]]) -> tuple[UUID, str] | None:
    """In a thread, as below."""
    from ingest import issuers

    return issuers.claimed(der, own)


def _signed_by(der: bytes, authorities: Sequence[tuple[str, UUID, UUID]]) -> list[tuple[UUID, UUID]]:
    """In a thread, since what it imports at its first call is slow to import."""
    from ingest import issuers

    return issuers.signed_by(der, authorities)
