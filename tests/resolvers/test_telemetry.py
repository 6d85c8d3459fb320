"""Newest values through the contract: what is in doubt is said so, whichever way one asks."""

from engine import clock
from engine.drain import Drain
from engine.store.pool import Store
from tests.support.api import Api
from tests.support.tenant import Tenant

ONE = "query($id: ID!) { device(id: $id) { latest { metric value time quality reason } } }"
LISTED = "{ devices { items { isOnline latest { metric value quality } } } }"


async def test_a_newest_value_says_what_the_device_said_of_it(api: Api, tenant: Tenant, worker_store: Store) -> None:
    room, token, at = await tenant.device(), await tenant.api_token(), clock.now_ms() - 5_000
    tenant.tell(
        [(room.id, at, {"temperature": 4, "humidity": 40, "mode": "auto"}), (room.id, at + 1, {"mode": "auto"})],
        doubted={"0": {"humidity": "uncertain"}, "1": {"temperature": "bad", "door": "bad"}},
    )
    why = {"metric": "door", "error": "unit 3 does not answer"}
    tenant.happen("device.event", device=str(room.id), type="point-failed", at=at, received=at, data=why)
    await Drain(worker_store).run(tenant.id)
    said = {"temperature": (4, "bad"), "humidity": (40, "uncertain"), "mode": ("auto", None), "door": (None, "bad")}
    latest = (await api.data(token, ONE, id=str(room.id)))["device"]["latest"]
    assert {each["metric"]: (each["value"], each["quality"]) for each in latest} == said
    assert {each["metric"]: each["reason"] for each in latest if each["reason"]} == {"door": why["error"]}
    assert {each["metric"]: each["time"] for each in latest}["temperature"][:23] == clock.from_ms(at).isoformat()[:23]
    [listed] = (await api.data(token, LISTED))["devices"]["items"]
    assert {each["metric"]: (each["value"], each["quality"]) for each in listed["latest"]} == said
    mirrored = (await api.rest(token, "GET", f"/devices/{room.id}/latest")).json()
    assert {each["metric"]: (each["value"], each["quality"]) for each in mirrored} == said
