"""How many workers can follow one tenant's journal at once, and how that number becomes another (ADR 78).

Each reader's row says where it stands, and is its lease. They become more or fewer where all of them stand at the same
entry: until then those behind go on to where the foremost stood, and those who are there wait. It takes no process that
must not die: whoever comes there last does it, in one transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import RowMapping, text

from engine.journal.errors import ReadersMalformed
from engine.journal.share import MOST_READERS
from engine.store.tx import Tx

FIRST = "drain"

_ALL = text(
    "SELECT reader, pos, turn, shares, wanted FROM readers WHERE tenant_id = :tenant ORDER BY reader FOR UPDATE"
)
_ARE_THERE = text("SELECT bool_and(pos >= until) FROM readers WHERE tenant_id = :tenant")
_GO_ON = text("UPDATE readers SET wanted = :wanted, until = :until WHERE tenant_id = :tenant")
_FEWER = text("DELETE FROM readers WHERE tenant_id = :tenant AND reader <> :first")
# The turn is another, so that what a worker remembers of any of them counts no more.
_AS_WANTED = text(
    "UPDATE readers SET shares = :wanted, wanted = NULL, until = NULL, turn = :turn WHERE tenant_id = :tenant"
)
_MORE = text(
    """
    INSERT INTO readers (tenant_id, reader, pos, at, turn, closed_to, shares)
    SELECT r.tenant_id, r.reader || '-' || n, r.pos, r.at, r.turn, r.closed_to, r.shares
    FROM readers r CROSS JOIN generate_series(1, r.shares - 1) n WHERE r.tenant_id = :tenant AND r.reader = :first
    """
)
_STAND = text(
    "SELECT r.reader AS name, h.pos - r.pos AS behind FROM readers r JOIN journal_head h USING (tenant_id) "
    "WHERE r.tenant_id = :tenant ORDER BY length(r.reader), r.reader"
)


@dataclass(frozen=True, slots=True)
class Readers:
    """How many share a tenant's journal ``now``, and how many are ``wanted``: the same, but for a moment."""

    now: int
    wanted: int


@dataclass(frozen=True, slots=True)
class Reader:
    """One of them, and how many entries of the journal it has not taken yet."""

    name: str
    behind: int


def name(number: int) -> str:
    """The name in the database of a tenant's reader ``number``, from 0."""
    return f"{FIRST}-{number}" if number else FIRST


async def change(tx: Tx, wanted: int) -> Readers:
    """Let so many readers share the tenant's journal; at once, or as soon as all stand at the same entry.

    For whoever operates the platform: nobody of the tenant may come here. Raises ReadersMalformed.
    """
    if not 1 <= wanted <= MOST_READERS:
        raise ReadersMalformed
    rows = await hold(tx)
    before = rows[0]["wanted"] or rows[0]["shares"]
    if wanted != before:
        tx.audit(
            "journal.share", "tenant", tx.principal.tenant_id, before={"readers": before}, after={"readers": wanted}
        )
        return await _come_to(tx, rows, wanted)
    return Readers(rows[0]["shares"], before)


async def settle(tx: Tx) -> bool:
    """Become as many as are wanted, if all stand at the same entry by now; says whether they have."""
    if not await tx.scalar(_ARE_THERE, {"tenant": tx.principal.tenant_id}):
        return False  # asked without a lock first: who is still on the way need not wait for whoever asks
    rows = await hold(tx)
    wanted = rows[0]["wanted"]
    if wanted is None:
        return False
    come = await _come_to(tx, rows, wanted)
    return come.now == come.wanted


async def stand(tx: Tx) -> list[Reader]:
    """Where each of the tenant's readers stands, the first one first."""
    return [Reader(**row) for row in await tx.rows(_STAND, {"tenant": tx.principal.tenant_id})]


async def hold(tx: Tx) -> Sequence[RowMapping]:
    """All of the tenant's readers, none of which is under way; until COMMIT none of them goes on."""
    return await tx.rows(_ALL, {"tenant": tx.principal.tenant_id})


async def _come_to(tx: Tx, rows: Sequence[RowMapping], wanted: int) -> Readers:
    tenant, foremost = {"tenant": tx.principal.tenant_id}, max(row["pos"] for row in rows)
    if any(row["pos"] < foremost for row in rows):
        await tx.execute(_GO_ON, {**tenant, "wanted": wanted, "until": foremost})
        return Readers(rows[0]["shares"], wanted)
    await tx.execute(_FEWER, {**tenant, "first": FIRST})
    await tx.execute(_AS_WANTED, {**tenant, "wanted": wanted, "turn": 1 + max(row["turn"] for row in rows)})
    await tx.execute(_MORE, {**tenant, "first": FIRST})
    return Readers(wanted, wanted)
