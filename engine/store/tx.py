"""A transaction as one tenant: everything in it sees and changes that tenant's rows only."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Executable, text
from sqlalchemy.engine import CursorResult, RowMapping
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.store.audit import Deed
from engine.store.emit import APPEND, Event, appended
from engine.store.errors import OutsideGroups, TransactionOver
from engine.store.wire import Asked, Reading
from engine.tenancy import Principal

Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None

# a hint to the policies `limits` (ADR 30), which find the same rows with it and without
_MANY = text("SELECT set_config('app.many', :many, true)")
_NOTIFY = text("SELECT pg_notify('tidegate_changed', :what)")


class Speaks(Protocol):
    """The way to the server: ready questions by themselves, everything else over SQLAlchemy's connection."""

    async def connection(self) -> AsyncConnection:
        """SQLAlchemy's, in a transaction as the tenant."""
        ...

    async def read(self, reading: Reading, params: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """All rows, by column name."""
        ...

    async def read_all(self, asked: Sequence[Asked]) -> list[Sequence[Mapping[str, Any]]]:
        """All rows of each question."""
        ...


class Beside:
    """A question that goes out together with the next one, or by itself when its answer is wanted before."""

    def __init__(self, tx: "Tx", reading: Reading, params: Mapping[str, Any]) -> None:
        self.asked: Asked = (reading, params)
        self.answer: Sequence[Mapping[str, Any]] | None = None
        self._tx = tx

    async def rows(self) -> Sequence[Mapping[str, Any]]:
        """All rows, by column name."""
        if self.answer is None:
            self._tx.forget(self)
            self.answer = await self._tx.read(*self.asked)
        return self.answer


class Tx:
    """One open transaction. Statements are serialised: GraphQL resolves siblings concurrently, a connection cannot."""

    def __init__(
        self,
        wire: Speaks,
        principal: Principal,
        now: datetime,
        *,
        has_readings: bool = False,
    ) -> None:
        self.principal = principal
        self.now = now
        self.asks_readings = has_readings and not principal.is_limited
        """Whether a device's readings are asked of `app.readings`, and not of telemetry itself (ADR 50)."""
        self.events: list[Event] = []
        self.has_told = False
        """Whether some of what was emitted is in the journal already (see ``tell``)."""
        self.deeds: list[Deed] = []
        self._wire = wire
        self._one_at_a_time = asyncio.Lock()
        self._is_over = False
        self._beside: list[Beside] = []

    def end(self) -> None:
        """From now on nobody is answered: the connection goes back, and may act as another tenant at once.

        Who was fetching something for a question that failed meanwhile may still come and ask.
        """
        self._is_over = True

    async def execute(self, statement: Executable, params: Parameters = None) -> CursorResult[Any]:
        """Run one statement and return its buffered result.

        Raises OutsideGroups where somebody limited to groups would write what they would not see.
        """
        async with self._one_at_a_time:
            return await self._execute(statement, params)

    async def _execute(self, statement: Executable, params: Parameters) -> CursorResult[Any]:
        self._ask()
        try:
            connection = await self._wire.connection()
            return await connection.execute(statement, params)
        except ProgrammingError as error:
            if self.principal.is_limited and isinstance(error.orig, InsufficientPrivilege):
                raise OutsideGroups from None
            raise

    async def read(self, reading: Reading, params: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """All rows of a statement that was made ready, by column name."""
        async with self._one_at_a_time:
            self._ask()
            beside, self._beside = self._beside, []
            if not beside:
                return await self._wire.read(reading, params)
            rows, *others = await self._wire.read_all([(reading, params), *(each.asked for each in beside)])
            for each, answer in zip(beside, others, strict=True):
                each.answer = answer
            return rows

    def beside(self, reading: Reading, params: Mapping[str, Any]) -> Beside:
        """Have this asked in the same message as whatever is read next: a round trip less."""
        self._beside.append(asked := Beside(self, reading, params))
        return asked

    def forget(self, asked: Beside) -> None:
        """Ask nothing beside the next question that is not wanted any more, or was asked for itself."""
        if asked in self._beside:
            self._beside.remove(asked)

    def _ask(self) -> None:
        # whatever was let pass here is before COMMIT in the driver's queue
        if self._is_over:
            raise TransactionOver

    async def rows_of_many(self, statement: Executable) -> Sequence[RowMapping]:
        """All rows of a statement that goes through what belongs to many devices, as their presence.

        Whoever is limited to groups has what they see looked up once for all of it, not for each row.
        """
        if not self.principal.is_limited:
            return await self.rows(statement)
        async with self._one_at_a_time:
            await self._execute(_MANY, {"many": "on"})
            found = await self._execute(statement, None)
            await self._execute(_MANY, {"many": ""})
            return found.mappings().all()

    async def rows(self, statement: Executable, params: Parameters = None) -> Sequence[RowMapping]:
        """All rows, by column name."""
        return (await self.execute(statement, params)).mappings().all()

    async def one(self, statement: Executable, params: Parameters = None) -> RowMapping | None:
        """The first row by column name, or None."""
        return (await self.execute(statement, params)).mappings().first()

    async def scalar(self, statement: Executable, params: Parameters = None) -> Any:
        """The first column of the first row, or None."""
        return (await self.execute(statement, params)).scalar()

    def emit(self, event: Event) -> None:
        """Tell the journal: ``event`` becomes a row just before COMMIT, or never happened."""
        self.events.append(event)

    async def tell(self) -> int:
        """Write what was emitted into the journal now, and not just before COMMIT; returns the position of the last.

        Others who tell this tenant's journal something wait from here on: only COMMIT, or one short statement before
        it, may follow, and no deed, which is written before the journal.
        """
        position = int(await self.scalar(APPEND, appended(self.principal.tenant_id, self.events)))
        self.events.clear()
        self.has_told = True
        return position

    def audit(
        self, action: str, target_kind: str, target_id: object, *, before: object = None, after: object = None
    ) -> None:
        """Tell the audit log, in this transaction: what was done to what, and what that changed. Never a secret."""
        self.deeds.append(Deed(action, target_kind, str(target_id), before, after))

    async def notify(self, what: str) -> None:
        """Tell every process at COMMIT that ``what`` (``device:{id}``, ``session:{id}`` …) changed or died."""
        await self.execute(_NOTIFY, {"what": what})
