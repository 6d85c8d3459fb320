"""The platform's operator through both faces, and what a suspended tenant's people, programs and streams are told."""

import asyncio
import base64
import time
from typing import Any

import httpx
import pytest

from engine import ids
from engine.store.pool import Store
from engine.tenancy import Role
from engine.tenants.second_factor import STEP_S, code_at
from infra.local.postgres import Postgres
from tests.support.api import Api
from tests.support.patience import PATIENCE_S, TOLD_S
from tests.support.people import found_operator, sign_in
from tests.support.sockets import dialled, line
from tests.support.tenant import Tenant

STATUS = "subscription { deviceStatus { isOnline } }"
SUSPEND = 'mutation($id: ID!) { platformTenantSuspend(id: $id, input: {reason: "unpaid"}) { suspendedReason } }'


@pytest.fixture(scope="module")
async def operator(postgres: Postgres, store: Store) -> str:
    """An operator's session."""
    return (await (await found_operator(postgres, store)).sign_in()).secret


async def _refused(api: Api, secret: str, status: int, path: str = "/me") -> dict[str, Any]:
    """What an unwelcome secret is told, once the database's notification has reached this process."""
    for _ in range(1_500):
        answer = await api.rest(secret, "GET", path)
        if answer.status_code == status:
            said: dict[str, Any] = answer.json()
            return said
        await asyncio.sleep(0.01)
    raise AssertionError(f"still {answer.status_code}")


async def test_a_tenant_is_made_found_named_and_its_owner_invited_over_rest(api: Api, operator: str) -> None:
    key = f"rest-{ids.uuid7().hex[-8:]}"
    given = {"key": key, "name": "Rest", "email": f"boss@{key}.example"}
    made = await api.rest(operator, "POST", "/platform/tenants", json=given)
    tenant = made.json()["tenant"]
    assert (made.status_code, made.headers["location"]) == (201, f"/api/v1/platform/tenants/{tenant['id']}")
    assert made.headers["cache-control"] == "no-store"
    assert made.json()["link"].startswith("/auth/accept?token=tgi_")
    listed = await api.rest(operator, "GET", "/platform/tenants", params={"search": key})
    assert listed.json()["items"] == [tenant]
    path = f"/platform/tenants/{tenant['id']}"
    assert (await api.rest(operator, "PATCH", path, json={"name": "Renamed"})).json()["name"] == "Renamed"
    assert (await api.rest(operator, "GET", path)).json()["name"] == "Renamed"
    again = await api.rest(operator, "POST", f"{path}/invitation", json={"email": given["email"]})
    offers = [
        await api.client.get("/auth/accept", params={"token": each["secret"]}, headers={"Accept": "application/json"})
        for each in (made.json(), again.json())
    ]
    assert [offer.status_code for offer in offers] == [410, 200]
    assert (offers[1].json()["tenant"], offers[1].json()["role"]) == ("Renamed", "owner")
    assert (await api.rest(operator, "POST", "/platform/tenants", json=given)).json()["code"] == "TENANT_KEY_TAKEN"


async def test_no_role_of_a_tenant_reaches_the_platforms_fields(api: Api, tenant: Tenant) -> None:
    for role in (Role.OWNER, Role.ADMIN, Role.OPERATOR, Role.DESIGNER, Role.VIEWER):
        secret = await tenant.api_token(role)
        assert await api.code(secret, "{ platformTenants { items { key } } }") == "FORBIDDEN"
        assert await api.code(secret, SUSPEND, id=str(tenant.id)) == "FORBIDDEN"
        assert (await api.rest(secret, "GET", "/platform/tenants")).status_code == 403
    session = (await sign_in(tenant)).secret
    assert await api.code(session, SUSPEND, id=str(tenant.id)) == "FORBIDDEN"


async def test_an_operator_is_told_who_they_are_and_refused_what_is_a_tenants(api: Api, operator: str) -> None:
    me = (await api.data(operator, "{ me { role tenant { key } scopes } }"))["me"]
    assert (me["role"], me["tenant"]["key"]) == ("PLATFORM", "platform")
    assert me["scopes"] == ["audit:read", "platform:read", "platform:write", "users:read", "users:write"]
    for query in ("{ devices { items { key } } }", "{ alerts { items { id } } }", "{ tokens { name } }"):
        assert await api.code(operator, query) == "FORBIDDEN"


