"""Fleets through the contract: shut out and let in again, over GraphQL and over its REST mirror."""

from engine.tenancy import Role
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
