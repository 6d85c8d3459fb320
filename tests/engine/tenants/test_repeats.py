"""Requests that may be repeated are remembered for a day."""

from sqlalchemy import text

from engine.store.pool import Store
from engine.tenancy import system
from engine.tenants import repeats
from tests.support.tenant import Tenant

YOUNG_AND_OLD = """
INSERT INTO idempotency (tenant_id, principal_id, key, request_sha256, created_at)
SELECT t.id, gen_random_uuid(), hours::text, '', now() - make_interval(hours => hours)
FROM tenants t CROSS JOIN unnest(ARRAY[1, 23, 25, 100]) hours WHERE t.id = %s
"""


async def test_what_is_older_than_a_day_is_forgotten_of_this_tenant_alone(
    tenant: Tenant, neighbour: Tenant, worker_store: Store
) -> None:
    async def kept(of: Tenant) -> list[str]:
        async with worker_store.as_tenant(system(of.id)) as tx:
            return [row["key"] for row in await tx.rows(text("SELECT key FROM idempotency ORDER BY created_at DESC"))]

    for each in (tenant, neighbour):
        each.run(YOUNG_AND_OLD)
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        await repeats.prune(tx)
    assert await kept(tenant) == ["1", "23"]
    assert await kept(neighbour) == ["1", "23", "25", "100"]
