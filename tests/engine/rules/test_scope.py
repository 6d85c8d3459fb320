"""How many devices a rule applies to: the database counts by the same law as the engine, and for whoever asks."""

from typing import Any
from uuid import uuid4

from engine.devices import groups
from engine.devices import service as devices
from engine.rules import inspection
from engine.rules.facts import attribute, compared
from engine.rules.model import Op
from engine.store.pool import Store
from engine.tenancy import Principal
from infra.local.postgres import Postgres
from tests.engine.rules.making import document
from tests.support.tenant import Tenant, found_tenant

TEXTS = ["true", "false", "", "3", "3.0", "+3", "03", "3_0", "30", "-2.5", ".5", "5.", "1e3", "1e400", "1_", "_1", "."]
TEXTS += ["+", "1e", "e1", "7 ", "inf", "nan", "0x10", "True", "Kiel", "kiel", "1-2", "1.2.3"]
ASKED: list[tuple[str, Any]] = [
    ("==", 3),
    ("!=", 3),
    ("<", 30),
    ("<=", 30),
    (">", 0.5),
    (">=", 0.5),
    ("between", [-3, 3]),
    ("outside", [-3, 3]),
    ("in", [3, 30]),
    ("not in", [3, 30]),
    ("==", True),
    ("!=", True),
    ("==", "Kiel"),
    ("!=", "Kiel"),
    ("in", ["Kiel", "3", "true"]),
    ("not in", ["Kiel", "3", "true"]),
]


async def applies_to(store: Store, principal: Principal, **scope: Any) -> int:
    """What a check says of a rule with this scope."""
    node = document({"presence": "offline"}, scope={"profile": None, **scope})
    async with store.as_tenant(principal, read_only=True) as tx:
        return (await inspection.inspect(tx, node)).applies_to


async def test_attributes_are_counted_as_the_engine_reads_them(tenant: Tenant, store: Store) -> None:
    profile = await tenant.profile()
    async with store.as_tenant(tenant.principal()) as tx:
        for at, text in enumerate(TEXTS):
            key = f"room-{at}"
            await devices.provision(tx, key=key, name=key, profile_id=profile.id, labels={"site": text})
        await devices.provision(tx, key="bare", name="bare", profile_id=profile.id)
    for op, value in ASKED:
        law = tuple(value) if isinstance(value, list) else value
        wanted = sum(compared(attribute(text), Op(op), law) is True for text in TEXTS)
        leaf = {"attribute": "site", "op": op, "value": value}
        assert await applies_to(store, tenant.principal(), where=[leaf]) == wanted, (op, value)
    assert await applies_to(store, tenant.principal(), where=[{"tag": "site"}]) == len(TEXTS)
    assert await applies_to(store, tenant.principal()) == len(TEXTS) + 1


async def test_groups_tags_profile_and_chosen_devices_narrow_together(tenant: Tenant, store: Store) -> None:
    room, wet, pump, old = [await tenant.device(key, of) for key, of in PLACES]
    async with store.as_tenant(tenant.principal()) as tx:
        await devices.change(tx, wet.id, labels={"wet": "", "site": "7"})
        await devices.decommission(tx, old.id)
        chosen = await groups.create(tx, key="chosen", name="Chosen")
        await groups.add_devices(tx, chosen.id, [room.id, pump.id])
        found = await groups.create(tx, key="found", name="Found", filter_={"labels": {"site": "7"}})
    by, one, other = tenant.principal(), str(chosen.id), str(found.id)
    assert await applies_to(store, by, profile="cold-room") == 2
    assert await applies_to(store, by, groups=[one]) == 2
    assert await applies_to(store, by, groups=[one, other]) == 3
    assert await applies_to(store, by, profile="cold-room", groups=[one]) == 1
    assert await applies_to(store, by, groups=[str(uuid4())]) == 0
    assert await applies_to(store, by, tags=["wet"]) == 1
    assert await applies_to(store, by, tags=["wet"], groups=[one]) == 0
    assert await applies_to(store, by, tags=["wet", "site"], where=[{"attribute": "site", "op": "==", "value": 7}]) == 1
    every = [str(each.id) for each in (room, wet, pump, old)]
    assert await applies_to(store, by, devices=every) == 3
    assert await applies_to(store, by, devices=every, profile="cold-room") == 2
    assert await applies_to(store, by, devices=[*every, str(uuid4())]) == 3


PLACES = [("room", "cold-room"), ("wet", "cold-room"), ("pump", "pump"), ("old", "cold-room")]


async def test_whoever_is_limited_to_a_group_is_told_of_its_devices_alone(tenant: Tenant, store: Store) -> None:
    own, foreign = await tenant.device("own"), await tenant.device("foreign")
    async with store.as_tenant(tenant.principal()) as tx:
        group = await groups.create(tx, key="own", name="Own")
        await groups.add_devices(tx, group.id, [own.id])
    all_of_it = tenant.principal()
    limited = Principal(tenant.id, "user", uuid4(), all_of_it.scopes, groups=frozenset({group.id}))
    assert await applies_to(store, all_of_it, profile="cold-room") == 2
    assert await applies_to(store, limited, profile="cold-room") == 1
    assert await applies_to(store, limited, devices=[str(own.id), str(foreign.id)]) == 1


async def test_another_tenants_devices_are_not_counted(tenant: Tenant, postgres: Postgres, store: Store) -> None:
    await tenant.device("room")
    theirs = await (await found_tenant(postgres, store)).device("room")
    assert await applies_to(store, tenant.principal()) == 1
    assert await applies_to(store, tenant.principal(), devices=[str(theirs.id)]) == 0
