"""Requests that may be repeated: what was done under an Idempotency-Key, so that it is done once."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import and_, delete, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql import ColumnElement

from engine.errors import Conflict, Invalid
from engine.store.tx import Tx
from engine.tenants.tables import idempotency

KEPT = timedelta(hours=24)
UNDER_WAY = timedelta(minutes=1)

_PRUNE = text(
    """
    DELETE FROM idempotency WHERE (tenant_id, principal_id, key) IN (
        SELECT tenant_id, principal_id, key FROM idempotency
        WHERE tenant_id = :tenant AND created_at < :before ORDER BY created_at LIMIT 50000
    )
    """
)


class RepeatDiffers(Invalid):
    """This Idempotency-Key was used before for a different request; choose a new key."""

    code = "IDEMPOTENCY_KEY_REUSED"


class RepeatUnanswered(Conflict):
    """This request was carried out before, and its answer was not kept; look at what it made."""

    code = "IDEMPOTENCY_ANSWER_LOST"


class Claimed(Conflict):
    """The same request is being carried out at this moment."""

    code = "IDEMPOTENCY_IN_PROGRESS"


@dataclass(frozen=True, slots=True)
class Answer:
    """A response as it went out; None as the body: it held a secret and was not kept."""

    status: int
    headers: Mapping[str, str]
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Repeatable:
    """One request under its key. ``sha256`` is the fingerprint of what was asked."""

    key: str
    sha256: bytes

    async def claim(self, tx: Tx) -> None:
        """Note, in the transaction that does the work, that it is done. Raises Claimed where it is done already."""
        values = {
            "tenant_id": tx.principal.tenant_id,
            "principal_id": _who(tx),
            "key": self.key,
            "request_sha256": self.sha256,
            "created_at": tx.now,
        }
        await tx.execute(delete(idempotency).where(_theirs(tx), idempotency.c.created_at < tx.now - KEPT))
        row = await tx.one(insert(idempotency).values(values).on_conflict_do_nothing().returning(idempotency.c.key))
        if row is None:
            raise Claimed

    async def keep(self, tx: Tx, answer: Answer) -> None:
        """Keep the answer for whoever repeats the request."""
        await tx.execute(
            update(idempotency)
            .where(_mine(tx, self.key))
            .values(status=answer.status, headers=dict(answer.headers), body=answer.body)
        )

    async def find(self, tx: Tx) -> Answer | None:
        """The answer given before, or None where the request is new.

        Raises RepeatDiffers, Claimed, RepeatUnanswered.
        """
        row = await tx.one(select(idempotency).where(_mine(tx, self.key), idempotency.c.created_at >= tx.now - KEPT))
        if row is None:
            return None
        if bytes(row["request_sha256"]) != self.sha256:
            raise RepeatDiffers
        if row["status"] is None:
            raise Claimed if row["created_at"] > tx.now - UNDER_WAY else RepeatUnanswered
        return Answer(row["status"], row["headers"], None if row["body"] is None else bytes(row["body"]))


async def prune(tx: Tx) -> None:
    """Forget requests of more than a day ago: people's as well as devices', of which there may be many."""
    await tx.execute(_PRUNE, {"tenant": tx.principal.tenant_id, "before": tx.now - KEPT})


def _mine(tx: Tx, key: str) -> ColumnElement[bool]:
    return and_(_theirs(tx), idempotency.c.key == key)


def _theirs(tx: Tx) -> ColumnElement[bool]:
    return and_(idempotency.c.tenant_id == tx.principal.tenant_id, idempotency.c.principal_id == _who(tx))


def _who(tx: Tx) -> UUID:
    return tx.principal.id
