"""Connections for questions that were made ready: who asks and what is asked go in one message, as one transaction.

libpq's pipeline mode makes one transaction of everything up to a Sync. So the settings that the policies ask for hold
for the one question that was sent with them and for nothing else, nothing is left open between two questions, and a
round trip is all that a question takes. Nobody waits for a line: where none is free, the pool is asked. Why so: ADR 65.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus, Format
from psycopg.pq.abc import PGresult
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.store.errors import TransactionOver
from engine.store.wire import Asked, Question, Reading, Wire, in_our_words
from engine.tenancy import Principal

MOST_PREPARED = 200
"""Of one line; what comes after these is planned each time."""

_TENANT = "set_config('app.tenant_id', $1, true)"
_READS = "set_config('transaction_read_only', 'on', true)"
_AS_TENANT = Question(f"SELECT {_TENANT}, {_READS}".encode())
_AS_LIMITED = Question(f"SELECT {_TENANT}, app.limit_to(CAST($2 AS uuid[])), {_READS}".encode())

Rows = Sequence[Mapping[str, Any]]
Prepared = tuple[tuple[Question, tuple[int, ...]], bytes]
"""A question with parameters of these types, and its name on the server."""


class Reader:
    """How a transaction that only reads speaks: over lines, until SQLAlchemy is needed or no line is free."""

    def __init__(
        self, lines: "Lines", principal: Principal, transaction: Callable[[], AbstractAsyncContextManager[Wire]]
    ) -> None:
        self._lines = lines
        self._principal = principal
        self._transaction = transaction
        self._opened: AbstractAsyncContextManager[Wire] | None = None
        self._wire: Wire | None = None
        self._is_over = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = True
        if self._opened is not None:
            await self._opened.__aexit__(kind, error, trace)

    async def connection(self) -> AsyncConnection:
        """SQLAlchemy's, in a transaction that begins with the first who asks for it."""
        return await (await self._begun()).connection()

    async def read(self, reading: Reading, params: Mapping[str, Any]) -> Rows:
        """All rows, by column name."""
        return (await self.read_all([(reading, params)]))[0]

    async def read_all(self, asked: Sequence[Asked]) -> list[Rows]:
        """All rows of each question; over a line they go out together."""
        if self._wire is None:
            answered = await self._lines.read(self._principal, asked)
            if answered is not None:
                return answered
        return await (await self._begun()).read_all(asked)

    async def _begun(self) -> Wire:
        if self._wire is None:
            opened = self._transaction()
            wire = await opened.__aenter__()
            if self._is_over:  # whoever asked has been given up meanwhile
                await opened.__aexit__(None, None, None)
                raise TransactionOver
            self._opened, self._wire = opened, wire
        return self._wire


class Lines:
    """The lines of one process, as many as were ever needed at once and at most ``most``."""

    def __init__(self, connect: Callable[[], Awaitable[psycopg.AsyncConnection]], most: int) -> None:
        self._connect = connect
        self._most = most
        self._open: set[Line] = set()
        self._idle: list[Line] = []
        self._coming = 0

    async def read(self, principal: Principal, asked: Sequence[Asked]) -> list[Rows] | None:
        """All rows of each question, by column name; None where no line is free.

        Raises what SQLAlchemy would. Where a line turns out to be dead the questions go over a new one: they change
        nothing, so that they may have been asked before.
        """
        line, is_fresh = self._lend(), False
        if line is None:
            if len(self._open) + self._coming >= self._most:
                return None
            line, is_fresh = await self._another(), True
        try:
            return await line.ask(principal, asked)
        except psycopg.Error as error:
            if is_fresh or not line.is_lost:
                raise in_our_words(error) from error
        await self.close()  # whatever cut this one off has cut off the others that lay idle with it
        line = await self._another()
        try:
            return await line.ask(principal, asked)
        except psycopg.Error as error:
            raise in_our_words(error) from error

    async def close(self) -> None:
        """Close every line on which nobody waits for an answer."""
        while self._idle:
            self._idle.pop().hang_up()

    def _lend(self) -> "Line | None":
        here = asyncio.get_running_loop()
        while self._idle:
            line = self._idle.pop()  # the newest: the others may rest
            if line.loop is here:
                return line
            line.hang_up()
        return None

    async def _another(self) -> "Line":
        self._coming += 1
        try:
            connection = await self._connect()
        except psycopg.Error as error:
            raise in_our_words(error) from error
        finally:
            self._coming -= 1
        line = Line(connection, self._idle.append, self._forget)
        self._open.add(line)
        return line

    def _forget(self, line: "Line") -> None:
        self._open.discard(line)
        if line in self._idle:
            self._idle.remove(line)


