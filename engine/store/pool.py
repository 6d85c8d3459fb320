"""The connections of one process, and the only two ways in: as a tenant, or through a door."""

import asyncio
import re
import select
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import orjson
import psycopg
from psycopg.types.json import set_json_dumps, set_json_loads
from sqlalchemy import event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from engine.store import audit
from engine.store.emit import append
from engine.store.errors import StoreUnavailable
from engine.store.lines import Lines, Reader
from engine.store.tx import Tx
from engine.store.wire import Wire, hang_up
from engine.tenancy import Principal

_NAME = re.compile(r"^[a-z_]+$")

# libpq's: a server whose machine or network has gone says nothing; the kernel then gives up after 8 to 11 seconds
_NOTICE_A_VANISHED_SERVER = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 8_000,
}

TRUSTED_S = 5.0
"""For how long a connection that was returned is taken for a living one, if nothing was heard of it."""
_RETURNED_AT = "returned_at"
_HAS_READINGS = "SELECT to_regproc('app.readings') IS NOT NULL"

set_json_dumps(orjson.dumps)
set_json_loads(orjson.loads)


def dialect_url(database_url: str) -> str:
    """``postgresql://…`` as SQLAlchemy wants it for psycopg 3."""
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", database_url)


class Store:
    """A pool of connections under one database role. ``wake`` is called after each COMMIT that wrote to the journal."""

    def __init__(
        self,
        database_url: str,
        *,
        size: int = 10,
        statement_timeout_s: float = 30,
        wake: Callable[[Iterable[UUID]], None] | None = None,
    ) -> None:
        self._wake = wake
        self._url = database_url
        options = f"-c statement_timeout={int(statement_timeout_s * 1000)} -c timezone=UTC"
        self._told: dict[str, Any] = {"options": options, "connect_timeout": 5, **_NOTICE_A_VANISHED_SERVER}
        self._has_readings: bool | None = None
        self._lines = Lines(self._line, max(1, size // 4))
        self._engine: AsyncEngine = create_async_engine(
            dialect_url(database_url),
            pool_size=size,
            max_overflow=0,
            pool_timeout=10,
            hide_parameters=True,  # an error text must not carry a hash or a payload
            connect_args=self._told,
            json_serializer=lambda value: orjson.dumps(value).decode(),
            json_deserializer=orjson.loads,
        )
        event.listen(self._engine.sync_engine, "connect", self._ask_how_telemetry_lies)
        event.listen(self._engine.sync_engine, "checkout", self._ask_whether_it_lives)
        event.listen(self._engine.sync_engine, "checkin", _note_the_time)

    def _ask_whether_it_lives(
        self, connection: DBAPIConnection, record: ConnectionPoolEntry, _borrowed: PoolProxiedConnection
    ) -> None:
        """Before a connection is lent: one that died is made anew, and so are the others of its age.

        Asking the server takes a tenth of a short transaction. It is asked when it may have gone: its end hangs up
        when it stops or is killed, which the socket says, and a network that is cut says nothing at all.
        """
        returned = record.info.get(_RETURNED_AT)
        if returned is None:
            return
        dialect = self._engine.dialect
        try:
            if time.monotonic() - returned >= TRUSTED_S or not _is_quiet(connection):
                dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error:
            raise InvalidatePoolError from None

    def _ask_how_telemetry_lies(self, connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
        """Whether the database has `app.readings` (ADR 50), asked once a connection."""
        cursor = connection.cursor()
        cursor.execute(_HAS_READINGS)
        (self._has_readings,) = cursor.fetchone() or (False,)
        cursor.close()
        connection.rollback()

    async def open(self) -> None:
        """Prove that the database answers; raises StoreUnavailable otherwise."""
        await self.ping()

    async def close(self) -> None:
        """Close every connection."""
        await self._lines.close()
        await self._engine.dispose()

    async def ping(self) -> None:
        """One round trip to the database; raises StoreUnavailable."""
        with _translated():
            async with self._engine.connect() as connection:
                await connection.execute(text("SELECT 1"))

    @asynccontextmanager
    async def as_tenant(self, principal: Principal, *, read_only: bool = False) -> AsyncIterator[Tx]:
        """A transaction that sees one tenant. Emitted events are written last; COMMIT; then the wake.

        One that is ``read_only`` begins with what it asks first; what it asks of lines are transactions of their own.
        Raises StoreUnavailable when the database is away. Nothing is committed when the block raises.
        """
        with _translated():
            if self._has_readings is None:
                await self._first()
            begin = partial(self._transaction, principal, read_only=read_only)
            async with Reader(self._lines, principal, begin) if read_only else begin() as wire:
                tx = Tx(wire, principal, datetime.now(UTC), has_readings=bool(self._has_readings))
                try:
                    yield tx
                finally:
                    tx.end()
                if tx.deeds:
                    await audit.write(await wire.connection(), principal, tx.deeds)
                if tx.events:
                    await append(await wire.connection(), principal.tenant_id, tx.events)
        if (tx.events or tx.has_told) and self._wake:
            self._wake((principal.tenant_id,))

    @asynccontextmanager
    async def _transaction(self, principal: Principal, *, read_only: bool) -> AsyncIterator[Wire]:
        """A transaction on a connection of the pool's."""
        async with self._engine.connect() as connection:
            wire = Wire(connection)
            try:
                await wire.begin(principal, read_only=read_only)
                yield wire
                if not (read_only and wire.is_cut):  # as one of several readers was, in a statement
                    await wire.commit()
            except Exception:
                await connection.rollback()
                raise
            except BaseException:
                await hang_up(connection)
                raise

    async def _first(self) -> None:
        """The first connection, which learns how telemetry lies here."""
        async with self._engine.connect():
            pass

    async def _line(self) -> psycopg.AsyncConnection:
        """A connection for a line."""
        connection = await psycopg.AsyncConnection.connect(self._url, autocommit=True, **self._told)
        try:
            found = await (await connection.execute(_HAS_READINGS)).fetchone()
        except BaseException:
            await connection.close()
            raise
        self._has_readings = bool(found and found[0])
        return connection

    async def door(self, name: str, *arguments: Any) -> Sequence[Mapping[str, Any]]:
        """Call the SECURITY DEFINER function ``app.{name}`` where no tenant is known yet; returns its rows."""
        if not _NAME.match(name):
            raise ValueError(f"{name!r} is not the name of a door")
        names = [f"a{i}" for i in range(len(arguments))]
        statement = text(f"SELECT * FROM app.{name}({', '.join(':' + n for n in names)})")  # noqa: S608  checked above
        with _translated():
            async with self._engine.connect() as connection:
                try:
                    result = await connection.execute(statement, dict(zip(names, arguments, strict=True)))
                    rows = [dict(row) for row in result.mappings()]
                    await connection.commit()
                except asyncio.CancelledError:
                    await hang_up(connection)
                    raise
                return rows


def _note_the_time(_connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
    record.info[_RETURNED_AT] = time.monotonic()


def _is_quiet(connection: DBAPIConnection) -> bool:
    """Whether nothing has come that nobody asked for: a farewell, or the end."""
    poll = select.poll()
    poll.register(connection._connection.fileno(), select.POLLIN)  # of psycopg, below SQLAlchemy's
    return not poll.poll(0)


class _translated:
    """Turns the driver's "I cannot reach the database" into ours."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, (OperationalError, InterfaceError, PoolTimeout)):
            raise StoreUnavailable from error
