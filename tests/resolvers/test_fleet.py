"""Fleets on both faces: tables come in, devices are held, retired, erased, handed over and audited."""

import csv
import io

from engine.devices import erase
from engine.drain import Drain
from engine.fleet import transfer
from engine.store.pool import Store
from engine.tenancy import Role, system
from tests.support.api import Api
from tests.support.tenant import Tenant

IMPORT = """mutation($csv: String!, $dry: Boolean!) { deviceImport(csv: $csv, dryRun: $dry) {
  isDryRun total new same wrong lines { line key outcome column message } credentials } }"""


async def test_a_table_comes_in_by_graphql_and_is_known_by_rest(api: Api, tenant: Tenant) -> None:
    await tenant.profile()
    token = await tenant.api_token()
    table = "key,profile\npump-1,cold-room\npump-2,none\npump-3,cold-rom\npump-4,Cold Room\n"
    dry = (await api.data(token, IMPORT, csv=table, dry=True))["deviceImport"]
    assert (dry["isDryRun"], dry["new"], dry["wrong"], dry["credentials"]) == (True, 1, 3, None)
    meant = [each["message"].partition(". ")[2] for each in dry["lines"] if each["outcome"] == "WRONG"]
    assert meant == ["", "Did you mean 'cold-room'?", "Did you mean 'cold-room'?"]
    assert dry["lines"][0] == {
        "line": 3,
        "key": "pump-2",
        "outcome": "WRONG",
        "column": "profile",
        "message": "There is no profile with the key 'none'.",
    }
    done = (await api.data(token, IMPORT, csv=table, dry=False))["deviceImport"]
    assert [row["key"] for row in csv.DictReader(io.StringIO(done["credentials"]))] == ["pump-1"]
    again = await api.rest(token, "POST", "/devices/import", json={"csv": table, "dryRun": False, "show": 0})
    assert again.status_code == 200
    assert again.headers["cache-control"] == "no-store"
    assert (again.json()["same"], again.json()["wrong"], again.json()["lines"]) == (1, 3, [])


async def test_a_long_table_is_taken_on_both_faces_from_who_is_known(api: Api, tenant: Tenant) -> None:
    profile = await tenant.profile()
    token = await tenant.api_token()
    table = "key,name\n" + "".join(f"pump-{n},{'a long name ' * 6}\n" for n in range(1_000))
    assert len(table) > 64 * 1024
    query = "mutation($csv: String!, $p: ID) { deviceImport(csv: $csv, profileId: $p) { new } }"
    assert (await api.data(token, query, csv=table, p=str(profile.id)))["deviceImport"] == {"new": 1_000}
    answer = await api.rest(token, "POST", "/devices/import", json={"csv": table, "profileId": str(profile.id)})
    assert answer.json()["new"] == 1_000
    stranger = await api.client.post("/graphql", json={"query": query, "variables": {"csv": table}})
    assert stranger.status_code == 413
    elsewhere = await api.rest(token, "PATCH", f"/profiles/{profile.id}", json={"name": table})
    assert elsewhere.status_code == 413
    too_long = await api.rest(token, "POST", "/devices/import", json={"csv": "x" * (3 * 1024 * 1024)})
    assert too_long.status_code == 413


async def test_what_is_no_table_is_a_problem(api: Api, tenant: Tenant) -> None:
    answer = await api.rest(await tenant.api_token(), "POST", "/devices/import", json={"csv": "name\nPump\n"})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/sheet-malformed")


async def test_a_device_is_held_and_let_out(api: Api, tenant: Tenant) -> None:
    pump = await tenant.device()
    token = await tenant.api_token()
    held = await api.rest(token, "POST", f"/devices/{pump.id}/quarantine", json={"reason": "It sends nonsense."})
    assert (held.json()["status"], held.json()["quarantineReason"]) == ("QUARANTINED", "It sends nonsense.")
    listed = await api.rest(token, "GET", "/devices", params={"status": "QUARANTINED"})
    assert [item["id"] for item in listed.json()["items"]] == [str(pump.id)]
    stuck = await api.rest(token, "POST", f"/devices/{pump.id}/resume", json={})
    assert (stuck.status_code, stuck.json()["code"]) == (409, "DEVICE_STUCK")
    query = "mutation($id: ID!) { deviceRelease(id: $id) { device { status quarantineReason } token } }"
    free = (await api.data(token, query, id=str(pump.id)))["deviceRelease"]
    assert free["device"] == {"status": "PROVISIONED", "quarantineReason": None}
    assert free["token"].startswith("tgd_")


async def test_a_device_ends_with_its_data_and_leaves_its_key_when_named(
    api: Api, tenant: Tenant, worker_store: Store
) -> None:
    pump = await tenant.device("pump-7")
    token = await tenant.api_token()
    ended = await api.rest(token, "DELETE", f"/devices/{pump.id}", params={"erase": "true"})
    assert ended.json()["status"] == "DECOMMISSIONED"
    waiting = await api.rest(token, "GET", f"/devices/{pump.id}/erasure")
    assert (waiting.json()["status"], waiting.json()["finishedAt"]) == ("waiting", None)
    await Drain(worker_store).run(tenant.id)
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        assert await erase.step(tx)
    erased = await api.data(token, "{ deviceErasures { items { deviceId status erased { kind rows } } } }")
    (only,) = erased["deviceErasures"]["items"]
    assert (only["deviceId"], only["status"]) == (str(pump.id), "finished")
    new = {"key": "pump-7", "profileId": str(pump.profile_id)}
    taken = await api.rest(token, "POST", "/devices", json=new)
    assert (taken.status_code, taken.json()["details"]) == (409, {"replaces": str(pump.id)})
    made = await api.rest(token, "POST", "/devices", json={**new, "replaces": str(pump.id)})
    assert made.status_code == 201
    former = await api.rest(token, "GET", f"/devices/{pump.id}")
    assert former.json()["formerKey"] == "pump-7"


