"""What becomes of a rule's states when it is edited, switched off or made to watch other devices: a few at a time."""

from typing import Any

import pytest
from sqlalchemy import text

from engine import clock
from engine.alerts import service as alerts
from engine.devices import service as devices
from engine.drain import Drain
from engine.rules import drafts, reaction
from engine.rules import service as rules
from engine.rules.errors import RuleInvalid
from engine.store.pool import Store
from engine.tenancy import system
from tests.engine.rules.test_runtime import document, drained, fired
from tests.engine.rules.test_zones import Dying, Killed
from tests.support.tenant import Tenant

WARM = {"metric": "temperature", "op": ">", "value": 8}
AT_ONCE = 3


async def change(tenant: Tenant, rule_id: Any, node: dict[str, Any] | None) -> None:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await (rules.switch(tx, rule_id, is_enabled=False) if node is None else rules.change(tx, rule_id, node))


async def ended_a_turn(tenant: Tenant, worker_store: Store) -> list[int]:
    """How many alerts each transaction ended, until nothing is left to be done; each is tried by one killed first."""
    found, has_more, left = [], True, await _open(tenant)
    while has_more:
        with pytest.raises(Killed):
            await Dying(worker_store).turn(tenant.id, 0)
        assert await _open(tenant) == left
        _, has_more = await Drain(worker_store).turn(tenant.id, 0)
        before, left = left, await _open(tenant)
        found.append(before - left)
    return found


async def _open(tenant: Tenant) -> int:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        return await alerts.count_open(tx)


async def warm_rooms(tenant: Tenant, worker_store: Store, rule: dict[str, Any]) -> tuple[Any, list[Any]]:
    rooms = [await tenant.device() for _ in range(7)]
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        made = await rules.create(tx, rule)
    at = clock.now_ms() - 10_000
    tenant.tell([(room.id, at, {"temperature": 9.0}) for room in rooms], received_ms=at)
    await drained(worker_store, tenant)
    return made.id, sorted(rooms, key=lambda room: str(room.id))


@pytest.mark.parametrize(
    "changed",
    [None, document(WARM | {"value": 8.5}), document({"all": [WARM, {"tag": "hot"}]})],
    ids=["switched off", "another limit", "heavier"],
)
async def test_what_an_edit_ends_ends_a_few_a_transaction_each_once_also_when_workers_are_killed_meanwhile(
    changed: dict[str, Any] | None, tenant: Tenant, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule_id, _ = await warm_rooms(tenant, worker_store, document(WARM))
    assert await _open(tenant) == 7
    monkeypatch.setattr(reaction, "BEGUN_AT_ONCE", AT_ONCE)
    await change(tenant, rule_id, changed)
    ended = await ended_a_turn(tenant, worker_store)
    assert max(ended) == AT_ONCE
    assert sum(ended) == 7
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        told = await tx.scalar(text("SELECT count(*) FROM journal WHERE kind = 'alert.cleared'"))
    assert told == 7


TAGS = {"then": [{"do": "alert"}, {"do": "tag", "add": "hot"}], "on_clear": [{"do": "tag", "remove": "hot"}]}


async def tagged(tenant: Tenant, rooms: list[Any]) -> int:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        return sum(
            "hot" in device.labels for device in (await devices.by_ids(tx, [room.id for room in rooms])).values()
        )


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("off", "the rule was switched off"),
        ("deleted", "the rule was deleted"),
        ("narrowed", "the rule no longer watches this device"),
    ],
)
async def test_what_a_rule_had_switched_on_is_undone_when_it_is_no_more(
    how: str, why: str, tenant: Tenant, worker_store: Store
) -> None:
    rule_id, rooms = await warm_rooms(tenant, worker_store, document(WARM, **TAGS))
    other = await tenant.device()
    assert await tagged(tenant, rooms) == 7
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        if how == "off":
            await rules.switch(tx, rule_id, is_enabled=False)
        elif how == "deleted":
            await rules.delete(tx, rule_id)
        else:
            elsewhere = {"profile": "cold-room", "devices": [str(other.id)]}
            await rules.change(tx, rule_id, document(WARM, **TAGS, scope=elsewhere))
    await drained(worker_store, tenant)
    assert await tagged(tenant, rooms) == 0
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        assert [alert.cleared_reason for alert in (await alerts.page(tx)).items] == [why] * 7


