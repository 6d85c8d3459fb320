"""The REST mirror: what HTTP people expect of it, one promise a test."""

import asyncio
import json
from uuid import uuid4

import httpx
import pytest

from engine import clock
from engine.tenancy import Role
from infra.local.postgres import Postgres
from resolvers.gateway import Gateway
from tests.support.api import Api
from tests.support.journal import tell
from tests.support.patience import PATIENCE_S
from tests.support.tenant import Tenant

PROBLEM = "application/problem+json"


async def _provision(api: Api, token: str, tenant: Tenant, key: str, **headers: str) -> httpx.Response:
    profile = await tenant.profile()
    return await api.rest(token, "POST", "/devices", json={"key": key, "profileId": str(profile.id)}, headers=headers)


async def test_a_made_device_is_found_at_its_location(api: Api, tenant: Tenant) -> None:
    token = await tenant.api_token()
    made = await _provision(api, token, tenant, "pump-7")
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    found = await api.client.get(made.headers["location"], headers={"Authorization": f"Bearer {token}"})
    assert found.status_code == 200
    assert found.json()["key"] == "pump-7"
    assert found.json()["profile"] == {"id": str((await tenant.profile()).id)}


async def test_a_page_links_to_the_next_until_the_last(api: Api, tenant: Tenant) -> None:
    token = await tenant.api_token(Role.VIEWER)
    for key in ("a", "b", "c"):
        await tenant.device(key)
    seen, path = [], "/api/v1/devices?first=2"
    while path:
        page = await api.client.get(path, headers={"Authorization": f"Bearer {token}"})
        seen += [device["key"] for device in page.json()["items"]]
        path = page.links.get("next", {}).get("url", "")
    assert seen == ["a", "b", "c"]


async def test_an_unchanged_thing_is_not_sent_again(api: Api, tenant: Tenant) -> None:
    token, device = await tenant.api_token(), await tenant.device()
    first = await api.rest(token, "GET", f"/devices/{device.id}")
    again = await api.rest(token, "GET", f"/devices/{device.id}", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    await api.rest(token, "PATCH", f"/devices/{device.id}", json={"name": "New"})
    changed = await api.rest(token, "GET", f"/devices/{device.id}", headers={"If-None-Match": first.headers["etag"]})
    assert changed.json()["name"] == "New"


async def test_a_change_bound_to_an_older_version_is_refused(api: Api, tenant: Tenant) -> None:
    token, device = await tenant.api_token(), await tenant.device()
    path = f"/devices/{device.id}"
    etag = (await api.rest(token, "GET", path)).headers["etag"]
    assert (await api.rest(token, "PATCH", path, json={"name": "A"}, headers={"If-Match": etag})).status_code == 200
    stale = await api.rest(token, "PATCH", path, json={"name": "B"}, headers={"If-Match": etag})
    assert (stale.status_code, stale.json()["code"]) == (412, "VERSION_STALE")
    for other in ('"v1"', 'W/"v2"', "nonsense"):
        refused = await api.rest(token, "PATCH", path, json={"name": "B"}, headers={"If-Match": other})
        assert refused.status_code == 412, other
    for good in ('"v2"', "*"):
        assert (await api.rest(token, "PATCH", path, json={"name": "C"}, headers={"If-Match": good})).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/devices?colour=red", None, 400, "BAD_INPUT"),
        ("GET", "/devices?first=0", None, 400, "BAD_INPUT"),
        ("GET", "/devices?first=two", None, 400, "BAD_INPUT"),
        ("GET", "/devices?first=1&first=2", None, 400, "BAD_INPUT"),
        ("GET", "/devices?status=BROKEN", None, 400, "BAD_INPUT"),
        ("GET", "/devices?after=!", None, 422, "BAD_CURSOR"),
        ("GET", "/devices/7", None, 400, "BAD_REQUEST"),
        ("GET", "/devices/0190e6f2-7d3c-7c7a-9f3b-2b7f0a1c5d11", None, 404, "DEVICE_NOT_FOUND"),
        ("GET", "/nowhere", None, 404, "NO_SUCH_PATH"),
        ("PUT", "/devices", None, 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/devices", {"key": "x"}, 400, "BAD_REQUEST"),
        ("POST", "/devices", {"key": "a b", "profileId": "0190e6f2-7d3c-7c7a-9f3b-2b7f0a1c5d11"}, 400, "BAD_INPUT"),
        (
            "POST",
            "/devices",
            {"key": "x", "profileId": "0190e6f2-7d3c-7c7a-9f3b-2b7f0a1c5d11", "colour": 1},
            400,
            "BAD_REQUEST",
        ),
        (
            "POST",
            "/devices",
            {"key": "x", "profileId": "0190e6f2-7d3c-7c7a-9f3b-2b7f0a1c5d11"},
            404,
            "PROFILE_NOT_FOUND",
        ),
        ("POST", "/profiles", {"key": "x", "name": "x", "metrics": {"key": "a", "type": "NUMBER"}}, 400, "BAD_INPUT"),
        ("POST", "/rules", {"document": {"v": 1}}, 422, "RULE_INVALID"),
        ("POST", "/rules/check", {}, 400, "BAD_INPUT"),
    ],
)
async def test_a_bad_request_gets_a_problem_document(
    api: Api, token: str, method: str, path: str, body: object, status: int, code: str
) -> None:
    answer = await api.rest(token, method, path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == PROBLEM
    assert answer.json()["status"] == status
    assert answer.json()["type"] == f"/problems/{code.lower().replace('_', '-')}"


async def test_who_may_not_is_told_401_or_403(api: Api, tenant: Tenant) -> None:
    nobody = await api.rest(None, "GET", "/devices")
    assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, 'Bearer realm="tidegate"')
    viewer = await tenant.api_token(Role.VIEWER)
    assert (await _provision(api, viewer, tenant, "x")).status_code == 403