async def test_whoever_may_decommission_may_not_therefore_erase(api: Api, tenant: Tenant) -> None:
    pump = await tenant.device("pump-7")
    operator = await tenant.api_token(Role.OPERATOR)
    refused = await api.rest(operator, "DELETE", f"/devices/{pump.id}", params={"erase": "true"})
    assert (refused.status_code, refused.json()["code"]) == (403, "FORBIDDEN")
    assert (await api.rest(operator, "GET", f"/devices/{pump.id}")).json()["status"] == "PROVISIONED"
    assert (await api.rest(operator, "DELETE", f"/devices/{pump.id}")).json()["status"] == "DECOMMISSIONED"
    later = await api.rest(operator, "POST", f"/devices/{pump.id}/erase")
    assert (later.status_code, later.json()["details"]) == (403, {"scope": "devices:erase"})
    admin = await tenant.api_token(Role.ADMIN)
    assert (await api.rest(admin, "POST", f"/devices/{pump.id}/erase")).json()["status"] == "waiting"


async def test_a_device_is_handed_over(api: Api, tenant: Tenant, neighbour: Tenant, worker_store: Store) -> None:
    pump = await tenant.device("pump-7")
    giver, taker = await tenant.api_token(), await neighbour.api_token()
    offer = await api.rest(giver, "POST", f"/devices/{pump.id}/transfer", json={"toTenant": neighbour.key})
    assert offer.status_code == 201
    assert offer.headers["cache-control"] == "no-store"
    assert offer.json()["moves"]
    assert any("history" in each for each in offer.json()["stays"])
    listed = await api.rest(giver, "GET", "/transfers")
    assert [(item["status"], item["toTenant"]) for item in listed.json()["items"]] == [("OFFERED", neighbour.key)]
    assert "code" not in listed.json()["items"][0]
    query = """mutation($code: String!) { deviceTransferAccept(code: $code) {
      device { id key } token isNewProfile moves stays } }"""
    got = (await api.data(taker, query, code=offer.json()["code"]))["deviceTransferAccept"]
    assert (got["device"]["key"], got["isNewProfile"]) == ("pump-7", True)
    assert await api.code(taker, query, code=offer.json()["code"]) == "DEVICE_KEY_TAKEN"
    again = await api.rest(taker, "POST", "/transfers/accept", json={"code": offer.json()["code"], "key": "second"})
    assert (again.status_code, again.json()["code"]) == (409, "TRANSFER_CODE_SPENT")
    await transfer.settle(worker_store, neighbour.id)
    done = await api.rest(giver, "GET", f"/transfers/{offer.json()['transfer']['id']}")
    assert done.json()["status"] == "ACCEPTED"


async def test_the_fleet_is_audited_and_findings_put_aside(api: Api, tenant: Tenant) -> None:
    rich = await tenant.device()
    for _ in range(3):
        await tenant.device_token(rich)
    token = await tenant.api_token()
    assert await api.code(token, "{ fleetAudit { id } }") == "NOT_AUDITED"
    made = await api.rest(token, "POST", "/fleet/audit", json={})
    assert (await api.rest(token, "GET", "/fleet/audit")).json() == made.json()
    assert next(f["found"] for f in made.json()["figures"] if f["kind"] == "tokens_many") == 1
    (finding,) = (await api.rest(token, "GET", "/fleet/findings", params={"deviceId": str(rich.id)})).json()["items"]
    assert (finding["severity"], finding["facts"]) == ("LOW", {"credentials": 3})
    assert finding["mend"]
    path = f"/fleet/findings/{finding['id']}"
    aside = await api.rest(token, "POST", f"{path}/suppress", json={"reason": "Three gateways share it."})
    assert (aside.json()["status"], aside.json()["suppressedReason"]) == ("SUPPRESSED", "Three gateways share it.")
    assert (await api.rest(token, "GET", "/fleet/findings")).json()["items"] == []
    back = await api.rest(token, "POST", f"{path}/restore", json={})
    assert back.json()["status"] == "OPEN"


async def test_all_of_it_is_in_the_audit_log_and_none_of_it_is_a_viewers(api: Api, tenant: Tenant) -> None:
    pump = await tenant.device()
    owner, viewer = await tenant.api_token(), await tenant.api_token(Role.VIEWER)
    posts = (
        (f"/devices/{pump.id}/quarantine", {"reason": "x"}),
        (f"/devices/{pump.id}/release", {}),
        (f"/devices/{pump.id}/transfer", {}),
        ("/devices/import", {"csv": "key\np\n"}),
        ("/fleet/audit", {}),
    )
    for path, body in posts:
        assert (await api.rest(viewer, "POST", path, json=body)).status_code == 403
    for path, body in posts:
        assert (await api.rest(owner, "POST", path, json=body)).status_code in (200, 201)
    log = await api.data(owner, "{ audit(first: 50) { items { action result } } }")
    done = {entry["action"] for entry in log["audit"]["items"] if entry["result"] == "DONE"}
    assert {"device.quarantine", "device.release", "transfer.offer", "fleet.audit"} <= done
    denied = {entry["action"] for entry in log["audit"]["items"] if entry["result"] == "DENIED"}
    assert {"deviceQuarantine", "deviceRelease", "deviceTransferOffer", "deviceImport", "fleetAuditRun"} <= denied
