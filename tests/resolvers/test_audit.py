"""Who is turned away is noted as well as who is let through."""

import httpx

from engine.tenancy import Role
from tests.support.tenant import Tenant


async def test_a_denied_try_and_a_deed_are_both_in_the_log(served: str, tenant: Tenant) -> None:
    device = await tenant.device()
    reader, owner = await tenant.api_token(Role.VIEWER), await tenant.api_token()
    async with httpx.AsyncClient(base_url=f"http://{served}/api/v1", trust_env=False) as client:
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
