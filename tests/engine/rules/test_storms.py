"""What rules do is bounded: storms are muted and said once, every kind of action has somebody who does it."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import UUID, uuid4

import pytest

from engine import clock
from engine.alerts import service as alerts
from engine.devices import service as devices
from engine.drain import Drain
from engine.rules import firings, storms
from engine.rules import service as rules
from engine.rules.acting import PERFORMERS, Effect
from engine.rules.facts import About
from engine.rules.model import AddTag, RaiseAlert, Then
from engine.rules.reaction import Reaction
from engine.rules.ruleset import MOST_MATCHING, RuleSet
from engine.store.pool import Store
from engine.telemetry import derived
from engine.telemetry.fold import Newest
from engine.tenancy import system
from infra.local.postgres import Postgres
from tests.engine.rules.making import rule
from tests.support.tenant import Tenant, found_tenant

ALONE = "as it was, as it was"
NOW = datetime(2026, 11, 22, 4, 0, 30, tzinfo=UTC)


def test_every_action_that_a_document_may_name_has_somebody_who_does_it() -> None:
    done = {kind for kinds in PERFORMERS.values() for kind in kinds}
    assert done == set(get_args(Then)) - {RaiseAlert}


def test_an_effects_id_follows_from_what_it_is_about() -> None:
    def effect(**other: Any) -> UUID:
        told: Mapping[str, Any] = {"rule_id": "r", "version": 1, "device_id": "d", "episode": 1, "place": "then.0"}
        rest = {"rule_name": "", "severity": "", "at_ms": 0, "is_raise": True, "reason": "", "facts": {}}
        return Effect(**{**told, **rest, "then": AddTag("a"), **other}).id(UUID(int=1))

    assert effect() == effect(rule_name="renamed", at_ms=5)
    different = [
        effect(episode=2),
        effect(place="then.1"),
        effect(version=2),
        effect(device_id="e"),
        effect(rule_id="s"),
    ]
    assert len({effect(), *different}) == 6
    assert all(-(2**62) <= derived.seq_of(one) < 0 for one in different)


def test_a_rule_that_does_too_much_in_a_minute_is_muted_and_the_next_minute_begins_anew() -> None:
    breaker = storms.Breaker()
    assert all(breaker.lets("a", NOW) for _ in range(storms.OF_RULE))
    assert breaker.lets("b", NOW)
    assert not breaker.lets("a", NOW)
    assert breaker.lets("b", NOW)
    calm = storms.Breaker()
    assert all(calm.lets("a", NOW + timedelta(minutes=n // storms.OF_RULE)) for n in range(3 * storms.OF_RULE))


def test_of_too_many_rules_for_one_message_the_first_ones_look_at_it() -> None:
    many = RuleSet(rule(number=n + 1) for n in range(MOST_MATCHING + 5))
    assert [found.id.int for found in many.matching("p", ["temperature"])] == list(range(1, MOST_MATCHING + 1))
    assert many.is_over_quota


@pytest.mark.parametrize(
    ("when", "happens"),
    [
        ({"presence": "offline"}, lambda reaction, at: reaction.presence("d", False, 2, at)),
        ({"event": "door-forced"}, lambda reaction, at: reaction.happen("d", "door-forced", at)),
    ],
)
def test_of_too_many_rules_for_one_event_the_first_ones_look_at_it(
    when: dict[str, Any], happens: Callable[[Reaction, datetime], None]
) -> None:
    many = RuleSet(rule(when, number=n + 1) for n in range(MOST_MATCHING + 5))
    reaction = Reaction(Newest({}), {})
    reaction.use(many)
    reaction.facts.meet("d", About(is_online=True, epoch=1))
    happens(reaction, clock.from_ms(1_763_683_200_000))
    assert sorted(UUID(key).int for key, _ in reaction._states) == list(range(1, MOST_MATCHING + 1))
    assert many.is_over_quota


def test_only_rules_that_ask_for_an_event_look_at_it() -> None:
    either = {"any": [{"event": "door-forced"}, {"event": "opened"}]}
    reaction = Reaction(Newest({}), {})
    reaction.use(RuleSet([rule({"event": "opened"}), rule(either, number=2), rule({"event": "closed"}, number=3)]))
    reaction.happen("d", "door-forced", clock.from_ms(1_763_683_200_000))
    reaction.happen("d", "unheard-of", clock.from_ms(1_763_683_200_000))
    assert [UUID(key).int for key, _ in reaction._states] == [2]


async def test_a_storm_is_said_once_and_alerts_are_raised_all_the_same(
    tenant: Tenant, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storms, "OF_RULE", 3)
    room, drain = await tenant.device(), Drain(worker_store)
    document = {
        "v": 1,
        "name": "Flutters",
        "severity": "minor",
        "scope": {"profile": "cold-room"},
        "when": {"metric": "temperature", "op": ">", "value": 8},
        "then": [{"do": "alert"}, {"do": "set", "attribute": "warm", "value": "{value}"}],
    }
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await rules.create(tx, document)
    now = int(datetime.now(UTC).timestamp() * 1000)
    for turn in range(2):
        values = [9.0 + n if n % 2 else 5.0 for n in range(12)]
        at = now + turn * 100
        tenant.tell([(room.id, at + n, {"temperature": value}) for n, value in enumerate(values)])
        await drain.run(tenant.id)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        assert len((await alerts.page(tx, first=50)).items) == 12
        (notice,) = await storms.notices(tx)
    assert (notice.kind, notice.times) == ("storm", 1)
    assert "Flutters" in notice.message


def test_rules_that_together_do_too_much_are_all_muted_though_none_alone_does() -> None:
    breaker = storms.Breaker()
    names = [f"rule-{n}" for n in range(storms.OF_TENANT // storms.OF_RULE + 1)]
    let = [breaker.lets(name, NOW) for _ in range(storms.OF_RULE) for name in names]
    assert let.index(False) == storms.OF_TENANT
    assert not any(breaker.lets(name, NOW) for name in (*names, "quiet"))


async def test_a_storm_of_a_tenants_rules_together_mutes_them_all_and_no_other_tenant(
    tenant: Tenant, postgres: Postgres, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storms, "OF_TENANT", 5)
    calm, drain = await found_tenant(postgres, tenant.store), Drain(worker_store)
    rooms = {each.id: await each.device() for each in (tenant, calm)}
    for each, names in ((tenant, "abcdefgh"), (calm, "ab")):
        async with each.store.as_tenant(each.principal()) as tx:
            for name in names:
                await rules.create(tx, _marking(name))
    now = int(datetime.now(UTC).timestamp() * 1000)
    for turn in range(2):  # the second time they are muted already, the first in whatever minute that is
        for each in (tenant, calm):
            told = [(rooms[each.id].id, now + 10 * turn + n, {"temperature": v}) for n, v in enumerate([5.0, 9.0])]
            each.tell(told)
            await drain.run(each.id)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        (notice,) = await storms.notices(tx)
        marked = (await devices.get(tx, rooms[tenant.id].id)).labels
        assert len((await alerts.page(tx, first=50)).items) == 16
    assert (notice.subject, notice.kind, notice.times) == (storms.TENANT, "storm", 1)
    assert notice.message.startswith("All rules together do more than 5 things a minute.")
    assert sorted(marked) == list("abcde")
    async with calm.store.as_tenant(calm.principal()) as tx:
        assert await storms.notices(tx) == []
        assert sorted((await devices.get(tx, rooms[calm.id].id)).labels) == ["a", "b"]


def _marking(name: str) -> dict[str, Any]:
    return {
        "v": 1,
        "name": f"Marks {name}",
        "severity": "minor",
        "scope": {"profile": "cold-room"},
        "when": {"metric": "temperature", "op": ">", "value": 8},
        "then": [{"do": "alert"}, {"do": "set", "attribute": name, "value": "{value}"}],
    }


async def test_workers_that_take_turns_count_together(
    tenant: Tenant, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storms, "OF_RULE", 3)
    room = await tenant.device()
    document = {
        "v": 1,
        "name": "Flutters",
        "severity": "minor",
        "scope": {"profile": "cold-room"},
        "when": {"metric": "temperature", "op": ">", "value": 8},
        "then": [{"do": "set", "attribute": "warm", "value": "{value}"}],
    }
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await rules.create(tx, document)
    drains = Drain(worker_store), Drain(worker_store)
    now = int(datetime.now(UTC).timestamp() * 1000)
    for turn in range(8):  # of these, four at least are of one minute
        tenant.tell([(room.id, now + 2 * turn + n, {"temperature": value}) for n, value in enumerate([9.0, 5.0])])
        await drains[turn % 2].run(tenant.id)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        assert [notice.kind for notice in await storms.notices(tx)] == ["storm"]


async def test_of_a_rule_without_alerts_only_what_it_did_is_noted_and_the_newest_is_kept(
    tenant: Tenant, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storms, "OF_RULE", 4)
    monkeypatch.setattr(firings, "OF_RULE", 2)
    monkeypatch.setattr(firings, "CUT_EVERY", 2**128)  # what is noted takes nothing with it
    room, drain = await tenant.device(), Drain(worker_store)
    flutters = _marking("warm") | {"then": [{"do": "set", "attribute": "warm", "value": "{value}"}]}
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        rule = await rules.create(tx, flutters)
        watching = await rules.create(tx, flutters | {"name": "Watches"}, is_shadow=True)
    now = int(datetime.now(UTC).timestamp() * 1000)
    for turn in range(2):  # the second time it is muted already, the first while it does too much
        values = [9.0 + n if n % 2 else 5.0 for n in range(20)]
        at = now + turn * 100
        tenant.tell([(room.id, at + n, {"temperature": value}) for n, value in enumerate(values)])
        await drain.run(tenant.id)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        noted = (await firings.page(tx, rule.id)).items
        assert [notice.kind for notice in await storms.notices(tx)] == ["storm"]
        assert len((await firings.page(tx, watching.id)).items) == 20
    assert [each.would for each in noted] == [()] * 4
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        await firings.prune(tx)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        assert list((await firings.page(tx, rule.id)).items) == list(noted[:2])
        assert len((await firings.page(tx, watching.id)).items) == 2
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        tx.now += timedelta(days=31)
        await firings.prune(tx)
    async with tenant.store.as_tenant(tenant.principal()) as tx:  # when a rule last fired is not forgotten
        assert list((await firings.page(tx, rule.id)).items) == [noted[0]]
        assert (await firings.last(tx, [rule.id, watching.id, uuid4()])).keys() == {rule.id, watching.id}


async def test_what_a_rule_notes_while_it_only_watches_is_bounded_where_it_is_noted(
    tenant: Tenant, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firings, "OF_RULE", 2)
    monkeypatch.setattr(firings, "CUT_EVERY", 1)
    room, drain = await tenant.device(), Drain(worker_store)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        busy = await rules.create(tx, _marking("warm"), is_shadow=True)
        calm = await rules.create(
            tx, _marking("hot") | {"when": {"metric": "temperature", "op": ">", "value": 50}}, is_shadow=True
        )
    now = int(datetime.now(UTC).timestamp() * 1000)
    tenant.tell([(room.id, now + n, {"temperature": value}) for n, value in enumerate([5.0, 60.0, 5.0, 60.0])])
    await drain.run(tenant.id)
    for turn in range(2):
        values = [9.0 if n % 2 else 5.0 for n in range(10)]
        tenant.tell([(room.id, now + turn * 100 + 100 + n, {"temperature": v}) for n, v in enumerate(values)])
        await drain.run(tenant.id)
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            noted = (await firings.page(tx, busy.id)).items
            assert [each.episode for each in noted] == [2 + 5 * (turn + 1), 1 + 5 * (turn + 1)]  # the newest
            assert [each.episode for each in (await firings.page(tx, calm.id)).items] == [2, 1]


async def test_what_a_rule_has_switched_on_is_switched_off_however_much_is_going_on_and_nothing_else_is(
    tenant: Tenant, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storms, "OF_RULE", 4)
    rooms = [await tenant.device(f"room-{number}") for number in range(6)]
    document = _marking("fan") | {
        "then": [
            {"do": "alert"},
            {"do": "set", "attribute": "fan", "value": "on"},
            {"do": "set", "attribute": "lamp", "value": "on"},
        ],
        "on_clear": [
            {"do": "set", "attribute": "fan", "value": "off"},
            {"do": "set", "attribute": "lamp", "value": "off"},
        ],
    }
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        rule_id = (await rules.create(tx, document)).id
    drain, now = Drain(worker_store), int(datetime.now(UTC).timestamp() * 1000)

    async def labels() -> list[str]:
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            found = [(await devices.get(tx, room.id)).labels for room in rooms]
        return [f"{each.get('fan', 'as it was')}, {each.get('lamp', 'as it was')}" for each in found]

    tenant.tell([(room.id, now + n, {"temperature": 9.0}) for n, room in enumerate(rooms)])
    await drain.run(tenant.id)
    began = await labels()
    assert sorted(began) == 4 * [ALONE] + 2 * ["on, on"]  # what belongs together is done together
    tenant.tell([(room.id, now + 10 + n, {"temperature": 5.0}) for n, room in enumerate(rooms[:3])])
    await Drain(worker_store).run(tenant.id)  # another worker, which knows by what is stored
    cleared = await labels()
    assert cleared == ["off, off" if was != ALONE and n < 3 else was for n, was in enumerate(began)]
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await rules.switch(tx, rule_id, is_enabled=False)
    await drain.run(tenant.id)
    assert await labels() == [was if was == ALONE else "off, off" for was in began]
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        (notice,) = await storms.notices(tx)
        assert all(alert.cleared_at for alert in (await alerts.page(tx, first=50)).items)
    assert notice.message.endswith("what was switched on before is still switched off.")
