"""`tidegate readers`: how many workers can follow a tenant's journal at once, and how far each of its readers is."""

import argparse
import asyncio
from uuid import UUID

from engine.journal import readers
from engine.journal.share import MOST_READERS
from engine.settings import Settings
from engine.store.pool import Store
from engine.tenancy import system
from infra.local.errors import SetupProblem


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The tenant's key, and the number there is to be."""
    parser.add_argument("tenant", metavar="KEY", help="the tenant's key")
    parser.add_argument(
        "readers",
        metavar="N",
        nargs="?",
        type=int,
        choices=range(1, MOST_READERS + 1),
        help=f"so many readers from now on (1 to {MOST_READERS}); when left out, nothing is changed",
    )


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Set how many there are, if one was given, and print where each stands. Raises SetupProblem."""
    return asyncio.run(_run(settings.database_url, arguments.tenant, arguments.readers))


async def _run(database_url: str, key: str, wanted: int | None) -> int:
    store = Store(database_url, size=1)
    try:
        known = {row["key"]: row["tenant_id"] for row in await store.door("tenants_all")}
        if key not in known:
            raise SetupProblem(f"There is no tenant {key!r}.")
        if wanted is not None:
            print(await _changed(store, known[key], wanted))
        async with store.as_tenant(system(known[key]), read_only=True) as tx:
            for reader in await readers.stand(tx):
                print(f"  {reader.name}: behind by {reader.behind}")
        return 0
    finally:
        await store.close()


async def _changed(store: Store, tenant_id: UUID, wanted: int) -> str:
    async with store.as_tenant(system(tenant_id)) as tx:
        found = await readers.change(tx, wanted)
    if found.now == found.wanted:
        return f"{_counted(found.now)} from now on."
    return f"{_counted(found.wanted)} as soon as the {found.now} there are stand at the same entry."


def _counted(count: int) -> str:
    return "One reader follows this journal" if count == 1 else f"{count} readers share this journal"
