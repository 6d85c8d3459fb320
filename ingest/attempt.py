"""One try at a batch's transaction: all at once when every row is new, else step by step."""

from uuid import UUID

import psycopg

from ingest import failpoints, statements
from ingest.batch import Batch, Outcome
from ingest.database import Database
from ingest.rejected import Inbox, InboxRow

Result = tuple[Outcome, list[InboxRow]]
"""What a transaction did, and the rows it put into the inbox."""


class NotAllNew(Exception):
    """Some rows of the batch were there before, or their device is gone; nothing was written."""


class Attempt:
    """`is_committing` once COMMIT may have been sent: should the answer be lost, `result` is what it may have done."""

    def __init__(self, database: Database, inbox: Inbox, batch: Batch) -> None:
        self._database = database
        self._inbox = inbox
        self._batch = batch
        self.is_committing = False
        self.result: Result

    async def at_once(self) -> Result:
        """One call, one transaction. Raises NotAllNew, or what `Database.transaction` raises."""
        batch = self._batch
        if batch.variants:
            raise NotAllNew
        batch.forget_fates()
        async with self._database.transaction() as connection:
            entries = self._settle()
            self._reach_failpoint()
            self.is_committing = True
            try:
                await statements.at_once(connection, batch.tenants, batch.rows, self.result[1], entries)
            except psycopg.Error as error:
                if error.sqlstate not in statements.NOT_ALL_NEW:
                    raise
                self.is_committing = False
                raise NotAllNew from None
        return self.result

    async def step_by_step(self, unknown: Result | None) -> Result:
        """Store, see which rows were new, tell the journal so, commit.

        `unknown` is what an earlier try did whose answer was lost; it is returned if that try was committed after all.
        """
        batch = self._batch
        batch.forget_fates()
        async with self._database.transaction() as connection:
            # Inserting waits for an earlier try that is still under way; only then can its journal row be looked for.
            await self._store(connection)
            if unknown is not None and await self._was_committed(connection, unknown[0]):
                await connection.execute("ROLLBACK")
                return unknown
            entries = self._settle()
            async with connection.pipeline():
                if self.result[1]:
                    await statements.reject(connection, self.result[1])
                await statements.append(connection, entries)
                self._reach_failpoint()
                self.is_committing = True
                await connection.execute("COMMIT")
        return self.result

    async def look(self, unknown: Result) -> bool:
        """Whether an earlier try was committed, for a batch that nobody waits for any more; nothing is written."""
        async with self._database.transaction(rollback=True) as connection:
            await statements.enter(connection, self._batch.tenants)
            return await self._was_committed(connection, unknown[0])

    def _settle(self) -> list[tuple[UUID, str, bytes]]:
        """Set `result` from the rows' fates; returns the journal rows that tell it."""
        outcome = self._batch.settle()
        self.result = outcome, self._inbox.choose(outcome)
        return list(outcome.journal())

    def _reach_failpoint(self) -> None:
        if self._batch.parcels:
            failpoints.reach(failpoints.BEFORE_COMMIT)

    async def _store(self, connection: statements.Connection) -> None:
        rows = self._batch.rows
        async with connection.pipeline():
            await statements.enter(connection, self._batch.tenants)
            cursor = await statements.store(connection, rows) if rows else None
        if cursor is None or cursor.pgresult is None:
            return
        if cursor.pgresult.ntuples < len(rows) or self._batch.variants:
            self._batch.fates = await statements.fates(connection, self._batch, cursor.pgresult)

    async def _was_committed(self, connection: statements.Connection, unknown: Outcome) -> bool:
        for device in (*(parcel.device for parcel, _ in unknown.verdicts[:1]), *unknown.counts):
            return await statements.was_committed(connection, device.tenant_id, self._batch.id)
        return False  # presence alone: twice told is once, its epoch and time are the same
