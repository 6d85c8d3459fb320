"""The transactions behind an operation: reading cannot write, and a mutation is committed before its answer is read."""

import asyncio

import pytest
from sqlalchemy.exc import DBAPIError

from engine.devices import service as devices
from engine.tenancy import Role
from resolvers.context import RequestContext
from resolvers.gateway import Gateway
from schema.errors import Unauthenticated
from tests.support.tenant import Tenant


async def test_a_query_operation_cannot_write(gateway: Gateway, tenant: Tenant) -> None:
    profile = await tenant.profile()
    context = RequestContext(gateway.services, tenant.principal())
    with pytest.raises(DBAPIError, match="read-only transaction"):
        await devices.provision(await context.tx(), key="x", name="x", profile_id=profile.id)
    await context.close()


async def test_what_a_mutation_wrote_is_read_after_its_commit(gateway: Gateway, tenant: Tenant) -> None:
    profile = await tenant.profile()
    context = RequestContext(gateway.services, tenant.principal())
    async with context.writing() as tx:
        device = await devices.provision(tx, key="x", name="x", profile_id=profile.id)
        assert await context.tx() is tx
    assert (await context.devices.load(device.id)).key == "x"
    assert await context.tx() is not tx
    await context.close()


async def test_a_mutation_that_fails_leaves_nothing(gateway: Gateway, tenant: Tenant) -> None:
    profile = await tenant.profile()
    context = RequestContext(gateway.services, tenant.principal())

    async def fail_midway() -> None:
        async with context.writing() as tx:
            await devices.provision(tx, key="x", name="x", profile_id=profile.id)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_midway()
    assert (await devices.page(await context.tx())).items == ()
    await context.close()


async def test_keys_asked_for_together_are_fetched_together(gateway: Gateway, tenant: Tenant) -> None:
    made = [await tenant.device() for _ in range(3)]
    context = RequestContext(gateway.services, tenant.principal(Role.VIEWER))
    statements = 0
    tx = await context.tx()
    run = tx.read

    async def counted(*given: object) -> object:
        nonlocal statements
        statements += 1
        return await run(*given)  # type: ignore[arg-type]

    tx.read = counted  # type: ignore[method-assign,assignment]
    loading = [context.devices.load(device.id) for device in (*made, made[0])]
    found = await asyncio.gather(*loading)
    assert [device.id for device in found] == [device.id for device in (*made, made[0])]
    assert statements == 1
    await context.close()


async def test_nobody_has_no_transaction(gateway: Gateway) -> None:
    with pytest.raises(Unauthenticated):
        await RequestContext(gateway.services, None).tx()
