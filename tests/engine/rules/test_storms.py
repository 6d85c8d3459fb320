"""What rules do is bounded: storms are muted and said once, every kind of action has somebody who does it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import UUID

import pytest

from engine.alerts import service as alerts
from engine.drain import Drain
from engine.rules import service as rules
from engine.rules import storms
from engine.rules.acting import PERFORMERS, Effect
from engine.rules.model import AddTag, RaiseAlert, Then
from engine.rules.ruleset import MOST_MATCHING, RuleSet
from engine.store.pool import Store
from engine.telemetry import derived
from tests.engine.rules.making import rule
from tests.support.tenant import Tenant

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
