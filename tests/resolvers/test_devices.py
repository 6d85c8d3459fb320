"""Fleets through the contract: shut out and let in again, over GraphQL and over its REST mirror."""

from cryptography import x509

from engine.tenancy import Role
from tests.support import csr
from tests.support.api import Api
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
