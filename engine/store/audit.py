"""Writing the audit log: what a transaction did to what, in the same transaction, or that somebody was turned away."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.tenancy import Principal

_WRITE = text("SELECT app.audit(CAST(:tenant AS uuid), CAST(:entries AS json))")


@dataclass(frozen=True, slots=True)
class Deed:
    """Something done (or tried): ``action`` as ``device.change``; ``before`` and ``after`` show what it changed.

    ``result`` is ``done``, ``denied`` (no right to) or ``refused`` (the engine would not), with the ``reason``'s code.
    Secrets never appear in it.
    """

    action: str
    target_kind: str
    target_id: str
    before: object = None
    after: object = None
    result: str = "done"
    reason: str | None = None


async def write(connection: AsyncConnection, principal: Principal, deeds: Sequence[Deed]) -> None:
    """Seal ``deeds`` into the tenant's log. Holds the log's head until COMMIT."""
    entries = [
        {
            "actor_kind": principal.kind,
            "actor_id": principal.id,
            "actor_name": principal.name,
            "action": deed.action,
            "target_kind": deed.target_kind,
            "target_id": deed.target_id,
            "result": deed.result,
            "reason": deed.reason,
            "before": deed.before,
            "after": deed.after,
            "address": principal.address or None,
        }
        for deed in deeds
    ]
    written = orjson.dumps(entries, default=_plain, option=orjson.OPT_NON_STR_KEYS).decode()
    await connection.execute(_WRITE, {"tenant": principal.tenant_id, "entries": written})


def _plain(value: object) -> object:
    if isinstance(value, frozenset | set):
        return sorted(map(str, value))
    if isinstance(value, UUID | bytes):
        return str(value)
    raise TypeError(f"{type(value).__name__} does not belong in the audit log")