async def test_a_session_cookie_does_not_count_here(api: Api, tenant: Tenant) -> None:
    login = await api.client.post("/auth/login", data={"email": tenant.email, "password": tenant.password})
    api.client.cookies.clear()
    cookie = f"tidegate_session={login.cookies['tidegate_session']}"
    answer = await api.client.get("/api/v1/me", headers={"Cookie": cookie, "Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 401


async def test_a_repeated_post_is_carried_out_once(api: Api, tenant: Tenant) -> None:
    token = await tenant.api_token()
    body = {"key": "cold", "name": "Cold", "metrics": []}
    key = {"Idempotency-Key": str(uuid4())}
    first = await api.rest(token, "POST", "/profiles", json=body, headers=key)
    again = await api.rest(token, "POST", "/profiles", json=body, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    other = await api.rest(token, "POST", "/profiles", json={**body, "key": "hot"}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")


async def test_of_requests_racing_under_one_key_one_is_carried_out(api: Api, tenant: Tenant) -> None:
    token = await tenant.api_token()
    body = {"key": "cold", "name": "Cold", "metrics": []}
    key = {"Idempotency-Key": str(uuid4())}
    answers = await asyncio.gather(*(api.rest(token, "POST", "/profiles", json=body, headers=key) for _ in range(4)))
    made = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    assert len(made) == 1
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} <= {"IDEMPOTENCY_IN_PROGRESS"}


async def test_a_repeated_post_never_shows_a_secret_twice(api: Api, tenant: Tenant, postgres: Postgres) -> None:
    token = await tenant.api_token()
    key = str(uuid4())
    first = await _provision(api, token, tenant, "pump", **{"Idempotency-Key": key})
    again = await _provision(api, token, tenant, "pump", **{"Idempotency-Key": key})
    assert (again.status_code, again.json()["code"]) == (409, "IDEMPOTENCY_SECRET_SPENT")
    assert again.headers["location"] == first.headers["location"]
    assert first.json()["token"] not in again.text
    listed = await api.rest(token, "GET", "/devices")
    assert len(listed.json()["items"]) == 1


async def test_a_refused_post_may_be_repeated_under_the_same_key(api: Api, tenant: Tenant) -> None:
    token = await tenant.api_token()
    key = {"Idempotency-Key": "retry-me"}
    body = {"document": {"v": 1}}
    for _ in range(2):
        assert (await api.rest(token, "POST", "/rules", json=body, headers=key)).status_code == 422


async def test_readings_and_latest_have_routes_of_their_own(api: Api, tenant: Tenant, postgres: Postgres) -> None:
    token, device = await tenant.api_token(), await tenant.device()
    now = clock.now_ms()
    tell(postgres, tenant.id, [(device.id, now - 1000 * n, {"temperature": 20 + n}) for n in range(3)])
    start = clock.from_ms(now - 60_000).isoformat()
    answer = await api.rest(
        token, "GET", f"/devices/{device.id}/telemetry", params={"metric": "temperature", "from": start}
    )
    assert answer.json()["values"] == [22, 21] or answer.json()["values"] == [22, 21, 20]
    assert answer.json()["unit"] == "°C"
    assert (await api.rest(token, "GET", f"/devices/{device.id}/latest")).json() == []


async def test_a_stream_has_ids_and_goes_on_behind_the_last(
    served: str, gateway: Gateway, tenant: Tenant, postgres: Postgres
) -> None:
    token, device = await tenant.api_token(), await tenant.device()
    headers = {"Authorization": f"Bearer {token}"}
    url = f"http://{served}/api/v1/stream/telemetry?deviceIds={device.id}"
    now = clock.now_ms()
    tell(postgres, tenant.id, [(device.id, now + n, {"n": n}) for n in range(3)])
    async with httpx.AsyncClient(timeout=PATIENCE_S, trust_env=False) as client:
        async with client.stream("GET", url, headers={**headers, "Last-Event-ID": "0"}) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            events = await _events(stream, 2)
        assert [event["data"]["values"]["n"] for event in events] == [0, 1]
        assert [event["id"] for event in events] == [event["data"]["cursor"] for event in events]
        async with client.stream("GET", url, headers={**headers, "Last-Event-ID": events[-1]["id"]}) as stream:
            assert (await _events(stream, 1))[0]["data"]["values"] == {"n": 2}
        refused = await client.get(url + "&after=garbage", headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (422, "BAD_CURSOR")


async def test_a_subscription_is_served_as_events_by_graphql_too(
    served: str, tenant: Tenant, postgres: Postgres
) -> None:
    token, device = await tenant.api_token(), await tenant.device()
    tell(postgres, tenant.id, [(device.id, clock.now_ms(), {"n": 1})])
    query = f'subscription {{ telemetry(deviceIds: ["{device.id}"], after: "0") {{ values }} }}'
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
    async with (
        httpx.AsyncClient(timeout=PATIENCE_S, trust_env=False) as client,
        client.stream("POST", f"http://{served}/graphql", json={"query": query}, headers=headers) as stream,
    ):
        event = (await _events(stream, 1))[0]
    assert event == {"event": "next", "data": {"data": {"telemetry": {"values": {"n": 1}}}}}


async def test_a_stream_ends_when_its_token_is_revoked(served: str, api: Api, tenant: Tenant) -> None:
    owner, viewer = await tenant.api_token(), await tenant.api_token(Role.VIEWER)
    tokens = (await api.rest(owner, "GET", "/tokens")).json()
    id_ = next(token["id"] for token in tokens if token["name"] == "test viewer")
    headers = {"Authorization": f"Bearer {viewer}"}
    async with (
        httpx.AsyncClient(timeout=PATIENCE_S, trust_env=False) as client,
        client.stream("GET", f"http://{served}/api/v1/stream/alerts", headers=headers) as stream,
    ):
        lines = stream.aiter_lines()
        assert await anext(lines) == ":"
        assert (await api.rest(owner, "DELETE", f"/tokens/{id_}")).status_code == 200
        assert [line async for line in lines if line not in ("", ":")] == []


async def test_the_document_is_served(api: Api) -> None:
    answer = await api.client.get("/api/v1/openapi.json")
    assert answer.json()["openapi"] == "3.1.0"
    assert (await api.client.get("/openapi.json")).content == answer.content


async def _events(stream: httpx.Response, count: int) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    event: dict[str, object] = {}
    async for line in stream.aiter_lines():
        if not line:
            if event:
                found.append(event)
                event = {}
            if len(found) == count:
                return found
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            event[name] = json.loads(value) if name == "data" and value.strip() else value.strip()
    return found


@pytest.mark.parametrize("path", ["/rules/i%0A~/disable", "/nowhere%0A/at-all", "/%0A"])
async def test_a_path_with_a_line_break_is_refused_as_a_problem_too(api: Api, token: str, path: str) -> None:
    answer = await api.rest(token, "POST", path)
    assert 400 <= answer.status_code < 500
    assert answer.headers["content-type"] == "application/problem+json"
