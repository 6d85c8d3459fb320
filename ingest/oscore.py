"""The contexts of devices that protect each CoAP message: found by their kid, and what was used up of each.

All ingest processes write into one row for each context, in a transaction that is committed before the message counts:
what one process has taken no other takes, and none after a crash. Questions that come while one is under way are in the
next, as logins are.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import psycopg

from engine.certificates.errors import VaultSealed
from engine.errors import Unavailable
from engine.provisioning import contexts
from ingest import arrays, statements
from ingest.adapters.base import Refused
from ingest.adapters.coap.keeper import Found
from ingest.adapters.http.login import Proof
from ingest.database import Database

if TYPE_CHECKING:
    from engine.certificates.vault import Vault

log = logging.getLogger(__name__)

OWN_AT_ONCE: Final = 64
"""Numbers of ours that are reserved at a time; what a process has not used when it dies is lost, of 2^40."""
UNKNOWN_S: Final = 5.0
"""So long a kid that nobody has is not asked for again."""
_MOST_UNKNOWN: Final = 10_000
_AT_ONCE: Final = 200

# The door has no columns of these names: the kid stands where a digest does, what is sealed where a public key.
FIND = """
SELECT c.secret_sha256, c.tenant_id, c.credential_id, c.tenant_key, c.device_key, c.public_key
FROM unnest(%b) AS asked (kid) CROSS JOIN LATERAL app.credential('', '*kid', asked.kid, false) c
"""

# The window of RFC 8613, section 7.4: bit n of `seen` is the number n below the highest. The rows are locked in one
# order for everybody; what counts is what then stands in them, not what stood there when the statement began.
STRIKE = """
WITH asked AS (
    SELECT * FROM unnest(%b, %b, %b) WITH ORDINALITY AS u (tenant_id, credential_id, number, n)
), held AS MATERIALIZED (
    SELECT a.* FROM asked a JOIN oscore_contexts o USING (tenant_id, credential_id)
    ORDER BY o.tenant_id, o.credential_id FOR UPDATE OF o
)
UPDATE oscore_contexts o SET
    highest = greatest(o.highest, h.number),
    seen = CASE WHEN h.number <= o.highest THEN o.seen | (1::bigint << (o.highest - h.number)::integer)
                WHEN h.number - o.highest < 32
                THEN ((o.seen << (h.number - o.highest)::integer) & 4294967295) | 1
                ELSE 1 END
FROM held h
WHERE o.tenant_id = h.tenant_id AND o.credential_id = h.credential_id
  AND (h.number > o.highest
       OR (o.highest - h.number < 32 AND (o.seen >> (o.highest - h.number)::integer) & 1 = 0))
