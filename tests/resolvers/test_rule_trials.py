"""Trying rules over the contract: history is played beside the caller's other reads, and who comes too soon is told."""

import psycopg
from psycopg.types.json import Jsonb

from engine import clock
from engine.rules import trial
from tests.support.api import Api
from tests.support.rules import too_warm
from tests.support.tenant import Tenant

RULE = too_warm()


async def test_a_backtest_tells_its_firings_and_another_at_the_same_time_is_asked_to_wait(
    api: Api, tenant: Tenant
) -> None:
    secret, room, now = await tenant.api_token(), await tenant.device(), clock.now_ms()
    tenant.tell([(room.id, now - 600_000, {"temperature": 9.5}), (room.id, now - 300_000, {"temperature": 5.0})])
    asked = {"document": RULE, "from": clock.from_ms(now - 86_400_000).isoformat()}
    found = (await api.rest(secret, "POST", "/rules/backtest", json=asked)).json()
    assert (found["total"], found["firedDevices"], found["isComplete"]) == (1, 1, True)
    assert found["episodes"][0]["why"]["seen"] == 9.5
    async with trial._backtests.one(tenant.id):
        refused = await api.rest(secret, "POST", "/rules/backtest", json=asked)
    assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
    assert refused.json()["type"].endswith("backtest-busy")


async def test_of_many_looks_in_one_operation_few_are_played_and_the_others_are_asked_to_come_later(
    api: Api, tenant: Tenant
) -> None:
    secret, room = await tenant.api_token(), await tenant.device()
    looks = " ".join(f"l{n}: ruleExplain(document: $rule, deviceId: $id) {{ phase }}" for n in range(20))
    answer = await api.graphql(secret, f"query($rule: JSON!, $id: ID!) {{ {looks} }}", rule=RULE, id=str(room.id))
    codes = [error["extensions"]["code"] for error in answer["errors"]]
    assert set(codes) == {"TRIAL_BUSY"}
    one = "query($rule: JSON!, $id: ID!) { ruleExplain(document: $rule, deviceId: $id) { phase } }"
    assert await api.data(secret, one, rule=RULE, id=str(room.id)) == {"ruleExplain": {"phase": "OK"}}
    more = " ".join(f"l{n}: ruleExplain(document: $rule, deviceId: $id) {{ phase }}" for n in range(30))
    asked = f"query($rule: JSON!, $id: ID!) {{ {more} }}"
    assert await api.code(secret, asked, rule=RULE, id=str(room.id)) == "TOO_COSTLY"


async def test_a_preview_says_what_the_actions_would_by_the_devices_own_values(
    api: Api, tenant: Tenant, neighbour: Tenant
) -> None:
    secret, room, now = await tenant.api_token(), await tenant.device(), clock.now_ms()
    tenant.tell([(room.id, now - 600_000, {"temperature": 9.5}), (room.id, now, {"temperature": 7.25})])
    newest = Jsonb({"humidity": [61, now - 90 * 86_400_000], "temperature": [7.25, now]})
    async with await psycopg.AsyncConnection.connect(tenant.postgres.url("superuser"), autocommit=True) as connection:
        await connection.execute(
            "INSERT INTO latest (tenant_id, device_id, values, received_at) VALUES (%s, %s, %s, now())",
            (tenant.id, room.id, newest),
        )
    texts = "{device} {device.key}: {value}, {metric:temperature}, {metric:humidity}, {severity}, {attribute:none}"
    then = [{"do": "alert"}, {"do": "set", "attribute": "note", "value": texts}, {"do": "tag", "add": "warm"}]
    over = [{"do": "derive", "metric": "excess", "value": {"metric": "temperature", "plus": -7}}]
    average = {"metric": "temperature", "agg": {"fn": "avg", "over": "1h"}, "op": ">", "value": 8}
    document = too_warm(when=average, then=then, on_clear=over)
    asked = {"document": document, "deviceId": str(room.id)}
    found = await api.rest(secret, "POST", "/rules/preview", json=asked)
    assert found.json() == [
        {"path": "$.then[1]", "text": f"{room.name} {room.key}: 8.375, 7.25, 61, major, —"},
        {"path": "$.on_clear[0]", "text": "0.25"},
    ]
    stranger = {**asked, "deviceId": str((await neighbour.device()).id)}
    assert (await api.rest(secret, "POST", "/rules/preview", json=stranger)).status_code == 404
    broken = {**asked, "document": {**document, "when": {}}}
    assert (await api.rest(secret, "POST", "/rules/preview", json=broken)).json()["code"] == "RULE_INVALID"
