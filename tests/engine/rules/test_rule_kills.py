"""Workers that die between and within transactions: what fires is what one process would have fired undisturbed.

However many readers share the journal, and while they become more or fewer.
"""

import contextlib
import random
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from engine import clock
from engine.alerts import service as alerts
from engine.drain import Drain
from engine.journal import readers
from engine.rules import service as rules
from engine.rules.compile import CompiledRule
from engine.rules.facts import About, Facts
from engine.rules.ruleset import RuleSet
from engine.rules.service import Compiled
from engine.rules.state import Raise, Reading, RuleState
from engine.rules.step import step
from engine.store.pool import Store
from engine.telemetry import service as telemetry
from engine.tenancy import system
from tests.support.tenant import Tenant

WHENS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"metric": "temperature", "op": ">", "value": 8}, {}),
    ({"metric": "temperature", "op": ">", "value": 8}, {"for": "4s"}),
    ({"metric": "temperature", "agg": {"fn": "avg", "over": "20s"}, "op": ">", "value": 7}, {}),
    ({"metric": "temperature", "delta": {"over": "10s"}, "op": ">", "value": 3}, {"for": "2s"}),
    ({"all": [{"metric": "temperature", "changed": {"over": "5s"}}, {"tag": "outdoor"}]}, {}),
    ({"metric": "temperature", "stuck": {"for": "10s", "within": 0.5}}, {"limits": {"cooldown": "15s"}}),
]
Fired = set[tuple[str, str, int, int]]
"""Rule, device, episode, when it was raised (ms)."""


class Killed(Exception):
    """The worker dies here."""


@pytest.mark.parametrize("most", [1, 3], ids=["one reader", "up to three"])
async def test_what_fires_is_what_one_process_without_accidents_would_have_fired(
    most: int, tenant: Tenant, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(11)
    rooms = [(await tenant.device()).id for _ in range(3)]
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        for n, (when, more) in enumerate(WHENS):
            told = {"v": 1, "name": f"Rule {n}", "severity": "minor", "scope": {"profile": "cold-room"}, "when": when}
            await rules.create(tx, {**told, "then": [{"do": "alert"}], **more})
    drain, began, story = Drain(worker_store), clock.now_ms() + 60_000, []  # ahead, so that no Tick comes
    kept, comes = alerts.clear_all, readers._come_to

    async def dies(*told: Any) -> None:
        if rng.random() < 0.3:
            raise Killed
        await kept(*told)

    async def dies_then(*told: Any) -> readers.Readers:
        come = await comes(*told)
        if rng.random() < 0.5:
            raise Killed
        return come

    monkeypatch.setattr("engine.alerts.service.clear_all", dies)
    monkeypatch.setattr("engine.journal.readers._come_to", dies_then)
    for second in range(0, 180, 3):
        late = rng.choice([0, 0, 0, 7_000])
        now = began + second * 1_000
        rows = [(room, now - late + n, rng.choice([5, 5, 6.5, 9, 12])) for n, room in enumerate(rooms)]
        story += [(*row, now) for row in rows]
        tenant.tell([(room, at, {"temperature": value}) for room, at, value in rows], received_ms=now)
        if most > 1 and rng.random() < 0.3:
            with contextlib.suppress(Killed):
                async with worker_store.as_tenant(system(tenant.id)) as tx:
                    await readers.change(tx, rng.randint(1, most))
        if rng.random() < 0.5:
            continue
        drain = drain if rng.random() < 0.6 else Drain(worker_store)
        for number in rng.sample(range(most), rng.randint(1, most)):
            drain = await _survived(drain, worker_store, tenant.id, number)
    monkeypatch.setattr("engine.alerts.service.clear_all", kept)
    monkeypatch.setattr("engine.journal.readers._come_to", comes)
    for _ in range(3):
        for number in range(most):
            await Drain(worker_store).turn(tenant.id, 60, number)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        found = (await alerts.page(tx, first=200)).items
        latest = await telemetry.latest(tx, rooms)
        assert sum(each.stored for each in await telemetry.counts(tx)) == len(story)
        assert {each.behind for each in await readers.stand(tx)} == {0}
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        compiled = await Compiled().of(tx)
    happened = {(str(a.rule_id), str(a.device_id), a.episode, clock.to_ms(a.raised_at)) for a in found}
    expected = _reference(compiled, story)
    newest = {room: max((at, value) for each, at, value, _ in story if each == room) for room in rooms}
    assert {room: (clock.to_ms(latest[room][0].time), latest[room][0].value) for room in rooms} == newest
    assert len(happened) == len(found) < 200
    assert happened == expected
    assert len({rule for rule, *_ in expected}) >= 4


async def _survived(drain: Drain, worker_store: Store, tenant_id: UUID, number: int) -> Drain:
    """Let a reader drain until one worker gets through."""
    while True:
        try:
            await drain.turn(tenant_id, 60, number)
            return drain
        except Killed:
            drain = Drain(worker_store)


def _reference(compiled: RuleSet, story: Sequence[tuple[UUID, int, float, int]]) -> Fired:
    """Each rule stepped through by itself, in one go."""
    return {fired for rule in compiled for device in {row[0] for row in story} for fired in _alone(rule, device, story)}


def _alone(rule: CompiledRule, device: UUID, story: Sequence[tuple[UUID, int, float, int]]) -> Fired:
    facts, state, fired = Facts(), RuleState(condition=rule.condition), set()
    facts.use(RuleSet([rule]).needs)
    facts.begin(str(device))
    facts.meet(str(device), About("cold-room"))
    for room, at, value, received in story:
        if room != device:
            continue
        reading = Reading(at, 0, {"temperature": value})
        facts.add(str(device), at, 0, reading.sent)
        state, actions = step(rule, state, reading, clock.from_ms(received), facts.view(str(device)))
        fired |= {(rule.key, str(device), a.episode, a.at) for a in actions if isinstance(a, Raise)}
    return fired
