"""Several readers share one tenant's journal: together they do what one does, also while they become more or fewer."""

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from engine import clock
from engine import drain as drains
from engine.alerts import service as alerts
from engine.alerts.model import Cleared, Raised
from engine.audit import service as audit
from engine.devices import service as devices
from engine.drain import Drain
from engine.journal import readers
from engine.journal.errors import ReadersMalformed
from engine.journal.model import Entry
from engine.journal.share import ELSEWHERE, MOST_READERS, OF_ALL, share
from engine.quotas import usage
from engine.rules import firings, non_firings, storms
from engine.rules import service as rules
from engine.rules.sampling import Sample
from engine.rules.state import Phase
from engine.store.pool import Store
from engine.telemetry import service as telemetry
from engine.tenancy import system
from tests.support.rules import too_warm
from tests.support.tenant import Tenant

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


async def become(worker_store: Store, tenant: Tenant, wanted: int) -> readers.Readers:
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        return await readers.change(tx, wanted)


async def stand(worker_store: Store, tenant: Tenant) -> dict[str, int]:
    async with worker_store.as_tenant(system(tenant.id), read_only=True) as tx:
        return {each.name: each.behind for each in await readers.stand(tx)}


@given(st.integers())
def test_of_each_entry_every_device_is_followed_once(seed: int) -> None:
    rng = random.Random(seed)
    of, names = rng.randint(1, MOST_READERS), [str(UUID(int=rng.getrandbits(128))) for _ in range(rng.randint(1, 8))]
    rows = [[rng.choice(names), at, 0, at, {"t": at}] for at in range(rng.randint(0, 9))]
    marks = {str(place): {"t": f"doubt {place}"} for place in range(len(rows)) if rng.random() < 0.4}
    body = {"b": "1", "r": rows, "n": {name: [1] * 6 for name in names[::2]}} | ({"q": marks} if marks else {})
    shares = [share(number, of) for number in range(of)]
    cuts = [each.cut(Entry(1, NOON, "telemetry", body)) for each in shares]
    assert sorted(row for cut in cuts for row in cut.body["r"]) == sorted(rows)
    assert Counter(name for cut in cuts for name in cut.body["n"]) == Counter(list(body["n"]))
    doubts = {row[1]: cut.body.get("q", {}).get(str(n)) for cut in cuts for n, row in enumerate(cut.body["r"])}
    assert doubts == {row[1]: marks.get(str(n)) for n, row in enumerate(rows)}
    assert all((cut.kind == ELSEWHERE) == (not cut.body["r"] and not cut.body["n"]) or of == 1 for cut in cuts)
    moved = [{"device": name, "at": 1, "counts": [0] * 6} for name in names]
    settled = [each.cut(Entry(1, NOON, "inbox.settled", {"moved": moved})).body["moved"] for each in shares]
    assert sorted(each["device"] for cut in settled for each in cut) == sorted(names)
    for kind, told, by in (
        ("device.changed", {"device": names[0].upper()}, 1),
        ("device.refused", {"device": None}, 1),
        ("rule.noticed", {"subject": "tenant"}, 1),
        ("device.event", "no document", 1),
        *((kind, {}, of) for kind in OF_ALL),
    ):
        assert sum(each.cut(Entry(1, NOON, kind, told)).kind == kind for each in shares) == by


@given(st.integers(1, 4), st.integers(1, 4))
def test_the_rest_of_a_rules_devices_is_for_who_left_it_or_for_all_where_they_are_others(of: int, were: int) -> None:
    told = [{"rule": str(uuid4()), "after": None, "share": [number, were]} for number in range(were)]
    entry = Entry(1, NOON, "rules.reached", {"rest": told if were > 1 else [told[0] | {"share": None}]})
    got = [share(number, of).cut(entry).body["rest"] for number in range(of)]
    assert sum(map(len, got)) == (were if of == were else were * of)


async def test_the_database_shares_devices_as_the_drain_does(tenant: Tenant, worker_store: Store) -> None:
    ids = [uuid4() for _ in range(300)]
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        for of in (2, 3, 16):
            for number in range(of):
                mine = share(number, of)
                said = text(f"SELECT id FROM unnest(CAST(:ids AS uuid[])) AS d (id) WHERE true{mine.condition('id')}")
                found = {row["id"] for row in await tx.rows(said, {"ids": ids})}
                assert found == {each for each in ids if mine.has(str(each))}


