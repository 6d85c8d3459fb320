"""What a transaction tells the journal: events in the past tense, written as the last thing before COMMIT."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import ClassVar
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_APPEND = text(
    "SELECT max(pos) FROM app.append(CAST(:tenants AS uuid[]), CAST(:kinds AS text[]), CAST(:bodies AS json[]))"
)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that has happened; its class names it in the past tense and its fields say what it carries."""

    kind: ClassVar[str]

    def body(self) -> dict[str, object]:
        """The JSON body: every field, identifiers as strings."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}


async def append(connection: AsyncConnection, tenant_id: UUID, events: Sequence[Event]) -> int:
    """Append ``events`` to one tenant's journal and return the position of the last.

    Holds the tenant's head row until COMMIT: nothing slow may follow it in the transaction.
    """
    result = await connection.execute(
        _APPEND,
        {
            "tenants": [tenant_id] * len(events),
            "kinds": [event.kind for event in events],
            "bodies": [orjson.dumps(event.body()).decode() for event in events],
        },
    )
    return int(result.scalar_one())


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, (bool, int, float, str, list, dict)) else str(value)
