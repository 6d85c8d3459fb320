"""Rules over the contract: what is odd is told beside what is wrong, templates are offered and filled, changes said."""

from typing import Any

from engine import clock
from engine.devices import service as devices
from engine.devices.model import Metric, MetricType
from engine.drain import Drain
from engine.rules import service as rules
from engine.rules.words import intentions
from engine.store.pool import Store
from tests.support.api import Api
from tests.support.rules import too_warm
from tests.support.tenant import Tenant

METRICS = [Metric("temperature", MetricType.NUMBER, unit="degF"), Metric("battery", MetricType.NUMBER, unit="percent")]


async def cold_room(tenant: Tenant) -> None:
    """A profile that measures in °F."""
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.profile_create(tx, key="cold-room", name="Cold room", metrics=METRICS)


def document(when: dict[str, Any], **more: Any) -> dict[str, Any]:
    return too_warm(name="Rule", when=when) | more


def above(limit: float, **more: Any) -> dict[str, Any]:
    return {"metric": "temperature", "op": ">", "value": limit, "unit": "degC", **more}


async def test_a_check_tells_what_is_wrong_or_what_is_odd(api: Api, tenant: Tenant) -> None:
    secret = await tenant.api_token()
    await cold_room(tenant)
    broken = document({"group": "00000000-0000-0000-0000-00000000000a"}, then=[{"do": "notify", "policy": "nobody"}])
    wrong = (await api.rest(secret, "POST", "/rules/check", json={"document": broken})).json()
    assert [each["path"] for each in wrong["problems"]] == ["$.when.group", "$.then[0].policy"]
    odd = (await api.rest(secret, "POST", "/rules/check", json={"document": document(above(8))})).json()
    assert (odd["problems"], odd["sentence"].split(",")[0]) == ([], "When temperature is above 8 °C")
    assert [(each["weight"], each["path"]) for each in odd["warnings"]] == [("WARNING", "$.when")]
    clear = {"when": {"metric": "temperature", "op": "<", "value": 44.4}}
    edit = {"kind": "SET", "path": "$.clear", "value": clear}
    assert odd["warnings"][0]["fix"] == {"words": "clear only below 44.4 °F", "edits": [edit]}
    mended = document(above(8), clear=clear)
    assert (await api.rest(secret, "POST", "/rules/check", json={"document": mended})).json()["warnings"] == []


async def test_a_rule_tells_what_it_does_and_whether_it_can_be_read(api: Api, tenant: Tenant) -> None:
    secret = await tenant.api_token()
    await cold_room(tenant)
    acts = [{"do": "alert"}, {"do": "tag", "add": "warm"}]
    made = (await api.rest(secret, "POST", "/rules", json={"document": document(above(8), then=acts)})).json()
    assert (made["actions"], made["isReadable"]) == (["alert", "tag"], True)
    tenant.run("UPDATE rules SET document = document - 'when' WHERE tenant_id = %s")
    (found,) = (await api.rest(secret, "GET", "/rules")).json()["items"]
    assert (found["actions"], found["isReadable"]) == (["alert", "tag"], False)
    tenant.run("""UPDATE rules SET document = '{"v": 9, "then": "x"}' WHERE tenant_id = %s""")
    again = (await api.rest(secret, "GET", f"/rules/{made['id']}")).json()
    assert (again["actions"], again["isReadable"]) == ([], False)
    assert "can no longer be read" in again["sentence"]


