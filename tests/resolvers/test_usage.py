"""Quotas and usage through both faces: what is shown, what is refused and with which words, and who may set what."""

import asyncio
from dataclasses import replace
from uuid import uuid4

import httpx
import pytest

from engine.quotas import service as quotas
from engine.quotas.errors import QuotaExceeded
from engine.quotas.model import QuotaName, defaults
from engine.quotas.shares import Shares
from engine.store.pool import Store
from engine.tenancy import Role
from infra.local.postgres import Postgres
from infra.local.valkey import Valkey
from resolvers.budgets import Budgets
from resolvers.changes import Changes
from resolvers.gateway import Gateway
from tests.support.api import Api
from tests.support.patience import PATIENCE_S
from tests.support.people import found_operator
from tests.support.sockets import line as connected
from tests.support.tenant import Tenant

USAGE = "{ usage { quotas { name limit used isOwn } hours { hour messages apiCost apiRefused streamsPeak devices } } }"
ME = "{ me { kind } }"
FOLLOW = "subscription { deviceStatus { cursor } }"
CHANGE = """
mutation ($id: ID!, $input: PlatformQuotaChange!) { platformQuotaChange(id: $id, input: $input) { name limit isOwn } }
"""


async def _limit(tenant: Tenant, gateway: Gateway, **limits: int | None) -> None:
    """Set quotas of a tenant as its operator does, and wait until this process has heard of it."""
    heard = asyncio.Event()
    forget = gateway.changes.on_change(lambda what: heard.set() if what == f"quota:{tenant.id}" else None)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await quotas.change(tx, {QuotaName(name): limit for name, limit in limits.items()})
    await asyncio.wait_for(heard.wait(), PATIENCE_S)
    forget()


async def test_a_tenant_sees_its_quotas_and_what_it_has_used(api: Api, tenant: Tenant, gateway: Gateway) -> None:
    viewer = await tenant.api_token(Role.VIEWER)
    await tenant.device()
    await _limit(tenant, gateway, devices=3)
    await api.data(viewer, USAGE)
    await gateway.budgets.note()
    shown = (await api.data(viewer, USAGE))["usage"]
    by_name = {quota["name"]: quota for quota in shown["quotas"]}
    assert set(by_name) == {name.name for name in QuotaName}
    assert by_name["DEVICES"] == {"name": "DEVICES", "limit": 3, "used": 1.0, "isOwn": True}
    assert not by_name["SUBSCRIPTIONS"]["isOwn"]
    assert by_name["API_COST_PER_MIN"]["used"] > 0
    (hour,) = shown["hours"]
    assert hour["apiCost"] > 0
    assert (hour["messages"], hour["apiRefused"], hour["devices"]) == (0, 0, None)
    mirrored = await api.rest(viewer, "GET", "/usage")
    assert mirrored.status_code == 200
    assert {quota["name"]: quota["limit"] for quota in mirrored.json()["quotas"]} == {
        quota["name"]: quota["limit"] for quota in shown["quotas"]
    }


async def test_the_budget_of_the_api_is_the_tenants_and_the_refusal_says_when_to_come_again(
    api: Api, tenant: Tenant, neighbour: Tenant, gateway: Gateway
) -> None:
    token, other = await tenant.api_token(), await neighbour.api_token()
    await _limit(tenant, gateway, api_cost_per_min=60)
    while "errors" not in (answer := await api.graphql(token, "{ devices(first: 10) { items { id } } }")):
        pass
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "QUOTA_EXCEEDED"
    details = error["extensions"]["details"]
    assert (details["quota"], details["limit"]) == ("api_cost_per_min", 60)
    assert 1 <= details["retry_after_s"] <= 60
    assert "60 cost units a minute" in error["message"]
    headers = {"Authorization": f"Bearer {token}"}
    refused = await api.client.post("/graphql", json={"query": "{ devices { items { id } } }"}, headers=headers)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    mirrored = await api.rest(token, "GET", "/devices")
    assert mirrored.status_code == 429
    assert int(mirrored.headers["retry-after"]) >= 1
    assert mirrored.json()["code"] == "QUOTA_EXCEEDED"
    assert mirrored.headers["content-type"] == "application/problem+json"
    assert (await api.data(other, ME))["me"]  # the neighbour has its own
    await _limit(tenant, gateway, api_cost_per_min=None)
    async with asyncio.timeout(PATIENCE_S):  # what was owed is paid off within a moment
        while "errors" in await api.graphql(token, "{ devices { items { id } } }"):
            await asyncio.sleep(0.01)
    await gateway.budgets.note()
    assert (await api.data(token, USAGE))["usage"]["hours"][0]["apiRefused"] >= 3


