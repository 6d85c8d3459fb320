"""Turns what has arrived into one transaction after another, and tells each message's verdict after COMMIT.

One transaction is in flight; the next takes whatever arrived meanwhile, so batches grow with the load. Two begin at
least 20 ms apart (ADR 17), and up to 50 where much comes (ADR 67): what comes alone is written at once, what comes in
a stream shares the cost of a COMMIT. A transaction that fails is tried again: it is idempotent. Three cases differ:

- the database is away: messages older than the patience are told UNAVAILABLE (not acknowledged, the device repeats);
- the answer to COMMIT was lost: the batch's id is looked for in the journal, so that nothing is counted twice;
- one row cannot be stored: it is found by halving and goes to the inbox, the others are stored.

What a crash can lose: refused counts (quota, rights) of less than a second, which no row carries yet.
"""

import asyncio
import contextlib
import itertools
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from uuid import UUID

import psycopg

from ingest import failpoints, statements
from ingest.adapters.base import Verdict
from ingest.attempt import Attempt, NotAllNew, Result
from ingest.batch import Batch, Known, Parcel, Row
from ingest.database import Database, Trouble, trouble
from ingest.errors import Rejection
from ingest.metrics import BATCH_ROWS, COMMITS, MESSAGES, TRANSACTION_SECONDS, TROUBLE
from ingest.rejected import Inbox
from schema.wire.payloads import Reason

log = logging.getLogger(__name__)

Wake = Callable[[Iterable[UUID]], None]

_REFUSED_DELAY_S = 1.0
_REPEATS = 8
"""Where one batch held repeated readings the next ones do too: so many go step by step before all at once is tried."""
_MAINTAINED_ENOUGH = 3
_BACK_OFF_S = (0.05, 0.1, 0.25)
_MANY_ROWS = 100
_MOST_PACES = 2.5
_ENOUGH_ROWS = 1_000
"""Of so many each pays little of what a transaction costs by itself: they wait for no more."""