async def test_they_become_more_at_once_and_fewer_where_all_stand_at_the_same_entry(
    tenant: Tenant, worker_store: Store
) -> None:
    room, began = await tenant.device(), clock.now_ms() - 60_000
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await rules.create(tx, too_warm(**{"for": "10s"}))
    assert await become(worker_store, tenant, 2) == readers.Readers(2, 2)
    behind, ahead = Drain(worker_store), Drain(worker_store)
    mine = int(str(room.id)[-2:], 16) % 2
    await behind.turn(tenant.id, 60, mine)
    tenant.tell([(room.id, began, {"temperature": 9.0})], received_ms=began)
    await ahead.turn(tenant.id, 60, 1 - mine)
    assert await become(worker_store, tenant, 3) == readers.Readers(2, 3)
    tenant.tell([(room.id, began + 1_000, {"temperature": 5.0})], received_ms=began + 1_000)
    assert await ahead.turn(tenant.id, 60, 1 - mine) == (0, False), "it waits for the other one"
    assert await behind.turn(tenant.id, 60, mine) == (1, True), "it comes to where the first one was, and no further"
    assert list(await stand(worker_store, tenant)) == ["drain", "drain-1", "drain-2"]
    drain = Drain(worker_store)
    await drain.run(tenant.id)
    await drain.run(tenant.id)
    assert await stand(worker_store, tenant) == {"drain": 0, "drain-1": 0, "drain-2": 0}
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        assert (await telemetry.latest(tx, [room.id]))[room.id][0].value == 5.0
        assert await tx.scalar(text("SELECT count(*) FROM alerts")) == 0, "what ended the wait was read before time"
        deeds = [entry.after for entry in (await audit.page(tx, action="journal.share")).items]
    assert deeds == [{"readers": 3}, {"readers": 2}]
    assert await become(worker_store, tenant, 1) == readers.Readers(1, 1)
    assert await stand(worker_store, tenant) == {"drain": 0}
    with pytest.raises(ReadersMalformed):
        await become(worker_store, tenant, MOST_READERS + 1)


async def test_a_worker_forgets_what_it_knew_of_devices_that_were_another_readers_meanwhile(
    tenant: Tenant, worker_store: Store
) -> None:
    rooms = [await tenant.device() for _ in range(12)]
    room = next(each for each in rooms if share(1, 2).has(str(each.id)))
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await rules.create(tx, too_warm())
    first, second, now = Drain(worker_store), Drain(worker_store), clock.now_ms()
    for n, (value, is_open, count) in enumerate([(5.0, 0, 1), (9.0, 1, 2), (5.0, 0, 1)]):
        await become(worker_store, tenant, count)
        tenant.tell([(room.id, now + n, {"temperature": value})])
        await first.turn(tenant.id, 60, 0)
        await second.turn(tenant.id, 60, 1)
        await first.turn(tenant.id, 60, 0)
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            assert await alerts.count_open(tx) == is_open
        await _to_the_end(worker_store, tenant, second)


async def test_a_reader_that_has_just_taken_something_is_not_asked_for_by_the_tick(
    tenant: Tenant, worker_store: Store
) -> None:
    room = await tenant.device()
    await Drain(worker_store).run(tenant.id)

    async def is_due() -> bool:
        return (tenant.id, "journal") in {(row["tenant_id"], row["what"]) for row in await worker_store.door("due")}

    async def stood(ago: str) -> None:
        with psycopg.connect(tenant.postgres.url("superuser")) as connection:
            at = f"now() - interval '{ago}'"
            connection.execute(f"UPDATE readers SET at = {at} WHERE tenant_id = %s", [tenant.id])  # type: ignore[arg-type]

    await stood("1 hour")
    assert not await is_due()
    tenant.tell([(room.id, clock.now_ms(), {"temperature": 5.0})])
    assert await is_due()
    await stood("0 s")
    assert not await is_due()
    await stood("1 s")
    assert await is_due()
    await stood("-1 hour")
    assert await is_due(), "the clock was set back, and nobody knows for how long"


async def test_a_reader_stays_with_whoever_knows_its_devices_for_as_long_as_that_one_comes_back(
    tenant: Tenant, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drains, "STAYS_FROM", 2)
    monkeypatch.setattr(drains, "KEPT_S", 600.0)
    rooms = [await tenant.device() for _ in range(2)]
    one, two = (Drain(worker_store, comes_back=True) for _ in range(2))
    await one.run(tenant.id)
    now = iter(range(clock.now_ms(), 2**63))

    async def taken(drain: Drain, told_by: int) -> bool:
        """Whether it takes what so many devices have told; the other one takes it otherwise."""
        tenant.tell([(room.id, next(now), {"temperature": 5.0}) for room in rooms[:told_by]])
        took = await drain.turn(tenant.id, 60)
        assert took[0] or (await (two if drain is one else one).turn(tenant.id, 60))[0]
        return took[0] > 0

    async def kept_until(moment: str) -> None:
        with psycopg.connect(tenant.postgres.url("superuser")) as connection:
            until = f"now() + interval '{moment}'"
            connection.execute(f"UPDATE readers SET kept_until = {until} WHERE tenant_id = %s", [tenant.id])  # type: ignore[arg-type]

    assert await taken(one, 2)
    assert one.stays(tenant.id, 0)
    assert not await taken(two, 2), "it is the first one's"
    assert one.stays(tenant.id, 0)
    await kept_until("-1 ms")
    assert await taken(two, 2), "the first one has not come back"
    assert two.stays(tenant.id, 0)
    await kept_until("1 hour")
    assert await taken(one, 2), "the clock was set back"
    assert one.stays(tenant.id, 0)
    assert await one.turn(tenant.id, 60) == (0, False)
    assert not one.stays(tenant.id, 0), "nothing came"
    assert await taken(two, 1)
    assert not two.stays(tenant.id, 0), "one device is as soon loaded"
    assert await taken(one, 2)


