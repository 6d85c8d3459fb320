"""Why not: looks at rules that did not fire, taken now and then, few, near misses first, gone with the device."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from engine import clock
from engine.devices import erase
from engine.devices import service as devices
from engine.drain import Drain
from engine.rules import non_firings, sampling
from engine.rules import service as rules
from engine.rules.compile import CompiledRule, compile_rule
from engine.rules.document import parse
from engine.rules.facts import View
from engine.rules.sampling import Sample, Sampler, Standing
from engine.rules.state import Known, Phase, RuleState
from engine.rules.tried import NonFiring
from engine.store.pool import Store
from engine.tenancy import system
from tests.engine.rules.making import VOCABULARY
from tests.engine.rules.test_runtime import document, drained, fired
from tests.support.tenant import Tenant

HOT = {"metric": "temperature", "op": ">", "value": 8}
DAMP = {"metric": "humidity", "op": ">", "value": 70}
NOW = datetime(2026, 5, 4, 14, 3, tzinfo=UTC)


@pytest.fixture(autouse=True)
def time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked at does not depend on how busy the machine is."""
    monkeypatch.setattr(sampling, "CPU_S", 60.0)


async def made(tenant: Tenant, when: dict[str, Any], **more: Any) -> UUID:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        return (await rules.create(tx, document(when, **more))).id


async def kept(tenant: Tenant, rule_id: UUID, device_id: UUID | None = None) -> list[NonFiring]:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        return list((await non_firings.page(tx, rule_id, device_id)).items)


async def test_a_rule_that_did_not_fire_says_what_it_saw(tenant: Tenant, worker_store: Store) -> None:
    cold, hot, at = await tenant.device(), await tenant.device(), clock.now_ms()
    rule = await made(tenant, HOT)
    tenant.tell([(cold.id, at, {"temperature": 4.2}), (hot.id, at, {"temperature": 9.0})])
    await drained(worker_store, tenant)
    (look,) = await kept(tenant, rule)
    assert (look.device_id, clock.to_ms(look.at), look.verdict, look.phase) == (cold.id, at, False, Phase.OK)
    assert look.reason == "temperature is 4.2 °C, not above 8 °C (3.8 °C away)"
    assert look.why["seen"] == 4.2
    assert not look.is_near
    assert await fired(tenant) == [(1, "active")]


async def test_near_misses_are_kept_before_others(tenant: Tenant, worker_store: Store) -> None:
    rooms, at = [await tenant.device() for _ in range(sampling.LOOKS_OF_RULE)], clock.now_ms()
    rule = await made(tenant, {"all": [HOT, DAMP]})
    tenant.tell([(room.id, at, {"temperature": 4.0, "humidity": 50.0}) for room in rooms[:-1]])
    tenant.tell([(rooms[-1].id, at, {"temperature": 9.0, "humidity": 66.0})])
    await drained(worker_store, tenant)
    (look,) = await kept(tenant, rule)
    assert (look.device_id, look.is_near) == (rooms[-1].id, True)
    assert look.reason == "humidity is 66 %, not above 70 % (4 % away)"


async def test_a_wait_that_is_not_over_is_a_near_miss(tenant: Tenant, worker_store: Store) -> None:
    room = await tenant.device()
    rule = await made(tenant, HOT, **{"for": "10m"})
    tenant.tell([(room.id, clock.now_ms(), {"temperature": 9.0})])
    await drained(worker_store, tenant)
    (look,) = await kept(tenant, rule, room.id)
    assert (look.phase, look.verdict, look.is_near) == (Phase.PENDING, True, True)
    assert look.reason == "temperature is 9 °C, above 8 °C, but not yet for 10 minutes"


async def test_what_is_looked_back_at_is_told_as_well(tenant: Tenant, worker_store: Store) -> None:
    room, at = await tenant.device(), clock.now_ms()
    rule = await made(tenant, HOT | {"agg": {"fn": "avg", "over": "5m"}})
    tenant.tell([(room.id, at - 1_000, {"temperature": 4.0}), (room.id, at, {"temperature": 7.0})])
    await drained(worker_store, tenant)
    (look,) = await kept(tenant, rule)
    assert look.why["seen"] == 5.5


async def test_looks_are_a_minute_apart_and_another_device_comes_first(tenant: Tenant, worker_store: Store) -> None:
    one, other = await tenant.device(), await tenant.device()
    rule, drain = await made(tenant, HOT), Drain(worker_store)
    for _ in range(3):
        tenant.tell([(one.id, clock.now_ms(), {"temperature": 4.0})])
        await drained(worker_store, tenant, drain)
    assert [look.device_id for look in await kept(tenant, rule)] == [one.id]
    drain._sampler._paces[tenant.id].due_ms = 0
    tenant.tell([(room.id, clock.now_ms(), {"temperature": 5.0}) for room in (one, other)])
    await drained(worker_store, tenant, drain)
    assert [look.device_id for look in await kept(tenant, rule)] == [other.id, one.id]


