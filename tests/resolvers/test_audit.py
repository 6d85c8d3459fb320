"""Who is turned away is noted as well as who is let through."""

from uuid import uuid4

import httpx

from engine.tenancy import Role
from engine.tenants import service as tenants
from resolvers.denials import MOST_ACTORS, MOST_OF_ONE, Denials
from tests.support.api import Api
from tests.support.patience import PATIENCE_S
from tests.support.sockets import line
from tests.support.tenant import Tenant


async def test_a_denied_try_and_a_deed_are_both_in_the_log(served: str, tenant: Tenant) -> None:
    device = await tenant.device()
    reader, owner = await tenant.api_token(Role.VIEWER), await tenant.api_token()
    async with httpx.AsyncClient(base_url=f"http://{served}/api/v1", timeout=PATIENCE_S, trust_env=False) as client:
        for token, status in ((reader, 403), (owner, 200), (owner, 409)):
            headers = {"Authorization": f"Bearer {token}"}
            answer = await client.request("DELETE", f"/devices/{device.id}", headers=headers)
            assert answer.status_code == status
        told = await client.get(f"/audit?targetId={device.id}", headers={"Authorization": f"Bearer {owner}"})
        denied = await client.get("/audit", headers={"Authorization": f"Bearer {reader}"})
    assert denied.status_code == 403
    found = [(item["action"], item["result"], item["reason"], item["address"]) for item in told.json()["items"]]
    assert found == [
        ("deviceDecommission", "REFUSED", "DEVICE_STUCK", "127.0.0.1"),
        ("device.decommission", "DONE", None, "127.0.0.1"),
        ("deviceDecommission", "DENIED", "FORBIDDEN", "127.0.0.1"),
        ("device.provision", "DONE", None, None),
    ]


async def test_denied_reads_and_streams_are_in_the_log_once_a_minute_however_often_they_are_tried(
    served: str, api: Api, tenant: Tenant
) -> None:
    device, _ = await tenant.device(), await tenant.device()
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        _, lesser = await tenants.issue_token(tx, name="alerts only", scopes=["alerts:read"])
        _, nosy = await tenants.issue_token(tx, name="no values", scopes=["devices:read"])
    viewer, owner = await tenant.api_token(Role.VIEWER), await tenant.api_token()
    for _ in range(3):
        assert (await api.rest(viewer, "GET", "/audit")).status_code == 403
        assert (await api.rest(viewer, "GET", f"/members/{device.id}/sessions")).status_code == 403
        assert await api.code(lesser, "{ devices { items { id } } }") == "FORBIDDEN"
        assert (await api.rest(lesser, "GET", "/stream/telemetry", params={"deviceIds": device.id})).status_code == 403
        async with line(served, lesser) as live:
            await live.subscribe("subscription { deviceStatus { isOnline } }")
            assert (await live.hear())["payload"][0]["extensions"]["code"] == "FORBIDDEN"
    for _ in range(2):
        assert await api.code(nosy, "{ devices { items { latest { value } } } }") == "FORBIDDEN"
    told = await api.rest(owner, "GET", "/audit", params={"result": "DENIED"})
    found = {(each["actorName"], each["action"], each["targetId"]) for each in told.json()["items"]}
    assert found == {
        ("test viewer", "audit.read", ""),
        ("test viewer", "memberSessions.read", str(device.id)),
        ("alerts only", "devices.read", ""),
        ("alerts only", "telemetry.follow", ""),
        ("alerts only", "deviceStatus.follow", ""),
        ("no values", "device_latest.read", ""),
    }
    assert len(told.json()["items"]) == len(found)


async def test_a_stranger_is_denied_and_no_tenants_log_hears_of_it(api: Api, tenant: Tenant) -> None:
    assert (await api.rest("tgu_nobody", "GET", "/audit")).status_code == 401
    assert await api.code("tgu_nobody", "{ audit { items { seq } } }") == "UNAUTHENTICATED"
    log = await api.data(await tenant.api_token(), "{ audit(result: DENIED) { items { action } } }")
    assert log["audit"]["items"] == []


def test_the_same_denial_is_news_once_a_minute_and_others_up_to_a_bound() -> None:
    tenant_id, ann, bob = uuid4(), uuid4(), uuid4()
    denials = Denials()
    assert denials.is_news(tenant_id, ann, "audit.read", "", at=0)
    assert not denials.is_news(tenant_id, ann, "audit.read", "", at=59)
    assert denials.is_news(tenant_id, ann, "audit.read", "", at=60), "a minute later it is told again"
    assert denials.is_news(tenant_id, bob, "audit.read", "", at=60), "each actor for themselves"
    assert denials.is_news(uuid4(), ann, "audit.read", "", at=60), "and each tenant"
    told = sum(denials.is_news(tenant_id, ann, "device.read", str(n), at=61) for n in range(1_000))
    assert told == MOST_OF_ONE - 1, "whoever goes through all devices does not fill the log"


def test_what_is_remembered_of_denials_is_bounded() -> None:
    tenant_id, first = uuid4(), uuid4()
    denials = Denials()
    assert denials.is_news(tenant_id, first, "audit.read", "", at=0)
    for _ in range(MOST_ACTORS):
        assert denials.is_news(tenant_id, uuid4(), "audit.read", "", at=1)
    assert denials.is_news(tenant_id, first, "audit.read", "", at=2), "the oldest was forgotten"


async def test_the_log_is_searched_by_time_page_by_page_in_both_faces(api: Api, tenant: Tenant) -> None:
    for _ in range(5):
        await tenant.device()
    owner = await tenant.api_token()
    query = """query($from: DateTime, $to: DateTime, $after: String) {
      audit(action: "device.", from: $from, to: $to, first: 2, after: $after) {
        items { at } pageInfo { hasNextPage endCursor } } }"""
    every = (await api.data(owner, '{ audit(action: "device.") { items { at } } }'))["audit"]["items"]
    times = [item["at"] for item in every]
    assert len(set(times)) == 5
    chosen = {"from": times[3], "to": times[0]}
    first = (await api.data(owner, query, **chosen))["audit"]
    rest = (await api.data(owner, query, **chosen, after=first["pageInfo"]["endCursor"]))["audit"]
    assert [item["at"] for item in first["items"] + rest["items"]] == times[1:4], "its beginning is in, its end is not"
    assert (first["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (True, False)
    told = await api.rest(owner, "GET", "/audit", params={"action": "device.", **chosen})
    assert [item["at"] for item in told.json()["items"]] == times[1:4]
    nothing = await api.rest(owner, "GET", "/audit", params={"from": times[0], "to": times[0]})
    assert nothing.json()["items"] == []
    assert (await api.rest(owner, "GET", "/audit", params={"from": "yesterday"})).status_code == 400
