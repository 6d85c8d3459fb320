"""Fleets through the contract: shut out and let in again, over GraphQL and over its REST mirror."""

from datetime import timedelta

import pytest
from cryptography import x509

from engine.certificates import kept
from engine.devices import service as devices
from engine.tenancy import Role
from infra.local.postgres import Postgres
from tests.support import csr
from tests.support.api import Api
from tests.support.line import Line
from tests.support.tenant import Tenant

SUSPEND = "mutation($id: ID!) { deviceSuspend(id: $id) { status version } }"
RESUME = "mutation($id: ID!) { deviceResume(id: $id) { status } }"


async def test_a_device_is_suspended_and_resumed(api: Api, tenant: Tenant) -> None:
    token, pump = await tenant.api_token(), await tenant.device()
    assert await api.data(token, SUSPEND, id=str(pump.id)) == {"deviceSuspend": {"status": "SUSPENDED", "version": 2}}
    assert await api.code(token, SUSPEND, id=str(pump.id)) == "DEVICE_STUCK"
    found = await api.data(token, "{ devices(status: SUSPENDED) { items { id } } deviceCount { total } }")
    assert found == {"devices": {"items": [{"id": str(pump.id)}]}, "deviceCount": {"total": 1}}
    assert await api.data(token, RESUME, id=str(pump.id)) == {"deviceResume": {"status": "PROVISIONED"}}
    assert await api.code(token, RESUME, id=str(pump.id)) == "DEVICE_STUCK"


async def test_the_mirror_suspends_and_resumes_too_but_not_for_a_viewer(api: Api, tenant: Tenant) -> None:
    token, pump = await tenant.api_token(), await tenant.device()
    refused = await api.rest(await tenant.api_token(Role.VIEWER), "POST", f"/devices/{pump.id}/suspend")
    assert refused.status_code == 403
    suspended = await api.rest(token, "POST", f"/devices/{pump.id}/suspend")
    assert (suspended.status_code, suspended.json()["status"]) == (200, "SUSPENDED")
    again = await api.rest(token, "POST", f"/devices/{pump.id}/suspend")
    assert (again.status_code, again.json()["code"]) == (409, "DEVICE_STUCK")
    assert (await api.rest(token, "POST", f"/devices/{pump.id}/resume")).json()["status"] == "PROVISIONED"


SIGN = """mutation($id: ID!, $csr: String!) { certificateSign(deviceId: $id, csr: $csr, days: 90) {
  certificate authority credential { id kind fingerprint expiresAt } } }"""


async def test_a_certificate_is_signed_listed_and_taken_back(
    api: Api, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "FRESH_FOR", timedelta(days=9_999))  # no list is replaced because of its age
    token, pump = await tenant.api_token(), await tenant.device()
    assert await api.code(token, "{ certificateAuthority { subject } }") == "NO_AUTHORITY"
    signed = (await api.data(token, SIGN, id=str(pump.id), csr=csr.request()))["certificateSign"]
    authority = (await api.data(token, "{ certificateAuthority { subject certificate } }"))["certificateAuthority"]
    assert authority["certificate"] == signed["authority"]
    assert tenant.key in authority["subject"]
    held = "query($id: ID!) { device(id: $id) { credentials { id kind fingerprint } } }"
    [credential] = (await api.data(token, held, id=str(pump.id)))["device"]["credentials"]
    assert credential == {key: signed["credential"][key] for key in ("id", "kind", "fingerprint")}
    assert (await api.data(token, "{ certificateRevocations { revoked } }"))["certificateRevocations"]["revoked"] == 0
    empty = await api.rest(token, "GET", "/authority/revocations")
    seen = {"If-None-Match": empty.headers["etag"]}
    assert (await api.rest(token, "GET", "/authority/revocations", headers=seen)).status_code == 304
    await api.data(token, "mutation($id: ID!) { credentialRevoke(id: $id) { revokedAt } }", id=credential["id"])
    listed = (await api.rest(token, "GET", "/authority/revocations", headers=seen)).json()
    made = x509.load_pem_x509_crl(listed["pem"].encode())
    serial = x509.load_pem_x509_certificate(signed["certificate"].encode()).serial_number
    assert [each.serial_number for each in made] == [serial]


async def test_the_mirror_signs_too_and_says_what_is_wrong_with_a_request(api: Api, tenant: Tenant) -> None:
    token, pump = await tenant.api_token(), await tenant.device()
    path = f"/devices/{pump.id}/certificates"
    signed = await api.rest(token, "POST", path, json={"csr": csr.request()})
    assert signed.status_code == 201
    assert signed.json()["certificate"].startswith("-----BEGIN CERTIFICATE-----")
    assert (await api.rest(token, "GET", "/authority")).json()["certificate"] == signed.json()["authority"]
    refused = await api.rest(token, "POST", path, json={"csr": "hello"})
    assert (refused.status_code, refused.json()["code"]) == (422, "CSR_MALFORMED")
    assert (await api.rest(token, "POST", path, json={"csr": csr.request(), "days": 399})).status_code == 400
    viewer = await tenant.api_token(Role.VIEWER)
    assert (await api.rest(viewer, "POST", path, json={"csr": csr.request()})).status_code == 403