async def test_only_the_newest_looks_are_kept(tenant: Tenant, worker_store: Store) -> None:
    room, rule = await tenant.device(), await made(tenant, HOT)
    for count in range(8):
        async with worker_store.as_tenant(system(tenant.id)) as tx:
            await non_firings.keep(tx, [_sample(rule, room.id, count, is_near=near) for near in (False, True)])
    looks = await kept(tenant, rule)
    assert [clock.to_ms(each.at) for each in looks if each.is_near] == [7, 6, 5, 4, 3]
    assert [clock.to_ms(each.at) for each in looks if not each.is_near] == [7, 6, 5]
    tenant.run("UPDATE rule_non_firings SET looked_at = now() - interval '8 days' WHERE tenant_id = %s AND is_near")
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        await non_firings.prune(tx)
    assert not any(each.is_near for each in await kept(tenant, rule))


async def test_of_one_rule_so_many_looks_are_kept_however_many_devices_it_watches(
    tenant: Tenant, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(non_firings, "OF_RULE", 2)
    monkeypatch.setattr(non_firings, "OF_TENANT", 1)
    rooms, rule = [await tenant.device() for _ in range(3)], await made(tenant, HOT)
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        await non_firings.keep(tx, [_sample(rule, room.id, 1, is_near=False) for room in rooms])
    assert len(await kept(tenant, rule)) == 2
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        await non_firings.prune(tx)
    assert len(await kept(tenant, rule)) == 1


async def test_looks_go_with_the_device_they_are_of(tenant: Tenant, worker_store: Store) -> None:
    room, drain = await tenant.device(), Drain(worker_store)
    rule = await made(tenant, HOT)
    tenant.tell([(room.id, clock.now_ms(), {"temperature": 4.0})])
    await drained(worker_store, tenant, drain)
    assert await kept(tenant, rule)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.decommission(tx, room.id)
        await erase.request(tx, room.id)
    await drained(worker_store, tenant, drain)
    more = True
    while more:
        async with worker_store.as_tenant(system(tenant.id)) as tx:
            more = await erase.step(tx)
    assert await kept(tenant, rule) == []


def test_a_sample_costs_a_bounded_number_of_looks_and_every_rule_has_its_turn() -> None:
    made_ = [_rule(number) for number in range(3 * sampling.LOOKS_AT_ONCE)]
    sampler, asked, tenant = Sampler(), list[str](), UUID(int=1)
    stood = Standing(RuleState(known={"temperature": Known(4.0, 1, 1)}), View.blind())
    names = [f"device {number}" for number in range(9)]
    met: set[str] = set()

    def stands(rule: CompiledRule, device: str) -> Standing:
        asked.append(device)
        return stood

    for minute in range(30):
        asked.clear()
        now = NOW + timedelta(minutes=minute)
        assert sampler.is_due(tenant, now)
        taken = sampler.take(tenant, now, made_, names, stands)
        assert not sampler.is_due(tenant, now + timedelta(seconds=59))
        assert 0 < len(asked) <= sampling.LOOKS_AT_ONCE
        met |= {sample.rule_id for sample in taken}
    assert met == {rule.key for rule in made_}


def test_a_rule_for_one_device_of_many_has_its_turn_as_well() -> None:
    names = [str(UUID(int=number)) for number in range(3 * sampling.TRIES_AT_ONCE)]
    rule = _rule(1, scope={"profile": "p", "devices": [names[-1]]})
    stood = Standing(RuleState(known={"temperature": Known(4.0, 1, 1)}), View.blind())

    def stands(rule: CompiledRule, device: str) -> Standing | None:
        return stood if rule.devices is not None and device in rule.devices else None

    assert [sample.device_id for sample in Sampler().take(UUID(int=1), NOW, [rule], names, stands)] == [names[-1]]


def test_a_rule_whose_look_fails_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def stands(rule: CompiledRule, device: str) -> Standing:
        raise ArithmeticError

    assert Sampler().take(UUID(int=1), NOW, [_rule(1)], ["device"], stands) == []
    assert "rule.look_failed" in caplog.messages


def test_what_a_schedule_saw_is_not_told_of_newer_values() -> None:
    rule, now = _rule(1, trigger={"schedule": {"cron": "0 * * * *", "tz": "UTC"}}), clock.to_ms(NOW)
    known = {"temperature": Known(4.0, now, 1)}
    fresh, stale = RuleState(looked=now - 1_000, known=known), RuleState(looked=now - 60_000, known=known)
    told = sampling.look(rule, "device", Standing(fresh, View.blind()), now)
    assert told is not None
    assert told.at_ms == now - 1_000
    assert sampling.look(rule, "device", Standing(stale, View.blind()), now) is None


def _sample(rule: UUID, device: UUID, at: int, *, is_near: bool) -> Sample:
    return Sample(str(rule), 1, str(device), at, Phase.OK, False, is_near, "because", {"is": False})


def _rule(number: int, **more: Any) -> CompiledRule:
    return compile_rule(UUID(int=number), 1, parse(document(HOT, **more)), VOCABULARY)