async def test_rules_are_listed_in_four_orders_and_say_when_they_last_fired(api: Api, tenant: Tenant) -> None:
    secret = await tenant.api_token()
    room = await tenant.device("room-1")
    ids = {}
    for name in ("beta", "Alpha", "delta", "Gamma"):
        made = (await api.rest(secret, "POST", "/rules", json={"document": document(above(8), name=name)})).json()
        ids[name] = made["id"]
    await api.rest(secret, "PATCH", f"/rules/{ids['Alpha']}", json={"document": document(above(9), name="Alpha")})
    fired = (
        ("Gamma", "alerts", "raised_at, severity, status", "'2026-01-02Z', 'major', 'active'"),
        ("Gamma", "rule_firings", "fired_at, would", "'2026-01-04Z', '[]'"),  # and later it only watched
        ("delta", "rule_firings", "fired_at, would", "'2026-01-03Z', '[]'"),
    )
    for name, table, columns, values in fired:
        tenant.run(
            f"INSERT INTO {table} (tenant_id, id, rule_id, rule_version, device_id, episode, reason, why, {columns}) "
            f"VALUES (%s, gen_random_uuid(), '{ids[name]}', 1, '{room.id}', 1, 'warm', '{{}}', {values})"
        )
    listed = {
        "MADE": ["beta", "Alpha", "delta", "Gamma"],
        "CHANGED": ["Alpha", "Gamma", "delta", "beta"],
        "NAME": ["Alpha", "beta", "delta", "Gamma"],
        "FIRED": ["Gamma", "delta", "Alpha", "beta"],
    }
    for order, names in listed.items():
        found, path = [], f"/rules?first=1&order={order}"
        for _ in names:
            page = (await api.rest(secret, "GET", path)).json()
            found += page["items"]
            path = f"/rules?first=1&order={order}&after={page['pageInfo']['endCursor']}"
        assert [each["name"] for each in found] == names
        assert (await api.rest(secret, "GET", path)).json()["items"] == []
    at = {each["name"]: each["lastFiredAt"] for each in found}
    assert (at["Alpha"], at["delta"][:10], at["Gamma"][:10]) == (None, "2026-01-03", "2026-01-04")
    assert (await api.rest(secret, "GET", f"/rules/{ids['Gamma']}")).json()["lastFiredAt"] == at["Gamma"]


async def test_a_rule_that_its_profile_has_left_behind_names_the_part_and_what_to_do(api: Api, tenant: Tenant) -> None:
    secret = await tenant.api_token()
    await cold_room(tenant)
    both = document({"all": [above(8), {"metric": "battery", "op": "<", "value": 20}]})
    made = (await api.rest(secret, "POST", "/rules", json={"document": both})).json()
    assert (made["isReadable"], made["problems"]) == (True, [])
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        profile = await devices.profile_by_key(tx, "cold-room")
        assert profile is not None
        await devices.profile_change(tx, profile.id, metrics=[METRICS[0], Metric("batery", MetricType.NUMBER)])
    (found,) = (await api.rest(secret, "GET", "/rules")).json()["items"]
    mend = "Mend that and publish it, go back to an earlier version, or delete it."
    what = "There is no metric “battery”. Did you mean “batery”?"
    said = "This rule can no longer be read, so it does nothing: in its condition, part 2, “metric”:"
    assert (found["isReadable"], found["sentence"]) == (False, f"{said} {what} {mend}")
    (problem,) = found["problems"]
    assert (problem["path"], problem["place"]) == ("$.when.all[1].metric", "in its condition, part 2, “metric”")
    changed = await api.rest(secret, "PATCH", f"/rules/{made['id']}", json={"document": document(above(8))})
    assert changed.json()["isReadable"]
    versions = (await api.rest(secret, "GET", f"/rules/{made['id']}/versions")).json()["items"]
    assert versions[0]["changes"][0].startswith("The condition is now “temperature is above 8 °C”, no longer")


