"""Trying rules: a backtest finds what the live engine does, tests keep rules honest, drafts are no rules."""

import asyncio
import random
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from engine import clock
from engine.alerts import service as alerts
from engine.devices import service as devices
from engine.devices.model import Metric, MetricType
from engine.drain import Drain
from engine.rules import drafts, errors, firings, trial
from engine.rules import service as rules
from engine.rules.invented import Message
from engine.rules.model import Mode
from engine.rules.tried import Backtest
from engine.store import pool
from engine.store.pool import Store
from tests.support.journal import Told
from tests.support.rules import too_warm
from tests.support.tenant import Tenant

RULES = {
    "at once": too_warm(),
    "after a while": too_warm(
        **{"for": "2m"}, clear={"when": {"metric": "temperature", "op": "<", "value": 6}, "for": "1m"}
    ),
    "with a cooldown": too_warm(limits={"cooldown": "5m"}),
    "by an average": too_warm(
        when={"metric": "temperature", "agg": {"fn": "avg", "over": "5m"}, "op": ">", "value": 7.5}
    ),
    "by two metrics": too_warm(
        when={
            "any": [
                {"metric": "temperature", "op": ">", "value": 10},
                {"metric": "door_open", "op": "==", "value": True},
            ]
        }
    ),
    "by silence": too_warm(when={"silence": "2m"}),
    "by a schedule": too_warm(trigger={"schedule": {"cron": "*/10 * * * *"}}),
}


def story(device: Any, seed: int, until_ms: int) -> list[tuple[int, Told]]:
    """An hour of readings at uneven times, some late, some of one metric only, each with when it was received."""
    rnd = random.Random(seed)
    at = until_ms - 3_600_000
    told: list[tuple[int, Told]] = []
    warmth = 5.0
    while at < until_ms - 400_000:
        at += rnd.choice([10_000, 30_000, 60_000, 300_000])
        warmth = min(14, max(1, warmth + rnd.gauss(0, 2)))
        values: dict[str, Any] = {"temperature": round(warmth, 1)}
        if rnd.random() < 0.3:
            values = {"door_open": rnd.random() < 0.5} if rnd.random() < 0.5 else values | {"door_open": False}
        told.append((at + 700, (device.id, at - rnd.choice([0, 0, 0, 45_000]), values)))
    return told


class Watch:
    """A clock that is set by hand, where the store looks for the time."""

    at_ms = 0

    @classmethod
    def now(cls, _zone: object) -> datetime:
        return clock.from_ms(cls.at_ms)