async def test_what_readers_do_at_the_same_time_is_counted_together(
    tenant: Tenant, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storms, "OF_RULE", 5)
    rooms = [await tenant.device() for _ in range(12)]
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        tag: list[dict[str, Any]] = [{"do": "alert"}, {"do": "tag", "add": "hot"}]
        await rules.create(tx, too_warm(then=tag))
    await become(worker_store, tenant, 3)
    await Drain(worker_store).run(tenant.id)
    for room in rooms:
        tenant.tell([(room.id, clock.now_ms(), {"temperature": 9.0})])
    drains = [Drain(worker_store) for _ in range(3)]
    await asyncio.gather(*(drain.turn(tenant.id, 60, number) for number, drain in enumerate(drains)))
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        found = await devices.by_ids(tx, [room.id for room in rooms])
        assert await tx.scalar(text("SELECT count(*) FROM alerts")) == len(rooms)
        said = [notice.kind for notice in await storms.notices(tx)]
    assert sum("hot" in each.labels for each in found.values()) <= 5
    assert said == [storms.STORM]


async def test_what_readers_forget_of_one_rule_at_the_same_time_keeps_none_of_them_waiting(
    tenant: Tenant, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms = [str((await tenant.device()).id) for _ in range(12)]
    mine = [next(room for room in rooms if share(number, 2).has(room)) for number in range(2)]
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        rule = str((await rules.create(tx, too_warm())).id)

    def fired(number: int, episode: int) -> Raised:
        return Raised(rule, 1, mine[number], episode, "major", "", {}, clock.from_ms(episode))

    def looked(number: int, episode: int) -> Sample:
        return Sample(rule, 1, mine[number], episode, Phase.OK, False, is_near=False, reason="", why={})

    async with worker_store.as_tenant(system(tenant.id)) as tx:
        before = [(number, episode) for episode, number in enumerate((0, 1, 1, 0), 1)]
        await firings.note(tx, [(fired(*each), ()) for each in before])
        await non_firings.keep(tx, [looked(*each) for each in before])
    for module in (firings, non_firings):
        monkeypatch.setattr(module, "OF_RULE", 1)
    monkeypatch.setattr(firings, "CUT_EVERY", 1)
    async with (
        asyncio.timeout(60),
        worker_store.as_tenant(system(tenant.id)) as one,
        worker_store.as_tenant(system(tenant.id)) as two,
    ):
        for tx, number in ((one, 0), (two, 1)):
            await firings.note(tx, [(fired(number, 5 + number), ())], share(number, 2))
            await non_firings.keep(tx, [looked(number, 5 + number)], share(number, 2))
        for tx, number in ((one, 0), (two, 1)):
            await firings.end(tx, [Cleared(rule, mine[number], 5 + number, clock.from_ms(9), "over")])
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        noted = (await firings.page(tx, UUID(rule))).items
        assert {(each.episode, each.cleared_at) for each in noted} == {(n, clock.from_ms(9)) for n in (5, 6)}
        assert len((await non_firings.page(tx, UUID(rule))).items) <= 2
        await firings.prune(tx)
        assert [each.episode for each in (await firings.page(tx, UUID(rule))).items] == [6]


async def test_all_that_is_counted_and_kept_is_what_one_reader_would_have_counted_and_kept(
    tenant: Tenant, worker_store: Store
) -> None:
    rng, rooms = random.Random(5), [await tenant.device() for _ in range(5)]
    told: list[tuple[UUID, int, float]] = []
    now = clock.now_ms()
    for n in range(20):
        rows = [(room.id, now + n, float(rng.randint(0, 7))) for room in rng.sample(rooms, rng.randint(1, 5))]
        told += rows
        tenant.tell([(room, at, {"temperature": value}) for room, at, value in rows])
        if rng.random() < 0.3:
            await become(worker_store, tenant, rng.randint(1, 4))
        await _drained_by_chance(worker_store, tenant, rng)
    await _to_the_end(worker_store, tenant, Drain(worker_store))
    newest = {room: value for room, _, value in told}
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        latest = await telemetry.latest(tx, list(newest))
        counted = await telemetry.counts(tx)
        used = await usage.hours(tx)
    assert {room: latest[room][0].value for room in newest} == newest
    assert sum(each.stored for each in counted) == sum(each.stored for each in used) == len(told)


async def _drained_by_chance(worker_store: Store, tenant: Tenant, rng: random.Random) -> None:
    """Some readers take a turn, at the same time or not at all."""
    drain, numbers = Drain(worker_store), [number for number in range(4) if rng.random() < 0.4]
    await asyncio.gather(*(drain.turn(tenant.id, rng.choice([0, 60]), number) for number in numbers))


async def _to_the_end(worker_store: Store, tenant: Tenant, drain: Drain) -> None:
    while any((await stand(worker_store, tenant)).values()):
        await drain.run(tenant.id)
