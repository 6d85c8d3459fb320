"""The writer's connection to Postgres: opened when needed, dropped when in doubt, and what its errors mean."""

import asyncio
import contextlib
import enum
import logging
import os
import select
import socket
import time
from collections.abc import AsyncIterator

import psycopg
from psycopg import AsyncConnection, errors
from psycopg.conninfo import make_conninfo

from ingest import arrays
from ingest.statements import Connection

log = logging.getLogger(__name__)

# One plan for every batch size: an index look-up per row, whose cost does not grow with the number of devices.
# Scans are discouraged because a plan made while there were ten devices must still do when there are fifty thousand.
_OPTIONS = (
    "-c timezone=UTC -c plan_cache_mode=force_generic_plan -c enable_seqscan=off "
    "-c enable_bitmapscan=off -c statement_timeout={} -c lock_timeout={}"
)


_COMES_BACK_WITHIN_S = 2.0
_LOOK_EVERY_S = 0.1
"""A server that restarts after a crash is back within a second or two, and is to be used as soon as it is."""


async def connect(url: str, timeout_s: float) -> Connection:
    """A connection in autocommit; a statement ends after `timeout_s`, a vanished peer is noticed by the kernel."""
    timeout_ms = int(timeout_s * 1000)
    where = make_conninfo(
        url,
        options=_OPTIONS.format(timeout_ms, timeout_ms // 2),
        connect_timeout=5,
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=8_000,
    )
    connection: Connection = await AsyncConnection.connect(where, autocommit=True)
    arrays.register(connection)
    return connection


class Trouble(enum.Enum):
    """Why a transaction failed, by what helps."""

    AWAY = "away"
    """No connection, or none that answers: connect again."""
    BUSY = "busy"
    """Deadlock, lock or statement timeout, no space: the same again, a little later."""
    PARTITION = "partition"
    """A table has no partition for a row: have maintenance make it."""
    DATA = "data"
    """A row cannot be stored, ever."""


def trouble(error: BaseException) -> Trouble:
    """What an exception of psycopg (or the network) means for the batch."""
    state = error.sqlstate if isinstance(error, psycopg.Error) else None
    if state is None or state.startswith("08") or state.startswith("57P"):
        return Trouble.AWAY
    if isinstance(error, errors.CheckViolation) and error.diag.constraint_name is None:
        return Trouble.PARTITION
    return Trouble.DATA if state[:2] in ("22", "23", "54") else Trouble.BUSY


class Database:
    """One connection under the role ingest; `transaction` is the only way in."""

    def __init__(self, url: str, *, timeout_s: float = 5.0) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._connection: Connection | None = None

    @contextlib.asynccontextmanager
    async def transaction(self, *, rollback: bool = False) -> AsyncIterator[Connection]:
        """The connection, for a transaction that the block begins and commits; on an error it is rolled back.

        Raises psycopg.Error or OSError; a server that is silent for twice the timeout is hung up on.
        """
        connection = await self._connected()
        watchdog = asyncio.get_running_loop().call_later(2 * self._timeout_s, _hang_up, connection)
        try:
            yield connection
            if rollback:
                await connection.execute("ROLLBACK")
        except psycopg.Error:
            await self._abandon(connection)
            raise
        except BaseException:
            await self.drop()
            raise
        finally:
            watchdog.cancel()

    async def maintain(self) -> bool:
        """Have the missing partitions made, ahead of the worker's own round; False when that failed."""
        try:
            connection = await self._connected()
            await connection.execute("SELECT app.maintain()")
        except (psycopg.Error, OSError) as error:
            log.warning("ingest.maintenance_failed", extra={"error": type(error).__name__})
            return False
        return True

    async def drop(self) -> None:
        """Forget the connection; the next transaction opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                await connection.close()

    async def _abandon(self, connection: Connection) -> None:
        try:
            await connection.execute("ROLLBACK")
        except (psycopg.Error, OSError):
            await self.drop()

    async def _connected(self) -> Connection:
        """The connection held, unless its server has left, or another; a server that restarts is waited for a while."""
        if self._connection is not None and _is_left(self._connection):
            await self.drop()
        until = time.monotonic() + _COMES_BACK_WITHIN_S
        while self._connection is None or self._connection.closed:
            try:
                self._connection = await connect(self._url, self._timeout_s)
            except (psycopg.Error, OSError):
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(_LOOK_EVERY_S)
        return self._connection


def _is_left(connection: Connection) -> bool:
    """Whether an idle connection's server has said something, which is that it goes, or has hung up without a word.

    Otherwise the next transaction would find that out, fail, and be tried again only after a pause.
    """
    if connection.closed:
        return True
    line = select.poll()
    line.register(connection.fileno(), select.POLLIN)
    return bool(line.poll(0))


def _hang_up(connection: Connection) -> None:
    """End a connection whose server is silent. Cancelling the waiter instead would first ask that server to cancel."""
    with contextlib.suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)
