"""The contract over GraphQL: what a caller gets, and how they are refused."""

import json

import httpx
import pytest

import resolvers.devices
from engine.tenancy import Role
from tests.support.api import Api
from tests.support.people import colleague
from tests.support.tenant import Tenant

PROVISION = (
    "mutation($i: DeviceProvision!) { deviceProvision(input: $i) { device { id key status } token credential { id } } }"
)


async def test_a_device_is_provisioned_found_changed_and_ended(api: Api, tenant: Tenant) -> None:
    token = await tenant.api_token()
    profile = await tenant.profile()
    made = await api.data(token, PROVISION, i={"key": "pump-7", "profileId": str(profile.id), "labels": {"site": "a"}})
    device_id = made["deviceProvision"]["device"]["id"]
    assert made["deviceProvision"]["token"].startswith("tgd_")
    found = await api.data(
        token, '{ devices(search: "ump") { items { id name labels profile { key } isOnline latest { metric } } } }'
    )
    assert found["devices"]["items"] == [
        {
            "id": device_id,
            "name": "pump-7",
            "labels": {"site": "a"},
            "profile": {"key": "cold-room"},
            "isOnline": False,
            "latest": [],
        }
    ]
    update = (
        'mutation($id: ID!, $v: Int) { deviceUpdate(id: $id, input: {name: "Pump"}, version: $v) { name version } }'
    )
    assert await api.data(token, update, id=device_id, v=1) == {"deviceUpdate": {"name": "Pump", "version": 2}}
    assert await api.code(token, update, id=device_id, v=1) == "VERSION_STALE"
    ended = await api.data(token, "mutation($id: ID!) { deviceDecommission(id: $id) { status } }", id=device_id)
    assert ended == {"deviceDecommission": {"status": "DECOMMISSIONED"}}


async def test_me_says_who_asks_and_for_whom(api: Api, tenant: Tenant) -> None:
    me = (
        await api.data(
            await tenant.api_token(Role.VIEWER), "{ me { kind scopes tenant { key } memberships { role } } }"
        )
    )["me"]
    assert (me["kind"], me["tenant"]["key"], me["memberships"]) == ("token", tenant.key, [])
    assert "devices:read" in me["scopes"]
    assert "devices:write" not in me["scopes"]


async def test_what_a_token_may_not_do_is_refused_by_name(api: Api, tenant: Tenant) -> None:
    viewer = await tenant.api_token(Role.VIEWER)
    profile = await tenant.profile()
    assert await api.code(viewer, PROVISION, i={"key": "x", "profileId": str(profile.id)}) == "FORBIDDEN"


async def test_nobody_gets_nothing_and_a_bad_secret_is_told_so(api: Api) -> None:
    answer = await api.client.post("/graphql", json={"query": "{ me { kind } }"})
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    wrong = await api.client.post(
        "/graphql", json={"query": "{ me { kind } }"}, headers={"Authorization": "Bearer tg_" + "x" * 43}
    )
    assert wrong.status_code == 401


async def test_a_revoked_token_stops_working_at_once(api: Api, tenant: Tenant) -> None:
    owner, other = await tenant.api_token(), await tenant.api_token(Role.VIEWER)
    assert await api.data(other, "{ me { kind } }")
    tokens = (await api.data(owner, "{ tokens { id name } }"))["tokens"]
    viewer_id = next(token["id"] for token in tokens if token["name"] == "test viewer")
    await api.data(owner, "mutation($id: ID!) { tokenRevoke(id: $id) { revokedAt } }", id=viewer_id)
    for _ in range(100):
        answer = await api.graphql(other, "{ me { kind } }")
        if "errors" in answer:
            break
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_token_tells_when_it_was_last_used(api: Api, tenant: Tenant) -> None:
    viewer, owner = await tenant.api_token(Role.VIEWER), await tenant.api_token()
    await api.data(viewer, "{ me { kind } }")
    tokens = (await api.data(owner, "{ tokens { name lastUsedAt } }"))["tokens"]
    assert {token["name"]: token["lastUsedAt"] is not None for token in tokens}["test viewer"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ devices(first: 201) { items { id } } }", "BAD_INPUT"),
        ('{ device(id: "7") { id } }', "BAD_REQUEST"),
        ('{ device(id: "0190e6f2-7d3c-7c7a-9f3b-2b7f0a1c5d11") { id } }', "DEVICE_NOT_FOUND"),
        ('{ devices(search: "\\u0000") { items { id } } }', "UNSTORABLE"),
        ('{ devices(after: "x") { items { id } } }', "BAD_CURSOR"),
        ("{ nothing }", "BAD_REQUEST"),
        ("{ me { kind ", "BAD_REQUEST"),
    ],
)
async def test_a_bad_request_is_refused_in_words(api: Api, token: str, query: str, code: str) -> None:
    assert await api.code(token, query) == code


async def test_mutations_of_one_operation_commit_one_by_one(api: Api, tenant: Tenant) -> None:
    token = await tenant.api_token()
    profile = await tenant.profile()
    query = """mutation($a: DeviceProvision!, $b: DeviceProvision!) {
      one: deviceProvision(input: $a) { device { key } }
      two: deviceProvision(input: $b) { device { key } }
    }"""
    answer = await api.graphql(
        token, query, a={"key": "a", "profileId": str(profile.id)}, b={"key": "a", "profileId": str(profile.id)}
    )
    assert answer["errors"][0]["extensions"]["code"] == "DEVICE_KEY_TAKEN"
    assert len((await api.data(token, "{ devices { items { id } } }"))["devices"]["items"]) == 1


