"""What a transaction tells the journal: events in the past tense, written as the last thing before COMMIT."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# One JSON document: arrays of as many texts cost the client ten times as much.
APPEND = text(
    """
    SELECT max(pos) FROM (SELECT CAST(:told AS json) AS t) AS told, app.append(
        array_fill(CAST(:tenant AS uuid), ARRAY[json_array_length(t)]),
        ARRAY(SELECT e ->> 0 FROM json_array_elements(t) WITH ORDINALITY AS x (e, n) ORDER BY n),
        ARRAY(SELECT e -> 1 FROM json_array_elements(t) WITH ORDINALITY AS x (e, n) ORDER BY n)
    )
    """
)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that has happened; its class names it in the past tense and its fields say what it carries."""

    kind: ClassVar[str]

    def body(self) -> dict[str, object]:
        """The JSON body: every field, identifiers as strings."""
        # what dataclasses have at hand for patterns: `fields` looks for the names anew each time
        names: tuple[str, ...] = self.__match_args__
        return {name: _plain(getattr(self, name)) for name in names}


async def append(connection: AsyncConnection, tenant_id: UUID, events: Sequence[Event]) -> int:
    """Append ``events`` to one tenant's journal and return the position of the last.

    Holds the tenant's head row until COMMIT: nothing slow may follow it in the transaction.
    """
    result = await connection.execute(APPEND, appended(tenant_id, events))
    return int(result.scalar_one())


def appended(tenant_id: UUID, events: Sequence[Event]) -> dict[str, object]:
    """What ``APPEND`` asks for."""
    told = orjson.dumps([(event.kind, event.body()) for event in events]).decode()
    return {"tenant": tenant_id, "told": told}


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, (bool, int, float, str, list, dict)) else str(value)
