"""Trying rules over the contract: history is played beside the caller's other reads, and who comes too soon is told."""

from engine import clock
from engine.rules import trial
from tests.support.api import Api
from tests.support.tenant import Tenant

RULE = {
    "v": 1,
    "name": "Too warm",
    "severity": "major",
    "scope": {"profile": "cold-room"},
    "when": {"metric": "temperature", "op": ">", "value": 8},
    "then": [{"do": "alert"}],
}


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
