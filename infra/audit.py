"""`tidegate audit`: prove that the audit log is what was written, or sign its present end."""

import argparse
import asyncio
from uuid import UUID

from engine.audit import service as audit
from engine.audit.seal import Sealer
from engine.settings import Settings
from engine.store.pool import Store
from engine.tenancy import system


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`verify` or `checkpoint`, for one tenant or all."""
    parser.add_argument("what", choices=("verify", "checkpoint"), help="prove the log, or sign its end")
    parser.add_argument("--tenant", metavar="KEY", help="one tenant's key; all of them when left out")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Exit code 1 when a log is not what was written; each tenant's first bad row is named."""
    return asyncio.run(_run(arguments, settings))


async def _run(arguments: argparse.Namespace, settings: Settings) -> int:
    sealer = Sealer.of(settings)
    store = Store(settings.database_url, size=1, statement_timeout_s=600)
    try:
        tenants = await _tenants(store, arguments.tenant)
        if not tenants:
            print(f"There is no tenant {arguments.tenant!r}." if arguments.tenant else "There is no tenant yet.")
            return 1
        do = _verify if arguments.what == "verify" else _checkpoint
        return max([await do(store, key, tenant_id, sealer) for key, tenant_id in tenants])
    finally:
        await store.close()


async def _tenants(store: Store, key: str | None) -> list[tuple[str, UUID]]:
    rows = await store.door("tenants_all")
    return [(row["key"], row["tenant_id"]) for row in rows if key in (None, row["key"])]


async def _verify(store: Store, key: str, tenant_id: UUID, sealer: Sealer) -> int:
    async with store.as_tenant(system(tenant_id), read_only=True) as tx:
        found = await audit.verify(tx, sealer)
    if found.fault is None:
        print(f"{key}: {found.rows} rows and {found.checkpoints} checkpoints are what was written")
        return 0
    print(f"{key}: row {found.fault.seq}: {found.fault.what}")
    return 1


async def _checkpoint(store: Store, key: str, tenant_id: UUID, sealer: Sealer) -> int:
    async with store.as_tenant(system(tenant_id)) as tx:
        seq = await audit.checkpoint(tx, sealer)
    print(f"{key}: nothing new to sign" if seq is None else f"{key}: signed up to row {seq}")
    return 0