async def test_whom_a_rule_tells_is_said_by_name_everywhere_and_by_its_new_one_at_once(
    api: Api, tenant: Tenant
) -> None:
    secret = await tenant.api_token()
    await cold_room(tenant)
    tenant.run(
        "INSERT INTO notification_policies "
        "(tenant_id, id, key, name, severities, steps, version, created_at, updated_at) "
        "VALUES (%s, gen_random_uuid(), 'on-call-7', 'Night shift', '{major}', '[]', 1, now(), now())"
    )
    (policy,) = (await api.rest(secret, "GET", "/notification-policies")).json()
    tells = document(above(8), then=[{"do": "notify", "policy": "on-call-7"}])
    made = (await api.rest(secret, "POST", "/rules", json={"document": tells})).json()
    compiled = rules.Compiled()
    for name in ("Night shift", "People on duty"):
        await api.rest(secret, "PATCH", f"/notification-policies/{policy['id']}", json={"name": name})
        said = f"notify “{name}”"
        assert said in (await api.rest(secret, "GET", f"/rules/{made['id']}")).json()["sentence"]
        assert said in (await api.rest(secret, "POST", "/rules/check", json={"document": tells})).json()["sentence"]
        sides = {"previous": document(above(8)), "document": tells}
        assert said in (await api.rest(secret, "POST", "/rules/compare", json=sides)).json()["changes"][1]
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            (rule,) = (await compiled.of(tx)).by_id.values()
        assert intentions(rule) == [said]
    audited = (await api.rest(secret, "GET", "/audit")).text
    assert "notify “Night shift”" in audited


async def test_rules_begin_with_the_profile_of_most_devices_and_templates_that_fit_come_first(
    api: Api, tenant: Tenant
) -> None:
    secret = await tenant.api_token()
    await tenant.device()
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.profile_create(tx, key="a-bare", name="Bare", metrics=[Metric("x", MetricType.STRING)])
        await devices.profile_create(tx, key="b-rich", name="Rich", metrics=METRICS)
    order = (await api.rest(secret, "GET", "/rule-profiles")).json()
    assert [each["deviceCount"] for each in order] == [1, 0, 0]
    assert [each["key"] for each in order][1:] == ["b-rich", "a-bare"], "of as many devices, more templates fit"
    offers = (await api.rest(secret, "GET", "/rule-templates", params={"profile": "b-rich"})).json()
    fits = [each["isFitting"] for each in offers]
    assert fits == sorted(fits, reverse=True)
    assert len(set(fits)) == 2
    assert [each["lack"] is None for each in offers] == fits


async def test_an_alert_says_what_its_rule_said_when_it_fired(api: Api, tenant: Tenant, worker_store: Store) -> None:
    secret, room = await tenant.api_token(), await tenant.device()
    made = (await api.rest(secret, "POST", "/rules", json={"document": document(above(8))})).json()
    tenant.tell([(room.id, clock.now_ms(), {"temperature": 9.0})])
    await Drain(worker_store).run(tenant.id)
    changed = await api.rest(secret, "PATCH", f"/rules/{made['id']}", json={"document": document(above(10))})
    assert changed.json()["sentence"].startswith("When temperature is above 10 °C,")
    (alert,) = (await api.rest(secret, "GET", "/alerts")).json()["items"]
    assert alert["summary"] == made["sentence"]


async def test_a_rule_that_fights_with_another_hears_of_it_but_not_of_itself(api: Api, tenant: Tenant) -> None:
    secret = await tenant.api_token()
    await cold_room(tenant)
    first = document(above(8), **{"for": "5m"}, name="First", then=[{"do": "set", "attribute": "fan", "value": True}])
    made = (await api.rest(secret, "POST", "/rules", json={"document": first})).json()
    other = {**first, "name": "Second", "then": [{"do": "set", "attribute": "fan", "value": False}]}
    heard = (await api.rest(secret, "POST", "/rules/check", json={"document": other})).json()["warnings"]
    assert [each["message"] for each in heard] == [
        "The rule “First” wants something else: it sets fan to yes, this one sets fan to no."
    ]
    again = await api.rest(secret, "POST", "/rules/check", json={"document": other, "id": made["id"]})
    assert again.json()["warnings"] == []