async def test_streams_beyond_the_quota_are_refused_and_ended_ones_make_room(
    api: Api, served: str, tenant: Tenant, neighbour: Tenant, gateway: Gateway
) -> None:
    token, other = await tenant.api_token(), await neighbour.api_token()
    await _limit(tenant, gateway, subscriptions=2)
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
    url = f"http://{served}/api/v1/stream/device-status"
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as client, connected(served, token) as line:
        await line.subscribe(FOLLOW)
        async with client.stream("GET", url, headers=headers) as first:
            assert first.status_code == 200
            while gateway.budgets.now(tenant.id)[0] < 2:
                await asyncio.sleep(0.01)
            refused = await client.get(url, headers=headers)
            assert refused.status_code == 429
            assert refused.json()["details"]["quota"] == "subscriptions"
            await line.subscribe(FOLLOW, "2")
            said = await line.hear()
            assert (said["type"], said["id"]) == ("error", "2")
            assert said["payload"][0]["extensions"]["code"] == "QUOTA_EXCEEDED"
            async with connected(served, other) as unharmed:
                await unharmed.subscribe(FOLLOW)
                while gateway.budgets.now(neighbour.id)[0] < 1:
                    await asyncio.sleep(0.01)
        while gateway.budgets.now(tenant.id)[0] > 1:
            await asyncio.sleep(0.01)
        async with client.stream("GET", url, headers=headers) as again:
            assert again.status_code == 200
    async with asyncio.timeout(PATIENCE_S):
        while gateway.budgets.now(tenant.id)[0] or gateway.budgets.now(neighbour.id)[0]:
            await asyncio.sleep(0.01)
    await gateway.budgets.note()
    assert (await api.data(token, USAGE))["usage"]["hours"][0]["streamsPeak"] == 2


async def test_streams_on_other_processes_count_too(
    store: Store, postgres: Postgres, valkey: Valkey, tenant: Tenant
) -> None:
    base = replace(defaults(), subscriptions=3)
    here, there = (Budgets(store, Changes(postgres.url("app")), base, Shares(valkey.url())) for _ in range(2))
    running = [asyncio.create_task(budgets.run()) for budgets in (here, there)]
    try:
        ends = [await there.open_stream(tenant.id) for _ in range(2)]
        ends.append(await here.open_stream(tenant.id))
        async with asyncio.timeout(PATIENCE_S):
            while here.now(tenant.id)[0] < 3:
                await asyncio.sleep(0.05)
        with pytest.raises(QuotaExceeded, match="3 live streams open"):
            await here.open_stream(tenant.id)
        ends[0]()
        async with asyncio.timeout(PATIENCE_S):
            while here.now(tenant.id)[0] > 2:
                await asyncio.sleep(0.05)
        await here.open_stream(tenant.id)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await here.close()
        await there.close()


async def test_devices_beyond_the_quota_are_a_conflict_that_says_how_many_there_may_be(
    api: Api, tenant: Tenant, gateway: Gateway
) -> None:
    token = await tenant.api_token()
    profile = await tenant.profile()
    await tenant.device()
    await _limit(tenant, gateway, devices=1)
    given = {"key": "one-more", "name": "One more", "profileId": str(profile.id)}
    answer = await api.rest(token, "POST", "/devices", json=given)
    assert answer.status_code == 409
    assert answer.json()["code"] == "DEVICE_QUOTA_REACHED"
    assert answer.json()["details"] == {"quota": "devices", "limit": 1, "used": 1}


async def test_only_the_platforms_operator_sets_quotas_and_both_logs_tell_of_it(
    api: Api, tenant: Tenant, postgres: Postgres, store: Store
) -> None:
    operator = await found_operator(postgres, store)
    secret = (await operator.sign_in()).secret
    given = {"id": str(tenant.id), "input": {"name": "MESSAGES_PER_S", "limit": 55}}
    owner = await tenant.api_token()
    assert await api.code(owner, CHANGE, **given) == "FORBIDDEN"
    changed = (await api.data(secret, CHANGE, **given))["platformQuotaChange"]
    assert {"name": "MESSAGES_PER_S", "limit": 55, "isOwn": True} in changed
    shown = (await api.data(owner, USAGE))["usage"]["quotas"]
    assert [q["limit"] for q in shown if q["name"] == "MESSAGES_PER_S"] == [55]
    said = await api.data(owner, '{ audit(action: "quota.") { items { actorName action after } } }')
    assert said["audit"]["items"][0] == {
        "actorName": operator.email, "action": "quota.change", "after": {"messages_per_s": 55},
    }  # fmt: skip
    asked = "query ($id: ID!) { platformUsage(id: $id) { quotas { name limit } } }"
    seen = (await api.data(secret, asked, id=str(tenant.id)))["platformUsage"]["quotas"]
    assert {"name": "MESSAGES_PER_S", "limit": 55} in seen
    assert await api.code(owner, asked, id=str(tenant.id)) == "FORBIDDEN"
    assert await api.code(secret, CHANGE, **{**given, "id": str(uuid4())}) == "TENANT_NOT_FOUND"
    back = {**given, "input": {"name": "MESSAGES_PER_S"}}
    changed = (await api.data(secret, CHANGE, **back))["platformQuotaChange"]
    assert [q["isOwn"] for q in changed if q["name"] == "MESSAGES_PER_S"] == [False]
    long = {**given, "input": {"name": "STORAGE_DAYS", "limit": 91}}
    assert await api.code(secret, CHANGE, **long) == "QUOTA_MALFORMED"


@pytest.mark.parametrize("limit", [0, -5])
async def test_a_quota_of_nothing_is_refused_at_the_gate(
    api: Api, tenant: Tenant, postgres: Postgres, store: Store, limit: int
) -> None:
    secret = (await (await found_operator(postgres, store)).sign_in()).secret
    given = {"id": str(tenant.id), "input": {"name": "DEVICES", "limit": limit}}
    assert await api.code(secret, CHANGE, **given) == "BAD_INPUT"