async def test_groups_are_made_filled_asked_and_deleted(api: Api, tenant: Tenant) -> None:
    token, pump = await tenant.api_token(), await tenant.device("pump-7")
    await tenant.device("room-1")
    create = "mutation($i: DeviceGroupCreate!) { deviceGroupCreate(input: $i) { id filter deviceCount version } }"
    made = (await api.data(token, create, i={"key": "pumps", "name": "Pumps", "filter": {"keyPrefix": "pump-"}}))[
        "deviceGroupCreate"
    ]
    assert (made["filter"], made["deviceCount"], made["version"]) == ({"keyPrefix": ["pump-"]}, 1, 1)
    found = await api.data(token, "query($g: ID) { devices(groupId: $g) { items { key } } }", g=made["id"])
    assert found == {"devices": {"items": [{"key": "pump-7"}]}}
    assert await api.code(token, create, i={"key": "x", "name": "x", "filter": {"colour": "red"}}) == "FILTER_MALFORMED"
    static = (await api.rest(token, "POST", "/device-groups", json={"key": "mine", "name": "Mine"})).json()
    path = f"/device-groups/{static['id']}"
    filled = await api.rest(token, "POST", f"{path}/devices", json={"deviceIds": [str(pump.id)]})
    assert filled.json()["deviceCount"] == 1
    emptied = await api.rest(token, "POST", f"{path}/devices/remove", json={"deviceIds": [str(pump.id)]})
    assert emptied.json()["deviceCount"] == 0
    renamed = await api.rest(token, "PATCH", path, json={"name": "Ours"})
    assert renamed.json()["name"] == "Ours"
    assert [group["key"] for group in (await api.rest(token, "GET", "/device-groups")).json()["items"]] == [
        "mine",
        "pumps",
    ]
    assert (await api.rest(token, "DELETE", path)).status_code == 200
    assert (await api.rest(token, "GET", path)).status_code == 404


async def test_devices_are_asked_by_whether_they_are_connected(api: Api, tenant: Tenant, postgres: Postgres) -> None:
    token, here = await tenant.api_token(), await tenant.device("here")
    await tenant.device("gone")
    await Line(postgres).change("UPDATE presence SET is_online = true WHERE device_id = %s", here.id)
    for is_online, key in ((True, "here"), (False, "gone")):
        found = await api.data(token, "query($o: Boolean) { devices(isOnline: $o) { items { key } } }", o=is_online)
        assert [item["key"] for item in found["devices"]["items"]] == [key]
    answer = await api.rest(token, "GET", "/devices", params={"isOnline": "true"})
    assert [item["key"] for item in answer.json()["items"]] == ["here"]


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (["site=7"], "a b e"),
        (["site=7", "site=8"], "a b c e"),
        (["site=7", "floor=1"], "a e"),
        (["site=7", "floor"], "a b e"),
        (["owner"], "d"),
        (["owner="], "d"),
        (["owner=x"], ""),
        (["Site=7"], ""),
        ([], "a b c d e"),
        (["it's=100%_\\"], "e"),
    ],
)
async def test_devices_are_found_by_label_page_by_page_in_both_faces(
    api: Api, tenant: Tenant, neighbour: Tenant, labels: list[str], found: str
) -> None:
    described = {
        "a": {"site": "7", "floor": "1"},
        "b": {"site": "7", "floor": "2"},
        "c": {"site": "8"},
        "d": {"owner": ""},
        "e": {"site": "7", "floor": "1", "it's": "100%_\\"},
    }
    for owner in (tenant, neighbour):
        for key, its in described.items():
            device = await owner.device(key)
            async with owner.store.as_tenant(owner.principal()) as tx:
                await devices.change(tx, device.id, labels=its)
    token = await tenant.api_token(Role.VIEWER)
    query = """query($labels: [String!], $after: String) { devices(labels: $labels, first: 2, after: $after) {
      items { key } pageInfo { hasNextPage endCursor } } }"""
    shown, mirrored, after, path = [], [], None, "/devices"
    while True:
        page = (await api.data(token, query, labels=labels, after=after))["devices"]
        shown += [item["key"] for item in page["items"]]
        params = {"labels": labels, "first": 2, **({"after": after} if after else {})}
        mirrored += [item["key"] for item in (await api.rest(token, "GET", path, params=params)).json()["items"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert shown == mirrored == found.split()


async def test_a_label_that_cannot_be_is_refused_and_so_are_too_many(api: Api, tenant: Tenant) -> None:
    token = await tenant.api_token()
    query = "query($labels: [String!]) { devices(labels: $labels) { items { key } } }"
    assert await api.code(token, query, labels=["=7"]) == "FILTER_MALFORMED"
    refused = await api.rest(token, "GET", "/devices", params={"labels": ["x" * 41]})
    assert (refused.status_code, refused.json()["code"]) == (422, "FILTER_MALFORMED")
    assert await api.code(token, query, labels=["a"] * 21) == "BAD_INPUT"