class Writer:
    """The one writer of a process. `put` from the loop; `run` until `close`.

    `pace_s` is the least time between two beginnings, more after a large batch (`pause_s`), none when enough waits.
    `max_rows` bounds a transaction, `max_waiting` what may wait (`is_full`), `patience_s` how long a message waits for
    a database that is away before its device is told to repeat.
    """

    def __init__(
        self,
        database: Database,
        wake: Wake,
        *,
        inbox: Inbox | None = None,
        max_rows: int = 3_000,
        max_waiting: int = 20_000,
        max_waiting_bytes: int = 64 * 1024 * 1024,
        patience_s: float = 8.0,
        pace_s: float = 0.02,
    ) -> None:
        self._database = database
        self._wake = wake
        self._inbox = inbox or Inbox()
        self._max_rows = max_rows
        self._enough_rows = min(max_rows, _ENOUGH_ROWS)
        self._max_waiting = max_waiting
        self._max_waiting_bytes = max_waiting_bytes
        self._patience_s = patience_s
        self._pace_s = pace_s
        self._parcels: deque[Parcel] = deque()
        self._events: list[tuple[UUID, str, bytes]] = []
        self._refused: dict[Known, int] = {}
        self._waiting = 0
        self._waiting_bytes = 0
        self._news = asyncio.Event()
        self._hurry = asyncio.Event()
        self._drained: list[Callable[[], None]] = []
        self._closing = False
        self._repeats = 0

    # ── what is put in ──────────────────────────────────────────────────────────────────────────────────────────────

    def put(self, parcel: Parcel) -> None:
        """Take a message whose readings are decoded; its verdict follows the COMMIT."""
        if not self._parcels:  # else `run` knows already
            self._news.set()
        self._parcels.append(parcel)
        self._waiting += len(parcel.readings) + len(parcel.rejections) or 1  # a note is one
        self._waiting_bytes += parcel.size_bytes
        if self._waiting >= self._enough_rows:
            self._hurry.set()

    def record(self, tenant_id: UUID, kind: str, body: bytes) -> None:
        """Take a journal row that is no telemetry (presence); such rows keep their order."""
        self._events.append((tenant_id, kind, body))
        self._news.set()

    def refuse(self, device: Known, count: int = 1) -> None:
        """Count messages that were refused before they became rows; written within a second."""
        if not self._refused:
            asyncio.get_running_loop().call_later(_REFUSED_DELAY_S, self._news.set)
        self._refused[device] = self._refused.get(device, 0) + count

    @property
    def is_full(self) -> bool:
        """Whether more waits than may wait."""
        return self._waiting >= self._max_waiting or self._waiting_bytes >= self._max_waiting_bytes

    @property
    def waiting(self) -> int:
        """Readings that have no verdict yet; what is none, like a note, counts as one."""
        return self._waiting

    def when_drained(self, callback: Callable[[], None]) -> None:
        """Call back, on the loop, once `is_full` is false."""
        if self.is_full:
            self._drained.append(callback)
        else:
            asyncio.get_running_loop().call_soon(callback)

    # ── what comes out ──────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Write until `close` was called and nothing waits."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._parcels or self._events or self._refused:
                began = time.monotonic()
                batch = self._take()
                await self._write(batch)
                await self._keep_pace(began + pause_s(self._pace_s, len(batch.rows)))
            if self._closing:
                return

    def close(self) -> None:
        """Write what waits, then let `run` end."""
        self._closing = True
        self._news.set()
        self._hurry.set()

    async def _keep_pace(self, until: float) -> None:
        left_s = until - time.monotonic()
        self._hurry.clear()
        if left_s > 0 and self._waiting < self._enough_rows and not self._closing:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), left_s)

    def _take(self) -> Batch:
        taken: list[Parcel] = []
        room = self._max_rows
        if self._waiting <= room:  # no batch is under way: this is what waits, all of it
            taken, self._parcels = list(self._parcels), deque()
        while self._parcels and room > 0:
            parcel = self._parcels.popleft()
            room -= len(parcel.readings) + len(parcel.rejections) or 1
            taken.append(parcel)
        events, self._events = self._events, []
        refused, self._refused = self._refused, {}
        return Batch(taken, events, refused)

    async def _write(self, batch: Batch) -> None:
        """Try until the batch is committed, or given back and known not to be."""
        unknown: Result | None = None
        is_given_back = False
        for attempt in itertools.count():
            attempted = Attempt(self._database, self._inbox, batch)
            try:
                if unknown is not None and is_given_back:
                    self._is_known(await attempted.look(unknown), unknown)
                    return
                with TRANSACTION_SECONDS.time():
                    self._committed(await self._try(attempted, unknown))
                return
            except (psycopg.Error, OSError, TimeoutError) as error:
                kind = trouble(error)
                if attempted.is_committing and kind is Trouble.AWAY:
                    unknown = attempted.result
                await self._mend(kind, error, batch, is_unknown=unknown is not None)
            self._expire()
            if not is_given_back and self._has_waited_too_long(batch):
                is_given_back = True
                self._give_back(batch)
                if unknown is None:
                    self._keep_what_is_nobodys(batch)
                    return
            if kind is not Trouble.DATA:
                await asyncio.sleep(_BACK_OFF_S[min(attempt, len(_BACK_OFF_S) - 1)])

    async def _try(self, attempted: Attempt, unknown: Result | None) -> Result:
        if unknown is None and self._repeats == 0:
            try:
                return await attempted.at_once()
            except NotAllNew:
                self._repeats = _REPEATS
        self._repeats = max(0, self._repeats - 1)
        return await attempted.step_by_step(unknown)

    async def _mend(self, kind: Trouble, error: BaseException, batch: Batch, *, is_unknown: bool) -> None:
        TROUBLE.labels(kind.value).inc()
        what = {"kind": kind.value, "error": type(error).__name__, "rows": len(batch.rows), "is_unknown": is_unknown}
        log.warning("ingest.transaction_failed", extra=what)
        if kind is Trouble.AWAY:
            await self._database.drop()
        elif kind is Trouble.PARTITION:
            batch.maintained += await self._database.maintain()
        # Maintained and still no partition: the reading left the window while it waited.
        if kind is Trouble.DATA or batch.maintained >= _MAINTAINED_ENOUGH:
            await self._set_poison_aside(batch)

    async def _set_poison_aside(self, batch: Batch) -> None:
        try:
            poison = await self._poison(batch.rows, batch.tenants) if batch.rows else []
        except (psycopg.Error, OSError, TimeoutError):
            return  # the next try of the batch meets the same poison again
        for row in poison:
            batch.discard(row, Rejection(Reason.UNSTORABLE, "The database refused this reading."))

    async def _poison(self, rows: list[Row], tenants: set[UUID]) -> list[Row]:
        """The rows that cannot be stored, found by trying ever smaller halves in transactions that are rolled back."""
        try:
            async with self._database.transaction(rollback=True) as connection:
                await statements.enter(connection, tenants)
                await statements.store(connection, rows)
            return []
        except psycopg.Error as error:
            if trouble(error) not in (Trouble.DATA, Trouble.PARTITION):
                raise
        if len(rows) == 1:
            return rows
        half = len(rows) // 2
        return await self._poison(rows[:half], tenants) + await self._poison(rows[half:], tenants)

    def _expire(self) -> None:
        """Tell the devices of what has waited too long to repeat it."""
        too_old_us = (time.time() - self._patience_s) * 1e6
        while self._parcels and self._parcels[0].arrived_us < too_old_us:
            self._tell([(self._parcels.popleft(), Verdict.UNAVAILABLE)])
        self._news_of_drain()

    def _has_waited_too_long(self, batch: Batch) -> bool:
        too_old_us = (time.time() - self._patience_s) * 1e6
        return bool(batch.parcels) and all(parcel.arrived_us < too_old_us for parcel in batch.parcels)

    def _give_back(self, batch: Batch) -> None:
        """Tell the devices to repeat; should the batch turn out to be committed, the repeats are duplicates."""
        self._tell([(parcel, Verdict.UNAVAILABLE) for parcel in batch.parcels])
        self._news_of_drain()

    def _keep_what_is_nobodys(self, batch: Batch) -> None:
        """Presence and refused counts are no device's to repeat: they wait for the next transaction."""
        self._events[:0] = batch.events
        for device, count in batch.refused.items():
            self._refused[device] = self._refused.get(device, 0) + count

    def _is_known(self, was_committed: bool, unknown: Result) -> None:
        """The fate of a batch whose devices were told to repeat."""
        if was_committed:
            self._inbox.confirm(unknown[1])
            for parcel, verdict in unknown[0].verdicts:
                if verdict is Verdict.STORED and parcel.note is not None and parcel.once is not None:
                    parcel.once.remember()  # an event has no key in the database by which its repeat is known
            self._wake(unknown[0].batch.tenants)
        else:
            self._keep_what_is_nobodys(unknown[0].batch)

    def _committed(self, result: Result) -> None:
        outcome, inbox_rows = result
        if outcome.verdicts:
            failpoints.reach(failpoints.AFTER_COMMIT_BEFORE_ACK)
        COMMITS.inc()
        BATCH_ROWS.observe(len(outcome.batch.rows))
        self._inbox.confirm(inbox_rows)
        outcome.account()
        counts = self._tell(outcome.verdicts)
        self._news_of_drain()
        for verdict in Verdict:
            if counts[verdict]:
                MESSAGES.labels(verdict.name.lower()).inc(counts[verdict])
        self._wake(outcome.batch.tenants)

    def _tell(self, verdicts: Iterable[tuple[Parcel, Verdict]]) -> list[int]:
        """Tell each message its verdict; how many there were of each."""
        counts = [0] * len(Verdict)
        for parcel, verdict in verdicts:
            counts[verdict] += 1
            self._waiting -= len(parcel.readings) + len(parcel.rejections) or 1
            self._waiting_bytes -= parcel.size_bytes
            try:
                parcel.done(verdict)
            except Exception:
                log.exception("ingest.verdict_unheard")
        return counts

    def _news_of_drain(self) -> None:
        if self._drained and not self.is_full:
            callbacks, self._drained = self._drained, []
            for callback in callbacks:
                asyncio.get_running_loop().call_soon(callback)


def pause_s(pace_s: float, rows: int) -> float:
    """How long after the beginning of a transaction of so many rows the next one begins: as many will come again."""
    return pace_s * min(_MOST_PACES, 1 + rows / _MANY_ROWS)