async def test_a_rule_whose_tests_fail_is_refused_on_every_way(api: Api, tenant: Tenant) -> None:
    secret = await tenant.api_token()
    await cold_room(tenant)
    spike = {"given": [{"at": "0s", "temperature": 60}], "expect": [{"do": "raise"}], "name": "this spike must alert"}
    good, bad = document(above(8), tests=[spike]), document(above(80), tests=[spike])
    refused = await api.rest(secret, "POST", "/rules", json={"document": bad})
    assert (refused.status_code, refused.json()["type"].rsplit("/")[-1]) == (409, "tests-fail")
    assert "this spike must alert" in refused.json()["detail"]
    made = (await api.rest(secret, "POST", "/rules", json={"document": good})).json()
    changed = await api.rest(secret, "PATCH", f"/rules/{made['id']}", json={"document": bad})
    assert changed.status_code == 409
    update = "mutation($id: ID!, $rule: JSON!) { ruleUpdate(id: $id, input: {document: $rule}) { version } }"
    assert await api.code(secret, update, id=made["id"], rule=bad) == "TESTS_FAIL"
    create = "mutation($rule: JSON!) { ruleCreate(input: {document: $rule, isEnabled: false}) { version } }"
    assert await api.code(secret, create, rule=bad) == "TESTS_FAIL"
    now = (await api.rest(secret, "GET", f"/rules/{made['id']}")).json()
    assert (now["version"], now["document"]) == (1, good)


async def test_a_template_that_fits_is_filled_and_becomes_a_rule(api: Api, tenant: Tenant) -> None:
    secret = await tenant.api_token()
    await cold_room(tenant)
    offered = (await api.rest(secret, "GET", "/rule-templates", params={"profile": "cold-room"})).json()
    offers = {each["key"]: each for each in offered if each["isFitting"]}
    assert {"freezer-too-warm", "battery-low", "device-silent"} <= offers.keys()
    assert "pump-runs-dry" not in offers
    asked = {"profile": "cold-room", "choices": {"limit": -10}}
    draft = (await api.rest(secret, "POST", "/rule-templates/freezer-too-warm/fill", json=asked)).json()
    assert draft["check"]["problems"] == draft["check"]["warnings"] == []
    made = await api.rest(secret, "POST", "/rules", json={"document": draft["document"]})
    assert (made.status_code, made.json()["sentence"].split(" for ")[0]) == (201, "When temperature is above -10 °C")
    missing = await api.rest(secret, "POST", "/rule-templates/pump-runs-dry/fill", json=asked)
    assert missing.json()["document"] is None
    none = await api.rest(secret, "POST", "/rule-templates/unheard-of/fill", json=asked)
    assert none.status_code == 404


async def test_the_audit_log_says_what_was_done_to_a_rule_in_plain_words(api: Api, tenant: Tenant) -> None:
    secret = await tenant.api_token()
    await cold_room(tenant)
    made = (await api.rest(secret, "POST", "/rules", json={"document": document(above(8))})).json()
    await api.rest(secret, "PATCH", f"/rules/{made['id']}", json={"document": document(above(9))})
    await api.rest(secret, "POST", f"/rules/{made['id']}/disable")
    await api.rest(secret, "DELETE", f"/rules/{made['id']}")
    log = (await api.rest(secret, "GET", "/audit")).json()["items"]
    by_action = {each["action"]: each for each in log if each["targetId"] == made["id"]}
    warm, warmer = ("When temperature is above 8 °C", "When temperature is above 9 °C")
    assert by_action["rule.create"]["after"]["sentence"].startswith(warm)
    changed = by_action["rule.change"]
    assert changed["before"]["sentence"].startswith(warm)
    assert changed["after"]["sentence"].startswith(warmer)
    assert changed["after"]["changes"] == ["The threshold of temperature went from 8 °C to 9 °C."]
    assert changed["after"]["document"] == document(above(9))
    assert by_action["rule.disable"]["after"]["sentence"].startswith(warmer)
    assert by_action["rule.delete"]["before"]["sentence"].startswith(warmer)


async def test_what_changed_between_two_documents_is_said_in_words(api: Api, tenant: Tenant) -> None:
    secret = await tenant.api_token()
    await cold_room(tenant)
    asked = {"previous": document(above(8)), "document": document(above(9), **{"for": "10m"})}
    said = (await api.rest(secret, "POST", "/rules/compare", json=asked)).json()
    assert said == {"changes": ["The threshold of temperature went from 8 °C to 9 °C.", "It now waits 10 minutes."]}
    broken = await api.rest(secret, "POST", "/rules/compare", json={**asked, "previous": {"v": 1}})
    assert broken.status_code == 422