async def test_an_unknown_host_is_refused(api: Api) -> None:
    answer = await api.client.get("/graphql", headers={"Host": "evil.example"})
    assert answer.status_code == 421


async def _login(api: Api, tenant: Tenant) -> httpx.Response:
    return await api.client.post(
        "/auth/login", data={"email": tenant.email, "password": tenant.password, "next": "/devices"}
    )


async def test_signing_in_gives_a_cookie_that_counts_only_from_our_own_page(api: Api, tenant: Tenant) -> None:
    answer = await _login(api, tenant)
    assert (answer.status_code, answer.headers["location"]) == (303, "/devices")
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=Lax" in answer.headers["set-cookie"]
    secret = answer.cookies["tidegate_session"]
    api.client.cookies.clear()
    cookie = {"Cookie": f"tidegate_session={secret}"}
    ask = {"query": "{ me { userId email role memberships { tenantKey } } }"}
    ours = await api.client.post("/graphql", json=ask, headers={**cookie, "Sec-Fetch-Site": "same-origin"})
    me = ours.json()["data"]["me"]
    listed = await api.data(await tenant.api_token(), "{ members { id } }")
    assert [{"id": me.pop("userId")}] == listed["members"]
    assert me == {"email": tenant.email, "role": "OWNER", "memberships": [{"tenantKey": tenant.key}]}
    for elsewhere in (
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
    ):
        foreign = await api.client.post("/graphql", json=ask, headers={**cookie, **elsewhere})
        assert foreign.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    by_get = await api.client.get("/graphql", params=ask, headers={**cookie, "Sec-Fetch-Site": "same-origin"})
    assert by_get.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    forwarded = await api.client.post("/graphql", json=ask, headers={"Authorization": f"Bearer {secret}"})
    assert forwarded.json()["data"]["me"]["email"] == tenant.email


async def test_a_wrong_password_leads_back_to_the_form(api: Api, tenant: Tenant) -> None:
    answer = await api.client.post("/auth/login", data={"email": tenant.email, "password": "wrong"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?error=bad-credentials")
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"])
async def test_signing_in_never_leads_to_another_site(api: Api, tenant: Tenant, path: str) -> None:
    answer = await api.client.post(
        "/auth/login", data={"email": tenant.email, "password": tenant.password, "next": path}
    )
    api.client.cookies.clear()
    assert answer.headers["location"] == "/"


async def test_going_to_another_organisation_gives_a_new_cookie_for_it(api: Api, tenant: Tenant) -> None:
    guest = await colleague(tenant, Role.VIEWER)
    secret = (await guest.sign_in()).secret
    headers = {"Cookie": f"tidegate_session={secret}", "Sec-Fetch-Site": "same-origin"}
    answer = await api.client.post("/auth/switch", data={"tenant": guest.home.key, "next": "/rules"}, headers=headers)
    assert (answer.status_code, answer.headers["location"]) == (303, "/rules")
    there = await api.data(answer.cookies["tidegate_session"], "{ me { tenant { key } role } }")
    api.client.cookies.clear()
    assert there["me"] == {"tenant": {"key": guest.home.key}, "role": "OWNER"}
    again = await api.client.post("/auth/switch", data={"tenant": tenant.key}, headers=headers)
    assert again.headers["location"] == "/sign-in?error=bad-credentials"


async def test_signing_out_ends_the_session(api: Api, tenant: Tenant) -> None:
    secret = (await _login(api, tenant)).cookies["tidegate_session"]
    api.client.cookies.clear()
    headers = {"Cookie": f"tidegate_session={secret}", "Sec-Fetch-Site": "same-origin"}
    assert (await api.client.post("/auth/logout", headers=headers)).headers["location"] == "/sign-in"
    answer = await api.client.post("/graphql", json={"query": "{ me { kind } }"}, headers=headers)
    assert answer.status_code == 401


async def test_health_tells_whether_the_database_answers(api: Api) -> None:
    assert (await api.client.get("/health/live")).status_code == 200
    assert (await api.client.get("/health/ready")).status_code == 200


async def test_what_fails_inside_goes_out_as_a_number_and_into_the_log_whole_and_once(
    api: Api, token: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the table is called devices_2")

    monkeypatch.setattr(resolvers.devices.devices, "page", broken)
    answer = await api.graphql(token, "{ a: devices { items { id } } }")
    error = answer["errors"][0]
    assert (error["extensions"]["code"], error["extensions"]["status"]) == ("INTERNAL", 500)
    assert "devices_2" not in json.dumps(answer)
    logged = [record for record in caplog.records if record.message == "request.failed"]
    assert [record.correlation_id in error["message"] for record in logged] == [True]  # type: ignore[attr-defined]
    assert logged[0].exc_info is not None
    mirrored = await api.rest(token, "GET", "/devices")
    assert (mirrored.status_code, mirrored.json()["code"]) == (500, "INTERNAL")
