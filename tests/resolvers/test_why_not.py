"""Why rules did not fire and whose clock they go by, over the contract."""

from engine import clock
from engine.drain import Drain
from engine.store.pool import Store
from engine.tenancy import Role
from tests.resolvers.test_rules import above, document
from tests.support.api import Api
from tests.support.tenant import Tenant


async def test_what_a_rule_saw_when_it_did_not_fire_is_told_page_by_page(
    api: Api, tenant: Tenant, worker_store: Store
) -> None:
    secret, rooms = await tenant.api_token(), [await tenant.device() for _ in range(2)]
    made = [
        (await api.rest(secret, "POST", "/rules", json={"document": document(above(9 + n))})).json() for n in (0, 1)
    ]
    tenant.tell([(rooms[0].id, clock.now_ms(), {"temperature": 4.2})])
    await Drain(worker_store).run(tenant.id)
    first = (await api.rest(secret, "GET", "/rule-non-firings?first=1")).json()
    assert first["pageInfo"]["hasNextPage"]
    rest = (await api.rest(secret, "GET", f"/rule-non-firings?after={first['pageInfo']['endCursor']}")).json()
    looks = [*first["items"], *rest["items"]]
    assert {look["ruleId"] for look in looks} == {rule["id"] for rule in made}
    of_one = (await api.rest(secret, "GET", f"/rule-non-firings?ruleId={made[0]['id']}&deviceId={rooms[0].id}")).json()
    (look,) = of_one["items"]
    assert look["reason"] == "temperature is 4.2 °C, not above 9 °C (4.8 °C away)"
    assert (look["verdict"], look["isNear"], look["isWaiting"]) == (False, False, False)
    assert look["why"]["seen"] == 4.2
    none = (await api.rest(secret, "GET", f"/rule-non-firings?deviceId={rooms[1].id}")).json()
    assert none["items"] == []
    unknown = await api.rest(secret, "GET", f"/rule-non-firings?ruleId={rooms[0].id}")
    assert (unknown.status_code, unknown.json()["type"].rsplit("/")[-1]) == (404, "rule-not-found")


async def test_owners_and_admins_set_the_organisations_time_zone(api: Api, tenant: Tenant) -> None:
    secret, reader = await tenant.api_token(), await tenant.api_token(Role.DESIGNER)
    said = await api.rest(secret, "PATCH", "/tenant", json={"timeZone": "Europe/Berlin"})
    assert (said.status_code, said.json()["timeZone"]) == (200, "Europe/Berlin")
    assert (await api.rest(reader, "GET", "/me")).json()["tenant"]["timeZone"] == "Europe/Berlin"
    unknown = await api.rest(secret, "PATCH", "/tenant", json={"timeZone": "Atlantis"})
    assert (unknown.status_code, unknown.json()["type"].rsplit("/")[-1]) == (422, "time-zone-unknown")
    assert (await api.rest(reader, "PATCH", "/tenant", json={"timeZone": "UTC"})).status_code == 403