async def test_a_rule_that_only_watched_undoes_nothing_when_it_is_switched_off(
    tenant: Tenant, worker_store: Store
) -> None:
    room = await tenant.device()
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        rule = await rules.create(tx, document(WARM, **TAGS), is_shadow=True)
        await devices.change(tx, room.id, labels={"hot": ""})
    tenant.tell([(room.id, clock.now_ms(), {"temperature": 9.0})])
    await drained(worker_store, tenant)
    await change(tenant, rule.id, None)
    await drained(worker_store, tenant)
    assert await tagged(tenant, [room]) == 1


@pytest.mark.parametrize("turns", [0, 1, 2], ids=["at once", "after a turn", "after two"])
async def test_a_rule_that_was_off_has_ended_all_its_alerts_however_soon_it_is_on_again(
    turns: int, tenant: Tenant, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule_id, rooms = await warm_rooms(tenant, worker_store, document(WARM, **TAGS))
    monkeypatch.setattr(reaction, "BEGUN_AT_ONCE", AT_ONCE)
    await change(tenant, rule_id, None)
    for _ in range(turns):
        await Drain(worker_store).turn(tenant.id, 0)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await rules.switch(tx, rule_id, is_enabled=True)
    await drained(worker_store, tenant)
    assert await fired(tenant) == [(1, "cleared")] * 7
    assert await tagged(tenant, rooms) == 0
    tenant.tell([(room.id, clock.now_ms(), {"temperature": 9.0}) for room in rooms])
    await drained(worker_store, tenant)
    assert await fired(tenant) == [(1, "cleared")] * 7 + [(2, "active")] * 7
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        reasons = {alert.cleared_reason for alert in (await alerts.page(tx, is_open=False)).items}
    assert reasons == {"the rule was switched off"}


async def test_a_rule_that_is_narrowed_ends_what_it_watches_no_more_and_nothing_else(
    tenant: Tenant, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule_id, rooms = await warm_rooms(tenant, worker_store, document(WARM))
    monkeypatch.setattr(reaction, "BEGUN_AT_ONCE", AT_ONCE)
    kept = [str(room.id) for room in rooms[2:4]]
    await change(tenant, rule_id, document(WARM, scope={"profile": "cold-room", "devices": kept}))
    assert sum(await ended_a_turn(tenant, worker_store)) == 5
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        left = (await alerts.page(tx, is_open=True)).items
    assert sorted(str(alert.device_id) for alert in left) == kept


async def test_a_wait_that_an_edit_makes_shorter_ends_by_the_new_one_and_nothing_begins_anew(
    tenant: Tenant, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule_id, _ = await warm_rooms(tenant, worker_store, document(WARM, **{"for": "1h"}))
    assert await fired(tenant) == []
    monkeypatch.setattr(reaction, "BEGUN_AT_ONCE", AT_ONCE)
    await change(tenant, rule_id, document(WARM))
    await drained(worker_store, tenant)
    assert await fired(tenant) == [(1, "active")] * 7


async def test_a_rule_that_can_no_longer_be_read_says_what_to_do_and_that_can_be_done(
    tenant: Tenant, worker_store: Store
) -> None:
    """Its document was written by a grammar that is no more."""
    owner, old = tenant.principal(), "UPDATE rules SET document = document - 'when' WHERE tenant_id = %s"
    rule_id, _ = await warm_rooms(tenant, worker_store, document(WARM))
    for mend in ("change", "revert", "delete"):
        tenant.run(old)
        async with tenant.store.as_tenant(owner) as tx:
            found = await rules.get(tx, rule_id)
            assert not found.is_readable
            assert found.sentence.startswith("This rule can no longer be read, so it does nothing: ")
            assert found.sentence.endswith("publish it, go back to an earlier version, or delete it.")
            assert (await rules.by_ids(tx, [rule_id]))[rule_id] == (await rules.page(tx)).items[0] == found
            assert not (await rules.switch(tx, rule_id, is_enabled=False)).is_enabled
            with pytest.raises(RuleInvalid):
                await rules.switch(tx, rule_id, is_enabled=True)
        async with tenant.store.as_tenant(owner) as tx:
            if mend == "change":
                assert (await rules.change(tx, rule_id, document(WARM))).is_readable
                changed = (await drafts.versions(tx, rule_id)).items[0].changes
                assert changed == ("It was written anew: what it said before could no longer be read.",)
            elif mend == "revert":
                assert (await drafts.revert(tx, rule_id, 1)).is_readable
            else:
                assert (await rules.delete(tx, rule_id)).id == rule_id
    await drained(worker_store, tenant)
    assert await fired(tenant) == [(1, "cleared")] * 7
