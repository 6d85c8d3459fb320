"""Rules that set each other off by what they do to a device: the circle ends, and one notice names the rules in it."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from engine.devices import service as devices
from engine.drain import Drain
from engine.rules import circles, storms
from engine.rules.moves import HOUR_MS
from engine.rules.state import Phase, RuleState
from engine.store.pool import Store
from tests.engine.rules.making import rule
from tests.engine.rules.test_runtime import document, drained, make
from tests.support.tenant import Tenant


def wait_is_over(tenant: Tenant) -> None:
    """Let an hour have passed for every rule that waits."""
    tenant.run(
        "UPDATE rule_state SET due_at = now(), "
        "state = jsonb_set(state, '{since}', to_jsonb((state ->> 'since')::bigint - 3600000)) "
        "WHERE tenant_id = %s AND state ->> 'phase' = 'pending'"
    )


async def changes_of(tenant: Tenant, device_id: UUID) -> int:
    """How often the device's name or labels were changed."""
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        asked = {"tenant": tenant.id, "device": str(device_id)}
        said = "SELECT count(*) FROM journal WHERE tenant_id = :tenant AND kind = 'device.changed' "
        return int(await tx.scalar(text(said + "AND body ->> 'device' = :device"), asked) or 0)


def passes_on(name: str, reads: str, writes: str, **more: Any) -> dict[str, Any]:
    """A rule that takes a tag away and gives another."""
    then = [{"do": "tag", "remove": reads}, {"do": "tag", "add": writes}]
    return document({"tag": reads}, then=then, name=name, **more)


@pytest.mark.parametrize("workers", [1, 2])
async def test_two_rules_that_hand_a_tag_to_each_other_stop_and_one_notice_names_both(
    tenant: Tenant, worker_store: Store, workers: int
) -> None:
    room, drains = await tenant.device(), [Drain(worker_store) for _ in range(workers)]
    await make(tenant, passes_on("There", "left", "right"), passes_on("Back", "right", "left"))
    await drained(worker_store, tenant, drains[0])
    for labels in ({"left": ""}, {"right": ""}):  # the circle is entered on either side
        before = await changes_of(tenant, room.id)
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            await devices.change(tx, room.id, labels={})
        await drained(worker_store, tenant, drains[0])
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            await devices.change(tx, room.id, labels=labels)
        while await drains[0].run(tenant.id):
            drains.reverse()  # in turns, none of them remembers what the other has followed
        assert await changes_of(tenant, room.id) == before + 2 + circles.MAX_HOPS
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        said = [(notice.kind, notice.message) for notice in await storms.notices(tx)]
    assert [kind for kind, _ in said] == ["loop"]
    assert "“There”" in said[0][1]
    assert "“Back”" in said[0][1]


async def test_a_circle_over_an_attribute_stops_also_where_the_rules_wait_a_moment(
    tenant: Tenant, worker_store: Store
) -> None:
    def turns(name: str, reads: str, writes: str) -> dict[str, Any]:
        when = {"attribute": "turn", "op": "==", "value": reads}
        return document(when, then=[{"do": "set", "attribute": "turn", "value": writes}], name=name, **{"for": "1s"})

    room, drain = await tenant.device(), Drain(worker_store)
    await make(tenant, turns("Ping", "a", "b"), turns("Pong", "b", "a"))
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.change(tx, room.id, labels={"turn": "a"})
    for _ in range(2 * circles.MAX_HOPS):
        await drained(worker_store, tenant, drain)
        wait_is_over(tenant)
        drain = Drain(worker_store)
        await drain.run(tenant.id)  # time passes; what the rules did then is read next
    assert await changes_of(tenant, room.id) == 1 + circles.MAX_HOPS
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        notices = await storms.notices(tx)
    assert [notice.kind for notice in notices] == ["loop"]
    assert "“Ping”" in notices[0].message
    assert "“Pong”" in notices[0].message


async def test_rules_that_wait_for_long_may_follow_each_other_for_ever(tenant: Tenant, worker_store: Store) -> None:
    day, night = (
        passes_on("Dusk", "day", "night", **{"for": "10m"}),
        passes_on("Dawn", "night", "day", **{"for": "10m"}),
    )
    room, drain = await tenant.device(), Drain(worker_store)
    await make(tenant, day, night)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.change(tx, room.id, labels={"day": ""})
    for _ in range(2 * circles.MAX_HOPS):
        await drained(worker_store, tenant, drain)
        wait_is_over(tenant)
        drain = Drain(worker_store)
        await drain.run(tenant.id)  # time passes; what the rules did then is read next
    assert await changes_of(tenant, room.id) > 1 + circles.MAX_HOPS
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        assert await storms.notices(tx) == []


def test_a_rule_that_may_fire_no_more_in_this_hour_ends_the_chain() -> None:
    made = rule({"tag": "day"}, limits={"max_per_hour": 1}, then=[{"do": "tag", "add": "night"}])
    waits = RuleState(phase=Phase.PENDING, since=HOUR_MS, condition=made.condition)
    assert circles.goes_on(made, waits)
    assert not circles.goes_on(made, waits._replace(raised=(HOUR_MS - 1_000,)))
    assert circles.goes_on(made, waits._replace(raised=(1_000,))), "the hour is nearly over"


async def test_what_a_person_sets_begins_a_chain_anew(tenant: Tenant, worker_store: Store) -> None:
    room, drain = await tenant.device(), Drain(worker_store)
    await make(tenant, passes_on("There", "left", "right"))
    for _ in range(2 * circles.MAX_HOPS):
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            await devices.change(tx, room.id, labels={"left": ""})
        await drained(worker_store, tenant, drain)
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            assert (await devices.get(tx, room.id)).labels == {"right": ""}
            assert await storms.notices(tx) == []


@pytest.mark.parametrize(
    ("chain", "subject", "said"),
    [
        ("xabab", "a", "The rules “B” and “A” set each other off in a circle: after 4 steps the next was not done."),
        ("ababa", "a", "The rules “A” and “B” set each other off in a circle: after 4 steps the next was not done."),
        (
            "abcde",
            "a",
            "The rules “A”, “B”, “C”, “D” and “E” followed from each other, which looks like a circle: after",
        ),
        ("ccccc", "c", "The rule “C” sets itself off again and again: after 4 times it was stopped."),
    ],
)
def test_a_notice_names_the_rules_of_the_circle_and_is_the_same_wherever_it_is_entered(
    chain: str, subject: str, said: str
) -> None:
    assert circles.subject(tuple(chain)) == subject
    assert circles.told(tuple(chain), str.upper).startswith(said)