class Line:
    """One connection in pipeline mode. It has one message at a time, and gives itself back when that is answered.

    So also where nobody waits any more: the answer to a message whose sender was cancelled is heard to its end.
    """

    def __init__(
        self,
        connection: psycopg.AsyncConnection,
        free: Callable[["Line"], None],
        lost: Callable[["Line"], None],
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.is_lost = False
        self._connection = connection
        self._server = connection.pgconn
        self._socket = self._server.socket
        self._free = free
        self._forget = lost
        self._adapted = Transformer(connection)
        self._prepared: dict[tuple[Question, tuple[int, ...]], bytes] = {}
        self._columns: dict[Question, list[str]] = {}
        self._sent: list[Prepared | None] = []
        self._named = 0
        self._came: list[PGresult] = []
        self._answer: asyncio.Future[list[PGresult]] | None = None
        self._server.enter_pipeline_mode()
        self.loop.add_reader(self._socket, self._hear)

    async def ask(self, principal: Principal, asked: Sequence[Asked]) -> list[Rows]:
        """All rows of each question, asked as this principal in one message. Raises psycopg's errors."""
        try:
            self._say(*_entering(principal))
            for reading, params in asked:
                given = {**reading.fixed, **params} if reading.fixed else params
                self._say(reading.question, [given[name] for name in reading.order], is_binary=reading.is_binary)
            self._answer = answer = self.loop.create_future()
            self._server.pipeline_sync()
            self._flush()
        except psycopg.OperationalError as error:
            self._lose(error)
            raise
        except BaseException:
            self.hang_up()  # half of it may have been said
            raise
        results = await answer
        for result in results:
            if result.status == ExecStatus.FATAL_ERROR:
                raise error_from_result(result, encoding=self._connection.info.encoding)
        return [self._rows(reading.question, result) for (reading, _), result in zip(asked, results[1:], strict=True)]

    def hang_up(self) -> None:
        """Close the connection, whatever is going on."""
        self._lose(psycopg.OperationalError("The connection was closed."))

    def _say(self, question: Question, values: Sequence[object], *, is_binary: bool = False) -> None:
        """Send a question, and before it, where it is new here, that it is to be prepared."""
        adapted, form = self._adapted, Format.BINARY if is_binary else Format.TEXT
        dumped = adapted.dump_sequence(values, [PyFormat.AUTO] * len(values))
        types, formats = tuple(adapted.types or ()), adapted.formats
        name = self._prepared.get((question, types))
        if name is None and len(self._prepared) < MOST_PREPARED:
            self._named += 1
            name = b"line_%d" % self._named
            self._server.send_prepare(name, question.text, types)
            self._sent.append(((question, types), name))
        if name is None:
            self._server.send_query_params(question.text, dumped, types, formats, form)
        else:
            self._server.send_query_prepared(name, dumped, formats, form)
        self._sent.append(None)

    def _rows(self, question: Question, result: PGresult) -> Rows:
        columns = self._columns.get(question)
        if columns is None:
            encoding = self._connection.info.encoding
            columns = [(result.fname(place) or b"").decode(encoding) for place in range(result.nfields)]
            self._columns[question] = columns
        self._adapted.set_pgresult(result)
        return self._adapted.load_rows(0, result.ntuples, lambda values: dict(zip(columns, values, strict=True)))

    def _flush(self) -> None:
        if self._server.flush():  # it could not take all of it at once
            self.loop.add_writer(self._socket, self._go_on)

    def _go_on(self) -> None:
        try:
            if not self._server.flush():
                self.loop.remove_writer(self._socket)
        except psycopg.OperationalError as error:
            self._lose(error)

    def _hear(self) -> None:
        server = self._server
        try:
            server.consume_input()
            while not server.is_busy():
                result = server.get_result()
                if result is None:
                    if server.status == ConnStatus.BAD:
                        raise psycopg.OperationalError("The server closed the connection.")
                    if self._answer is None:
                        return
                elif result.status == ExecStatus.PIPELINE_SYNC:
                    self._answered()
                else:
                    self._came.append(result)
        except psycopg.OperationalError as error:
            self._lose(error)

    def _answered(self) -> None:
        came, self._came = self._came, []
        sent, self._sent = self._sent, []
        answers: list[PGresult] = []
        for prepared, result in zip(sent, came, strict=True):
            if prepared is not None and result.status == ExecStatus.COMMAND_OK:
                self._prepared[prepared[0]] = prepared[1]
            else:
                answers.append(result)
        answer, self._answer = self._answer, None
        self._free(self)
        if answer is not None and not answer.done():
            answer.set_result(answers)

    def _lose(self, error: psycopg.OperationalError) -> None:
        if self.is_lost:
            return
        self.is_lost = True
        if not self.loop.is_closed():
            self.loop.remove_reader(self._socket)
            self.loop.remove_writer(self._socket)
        self._server.finish()
        self._forget(self)
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(error)


def _entering(principal: Principal) -> tuple[Question, list[object]]:
    """What the policies ask about, of whoever is limited also their groups (ADR 30)."""
    if principal.groups is None:
        return _AS_TENANT, [_id(principal.tenant_id)]
    return _AS_LIMITED, [_id(principal.tenant_id), "{" + ",".join(map(_id, sorted(principal.groups))) + "}"]


def _id(id: UUID) -> str:
    if type(id) is not UUID:
        raise TypeError("An id of a tenant or group is a UUID.")
    return str(id)