RETURNING h.n
"""

RESERVE = """
UPDATE oscore_contexts SET next_own = next_own + %s
WHERE tenant_id = %s AND credential_id = %s AND next_own + %s <= 1099511627776 RETURNING next_own
"""

Q = TypeVar("Q")
A = TypeVar("A")


class _Herd(Generic[Q, A]):
    """Questions of one kind: a few hundred at a time, one herd after the other. A failure is all the herd's."""

    def __init__(self, ask: Callable[[Sequence[Q]], Awaitable[Sequence[A | Refused]]]) -> None:
        self._ask = ask
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []
        self._task: asyncio.Task[None] | None = None

    async def ask(self, question: Q) -> A:
        """The answer. Raises Refused("unavailable")."""
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await answer

    async def close(self) -> None:
        """Who waits is told that nobody answers."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while self._waiting:
            herd, self._waiting = self._waiting[:_AT_ONCE], self._waiting[_AT_ONCE:]
            try:
                answers = await self._ask([question for question, _ in herd])
            except (psycopg.Error, OSError, TimeoutError, Unavailable) as error:
                log.warning("ingest.oscore_unavailable", extra={"error": type(error).__name__, "asked": len(herd)})
                _refuse(herd)
                continue
            except BaseException:
                _refuse([*herd, *self._waiting])
                raise
            for (_, answer), found in zip(herd, answers, strict=True):
                if answer.done():
                    continue
                if isinstance(found, Refused):
                    answer.set_exception(found)
                else:
                    answer.set_result(found)


class OscoreContexts:
    """The `Keeper` of a process; questions on one connection."""

    def __init__(self, database: Database, vault: "Callable[[], Vault]") -> None:
        """`vault` is called when there is something to open."""
        self._database = database
        self._vault = cache(vault)
        self._unknown: OrderedDict[bytes, float] = OrderedDict()
        self._one = asyncio.Lock()
        self._finding: _Herd[bytes, Found | None] = _Herd(self._find_all)
        self._striking: _Herd[tuple[Found, int], bool] = _Herd(self._strike_all)
        self._reserving: _Herd[Found, range] = _Herd(self._reserve_all)

    async def find(self, kid: bytes) -> Found | None:
        """The context of this kid. Raises Refused("unavailable")."""
        if self._unknown.get(kid, 0.0) > time.monotonic():
            return None
        return await self._finding.ask(kid)

    async def strike(self, found: Found, number: int) -> bool:
        """Use up a number of the device's, for good. Raises Refused("unavailable")."""
        return await self._striking.ask((found, number))

    async def reserve(self, found: Found) -> range:
        """Numbers of ours. Raises Refused("unavailable"), also when there are none any more."""
        numbers = await self._reserving.ask(found)
        if not numbers:
            raise Refused("unavailable")
        return numbers

    async def close(self) -> None:
        """Stop asking."""
        for herd in (self._finding, self._striking, self._reserving):
            await herd.close()
        await self._database.drop()

    async def _find_all(self, kids: Sequence[bytes]) -> list[Found | Refused | None]:
        async with self._one, self._database.transaction() as connection:
            rows = await (await connection.execute(FIND, [arrays.blobs(kids)], binary=True, prepare=True)).fetchall()
        found = {row[0]: await self._opened(row) for row in rows}
        until = time.monotonic() + UNKNOWN_S
        for kid in kids:
            if kid not in found:
                self._unknown[kid] = until
                self._unknown.move_to_end(kid)
        while len(self._unknown) > _MOST_UNKNOWN:
            self._unknown.popitem(last=False)
        return [found.get(kid) for kid in kids]

    async def _opened(self, row: tuple[Any, ...]) -> Found | Refused:
        kid, tenant_id, credential_id, tenant, device, sealed = row
        try:
            secrets = await contexts.opened(self._vault(), sealed, credential_id)
        except VaultSealed:
            log.error("ingest.oscore_sealed", extra={"credential": str(credential_id)})
            return Refused("unavailable")
        proof = Proof(f"{tenant}/d/{device}", secrets.proof, None)
        return Found(tenant_id, credential_id, kid, secrets.master, proof)

    async def _strike_all(self, asked: Sequence[tuple[Found, int]]) -> list[bool]:
        taken: set[int] = set()
        open_at = list(range(len(asked)))
        async with self._one, self._database.transaction() as connection:
            await statements.enter(connection, {found.tenant_id for found, _ in asked})
            while open_at:  # of each context one number at a time
                first = {asked[at][0].credential_id: at for at in reversed(open_at)}
                now = sorted(first.values())
                open_at = [at for at in open_at if at not in now]
                columns = (
                    arrays.uuids([arrays.wire(asked[at][0].tenant_id.bytes) for at in now]),
                    arrays.uuids([arrays.wire(asked[at][0].credential_id.bytes) for at in now]),
                    arrays.bigints([asked[at][1] for at in now]),
                )
                rows = await (await connection.execute(STRIKE, columns, binary=True, prepare=True)).fetchall()
                taken.update(now[n - 1] for (n,) in rows)
            await connection.execute("COMMIT")
        return [at in taken for at in range(len(asked))]

    async def _reserve_all(self, asked: Sequence[Found]) -> list[range]:
        ordered = sorted(range(len(asked)), key=lambda at: (asked[at].tenant_id, asked[at].credential_id))
        ranges: dict[int, range] = {}
        async with self._one, self._database.transaction() as connection:
            await statements.enter(connection, {found.tenant_id for found in asked})
            for at in ordered:
                found = asked[at]
                columns = (OWN_AT_ONCE, found.tenant_id, found.credential_id, OWN_AT_ONCE)
                row = await (await connection.execute(RESERVE, columns)).fetchone()
                ranges[at] = range(row[0] - OWN_AT_ONCE, row[0]) if row else range(0)
            await connection.execute("COMMIT")
        return [ranges[at] for at in range(len(asked))]


def _refuse(herd: Sequence[tuple[Any, "asyncio.Future[Any]"]]) -> None:
    for _, answer in herd:
        if not answer.done():
            answer.set_exception(Refused("unavailable"))
