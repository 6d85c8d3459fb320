"""Fleets through the contract: shut out and let in again, over GraphQL and over its REST mirror."""

from cryptography import x509

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


async def test_a_certificate_is_signed_listed_and_taken_back(api: Api, tenant: Tenant) -> None:
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
    await api.data(token, "mutation($id: ID!) { credentialRevoke(id: $id) { revokedAt } }", id=credential["id"])
    listed = (await api.rest(token, "GET", "/authority/revocations")).json()
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
    Line(postgres).change("UPDATE presence SET is_online = true WHERE device_id = %s", here.id)
    for is_online, key in ((True, "here"), (False, "gone")):
        found = await api.data(token, "query($o: Boolean) { devices(isOnline: $o) { items { key } } }", o=is_online)
        assert [item["key"] for item in found["devices"]["items"]] == [key]
    answer = await api.rest(token, "GET", "/devices", params={"isOnline": "true"})
    assert [item["key"] for item in answer.json()["items"]] == ["here"]