@pytest.mark.parametrize("kind", sorted(RULES))
async def test_a_backtest_finds_what_the_live_engine_did(
    kind: str, tenant: Tenant, store: Store, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    room, now = await tenant.device(), clock.now_ms()
    async with store.as_tenant(tenant.principal()) as tx:
        await rules.create(tx, RULES[kind])
    drain = Drain(worker_store)
    with monkeypatch.context() as patched:
        patched.setattr(pool, "datetime", Watch)
        for received, told in story(room, len(kind), now):
            Watch.at_ms = received - 1  # what is due by then is looked at first, as the tick would have done
            await drain.run(tenant.id)
            tenant.tell([told], received_ms=received)
            Watch.at_ms = received
            await drain.run(tenant.id)
        Watch.at_ms = now
        await drain.run(tenant.id)
    async with store.as_tenant(tenant.principal()) as tx:
        live = (await alerts.page(tx, first=200)).items
    tried = await trial.backtest(
        store, tenant.principal(), RULES[kind], clock.from_ms(now) - timedelta(hours=3), clock.from_ms(now)
    )
    assert tried.episodes
    assert sorted((clock.to_ms(one.raised_at), one.reason) for one in live) == [
        (each.raised_at, each.reason) for each in tried.episodes
    ]
    ended = sorted((clock.to_ms(one.cleared_at), one.cleared_reason) for one in live if one.cleared_at is not None)
    assert ended == sorted((each.cleared_at, each.cleared_reason) for each in tried.episodes if each.cleared_at)
    assert (tried.devices, tried.devices_in_scope, tried.is_complete) == (1, 1, True)


async def test_a_backtest_counts_and_says_when_it_is_only_a_part(
    tenant: Tenant, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm, cold, now = await tenant.device(), await tenant.device(), clock.now_ms()
    for place in range(40):
        at = now - 4_000_000 + place * 60_000
        warmth = 9.0 if place % 10 == 5 else 5.0
        readings: list[Told] = [(warm.id, at, {"temperature": warmth}), (cold.id, at, {"temperature": 2.0})]
        tenant.tell(readings, received_ms=at)
    start = clock.from_ms(now) - timedelta(days=1)
    monkeypatch.setattr(trial, "MESSAGES_AT_ONCE", 7)
    whole = await trial.backtest(store, tenant.principal(), too_warm(), start)
    monkeypatch.setattr(trial, "MOST_EPISODES", 3)
    few = await trial.backtest(store, tenant.principal(), too_warm(), start)
    monkeypatch.setattr(trial, "MOST_MESSAGES", 50)
    part = await trial.backtest(store, tenant.principal(), too_warm(), start)
    with pytest.raises(errors.TrialMalformed):
        await trial.backtest(store, tenant.principal(), too_warm(), start - timedelta(days=200))
    assert (few.episodes, few.total, few.per_day) == (whole.episodes[:3], 4, whole.per_day)
    assert (len(whole.episodes), whole.fired_devices, whole.messages, whole.is_complete) == (4, 1, 80, True)
    assert (whole.per_day, whole.estimate) == (
        None,
        "Only 1 hour 7 minutes of history: too little to say how many a day; it fired 4 times in it.",
    )
    assert (part.messages, part.is_complete) == (50, False)
    asked = {"metric": "temperature", "op": ">", "value": 99}
    never = await trial.backtest(store, tenant.principal(), too_warm(when=asked), start)
    low = await trial.backtest(store, tenant.principal(), too_warm(when=asked | {"op": "<", "value": -9}), start)
    assert (never.total, never.nearest) == (0, (str(warm.id), str(cold.id)))
    assert low.nearest == (str(cold.id), str(warm.id))


async def test_a_backtest_hears_of_a_message_in_the_millisecond_in_which_live_rules_did(
    tenant: Tenant, store: Store
) -> None:
    """Ingest takes microseconds and tells rules whole milliseconds, rounded down."""
    room, now = await tenant.device(), clock.now_ms()
    silent, start, received = too_warm(when={"silence": "2m"}), now - 3_600_000, []
    for place, micros in enumerate((0, 1, 499, 500, 501, 999)):
        sent = start + 60_000 * place
        tenant.tell([(room.id, sent, {"temperature": 4.0})], received_ms=sent + 7)
        received.append(sent + 7)
        with psycopg.connect(tenant.postgres.url("superuser")) as connection:
            connection.execute(
                "UPDATE telemetry SET received_at = received_at + %s * interval '1 microsecond' "
                "WHERE tenant_id = %s AND time = %s",
                (micros, tenant.id, clock.from_ms(sent)),
            )
    async with store.as_tenant(tenant.principal()) as tx:
        compiled = await trial._compiled(tx, silent)
        record = await trial._sent(tx, compiled, room.id, clock.from_ms(start), clock.from_ms(now), 100)
        heard = [
            await trial._heard(tx, compiled, [str(room.id)], clock.from_ms(start + 60_000 * place + 30_000))
            for place in range(6)
        ]
    assert list(record.received) == received
    assert heard == [{str(room.id): each} for each in received]


BY_ITSELF = {
    "a schedule": (too_warm(trigger={"schedule": {"cron": "*/30 * * * *"}}), [1_800_000]),
    "a silence": (too_warm(when={"silence": "20m"}), [1_200_000 + 60_000]),
    "a time of day": (too_warm(when={"time": {"from": "08:10", "to": "08:20"}}), [600_000]),
}


@pytest.mark.parametrize("kind", sorted(BY_ITSELF))
async def test_what_a_rule_does_by_itself_is_tried_too(kind: str, tenant: Tenant, store: Store) -> None:
    """History begins at 08:00 two days ago: a message comes a minute later, the next one after an hour, then none."""
    document, fires = BY_ITSELF[kind]
    room, now = await tenant.device(), clock.now_ms()
    start = now - now % 86_400_000 - 2 * 86_400_000 + 8 * 3_600_000
    for at, warmth in ((60_000, 9.0), (3_600_000, 4.0)):
        tenant.tell([(room.id, start + at, {"temperature": warmth})], received_ms=start + at)
    tried = await trial.backtest(
        store, tenant.principal(), document, clock.from_ms(start), clock.from_ms(start + 4_000_000)
    )
    assert [each.raised_at - start for each in tried.episodes] == fires
    assert all(each.cleared_at is not None for each in tried.episodes)
    kept = {
        "name": "by itself",
        "given": [{"at": "1m", "temperature": 9}, {"at": "1h", "temperature": 4}],
        "expect": [{"at": f"{fires[0] // 60_000}m", "do": "raise"}, {"do": "clear"}],
    }
    async with store.as_tenant(tenant.principal()) as tx:
        (result,) = await trial.tests(tx, document | {"tests": [kept]})
        (scoped,) = await trial.tests(
            tx, document | {"tests": [kept], "scope": {"profile": "cold-room", "tags": ["cellar"]}}
        )
    assert (result.passed, scoped.passed) == (True, True), result.said


async def test_trying_costs_so_much_and_no_more(tenant: Tenant, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    room, now = await tenant.device(), clock.now_ms()
    tenant.tell([(room.id, now - 600_000 + n, {"temperature": 9.0}) for n in range(40)])
    start = clock.from_ms(now) - timedelta(days=1)
    monkeypatch.setattr(trial, "BACKTEST_CPU_S", 0)
    monkeypatch.setattr(trial, "LOOK_CPU_S", 0)
    part = await trial.backtest(store, tenant.principal(), too_warm(), start)
    assert (part.messages, part.devices, part.is_complete) == (0, 0, False)
    async with store.as_tenant(tenant.principal()) as tx:
        for tried in (
            trial.look(tx, too_warm(), room.id),
            trial.rehearse(tx, too_warm(), [Message(0, {"temperature": 9})]),
            trial.tests(tx, too_warm(tests=KEPT)),
        ):
            with pytest.raises(errors.TrialTooLarge):
                await tried


async def test_a_tenant_plays_one_history_at_a_time_and_a_process_two(tenant: Tenant, store: Store) -> None:
    await tenant.profile()
    start = clock.from_ms(clock.now_ms()) - timedelta(days=1)

    async def tried() -> object:
        return await trial.backtest(store, tenant.principal(), too_warm(), start)

    first, second = await asyncio.gather(tried(), tried(), return_exceptions=True)
    assert isinstance(first, Backtest)
    assert isinstance(second, errors.BacktestBusy)
    async with trial._backtests.one(uuid4()), trial._backtests.one(uuid4()):
        with pytest.raises(errors.BacktestBusy):
            await tried()
    assert isinstance(await tried(), Backtest)


async def test_a_look_says_why_and_why_not(tenant: Tenant, store: Store) -> None:
    room, now = await tenant.device(), clock.now_ms()
    tenant.tell([(room.id, now - 600_000, {"temperature": 9.5}), (room.id, now - 60_000, {"temperature": 7.2})])
    async with store.as_tenant(tenant.principal()) as tx:
        before = await trial.look(tx, too_warm(), room.id, clock.from_ms(now - 300_000))
        after = await trial.look(tx, too_warm(), room.id)
        unheard = await trial.look(tx, too_warm(), (await tenant.device()).id)
    assert (before.verdict, after.verdict, unheard.verdict) == (True, False, None)
    assert "7.2" in after.sentence
    assert before.sentence == "it has fired: temperature is 9.5 °C, above 8 °C"


async def test_invented_messages_move_a_rule_step_by_step(tenant: Tenant, store: Store) -> None:
    await tenant.profile()
    given = [
        Message(0, {"temperature": 9}),
        Message(60_000, {"temperature": 9.5}),
        Message(180_000, {"temperature": 5}),
    ]
    async with store.as_tenant(tenant.principal()) as tx:
        steps = await trial.rehearse(tx, too_warm(**{"for": "2m"}), given)
    assert [str(step.phase) for step in steps] == ["pending", "pending", "ok"]
    assert steps[1].sentence == "temperature is 9.5 °C, above 8 °C, but not yet for 2 minutes"
    assert [step.did for step in steps[:2]] == [(), ()]
    assert steps[2].did[0] == "raise a major alert"


KEPT = [
    {
        "name": "this spike must alert",
        "given": [{"at": "0s", "temperature": 9}, {"at": "3m", "temperature": 9}],
        "expect": [{"at": "2m", "do": "raise"}],
    }
]


async def test_a_rule_whose_tests_fail_is_not_published(tenant: Tenant, store: Store) -> None:
    await tenant.profile()
    good, bad = too_warm(**{"for": "2m"}, tests=KEPT), too_warm(**{"for": "5m"}, tests=KEPT)
    async with store.as_tenant(tenant.principal()) as tx:
        assert [result.passed for result in await trial.tests(tx, good)] == [True]
        (failed,) = await trial.tests(tx, bad)
        assert not failed.passed
        assert "did nothing" in failed.said
        draft = await drafts.save(tx, bad)
        with pytest.raises(errors.TestsFail, match="this spike must alert"):
            await drafts.publish(tx, draft.id)
        again = await drafts.save(tx, good, draft_id=draft.id, expected_version=1)
        published = await drafts.publish(tx, again.id)
        assert (published.mode, published.version) == (Mode.ON, 1)
        with pytest.raises(errors.DraftNotFound):
            await drafts.get(tx, draft.id)


async def test_no_other_way_leads_past_a_rules_tests(tenant: Tenant, store: Store) -> None:
    await tenant.profile()
    good, bad = too_warm(**{"for": "2m"}, tests=KEPT), too_warm(**{"for": "5m"}, tests=KEPT)
    async with store.as_tenant(tenant.principal()) as tx:
        for is_enabled in (True, False):
            with pytest.raises(errors.TestsFail, match="this spike must alert"):
                await rules.create(tx, bad, is_enabled=is_enabled)
        made = await rules.create(tx, good)
        with pytest.raises(errors.TestsFail):
            await rules.change(tx, made.id, bad, expected_version=1)
        kept = await rules.get(tx, made.id)
    assert (kept.version, kept.document) == (1, good)


async def test_a_rule_whose_tests_fail_by_now_may_do_less_but_not_more(tenant: Tenant, store: Store) -> None:
    profile = await tenant.profile()
    far = [{**KEPT[0], "given": [{"at": "0s", "temperature": 40}, {"at": "3m", "temperature": 40}]}]
    warm = too_warm(**{"for": "2m"}, tests=far, when={"metric": "temperature", "op": ">", "value": 8, "unit": "degC"})
    fahrenheit = Metric("temperature", MetricType.NUMBER, unit="degF")
    async with store.as_tenant(tenant.principal()) as tx:
        made = await rules.create(tx, warm)
        others = [each for each in profile.metrics if each.key != "temperature"]
        await devices.profile_change(tx, profile.id, metrics=[fahrenheit, *others])
        assert (await rules.set_mode(tx, made.id, Mode.SHADOW)).mode is Mode.SHADOW
        for wanted in (Mode.ON, Mode.SHADOW):
            if wanted is Mode.SHADOW:
                await rules.switch(tx, made.id, is_enabled=False)
            with pytest.raises(errors.TestsFail):
                await rules.set_mode(tx, made.id, wanted)
        with pytest.raises(errors.TestsFail):
            await rules.switch(tx, made.id, is_enabled=True)
        assert (await rules.get(tx, made.id)).mode is Mode.OFF


async def test_a_draft_may_be_unfinished_and_is_saved_by_one_at_a_time(tenant: Tenant, store: Store) -> None:
    async with store.as_tenant(tenant.principal()) as tx:
        draft = await drafts.save(tx, {"name": "Not yet"})
        assert draft.name == "Not yet"
        await drafts.save(tx, {"name": "Still not"}, draft_id=draft.id, expected_version=1)
        with pytest.raises(errors.DraftChanged):
            await drafts.save(tx, {}, draft_id=draft.id, expected_version=1)
        with pytest.raises(errors.DraftTooLarge):
            await drafts.save(tx, {"name": "x" * 70_000})
        with pytest.raises(errors.RuleNotFound):
            await drafts.save(tx, {}, rule_id=uuid4())
        assert (await rules.page(tx)).items == ()


async def test_a_draft_does_not_undo_what_came_into_force_since_it_was_begun(tenant: Tenant, store: Store) -> None:
    await tenant.profile()
    warmer, hotter = (too_warm(when={"metric": "temperature", "op": ">", "value": value}) for value in (9, 12))
    async with store.as_tenant(tenant.principal()) as tx:
        first = await rules.create(tx, too_warm())
        draft = await drafts.save(tx, warmer, rule_id=first.id)
        await rules.set_mode(tx, first.id, Mode.SHADOW)  # another mode is no other document
        assert (await drafts.publish(tx, draft.id)).document == warmer
        draft = await drafts.save(tx, too_warm(), rule_id=first.id)
        theirs = await rules.change(tx, first.id, hotter)
        with pytest.raises(errors.RuleChanged) as refusal:
            await drafts.publish(tx, draft.id)
        assert refusal.value.details == {"version": theirs.version}
        seen = await drafts.save(tx, too_warm(), draft_id=draft.id, rule_version=theirs.version)
        assert (await drafts.publish(tx, seen.id, expected_version=seen.version)).document == too_warm()


async def test_versions_say_what_was_changed_and_can_be_brought_back(tenant: Tenant, store: Store) -> None:
    await tenant.profile()
    async with store.as_tenant(tenant.principal()) as tx:
        first = await rules.create(tx, too_warm())
        warmer = too_warm(when={"metric": "temperature", "op": ">", "value": 9})
        draft = await drafts.save(tx, warmer, rule_id=first.id)
        with pytest.raises(errors.DraftChanged):  # somebody else's first save: they have not seen this one
            await drafts.save(tx, too_warm(), rule_id=first.id)
        again = await drafts.save(tx, warmer, draft_id=draft.id, expected_version=draft.version)
        with pytest.raises(errors.DraftChanged):
            await drafts.publish(tx, draft.id, expected_version=draft.version)
        await drafts.publish(tx, draft.id, expected_version=again.version)
        back = await drafts.revert(tx, first.id, 1)
        told = (await drafts.versions(tx, first.id)).items
        with pytest.raises(errors.VersionNotFound):
            await drafts.revert(tx, first.id, 99)
    assert [version.version for version in told] == [3, 2, 1]
    assert any("8" in change and "9" in change for change in told[1].changes)
    assert back.document == too_warm()


async def test_a_rule_that_only_watches_notes_and_does_nothing(
    tenant: Tenant, store: Store, worker_store: Store
) -> None:
    room, now, drain = await tenant.device(), clock.now_ms(), Drain(worker_store)
    async with store.as_tenant(tenant.principal()) as tx:
        made = await rules.create(tx, too_warm(), is_shadow=True)
    tenant.tell([(room.id, now - 2_000, {"temperature": 9.5})])
    await drain.run(tenant.id)
    async with store.as_tenant(tenant.principal()) as tx:
        (noted,) = (await firings.page(tx, made.id)).items
        assert (await alerts.page(tx)).items == ()
        await rules.set_mode(tx, made.id, Mode.ON)
    assert noted.would == ("raise a major alert",)
    assert noted.cleared_at is None
    tenant.tell([(room.id, now - 1_000, {"temperature": 9.6})])
    await drain.run(tenant.id)
    async with store.as_tenant(tenant.principal()) as tx:
        (ended,) = (await firings.page(tx, made.id)).items
        assert len((await alerts.page(tx, is_open=True)).items) == 1
        await rules.set_mode(tx, made.id, Mode.SHADOW)
    assert ended.cleared_at is not None
    tenant.tell([(room.id, now, {"temperature": 9.7})])
    await drain.run(tenant.id)
    async with store.as_tenant(tenant.principal()) as tx:
        assert (await alerts.page(tx, is_open=True)).items == ()
