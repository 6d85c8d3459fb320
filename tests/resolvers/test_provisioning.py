"""The devices' own doorway over HTTP, and what a tenant does about it through both faces of the contract."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest

from engine.audit import service as audit
from engine.devices import groups
from engine.devices import service as devices
from engine.tenancy import Role
from resolvers.arrivals import FAILURES, FAILURES_IN_ALL, Guesses
from resolvers.gateway import Gateway
from schema.errors import TooMany
from tests.support import csr, tokens
from tests.support.api import Api
from tests.support.tenant import Tenant

DOOR, CLAIM = "/ingest/v1/provision", "/ingest/v1/provision/claim"


@pytest.fixture(autouse=True)
def patient(gateway: Gateway) -> Iterator[None]:
    """Each test begins with a clean slate."""
    gateway.arrivals._guesses = Guesses()
    yield
    gateway.arrivals._guesses = Guesses()


async def knock(api: Api, path: str = DOOR, **said: Any) -> httpx.Response:
    """What a device sends, and what it hears."""
    return await api.client.post(path, json=said)


async def make_key(api: Api, secret: str, tenant: Tenant, **more: Any) -> dict[str, Any]:
    profile = await tenant.profile()
    asked = {"name": "batch", "mode": "CREATE", "profileId": str(profile.id), **more}
    answer = await api.rest(secret, "POST", "/provisioners/keys", json=asked)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_a_device_comes_in_by_http_and_may_be_told_all_it_needs(api: Api, tenant: Tenant) -> None:
    secret = await tenant.api_token()
    made = await make_key(api, secret, tenant, maxUses=2)
    answer = await knock(api, key=made["key"], device="pump-1", name="Pump 1", labels={"site": "7"})
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json()
    assert told["username"] == f"{tenant.key}/d/pump-1"
    assert told["topic"] == f"t/{tenant.key}/d/pump-1/up/telemetry"
    assert told["token"].startswith("tgd_")
    by_key = await knock(api, key=made["key"], device="pump-2", publicKey=tokens.jwk(csr.key()))
    assert (by_key.status_code, by_key.json()["credential"]) == (201, "jwt")
    shown = await api.rest(secret, "GET", f"/provisioners/{made['provisioner']['id']}")
    assert shown.json()["uses"] == 2
    assert made["key"] not in shown.text
    found = await api.rest(secret, "GET", "/enrolments", params={"status": "DONE"})
    assert [(each["deviceKey"], each["proof"]) for each in found.json()["items"]] == [
        ("pump-2", "KEY"),
        ("pump-1", "TOKEN"),
    ]


async def test_every_refusal_says_what_to_do(api: Api, tenant: Tenant) -> None:
    secret = await tenant.api_token()
    made = await make_key(api, secret, tenant, maxUses=1)
    await knock(api, key=made["key"], device="pump-1")
    for said, status, code in (
        ({"key": "tgp_wrong", "device": "a"}, 403, "PROVISIONING_KEY_UNKNOWN"),
        ({"key": made["key"], "device": "pump-2"}, 403, "PROVISIONING_ENDED"),
        ({"ticket": "tgw_wrong"}, 403, "TICKET_UNKNOWN"),
        ({"ownershipToken": "tgo_wrong", "device": "a"}, 403, "TICKET_UNKNOWN"),
        ({"device": "a"}, 422, "INTRODUCTION_MALFORMED"),
        ({"key": "a", "ticket": "b"}, 422, "INTRODUCTION_MALFORMED"),
        ({"key": made["key"], "device": "a/b"}, 422, "KEY_MALFORMED"),
        ({"key": 7}, 400, "BAD_INPUT"),
        ({"key": "x", "labels": "none"}, 400, "BAD_INPUT"),
        ({"key": "x", "device": "a\0b"}, 400, "BAD_INPUT"),
        ({"nonsense": "x"}, 400, "BAD_INPUT"),
    ):
        answer = await knock(api, **said)
        told = answer.json()
        assert (answer.status_code, told["code"]) == (status, code), said
        assert answer.headers["content-type"] == "application/problem+json"
        assert len(told["detail"]) > 20
    for body, kind in ((b"{", "application/json"), (b"[]", "application/json"), (b"{}", "text/plain")):
        answer = await api.client.post(DOOR, content=body, headers={"Content-Type": kind})
        assert answer.status_code == 400
    assert (await knock(api, key="x" * 40_000)).status_code == 413
    assert (await knock(api, CLAIM, claim="x.y.z", csr=csr.request())).json()["code"] == "CLAIM_UNKNOWN"
    assert (await knock(api, CLAIM)).json()["code"] == "INTRODUCTION_MALFORMED"


async def test_a_device_that_repeats_what_was_refused_is_slowed_down_and_no_other(api: Api, tenant: Tenant) -> None:
    made = await make_key(api, await tenant.api_token(), tenant)
    for _ in range(FAILURES):
        assert (await knock(api, key="tgp_wrong", device="a")).status_code == 403
    answer = await knock(api, key="tgp_wrong", device="a")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")
    assert (await knock(api, key=made["key"], device="pump-1")).status_code == 201


async def test_that_the_authority_has_ended_is_no_guess_of_the_devices(api: Api, tenant: Tenant) -> None:
    secret = await tenant.api_token()
    made = await make_key(api, secret, tenant)
    asked = {"key": made["key"], "device": "pump-1", "csr": csr.request()}
    assert (await knock(api, **asked | {"device": "first"})).status_code == 201
    tenant.run("UPDATE authorities SET expires_at = now() WHERE tenant_id = %s")
    said = [(await knock(api, **asked)).json()["code"] for _ in range(FAILURES + 1)]
    assert set(said) == {"AUTHORITY_ENDED"}
    assert (await api.rest(secret, "POST", "/authority/renew")).status_code < 300
    assert (await knock(api, **asked)).status_code == 201


def test_an_address_that_guesses_waits_a_minute_while_others_may_try() -> None:
    now = [0.0]
    guesses = Guesses(lambda: now[0])
    for number in range(FAILURES_IN_ALL):
        guesses.check("a", f"guess {number}")
        guesses.failed("a", f"guess {number}")
    guesses.check("b", "guess 1")
    with pytest.raises(TooMany):
        guesses.check("a", "another")
    now[0] = 60.5
    guesses.check("a", "another")


async def test_a_waiting_device_is_let_in_as_another_profile_and_into_a_group(api: Api, tenant: Tenant) -> None:
    secret = await tenant.api_token()
    made = await make_key(api, secret, tenant, needsApproval=True)
    for name in ("pump-1", "pump-2"):
        assert (await knock(api, key=made["key"], device=name, csr=csr.request())).status_code == 202
    asked = await api.data(secret, "{ enrolments(status: PENDING) { items { id deviceKey } } }")
    waiting = {each["deviceKey"]: each["id"] for each in asked["enrolments"]["items"]}
    other = (await tenant.device("other", "warm-room")).profile_id
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        static = (await groups.create(tx, key="shelf", name="Shelf")).id
        dynamic = (await groups.create(tx, key="found", name="Found", filter_={"keyPrefix": "x"})).id
    chosen = {"profileId": str(other), "groupIds": [str(static)]}
    let_in = await api.rest(secret, "POST", f"/enrolments/{waiting['pump-1']}/approve", json=chosen)
    assert let_in.status_code == 200
    async with tenant.store.as_tenant(tenant.principal(), read_only=True) as tx:
        device = await devices.by_key(tx, "pump-1")
        assert device is not None
        assert device.profile_id == other
        assert [each.id for each in (await groups.of_devices(tx, [device.id]))[device.id]] == [static]
        page = await audit.page(tx, action="enrolment.approve")
        assert [entry.target_id for entry in page.items] == [waiting["pump-1"]]
    for wrong, status in (({"profileId": str(uuid4())}, 404), ({"groupIds": [str(dynamic)]}, 409)):
        refused = await api.rest(secret, "POST", f"/enrolments/{waiting['pump-2']}/approve", json=wrong)
        assert refused.status_code == status


async def test_the_queue_is_worked_through_both_faces(api: Api, tenant: Tenant) -> None:
    secret = await tenant.api_token()
    made = await make_key(api, secret, tenant, needsApproval=True)
    tickets = {}
    for name in ("pump-1", "pump-2"):
        answer = await knock(api, key=made["key"], device=name, csr=csr.request())
        assert (answer.status_code, answer.headers["retry-after"]) == (202, "30")
        tickets[name] = answer.json()["ticket"]
    assert (await knock(api, ticket=tickets["pump-1"])).status_code == 202
    asked = await api.data(secret, "{ enrolments(status: PENDING) { items { id deviceKey address provisionerId } } }")
    waiting = {each["deviceKey"]: each["id"] for each in asked["enrolments"]["items"]}
    approved = await api.rest(secret, "POST", f"/enrolments/{waiting['pump-1']}/approve", json={})
    assert (approved.status_code, approved.json()["status"]) == (200, "APPROVED")
    refused = await api.data(
        secret,
        'mutation ($id: ID!) { enrolmentRefuse(id: $id, reason: "Not ours.") { status reason decidedBy } }',
        id=waiting["pump-2"],
    )
    assert refused["enrolmentRefuse"]["status"] == "REFUSED"
    admitted = await knock(api, ticket=tickets["pump-1"])
    assert admitted.status_code == 201
    assert "BEGIN CERTIFICATE" in admitted.json()["certificate"]
    turned_away = await knock(api, ticket=tickets["pump-2"])
    assert (turned_away.status_code, turned_away.json()["detail"]) == (403, "Not ours.")
    again = await api.rest(secret, "POST", f"/enrolments/{waiting['pump-1']}/approve", json={})
    assert (again.status_code, again.json()["code"]) == (409, "ENROLMENT_DECIDED")


async def test_a_way_in_is_made_changed_and_closed_and_noted(api: Api, tenant: Tenant) -> None:
    secret = await tenant.api_token()
    made = await make_key(api, secret, tenant, rule={"cases": [], "otherwise": {"refuse": "Closed for now."}})
    way = made["provisioner"]["id"]
    turned_away = await knock(api, key=made["key"], device="pump-1")
    assert turned_away.json()["detail"] == "Closed for now."
    seen = {"If-Match": (await api.rest(secret, "GET", f"/provisioners/{way}")).headers["etag"]}
    changed = await api.rest(secret, "PATCH", f"/provisioners/{way}", json={"rule": {}}, headers=seen)
    assert changed.status_code == 200, changed.text
    assert (changed.status_code, changed.json()["rule"], changed.json()["version"]) == (200, None, 2)
    stale = await api.rest(secret, "PATCH", f"/provisioners/{way}", json={"name": "x"}, headers=seen)
    assert stale.status_code == 412
    assert (await knock(api, key=made["key"], device="pump-1")).status_code == 201
    assert (await api.rest(secret, "DELETE", f"/provisioners/{way}")).json()["revokedAt"]
    assert (await knock(api, key=made["key"], device="pump-2")).json()["code"] == "PROVISIONING_ENDED"
    log = await api.data(secret, "{ audit(first: 50) { items { action actorKind result reason before after } } }")
    noted = [(each["action"], each["actorKind"], each["result"]) for each in log["audit"]["items"]]
    for deed in (
        ("provisioner.create", "token", "DONE"),
        ("device.introduce", "provisioner", "REFUSED"),
        ("provisioner.change", "token", "DONE"),
        ("device.provision", "provisioner", "DONE"),
        ("credential.issue", "provisioner", "DONE"),
        ("provisioner.revoke", "token", "DONE"),
    ):
        assert deed in noted
    assert made["key"] not in orjson.dumps(log).decode()


async def test_a_malformed_rule_is_refused_where_it_is_written(api: Api, tenant: Tenant) -> None:
    secret = await tenant.api_token()
    profile = await tenant.profile()
    asked = {"name": "x", "mode": "CREATE", "profileId": str(profile.id), "rule": {"cases": [{"when": {"eval": 1}}]}}
    answer = await api.rest(secret, "POST", "/provisioners/keys", json=asked)
    assert (answer.status_code, answer.json()["code"]) == (422, "PROVISIONING_RULE_MALFORMED")
    asked["rule"] = {"cases": [], "otherwise": {"profile": "nobody"}}
    assert (await api.rest(secret, "POST", "/provisioners/keys", json=asked)).json()["code"] == "PROFILE_NOT_FOUND"


async def test_a_rule_may_be_tried_out_before_a_device_does(api: Api, tenant: Tenant) -> None:
    secret = await tenant.api_token()
    is_7 = {"===": [{"var": "labels.site"}, "7"]}
    rule = {"cases": [{"when": is_7, "then": {"groups": ["a"]}}], "otherwise": {"refuse": "Site 7 only."}}
    path = "/provisioners/rules/check"
    for labels, admits, words in (({"site": "7"}, True, None), ({"site": "8"}, False, "Site 7 only.")):
        answer = await api.rest(secret, "POST", path, json={"rule": rule, "device": "pump", "labels": labels})
        assert (answer.status_code, answer.json()["admits"], answer.json()["refusal"]) == (200, admits, words)
    unknown = await api.rest(secret, "POST", path, json={"rule": rule, "device": "pump"})
    assert "cannot be told" in unknown.json()["refusal"]
    malformed = await api.rest(secret, "POST", path, json={"rule": {"cases": 7}, "device": "pump"})
    assert (malformed.status_code, malformed.json()["code"]) == (422, "PROVISIONING_RULE_MALFORMED")


async def test_a_public_key_is_registered_by_api_and_a_private_one_sent_back(api: Api, tenant: Tenant) -> None:
    secret, device = await tenant.api_token(), await tenant.device()
    path, key = f"/devices/{device.id}/public-keys", csr.key()
    answer = await api.rest(secret, "POST", path, json={"publicKey": tokens.public(key)})
    assert (answer.status_code, answer.json()["kind"]) == (201, "jwt")
    again = await api.rest(secret, "POST", path, json={"publicKey": orjson.dumps(tokens.jwk(key)).decode()})
    assert (again.status_code, again.json()["code"]) == (409, "PUBLIC_KEY_TAKEN")
    private = await api.rest(secret, "POST", path, json={"publicKey": csr.pem(key)})
    assert private.json()["code"] == "PUBLIC_KEY_PRIVATE"
    nobody = await api.rest(secret, "POST", f"/devices/{uuid4()}/public-keys", json={"publicKey": tokens.public(key)})
    assert nobody.status_code == 404
    shown = await api.data(secret, "query ($id: ID!) { device(id: $id) { credentials { kind } } }", id=str(device.id))
    assert shown["device"]["credentials"] == [{"kind": "jwt"}]


async def test_whoever_may_only_read_makes_no_way_in(api: Api, tenant: Tenant) -> None:
    viewer = await tenant.api_token(Role.VIEWER)
    answer = await api.rest(viewer, "POST", "/provisioners/keys", json={"name": "x", "mode": "PREREGISTERED"})
    assert answer.status_code == 403
    assert (await api.rest(viewer, "GET", "/provisioners")).status_code == 200


_DEEP: Any = "x"
for _ in range(200):
    _DEEP = [_DEEP]


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"{}",
        b'{"key": null}',
        b'{"key": "\\ud800", "device": "a"}',
        b'{"key": "tgp_\\u0000", "device": "a"}',
        b'{"key": "\xff"}',
        b'{"key": 1e999}',
        b'{"key": ["a"]}',
        b'{"publicKey": null, "key": "x"}',
        b'{"labels": {"a": {"b": 1}}, "key": "x"}',
        orjson.dumps({"key": "x", "publicKey": _DEEP}),
        orjson.dumps({"key": "tgp_" + "A" * 64, "device": "a", "name": "b" * 30_000}),
        orjson.dumps({"ticket": "tgw_" + "\u00e9" * 64}),
        orjson.dumps({"claim": "a.b.c", "csr": "x", "device": "'; DROP TABLE devices; --"}),
        orjson.dumps({"claim": "eyJhbGciOiJFUzI1NiIsIng1YyI6W119.e30." + "A" * 86, "csr": "x"}),
    ],
    ids=lambda body: repr(body)[:40],
)
@pytest.mark.parametrize("path", [DOOR, CLAIM])
async def test_hostile_bodies_are_refused_in_words(api: Api, path: str, body: bytes) -> None:
    answer = await api.client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 403, 422)
    assert len(answer.json()["detail"]) > 10


async def test_a_sound_jwk_of_any_depth_and_a_stolen_x5c_open_nothing(api: Api, tenant: Tenant) -> None:
    made = await make_key(api, await tenant.api_token(), tenant)
    odd = {**tokens.jwk(csr.key()), "x": "\u00e9" * 43}
    answer = await knock(api, key=made["key"], device="pump-1", publicKey=odd)
    assert (answer.status_code, answer.json()["code"]) == (422, "PUBLIC_KEY_MALFORMED")
    header = {"alg": "ES256", "x5c": ["AAAA"]}
    answer = await knock(api, CLAIM, claim=tokens.jws(csr.key(), {}, header), csr=csr.request())
    assert answer.json()["code"] == "CLAIM_UNKNOWN"
