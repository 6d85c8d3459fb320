"""A connection that somebody was cancelled on is nobody else's trouble."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from engine.store.pool import Store
from infra.local.postgres import Postgres
from tests.support.tenant import Tenant


@pytest.fixture
async def narrow(postgres: Postgres) -> AsyncIterator[Store]:
    """A store with a single connection: whoever comes next gets what the last one left."""
    store = Store(postgres.url("app"), size=1)
    yield store
    await store.close()


@pytest.mark.parametrize("read_only", [True, False])
async def test_the_next_borrower_works_whenever_the_last_was_cancelled(
    tenant: Tenant, narrow: Store, read_only: bool
) -> None:
    async def sleeps() -> None:
        async with narrow.as_tenant(tenant.principal(), read_only=read_only) as tx:
            while True:
                await tx.execute(text("SELECT pg_sleep(0.003)"))

    for turn in range(40):
        task = asyncio.create_task(sleeps())
        await asyncio.sleep(0.001 * turn)
        for _ in range(3):  # as a cancelled scope does: again at every await
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        async with narrow.as_tenant(tenant.principal(), read_only=True) as tx:
            assert await tx.scalar(text("SELECT current_setting('app.tenant_id')")) == str(tenant.id)


async def test_a_door_left_in_a_hurry_shuts_behind_whoever_was_cancelled(narrow: Store) -> None:
    for turn in range(40):
        task = asyncio.create_task(narrow.door("login", "nobody@nowhere.example"))
        await asyncio.sleep(0.0005 * turn)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await narrow.door("login", "nobody@nowhere.example") == []
