"""Changes of the database behind everybody's back, made while the rest of this process's event loop goes on.

A test that waits for a lock in the loop's own thread waits for ever when a task of the same loop holds it: the task
gets no turn to end its transaction. Whatever locks a table, or rows that the application writes as well, comes here.
"""

from typing import LiteralString

import psycopg
from psycopg import sql

from infra.local.postgres import Postgres


async def change(
    postgres: Postgres, statement: LiteralString | sql.Composed, *parameters: object, role: str = "superuser"
) -> int:
    """Execute one statement as ``role``, committed when this returns; how many rows it changed."""
    async with await psycopg.AsyncConnection.connect(postgres.url(role)) as connection:
        return (await connection.execute(statement, parameters or None)).rowcount
