"""A tenant's certificate authority is renewed and retired over the contract, and what goes with it is said first."""

from cryptography import x509

from engine.certificates import service as certificates
from engine.fleet import audit
from engine.fleet.model import Finding
from engine.store.pool import Store
from engine.tenancy import Role, system
from infra.local.postgres import Postgres
from tests.support import csr
from tests.support.api import Api
from tests.support.line import Line
from tests.support.tenant import Tenant

SIGN = """mutation($id: ID!, $csr: String!) { certificateSign(deviceId: $id, csr: $csr) {
  authority isShortened credential { id } } }"""
STANDING = """{ certificateAuthorities { authority { id state subject } certificates devices stranded claims } }"""


async def test_the_mirror_renews_and_retires_and_says_first_what_it_would_cut_off(api: Api, tenant: Tenant) -> None:
    token, viewer = await tenant.api_token(), await tenant.api_token(Role.VIEWER)
    nothing = await api.rest(token, "POST", "/authority/renew")
    assert (nothing.status_code, nothing.json()["code"]) == (404, "NO_AUTHORITY")
    assert (await api.rest(token, "GET", "/authorities")).json() == []
    pump = await tenant.device()
    signed = (await api.data(token, SIGN, id=str(pump.id), csr=csr.request()))["certificateSign"]
    assert not signed["isShortened"]
    for path in ("/authority/renew", f"/authorities/{pump.id}/retire"):
        assert (await api.rest(viewer, "POST", path, json={})).status_code == 403
    renewed = await api.rest(token, "POST", "/authority/renew")
    assert (renewed.status_code, renewed.json()["state"]) == (201, "CURRENT")
    assert renewed.json()["certificate"] != signed["authority"]

    found = (await api.data(token, STANDING))["certificateAuthorities"]
    assert [each["authority"]["state"] for each in found] == ["CURRENT", "RETIRING"]
    former = found[1]["authority"]["id"]
    assert [found[1][name] for name in ("certificates", "devices", "stranded", "claims")] == [1, 1, 1, 0]
    current = await api.rest(token, "POST", f"/authorities/{renewed.json()['id']}/retire", json={})
    assert (current.status_code, current.json()["code"]) == (409, "AUTHORITY_CURRENT")
    doubted = await api.rest(token, "POST", f"/authorities/{former}/retire", json={})
    assert (doubted.status_code, doubted.json()["code"]) == (409, "AUTHORITY_IN_USE")
    assert "1 certificates of 1 devices" in doubted.json()["detail"]
    retired = await api.rest(token, "POST", f"/authorities/{former}/retire", json={"inUse": 1})
    assert (retired.status_code, retired.json()["authority"]["state"]) == (200, "RETIRED")
    listed = (await api.rest(token, "GET", "/authority/revocations", params={"authorityId": former})).json()
    assert len(x509.load_pem_x509_crl(listed["pem"].encode())) == 1
    assert (await api.rest(token, "GET", "/authority/revocations")).json()["revoked"] == 0


async def test_another_tenants_authority_is_nobodys(api: Api, tenant: Tenant, neighbour: Tenant) -> None:
    token, theirs = await tenant.api_token(), await neighbour.api_token()
    for each, of in ((token, tenant), (theirs, neighbour)):
        await api.data(each, SIGN, id=str((await of.device()).id), csr=csr.request())
        await api.rest(each, "POST", "/authority/renew")
    former = (await api.data(theirs, STANDING))["certificateAuthorities"][1]["authority"]["id"]
    retire = await api.rest(token, "POST", f"/authorities/{former}/retire", json={"inUse": 9})
    for answer in (retire, await api.rest(token, "GET", "/authority/revocations", params={"authorityId": former})):
        assert (answer.status_code, answer.json()["code"]) == (404, "AUTHORITY_NOT_FOUND")
    standing = (await api.data(theirs, STANDING))["certificateAuthorities"]
    assert [each["certificates"] for each in standing] == [0, 1]


async def test_the_daily_audit_asks_to_retire_what_nobody_needs_and_to_renew_what_ends(
    api: Api, tenant: Tenant, store: Store, worker_store: Store, postgres: Postgres
) -> None:
    token, line = await tenant.api_token(), Line(postgres)
    pump = await tenant.device()
    await api.data(token, SIGN, id=str(pump.id), csr=csr.request())
    await api.rest(token, "POST", "/authority/renew")

    async def audited() -> dict[str, Finding]:
        async with worker_store.as_tenant(system(tenant.id)) as tx:
            await audit.run(tx, "daily")
        async with store.as_tenant(tenant.principal(), read_only=True) as tx:
            return {each.kind: each for each in (await audit.page(tx)).items if each.kind.startswith("authority_")}

    later = "UPDATE authorities SET superseded_at = now() - interval '31 days' WHERE tenant_id = %s AND number = 1"
    await line.change(later, tenant.id)
    assert await audited() == {}, "a device needs it still"
    await line.change("UPDATE authorities SET expires_at = now() + interval '80 days' WHERE tenant_id = %s", tenant.id)
    found = await audited()
    assert set(found) == {"authority_expiring"}
    async with store.as_tenant(tenant.principal()) as tx:
        former = (await certificates.authorities_of(tx))[1]
    await line.change("UPDATE credentials SET revoked_at = now() WHERE device_id = %s", pump.id)
    found = await audited()
    assert found["authority_left_behind"].subject == str(former.id)
    await api.rest(token, "POST", f"/authorities/{former.id}/retire", json={})
    await line.change("UPDATE authorities SET expires_at = now() + interval '1 year' WHERE tenant_id = %s", tenant.id)
    assert await audited() == {}
