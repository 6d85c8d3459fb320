"""What is said to the server without SQLAlchemy in between: how transactions begin and end, and what is read often.

SQLAlchemy's part in a short statement takes more of the processor than psycopg's and the server's together. Here its
connection is borrowed from it and given back as it was; what fails is told in SQLAlchemy's words, so that nobody need
know which way a statement went.
"""

import asyncio
import re
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from psycopg import generators
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.rows import dict_row
from sqlalchemy import Executable
from sqlalchemy.dialects.postgresql.psycopg import dialect_async
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import ClauseElement

from engine.tenancy import Principal

T = TypeVar("T")

_FAILED = frozenset({ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE})
_PLACE = re.compile(r"%(?:%|\((\w+)\)s)")


class Question:
    """A statement in the server's own form, with ``$1`` for the first parameter; one object for each statement."""

    __slots__ = ("text",)

    def __init__(self, text: bytes) -> None:
        self.text = text


class Reading:
    """A statement that is asked so often that it is made ready for the driver once. Of plain columns and parameters.

    ``is_binary``: the answer comes so; for long lists, which are longer to write and to read as texts.
    """

    def __init__(self, statement: Executable, *, is_binary: bool = False) -> None:
        if not isinstance(statement, ClauseElement):
            raise TypeError("Only a statement of SQLAlchemy's can be made ready.")
        dialect: Any = dialect_async()  # type: ignore[no-untyped-call]
        compiled: Any = statement.compile(dialect=dialect)
        types = [each.type.dialect_impl(dialect) for each in compiled._result_columns]
        converts = any(each.result_processor(dialect, None) for each in types) or compiled._bind_processors
        if converts or compiled.post_compile_params:
            raise TypeError("SQLAlchemy must convert some of what this statement takes or gives each time.")
        self.text, self.is_binary = str(compiled), is_binary
        self.fixed: Mapping[str, Any] = {name: value for name, value in compiled.params.items() if value is not None}
        self.order: tuple[str, ...] = tuple(dict.fromkeys(name for name in _PLACE.findall(self.text) if name))
        places = {name: f"${place}" for place, name in enumerate(self.order, 1)}
        self.question = Question(_PLACE.sub(lambda found: places.get(found[1], "%"), self.text).encode())


Asked = tuple[Reading, Mapping[str, Any]]
"""A statement that was made ready, and its parameters."""


class Wire:
    """A connection that was lent, below SQLAlchemy."""

    def __init__(self, connection: AsyncConnection) -> None:
        lent = connection.sync_connection
        assert lent is not None
        lent.begin()  # says nothing to the server; but once cut off, SQLAlchemy does not go on with another connection
        driver = lent.connection.driver_connection
        assert isinstance(driver, psycopg.AsyncConnection)
        self._connection = connection
        self._driver = driver
        self._reader: psycopg.AsyncCursor[dict[str, Any]] | None = None

    @property
    def is_cut(self) -> bool:
        """Whether it was given up: somebody was cancelled in the middle of a statement, or the server has gone."""
        return self._connection.invalidated or self._driver.closed

    async def begin(self, principal: Principal, *, read_only: bool) -> None:
        """Begin a transaction and say who acts, before anything else is said: all in one round trip."""
        await self._told(self._begin(b"BEGIN; " + _entering(principal, read_only=read_only)))

    async def commit(self) -> None:
        """End the transaction: what it wrote is there."""
        await self._told(self._driver.commit())

    async def connection(self) -> AsyncConnection:
        """The connection, for whoever needs SQLAlchemy."""
        return self._connection

    async def read(self, reading: Reading, params: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """All rows, by column name."""
        return await self._told(self._read(reading, {**reading.fixed, **params}))

    async def read_all(self, asked: Sequence[Asked]) -> list[Sequence[Mapping[str, Any]]]:
        """All rows of each question."""
        return [await self.read(reading, params) for reading, params in asked]

    async def _begin(self, said: bytes) -> None:
        async with self._driver.lock:
            self._driver.pgconn.send_query(said)
            for result in await self._driver.wait(generators.execute(self._driver.pgconn)):
                if result.status in _FAILED:
                    raise error_from_result(result)

    async def _read(self, reading: Reading, params: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        if self._reader is None:  # one for all: it remembers how to convert what it has met
            self._reader = self._driver.cursor(row_factory=dict_row)
        await self._reader.execute(reading.text, params, binary=reading.is_binary)
        return await self._reader.fetchall()

    async def _told(self, saying: Awaitable[T]) -> T:
        """What fails is told as SQLAlchemy tells it, and a connection that cannot go on is given up."""
        try:
            return await saying
        except psycopg.Error as error:
            if self._driver.closed:
                await hang_up(self._connection)
            raise in_our_words(error) from error
        except Exception:
            raise
        except BaseException:
            await hang_up(self._connection)
            raise


def in_our_words(error: psycopg.Error) -> BaseException:
    """The driver's error as SQLAlchemy tells it."""
    return DBAPIError.instance(None, None, error, psycopg.Error, hide_parameters=True)


async def hang_up(connection: AsyncConnection) -> None:
    """Whoever was cancelled may have left a statement half said: nobody else gets that connection.

    Shielded, since a cancelled scope cancels again at every await, and a rollback cut off in the middle gave the next
    borrower a connection that was still in a transaction.
    """
    if not connection.closed:
        await asyncio.shield(connection.invalidate())


def _entering(principal: Principal, *, read_only: bool) -> bytes:
    """The settings that the policies ask for, of ids alone; read only as SET TRANSACTION READ ONLY would have it."""
    said = [f"set_config('app.tenant_id', {_quoted([principal.tenant_id], '')}, true)"]
    if principal.groups is not None:  # whoever is limited: the policies `limits` ask (ADR 30); of no group: "{}"
        said.append(f"app.limit_to(CAST({_quoted(sorted(principal.groups), '{}')} AS uuid[]))")
    if read_only:
        said.append("set_config('transaction_read_only', 'on', true)")
    return f"SELECT {', '.join(said)}".encode()


def _quoted(ids: Sequence[UUID], braces: str) -> str:
    """Ids as a literal: they are sent within the statement, so that nothing but ids may come here."""
    if not all(type(each) is UUID for each in ids):
        raise TypeError("An id of a tenant or group is a UUID.")
    return f"'{braces[:1]}{','.join(map(str, ids))}{braces[1:]}'"