async def test_suspension_cuts_sockets_streams_sessions_and_tokens_within_two_seconds(
    served: str, api: Api, tenant: Tenant, neighbour: Tenant, operator: str
) -> None:
    session, token, other = (await sign_in(tenant)).secret, await tenant.api_token(), await neighbour.api_token()
    async with (
        line(served, session) as people,
        line(served, token) as program,
        line(served, other) as bystander,
        httpx.AsyncClient(base_url=f"http://{served}", timeout=PATIENCE_S, trust_env=False) as client,
    ):
        for each in (people, program, bystander):
            await each.subscribe(STATUS)
        headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
        async with client.stream("GET", "/api/v1/stream/device-status", headers=headers, timeout=PATIENCE_S) as stream:
            assert stream.status_code == 200
            before = time.monotonic()
            said = (await api.data(operator, SUSPEND, id=str(tenant.id)))["platformTenantSuspend"]
            assert said == {"suspendedReason": "unpaid"}
            assert [await people.closed(TOLD_S), await program.closed(TOLD_S)] == [4403, 4403]
            async with asyncio.timeout(TOLD_S):
                async for _ in stream.aiter_raw():
                    pass
            print(f"cut in {(time.monotonic() - before) * 1000:.0f} ms")
        for secret in (session, token):
            told = await _refused(api, secret, 403)
            assert told["code"] == "TENANT_SUSPENDED"
            assert "Nothing was deleted" in told["detail"]
        await bystander.say({"type": "ping"})
        assert (await bystander.hear())["type"] == "pong"
        async with dialled(served, {"Authorization": f"Bearer {session}"}) as refused:
            await refused.say({"type": "connection_init"})
            assert await refused.closed() == 4403
        assert (await api.rest(operator, "PATCH", f"/platform/tenants/{tenant.id}/resume")).status_code == 200
        async with line(served, session) as again, line(served, token) as program:
            await again.say({"type": "ping"})
            assert (await again.hear())["type"] == "pong"
    for secret in (session, token):
        assert (await api.rest(secret, "GET", "/me")).status_code == 200


async def test_signing_in_to_a_suspended_tenant_says_so_in_both_manners(
    api: Api, tenant: Tenant, operator: str
) -> None:
    await api.data(operator, SUSPEND, id=str(tenant.id))
    given = {"email": tenant.email, "password": tenant.password}
    program = await api.client.post("/auth/login", json=given, headers={"Accept": "application/json"})
    assert (program.status_code, program.json()["code"]) == (403, "TENANT_SUSPENDED")
    browser = await api.client.post("/auth/login", data=given)
    assert (browser.status_code, browser.headers["location"]) == (303, "/sign-in?error=tenant-suspended")
    wrong = await api.client.post(
        "/auth/login", json={**given, "password": "wrong password"}, headers={"Accept": "application/json"}
    )
    assert wrong.json()["code"] == "BAD_CREDENTIALS"


async def test_a_lost_second_factor_is_taken_away_and_its_owner_told_over_rest(
    api: Api, tenant: Tenant, operator: str
) -> None:
    email, password = f"lost-{ids.uuid7().hex[-8:]}@only.example", "a password of their own"
    owner = (await sign_in(tenant)).secret
    invited = (await api.rest(owner, "POST", "/invitations", json={"email": email, "role": "VIEWER"})).json()
    given = {"token": invited["secret"], "name": "Lost", "password": password}
    entered = await api.client.post("/auth/accept", json=given, headers={"Accept": "application/json"})
    secret = entered.cookies["tidegate_session"]
    api.client.cookies.clear()
    enrolled = await api.rest(secret, "PATCH", "/me/second-factor", json={"password": password})
    code = code_at(base64.b32decode(enrolled.json()["secret"]), int(time.time() // STEP_S))
    confirmed = await api.rest(secret, "PATCH", "/me/second-factor/confirm", json={"code": code})
    renewed = await api.rest(
        secret,
        "PATCH",
        "/me/second-factor/recovery-codes",
        json={"password": password, "code": confirmed.json()["recoveryCodes"][0]},
    )
    assert len(renewed.json()["recoveryCodes"]) == 10
    assert renewed.headers["cache-control"] == "no-store"
    members = (await api.rest(owner, "GET", "/members")).json()
    path = f"/members/{next(each['id'] for each in members if each['email'] == email)}/second-factor/reset"
    wrong = await api.rest(owner, "PATCH", path, json={"password": "not the password"})
    assert (wrong.status_code, wrong.json()["code"]) == (403, "PASSWORD_WRONG")
    program = await api.rest(await tenant.api_token(), "PATCH", path, json={"password": tenant.password})
    assert program.json()["code"] == "NOT_A_PERSON"
    taken = await api.rest(owner, "PATCH", path, json={"password": tenant.password})
    assert (taken.status_code, taken.json()) == (200, {"endedSessions": 1})
    await _refused(api, secret, 401)
    login = {"email": email, "password": password}
    again = await api.client.post("/auth/login", json=login, headers={"Accept": "application/json"})
    secret = again.cookies["tidegate_session"]
    api.client.cookies.clear()
    me = (await api.data(secret, "{ me { hasSecondFactor secondFactorReset { at by } } }"))["me"]
    assert (me["hasSecondFactor"], me["secondFactorReset"]["by"]) == (False, tenant.email)
    body = {"email": email, "password": "not the operator's"}
    assert (await api.rest(operator, "PATCH", "/platform/second-factor/reset", json=body)).status_code == 403
